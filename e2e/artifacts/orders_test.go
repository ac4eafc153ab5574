package artifacts

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"

	. "github.com/onsi/ginkgo/v2"
)

// orders answers what a gateway with the service orders might, failures included, and tells what it was asked.
type orders struct {
	*httptest.Server

	mu    sync.Mutex
	asked []string // one line for each request: method, path with query, and what counts of the header and the body
}

func startOrders() *orders {
	o := &orders{}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /orders", o.list)
	mux.HandleFunc("POST /orders", o.create)
	mux.HandleFunc("POST /orders/import", o.upload)
	mux.HandleFunc("POST /orders/search", o.search)
	mux.HandleFunc("GET /orders/{id}", o.order)
	mux.HandleFunc("PATCH /orders/{id}", o.fail)
	mux.HandleFunc("HEAD /orders/{id}", func(_ http.ResponseWriter, r *http.Request) { o.note(r, "") })
	mux.HandleFunc("DELETE /orders/{id}", o.forget)
	mux.HandleFunc("GET /orders/{id}/events", o.events)
	mux.HandleFunc("/files/{path...}", o.files)
	o.Server = httptest.NewServer(mux)
	DeferCleanup(o.Close)
	return o
}

// note keeps what was asked, and says how many times it has been.
func (o *orders) note(r *http.Request, rest string) int {
	o.mu.Lock()
	defer o.mu.Unlock()
	line := strings.TrimSpace(r.Method + " " + r.RequestURI + " " + rest)
	o.asked = append(o.asked, line)
	return len(slices.DeleteFunc(slices.Clone(o.asked), func(other string) bool { return other != line }))
}

// seen is what was asked since the last time.
func (o *orders) seen() []string {
	o.mu.Lock()
	defer o.mu.Unlock()
	seen := o.asked
	o.asked = nil
	return seen
}

func problem(w http.ResponseWriter, status int, code, origin, more string) {
	w.Header().Set("Content-Type", "application/problem+json")
	w.Header().Set("X-Request-Id", "r-1")
	w.WriteHeader(status)
	_, _ = fmt.Fprintf(w, `{"type":"about:blank","title":"T","status":%d,"code":%q,"origin":%q%s}`, status, code, origin, more)
}

func (o *orders) list(w http.ResponseWriter, r *http.Request) {
	o.note(r, r.Header.Get("Cookie")+" "+r.Header.Get("X-Trace"))
	_, _ = io.WriteString(w, `[{"id":"a","at":null,"key":"AAE="}]`)
}

// create answers by the customer.
func (o *orders) create(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	n := o.note(r, string(body))
	w.Header().Set("ETag", `"v1"`)
	w.Header().Set("X-Left", "9007199254740991")
	switch {
	case strings.Contains(string(body), `"conflict"`):
		problem(w, 409, "conflict", "service", `,"details":{"with":"b"}`)
	case strings.Contains(string(body), `"empty"`):
		w.WriteHeader(http.StatusNoContent)
	case strings.Contains(string(body), `"flaky"`) && n < 3:
		w.Header().Set("Retry-After", "0")
		problem(w, 503, "no_instance", "gateway", `,"retryable":true`)
	default:
		w.WriteHeader(http.StatusCreated)
		_, _ = io.WriteString(w, `{"id":"a"}`)
	}
}

func (o *orders) upload(w http.ResponseWriter, r *http.Request) {
	if err := r.ParseMultipartForm(1 << 20); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	var parts []string
	for _, field := range []string{"file", "more"} {
		for _, h := range r.MultipartForm.File[field] {
			f, err := h.Open()
			if err != nil {
				http.Error(w, err.Error(), http.StatusBadRequest)
				return
			}
			text, _ := io.ReadAll(f)
			parts = append(parts, fmt.Sprintf("%s=%s:%s", field, h.Filename, text))
		}
	}
	o.note(r, strings.Join(append(parts, "title="+r.MultipartForm.Value["title"][0]), " "))
	w.WriteHeader(http.StatusNoContent)
}

func (o *orders) search(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	o.note(r, string(body))
	_, _ = io.WriteString(w, `{"first":{"id":"a"}}`)
}

// order answers by the ID.
func (o *orders) order(w http.ResponseWriter, r *http.Request) {
	n := o.note(r, "")
	switch r.PathValue("id") {
	case "none":
		_, _ = io.WriteString(w, `null`)
	case "cut": // a connection that fails before there is an answer
		if n == 1 {
			panic(http.ErrAbortHandler)
		}
		_, _ = io.WriteString(w, `{"id":"cut"}`)
	case "plain": // by a proxy
		w.Header().Set("X-Request-Id", "r-2")
		http.Error(w, "<h1>no</h1>", http.StatusBadGateway)
	case "later":
		w.Header().Set("Retry-After", "3600")
		problem(w, 503, "no_instance", "gateway", "")
	default:
		_, _ = io.WriteString(w, `{"id":"a"}`)
	}
}

// fail answers what would be worth another attempt, were the call safe to repeat.
func (o *orders) fail(w http.ResponseWriter, r *http.Request) {
	o.note(r, "")
	problem(w, 503, "no_instance", "gateway", `,"retryable":true`)
}

func (o *orders) forget(w http.ResponseWriter, r *http.Request) {
	o.note(r, "")
	w.WriteHeader(http.StatusNoContent)
}

// events answers a stream by the ID.
func (o *orders) events(w http.ResponseWriter, r *http.Request) {
	o.note(r, r.Header.Get("Accept"))
	w.Header().Set("Content-Type", "application/x-ndjson")
	_, _ = io.WriteString(w, `{"id":"1","event":"new","data":{"kind":"é"}}`+"\n"+`{"data":{}}`+"\n")
	switch r.PathValue("id") {
	case "broken":
		_, _ = io.WriteString(w, `{"error":{"type":"about:blank","title":"T","status":409,"code":"late","origin":"service"}}`+"\n")
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	case "cut":
		_, _ = io.WriteString(w, `{"data":{"ki`)
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	}
}

// files is where bytes go.
func (o *orders) files(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	o.note(r, r.Header.Get("Content-Type")+" "+r.Header.Get("X-More")+" "+string(body))
	w.WriteHeader(http.StatusAccepted)
	_, _ = w.Write(body)
}
