package edge_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/stella-ops/router/gateway"
	"github.com/stella-ops/router/gateway/auth"
	"github.com/stella-ops/router/gateway/edge"
	"github.com/stella-ops/router/gateway/legacy"
	"github.com/stella-ops/router/gateway/limit"
	"github.com/stella-ops/router/gateway/routing"
	"github.com/stella-ops/router/spec"
	"github.com/stella-ops/router/transports/session"
)

// upstream starts an HTTP server that has not moved. It is to be started before the gateway, which then ends first.
func upstream(serve http.HandlerFunc) *httptest.Server {
	s := httptest.NewServer(serve)
	DeferCleanup(func() {
		s.CloseClientConnections()
		s.Close()
	})
	return s
}

// fronts has the gateway front an upstream by these routes, which are public unless they say otherwise.
func fronts(s *httptest.Server, routes ...legacy.Route) func(*gateway.Config) {
	return func(c *gateway.Config) {
		c.Policy.Legacy = legacy.Config{Upstreams: []legacy.Upstream{{Name: "shop", URL: s.URL}}}
		for _, r := range routes {
			r.Upstream = "shop"
			if len(r.Claims) == 0 {
				r.Public = "a test"
			}
			c.Policy.Legacy.Routes = append(c.Policy.Legacy.Routes, r)
		}
	}
}

// says answers with a text.
func says(text string) func(*session.Incoming) {
	return func(in *session.Incoming) {
		if _, err := io.Copy(io.Discard, in); err == nil {
			_ = in.Respond(&spec.Response{Status: 200, ContentLength: -1}, []byte(text))
		}
	}
}

func writes(text string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, text) }
}

// operator asks the admin address, which has to grant it.
func (r *rig) operator(method, path string) string {
	GinkgoHelper()
	q, err := http.NewRequest(method, "http://"+r.g.AdminAddr()+path, nil)
	Expect(err).NotTo(HaveOccurred())
	resp, err := r.client.Do(q)
	Expect(err).NotTo(HaveOccurred())
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	Expect(err).NotTo(HaveOccurred())
	Expect(resp.StatusCode).To(Equal(200), string(b))
	return string(b)
}

// dump answers with what has reached the upstream.
func dump(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	fmt.Fprintf(w, "%s %s %s host=%s length=%d te=%v\n", r.Method, r.RequestURI, r.Proto, r.Host, r.ContentLength, r.TransferEncoding)
	names := make([]string, 0, len(r.Header))
	for name := range r.Header {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		fmt.Fprintf(w, "%s: %q\n", name, r.Header[name])
	}
	fmt.Fprintf(w, "body=%s", body)
}

var _ = Describe("a legacy route", func() {
	It("has requests that no endpoint takes go to its upstream, as they came", func() {
		s := upstream(dump)
		r := start(fronts(s, legacy.Route{Path: "/books/{rest...}", Weight: 100}))
		got := r.do("PUT", "/books/a%20b/c%3B?x=1&y=%2F", "hello", "Cookie", "a=b", "X-Other", "1", "X-Other", "2", "Accept-Encoding", "br")
		Expect(got.StatusCode).To(Equal(200))
		host := strings.TrimPrefix(r.url(""), "http://")
		Expect(got.body).To(HavePrefix("PUT /books/a%20b/c%3B?x=1&y=%2F HTTP/1.1 host=" + host + " length=5 te=[]\n"))
		Expect(got.body).To(And(
			HaveSuffix("body=hello"), ContainSubstring("Cookie: [\"a=b\"]\n"), ContainSubstring("X-Other: [\"1\" \"2\"]\n"),
			ContainSubstring("Accept-Encoding: [\"br\"]\n"), ContainSubstring("X-Request-Id: [\""+got.Header.Get("X-Request-Id")+"\"]\n"),
			ContainSubstring("X-Forwarded-For: [\"127.0.0.1\"]\n"), ContainSubstring("X-Forwarded-Proto: [\"http\"]\n"),
			ContainSubstring("X-Forwarded-Host: [\""+host+"\"]\n"), ContainSubstring("Via: [\"1.1 stella\"]\n"),
		))
		Expect(r.do("GET", "/books", "").StatusCode).To(Equal(404), "the pattern does not match it")
		Expect(r.do("GET", "/other", "").StatusCode).To(Equal(404))
	})

	It("takes a slash at the end of a path where its pattern takes the rest of one, and never lets it pass a claim", func() {
		s := upstream(dump)
		r := start(fronts(s, legacy.Route{Path: "/books/{rest...}", Weight: 50}, legacy.Route{Path: "/one", Weight: 100},
			legacy.Route{Path: "/moved/{rest...}", Weight: 0}))
		r.join(identity{}, says("new"), endpoint("GET", "/books/{id}", claims("scope=books")), endpoint("GET", "/books/{id}/cover"),
			endpoint("GET", "/moved/{id}"))
		for path, want := range map[string]string{"/books/": "/books/", "/books/a/b/?x=/": "/books/a/b/?x=/", "/books/%c3%a9/x/": "/books/%C3%A9/x/"} {
			Expect(r.do("GET", path, "").body).To(HavePrefix("GET "+want+" HTTP/1.1 "), path)
		}
		for range 20 { // whatever the weight: no endpoint has the path
			Expect(r.do("GET", "/books/1/cover/", "").body).To(HavePrefix("GET /books/1/cover/ "))
		}
		Expect(r.do("GET", "/books/1/", "").StatusCode).To(Equal(401), "the same path without the slash has a claim")
		for _, path := range []string{"/one/", "/moved/1/", "/moved/", "/other/"} {
			Expect(r.do("GET", path, "").StatusCode).To(Equal(404), path)
		}
	})
})

