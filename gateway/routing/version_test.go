package routing_test

import (
	"fmt"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/stella-ops/router/gateway/routing"
)

// weighted is a configuration in which service a has a version policy.
func weighted(v routing.VersionPolicy) routing.Config {
	return routing.Config{Services: map[string]routing.Policy{"a": {Version: v}}}
}

// spread counts which versions so many requests without one go to. Each has a key of its own, or none.
func (w *world) spread(requests int, key func(i int) string) map[string]int {
	counts := map[string]int{}
	e := w.Snapshot().Match("GET", "/a", nil).Endpoint
	for i := range requests {
		if r := e.Default(key(i)); r != nil {
			counts[r.Release.Version]++
		}
	}
	return counts
}

func none(int) string       { return "" }
func numbered(i int) string { return fmt.Sprintf("caller-%d", i) }

var _ = Describe("a request without a version", func() {
	It("goes, by capacity, to the stable versions of the highest major that are live, as their leases say", func() {
		w := newWorld("")
		for version, lease := range map[string]int{"1.9.0": 100, "2.0.0": 30, "2.1.0": 10, "2.2.0-rc.1": 100, "3.0.0-beta": 100} {
			w.join(who{service: "a", version: version, lease: lease}, endpoint("GET", "/a"))
		}
		got := w.spread(4000, none)
		Expect(got).To(HaveLen(2))
		Expect(got["2.0.0"]).To(BeNumerically("~", 3000, 165), "six standard deviations")
	})

	It("follows the leases as HEARTBEAT changes them, with the next look at health", func() {
		w := newWorld("")
		one := w.join(who{service: "a", version: "1.0.0", lease: 10}, endpoint("GET", "/a"))
		w.join(who{service: "a", version: "1.1.0", lease: 10}, endpoint("GET", "/a"))
		w.Leave(one)
		w.later(0)
		Expect(w.spread(100, none)).To(Equal(map[string]int{"1.1.0": 100}))
	})

	It("goes to the newest where the policy says so, be it alone", func() {
		w := newWorldOf(weighted(routing.VersionPolicy{Default: routing.Newest}))
		w.join(who{service: "a", version: "1.0.0", lease: 100}, endpoint("GET", "/a"))
		w.join(who{service: "a", version: "1.1.0"}, endpoint("GET", "/a"))
		w.join(who{service: "a", version: "1.2.0-rc"}, endpoint("GET", "/a"))
		Expect(w.spread(100, none)).To(Equal(map[string]int{"1.1.0": 100}))
	})

	It("goes to the version that is named, and to no other when that has no instance", func() {
		w := newWorldOf(weighted(routing.VersionPolicy{Default: "1.0.0"}))
		w.join(who{service: "a", version: "1.1.0"}, endpoint("GET", "/a"), endpoint("GET", "/new"))
		e := w.Snapshot().Match("GET", "/a", nil).Endpoint
		Expect(e.Default("")).To(BeNil())
		Expect(e.Awaited()).To(BeTrue(), "it may still come")
		old := w.join(who{service: "a", version: "1.0.0"}, endpoint("GET", "/a"))
		Expect(w.spread(100, none)).To(Equal(map[string]int{"1.0.0": 100}))
		e = w.Snapshot().Match("GET", "/new", nil).Endpoint
		Expect(e.Default("")).To(BeNil())
		Expect(e.Awaited()).To(BeFalse(), "it is there, without the endpoint")
		w.Remove(old, w.now)
		Expect(w.release("/a").Version).To(Equal("1.0.0"))
		Expect(w.release("/a").Live()).To(BeFalse())
	})

	It("is spread by weight", func() {
		w := newWorldOf(weighted(routing.VersionPolicy{Weights: map[string]int{"1.0.0": 90, "1.1.0": 10, "1.2.0": 0}}))
		for _, version := range []string{"1.0.0", "1.1.0", "1.2.0"} {
			w.join(who{service: "a", version: version}, endpoint("GET", "/a"))
		}
		got := w.spread(10_000, none)
		Expect(got).To(HaveLen(2))
		Expect(got["1.1.0"]).To(BeNumerically("~", 1000, 180), "six standard deviations")
	})

	It("stays with its version by its key, at every gateway, and as many keys go to each as its weight says", func() {
		policy := weighted(routing.VersionPolicy{Weights: map[string]int{"1.0.0": 90, "1.1.0": 10}, Sticky: "subject"})
		w, other := newWorldOf(policy), newWorldOf(policy)
		for _, version := range []string{"1.0.0", "1.1.0"} {
			w.join(who{service: "a", version: version}, endpoint("GET", "/a"))
		}
		for _, version := range []string{"1.1.0", "1.0.0"} {
			other.join(who{service: "a", version: version}, endpoint("GET", "/a"))
		}
		e, there := w.Snapshot().Match("GET", "/a", nil).Endpoint, other.Snapshot().Match("GET", "/a", nil).Endpoint
		Expect(e.Key()).To(Equal(routing.Key{Kind: routing.KeySubject}))
		for i := range 1000 {
			version := e.Default(numbered(i)).Release.Version
			Expect(e.Default(numbered(i)).Release.Version).To(Equal(version))
			Expect(there.Default(numbered(i)).Release.Version).To(Equal(version))
		}
		Expect(w.spread(10_000, numbered)["1.1.0"]).To(BeNumerically("~", 1000, 180), "six standard deviations")
	})

	It("passes weighted versions over that have no live instance, which view and log say", func() {
		w := newWorldOf(weighted(routing.VersionPolicy{Weights: map[string]int{"1.0.0": 50, "1.1.0": 50}, Sticky: "address"}))
		w.join(who{service: "a", version: "1.0.0"}, endpoint("GET", "/a"))
		Expect(w.spread(100, none)).To(Equal(map[string]int{"1.0.0": 100}))
		Expect(w.Policies()).To(Equal([]routing.PolicyView{{
			Service: "a", Balancer: "ewma", Sticky: "address", Live: 1,
			Weights: []routing.WeightView{{Version: "1.0.0", Weight: 50}, {Version: "1.1.0", Weight: 50, PassedOver: "no live instance"}},
		}}))
		Expect(w.log.String()).To(ContainSubstring("weighted version has no live instance"))
		w.join(who{service: "a", version: "1.1.0"}, endpoint("GET", "/a"))
		Expect(w.spread(1000, none)).To(HaveLen(2))
		Expect(w.Policies()[0].Weights[1].PassedOver).To(BeEmpty())
		Expect(w.log.String()).To(ContainSubstring("weighted version is live"))
	})

	It("never goes to a version without weight, also when all others are gone", func() {
		w := newWorldOf(weighted(routing.VersionPolicy{Weights: map[string]int{"1.0.0": 1}}))
		gone := w.join(who{service: "a", version: "1.0.0"}, endpoint("GET", "/a"))
		w.join(who{service: "a", version: "1.1.0"}, endpoint("GET", "/a"))
		w.Remove(gone, w.now)
		Expect(w.release("/a").Version).To(Equal("1.0.0"))
		Expect(w.release("/a").Live()).To(BeFalse())
	})
})

