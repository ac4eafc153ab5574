package edge_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"github.com/quic-go/quic-go/http3"

	"github.com/stella-ops/router/gateway"
	"github.com/stella-ops/router/gateway/edge"
	"github.com/stella-ops/router/gateway/legacy"
	"github.com/stella-ops/router/spec"
	"github.com/stella-ops/router/transports/trust"
)

// passOn asks a gateway for what the request asks for, as another proxy would.
func passOn(w http.ResponseWriter, r *http.Request, to *rig) {
	q, err := http.NewRequestWithContext(r.Context(), r.Method, to.url(r.URL.Path), nil)
	if err != nil {
		return
	}
	q.Header["Via"] = r.Header["Via"]
	resp, err := to.client.Do(q)
	if err != nil {
		return
	}
	defer resp.Body.Close()
	w.WriteHeader(resp.StatusCode)
	_, _ = io.Copy(w, resp.Body)
}

var _ = Describe("header fields to a legacy upstream and back", func() {
	It("lose what says who calls, what belongs to the connection, and what the upstream has no say in", func() {
		s := upstream(func(w http.ResponseWriter, r *http.Request) {
			h := w.Header()
			h.Set("Connection", "X-Mine, keep-alive")
			h.Set("X-Mine", "hidden")
			h.Set("Keep-Alive", "hidden")
			h.Set("Server", "hidden")
			h.Set("Proxy-Status", "hidden")
			h.Set("X-Request-Id", "hidden")
			h.Set("Stella-Anything", "hidden")
			h.Add("Set-Cookie", "a=1")
			h.Add("Set-Cookie", "b=2")
			h.Set("Content-Type", "text/x-dump")
			w.WriteHeader(http.StatusAccepted)
			dump(w, r)
		})
		r := start(fronts(s, legacy.Route{Path: "/{rest...}", Weight: 100}))
		_, in := r.raw("GET /a HTTP/1.1\r\nHost: shop.example:81\r\nConnection: close, X-Mine\r\nX-Mine: hidden\r\nKeep-Alive: hidden\r\nTE: trailers\r\n" +
			"X-Forwarded-For: hidden\r\nForwarded: hidden\r\nX-Real-Ip: hidden\r\nX-Forwarded-Host: hidden\r\nX_Forwarded_For: hidden\r\nX-User-Id: hidden\r\n" +
			"Stella-Anything: hidden\r\nX-Request-Id: hidden\r\nProxy-Authorization: hidden\r\nVia: 1.0 before\r\n" +
			"traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\n" +
			"tracestate: k=v\r\nUser-Agent:\r\n\r\n")
		resp, err := http.ReadResponse(in, nil)
		Expect(err).NotTo(HaveOccurred())
		b, err := io.ReadAll(resp.Body)
		Expect(err).NotTo(HaveOccurred())
		text := new(strings.Builder)
		Expect(resp.Header.Write(text)).To(Succeed())
		Expect(text.String() + string(b)).NotTo(ContainSubstring("hidden"))
		Expect(resp.StatusCode).To(Equal(202))
		Expect(resp.Header["Set-Cookie"]).To(Equal([]string{"a=1", "b=2"}))
		Expect(resp.Header.Get("Content-Type")).To(Equal("text/x-dump"))
		Expect(string(b)).To(And(
			ContainSubstring("host=shop.example:81 "), ContainSubstring("X-Forwarded-Host: [\"shop.example:81\"]"),
			MatchRegexp(`Via: \["1.0 before" "1\.1 stella-[0-9a-f]{16}"\]`),
			ContainSubstring("Traceparent: [\"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\"]"), ContainSubstring("Tracestate: [\"k=v\"]"),
			Not(ContainSubstring("Go-http-client")),
		))
	})

	It("name the upstream as the configuration says", func() {
		s := upstream(dump)
		r := start(fronts(s, legacy.Route{Path: "/{rest...}", Weight: 100}), func(c *gateway.Config) { c.Policy.Legacy.Upstreams[0].Host = "shop.internal" })
		Expect(r.do("GET", "/", "").body).To(HavePrefix("GET / HTTP/1.1 host=shop.internal "))
	})

	It("have a page of another site know beforehand what it may ask an upstream", func() {
		s := upstream(dump)
		r := start(fronts(s, legacy.Route{Path: "/books/{rest...}", Methods: []string{"PUT"}, Weight: 100}), func(c *gateway.Config) {
			c.Policy.CORS = []edge.CORS{{Path: "/", Origins: []string{"https://app.example"}}}
		})
		for method, allowed := range map[string]string{"PUT": "PUT", "DELETE": ""} {
			got := r.do("OPTIONS", "/books/7", "", "Origin", "https://app.example", "Access-Control-Request-Method", method)
			Expect(got.StatusCode).To(Equal(204))
			Expect(got.Header.Get("Access-Control-Allow-Methods")).To(Equal(allowed))
		}
	})
})