var _ = Describe("a path that ends with a slash", func() {
	It("goes to a legacy route that takes all that is below, as it came, and never to an endpoint", func() {
		s := upstream(dump)
		r := start(fronts(s, legacy.Route{Path: "/books/{rest...}", Weight: 50}, legacy.Route{Path: "/books/{id}", Weight: 50},
			legacy.Route{Path: "/moved/{rest...}", Weight: 0}, legacy.Route{Path: "/one", Weight: 100}))
		r.join(identity{}, says("new"), endpoint("GET", "/books/{id}"), endpoint("GET", "/moved/{id}"), endpoint("GET", "/alone"),
			endpoint("GET", "/books/secret", claims("scope=x")))
		for _, path := range []string{"/books/", "/books/7/", "/books/7/pages/", "/books/a%2Ab/?x=/"} {
			for range 10 {
				got := r.do("GET", path, "")
				Expect(got.StatusCode).To(Equal(200), path)
				Expect(got.body).To(HavePrefix("GET " + path + " HTTP/1.1 "))
			}
		}
		Expect(r.do("GET", "/books/secret/", "").StatusCode).To(Equal(401), "the upstream may take it for the endpoint's path")
		for _, path := range []string{"/moved/", "/moved/7/", "/one/", "/alone/", "/other/"} {
			got := r.do("GET", path, "")
			Expect(got.StatusCode).To(Equal(404), path)
			Expect(got.body).To(ContainSubstring("ends with a slash"))
		}
		Expect(r.do("GET", "/books/7/", "", "Stella-Version", "1.0.0").StatusCode).To(Equal(404))
		Expect(r.do("GET", "/books//", "").StatusCode).To(Equal(400))
		Expect(r.do("GET", "/books/../", "").StatusCode).To(Equal(400))
		Expect(r.do("GET", "/_stella/jobs/x/", "").StatusCode).To(Equal(404))
		Expect(r.operator("GET", "/v1/explain?method=GET&target=/books/7/")).To(And(
			ContainSubstring(`"route": "/books/{rest...}"`), ContainSubstring(`"path": "/books/7/"`)))
		Expect(r.operator("GET", "/v1/explain?method=GET&target=/one/")).To(ContainSubstring("ends with a slash"))
	})
})

