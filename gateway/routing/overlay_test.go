package routing_test

import (
	"fmt"
	"slices"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"pgregory.net/rapid"

	"github.com/stella-ops/router/gateway/routing"
	"github.com/stella-ops/router/spec"
)

// limited is an endpoint with a timeout of 5 s, an idle time of 10 s, a body of 1,000 bytes, and a claim.
func limited(claims ...spec.ClaimRequirement) spec.Endpoint {
	e := endpoint("GET", "/x/{id}")
	e.Limits = spec.Limits{TimeoutMS: 5000, IdleMS: 10_000, MaxBodyBytes: 1000}
	if len(claims) > 0 {
		e.Public, e.Claims = "", claims
	}
	return e
}

// above is an overlay of that endpoint, which says where each value is.
func above(e spec.OverlayEndpoint) []spec.OverlayEndpoint {
	e.Endpoint, e.Origins = "GET /x/{other}", map[string]string{}
	for i, key := range spec.OverlayKeys {
		e.Origins[key] = fmt.Sprintf("overlay.yaml:%d:5", i+3)
	}
	return []spec.OverlayEndpoint{e}
}

var _ = Describe("An overlay", func() {
	scope, read := spec.ClaimRequirement{Type: "scope"}, spec.ClaimRequirement{Type: "scope", Value: "read"}
	route := func(w *world) *routing.Route { return w.Snapshot().Match("GET", "/x/1", nil).Endpoint.Default("") }
	shown := func(w *world) routing.EndpointView {
		GinkgoHelper()
		views := w.Endpoints()
		Expect(views).To(HaveLen(1))
		return views[0]
	}

	It("tightens limits and claims, and operators see where that is said, beside what the manifest says", func() {
		w := newWorld("")
		w.join(who{service: "a", version: "1.0.0", overlay: above(spec.OverlayEndpoint{TimeoutMS: 2000, MaxBodyBytes: 10, Claims: []spec.ClaimRequirement{read}})},
			limited(scope))
		r := route(w)
		Expect(r.Timeout).To(Equal(2 * time.Second))
		Expect(r.Idle).To(Equal(10 * time.Second))
		Expect(r.MaxBody).To(BeEquivalentTo(10))
		Expect(r.Access).To(Equal(routing.Access{Claims: []spec.ClaimRequirement{read}, Origin: "overlay.yaml:6:5", Trust: routing.TrustGateway}))
		Expect(w.Snapshot().Claims()).To(Equal([]spec.ClaimRequirement{read}))
		v := shown(w)
		Expect(v.Endpoint.Limits).To(Equal(limited().Limits))
		Expect(v.Endpoint.Claims).To(Equal([]spec.ClaimRequirement{scope}))
		Expect(v.Effective).To(Equal(r.Access))
		Expect(v.InForce).To(Equal(routing.LimitsView{
			Limits:  spec.Limits{TimeoutMS: 2000, IdleMS: 10_000, MaxBodyBytes: 10},
			Origins: map[string]string{"timeout": "overlay.yaml:3:5", "body": "overlay.yaml:5:5"},
		}))
	})

	It("closes what the manifest leaves public", func() {
		w := newWorld("")
		w.join(who{service: "a", version: "1.0.0", overlay: above(spec.OverlayEndpoint{Claims: []spec.ClaimRequirement{read}})}, limited())
		Expect(route(w).Access.Public).To(BeEmpty())
		Expect(route(w).Access.Claims).To(Equal([]spec.ClaimRequirement{read}))
	})

	It("loosens what the policy of the service names, and nothing else, of which it is told in log and view", func() {
		loose := above(spec.OverlayEndpoint{TimeoutMS: 60_000, IdleMS: 60_000, MaxBodyBytes: 2000, Claims: []spec.ClaimRequirement{scope}})
		w := newWorldOf(routing.Config{Services: map[string]routing.Policy{"a": {Loosen: []string{spec.OverlayTimeout}}}})
		w.join(who{service: "a", version: "1.0.0", overlay: loose}, limited(read))
		r := route(w)
		Expect(r.Timeout).To(Equal(time.Minute))
		Expect(r.Idle).To(Equal(10 * time.Second))
		Expect(r.MaxBody).To(BeEquivalentTo(1000))
		Expect(r.Access.Claims).To(Equal([]spec.ClaimRequirement{read}))
		Expect(r.Access.Origin).To(Equal(routing.OriginManifest))
		Expect(shown(w).InForce.Refused).To(Equal([]string{
			"idle 1m0s (overlay.yaml:4:5), the manifest says 10s", "body 2000 bytes (overlay.yaml:5:5), the manifest says 1000 bytes",
			"claims scope (overlay.yaml:6:5), the manifest says scope=read",
		}))
		Expect(w.log.String()).To(ContainSubstring(`endpoint="GET /x/{id}" value="idle 1m0s (overlay.yaml:4:5), the manifest says 10s"`))

		Expect(w.Configure(routing.Config{Default: routing.Policy{Loosen: spec.OverlayKeys}}, w.now)).To(Succeed())
		Expect(route(w).Idle).To(Equal(time.Minute), "another policy counts at once")
		Expect(route(w).Access.Claims).To(Equal([]spec.ClaimRequirement{scope}))
		Expect(shown(w).InForce.Refused).To(BeEmpty())
		Expect(w.Configure(routing.Config{}, w.now)).To(Succeed())
		Expect(route(w).Timeout).To(Equal(5 * time.Second))
	})

	It("is below the gateway's configuration, and below the authority", func() {
		w := newWorldOf(routing.Config{Access: []routing.AccessRule{
			{Service: "a", Endpoint: "GET /x/{id}", Limits: spec.Limits{TimeoutMS: 7000}, Origin: "gateway.yaml:9:3"},
		}})
		w.join(who{service: "a", version: "1.0.0", overlay: above(spec.OverlayEndpoint{TimeoutMS: 2000, IdleMS: 3000, Claims: []spec.ClaimRequirement{read}})},
			limited(scope))
		Expect(route(w).Timeout).To(Equal(7 * time.Second))
		Expect(route(w).Idle).To(Equal(3 * time.Second))
		Expect(route(w).Access.Claims).To(Equal([]spec.ClaimRequirement{read}), "a rule of limits alone says nothing of callers")
		Expect(shown(w).InForce.Origins).To(Equal(map[string]string{"timeout": "gateway.yaml:9:3", "idle": "overlay.yaml:4:5"}))
		w.Decree([]routing.AccessRule{{Service: "a", Endpoint: "GET /x/{id}", Public: "decreed", Origin: routing.OriginAuthority}}, w.now)
		Expect(route(w).Access.Public).To(Equal("decreed"))
		Expect(route(w).Timeout).To(Equal(7 * time.Second))
	})

	It("stays in force as long as the version is known, and ends with the last instance that has it", func() {
		w := newWorld("")
		in := w.join(who{service: "a", version: "1.0.0", overlay: above(spec.OverlayEndpoint{TimeoutMS: 2000})}, limited())
		w.Remove(in, w.now)
		Expect(route(w).Timeout).To(Equal(2 * time.Second))
		w.join(who{service: "a", version: "1.0.0"}, limited())
		Expect(route(w).Timeout).To(Equal(5 * time.Second))
	})

	It("stays in force while all instances drain, for jobs are taken meanwhile, and under the policy that counts then", func() {
		w := newWorldOf(routing.Config{Default: routing.Policy{Loosen: []string{spec.OverlayTimeout}}})
		in := w.join(who{service: "a", version: "1.0.0", overlay: above(spec.OverlayEndpoint{TimeoutMS: 9000, Claims: []spec.ClaimRequirement{read}})}, limited())
		w.Leave(in)
		w.later(time.Millisecond)
		Expect(w.shown(in).Health).To(Equal(routing.Draining))
		Expect(route(w).Access.Claims).To(Equal([]spec.ClaimRequirement{read}))
		Expect(route(w).Timeout).To(Equal(9 * time.Second))
		Expect(w.Configure(routing.Config{}, w.now)).To(Succeed())
		Expect(route(w).Timeout).To(Equal(5 * time.Second))
		Expect(route(w).Access.Claims).To(Equal([]spec.ClaimRequirement{read}))
	})

	It("of endpoints that the manifest lacks is an error of the opening", func() {
		in := newWorld("").join(who{service: "a", version: "1.0.0"}, limited())
		h := *in.Session.Hello()
		h.Overlay = []spec.OverlayEndpoint{{Endpoint: "GET /y"}}
		_, err := routing.Prepare(&h, in.Session.Manifest())
		Expect(err).To(MatchError(ContainSubstring("the overlay names GET /y, which a 1.0.0 does not offer")))
	})

	It("counts as the tightest of what live instances say, whatever the order in which they come", func() {
		every := []spec.ClaimRequirement{scope, read, {Type: "role", Value: "clerk"}}
		rapid.Check(GinkgoT(), func(t *rapid.T) {
			loosen := rapid.SliceOfNDistinct(rapid.SampledFrom(spec.OverlayKeys), 0, 4, rapid.ID).Draw(t, "loosen")
			w := newWorldOf(routing.Config{Default: routing.Policy{Loosen: loosen}})
			base := limited(scope)
			want, claims := base.Limits, []spec.ClaimRequirement{}
			first := true
			for range rapid.IntRange(1, 3).Draw(t, "instances") {
				said := spec.OverlayEndpoint{
					TimeoutMS: rapid.SampledFrom([]int64{0, 1000, 5000, 9000}).Draw(t, "timeout"),
					Claims:    rapid.SliceOfNDistinct(rapid.SampledFrom(every), 0, 2, rapid.ID).Draw(t, "claims"),
				}
				i := who{service: "a", version: "1.0.0"}
				if said.TimeoutMS > 0 || len(said.Claims) > 0 {
					i.overlay = above(said)
				}
				w.join(i, base)

				timeout, needs := base.Limits.TimeoutMS, base.Claims
				if said.TimeoutMS > 0 && (said.TimeoutMS <= timeout || slices.Contains(loosen, "timeout")) {
					timeout = said.TimeoutMS
				}
				tight := slices.ContainsFunc(said.Claims, func(c spec.ClaimRequirement) bool { return c.Covers(scope) })
				if len(said.Claims) > 0 && (tight || slices.Contains(loosen, "claims")) {
					needs = said.Claims
				}
				if first || timeout < want.TimeoutMS {
					want.TimeoutMS = timeout
				}
				for _, c := range needs {
					if !slices.Contains(claims, c) {
						claims = append(claims, c)
					}
				}
				first = false
			}
			r := route(w)
			if r.Timeout != want.Timeout() {
				t.Fatalf("timeout %v, expected %v", r.Timeout, want.Timeout())
			}
			if len(r.Access.Claims) != len(claims) || slices.ContainsFunc(claims, func(c spec.ClaimRequirement) bool { return !slices.Contains(r.Access.Claims, c) }) {
				t.Fatalf("claims %v, expected %v", r.Access.Claims, claims)
			}
		})
	})
})