var _ = Describe("an answer of a legacy upstream", func() {
	It("has the length that it says, and no body where it may have none", func() {
		s := upstream(func(w http.ResponseWriter, r *http.Request) {
			switch r.URL.Path {
			case "/none":
				w.WriteHeader(http.StatusNoContent)
			case "/same":
				w.Header().Set("ETag", `"x"`)
				w.WriteHeader(http.StatusNotModified)
			case "/short":
				w.Header().Set("Content-Length", "10")
				_, _ = io.WriteString(w, "short")
			default:
				w.Header().Set("Content-Length", "70000")
				_, _ = io.WriteString(w, strings.Repeat("x", 70000))
			}
		})
		r := start(fronts(s, legacy.Route{Path: "/{rest...}", Weight: 100}))
		got := r.do("GET", "/large", "")
		Expect(got.ContentLength).To(BeEquivalentTo(70000))
		Expect(got.body).To(HaveLen(70000))
		got = r.do("HEAD", "/large", "")
		Expect(got.ContentLength).To(BeEquivalentTo(70000))
		Expect(got.body).To(BeEmpty())
		got = r.do("GET", "/none", "")
		Expect(got.StatusCode).To(Equal(204))
		Expect(got.Header).NotTo(HaveKey("Content-Length"))
		got = r.do("GET", "/same", "")
		Expect(got.StatusCode).To(Equal(304))
		Expect(got.Header.Get("Etag")).To(Equal(`"x"`))
		Expect(r.do("GET", "/short", "").err).To(HaveOccurred(), "what was cut off must not look whole")
		Expect(r.do("GET", "/large", "").body).To(HaveLen(70000))
	})

	It("is passed on as it comes, while the request still is", func() {
		s := upstream(func(w http.ResponseWriter, r *http.Request) {
			c := http.NewResponseController(w)
			_ = c.EnableFullDuplex()
			w.WriteHeader(http.StatusOK)
			_ = c.Flush()
			b := make([]byte, 1)
			for {
				if _, err := io.ReadFull(r.Body, b); err != nil {
					return
				}
				_, _ = w.Write(b)
				_ = c.Flush()
			}
		})
		for _, path := range []string{"/h1", "/h2"} {
			r := start(fronts(s, legacy.Route{Path: "/{rest...}", Weight: 100}))
			if path == "/h2" {
				p := new(http.Protocols)
				p.SetUnencryptedHTTP2(true)
				t := &http.Transport{Protocols: p}
				defer t.CloseIdleConnections()
				r.client.Transport = t
			}
			in, out := io.Pipe()
			q, err := http.NewRequest(http.MethodPost, r.url(path), in)
			Expect(err).NotTo(HaveOccurred())
			resp, err := r.client.Do(q) // the header has come before a byte of the body was sent
			Expect(err).NotTo(HaveOccurred())
			for i := range 100 {
				_, err = out.Write([]byte{byte(i)})
				Expect(err).NotTo(HaveOccurred())
				b := make([]byte, 1)
				_, err = io.ReadFull(resp.Body, b)
				Expect(err).NotTo(HaveOccurred())
				Expect(b[0]).To(BeEquivalentTo(i))
			}
			Expect(out.Close()).To(Succeed())
			rest, err := io.ReadAll(resp.Body)
			Expect(err).NotTo(HaveOccurred())
			Expect(rest).To(BeEmpty())
			Expect(resp.Body.Close()).To(Succeed())
		}
	})

	It("may come before the request is whole, and reaches a client that is still sending", func() {
		s := upstream(func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusConflict)
			_, _ = io.WriteString(w, "enough")
		})
		r := start(fronts(s, legacy.Route{Path: "/{rest...}", Weight: 100, Limits: spec.Limits{MaxBodyBytes: 1 << 30}}))
		conn, in := r.raw("POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 100000000\r\n\r\n" + strings.Repeat("x", 1000))
		resp, err := http.ReadResponse(in, nil)
		Expect(err).NotTo(HaveOccurred())
		b, err := io.ReadAll(resp.Body)
		Expect(err).NotTo(HaveOccurred())
		Expect(resp.StatusCode).To(Equal(409))
		Expect(string(b)).To(Equal("enough"))
		Expect(resp.Close).To(BeTrue(), "the rest of the body must not be taken for a request")
		_ = conn.Close()
	})
})

