package edge_test

import (
	"net/http"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/stella-ops/router/gateway"
	"github.com/stella-ops/router/gateway/edge"
	"github.com/stella-ops/router/spec"
	"github.com/stella-ops/router/transports/session"
)

var _ = Describe("pages of other sites", func() {
	shared := func(c *gateway.Config) {
		c.Policy.CORS = []edge.CORS{
			{Path: "/", Origins: []string{"https://app.example", "https://*.app.example"}, Headers: []string{"Content-Type", "X-Mine"},
				Expose: []string{"Etag"}, Credentials: true, MaxAge: time.Hour},
			{Path: "/open", Origins: []string{"*"}, Headers: []string{"*"}},
		}
	}
	// ask sends a request with pairs of header fields.
	ask := func(r *rig, method, path string, fields ...string) *http.Response {
		GinkgoHelper()
		q, err := http.NewRequest(method, r.url(path), nil)
		Expect(err).NotTo(HaveOccurred())
		for i := 0; i < len(fields); i += 2 {
			q.Header.Set(fields[i], fields[i+1])
		}
		resp, err := r.client.Do(q)
		Expect(err).NotTo(HaveOccurred())
		Expect(resp.Body.Close()).To(Succeed())
		return resp
	}
	boasts := func(in *session.Incoming) {
		_ = in.Respond(&spec.Response{Status: 200, ContentLength: -1, Header: []spec.Field{
			{Name: "Access-Control-Allow-Origin", Value: "*"}, {Name: "Access-Control-Allow-Credentials", Value: "true"}, {Name: "Vary", Value: "Accept"},
		}}, []byte("answer"))
	}

	DescribeTable("may read answers where the policy says so",
		func(path, origin, want string, credentials bool) {
			r := start(shared)
			r.join(identity{}, boasts, endpoint("GET", "/a"), endpoint("GET", "/open/a"))
			resp := ask(r, "GET", path, "Origin", origin)
			Expect(resp.StatusCode).To(Equal(200))
			Expect(resp.Header.Values("Access-Control-Allow-Origin")).To(Equal(map[bool][]string{true: {want}, false: nil}[want != ""]))
			Expect(resp.Header.Values("Access-Control-Allow-Credentials")).To(HaveLen(map[bool]int{true: 1}[credentials]))
			Expect(resp.Header.Values("Vary")).To(Equal([]string{"Origin", "Accept"}))
		},
		Entry("of a site by name", "/a", "https://app.example", "https://app.example", true),
		Entry("of one below a name", "/a", "https://x.y.app.example", "https://x.y.app.example", true),
		Entry("but not of the name's neighbours", "/a", "https://evilapp.example", "", false),
		Entry("nor of what begins so", "/a", "https://app.example.evil", "", false),
		Entry("nor by another scheme", "/a", "http://app.example", "", false),
		Entry("nor by nothing", "/a", "null", "", false),
		Entry("of every site", "/open/a", "https://any.example", "*", false),
	)

	It("may read the gateway's own problems, too", func() {
		r := start(shared)
		resp := ask(r, "GET", "/none", "Origin", "https://app.example")
		Expect(resp.StatusCode).To(Equal(404))
		Expect(resp.Header.Get("Access-Control-Allow-Origin")).To(Equal("https://app.example"))
		Expect(resp.Header.Get("Access-Control-Expose-Headers")).To(Equal("Etag"))
	})

	It("are what the service says where there is no policy", func() {
		r := start()
		r.join(identity{}, boasts, endpoint("GET", "/a"))
		resp := ask(r, "GET", "/a", "Origin", "https://any.example")
		Expect(resp.Header.Get("Access-Control-Allow-Origin")).To(Equal("*"))
		Expect(resp.Header.Values("Vary")).To(Equal([]string{"Accept"}))
	})

	DescribeTable("ask before they send",
		func(path, origin, method, fields string, allowed bool) {
			r := start(shared)
			asked := false
			r.join(identity{}, func(in *session.Incoming) { asked = true; boasts(in) },
				endpoint("PUT", "/a", func(e *spec.Endpoint) { e.Public, e.Claims = "", []spec.ClaimRequirement{{Type: "scope", Value: "x"}} }), endpoint("OPTIONS", "/open/a"),
				endpoint("PUT", "/open/a"))
			resp := ask(r, "OPTIONS", path, "Origin", origin, "Access-Control-Request-Method", method, "Access-Control-Request-Headers", fields)
			Expect(resp.StatusCode).To(Equal(204))
			Expect(asked).To(BeFalse())
			Expect(resp.Header.Get("Vary")).To(ContainSubstring("Access-Control-Request-Method"))
			if !allowed {
				Expect(resp.Header).NotTo(Or(HaveKey("Access-Control-Allow-Origin"), HaveKey("Access-Control-Allow-Methods")))
				return
			}
			Expect(resp.Header.Get("Access-Control-Allow-Origin")).To(BeElementOf(origin, "*"))
			Expect(resp.Header.Get("Access-Control-Allow-Methods")).To(Equal(method))
			Expect(resp.Header.Get("Access-Control-Allow-Headers")).To(Equal(fields))
		},
		Entry("without a token, though the endpoint asks for one", "/a", "https://app.example", "PUT", "content-type, x-mine", true),
		Entry("for a method that nobody offers", "/a", "https://app.example", "DELETE", "content-type", false),
		Entry("for a path that nobody offers", "/b", "https://app.example", "PUT", "content-type", false),
		Entry("for a field that they may not set", "/a", "https://app.example", "PUT", "x-mine, x-yours", false),
		Entry("from a site that may not", "/a", "https://other.example", "PUT", "content-type", false),
		Entry("for any field where all are open, though the service has OPTIONS itself", "/open/a", "https://other.example", "PUT", "x-whatever", true),
	)

	It("get the policy that is in force when they ask", func() {
		r := start()
		r.join(identity{}, boasts, endpoint("GET", "/a"))
		cfg := gateway.Config{HTTP: "127.0.0.1:0"}
		shared(&cfg)
		Expect(r.g.Apply(cfg)).To(Succeed())
		Expect(ask(r, "GET", "/a", "Origin", "https://app.example").Header.Get("Access-Control-Allow-Origin")).To(Equal("https://app.example"))
		cfg.Policy.CORS[0].Origins = []string{"https://app.example/path"}
		Expect(r.g.Apply(cfg)).NotTo(Succeed())
		Expect(ask(r, "GET", "/a", "Origin", "https://app.example").Header.Get("Access-Control-Allow-Origin")).To(Equal("https://app.example"))
	})

	DescribeTable("are not let in by a policy that is wrong",
		func(change func(*edge.CORS), want string) {
			c := edge.CORS{Path: "/", Origins: []string{"https://app.example"}}
			change(&c)
			Expect((&edge.Policy{CORS: []edge.CORS{c}}).Check()).To(MatchError(ContainSubstring(want)))
		},
		Entry("no origin", func(c *edge.CORS) { c.Origins = nil }, "at least one origin"),
		Entry("an origin with a path", func(c *edge.CORS) { c.Origins = []string{"https://a.example/"} }, "expected scheme and host"),
		Entry("an origin in capitals", func(c *edge.CORS) { c.Origins = []string{"https://A.example"} }, "expected scheme and host"),
		Entry("a wildcard in the middle", func(c *edge.CORS) { c.Origins = []string{"https://a.*.example"} }, "expected scheme and host"),
		Entry("credentials for all", func(c *edge.CORS) { c.Origins, c.Credentials = []string{"*"}, true }, "credentials need origins by name"),
		Entry("a field that is no name", func(c *edge.CORS) { c.Headers = []string{"a b"} }, "no name of a header field"),
		Entry("a path with a parameter", func(c *edge.CORS) { c.Path = "/{a}" }, "a path without parameters"),
		Entry("too long an age", func(c *edge.CORS) { c.MaxAge = 25 * time.Hour }, "expected up to 24h"),
	)
})
