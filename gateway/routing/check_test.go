package routing_test

import (
	"errors"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/stella-ops/router/gateway/routing"
)

// faults are the fields that are at fault, and each has a text.
func faults(err error) (fields []string) {
	GinkgoHelper()
	joined, ok := err.(interface{ Unwrap() []error })
	Expect(ok).To(BeTrue(), "%v", err)
	for _, e := range joined.Unwrap() {
		var f *routing.FaultError
		Expect(errors.As(e, &f)).To(BeTrue())
		Expect(f.Text).NotTo(BeEmpty())
		Expect(f.Error()).To(HavePrefix("routing: " + strings.Join(f.Field, ".") + ": "))
		fields = append(fields, strings.Join(f.Field, "."))
	}
	return fields
}

var _ = Describe("a configuration", func() {
	It("is checked whole: every fault is named, by the field that has it", func() {
		cfg := routing.Config{
			Region: "e u", Neighbours: []string{"us", "us", "e u", "-"},
			Balancers: map[string]func() routing.Balancer{"ewma": nil, "mine": nil},
			Default:   routing.Policy{Version: routing.VersionPolicy{Weights: map[string]int{"1.0.0": 1}}, SlowStart: -5},
			Services: map[string]routing.Policy{
				"a b": {},
				"one": {
					Version:  routing.VersionPolicy{Default: "1.4", Weights: map[string]int{"1.0": 1, "2.0.0": -1, "3.0.0": 0}, Sticky: "mood:x"},
					Balancer: "fastest", PanicPercent: 101, Hedge: routing.Hedge{After: time.Nanosecond},
					Ejection: routing.Ejection{
						ConsecutiveFailures: -2, FailurePercent: 101, MinRequests: -1, Window: time.Millisecond, BaseTime: time.Hour, MaxTime: time.Minute,
						MaxEjectedPercent: 200,
					},
				},
				"two": {Version: routing.VersionPolicy{Sticky: "subject"}},
			},
		}
		Expect(faults(cfg.Check())).To(ConsistOf(
			"region", "neighbours", "neighbours", "neighbours", "balancers.ewma", "balancers.mine", "default.slowStart", "default.version.weights",
			"services.a b", "services.one.version.default", "services.one.version.weights", "services.one.version.sticky",
			"services.one.version.weights.1.0", "services.one.version.weights.2.0.0", "services.one.version.weights", "services.one.balancer",
			"services.one.panicPercent", "services.one.hedge.after", "services.one.ejection.consecutiveFailures", "services.one.ejection.failurePercent",
			"services.one.ejection.minRequests", "services.one.ejection.window", "services.one.ejection.maxTime", "services.one.ejection.maxEjectedPercent",
			"services.two.version.sticky",
		))
	})

	It("may be empty, and may switch things off", func() {
		Expect(new(routing.Config).Check()).To(Succeed())
		off := routing.Policy{SlowStart: routing.Off, PanicPercent: routing.Off, Ejection: routing.Ejection{ConsecutiveFailures: routing.Off, FailurePercent: routing.Off}}
		Expect((&routing.Config{Default: off}).Check()).To(Succeed())
	})

	It("has instances degraded before they are unhealthy, and neither at the first interval", func() {
		Expect((&routing.Config{DegradedAfter: 3}).Check()).To(Succeed())
		Expect(faults((&routing.Config{DegradedAfter: 4}).Check())).To(Equal([]string{"health.unhealthyAfter"}), "which is 3 by default")
		Expect(faults((&routing.Config{DegradedAfter: 1, UnhealthyAfter: 101}).Check())).To(Equal([]string{"health.degradedAfter", "health.unhealthyAfter"}))
	})

	It("has the times of ejection in order, those of services with what they have from the others, too", func() {
		times := func(least, most time.Duration) routing.Policy {
			return routing.Policy{Ejection: routing.Ejection{BaseTime: least, MaxTime: most}}
		}
		Expect((&routing.Config{Default: times(time.Hour, 0)}).Check()).To(Succeed(), "the other one grows with it")
		Expect(faults((&routing.Config{Default: times(0, time.Second)}).Check())).To(Equal([]string{"default.ejection.maxTime"}))
		Expect(faults((&routing.Config{Default: times(0, time.Minute), Services: map[string]routing.Policy{
			"a": times(time.Hour, 0), "b": times(0, time.Second), "c": times(time.Second, 2*time.Second), "d": {},
		}}).Check())).To(Equal([]string{"services.a.ejection.baseTime", "services.b.ejection.maxTime"}))
	})

	It("needs a region to have neighbours", func() {
		Expect(faults((&routing.Config{Neighbours: []string{"us"}}).Check())).To(Equal([]string{"neighbours"}))
	})

	DescribeTable("reads what a request is known by", func(text string, want routing.Key) {
		key, err := routing.ParseKey(text)
		Expect(err).NotTo(HaveOccurred())
		Expect(key).To(Equal(want))
	},
		Entry(nil, "subject", routing.Key{Kind: routing.KeySubject}),
		Entry(nil, "tenant", routing.Key{Kind: routing.KeyTenant}),
		Entry(nil, "address", routing.Key{Kind: routing.KeyAddress}),
		Entry(nil, "claim:urn:x:y", routing.Key{Kind: routing.KeyClaim, Name: "urn:x:y"}),
		Entry(nil, "header:x-session", routing.Key{Kind: routing.KeyHeader, Name: "X-Session"}),
		Entry(nil, "cookie:sid", routing.Key{Kind: routing.KeyCookie, Name: "sid"}),
	)

	DescribeTable("reads nothing else", func(text string) {
		_, err := routing.ParseKey(text)
		Expect(err).To(MatchError(HavePrefix("routing: key ")))
	}, Entry(nil, ""), Entry(nil, "subject:x"), Entry(nil, "claim"), Entry(nil, "claim:"), Entry(nil, "header:"), Entry(nil, "header:a b"),
		Entry(nil, "header:"+strings.Repeat("a", 129)), Entry(nil, "cookie:"), Entry(nil, "cookie:a=b"), Entry(nil, "mood:x"))
})