var _ = Describe("a request that a legacy upstream has", func() {
	// held is an upstream that begins to answer where the path says so, and then waits for the end of the request.
	held := func() (s *httptest.Server, entered chan string, ended chan string) {
		entered, ended = make(chan string, 10), make(chan string, 10)
		s = upstream(func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			if strings.HasPrefix(r.URL.Path, "/begun") {
				w.WriteHeader(http.StatusOK)
				_ = http.NewResponseController(w).Flush()
			}
			entered <- r.URL.Path
			<-r.Context().Done()
			ended <- r.URL.Path
		})
		return s, entered, ended
	}

	It("ends there when the client leaves", func() {
		s, entered, ended := held()
		r := start(fronts(s, legacy.Route{Path: "/{rest...}", Weight: 100}))
		for _, text := range []string{
			"GET /waits HTTP/1.1\r\nHost: h\r\n\r\n", "GET /begun HTTP/1.1\r\nHost: h\r\n\r\n",
			"POST /waits HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc",
			"POST /begun HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
		} {
			conn, _ := r.raw(text)
			Eventually(entered).WithTimeout(patience).Should(Receive())
			Expect(conn.Close()).To(Succeed())
			Eventually(ended).WithTimeout(patience).Should(Receive(), text)
		}
		Eventually(func() string { return r.operator("GET", "/v1/inflight") }).WithTimeout(patience).Should(ContainSubstring(`"requests": []`))
	})

	It("ends there when the client leaves in the middle of its body, whether or not the upstream reads it", func() {
		reads, ended, released := make(chan bool, 1), make(chan error, 1), make(chan struct{})
		s := upstream(func(_ http.ResponseWriter, r *http.Request) {
			b := make([]byte, 1)
			_, _ = io.ReadFull(r.Body, b)
			if <-reads {
				_, err := io.Copy(io.Discard, r.Body)
				ended <- err
				return
			}
			<-released // net/http tells a handler that has not read the body of nothing
		})
		defer close(released)
		r := start(fronts(s, legacy.Route{Path: "/{rest...}", Weight: 100, Limits: spec.Limits{MaxBodyBytes: 1 << 30}}))
		for _, will := range []bool{true, false} {
			reads <- will
			conn, _ := r.raw("POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 100000000\r\n\r\n")
			sent := make(chan struct{})
			go func() { // some of it, or as much as the buffers on the way hold
				defer close(sent)
				err := error(nil)
				for i := 0; err == nil && (i < 16 || !will); i++ {
					_, err = conn.Write(make([]byte, 64<<10))
				}
			}()
			Eventually(func() string { return r.operator("GET", "/v1/inflight") }).WithTimeout(patience).Should(ContainSubstring(`"legacy": "shop"`))
			tcp, ok := conn.(*net.TCPConn)
			Expect(ok).To(BeTrue())
			Expect(tcp.SetLinger(0)).To(Succeed()) // else what is not sent yet stands before the end, and nobody can see that
			Expect(conn.Close()).To(Succeed())
			<-sent
			if will {
				Eventually(ended).WithTimeout(patience).Should(Receive(HaveOccurred()))
			}
			Eventually(func() string { return r.operator("GET", "/v1/inflight") }).WithTimeout(patience).Should(ContainSubstring(`"requests": []`))
		}
	})

	It("is seen and ended by operators, and named legacy", func() {
		s, entered, ended := held()
		r := start(fronts(s, legacy.Route{Path: "/{rest...}", Weight: 100}))
		tail, err := http.Get("http://" + r.g.AdminAddr() + "/v1/tail")
		Expect(err).NotTo(HaveOccurred())
		defer tail.Body.Close()
		answered := make(chan answer, 1)
		go func() {
			defer GinkgoRecover()
			answered <- r.do("GET", "/waits", "")
		}()
		Eventually(entered).WithTimeout(patience).Should(Receive())
		var view struct {
			Requests []edge.InFlight `json:"requests"`
		}
		Expect(json.Unmarshal([]byte(r.operator("GET", "/v1/inflight")), &view)).To(Succeed())
		Expect(view.Requests).To(HaveLen(1))
		one := view.Requests[0]
		Expect([]string{one.Legacy, one.Service, one.Endpoint, one.Path}).To(Equal([]string{"shop", "", "/{rest...}", "/waits"}))
		r.operator("POST", "/v1/inflight/"+one.ID+"/cancel")
		var got answer
		Eventually(answered).WithTimeout(patience).Should(Receive(&got))
		Expect(got.StatusCode).To(Equal(502))
		Expect(got.body).To(And(ContainSubstring("legacy_lost"), ContainSubstring("operator")))
		Eventually(ended).WithTimeout(patience).Should(Receive())
		lines := bufio.NewScanner(tail.Body)
		var record edge.Record
		for record.ID == "" && lines.Scan() {
			if len(lines.Bytes()) > 0 {
				Expect(json.Unmarshal(lines.Bytes(), &record)).To(Succeed())
			}
		}
		Expect([]string{record.Legacy, record.Service, record.Outcome}).To(Equal([]string{"shop", "", "legacy_lost"}))
	})

	It("is told by 502 when the gateway ends before it, as a service's is", func() {
		s, entered, ended := held()
		r := start(fronts(s, legacy.Route{Path: "/{rest...}", Weight: 100}), func(c *gateway.Config) { c.Grace = 50 * time.Millisecond })
		_, in := r.raw("GET /waits HTTP/1.1\r\nHost: h\r\n\r\n")
		Eventually(entered).WithTimeout(patience).Should(Receive())
		r.stop()
		Expect(status(in)).To(Equal(502))
		Eventually(ended).WithTimeout(patience).Should(Receive())
	})
})

