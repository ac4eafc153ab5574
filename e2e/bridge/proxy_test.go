package bridge

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"github.com/onsi/gomega/gleak"
)

// proxied is a handler that passes requests on to a server which has h: what stands in front of many services, and asks more of
// whoever serves it than most handlers do.
func proxied(h http.Handler) http.Handler {
	GinkgoHelper()
	before := gleak.Goroutines()
	server := httptest.NewServer(h)
	to, err := url.Parse(server.URL)
	Expect(err).NotTo(HaveOccurred())
	transport := &http.Transport{DisableCompression: true, DisableKeepAlives: true}
	DeferCleanup(func() {
		server.Close()
		Eventually(gleak.Goroutines).WithTimeout(patience).ShouldNot(gleak.HaveLeaked(before))
	})
	return &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(to)
			r.Out.Host = r.In.Host
		},
		Transport: transport,
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, err error) {
			w.Header().Set("X-Error", fmt.Sprint(err))
			w.WriteHeader(http.StatusBadGateway)
		},
	}
}

var _ = Describe("A reverse proxy of the standard library", func() {
	bothWays("passes a WebSocket on", func() http.Handler { return proxied(handle(chat)) }, socket, echoes)

	bothWays("passes large bodies on, and the trailers of the answer", func() http.Handler {
		return proxied(handle(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Trailer", "X-Sum")
			b, err := io.ReadAll(r.Body)
			_, _ = w.Write(b)
			w.Header().Set("X-Sum", fmt.Sprint(len(b), err))
		}))
	}, at, func(ctx SpecContext, address string) {
		a := &ask{Method: http.MethodPost, Target: "/a", Size: 1 << 20, Chunk: 10_000}
		got, end, err := a.send(ctx, address)
		Expect(err).NotTo(HaveOccurred())
		defer end()
		Expect([]any{got.Status, got.Broken, bytes.Equal(got.Body, body(1<<20))}).To(Equal([]any{200, false, true}))
		Expect(got.Trailer).To(Equal(http.Header{"X-Sum": {"1048576 <nil>"}}))
	}, counting)

	bothWays("passes an answer on as it comes, and its client's leaving", func() http.Handler {
		return proxied(handle(func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.WriteString(w, "first")
			_ = http.NewResponseController(w).Flush()
			<-r.Context().Done() // else the server does not end
		}))
	}, endpoint{method: http.MethodGet, path: "/a"}, func(ctx SpecContext, address string) {
		left, leave := context.WithCancel(ctx)
		defer leave()
		resp := request(left, http.MethodGet, address, "/a", http.NoBody)
		first := make([]byte, len("first"))
		_, err := io.ReadFull(resp.Body, first)
		Expect(err).NotTo(HaveOccurred())
		Expect(string(first)).To(Equal("first"))
	}, counting)

	bothWays("breaks an answer off that its server breaks off", func() http.Handler {
		return proxied(handle(func(w http.ResponseWriter, _ *http.Request) {
			_, _ = w.Write(make([]byte, 100_000))
			panic(http.ErrAbortHandler)
		}))
	}, endpoint{method: http.MethodGet, path: "/a"}, func(ctx SpecContext, address string) {
		resp := request(ctx, http.MethodGet, address, "/a", http.NoBody)
		_, err := io.Copy(io.Discard, resp.Body)
		Expect(err).To(MatchError(io.ErrUnexpectedEOF))
	})
})