var _ = Describe("another configuration", func() {
	It("is in force with the next snapshot, and a request that has begun keeps what it began with", func() {
		w := newWorldOf(weighted(routing.VersionPolicy{Default: "1.0.0"}))
		w.join(who{service: "a", version: "1.0.0"}, endpoint("GET", "/a"))
		w.join(who{service: "a", version: "1.1.0"}, endpoint("GET", "/a"))
		held := w.Snapshot().Match("GET", "/a", nil).Endpoint
		Expect(w.Configure(weighted(routing.VersionPolicy{Default: "1.1.0"}), w.now)).To(Succeed())
		Expect(w.release("/a").Version).To(Equal("1.1.0"))
		Expect(held.Default("").Release.Version).To(Equal("1.0.0"))
	})

	It("changes nothing when it is invalid", func() {
		w := newWorldOf(weighted(routing.VersionPolicy{Default: "1.0.0"}))
		w.join(who{service: "a", version: "1.0.0"}, endpoint("GET", "/a"))
		before := w.Snapshot()
		Expect(w.Configure(weighted(routing.VersionPolicy{Default: "nonsense"}), w.now)).NotTo(Succeed())
		Expect(w.Snapshot()).To(BeIdenticalTo(before))
	})

	It("that names another owner of a path quarantines who has it, and gives it to the owner", func() {
		w := newWorld("")
		squatter := w.join(who{service: "b", version: "1.0.0"}, endpoint("GET", "/a"))
		owner := w.join(who{service: "a", version: "1.0.0"}, endpoint("GET", "/a"))
		Expect(w.owner("GET", "/a")).To(Equal("b"))
		Expect(w.Configure(routing.Config{Owners: routing.Owners{"/a": "a"}}, w.now)).To(Succeed())
		Expect(w.owner("GET", "/a")).To(Equal("a"))
		Expect(w.quarantine(owner)).To(BeEmpty())
		Expect(w.quarantine(squatter)).To(ContainSubstring("this gateway's configuration names the owner"))
	})

	It("that moves the gateway's neighbours moves the calls", func() {
		w := newWorldOf(routing.Config{Region: "eu", Neighbours: []string{"us"}})
		us := w.join(who{service: "a", version: "1.0.0", region: "us"}, endpoint("GET", "/a"))
		asia := w.join(who{service: "a", version: "1.0.0", region: "asia"}, endpoint("GET", "/a"))
		Expect(w.shares("/a", 20)).To(Equal(map[*routing.Instance]int{us: 20}))
		Expect(w.Configure(routing.Config{Region: "eu", Neighbours: []string{"asia", "us"}}, w.now)).To(Succeed())
		Expect(w.shares("/a", 20)).To(Equal(map[*routing.Instance]int{asia: 20}))
	})
})

