package routing_test

import (
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/stella-ops/router/gateway/routing"
	"github.com/stella-ops/router/gateway/telemetry"
)

// fail lets so many calls fail, and has the registry look.
func (w *world) fail(in *routing.Instance, calls int) {
	for range calls {
		w.release("/a").Observe(in, routing.Failed, time.Millisecond, w.now)
	}
	w.Refresh(w.now)
}

func (w *world) succeed(in *routing.Instance, calls int) {
	for range calls {
		w.release("/a").Observe(in, routing.Answered, time.Millisecond, w.now)
	}
	w.Refresh(w.now)
}

// several join a service in one region.
func (w *world) several(n int) (all []*routing.Instance) {
	GinkgoHelper()
	for range n {
		all = append(all, w.join(who{service: "a", version: "1.0.0", lease: 1000}, endpoint("GET", "/a")))
	}
	return all
}

var _ = Describe("ejection", func() {
	var (
		w   *world
		all []*routing.Instance
	)
	setup := func(n int, e routing.Ejection) {
		w = newWorldOf(routing.Config{Default: routing.Policy{Ejection: e, SlowStart: routing.Off}})
		all = w.several(n)
	}

	It("is for five calls in a row that failed, and lasts 30 s", func() {
		setup(3, routing.Ejection{})
		w.fail(all[0], 4)
		Expect(w.shown(all[0]).Ejected).To(BeEmpty())
		w.fail(all[0], 1)
		Expect(w.shown(all[0]).Ejected).To(Equal("5 calls in a row failed"))
		Expect(w.Sessions()).To(ContainElement(HaveField("State", telemetry.StateEjected)))
		Expect(*w.shown(all[0]).EjectedUntil).To(Equal(w.now.Add(30 * time.Second)))
		Expect(w.log.String()).To(ContainSubstring("instance ejected"))
		Expect(w.shares("/a", 100)).NotTo(HaveKey(all[0]))
		w.alive(29*time.Second, all...)
		Expect(w.shares("/a", 100)).NotTo(HaveKey(all[0]))
		w.alive(time.Second, all...)
		Expect(w.shown(all[0]).Ejected).To(BeEmpty())
		Expect(w.shares("/a", 100)).To(HaveKey(all[0]))
		Expect(w.log.String()).To(ContainSubstring("instance readmitted"))
	})

	It("is not for failures that a success comes between", func() {
		setup(3, routing.Ejection{FailurePercent: routing.Off})
		for range 10 {
			w.fail(all[0], 4)
			w.succeed(all[0], 1)
		}
		Expect(w.shown(all[0]).Ejected).To(BeEmpty())
	})

	It("is for half of at least 20 calls within 10 s", func() {
		setup(3, routing.Ejection{})
		for range 9 {
			w.succeed(all[0], 1)
			w.fail(all[0], 1)
		}
		w.succeed(all[0], 1)
		Expect(w.shown(all[0]).Ejected).To(BeEmpty(), "19 calls say little")
		w.fail(all[0], 1)
		Expect(w.shown(all[0]).Ejected).To(Equal("10 of 20 calls within 10s failed"))
	})

	It("forgets calls after the window", func() {
		setup(3, routing.Ejection{ConsecutiveFailures: routing.Off})
		w.fail(all[0], 19)
		w.alive(11*time.Second, all...)
		w.fail(all[0], 19)
		Expect(w.shown(all[0]).Ejected).To(BeEmpty())
		w.alive(5*time.Second, all...)
		w.fail(all[0], 1)
		Expect(w.shown(all[0]).Ejected).To(Equal("20 of 20 calls within 10s failed"))
	})

	It("lasts longer each time, up to the maximum, and good behaviour is rewarded", func() {
		setup(3, routing.Ejection{BaseTime: 30 * time.Second, MaxTime: 100 * time.Second})
		for _, want := range []time.Duration{30 * time.Second, time.Minute, 90 * time.Second, 100 * time.Second, 100 * time.Second} {
			w.fail(all[0], 5)
			Expect(w.shown(all[0]).EjectedUntil.Sub(w.now)).To(Equal(want))
			w.alive(want, all...)
			Expect(w.shown(all[0]).Ejected).To(BeEmpty())
		}
		w.alive(5*time.Minute, all...)
		w.fail(all[0], 5)
		Expect(w.shown(all[0]).EjectedUntil.Sub(w.now)).To(Equal(30 * time.Second))
	})

	DescribeTable("stops at half of a tier, and leaves one", func(n, most int) {
		setup(n, routing.Ejection{})
		ejected := 0
		for _, in := range all {
			w.fail(in, 5)
		}
		for _, in := range all {
			if w.shown(in).Ejected != "" {
				ejected++
			}
		}
		Expect(ejected).To(Equal(most))
		Expect(w.pick("/a")).NotTo(BeNil())
	}, Entry(nil, 1, 0), Entry(nil, 2, 1), Entry(nil, 3, 1), Entry(nil, 4, 2), Entry(nil, 5, 2))

	It("leaves one of a tier whatever the cap", func() {
		setup(3, routing.Ejection{MaxEjectedPercent: 100})
		for _, in := range all {
			w.fail(in, 5)
		}
		Expect(w.shares("/a", 20)).To(HaveLen(1))
	})

	It("ends early when too few are left", func() {
		setup(4, routing.Ejection{})
		w.fail(all[0], 5)
		w.alive(time.Second, all...)
		w.fail(all[1], 5)
		w.Remove(all[2], w.now)
		Expect(w.shown(all[0]).Ejected).To(BeEmpty(), "three are left, of which one may be out")
		Expect(w.shown(all[1]).Ejected).NotTo(BeEmpty())
		w.Remove(all[3], w.now)
		Expect(w.shown(all[1]).Ejected).NotTo(BeEmpty())
		w.Remove(all[0], w.now)
		Expect(w.pick("/a")).To(BeIdenticalTo(all[1]))
	})

	It("counts a lost session once, however many calls it takes with it", func() {
		setup(3, routing.Ejection{})
		for range 100 {
			w.release("/a").Observe(all[0], routing.Lost, 0, w.now)
		}
		w.Refresh(w.now)
		Expect(w.shown(all[0]).Ejected).To(BeEmpty())
	})

	It("follows an instance from session to session: one that is lost five times in a row is out when it comes back", func() {
		setup(3, routing.Ejection{})
		for i := range 5 {
			in := w.join(who{service: "a", version: "1.0.0", id: "flapping"}, endpoint("GET", "/a"))
			Expect(w.shown(in).Ejected).To(BeEmpty(), "session %d", i)
			w.release("/a").Observe(in, routing.Lost, 0, w.now)
			w.Remove(in, w.now)
		}
		in := w.join(who{service: "a", version: "1.0.0", id: "flapping"}, endpoint("GET", "/a"))
		w.later(0)
		Expect(w.shown(in).Ejected).To(Equal("5 calls in a row failed"))
		Expect(w.shares("/a", 50)).NotTo(HaveKey(in))
	})

	It("may be off, and a service's own policy may have it on again", func() {
		on := routing.Policy{Ejection: routing.Ejection{Off: new(false)}}
		w = newWorldOf(routing.Config{
			Default: routing.Policy{Ejection: routing.Ejection{Off: new(true)}, SlowStart: routing.Off}, Services: map[string]routing.Policy{"a": on},
		})
		all = w.several(3)
		w.fail(all[0], 5)
		Expect(w.shown(all[0]).Ejected).NotTo(BeEmpty())
	})

	It("may be off", func() {
		setup(3, routing.Ejection{Off: new(true)})
		w.fail(all[0], 100)
		Expect(w.shown(all[0]).Ejected).To(BeEmpty())
	})
})

