package edge_test

import (
	"encoding/json"
	"net/http"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/stella-ops/router/spec"
	"github.com/stella-ops/router/transports/session"
)

func named(name string) func(*session.Incoming) {
	return func(in *session.Incoming) {
		_ = in.Respond(&spec.Response{Status: 200, ContentLength: -1}, []byte(name))
	}
}

var _ = Describe("resolving", func() {
	It("answers an unknown path with a 404 problem that carries the request's id", func() {
		r := start()
		got := r.do("GET", "/nowhere", "")
		Expect(got.StatusCode).To(Equal(404))
		Expect(got.Header.Get("Content-Type")).To(Equal(spec.ProblemType))
		var p spec.Problem
		Expect(json.Unmarshal([]byte(got.body), &p)).To(Succeed())
		Expect(p.Code).To(Equal("not_found"))
		Expect(p.Origin).To(Equal("gateway"))
		Expect(p.RequestID).To(Equal(got.Header.Get("X-Request-Id")))
		Expect(p.RequestID).To(MatchRegexp("^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$"))
	})

	It("answers a known path with another method by 405 with Allow", func() {
		r := start()
		r.join(identity{}, echo, endpoint("GET", "/a"), endpoint("POST", "/a"))
		for _, method := range []string{"DELETE", "PROPFIND", "get"} {
			got := r.do(method, "/a", "")
			Expect(got.StatusCode).To(Equal(http.StatusMethodNotAllowed), method)
			Expect(got.Header.Get("Allow")).To(Equal("GET, HEAD, POST, OPTIONS"))
		}
	})

	It("serves HEAD by GET, without a body", func() {
		r := start()
		r.join(identity{}, func(in *session.Incoming) {
			Expect(in.Request().Method).To(Equal("HEAD"))
			_ = in.Respond(&spec.Response{Status: 200, ContentLength: -1}, []byte("hello"))
		}, endpoint("GET", "/a"))
		got := r.do("HEAD", "/a", "")
		Expect(got.StatusCode).To(Equal(200))
		Expect(got.ContentLength).To(BeEquivalentTo(5))
		Expect(got.body).To(BeEmpty())
	})

	It("answers OPTIONS by 204 with Allow, unless a service has declared it", func() {
		r := start()
		r.join(identity{}, named("declared"), endpoint("GET", "/a"), endpoint("OPTIONS", "/b"))
		got := r.do("OPTIONS", "/a", "")
		Expect(got.StatusCode).To(Equal(204))
		Expect(got.Header.Get("Allow")).To(Equal("GET, HEAD, OPTIONS"))
		Expect(r.do("OPTIONS", "/b", "").body).To(Equal("declared"))
	})

	It("prefers literals to parameters to the rest, within the union of services, and goes back for the method", func() {
		r := start()
		r.join(identity{service: "literal"}, named("literal"), endpoint("GET", "/a/b"), endpoint("POST", "/a/c"))
		r.join(identity{service: "parameter"}, named("parameter"), endpoint("GET", "/a/{id}"), endpoint("GET", "/a/{id}/x"))
		r.join(identity{service: "rest"}, named("rest"), endpoint("GET", "/a/{rest...}"))
		for path, want := range map[string]string{
			"/a/b": "literal", "/a/z": "parameter", "/a/c": "parameter", "/a/b/x": "parameter", "/a/b/y": "rest",
		} {
			Expect(r.do("GET", path, "").body).To(Equal(want), path)
		}
	})

	It("selects among the stable versions of the highest major by capacity, or the one that Stella-Version names", func() {
		r := start()
		for _, v := range []string{"0.9.0", "1.9.0", "1.10.0", "2.0.0-rc.1"} {
			r.join(identity{version: v}, named(v), endpoint("GET", "/a"))
		}
		got := map[string]int{}
		for range 200 {
			got[r.do("GET", "/a", "").body]++
		}
		Expect(got).To(HaveLen(2))
		Expect(got["1.9.0"]).To(BeNumerically("~", 100, 50), "seven standard deviations")
		Expect(got["1.9.0"] + got["1.10.0"]).To(Equal(200))
		Expect(r.do("GET", "/a", "", "Stella-Version", "1.9.0").body).To(Equal("1.9.0"))
		Expect(r.do("GET", "/a", "", "Stella-Version", "2.0.0-rc.1").body).To(Equal("2.0.0-rc.1"))
		partly := r.do("GET", "/a", "", "Stella-Version", "1.9")
		Expect(partly.StatusCode).To(Equal(404))
		Expect(partly.body).To(ContainSubstring(`"version_not_found"`))
	})

	It("selects a prerelease only when no stable version is live", func() {
		r := start()
		stable := r.join(identity{version: "1.0.0"}, named("stable"), endpoint("GET", "/a"))
		r.join(identity{version: "1.1.0-beta"}, named("beta"), endpoint("GET", "/a"))
		Expect(r.do("GET", "/a", "").body).To(Equal("stable"))
		Expect(stable.Close()).To(Succeed())
		Eventually(func() string { return r.do("GET", "/a", "").body }).WithTimeout(patience).Should(Equal("beta"))
	})
})