var _ = Describe("instances that a service should have", func() {
	It("are told beside those that it has, before any has come and with several versions", func() {
		w := newWorldOf(routing.Config{Default: routing.Policy{Instances: 1}, Services: map[string]routing.Policy{"a": {Instances: 2}, "b": {}}})
		Expect(w.Expected()).To(Equal(map[string]int{"a": 2, "b": 1}))
		live := func() map[string]int {
			all := map[string]int{}
			for _, p := range w.Policies() {
				all[p.Service] = p.Live
			}
			return all
		}
		Expect(live()).To(Equal(map[string]int{"a": 0, "b": 0}))
		w.join(who{service: "a", version: "1.0.0"}, endpoint("GET", "/a"))
		gone := w.join(who{service: "a", version: "1.1.0"}, endpoint("GET", "/a"))
		Expect(live()).To(Equal(map[string]int{"a": 2, "b": 0}))
		w.Leave(gone)
		w.later(0)
		Expect(live()).To(Equal(map[string]int{"a": 1, "b": 0}))
		Expect((&routing.Config{Services: map[string]routing.Policy{"a": {Instances: -2}}}).Check()).To(MatchError(ContainSubstring("instances")))
	})
})

var _ = Describe("a percentile", func() {
	It("is the same for a key at every gateway of every version, and as many keys have each", func() {
		Expect([]int{routing.Percentile("a"), routing.Percentile("caller 7"), routing.Percentile("sub-4711")}).To(Equal([]int{49, 5, 78}))
		counts := make([]int, 100)
		for i := range 100_000 {
			counts[routing.Percentile(numbered(i))]++
		}
		for percentile, n := range counts {
			Expect(n).To(BeNumerically("~", 1000, 190), "six standard deviations: %d", percentile)
		}
	})

	It("is a random one without a key", func() {
		counts := make([]int, 100)
		for range 100_000 {
			counts[routing.Percentile("")]++
		}
		for percentile, n := range counts {
			Expect(n).To(BeNumerically("~", 1000, 250), "nearly eight standard deviations: %d", percentile)
		}
	})

	It("says nothing of the version that a key leads to", func() {
		w := newWorldOf(weighted(routing.VersionPolicy{Weights: map[string]int{"1.0.0": 50, "1.1.0": 50}, Sticky: "subject"}))
		for _, version := range []string{"1.0.0", "1.1.0"} {
			w.join(who{service: "a", version: version}, endpoint("GET", "/a"))
		}
		e, both := w.Snapshot().Match("GET", "/a", nil).Endpoint, 0
		for i := range 10_000 {
			if key := numbered(i); routing.Percentile(key) < 50 && e.Default(key).Release.Version == "1.0.0" {
				both++
			}
		}
		Expect(both).To(BeNumerically("~", 2500, 260), "six standard deviations")
	})
})