var _ = Describe("slow start", func() {
	It("lets the share of a newcomer grow to its own over the time that is set", func() {
		for _, balancer := range []string{routing.BalancerEWMA, routing.BalancerRoundRobin} {
			w := newWorldOf(routing.Config{Default: routing.Policy{Balancer: balancer, SlowStart: 10 * time.Second}})
			all := w.several(3)
			w.alive(20*time.Second, all...)
			last := w.several(1)[0]
			all = append(all, last)
			share := func() int {
				counts := w.shares("/a", 8000)
				return counts[last]
			}
			Expect(share()).To(BeNumerically("<", 200), balancer)
			w.alive(5*time.Second, all...)
			Expect(share()).To(BeNumerically("~", 1100, 350), "%s: half of 2000, and a little of what others sit out", balancer)
			w.alive(5*time.Second, all...)
			Expect(share()).To(BeNumerically("~", 2000, 250), balancer)
		}
	})

	It("is no reason to send nothing where all are new", func() {
		w := newWorldOf(routing.Config{Default: routing.Policy{SlowStart: time.Minute}})
		all := w.several(3)
		counts := w.shares("/a", 300)
		for _, in := range all {
			Expect(counts[in]).To(BeNumerically(">", 50))
		}
	})

	It("comes again after ejection", func() {
		w := newWorldOf(routing.Config{})
		all := w.several(2)
		w.alive(20*time.Second, all...)
		w.fail(all[0], 5)
		w.alive(30*time.Second, all...)
		Expect(w.shares("/a", 1000)[all[0]]).To(BeNumerically("<", 60))
		w.alive(10*time.Second, all...)
		Expect(w.shares("/a", 1000)[all[0]]).To(BeNumerically("~", 500, 100))
	})
})

var _ = Describe("panic mode", func() {
	It("uses all that do not drain when too few are usable, and says so", func() {
		w := newWorldOf(routing.Config{Default: routing.Policy{PanicPercent: 50, SlowStart: routing.Off}})
		all := w.several(5)
		w.Leave(all[4])
		w.alive(2*time.Second, all[0], all[1], all[4])
		w.alive(2*time.Second, all[0], all[1], all[4])
		Expect(w.shares("/a", 100)).To(HaveLen(2), "half of four is enough")
		w.alive(4*time.Second, all[0], all[4])
		Expect(w.shares("/a", 400)).To(And(HaveLen(4), Not(HaveKey(all[4]))), "also those that are silent")
		Expect(w.Services()[0].Panic).To(BeTrue())
		Expect(w.Policies()[0].Panic).To(Equal([]string{"1.0.0"}))
		Expect(w.log.String()).To(ContainSubstring("panic mode on"))
		w.alive(time.Second, all...)
		Expect(w.Services()[0].Panic).To(BeFalse())
		Expect(w.log.String()).To(ContainSubstring("panic mode off"))
	})

	It("is off unless it is asked for", func() {
		w := newWorldOf(routing.Config{})
		all := w.several(2)
		w.alive(4*time.Second, all[0])
		Expect(w.shares("/a", 50)).To(Equal(map[*routing.Instance]int{all[0]: 50}))
		w.later(4 * time.Second)
		Expect(w.pick("/a")).To(BeNil())
	})
})
