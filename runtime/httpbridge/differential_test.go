package httpbridge_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing/iotest"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	stella "github.com/stella-ops/router/runtime"
	"github.com/stella-ops/router/runtime/stellatest"
	"github.com/stella-ops/router/spec"
)

// answer is what of an answer must be the same whether a net/http server or the bridge runs the handler.
type answer struct {
	Status  int
	Header  map[string][]string
	Body    string
	Trailer http.Header
}

// ofConnection are the fields that are about the connection to the client, or are the gateway's own. A net/http client takes
// Trailer out of the header where it knows how to.
var ofConnection = []string{"Connection", "Content-Length", "Date", "Trailer"}

// sent are the trailers that have come, of those that were announced as well.
func sent(trailer http.Header) http.Header {
	came := http.Header{}
	for name, values := range trailer {
		if len(values) > 0 {
			came[name] = values
		}
	}
	return came
}

// fromServer asks a net/http server. A length of -1 is none.
func fromServer(endpoint string, h http.Handler, r stellatest.Request) (a answer, length int64) {
	GinkgoHelper()
	mux := http.NewServeMux()
	mux.Handle(endpoint, h)
	server := httptest.NewServer(mux)
	defer server.Close()
	u, err := url.Parse(server.URL + r.Path)
	Expect(err).NotTo(HaveOccurred())
	req := &http.Request{Method: r.Method, URL: u, Host: "stellatest", Header: http.Header{"User-Agent": nil}}
	for _, f := range r.Header {
		req.Header.Add(f.Name, f.Value)
	}
	switch {
	case r.Stream != nil:
		req.Body, req.ContentLength = io.NopCloser(r.Stream), -1
	case r.Body != nil:
		req.Body, req.ContentLength = io.NopCloser(strings.NewReader(string(r.Body))), int64(len(r.Body))
	}
	for _, f := range r.Trailer {
		if req.Trailer == nil {
			req.Trailer = http.Header{}
		}
		req.Trailer.Add(f.Name, f.Value)
	}
	transport := &http.Transport{DisableCompression: true}
	defer transport.CloseIdleConnections()
	res, err := transport.RoundTrip(req)
	Expect(err).NotTo(HaveOccurred())
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	Expect(err).NotTo(HaveOccurred())
	length = -1
	if v := res.Header.Get("Content-Length"); v != "" {
		length, err = strconv.ParseInt(v, 10, 64)
		Expect(err).NotTo(HaveOccurred())
	}
	for _, name := range ofConnection {
		res.Header.Del(name)
	}
	return answer{res.StatusCode, res.Header, string(body), sent(res.Trailer)}, length
}

// fromBridge asks the bridge.
func fromBridge(endpoint string, h http.Handler, r stellatest.Request) (a answer, length int64) {
	GinkgoHelper()
	s, _ := bridge(endpoint, h)
	res := call(s, r)
	header := http.Header{}
	for _, f := range res.Header {
		header.Add(f.Name, f.Value)
	}
	for _, name := range ofConnection {
		header.Del(name)
	}
	trailer := http.Header{}
	for _, f := range res.Trailer {
		trailer.Add(f.Name, f.Value)
	}
	return answer{res.Status, header, string(res.Body), trailer}, res.ContentLength
}

type handle = http.HandlerFunc

// seen answers with all that a handler can see of a request.
func seen(w http.ResponseWriter, r *http.Request) {
	body, errBody := io.ReadAll(r.Body)
	_, errAfter := r.Body.Read(make([]byte, 1))
	r.Header.Del("User-Agent")
	r.Header.Del("Transfer-Encoding")
	err := json.NewEncoder(w).Encode(map[string]any{
		"method": r.Method, "path": r.URL.Path, "raw path": r.URL.RawPath, "escaped": r.URL.EscapedPath(), "query": r.URL.RawQuery,
		"uri": r.RequestURI, "scheme": r.URL.Scheme, "url host": r.URL.Host, "host": r.Host, "header": r.Header, "length": r.ContentLength,
		"encoding": r.TransferEncoding, "proto": r.Proto, "http/1.1": r.ProtoAtLeast(1, 1), "close": r.Close, "tls": r.TLS != nil,
		"pattern": r.Pattern, "id": r.PathValue("id"), "rest": r.PathValue("rest"), "none": r.PathValue("none"),
		"body": string(body), "error": fmt.Sprint(errBody), "after": fmt.Sprint(errAfter), "trailer": r.Trailer, "form": r.FormValue("q"),
		"peer": r.RemoteAddr != "",
	})
	if err != nil {
		panic(err)
	}
}

