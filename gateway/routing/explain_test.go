package routing_test

import (
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/stella-ops/router/gateway/routing"
)

// whys are the reasons of an explanation's versions and instances, by their names.
func whys(e routing.Explanation) map[string]string {
	all := map[string]string{}
	for _, v := range e.Versions {
		all[v.Version] = v.Why
	}
	for _, in := range e.Instances {
		all[in.ID] = in.Why
	}
	return all
}

var _ = Describe("the explanation of a request's way", func() {
	It("has the shares that requests have, and says why", func() {
		w := newWorldOf(weighted(routing.VersionPolicy{Weights: map[string]int{"1.0.0": 3, "1.1.0": 1, "1.2.0": 4}, Sticky: "subject"}))
		for _, version := range []string{"1.0.0", "1.1.0", "2.0.0"} {
			w.join(who{service: "a", version: version}, endpoint("GET", "/a"))
		}
		e := w.Explain("GET", "/a", "", "")
		Expect(e).To(And(HaveField("Endpoint", "GET /a"), HaveField("Service", "a"), HaveField("Sticky", "subject"), HaveField("Balancer", "ewma"),
			HaveField("Fault", "")))
		Expect(whys(e)).To(And(HaveKeyWithValue("1.0.0", "weight 3"), HaveKeyWithValue("1.1.0", "weight 1"), HaveKeyWithValue("2.0.0", "it has no weight")))
		spread := w.spread(4000, none)
		for _, v := range e.Versions {
			Expect(float64(spread[v.Version])/4000).To(BeNumerically("~", v.Share, 0.042), "six standard deviations")
		}
		Expect(e.Instances).To(HaveLen(2))
		for i := range 50 {
			key := numbered(i)
			e := w.Explain("GET", "/a", "", key)
			for _, v := range e.Versions {
				Expect(v.Share > 0).To(Equal(w.spread(1, func(int) string { return key })[v.Version] == 1))
			}
		}
	})

	It("has instances in the order in which they are picked, and says why others are not", func() {
		w := newWorldOf(routing.Config{Region: "eu", Neighbours: []string{"us"}})
		near := w.join(who{service: "a", version: "1.0.0", region: "eu", id: "near", lease: 1}, endpoint("GET", "/a"))
		w.join(who{service: "a", version: "1.0.0", region: "us", id: "next", lease: 1}, endpoint("GET", "/a"))
		w.join(who{service: "a", version: "1.0.0", region: "asia", id: "far", lease: 1}, endpoint("GET", "/a"))
		cordoned := w.join(who{service: "a", version: "1.0.0", region: "eu", id: "cordoned", lease: 1}, endpoint("GET", "/a"))
		Expect(w.Cordon("a", cordoned.ID(), true)).To(BeTrue())
		w.later(0)
		e := w.Explain("GET", "/a", "", "")
		ids := make([]string, len(e.Instances))
		for i, in := range e.Instances {
			ids[i] = in.ID
		}
		Expect(ids).To(Equal([]string{"near", "next", "far", "cordoned"}))
		Expect(w.pick("/a")).To(BeIdenticalTo(near))
		Expect(e.Instances[0].Tier).To(Equal(1))
		Expect(e.Instances[2].Tier).To(Equal(3))
		Expect(e.Instances[3]).To(And(HaveField("Tier", 0), HaveField("Why", "an operator has taken it out of routing")))
	})

	It("says why a request goes nowhere", func() {
		w := newWorld("")
		Expect(w.Explain("GET", "/a", "", "").Fault).To(Equal("no service offers this path"))
		in := w.join(who{service: "a", version: "1.0.0"}, endpoint("GET", "/a"))
		Expect(w.Explain("POST", "/a", "", "").Fault).To(ContainSubstring("served for GET"))
		Expect(w.Explain("GET", "/a", "1.1.0", "").Fault).To(ContainSubstring("version 1.1.0"))
		Expect(w.Explain("GET", "/a", "1.0.0", "")).To(And(HaveField("Fault", ""), HaveField("Versions", HaveLen(1))))
		w.Leave(in)
		w.later(0)
		e := w.Explain("GET", "/a", "", "")
		Expect(e.Fault).To(Equal("no instance can take a call now"))
		Expect(whys(e)).To(Equal(map[string]string{"1.0.0": "no instance of it can be picked", in.ID(): "draining"}))
	})
})
