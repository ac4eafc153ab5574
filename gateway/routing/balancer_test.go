package routing_test

import (
	"sync/atomic"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/stella-ops/router/gateway/routing"
	"github.com/stella-ops/router/spec"
	"github.com/stella-ops/router/transports"
	"github.com/stella-ops/router/transports/session"
)

// busy begins a call on an instance, which takes a place until the spec is over.
func busy(in *routing.Instance) *session.Call {
	GinkgoHelper()
	f := transports.NewFrame(64)
	b := (&spec.Request{ContentLength: -1}).AppendTo(f.Bytes())
	f.SetBytes(b)
	call, err := in.Session.Start(f, len(b)-spec.HeaderSize, spec.FlagEnd, 0)
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(call.Close)
	return call
}

var _ = Describe("the regions", func() {
	It("are tried in order: the gateway's own, its neighbours', all others", func() {
		w := newWorldOf(routing.Config{Region: "eu", Neighbours: []string{"uk", "us"}})
		var all []*routing.Instance
		for _, region := range []string{"eu", "uk", "us", "asia"} {
			all = append(all, w.join(who{service: "a", version: "1.0.0", region: region}, endpoint("GET", "/a")))
		}
		all = append(all, w.join(who{service: "a", version: "1.0.0"}, endpoint("GET", "/a")))
		var tried []*routing.Instance
		r := w.release("/a")
		for i := range 3 {
			Expect(r.Pick(w.now, tried)).To(BeIdenticalTo(all[i]))
			tried = append(tried, all[i])
		}
		Expect(r.Pick(w.now, tried)).To(Or(BeIdenticalTo(all[3]), BeIdenticalTo(all[4])))
	})

	It("come before health: a degraded instance nearby is picked before a healthy one far away", func() {
		w := newWorldOf(routing.Config{Region: "eu", Neighbours: []string{"us"}})
		near := w.join(who{service: "a", version: "1.0.0", region: "us"}, endpoint("GET", "/a"))
		far := w.join(who{service: "a", version: "1.0.0", region: "asia"}, endpoint("GET", "/a"))
		w.alive(2500*time.Millisecond, far)
		Expect(w.shown(near).Health).To(Equal(routing.Degraded))
		Expect(w.shares("/a", 20)).To(Equal(map[*routing.Instance]int{near: 20}))
		w.alive(time.Second, far)
		Expect(w.shares("/a", 20)).To(Equal(map[*routing.Instance]int{far: 20}))
	})
})

var _ = Describe("the balancer ewma", func() {
	var (
		w   *world
		all []*routing.Instance
	)
	BeforeEach(func() {
		w = newWorldOf(routing.Config{Default: routing.Policy{SlowStart: routing.Off}})
		all = w.several(2)
	})
	observe := func(in *routing.Instance, took time.Duration) {
		w.release("/a").Observe(in, routing.Answered, took, w.now)
	}

	It("takes the one with the lower latency", func() {
		observe(all[0], 21*time.Millisecond)
		observe(all[1], 10*time.Millisecond)
		Expect(w.shares("/a", 50)).To(Equal(map[*routing.Instance]int{all[1]: 50}))
	})

	It("makes no difference between latencies that are much alike, or below a millisecond", func() {
		observe(all[0], 20*time.Millisecond)
		observe(all[1], 10*time.Millisecond)
		Expect(w.shares("/a", 1000)[all[0]]).To(BeNumerically("~", 500, 100), "six standard deviations")
		busy(all[0])
		Expect(w.shares("/a", 50)).To(Equal(map[*routing.Instance]int{all[1]: 50}), "but between calls in flight")
		w.alive(time.Minute, all...) // all is forgotten
		observe(all[0], 20*time.Microsecond)
		observe(all[1], 900*time.Microsecond)
		busy(all[1])
		Expect(w.shares("/a", 1000)[all[0]]).To(BeNumerically("~", 500, 100))
	})

	It("weighs latency with calls in flight", func() {
		observe(all[0], 25*time.Millisecond)
		observe(all[1], 10*time.Millisecond)
		busy(all[1])
		Expect(w.pick("/a")).To(BeIdenticalTo(all[1]), "20 ms against 25")
		busy(all[1])
		Expect(w.pick("/a")).To(BeIdenticalTo(all[0]), "30 ms against 25")
	})

	It("asks again after a while whoever was slow once", func() {
		observe(all[0], time.Second)
		for range 120 {
			observe(all[1], 10*time.Millisecond)
			Expect(w.pick("/a")).To(BeIdenticalTo(all[1]))
			w.alive(250*time.Millisecond, all...)
		}
		w.alive(30*time.Second, all...)
		observe(all[1], 10*time.Millisecond)
		Expect(w.pick("/a")).To(BeIdenticalTo(all[0]))
	})

	It("tries one it does not know at once, and sends it no more than twice the other's calls before it does", func() {
		observe(all[0], time.Millisecond)
		Expect(w.pick("/a")).To(BeIdenticalTo(all[1]))
		busy(all[1])
		Expect(w.pick("/a")).NotTo(BeNil())
		busy(all[1])
		Expect(w.pick("/a")).To(BeIdenticalTo(all[0]))
	})

	It("does not take quick failures for speed", func() {
		observe(all[0], 10*time.Millisecond)
		observe(all[1], 10*time.Millisecond)
		w.alive(time.Second, all...)
		w.release("/a").Observe(all[1], routing.Failed, time.Microsecond, w.now)
		Expect(all[1].Latency(w.now)).To(BeNumerically("~", all[0].Latency(w.now), 10*time.Microsecond))
	})

	It("shows its latency to operators", func() {
		w.release("/a").Observe(all[0], routing.Answered, 100*time.Millisecond, time.Now())
		Expect(w.shown(all[0]).LatencyMS).To(BeNumerically("~", 100, 50))
		Expect(w.shown(all[1]).LatencyMS).To(BeZero())
	})
})

