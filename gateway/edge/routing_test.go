package edge_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/stella-ops/router/gateway"
	"github.com/stella-ops/router/gateway/routing"
	"github.com/stella-ops/router/spec"
	"github.com/stella-ops/router/transports/session"
)

// routed is a rig in the region eu, whose neighbour is uk, with a policy of the service.
func routed(p routing.Policy) *rig {
	GinkgoHelper()
	return start(func(c *gateway.Config) {
		c.Region, c.Neighbours, c.Heartbeat = "eu", []string{"uk"}, 100*time.Millisecond
		c.Services = map[string]routing.Policy{"test": p}
	})
}

// instance is what operators see of an instance.
func (r *rig) instance(id string) routing.InstanceView {
	GinkgoHelper()
	for _, s := range r.g.Registry().Services() {
		for _, in := range s.Instances {
			if in.ID == id {
				return in
			}
		}
	}
	Fail("nobody has the id " + id)
	return routing.InstanceView{}
}

// bodies counts the answers to so many requests.
func (r *rig) bodies(requests int, header ...string) map[string]int {
	GinkgoHelper()
	counts := map[string]int{}
	for range requests {
		got := r.do("POST", "/a", "x", header...)
		Expect(got.StatusCode).To(Equal(200), got.body)
		counts[got.body]++
	}
	return counts
}

var _ = Describe("three regions with two versions each", func() {
	It("serve by weight, then by region, and every region takes the place of the one before it", func() {
		r := routed(routing.Policy{Version: routing.VersionPolicy{Weights: map[string]int{"1.0.0": 80, "1.1.0": 20}, Sticky: "header:X-Session"}})
		members := map[string]*member{}
		for _, region := range []string{"asia", "uk", "eu"} {
			for _, version := range []string{"1.0.0", "1.1.0"} {
				name := region + " " + version
				members[name] = r.join(identity{version: version, region: region}, named(name), endpoint("POST", "/a"))
			}
		}
		for _, region := range []string{"eu", "uk", "asia"} {
			first, second := region+" 1.0.0", region+" 1.1.0"
			got := r.bodies(300)
			Expect(got).To(HaveLen(2), "only %s", region)
			Expect(got[second]).To(BeNumerically("~", 60, 42), "six standard deviations")
			Expect(r.bodies(20, "Stella-Version", "1.1.0")).To(Equal(map[string]int{second: 20}))
			sessions := map[string]int{}
			for i := range 50 {
				answers := r.bodies(2, "X-Session", fmt.Sprint("session-", i))
				Expect(answers).To(HaveLen(1), "it is sticky")
				for name := range answers {
					sessions[name]++
				}
			}
			Expect(sessions).To(HaveKey(first))
			Expect(sessions).To(HaveKey(second))
			Expect(members[second].Close()).To(Succeed())
			Eventually(func() string { return r.do("POST", "/a", "x", "Stella-Version", "1.1.0").body }).WithTimeout(patience).ShouldNot(Equal(second))
			if region != "asia" { // a version before a region: its share goes further, not to the other version
				Expect(r.bodies(300)).To(HaveLen(2))
			} else {
				Expect(r.bodies(50)).To(Equal(map[string]int{first: 50}), "the last of its version is gone")
			}
			Expect(members[first].Close()).To(Succeed())
			Eventually(func() string { return r.do("POST", "/a", "x", "Stella-Version", "1.0.0").body }).WithTimeout(patience).ShouldNot(Equal(first))
		}
		got := r.do("POST", "/a", "x")
		Expect(got.StatusCode).To(Equal(503))
		Expect(got.body).To(ContainSubstring(`"no_instance"`))
	})

	It("are shown to operators: what has weight, and what is passed over", func() {
		r := routed(routing.Policy{Version: routing.VersionPolicy{Weights: map[string]int{"1.0.0": 80, "1.1.0": 20}, Sticky: "subject"}})
		r.join(identity{version: "1.0.0"}, echo, endpoint("POST", "/a"))
		code, body := r.admin("/v1/routing")
		Expect(code).To(Equal(200))
		Expect(body).To(MatchJSON(`{"services": [{"service": "test", "balancer": "ewma", "sticky": "subject", "weights": [
			{"version": "1.0.0", "weight": 80}, {"version": "1.1.0", "weight": 20, "passedOver": "no live instance"}], "live": 1}]}`))
	})
})

