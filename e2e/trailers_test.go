package e2e

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/stella-ops/router/gateway"
	stella "github.com/stella-ops/router/runtime"
	"github.com/stella-ops/router/runtime/httpbridge"
	"github.com/stella-ops/router/spec"
)

// trailed shows the trailers of a request before and after its body, and answers with the body and trailers of its own: one that it
// has declared, and in large answers one that it has not.
func trailed(w http.ResponseWriter, r *http.Request) {
	announced := fmt.Sprint(slices.Sorted(maps.Keys(r.Trailer)))
	body, err := io.ReadAll(r.Body)
	if err != nil {
		panic(err)
	}
	w.Header().Set("Trailer", "X-Bytes, X-Never")
	w.Header().Set("Content-Type", "text/plain")
	w.Header().Set("X-Announced", announced)
	switch r.URL.Query().Get("do") {
	case "flush":
		w.(http.Flusher).Flush() //nolint:forcetypeassert // that it is one is the rule
	case "length":
		w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	case "204":
		w.WriteHeader(http.StatusNoContent)
	case "304":
		w.WriteHeader(http.StatusNotModified)
	}
	_, _ = w.Write(body)
	w.Header().Set("X-Bytes", strconv.Itoa(len(body)))
	for name, values := range r.Trailer {
		w.Header()[http.TrailerPrefix+"Echo-"+name] = values
	}
}

var _ = Describe("trailers of a bridged handler", Ordered, func() {
	var direct, through string
	clients := map[string]*http.Client{}

	BeforeAll(func() {
		forbidLeaks()
		server := httptest.NewUnstartedServer(http.HandlerFunc(trailed))
		server.Config.Protocols = new(http.Protocols)
		server.Config.Protocols.SetHTTP1(true)
		server.Config.Protocols.SetUnencryptedHTTP2(true)
		server.Start()
		DeferCleanup(server.Close)
		listen := "tcp://" + address()
		front, log := newPart("gateway")
		g, err := gateway.New(gateway.Config{HTTP: address(), Admin: address(), Listen: []string{listen}, Logger: log})
		Expect(err).NotTo(HaveOccurred())
		front.run(g.Serve)
		manifest := spec.Manifest{Service: "trailers", Version: "1.0.0"}
		var list []stella.Endpoint
		for _, method := range []string{"GET", "POST"} {
			manifest.Endpoints = append(manifest.Endpoints, spec.Endpoint{
				Method: method, Path: "/a", Handler: "Trailed", Kind: spec.KindHTTP, Status: 200, Stream: spec.StreamBoth, Public: "a test",
				Limits: spec.DefaultLimits,
			})
			list = append(list, stella.Endpoint{Method: method, Path: "/a", Dispatch: httpbridge.Dispatch(http.HandlerFunc(trailed))})
		}
		text, err := manifest.Encode()
		Expect(err).NotTo(HaveOccurred())
		service, log := newPart("service")
		svc := stella.New(stella.Manifest{JSON: string(text)}, stella.Endpoints{Package: "test", List: list}, stella.WithLogger(log),
			stella.WithVariable(stella.EnvGateways, listen))
		service.run(svc.Run)
		direct, through = server.URL, "http://"+g.HTTPAddr()
		for _, name := range []string{"HTTP/1.1", "HTTP/2"} {
			protocols := new(http.Protocols)
			protocols.SetHTTP1(name == "HTTP/1.1")
			protocols.SetUnencryptedHTTP2(name == "HTTP/2")
			transport := &http.Transport{Protocols: protocols, DisableCompression: true}
			clients[name] = &http.Client{Transport: transport, Timeout: patience}
			DeferCleanup(transport.CloseIdleConnections)
		}
		Eventually(func() int {
			resp, err := clients["HTTP/1.1"].Get(through + "/a")
			if err != nil {
				return 0
			}
			defer resp.Body.Close()
			return resp.StatusCode
		}).WithTimeout(patience).WithPolling(10 * time.Millisecond).Should(Equal(http.StatusOK))
	})

	// ask is what comes of a request: all that must be the same, with and without a gateway.
	ask := func(client *http.Client, base, method, query string, size int, known, trailers bool) map[string]any {
		GinkgoHelper()
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		var body io.Reader
		if method == http.MethodPost {
			content := bytes.NewReader([]byte(strings.Repeat("0123456789", size/10+1)[:size]))
			if body = content; !known {
				body = io.MultiReader(content)
			}
		}
		q, err := http.NewRequestWithContext(ctx, method, base+"/a?do="+query, body)
		Expect(err).NotTo(HaveOccurred())
		if trailers {
			q.Trailer = http.Header{"X-One": {"1"}, "Etag": {`"2"`, `"3"`}}
		}
		resp, err := client.Do(q)
		Expect(err).NotTo(HaveOccurred())
		defer resp.Body.Close()
		announced := slices.Sorted(maps.Keys(resp.Trailer))
		content, err := io.ReadAll(resp.Body)
		Expect(err).NotTo(HaveOccurred())
		return map[string]any{
			"status": resp.StatusCode, "body": string(content), "announced": announced, "trailer": resp.Trailer,
			"header": resp.Header["Trailer"], "seen": resp.Header["X-Announced"],
		}
	}

	for _, name := range []string{"HTTP/1.1", "HTTP/2"} {
		It("are what they are behind a net/http server, by "+name, func() {
			client := clients[name]
			for _, query := range []string{"", "flush", "length", "204", "304"} {
				for _, size := range []int{0, 1, 5000, 100_000} {
					for i := range 4 {
						known, trailers := i&1 == 0, i&2 == 0
						if name == "HTTP/2" && size == 0 && known && trailers { // net/http's client never ends such a request
							continue
						}
						want := ask(client, direct, http.MethodPost, query, size, known, trailers)
						got := ask(client, through, http.MethodPost, query, size, known, trailers)
						if query == "flush" && trailers && !known {
							Expect(want["trailer"]).To(And(HaveKeyWithValue("X-Bytes", []string{strconv.Itoa(size)}), HaveKey("Echo-Etag")))
						}
						if query == "204" || query == "304" { // behind which net/http sends some by HTTP/2, though there is no body to follow
							Expect(got["trailer"]).NotTo(HaveKey("Echo-Etag"))
							delete(got, "trailer")
							delete(want, "trailer")
						}
						Expect(got).To(Equal(want), "%q, %d bytes, known %v, trailers %v", query, size, known, trailers)
					}
				}
				for _, method := range []string{http.MethodGet, http.MethodHead} {
					want := ask(client, direct, method, query, 0, true, false)
					got := ask(client, through, method, query, 0, true, false)
					if method == http.MethodHead || query == "204" || query == "304" { // the same
						delete(got, "trailer")
						delete(want, "trailer")
					}
					Expect(got).To(Equal(want), "%s %q", method, query)
				}
			}
		})
	}
})