var _ = Describe("the balancer ping", func() {
	It("takes the latest HEARTBEAT where pings are alike, then the first by id, the same way every time", func() {
		w := newWorldOf(routing.Config{Default: routing.Policy{Balancer: routing.BalancerPing}})
		var all []*routing.Instance
		for _, id := range []string{"c", "a", "b"} {
			all = append(all, w.join(who{service: "a", version: "1.0.0", id: id}, endpoint("GET", "/a")))
		}
		Expect(w.shares("/a", 20)).To(Equal(map[*routing.Instance]int{all[1]: 20}), "all came at once")
		w.alive(time.Second, all[2])
		Expect(w.shares("/a", 20)).To(Equal(map[*routing.Instance]int{all[2]: 20}))
		busy(all[2])
		Expect(w.shares("/a", 20)).To(Equal(map[*routing.Instance]int{all[1]: 20}), "its lease is spent")
	})
})

var _ = Describe("the balancer round-robin", func() {
	It("takes one after the other, across snapshots", func() {
		w := newWorldOf(routing.Config{Default: routing.Policy{Balancer: routing.BalancerRoundRobin, SlowStart: routing.Off}})
		all := w.several(3)
		for i := range 9 {
			Expect(w.pick("/a")).To(BeIdenticalTo(all[i%3]))
			w.join(who{service: "b", version: "1.0.0"}, endpoint("GET", "/b"))
		}
	})
})

// last is a balancer of an embedding program: it takes the last one that is open.
type last struct{ picks *atomic.Int64 }

func (l last) Pick(c routing.Candidates) int {
	l.picks.Add(1)
	for i := c.Len() - 1; i >= 0; i-- {
		if c.Open(i) {
			return i
		}
	}
	return -1
}

// absurd is one that keeps to no rule.
type absurd struct{}

func (absurd) Pick(c routing.Candidates) int { return c.Len() }

var _ = Describe("a balancer of an embedding program", func() {
	It("is chosen by the name under which the program gives it", func() {
		var picks atomic.Int64
		w := newWorldOf(routing.Config{
			Balancers: map[string]func() routing.Balancer{"last": func() routing.Balancer { return last{&picks} }},
			Services:  map[string]routing.Policy{"a": {Balancer: "last"}},
		})
		all := w.several(3)
		Expect(w.shares("/a", 20)).To(Equal(map[*routing.Instance]int{all[2]: 20}))
		Expect(picks.Load()).To(BeEquivalentTo(20))
		Expect(w.Policies()[0].Balancer).To(Equal("last"))
	})

	It("that picks nobody who is there makes no call go wrong", func() {
		w := newWorldOf(routing.Config{
			Balancers: map[string]func() routing.Balancer{"absurd": func() routing.Balancer { return absurd{} }},
			Default:   routing.Policy{Balancer: "absurd"},
		})
		w.several(3)
		Expect(w.pick("/a")).To(BeNil())
	})
})