var _ = Describe("the weight of a legacy route", func() {
	// sides asks as many callers, and says how many of them each side has.
	sides := func(r *rig, path string, callers int) (legacy map[int]bool) {
		GinkgoHelper()
		legacy = map[int]bool{}
		for i := range callers {
			got := r.do("GET", path, "", "X-Caller", fmt.Sprint("caller ", i))
			Expect(got.StatusCode).To(Equal(200), got.body)
			if got.body == "old" {
				legacy[i] = true
			}
		}
		return legacy
	}
	weighs := func(s *httptest.Server, weight int) edge.Policy {
		cfg := gateway.Config{}
		fronts(s, legacy.Route{Path: "/books/{rest...}", Weight: weight, Sticky: "header:X-Caller"})(&cfg)
		return cfg.Policy
	}

	It("shares requests between the upstream and the service, moves callers one way only, and comes with a reload", func() {
		s := upstream(writes("old"))
		r := start(func(c *gateway.Config) { c.Policy = weighs(s, 100) })
		r.join(identity{}, says("new"), endpoint("GET", "/books/{id}"))
		const callers = 300
		before := sides(r, "/books/7", callers)
		Expect(before).To(HaveLen(callers))
		for _, weight := range []int{90, 50, 10, 0} {
			cfg := gateway.Config{Listen: []string{"inmemory://x"}, Policy: weighs(s, weight)}
			Expect(r.g.Apply(cfg)).To(Succeed())
			now := sides(r, "/books/7", callers)
			Expect(len(now)).To(BeNumerically("~", callers*weight/100, callers/10))
			for caller := range now {
				Expect(before).To(HaveKey(caller), "more weight of the service takes callers over, and lets nobody go")
			}
			Expect(sides(r, "/books/9", callers)).To(Equal(now), "a caller is on one side, for the whole route")
			before = now
		}
		Expect(r.do("GET", "/books/7/pages", "").StatusCode).To(Equal(404), "with weight 0 the upstream has nothing, be it that no endpoint has it")
		cfg := gateway.Config{Listen: []string{"inmemory://x"}, Policy: weighs(s, 50)}
		Expect(r.g.Apply(cfg)).To(Succeed())
		Expect(r.do("GET", "/books/7/pages", "").body).To(Equal("old"), "no endpoint has it")
		Expect(r.do("DELETE", "/books/7", "").body).To(Equal("old"), "no endpoint has the method")
	})

	It("goes by chance where a request lacks what makes it sticky", func() {
		s := upstream(writes("old"))
		r := start(fronts(s, legacy.Route{Path: "/books/{rest...}", Weight: 50, Sticky: "claim:team"}))
		r.join(identity{}, says("new"), endpoint("GET", "/books/{id}"))
		found := map[string]int{}
		for range 200 {
			found[r.do("GET", "/books/7", "").body]++
		}
		Expect(found["old"]).To(BeNumerically("~", 100, 60))
		Expect(found["new"]).To(Equal(200 - found["old"]))
	})

	It("does not count for a request that names a version: that is a service's", func() {
		s := upstream(writes("old"))
		r := start(fronts(s, legacy.Route{Path: "/books/{rest...}", Weight: 100}))
		r.join(identity{}, says("new"), endpoint("GET", "/books/{id}"))
		Expect(r.do("GET", "/books/7", "").body).To(Equal("old"))
		Expect(r.do("GET", "/books/7", "", "Stella-Version", "1.0.0").body).To(Equal("new"))
		Expect(r.do("GET", "/books/7", "", "Stella-Version", "2.0.0").body).To(ContainSubstring("version_not_found"))
		Expect(r.do("GET", "/books/7/pages", "", "Stella-Version", "1.0.0").StatusCode).To(Equal(404))
	})

	It("never has the upstream take what the service cannot", func() {
		s := upstream(writes("old"))
		r := start(fronts(s, legacy.Route{Path: "/books/{rest...}", Weight: 50, Sticky: "header:X-Caller"}))
		m := r.join(identity{}, says("new"), endpoint("GET", "/books/{id}"))
		on := map[bool]string{}
		for i := 0; len(on) < 2; i++ {
			caller := fmt.Sprint("caller ", i)
			on[r.do("GET", "/books/7", "", "X-Caller", caller).body == "old"] = caller
		}
		Expect(m.Close()).To(Succeed())
		Eventually(func() string {
			got := r.do("GET", "/books/7", "", "X-Caller", on[false])
			Expect(got.StatusCode).To(BeElementOf(502, 503), "while the session ends, too")
			return got.body
		}).WithTimeout(patience).Should(ContainSubstring("no_instance"))
		Expect(r.do("GET", "/books/7", "", "X-Caller", on[true]).body).To(Equal("old"))
	})

	It("does not matter to a WebSocket of a service, and an upstream is asked for none", func() {
		s := upstream(writes("old"))
		r := start(fronts(s, legacy.Route{Path: "/{rest...}", Weight: 100}))
		r.join(identity{}, func(in *session.Incoming) {
			if in.Head(&spec.Response{Status: http.StatusSwitchingProtocols, ContentLength: -1}) == nil {
				_ = in.End()
			}
		}, endpoint("GET", "/socket", func(e *spec.Endpoint) { e.Stream, e.Status = spec.StreamUpgrade, 101 }))
		const upgrade = " HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
		_, in := r.raw("GET /socket" + upgrade)
		resp, err := http.ReadResponse(in, nil)
		Expect(err).NotTo(HaveOccurred())
		Expect(resp.StatusCode).To(Equal(101))
		_, in = r.raw("GET /other" + upgrade)
		Expect(status(in)).To(Equal(501))
		_, in = r.raw("GET /other HTTP/1.1\r\nHost: h\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n\r\n")
		Expect(status(in)).To(Equal(200), "other protocols may be ignored")
	})

	It("raises no conflict, and the most specific of the routes counts, as among endpoints", func() {
		s, other := upstream(writes("old")), upstream(writes("older"))
		r := start(fronts(s, legacy.Route{Path: "/books/{rest...}", Weight: 100}, legacy.Route{Path: "/books/new", Methods: []string{"GET"}, Weight: 100}),
			func(c *gateway.Config) {
				c.Policy.Legacy.Upstreams = append(c.Policy.Legacy.Upstreams, legacy.Upstream{Name: "older", URL: other.URL})
				c.Policy.Legacy.Routes[1].Upstream = "older"
			})
		r.join(identity{}, says("new"), endpoint("GET", "/books/{id}"))
		for _, v := range r.g.Registry().Services() {
			for _, in := range v.Instances {
				Expect(in.Quarantine).To(BeEmpty())
			}
		}
		Expect(r.do("GET", "/books/new", "").body).To(Equal("older"))
		Expect(r.do("HEAD", "/books/new", "").StatusCode).To(Equal(200))
		Expect(r.do("POST", "/books/new", "").body).To(Equal("old"))
	})

	It("leaves methods that neither takes to 405, with those that either does", func() {
		s := upstream(writes("old"))
		r := start(fronts(s, legacy.Route{Path: "/books/{rest...}", Methods: []string{"PUT"}, Weight: 100}))
		r.join(identity{}, says("new"), endpoint("GET", "/books/{id}"))
		got := r.do("DELETE", "/books/7", "")
		Expect(got.StatusCode).To(Equal(405))
		Expect(got.Header.Get("Allow")).To(Equal("GET, HEAD, PUT, OPTIONS"))
		got = r.do("OPTIONS", "/books/7/pages", "")
		Expect(got.StatusCode).To(Equal(204))
		Expect(got.Header.Get("Allow")).To(Equal("PUT, OPTIONS"))
	})

	It("leads nowhere where it is 0, and no list of methods says otherwise", func() {
		s := upstream(writes("old"))
		r := start(fronts(s, legacy.Route{Path: "/books/{rest...}", Weight: 0}))
		r.join(identity{}, says("new"), endpoint("GET", "/books/{id}"))
		got := r.do("DELETE", "/books/7", "")
		Expect(got.StatusCode).To(Equal(405))
		Expect(got.Header.Get("Allow")).To(Equal("GET, HEAD, OPTIONS"))
		Expect(r.do("OPTIONS", "/books/7", "").Header.Get("Allow")).To(Equal("GET, HEAD, OPTIONS"))
		Expect(r.do("DELETE", "/books/7/pages", "").StatusCode).To(Equal(404))
	})

	It("has a caller stay by a cookie", func() {
		s := upstream(writes("old"))
		r := start(fronts(s, legacy.Route{Path: "/books/{rest...}", Weight: 50, Sticky: "cookie:sid"}))
		r.join(identity{}, says("new"), endpoint("GET", "/books/{id}"))
		side := func(cookies ...string) string {
			GinkgoHelper()
			var header []string
			for _, c := range cookies {
				header = append(header, "Cookie", c)
			}
			return r.do("GET", "/books/7", "", header...).body
		}
		found := map[string]bool{}
		for i := range 40 {
			own := fmt.Sprint("sid=", i)
			first := side(own)
			found[first] = true
			for range 3 {
				Expect(side("other=x; " + own + "; last=y")).To(Equal(first))
				Expect(side("xsid=1", own)).To(Equal(first))
			}
		}
		Expect(found).To(HaveLen(2))
	})
})