// files is a directory with some files.
func files() http.Handler {
	GinkgoHelper()
	dir := GinkgoT().TempDir()
	for name, content := range map[string]string{
		"small.txt": "0123456789", "page.html": "<html>page</html>", "large.bin": strings.Repeat("0123456789", 30_000), "empty": "",
	} {
		path := filepath.Join(dir, name)
		Expect(os.WriteFile(path, []byte(content), 0o600)).To(Succeed())
		Expect(os.Chtimes(path, time.Time{}, time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC))).To(Succeed())
	}
	server := http.FileServer(http.Dir(dir))
	return handle(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Etag", `"tag"`)
		server.ServeHTTP(w, r)
	})
}

// repeat writes n parts of size bytes each.
func repeat(n, size int) handle {
	return func(w http.ResponseWriter, _ *http.Request) {
		for range n {
			_, _ = w.Write([]byte(strings.Repeat("x", size)))
		}
	}
}

// errs answers with the errors that writing gave.
func errs(write func(w http.ResponseWriter) []error) handle {
	return func(w http.ResponseWriter, _ *http.Request) {
		for i, err := range write(w) {
			w.Header().Set("X-After-"+strconv.Itoa(i), "too late")
			if err != nil {
				panic(err)
			}
		}
	}
}

type request = stellatest.Request

// names are those of the fields, each once.
func names(fields stella.Header) string {
	var all []string
	for _, f := range fields {
		all = append(all, f.Name)
	}
	slices.Sort(all)
	return strings.Join(slices.Compact(all), ", ")
}

// trailing answers with parts of the body as set says, which is told when.
func trailing(parts int, set func(w http.ResponseWriter, when string)) handle {
	return func(w http.ResponseWriter, _ *http.Request) {
		set(w, "before")
		for range parts {
			_, _ = io.WriteString(w, "part")
			set(w, "between")
		}
		set(w, "after")
	}
}

// declaring declares two trailers and sets one.
func declaring(w http.ResponseWriter, when string) {
	if when == "before" {
		w.Header().Set("Trailer", "x-sum, X-Other")
	}
	w.Header()["X-Sum"] = []string{when, "2"}
}