var _ = Describe("a version by policy", func() {
	It("that has not come yet is answered with 503, and a path that it lacks with 404", func() {
		r := routed(routing.Policy{Version: routing.VersionPolicy{Default: "1.1.0"}})
		r.join(identity{version: "1.0.0"}, named("1.0.0"), endpoint("POST", "/a"), endpoint("POST", "/old"))
		got := r.do("POST", "/a", "x")
		Expect(got.StatusCode).To(Equal(503))
		Expect(got.Header.Get("Retry-After")).NotTo(BeEmpty())
		Expect(r.bodies(1, "Stella-Version", "1.0.0")).To(HaveKey("1.0.0"))
		r.join(identity{version: "1.1.0"}, named("1.1.0"), endpoint("POST", "/a"))
		Expect(r.bodies(20)).To(Equal(map[string]int{"1.1.0": 20}))
		Expect(r.do("POST", "/old", "x").StatusCode).To(Equal(404))
	})

	It("is the same for an address as long as it is sticky by that", func() {
		r := routed(routing.Policy{Version: routing.VersionPolicy{Weights: map[string]int{"1.0.0": 1, "1.1.0": 1}, Sticky: "address"}})
		r.join(identity{version: "1.0.0"}, named("1.0.0"), endpoint("POST", "/a"))
		r.join(identity{version: "1.1.0"}, named("1.1.0"), endpoint("POST", "/a"))
		Expect(r.bodies(50)).To(HaveLen(1))
	})
})

var _ = Describe("an instance whose calls fail", func() {
	var r *rig
	bad := func(serve func(*session.Incoming), mods ...func(*spec.Endpoint)) {
		GinkgoHelper()
		r = routed(routing.Policy{SlowStart: routing.Off, Balancer: routing.BalancerRoundRobin})
		r.join(identity{id: "bad"}, serve, endpoint("POST", "/a", mods...))
		r.join(identity{id: "good"}, echo, endpoint("POST", "/a", mods...))
	}
	ejected := func() string { return r.instance("bad").Ejected }

	DescribeTable("is ejected: after five failures all calls go to others", func(serve func(*session.Incoming), mods ...func(*spec.Endpoint)) {
		bad(serve, mods...)
		for range 10 {
			r.do("POST", "/a", "x")
		}
		Eventually(ejected).WithTimeout(patience).Should(Equal("5 calls in a row failed"))
		Expect(r.bodies(10)).To(Equal(map[string]int{"x": 10}))
	},
		Entry("with a status of 500 or more", answering(503)),
		Entry("by giving up", func(*session.Incoming) {}),
		Entry("by timeouts", func(in *session.Incoming) { <-in.Context().Done() }, limits(spec.Limits{TimeoutMS: 20})),
		Entry("by answers that break the protocol", func(in *session.Incoming) {
			_ = in.Respond(&spec.Response{Status: 200, ContentLength: 5}, []byte("x"))
		}),
	)

	It("is not for what clients did wrong", func() {
		bad(answering(404))
		for range 20 {
			r.do("POST", "/a", "x")
		}
		Consistently(ejected).WithTimeout(200 * time.Millisecond).Should(BeEmpty())
	})

	It("is not for refusing", func() {
		bad(func(in *session.Incoming) { in.Cancel(spec.CodeRefused, "not now") })
		Expect(r.bodies(10)).To(Equal(map[string]int{"x": 10}))
		Consistently(ejected).WithTimeout(200 * time.Millisecond).Should(BeEmpty())
	})

	It("is not for calls that clients broke off, and those have no latency", func() {
		entered := make(chan struct{}, 1)
		bad(func(in *session.Incoming) {
			entered <- struct{}{}
			<-in.Context().Done()
		})
		for range 10 {
			ctx, cancel := context.WithTimeout(context.Background(), patience)
			q, err := http.NewRequestWithContext(ctx, http.MethodPost, r.url("/a"), strings.NewReader("x"))
			Expect(err).NotTo(HaveOccurred())
			done := make(chan struct{})
			go func() {
				defer close(done)
				if resp, err := r.client.Do(q); err == nil {
					_ = resp.Body.Close()
				}
			}()
			select {
			case <-entered:
			case <-done:
			}
			cancel()
			Eventually(done).WithTimeout(patience).Should(BeClosed())
		}
		Eventually(func() int { return r.instance("bad").InFlight }).WithTimeout(patience).Should(BeZero())
		Consistently(ejected).WithTimeout(200 * time.Millisecond).Should(BeEmpty())
		Expect(r.instance("bad").LatencyMS).To(BeZero())
		Expect(r.instance("good").LatencyMS).NotTo(BeZero())
	})
})

var _ = Describe("a session", func() {
	It("is measured by its round trips", func() {
		r := routed(routing.Policy{Balancer: routing.BalancerPing})
		r.join(identity{id: "one"}, echo, endpoint("POST", "/a"))
		Eventually(func() time.Duration {
			return time.Duration(r.instance("one").PingMS * float64(time.Millisecond))
		}).WithTimeout(patience).Should(And(BeNumerically(">", 0), BeNumerically("<", time.Second)))
		Expect(r.bodies(5)).To(Equal(map[string]int{"x": 5}))
	})
})

var _ = Describe("a configuration of routes", func() {
	It("that is wrong keeps the gateway from starting, with all faults", func() {
		_, err := gateway.New(gateway.Config{Neighbours: []string{"uk"}, Routing: routing.Policy{Balancer: "fastest"}})
		Expect(err).To(MatchError(gateway.ErrConfig))
		Expect(err).To(MatchError(And(ContainSubstring("neighbours"), ContainSubstring("default.balancer"))))
	})
})