var _ = Describe("a legacy upstream that fails", func() {
	It("is told from a service, and each failure by its code", func() {
		s := upstream(func(w http.ResponseWriter, r *http.Request) {
			conn, out, err := http.NewResponseController(w).Hijack()
			if err != nil {
				return
			}
			defer conn.Close()
			_, _ = out.WriteString(map[string]string{
				"/breaks": "HTTP/1.1 abc\r\n\r\n", "/changes": "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n",
				"/huge": "HTTP/1.1 200 OK\r\nX: " + strings.Repeat("x", 100<<10) + "\r\n\r\n",
				"/cut":  "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
			}[r.URL.Path])
			_ = out.Flush()
			if r.URL.Path == "/slow" {
				_, _ = conn.Read(make([]byte, 1)) // until the gateway has had enough
			}
		})
		gone := httptest.NewServer(nil)
		gone.Close()
		r := start(fronts(s, everywhere, legacy.Route{Path: "/gone", Weight: 100}, legacy.Route{Path: "/slow", Weight: 100, Limits: spec.Limits{TimeoutMS: 100}}),
			func(c *gateway.Config) {
				c.Policy.Legacy.Upstreams = append(c.Policy.Legacy.Upstreams, legacy.Upstream{Name: "gone", URL: gone.URL})
				c.Policy.Legacy.Routes[1].Upstream = "gone"
			})
		for path, want := range map[string]struct {
			status int
			code   string
		}{
			"/lost": {502, "legacy_lost"}, "/breaks": {502, "legacy_lost"}, "/changes": {502, "legacy_lost"}, "/huge": {502, "legacy_lost"},
			"/slow": {504, "timeout"}, "/gone": {502, "legacy_unreachable"},
		} {
			got := r.do("GET", path, "")
			Expect(got.StatusCode).To(Equal(want.status), path)
			Expect(got.body).To(And(ContainSubstring(`"code":"`+want.code+`"`), ContainSubstring(`"origin":"gateway"`)), path)
			Expect(got.Header.Get("Proxy-Status")).To(HaveSuffix(`details="` + want.code + `"`))
			Expect(got.body).NotTo(ContainSubstring("127.0.0.1"), "where the upstream stands is nobody's business")
		}
		Expect(r.do("GET", "/gone", "").body).To(ContainSubstring(`"retryable":true`))
		Expect(r.do("GET", "/cut", "").err).To(HaveOccurred())
		Expect(string(r.log.Contents())).To(And(ContainSubstring("legacy=gone"), ContainSubstring("connection refused")))
	})

	It("is told when it sends requests back to the gateway, and not when another gateway has sent them on", func() {
		var r *rig
		back := upstream(func(w http.ResponseWriter, q *http.Request) { passOn(w, q, r) })
		other := upstream(dump)
		r = start(fronts(back, legacy.Route{Path: "/back/{rest...}", Weight: 100}, legacy.Route{Path: "/other/{rest...}", Weight: 100}), func(c *gateway.Config) {
			c.Policy.Legacy.Upstreams = append(c.Policy.Legacy.Upstreams, legacy.Upstream{Name: "other", URL: other.URL})
			c.Policy.Legacy.Routes[1].Upstream = "other"
		})
		got := r.do("GET", "/back/a", "")
		Expect(got.StatusCode).To(Equal(508))
		Expect(got.body).To(ContainSubstring(`"code":"legacy_loop"`))
		Eventually(func() string { return r.operator("GET", "/metrics") }).WithTimeout(patience).Should(
			ContainSubstring(`stella_gateway_legacy_requests_total{outcome="legacy_loop",route="/back/{rest...}",side="legacy"} 1` + "\n"))
		got = r.do("GET", "/other/a", "", "Via", "1.1 stella-8123456789abcdef, 1.1 stella")
		Expect(got.StatusCode).To(Equal(200))
		Expect(got.body).To(MatchRegexp(`Via: \["1\.1 stella-8123456789abcdef, 1\.1 stella" "1\.1 stella-[0-9a-f]{16}"\]`))
	})

	It("is told at once, also while its client is in the middle of a body and sends nothing", func() {
		released := make(chan struct{})
		defer close(released)
		s := upstream(func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.ReadFull(r.Body, make([]byte, 3))
			if r.URL.Path == "/waits" {
				<-released // net/http tells a handler that has not read the body of nothing
				return
			}
			conn, _, err := http.NewResponseController(w).Hijack()
			if err == nil {
				_ = conn.Close()
			}
		})
		gone := httptest.NewServer(nil)
		gone.Close()
		r := start(fronts(s, legacy.Route{Path: "/waits", Weight: 100, Limits: spec.Limits{TimeoutMS: 100}}, legacy.Route{Path: "/lost", Weight: 100},
			legacy.Route{Path: "/gone", Weight: 100}), func(c *gateway.Config) {
			c.Policy.Legacy.Upstreams = append(c.Policy.Legacy.Upstreams, legacy.Upstream{Name: "gone", URL: gone.URL})
			c.Policy.Legacy.Routes[2].Upstream = "gone"
		})
		for path, want := range map[string]int{"/waits": 504, "/lost": 502, "/gone": 502} {
			for _, framing := range []string{"Content-Length: 100000\r\n\r\nabc", "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n"} {
				_, in := r.raw("POST " + path + " HTTP/1.1\r\nHost: h\r\n" + framing)
				Expect(status(in)).To(Equal(want), path) // the spec's patience is half of what a body may stall
			}
		}
		_, in := r.raw("POST /gone HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 100000\r\n\r\n")
		Expect(status(in)).To(Equal(502), "nobody is asked for a body that nobody wants")
		_, in = r.raw("POST /lost HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 100000\r\n\r\n")
		Expect(status(in)).To(Equal(100))
	})

	It("may be silent behind its header for as long as idle says", func() {
		s := upstream(func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(http.StatusOK)
			_ = http.NewResponseController(w).Flush()
			<-r.Context().Done()
		})
		r := start(fronts(s, legacy.Route{Path: "/{rest...}", Weight: 100, Limits: spec.Limits{IdleMS: 50}}))
		got := r.do("GET", "/", "")
		Expect(got.StatusCode).To(Equal(200))
		Expect(got.err).To(HaveOccurred())
	})

	It("shows on the metrics beside the service", func() {
		s := upstream(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) })
		r := start(fronts(s, legacy.Route{Path: "/books/{rest...}", Weight: 50}))
		r.join(identity{}, says("new"), endpoint("GET", "/books/{id}"))
		want := map[int]int{}
		for range 50 {
			want[r.do("GET", "/books/7", "").StatusCode]++
		}
		Expect(want).To(And(HaveKey(200), HaveKey(500)))
		shown := r.operator("GET", "/metrics")
		Expect(shown).To(And(
			ContainSubstring(fmt.Sprintf("stella_gateway_legacy_requests_total{outcome=\"server_error\",route=\"/books/{rest...}\",side=\"legacy\"} %d\n", want[500])),
			ContainSubstring(fmt.Sprintf("stella_gateway_legacy_requests_total{outcome=\"ok\",route=\"/books/{rest...}\",side=\"service\"} %d\n", want[200])),
			ContainSubstring(fmt.Sprintf("stella_gateway_requests_total{endpoint=\"/books/{id}\",method=\"GET\",outcome=\"ok\","+
				"service=\"test\",version=\"1.0.0\"} %d\n", want[200])),
		), "an upstream's requests are no service's")
		Expect(shown).NotTo(ContainSubstring(`outcome="server_error",service`))
	})
})

