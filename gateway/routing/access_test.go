package routing_test

import (
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/stella-ops/router/gateway/routing"
	"github.com/stella-ops/router/spec"
)

var _ = Describe("who may call an endpoint", func() {
	needs := func(scopes ...string) []spec.ClaimRequirement {
		var list []spec.ClaimRequirement
		for _, s := range scopes {
			list = append(list, spec.ClaimRequirement{Type: "scope", Value: s})
		}
		return list
	}
	claimed := func(method, path string, scopes ...string) spec.Endpoint {
		e := endpoint(method, path)
		e.Public, e.Claims = "", needs(scopes...)
		return e
	}
	rule := func(service, endpoint, origin string, scopes ...string) routing.AccessRule {
		return routing.AccessRule{Service: service, Endpoint: endpoint, Origin: origin, Claims: needs(scopes...)}
	}
	decreed := func(service, endpoint string, scopes ...string) routing.AccessRule {
		return rule(service, endpoint, routing.OriginAuthority, scopes...)
	}
	// access is who may call an endpoint, to requests and to operators.
	access := func(w *world, method, path string) routing.Access {
		GinkgoHelper()
		route := w.Snapshot().Match(method, path, nil).Endpoint.Default("")
		for _, v := range w.Endpoints() {
			if v.Method == route.Method && v.Path == route.Path && v.Version == route.Release.Version {
				Expect(v.Effective).To(Equal(route.Access), "operators see what is in force")
			}
		}
		who := route.Access
		Expect(who.Trust).To(Equal(routing.TrustGateway), "unless another mode is configured")
		who.Trust = ""
		return who
	}

	It("is for the authority to say, else for the configuration, else for the manifest; with where it is said", func() {
		w := newWorldOf(routing.Config{Access: []routing.AccessRule{
			rule("a", "GET /x/{other}", "gateway.yaml:3:5", "configured"), rule("a", "GET /y", "gateway.yaml:4:5", "configured"),
		}})
		w.join(who{service: "a", version: "1.0.0"}, claimed("GET", "/x/{id}", "declared"), claimed("GET", "/y", "declared"),
			claimed("GET", "/z", "declared"), endpoint("POST", "/x/{id}"))
		Expect(access(w, "GET", "/z")).To(Equal(routing.Access{Claims: needs("declared"), Origin: routing.OriginManifest}))
		Expect(access(w, "POST", "/x/1")).To(Equal(routing.Access{Public: "a test", Origin: routing.OriginManifest}), "another method is another endpoint")
		Expect(access(w, "GET", "/x/1")).To(Equal(routing.Access{Claims: needs("configured"), Origin: "gateway.yaml:3:5"}))
		w.Decree([]routing.AccessRule{decreed("a", "GET /x/{id}", "decreed"), decreed("a", "POST /x/{id}", "decreed"), decreed("b", "GET /z", "decreed")}, w.now)
		Expect(access(w, "GET", "/x/1")).To(Equal(routing.Access{Claims: needs("decreed"), Origin: routing.OriginAuthority}))
		Expect(access(w, "POST", "/x/1").Claims).To(Equal(needs("decreed")), "what was public is not any more")
		Expect(access(w, "GET", "/y").Claims).To(Equal(needs("configured")))
		Expect(access(w, "GET", "/z").Claims).To(Equal(needs("declared")), "it is another service's rule")
		Expect(w.Snapshot().Claims()).To(ConsistOf(needs("configured", "declared", "decreed")), "what tokens for development have to hold")
		w.Decree(nil, w.now)
		Expect(access(w, "GET", "/x/1").Claims).To(Equal(needs("configured")), "what the authority does not say any more counts no more")
		Expect(w.Configure(routing.Config{}, w.now)).To(Succeed())
		Expect(access(w, "GET", "/x/1").Claims).To(Equal(needs("declared")))
	})

	It("may be everybody, with a reason", func() {
		w := newWorldOf(routing.Config{Access: []routing.AccessRule{{Service: "a", Endpoint: "GET /x", Public: "on every invoice", Origin: "here"}}})
		w.join(who{service: "a", version: "1.0.0"}, claimed("GET", "/x", "declared"))
		Expect(access(w, "GET", "/x")).To(Equal(routing.Access{Public: "on every invoice", Origin: "here"}))
	})

	It("is the same in all versions of the service, those that come later among them", func() {
		w := newWorld("")
		w.Decree([]routing.AccessRule{decreed("a", "GET /x", "decreed")}, w.now)
		w.join(who{service: "a", version: "1.0.0"}, claimed("GET", "/x", "declared"))
		w.join(who{service: "a", version: "2.0.0"}, endpoint("GET", "/x"))
		e := w.Snapshot().Match("GET", "/x", nil).Endpoint
		for _, version := range []string{"1.0.0", "2.0.0"} {
			Expect(e.Select(version).Access.Claims).To(Equal(needs("decreed")))
		}
	})

	It("is nobody before the authority was reached, where that is configured", func() {
		w := newWorldOf(routing.Config{AwaitAuthority: true, Access: []routing.AccessRule{rule("a", "GET /x", "here", "configured")}})
		w.join(who{service: "a", version: "1.0.0"}, endpoint("GET", "/x"), endpoint("GET", "/open"))
		for _, path := range []string{"/x", "/open"} {
			Expect(access(w, "GET", path)).To(Equal(routing.Access{Origin: routing.OriginAuthority, Unknown: true}))
		}
		Expect(w.Configure(routing.Config{}, w.now)).To(Succeed())
		Expect(access(w, "GET", "/open").Unknown).To(BeTrue(), "a reload does not change that")
		w.Decree(nil, w.now)
		Expect(access(w, "GET", "/open").Public).To(Equal("a test"))
	})

	It("stays what it was to requests that have begun, and is shared between snapshots until it changes", func() {
		w := newWorld("")
		w.join(who{service: "a", version: "1.0.0"}, claimed("GET", "/x", "declared"))
		held := w.Snapshot().Match("GET", "/x", nil).Endpoint
		rules := []routing.AccessRule{decreed("a", "GET /x", "decreed")}
		w.Decree(rules, w.now)
		Expect(held.Default("").Access.Claims).To(Equal(needs("declared")))
		now := w.Snapshot().Match("GET", "/x", nil).Endpoint
		w.Decree([]routing.AccessRule{decreed("a", "GET /x", "decreed")}, w.now)
		w.join(who{service: "b", version: "1.0.0"}, endpoint("GET", "/b"))
		Expect(w.Snapshot().Match("GET", "/x", nil).Endpoint.Default("")).To(BeIdenticalTo(now.Default("")), "the same word changes nothing")
		Expect(w.Snapshot().Again(held.Default(""))).NotTo(BeNil(), "a call that has begun may be tried again")
	})

	It("is shown to operators rule by rule, with those that name nothing that is offered", func() {
		w := newWorldOf(routing.Config{Access: []routing.AccessRule{rule("a", "GET /y", "here", "s"), rule("a", "GET /x", "here", "s")}})
		w.join(who{service: "a", version: "1.0.0"}, endpoint("GET", "/x"))
		w.Decree([]routing.AccessRule{decreed("b", "GET /x", "t")}, w.now)
		Expect(w.AccessRules()).To(Equal([]routing.AccessRuleView{
			{AccessRule: decreed("b", "GET /x", "t")}, {AccessRule: rule("a", "GET /x", "here", "s"), Offered: true}, {AccessRule: rule("a", "GET /y", "here", "s")},
		}))
	})

	DescribeTable("is not said by a configuration that is wrong", func(why string, rules ...routing.AccessRule) {
		cfg := routing.Config{Access: rules}
		Expect(cfg.Check()).To(MatchError(ContainSubstring(why)))
		w := newWorld("")
		w.join(who{service: "a", version: "1.0.0"}, endpoint("GET", "/x"))
		Expect(w.Configure(cfg, w.now)).NotTo(Succeed())
		Expect(access(w, "GET", "/x").Origin).To(Equal(routing.OriginManifest))
	},
		Entry("without a service", "service", routing.AccessRule{Endpoint: "GET /x", Public: "why"}),
		Entry("without a method", "a method and a path", routing.AccessRule{Service: "a", Endpoint: "/x", Public: "why"}),
		Entry("with neither", "either claims", routing.AccessRule{Service: "a", Endpoint: "GET /x"}),
		Entry("with both", "either claims", routing.AccessRule{Service: "a", Endpoint: "GET /x", Public: "why", Claims: needs("s")}),
		Entry("with a claim of no type", "without a type", routing.AccessRule{Service: "a", Endpoint: "GET /x", Claims: []spec.ClaimRequirement{{}}}),
		Entry("twice", "is there twice", rule("a", "GET /x/{id}", "", "s"), rule("a", "GET /x/{key}", "", "t")),
	)
})