var _ = Describe("who may call what a legacy route shares", func() {
	It("has to hold the claims of the endpoint on both sides, and those of the route on the upstream's", func() {
		s := upstream(dump)
		dir := GinkgoT().TempDir()
		needs := func(scope string) []spec.ClaimRequirement {
			return []spec.ClaimRequirement{{Type: "scope", Value: scope}}
		}
		r := start(fronts(s,
			legacy.Route{Path: "/open/{rest...}", Weight: 100},
			legacy.Route{Path: "/books/{rest...}", Weight: 100, Claims: needs("books")}), func(c *gateway.Config) {
			c.Dev = &gateway.Dev{TokenFile: filepath.Join(dir, "token")}
			c.Routing.Trust = routing.TrustService // of the service's side
		})
		key, err := auth.LoadDevKey(filepath.Join(dir, "token.key"))
		Expect(err).NotTo(HaveOccurred())
		r.join(identity{}, says("new"), endpoint("GET", "/open/{id}", claims("scope=shop")), endpoint("GET", "/books/{id}", claims("scope=shop")))
		bearer := func(scopes ...string) string {
			GinkgoHelper()
			var held []spec.Claim
			for _, scope := range scopes {
				held = append(held, spec.Claim{Type: "scope", Value: scope})
			}
			token, err := key.Token(held, time.Now(), time.Minute)
			Expect(err).NotTo(HaveOccurred())
			return "Bearer " + token
		}
		for _, c := range []struct {
			path   string
			scopes []string // nil: no token
			status int
		}{
			{"/open/7", nil, 401}, {"/open/7", []string{"books"}, 403}, {"/open/7", []string{"shop"}, 200},
			{"/open/no/endpoint", nil, 200},
			{"/books/7", nil, 401}, {"/books/7", []string{"shop"}, 403}, {"/books/7", []string{"books"}, 403}, {"/books/7", []string{"shop", "books"}, 200},
			{"/books/no/endpoint", nil, 401}, {"/books/no/endpoint", []string{"shop"}, 403}, {"/books/no/endpoint", []string{"books"}, 200},
		} {
			var header []string
			if c.scopes != nil {
				header = []string{"Authorization", bearer(c.scopes...)}
			}
			got := r.do("GET", c.path, "", header...)
			Expect(got.StatusCode).To(Equal(c.status), "%+v: %s", c, got.body)
			if c.status == 200 && header != nil {
				Expect(got.body).To(ContainSubstring("Authorization: [\""+header[1]+"\"]\n"), "the upstream has no other way to know who calls")
			}
		}
		Expect(r.do("GET", "/open/no/endpoint", "", "Authorization", "Basic YTpi").body).To(ContainSubstring("Authorization: [\"Basic YTpi\"]\n"))
	})

	It("is held to rate limits and sizes as everybody is", func() {
		s := upstream(dump)
		r := start(fronts(s, legacy.Route{Path: "/books/{rest...}", Weight: 100, Limits: spec.Limits{MaxBodyBytes: 100}}), func(c *gateway.Config) {
			c.Limits.Rules = []limit.Rule{{Name: "seldom", Endpoint: "GET /books/{any...}", Rate: 1, Per: time.Hour}}
		})
		r.join(identity{}, says("new"), endpoint("POST", "/books/{id}", limits(spec.Limits{MaxBodyBytes: 50 << 10})))
		Expect(r.do("GET", "/books/a/b", "").StatusCode).To(Equal(200))
		Expect(r.do("GET", "/books/a/c", "").StatusCode).To(Equal(429))
		Expect(r.do("POST", "/books/a/b", strings.Repeat("x", 100)).StatusCode).To(Equal(200))
		Expect(r.do("POST", "/books/a/b", strings.Repeat("x", 101)).StatusCode).To(Equal(413))
		Expect(r.send("POST", "/books/a/b", io.MultiReader(strings.NewReader(strings.Repeat("x", 101)))).StatusCode).To(Equal(413), "of unknown length")
		Expect(r.send("POST", "/books/a", io.MultiReader(strings.NewReader(strings.Repeat("x", 50<<10)))).StatusCode).To(Equal(200), "the endpoint's limit counts")
		Expect(r.send("POST", "/books/a", io.MultiReader(strings.NewReader(strings.Repeat("x", 50<<10+1)))).StatusCode).To(Equal(413))
	})
})

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
			ContainSubstring("host=shop.example:81 "), ContainSubstring("X-Forwarded-Host: [\"shop.example:81\"]"), ContainSubstring("Via: [\"1.0 before\" \"1.1 stella\"]"),
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
			go func() { // as much as the buffers on the way hold
				defer close(sent)
				for err := error(nil); err == nil; {
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
		r := start(fronts(s, legacy.Route{Path: "/{rest...}", Weight: 100, Limits: spec.Limits{TimeoutMS: 100}}, legacy.Route{Path: "/gone", Weight: 100}),
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