var _ = Describe("a legacy upstream behind a gateway", func() {
	It("is asked by HTTP/2 and HTTP/3 as by HTTP/1.1: large bodies both ways, those that are too large, and clients that leave", func() {
		left := make(chan struct{}, 3)
		s := upstream(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/waits" {
				_, _ = io.Copy(io.Discard, r.Body) // else net/http does not see the end
				_ = http.NewResponseController(w).Flush()
				<-r.Context().Done()
				left <- struct{}{}
				return
			}
			body, err := io.ReadAll(r.Body)
			if err != nil {
				return
			}
			w.Header().Set("X-Proto", r.Header.Get("X-Forwarded-Proto"))
			_, _ = w.Write(body)
		})
		dir := GinkgoT().TempDir()
		authority, err := trust.OpenAuthority(dir)
		Expect(err).NotTo(HaveOccurred())
		cert, key, err := authority.IssueFiles(dir, "front", "127.0.0.1")
		Expect(err).NotTo(HaveOccurred())
		ca, err := os.ReadFile(filepath.Join(dir, "ca.pem"))
		Expect(err).NotTo(HaveOccurred())
		roots := x509.NewCertPool()
		Expect(roots.AppendCertsFromPEM(ca)).To(BeTrue())
		r := start(fronts(s, legacy.Route{Path: "/{rest...}", Weight: 100, Limits: spec.Limits{MaxBodyBytes: 1 << 20}}), func(c *gateway.Config) {
			c.HTTP, c.Listeners = "", []gateway.Listener{{Address: "127.0.0.1:0", TLS: &gateway.ListenerTLS{Cert: cert, Key: key, HTTP3: true}}}
		})
		large := strings.Repeat("0123456789abcdef", 1<<20/16)
		for _, version := range []int{1, 2, 3} {
			cfg := &tls.Config{RootCAs: roots}
			var transport http.RoundTripper
			if version == 3 {
				t := &http3.Transport{TLSClientConfig: cfg}
				defer t.Close()
				transport = t
			} else {
				t := &http.Transport{TLSClientConfig: cfg, ForceAttemptHTTP2: version == 2}
				defer t.CloseIdleConnections()
				transport = t
			}
			ask := func(ctx context.Context, path string, body io.Reader) (*http.Response, error) {
				q, err := http.NewRequestWithContext(ctx, http.MethodPost, "https://"+r.g.HTTPAddr()+path, body)
				Expect(err).NotTo(HaveOccurred())
				return transport.RoundTrip(q)
			}
			ctx, cancel := context.WithTimeout(context.Background(), patience)
			for _, body := range []io.Reader{strings.NewReader("small"), strings.NewReader(large), io.MultiReader(strings.NewReader(large))} {
				resp, err := ask(ctx, "/a", body)
				Expect(err).NotTo(HaveOccurred())
				text, err := io.ReadAll(resp.Body)
				Expect(err).NotTo(HaveOccurred())
				Expect([]any{resp.StatusCode, resp.ProtoMajor, resp.Header.Get("X-Proto")}).To(Equal([]any{200, version, "https"}))
				Expect(string(text)).To(BeElementOf("small", large))
			}
			resp, err := ask(ctx, "/a", io.MultiReader(strings.NewReader(large), strings.NewReader("x")))
			Expect(err).NotTo(HaveOccurred())
			Expect(resp.StatusCode).To(Equal(413), "HTTP/%d", version)
			Expect(resp.Body.Close()).To(Succeed())
			cancel()
			ctx, cancel = context.WithTimeout(context.Background(), patience)
			resp, err = ask(ctx, "/waits", strings.NewReader(large))
			Expect(err).NotTo(HaveOccurred())
			cancel()
			_ = resp.Body.Close()
			Eventually(left).WithTimeout(patience).Should(Receive(), "HTTP/%d", version)
		}
	})

	It("has answers compressed as the service's are", func() {
		text := strings.Repeat("{}", 1000)
		s := upstream(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			_, _ = io.WriteString(w, text)
		})
		r := start(fronts(s, legacy.Route{Path: "/{rest...}", Weight: 100}), compressing("application/json"))
		r.join(identity{}, says("new"), endpoint("GET", "/books/{id}"))
		got := r.do("GET", "/books/7", "", "Accept-Encoding", "gzip")
		Expect(got.Header.Get("Content-Encoding")).To(Equal("gzip"))
		Expect(unzip(got.body)).To(Equal(text))
		got = r.do("GET", "/other", "", "Accept-Encoding", "gzip")
		Expect(got.Header).NotTo(HaveKey("Content-Encoding"), "it may stream")
		Expect(got.body).To(Equal(text))
	})

	It("is under an authority as far as endpoints are: no route lets in whom nobody has spoken of yet, or who is refused", func() {
		s := upstream(dump)
		word := filepath.Join(GinkgoT().TempDir(), "authority.json")
		down := upstream(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadGateway) })
		for source, want := range map[string]struct {
			status int
			code   string
		}{down.URL: {503, "authority_unavailable"}, word: {401, "unauthenticated"}} {
			Expect(os.WriteFile(word, []byte(`{"services": {"test": {"GET /books/{id}": {"claims": [{"type": "scope", "value": "x"}]}}}}`), 0o600)).To(Succeed())
			r := start(fronts(s, legacy.Route{Path: "/{rest...}", Weight: 100}), func(c *gateway.Config) {
				c.Authority = gateway.Authority{Source: source, Every: time.Minute}
			})
			r.join(identity{}, says("new"), endpoint("GET", "/books/{id}"))
			Eventually(func() string { return r.do("GET", "/books/7", "").body }).WithTimeout(patience).Should(ContainSubstring(`"code":"` + want.code + `"`))
			Expect(r.do("GET", "/books/7", "").StatusCode).To(Equal(want.status))
			Expect(r.do("GET", "/other", "").StatusCode).To(Equal(200), "what no endpoint has is the configuration's alone")
		}
	})

	It("keeps the requests that it has when the route is gone, and gets no more", func() {
		entered, release := make(chan struct{}, 1), make(chan struct{})
		s := upstream(func(w http.ResponseWriter, _ *http.Request) {
			entered <- struct{}{}
			<-release
			_, _ = io.WriteString(w, "old")
		})
		r := start(fronts(s, legacy.Route{Path: "/{rest...}", Weight: 100}))
		answered := make(chan answer, 1)
		go func() {
			defer GinkgoRecover()
			answered <- r.do("GET", "/a", "")
		}()
		Eventually(entered).WithTimeout(patience).Should(Receive())
		Expect(r.g.Apply(gateway.Config{Listen: []string{"inmemory://x"}})).To(Succeed())
		Expect(r.do("GET", "/a", "").StatusCode).To(Equal(404))
		close(release)
		var got answer
		Eventually(answered).WithTimeout(patience).Should(Receive(&got))
		Expect(got.body).To(Equal("old"))
		Expect(r.operator("GET", "/v1/legacy")).To(MatchJSON(`{"routes": []}`))
		Expect(r.operator("GET", "/metrics")).NotTo(ContainSubstring("stella_gateway_legacy"))
	})
})
