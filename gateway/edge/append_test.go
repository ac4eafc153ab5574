package edge_test

import (
	"fmt"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/stella-ops/router/gateway"
	"github.com/stella-ops/router/gateway/routing"
	"github.com/stella-ops/router/spec"
	"github.com/stella-ops/router/transports/session"
)

// numbered answers with what a call named, and who answers.
func numbered(who string) func(*session.Incoming) {
	return func(in *session.Incoming) {
		r := in.Request()
		body, _ := in.Inline()
		_ = in.Respond(&spec.Response{Status: 200, ContentLength: -1},
			fmt.Appendf(nil, "%s %d.%d %s", who, r.Generation, r.Endpoint, body))
	}
}

func manifest(endpoints ...spec.Endpoint) []byte {
	GinkgoHelper()
	m := &spec.Manifest{Service: "test", Version: "1.0.0", Endpoints: endpoints}
	b, err := m.Encode()
	Expect(err).NotTo(HaveOccurred())
	return b
}

var _ = Describe("Endpoints that a service appends to its session", func() {
	b, d := endpoint("POST", "/b"), endpoint("POST", "/d")
	a, c := endpoint("POST", "/a"), endpoint("POST", "/c")

	It("are routed by the next numbers, and those of before keep theirs", func() {
		r := start(func(c *gateway.Config) {
			c.Routing = routing.Policy{Balancer: routing.BalancerRoundRobin, SlowStart: routing.Off}
		})
		s := r.join(identity{id: "one"}, numbered("one"), b, d)
		Expect(r.do("POST", "/d", "x").body).To(Equal("one 0.1 x"))
		Expect(r.do("POST", "/a", "x").StatusCode).To(Equal(404))
		s.Append(manifest(a, b, c, d))
		Eventually(func() string { return r.do("POST", "/a", "x").body }).WithTimeout(patience).Should(Equal("one 1.2 x"))
		Expect(r.do("POST", "/b", "x").body).To(Equal("one 1.0 x"))
		Expect(r.do("POST", "/c", "x").body).To(Equal("one 1.3 x"))
		Expect(r.do("POST", "/d", "x").body).To(Equal("one 1.1 x"))
		Expect(r.g.Registry().Services()[0].Warning).To(ContainSubstring("appended without a new version"))

		// An instance that comes with all of them counts them as its manifest does.
		s2 := r.join(identity{id: "two"}, numbered("two"), a, b, c, d)
		seen := map[string]bool{}
		for range 60 {
			seen[r.do("POST", "/d", "x").body] = true
		}
		Expect(seen).To(HaveLen(2))
		Expect(seen).To(And(HaveKey("one 1.1 x"), HaveKey("two 0.3 x")))
		Expect(s2.Err()).NotTo(HaveOccurred())
	})

	It("are not routed as long as some instances lack them, and no session ends for it", func() {
		r := start()
		one := r.join(identity{id: "one"}, numbered("one"), b, d)
		two := r.join(identity{id: "two"}, numbered("two"), b, d)
		one.Append(manifest(a, b, d))
		Eventually(func() string { return r.g.Registry().Services()[0].Warning }).WithTimeout(patience).Should(ContainSubstring("that others lack"))
		Expect(r.do("POST", "/a", "x").StatusCode).To(Equal(404))
		Expect(r.do("POST", "/d", "x").body).To(MatchRegexp(`^(one 1\.1|two 0\.1) x$`))
		two.Append(manifest(a, b, d))
		Eventually(func() string { return r.do("POST", "/a", "x").body }).WithTimeout(patience).Should(MatchRegexp(`^(one|two) 1\.2 x$`))
	})

	It("are not routed when another service has them", func() {
		r := start()
		r.join(identity{service: "owner", id: "owner"}, numbered("owner"), a)
		s := r.join(identity{id: "one"}, numbered("one"), b)
		s.Append(manifest(a, b))
		Eventually(func() string { return fmt.Sprint(r.g.Registry().Services()) }).WithTimeout(patience).Should(ContainSubstring("POST /a belongs to service owner"))
		Expect(r.do("POST", "/a", "x").body).To(Equal("owner 0.0 x"))
		Expect(r.do("POST", "/b", "x").body).To(Equal("one 1.0 x"))
	})

	It("end the session when something is taken back", func() {
		r := start()
		s := r.join(identity{id: "one"}, numbered("one"), b, d)
		s.Append(manifest(a, b))
		Eventually(s.Done()).WithTimeout(patience).Should(BeClosed())
		Expect(s.Err()).To(MatchError(ContainSubstring("POST /d has changed or is gone")))
	})
})
