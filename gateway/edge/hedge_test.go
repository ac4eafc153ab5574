package edge_test

import (
	"sync/atomic"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/stella-ops/router/gateway/routing"
	"github.com/stella-ops/router/spec"
	"github.com/stella-ops/router/transports/session"
)

var _ = Describe("a call that may be hedged", func() {
	const after = 30 * time.Millisecond
	hedging := func() *rig {
		GinkgoHelper()
		return routed(routing.Policy{Hedge: routing.Hedge{After: after}, Balancer: routing.BalancerRoundRobin, SlowStart: routing.Off})
	}
	stuck := func(cancelled *atomic.Int64) func(*session.Incoming) {
		return func(in *session.Incoming) {
			<-in.Context().Done()
			cancelled.Add(1)
		}
	}

	It("is answered by a second instance when the first is stuck, whose call is cancelled", func() {
		r := hedging()
		var cancelled atomic.Int64
		slow := r.join(identity{id: "slow"}, stuck(&cancelled), endpoint("POST", "/a", idempotent))
		r.join(identity{id: "fast"}, echo, endpoint("POST", "/a", idempotent))
		Expect(r.bodies(12)).To(Equal(map[string]int{"x": 12}))
		asked := len(slow.tap.received(spec.TypeRequest))
		Expect(asked).To(BeNumerically("~", 6, 1))
		Eventually(cancelled.Load).WithTimeout(patience).Should(BeEquivalentTo(asked))
		Expect(r.sum("stella_gateway_retries_total")).To(BeEquivalentTo(asked))
		Expect(r.instance("slow").LatencyMS).To(BeNumerically(">", 0), "it takes at least as long")
		Expect(r.instance("slow").Ejected).To(BeEmpty())
	})

	It("is not when the first answers in time, when it is not idempotent, or when there is no other", func() {
		r := hedging()
		for _, id := range []string{"one", "two"} {
			r.join(identity{id: id}, echo, endpoint("POST", "/a", idempotent))
		}
		Expect(r.bodies(20)).To(Equal(map[string]int{"x": 20}))
		Expect(r.sum("stella_gateway_retries_total")).To(BeZero())

		var cancelled atomic.Int64
		r = hedging()
		short := limits(spec.Limits{TimeoutMS: 100})
		r.join(identity{id: "one"}, stuck(&cancelled), endpoint("POST", "/a", short))
		r.join(identity{id: "two"}, stuck(&cancelled), endpoint("POST", "/a", short))
		Expect(r.do("POST", "/a", "x").StatusCode).To(Equal(504))
		r = hedging()
		r.join(identity{id: "one"}, stuck(&cancelled), endpoint("POST", "/a", short, idempotent))
		Expect(r.do("POST", "/a", "x").StatusCode).To(Equal(504))
		Expect(r.sum("stella_gateway_retries_total")).To(BeZero())
	})

	It("takes the first's answer when that comes before the second's after all", func() {
		r := hedging()
		second := make(chan struct{}, 10)
		var cancelled atomic.Int64
		r.join(identity{id: "first"}, func(in *session.Incoming) {
			<-second
			_ = in.Respond(&spec.Response{Status: 200, ContentLength: -1}, []byte("first"))
		}, endpoint("POST", "/a", idempotent))
		r.join(identity{id: "second"}, func(in *session.Incoming) {
			second <- struct{}{}
			stuck(&cancelled)(in)
		}, endpoint("POST", "/a", idempotent))
		Expect(r.do("POST", "/a", "x").body).To(Equal("first"))
		Eventually(cancelled.Load).WithTimeout(patience).Should(BeEquivalentTo(1))
	})

	It("keeps its timeout, fails as the first does when both do, and costs no more than the budget", func() {
		r := routed(routing.Policy{Hedge: routing.Hedge{After: after}, Ejection: routing.Ejection{Off: new(true)}})
		var cancelled, taken atomic.Int64
		short := limits(spec.Limits{TimeoutMS: 80})
		for _, id := range []string{"one", "two"} {
			r.join(identity{id: id}, func(in *session.Incoming) {
				taken.Add(1)
				stuck(&cancelled)(in)
			}, endpoint("POST", "/a", idempotent, short))
		}
		began := time.Now()
		for range 30 {
			Expect(r.do("POST", "/a", "x").StatusCode).To(Equal(504))
		}
		Expect(time.Since(began)).To(BeNumerically("<", 30*3*80*time.Millisecond))
		Eventually(cancelled.Load).WithTimeout(patience).Should(Equal(taken.Load()))
		Expect(taken.Load()).To(BeNumerically("~", 30+13, 1), "ten to begin with, and one for ten requests")
		Expect(r.sum("stella_gateway_retries_denied_total")).To(BeNumerically(">", 10))
	})
})