var _ = Describe("A handler behind the bridge", func() {
	DescribeTable("answers as it does behind a net/http server", func(h func() http.Handler, r request, endpoint ...string) {
		if r.Path == "" {
			r.Path = "/a"
		}
		if r.Method == "" {
			r.Method = http.MethodGet
		}
		endpoint = append(endpoint, "GET /{rest...}")
		again := r // a stream is read once
		if len(r.Trailer) > 0 {
			announced := stella.Header{{Name: "Trailer", Value: names(r.Trailer)}} // a net/http client does so by itself
			again.Header = append(announced, r.Header...)
		}
		if r.Stream != nil {
			all, err := io.ReadAll(r.Stream)
			Expect(err).NotTo(HaveOccurred())
			r.Stream, again.Stream = strings.NewReader(string(all)), iotest.HalfReader(strings.NewReader(string(all)))
		}
		want, wantLength := fromServer(endpoint[0], h(), r)
		got, gotLength := fromBridge(endpoint[0], h(), again)
		Expect(got).To(Equal(want))
		if wantLength >= 0 {
			Expect(gotLength).To(Equal(wantLength))
		} else if r.Method != http.MethodHead && gotLength >= 0 {
			Expect(gotLength).To(BeEquivalentTo(len(want.Body)))
		}
	},
		Entry("that writes nothing", func() http.Handler { return handle(func(http.ResponseWriter, *http.Request) {}) }, request{}),
		Entry("that writes nothing, to HEAD", func() http.Handler { return handle(func(http.ResponseWriter, *http.Request) {}) }, request{Method: "HEAD"}),
		Entry("that writes text", func() http.Handler { return repeat(1, 10) }, request{}),
		Entry("that writes text, to HEAD", func() http.Handler { return repeat(1, 10) }, request{Method: "HEAD"}),
		Entry("that writes much", func() http.Handler { return repeat(100, 1000) }, request{}),
		Entry("that writes much at once", func() http.Handler { return repeat(1, 100_000) }, request{}),
		Entry("that writes much, to HEAD", func() http.Handler { return repeat(100, 1000) }, request{Method: "HEAD"}),
		Entry("that writes a status", func() http.Handler {
			return handle(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTeapot) })
		}, request{}),
		Entry("that writes HTML in small parts", func() http.Handler {
			return handle(func(w http.ResponseWriter, _ *http.Request) {
				for _, c := range "<!DOCTYPE html><title>t</title>" {
					_, _ = io.WriteString(w, string(c))
				}
			})
		}, request{}),
		Entry("that writes HTML in small parts, to HEAD", func() http.Handler {
			return handle(func(w http.ResponseWriter, _ *http.Request) {
				for _, c := range "<!DOCTYPE html><title>t</title>" {
					_, _ = io.WriteString(w, string(c))
				}
			})
		}, request{Method: "HEAD"}),
		Entry("that writes binary data after text", func() http.Handler {
			return handle(func(w http.ResponseWriter, _ *http.Request) {
				_, _ = io.WriteString(w, strings.Repeat("text ", 100))
				_, _ = w.Write([]byte{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15})
			})
		}, request{}),
		Entry("that has a Content-Type", func() http.Handler {
			return handle(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("content-type", "x/y")
				_, _ = io.WriteString(w, "<html>")
			})
		}, request{}),
		Entry("that wants no Content-Type", func() http.Handler {
			return handle(func(w http.ResponseWriter, _ *http.Request) {
				w.Header()["Content-Type"] = nil
				_, _ = io.WriteString(w, "<html>")
			})
		}, request{}),
		Entry("that has encoded its content", func() http.Handler {
			return handle(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Encoding", "br")
				_, _ = io.WriteString(w, "<html>")
			})
		}, request{}),
		Entry("that sets headers after the status", func() http.Handler {
			return handle(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("X-Before", "1")
				w.WriteHeader(http.StatusAccepted)
				w.Header().Set("X-After", "1")
				w.Header().Set("Content-Type", "too/late")
				_, _ = io.WriteString(w, "x")
			})
		}, request{}),
		Entry("that has values several times, line breaks, and names that are none", func() http.Handler {
			return handle(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Add("Set-Cookie", "a=1")
				w.Header().Add("Set-Cookie", "b=2")
				w.Header().Set("X-Lines", " a\r\nX-Injected: b\n")
				w.Header()["x-lower"] = []string{"1"}
				w.Header()["not a name"] = []string{"1"}
				w.Header()["X-Empty"] = []string{""}
				w.Header()["X-None"] = nil
			})
		}, request{}),
		Entry("that says early hints", func() http.Handler {
			return handle(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Link", "</a>")
				w.WriteHeader(http.StatusEarlyHints)
				w.WriteHeader(http.StatusCreated)
			})
		}, request{}),
		Entry("that says a second status", func() http.Handler {
			return handle(func(w http.ResponseWriter, _ *http.Request) {
				w.WriteHeader(http.StatusCreated)
				w.WriteHeader(http.StatusAccepted)
			})
		}, request{}),
		Entry("that declares trailers", func() http.Handler {
			return handle(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Trailer", "x-sum, X-Other")
				w.Header().Set("X-Sum", "a header")
				w.Header().Set(http.TrailerPrefix+"X-Late", "no header")
				_, _ = io.WriteString(w, "x")
				w.Header().Set("X-Sum", "1")
			})
		}, request{}),
		Entry("that declares trailers of a large answer", func() http.Handler { return trailing(10_000, declaring) }, request{}),
		Entry("that declares trailers and writes nothing", func() http.Handler { return trailing(0, declaring) }, request{}),
		Entry("that declares trailers and writes nothing, to HEAD", func() http.Handler { return trailing(0, declaring) }, request{Method: "HEAD"}),
		Entry("that declares trailers, to HEAD", func() http.Handler { return trailing(2, declaring) }, request{Method: "HEAD"}),
		Entry("that declares trailers with 204", func() http.Handler {
			return trailing(0, func(w http.ResponseWriter, when string) {
				if declaring(w, when); when == "before" {
					w.WriteHeader(http.StatusNoContent)
				}
			})
		}, request{}),
		Entry("that declares trailers with 304", func() http.Handler {
			return trailing(0, func(w http.ResponseWriter, when string) {
				if declaring(w, when); when == "before" {
					w.WriteHeader(http.StatusNotModified)
				}
			})
		}, request{}),
		Entry("that declares trailers and flushes", func() http.Handler {
			return trailing(3, func(w http.ResponseWriter, when string) {
				declaring(w, when)
				w.(http.Flusher).Flush() //nolint:forcetypeassert // that it is one is the rule
			})
		}, request{}),
		Entry("that sets trailers without declaring them, of a large answer", func() http.Handler {
			return trailing(10_000, func(w http.ResponseWriter, when string) {
				if when == "after" {
					w.Header().Set(http.TrailerPrefix+"X-Late", "1")
					w.Header().Add(http.TrailerPrefix+"x-lower", " a\r\nb ")
					w.Header().Add(http.TrailerPrefix+"not a name", "1")
				}
			})
		}, request{}),
		Entry("that sets trailers without declaring them, before a small answer", func() http.Handler {
			return trailing(1, func(w http.ResponseWriter, _ string) { w.Header().Set(http.TrailerPrefix+"X-Late", "1") })
		}, request{}),
		Entry("that sets trailers without declaring them, of an answer that was flushed", func() http.Handler {
			return trailing(1, func(w http.ResponseWriter, when string) {
				w.(http.Flusher).Flush() //nolint:forcetypeassert // that it is one is the rule
				if when == "after" {
					w.Header().Set(http.TrailerPrefix+"X-Late", "1")
				}
			})
		}, request{}),
		Entry("that declares trailers which must be none", func() http.Handler {
			return trailing(1, func(w http.ResponseWriter, when string) {
				if when == "before" {
					w.Header().Set("Trailer", "Content-Range, Authorization, X-Fine")
					return
				}
				for _, name := range []string{"Content-Range", "Authorization", "X-Fine"} {
					w.Header().Set(name, "1")
				}
			})
		}, request{}),
		Entry("that declares its length", func() http.Handler {
			return handle(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Length", "100000")
				for range 100 {
					_, _ = w.Write(make([]byte, 1000))
				}
			})
		}, request{}),
		Entry("that declares its length and writes nothing, to HEAD", func() http.Handler {
			return handle(func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Content-Length", "100000") })
		}, request{Method: "HEAD"}),
		Entry("that declares a length that is none", func() http.Handler {
			return handle(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Length", "many")
				_, _ = io.WriteString(w, "x")
			})
		}, request{}),
		Entry("that writes more than it declared", func() http.Handler {
			return errs(func(w http.ResponseWriter) []error {
				w.Header().Set("Content-Length", "2")
				_, err := io.WriteString(w, "ab")
				_, errMore := io.WriteString(w, "c")
				if !errors.Is(errMore, http.ErrContentLength) {
					return []error{err, fmt.Errorf("got %w", errMore)}
				}
				return []error{err}
			})
		}, request{}),
		Entry("that writes more than it declared, and then less", func() http.Handler {
			return handle(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Length", "2")
				_, err := io.WriteString(w, "ab")
				for _, text := range []string{"cd", "c"} {
					if n, errMore := io.WriteString(w, text); n != 0 || !errors.Is(errMore, http.ErrContentLength) {
						panic(errors.Join(err, errMore))
					}
				}
			})
		}, request{}),
		Entry("that copies nothing, and then says its status", func() http.Handler {
			return handle(func(w http.ResponseWriter, _ *http.Request) {
				_, err := io.Copy(w, struct{ io.Reader }{strings.NewReader("")})
				if err != nil {
					panic(err)
				}
				w.WriteHeader(http.StatusAccepted)
			})
		}, request{}),
		Entry("that names its Content-Type in another case", func() http.Handler {
			return handle(func(w http.ResponseWriter, _ *http.Request) {
				w.Header()["content-type"] = []string{"x/y"}
				_, _ = io.WriteString(w, "<html>")
			})
		}, request{}),
		Entry("that writes with 204", func() http.Handler {
			return handle(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("X-Left", "1")
				w.Header().Set("Content-Length", "5")
				w.WriteHeader(http.StatusNoContent)
				_, err := io.WriteString(w, "12345")
				_, errCopy := io.Copy(w, strings.NewReader("12345"))
				if !errors.Is(err, http.ErrBodyNotAllowed) || !errors.Is(errCopy, http.ErrBodyNotAllowed) {
					panic(errors.Join(err, errCopy))
				}
			})
		}, request{}),
		Entry("that answers 304 with what it must not have", func() http.Handler {
			return handle(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", "x/y")
				w.Header().Set("Content-Length", "5")
				w.WriteHeader(http.StatusNotModified)
			})
		}, request{}),
		Entry("that writes nothing at all", func() http.Handler {
			return handle(func(w http.ResponseWriter, _ *http.Request) {
				n, err := w.Write(nil)
				w.Header().Set("X-Late", fmt.Sprint(n, err))
			})
		}, request{}),
		Entry("that flushes before, between and after", func() http.Handler {
			return handle(func(w http.ResponseWriter, _ *http.Request) {
				rc := http.NewResponseController(w)
				err := rc.Flush()
				_, errWrite := io.WriteString(w, "<html>")
				if err = errors.Join(err, errWrite, rc.Flush(), rc.Flush()); err != nil {
					panic(err)
				}
			})
		}, request{}),
		Entry("that flushes what it has written", func() http.Handler {
			return handle(func(w http.ResponseWriter, _ *http.Request) {
				_, _ = io.WriteString(w, "<html>")
				w.(http.Flusher).Flush() //nolint:forcetypeassert // that it is one is the rule
				_, _ = io.WriteString(w, "</html>")
			})
		}, request{}),
		Entry("that flushes to HEAD", func() http.Handler {
			return handle(func(w http.ResponseWriter, _ *http.Request) {
				_, _ = io.WriteString(w, "<html>")
				for range 2 {
					if err := http.NewResponseController(w).Flush(); err != nil {
						panic(err)
					}
					_, _ = io.WriteString(w, "</html>")
				}
			})
		}, request{Method: "HEAD"}),
		Entry("that copies a small reader", func() http.Handler {
			return handle(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.Copy(w, strings.NewReader("<html>")) })
		}, request{}),
		Entry("that copies a large reader, after a write", func() http.Handler {
			return handle(func(w http.ResponseWriter, _ *http.Request) {
				_, _ = io.WriteString(w, "<ht")
				n, err := io.Copy(w, iotest.HalfReader(strings.NewReader("ml>"+strings.Repeat("x", 99_997))))
				if n != 100_000 || err != nil {
					panic(err)
				}
			})
		}, request{}),
		Entry("that copies a large reader, to HEAD", func() http.Handler {
			return handle(func(w http.ResponseWriter, _ *http.Request) {
				if n, err := io.Copy(w, strings.NewReader(strings.Repeat("x", 100_000))); n != 100_000 || err != nil {
					panic(err)
				}
			})
		}, request{Method: "HEAD"}),
		Entry("that copies from a reader that fails", func() http.Handler {
			return handle(func(w http.ResponseWriter, _ *http.Request) {
				_, err := io.Copy(w, io.MultiReader(strings.NewReader("x"), iotest.ErrReader(io.ErrUnexpectedEOF)))
				if !errors.Is(err, io.ErrUnexpectedEOF) {
					panic(err)
				}
			})
		}, request{}),
		Entry("that redirects", func() http.Handler { return http.RedirectHandler("../b?c=d", http.StatusFound) }, request{Path: "/x/y/z"}),
		Entry("that fails", func() http.Handler {
			return handle(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Length", "7")
				http.Error(w, "no <such> thing", http.StatusConflict)
			})
		}, request{}),
		Entry("that finds nothing", http.NotFoundHandler, request{}),
		Entry("that is a mux", func() http.Handler {
			mux := http.NewServeMux()
			mux.HandleFunc("GET /x/{id}", seen)
			return mux
		}, request{Path: "/x/1%202?q=3"}, "GET /x/{id}"),

		Entry("that shows a GET", func() http.Handler { return handle(seen) },
			request{Path: "/a/1%2B+%20x/b%C3%A4/c;d?q=1&q=2&%zz", Header: fields("X-Many", "1", "X-Many", "2", "Cookie", "a=b")}, "GET /a/{id}/{rest...}"),
		Entry("that shows a HEAD", func() http.Handler { return handle(seen) }, request{Method: "HEAD", Path: "/a"}),
		Entry("that shows a form", func() http.Handler {
			return handle(func(w http.ResponseWriter, r *http.Request) {
				_, _ = fmt.Fprint(w, r.FormValue("a"), r.PostFormValue("b"), r.Form)
			})
		}, request{Method: "POST", Path: "/a?a=1", Body: []byte("b=2&c=3"), Header: fields("Content-Type", "application/x-www-form-urlencoded")}, "POST /a"),
		Entry("that shows a POST", func() http.Handler { return handle(seen) }, request{Method: "POST", Path: "/a/1", Body: []byte("{}")}, "POST /a/{id}"),
		Entry("that shows a large PUT", func() http.Handler { return handle(seen) },
			request{Method: "PUT", Path: "/a/1", Body: []byte(strings.Repeat("x", 300_000))}, "PUT /a/{id}"),
		Entry("that shows a PATCH of unknown length", func() http.Handler { return handle(seen) },
			request{Method: "PATCH", Path: "/a/1", Stream: strings.NewReader(strings.Repeat("x", 300_000))}, "PATCH /a/{id}"),
		Entry("that shows the trailers of a stream", func() http.Handler { return handle(seen) }, request{
			Method: "PUT", Path: "/a/1", Stream: strings.NewReader(strings.Repeat("x", 300_000)), Trailer: fields("X-Sum", "1", "X-Sum", "2", "Etag", `"3"`),
		}, "PUT /a/{id}"),
		Entry("that shows the trailers of nothing", func() http.Handler { return handle(seen) },
			request{Method: "PUT", Path: "/a/1", Stream: strings.NewReader(""), Trailer: fields("X-Sum", "1")}, "PUT /a/{id}"),
		Entry("that shows trailers before and after the body has been read", func() http.Handler {
			return handle(func(w http.ResponseWriter, r *http.Request) {
				before, _ := json.Marshal(r.Trailer) // cannot fail
				_, _ = io.Copy(io.Discard, r.Body)
				after, _ := json.Marshal(r.Trailer) // the same
				_, _ = fmt.Fprintf(w, "%s %s %v", before, after, r.Header)
			})
		}, request{Method: "POST", Stream: strings.NewReader("body"), Trailer: fields("X-Sum", "1"), Header: fields("User-Agent", "t")}, "POST /a"),
		Entry("that closes the body", func() http.Handler {
			return handle(func(w http.ResponseWriter, r *http.Request) {
				err := r.Body.Close()
				_, errRead := io.ReadAll(r.Body)
				_, _ = fmt.Fprint(w, err, errRead)
			})
		}, request{Method: "POST", Body: []byte("{}")}, "POST /a"),
		Entry("that bounds the body, and gets less", func() http.Handler { return http.MaxBytesHandler(handle(seen), 10) },
			request{Method: "POST", Body: []byte("0123456789")}, "POST /a"),
		Entry("that bounds the body, and gets more", func() http.Handler { return http.MaxBytesHandler(handle(seen), 10) },
			request{Method: "POST", Body: []byte("0123456789+")}, "POST /a"),
		Entry("that reads nothing of a large body", func() http.Handler { return repeat(1, 10) },
			request{Method: "POST", Body: make([]byte, 200_000)}, "POST /a"),
		Entry("that answers while it reads", func() http.Handler {
			return handle(func(w http.ResponseWriter, r *http.Request) {
				if err := http.NewResponseController(w).EnableFullDuplex(); err != nil {
					panic(err)
				}
				if _, err := io.Copy(w, r.Body); err != nil {
					panic(err)
				}
			})
		}, request{Method: "POST", Body: []byte(strings.Repeat("0123456789", 50_000))}, "POST /a"),
		Entry("that is bounded in time", func() http.Handler { return http.TimeoutHandler(handle(seen), patience, "late") }, request{}),
		Entry("that is late", func() http.Handler {
			return http.TimeoutHandler(handle(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }), 10*time.Millisecond, "late")
		}, request{}),

		Entry("that serves a file", files, request{Path: "/small.txt"}),
		Entry("that serves a page", files, request{Path: "/page.html"}),
		Entry("that serves an empty file", files, request{Path: "/empty"}),
		Entry("that serves a large file", files, request{Path: "/large.bin"}),
		Entry("that serves a large file, to HEAD", files, request{Method: "HEAD", Path: "/large.bin"}),
		Entry("that serves no file", files, request{Path: "/none"}),
		Entry("that serves part of a file", files, request{Path: "/large.bin", Header: fields("Range", "bytes=1000-200000")}),
		Entry("that serves the end of a file", files, request{Path: "/small.txt", Header: fields("Range", "bytes=-3")}),
		Entry("that cannot serve a range", files, request{Path: "/small.txt", Header: fields("Range", "bytes=10-")}),
		Entry("that serves a range if nothing has changed", files, request{Path: "/small.txt", Header: fields("Range", "bytes=1-2", "If-Range", `"tag"`)}),
		Entry("that serves all since something has changed", files, request{Path: "/small.txt", Header: fields("Range", "bytes=1-2", "If-Range", `"old"`)}),
		Entry("that serves nothing new", files, request{Path: "/small.txt", Header: fields("If-None-Match", `"old", "tag"`)}),
		Entry("that serves nothing new, to HEAD", files, request{Method: "HEAD", Path: "/small.txt", Header: fields("If-None-Match", `"tag"`)}),
		Entry("that serves nothing new by date", files, request{Path: "/small.txt", Header: fields("If-Modified-Since", "Fri, 02 Jan 2026 03:04:05 GMT")}),
		Entry("that refuses by a precondition", files, request{Path: "/small.txt", Header: fields("If-Match", `"old"`)}),
		Entry("that redirects to a directory", files, request{Path: "/page.html/"}),
	)

	It("serves several ranges of a file at once", func() {
		r := request{Path: "/large.bin", Method: "GET", Header: fields("Range", "bytes=0-9,100000-100009")}
		want, wantLength := fromServer("GET /{rest...}", files(), r)
		got, gotLength := fromBridge("GET /{rest...}", files(), r)
		Expect(got.Status).To(Equal(206))
		Expect(gotLength).To(Equal(wantLength))
		normal := func(a answer) string { // the boundary is random
			_, boundary, _ := strings.Cut(a.Header["Content-Type"][0], "boundary=")
			return strings.ReplaceAll(a.Body, boundary, "B")
		}
		Expect(normal(got)).To(Equal(normal(want)))
	})

	DescribeTable("fails with a problem where net/http would drop the connection", func(h handle, logged string) {
		s, log := bridge("GET /a", h)
		res := call(s, request{Path: "/a"})
		Expect(res.Status).To(Equal(500))
		Expect(res.Header.Get("Content-Type")).To(Equal(spec.ProblemType))
		Expect(string(res.Body)).NotTo(ContainSubstring("half"))
		Expect(res.Header.Get("X-Half")).To(BeEmpty())
		Expect(log.String()).To(ContainSubstring(logged))
	},
		Entry("by a panic", handle(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("X-Half", "1")
			_, _ = io.WriteString(w, "half")
			panic("oh")
		}), "panic=oh"),
		Entry("by less than it declared", handle(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "100")
			_, _ = io.WriteString(w, "half")
		}), "less body than Content-Length says"),
		Entry("by a status that is none", handle(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(0) }), "invalid WriteHeader code 0"),
		Entry("by switching protocols", handle(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusSwitchingProtocols) }), "status 101"),
	)
})
