package edge_test

import (
	"fmt"
	"io"
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
			ContainSubstring("X-Forwarded-Host: [\""+host+"\"]\n"), MatchRegexp(`Via: \["1\.1 stella-[0-9a-f]{16}"\]\n`),
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
		for path, want := range map[string]string{"/books/": "/books/", "/books/a/b/?x=/": "/books/a/b/?x=/", "/books/%c3%a9/x/": "/books/%C3%A9/x/",
			"/moved/": "/moved/", "/moved/1/": "/moved/1/"} {
			Expect(r.do("GET", path, "").body).To(HavePrefix("GET "+want+" HTTP/1.1 "), path)
		}
		for range 20 { // whatever the weight: no endpoint has the path
			Expect(r.do("GET", "/books/1/cover/", "").body).To(HavePrefix("GET /books/1/cover/ "))
		}
		Expect(r.do("GET", "/books/1/", "").StatusCode).To(Equal(401), "the same path without the slash has a claim")
		for _, path := range []string{"/one/", "/other/"} {
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
		for _, path := range []string{"/books/", "/books/7/", "/books/7/pages/", "/books/a%2Ab/?x=/", "/moved/", "/moved/7/"} {
			for range 10 {
				got := r.do("GET", path, "")
				Expect(got.StatusCode).To(Equal(200), path)
				Expect(got.body).To(HavePrefix("GET " + path + " HTTP/1.1 "))
			}
		}
		Expect(r.do("GET", "/books/secret/", "").StatusCode).To(Equal(401), "the upstream may take it for the endpoint's path")
		for _, path := range []string{"/one/", "/alone/", "/other/"} {
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
		for _, weight := range []int{50, 0} {
			cfg := gateway.Config{Listen: []string{"inmemory://x"}, Policy: weighs(s, weight)}
			Expect(r.g.Apply(cfg)).To(Succeed())
			for _, path := range []string{"/books/7/pages", "/books/", "/books/7/"} {
				Expect(r.do("GET", path, "").body).To(Equal("old"), "no endpoint has it: the last step takes it from nobody")
			}
			Expect(r.do("DELETE", "/books/7", "").body).To(Equal("old"), "no endpoint has the method")
		}
		Expect(r.g.Apply(gateway.Config{Listen: []string{"inmemory://x"}})).To(Succeed())
		Expect(r.do("GET", "/books/7", "").body).To(Equal("new"))
		Expect(r.do("GET", "/books/7/pages", "").StatusCode).To(Equal(404), "a route that is removed leads nowhere")
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

	It("is 0 for what an endpoint has alone: the upstream is not asked for that, also while no instance is there", func() {
		s := upstream(writes("old"))
		r := start(fronts(s, legacy.Route{Path: "/books/{rest...}", Methods: []string{"GET", "DELETE"}, Weight: 0}))
		m := r.join(identity{}, says("new"), endpoint("GET", "/books/{id}"))
		got := r.do("PUT", "/books/7", "")
		Expect(got.StatusCode).To(Equal(405))
		Expect(got.Header.Get("Allow")).To(Equal("GET, HEAD, DELETE, OPTIONS"))
		Expect(r.operator("GET", "/v1/explain?method=GET&target=/books/7")).To(ContainSubstring(`"why": "the weight is 0: the service has it alone"`))
		Expect(r.operator("GET", "/v1/explain?method=DELETE&target=/books/7")).To(ContainSubstring(`"why": "no service has the method and path"`))
		Expect(m.Close()).To(Succeed())
		Eventually(func() string {
			got := r.do("GET", "/books/7", "")
			Expect(got.StatusCode).To(BeElementOf(502, 503), "while the session ends, too")
			return got.body
		}).WithTimeout(patience).Should(ContainSubstring("no_instance"))
		Expect(r.do("DELETE", "/books/7", "").body).To(Equal("old"))
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
		Expect(r.do("POST", "/books/a", strings.Repeat("x", 101)).StatusCode).To(Equal(413), "what an endpoint takes is not what the upstream does")
		Expect(r.send("POST", "/books/a", io.MultiReader(strings.NewReader(strings.Repeat("x", 101)))).StatusCode).To(Equal(413))
		Expect(r.send("POST", "/books/a", strings.NewReader(strings.Repeat("x", 101)), "Stella-Version", "1.0.0").StatusCode).To(Equal(200))
	})
})

var _ = Describe("a service that connects", func() {
	const short = 50 * time.Millisecond
	// streaming answers with what it was sent, and with a line before and after a while that is longer than short.
	streaming := func(w http.ResponseWriter, r *http.Request) {
		n, err := io.Copy(io.Discard, r.Body)
		if err != nil {
			return
		}
		fmt.Fprintf(w, "%d bytes\n", n)
		_ = http.NewResponseController(w).Flush()
		select {
		case <-time.After(4 * short):
			_, _ = io.WriteString(w, "later\n")
		case <-r.Context().Done():
		}
	}
	tight := limits(spec.Limits{MaxBodyBytes: 1 << 10, TimeoutMS: short.Milliseconds(), IdleMS: short.Milliseconds()})

	It("takes nothing away from the upstream of a legacy route: neither sizes nor time, whatever its own limits are", func() {
		s := upstream(streaming)
		r := start(fronts(s,
			legacy.Route{
				Path: "/said/{rest...}", Weight: 100,
				Limits: spec.Limits{MaxBodyBytes: 3 << 20, TimeoutMS: patience.Milliseconds(), IdleMS: patience.Milliseconds()},
			},
			legacy.Route{Path: "/unsaid/{rest...}", Weight: 100}))
		ask := func(path string, size int) answer {
			GinkgoHelper()
			got := r.send("PUT", path, io.MultiReader(strings.NewReader(strings.Repeat("x", size))))
			sized := r.do("PUT", path, strings.Repeat("x", size))
			Expect(sized.StatusCode).To(Equal(got.StatusCode), "whether the length is announced or not")
			return got
		}
		for _, connected := range []bool{false, true} {
			if connected {
				r.join(identity{}, says("new"), endpoint("PUT", "/said/{id}", tight), endpoint("PUT", "/unsaid/{id}", tight))
			}
			for path, size := range map[string]int{"/said/a": 3 << 20, "/unsaid/a": 1 << 20} {
				got := ask(path, size)
				Expect(got.StatusCode).To(Equal(200), "%s, with a service: %v", path, connected)
				Expect(got.err).NotTo(HaveOccurred())
				Expect(got.body).To(Equal(fmt.Sprintf("%d bytes\nlater\n", size)))
				Expect(ask(path, size+1).StatusCode).To(Equal(413), "%s, with a service: %v", path, connected)
			}
		}
		Expect(r.do("PUT", "/said/a", strings.Repeat("x", 1<<10+1), "Stella-Version", "1.0.0").StatusCode).To(Equal(413), "its own side keeps to its limits")
	})

	It("adds to what the upstream may where the route says nothing, and nothing where it does", func() {
		s := upstream(streaming)
		r := start(fronts(s, legacy.Route{Path: "/said/{rest...}", Weight: 100, Limits: spec.Limits{MaxBodyBytes: 100, IdleMS: short.Milliseconds()}},
			legacy.Route{Path: "/unsaid/{rest...}", Weight: 100}))
		large := limits(spec.Limits{MaxBodyBytes: 2 << 20, IdleMS: patience.Milliseconds()})
		r.join(identity{}, says("new"), endpoint("PUT", "/said/{id}", large), endpoint("PUT", "/unsaid/{id}", large))
		Expect(r.do("PUT", "/unsaid/a", strings.Repeat("x", 2<<20)).StatusCode).To(Equal(200))
		Expect(r.do("PUT", "/unsaid/a", strings.Repeat("x", 2<<20+1)).StatusCode).To(Equal(413))
		Expect(r.do("PUT", "/said/a", strings.Repeat("x", 101)).StatusCode).To(Equal(413))
		got := r.do("PUT", "/said/a", "x")
		Expect(got.StatusCode).To(Equal(200))
		Expect(got.err).To(HaveOccurred(), "the route says how long it may be silent")
	})
})
