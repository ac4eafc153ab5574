package limit_test

import (
	"context"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/stella-ops/router/gateway/limit"
	"github.com/stella-ops/router/gateway/telemetry"
	"github.com/stella-ops/router/spec"
)

// per is a rule with a burst that lasts as long as a spec.
func per(name, service, endpoint, by string, burst int) limit.Rule {
	return limit.Rule{Name: name, Service: service, Endpoint: endpoint, By: by, Rate: 1, Per: time.Hour, Burst: burst}
}

var _ = Describe("rules", func() {
	now := time.Now()

	It("that are more specific replace those that count by the same, and the others stay", func() {
		l := newLimiter(limit.Config{Rules: []limit.Rule{
			per("all", "", "", "all", 90), per("subjects", "", "", "subject", 80), per("billing", "billing", "", "all", 70),
			per("anywhere", "", "POST /invoices/{id}", "all", 60), per("invoices", "billing", "POST /invoices/{id}", "subject", 3),
		}})
		passing := func(service, identity string) (int, string) {
			p := l.Plan(service, identity)
			d := l.Take(context.Background(), p, subject("somebody"), now)
			return d.Limit, d.Rule
		}
		for _, want := range []struct {
			service, identity, rule string
			limit                   int
		}{
			{"billing", invoices, "invoices", 3},
			{"other", invoices, "anywhere", 60},
			{"billing", "GET /", "billing", 70},
			{"other", "GET /", "subjects", 79 + 1},
		} {
			got, rule := passing(want.service, want.identity)
			Expect([]any{rule, got}).To(Equal([]any{want.rule, want.limit}), "%+v", want)
		}
	})

	It("share a count over all that falls under them", func() {
		l := newLimiter(limit.Config{Rules: []limit.Rule{per("billing", "billing", "", "all", 10)}})
		Expect(taken(l, l.Plan("billing", "GET /a"), subject("a"), 6, now)).To(Equal(6))
		Expect(taken(l, l.Plan("billing", "GET /b"), subject("b"), 6, now)).To(Equal(4))
		Expect(l.Plan("other", "GET /a").Limited()).To(BeFalse())
	})

	It("that refuse give back what those before them have counted", func() {
		l := newLimiter(limit.Config{Rules: []limit.Rule{per("a-all", "", "", "all", 10), per("b-subject", "", "", "subject", 2)}})
		p := l.Plan("billing", invoices)
		Expect(taken(l, p, subject("greedy"), 100, now)).To(Equal(2))
		Expect(taken(l, p, subject("second"), 2, now) + taken(l, p, subject("third"), 2, now) + taken(l, p, subject("fourth"), 2, now)).To(Equal(6))
		Expect(l.Limits().Rules).To(ContainElement(telemetry.RuleCount{Rule: "b-subject", Source: "memory", Allowed: 8, Refused: 98}))
	})

	DescribeTable("count by what they say",
		func(by string, same, other limit.Caller) {
			l := newLimiter(limit.Config{Rules: []limit.Rule{per("x", "", "", by, 2)}})
			p := l.Plan("billing", invoices)
			first := limit.Caller{Address: "192.0.2.1:1234", Identity: &spec.Identity{
				Subject: "s", Tenant: "t", Claims: []spec.Claim{{Type: "team", Value: "red"}, {Type: "team", Value: "blue"}},
			}}
			Expect(taken(l, p, first, 2, now)).To(Equal(2))
			Expect(taken(l, p, same, 2, now)).To(BeZero())
			want := 2
			if by == "all" {
				want = 0
			}
			Expect(taken(l, p, other, 3, now)).To(Equal(want))
		},
		Entry("all", "all", from("[2001:db8::1]:1"), from("198.51.100.1:1")),
		Entry("subject", "subject", subject("s"), subject("t")),
		Entry("tenant", "tenant", limit.Caller{Identity: &spec.Identity{Tenant: "t"}}, limit.Caller{Identity: &spec.Identity{Tenant: "u"}}),
		Entry("a claim, whose first value counts", "claim:team",
			limit.Caller{Identity: &spec.Identity{Claims: []spec.Claim{{Type: "x"}, {Type: "team", Value: "red"}}}},
			limit.Caller{Identity: &spec.Identity{Claims: []spec.Claim{{Type: "team", Value: "blue"}, {Type: "team", Value: "red"}}}}),
		Entry("an IPv4 address", "address", from("[::ffff:192.0.2.1]:9"), from("192.0.2.2:1234")),
		Entry("callers without a subject together", "subject", subject("s"), from("192.0.2.9:1")),
	)

	It("count all of an IPv6 /64 as one", func() {
		l := newLimiter(limit.Config{Rules: []limit.Rule{per("x", "", "", "address", 2)}})
		p := l.Plan("billing", invoices)
		Expect(taken(l, p, from("[2001:db8:0:1::1]:1"), 2, now)).To(Equal(2))
		Expect(taken(l, p, from("[2001:db8:0:1:ffff::2]:1"), 2, now)).To(BeZero())
		Expect(taken(l, p, from("[2001:db8:0:2::1]:1"), 3, now)).To(Equal(2))
	})

	It("pass the rate and no more over time, whatever the burst", func() {
		l := newLimiter(limit.Config{Rules: []limit.Rule{{Name: "x", Rate: 100, Per: time.Second, Burst: 20}}})
		p, passed := l.Plan("billing", invoices), 0
		for i := range 10_000 { // 1,000 a second for 10 s
			passed += taken(l, p, subject("x"), 1, now.Add(time.Duration(i)*time.Millisecond))
		}
		Expect(passed).To(BeNumerically("~", 10*100+20, 1))
	})

	It("keep their counts when others are put in force, and are gone when they are left out", func() {
		c := limit.Config{Rules: []limit.Rule{per("x", "", "", "subject", 5)}}
		l := newLimiter(c)
		Expect(taken(l, l.Plan("billing", invoices), subject("x"), 9, now)).To(Equal(5))
		c.Rules = append(c.Rules, per("y", "", "", "all", 100))
		Expect(l.Apply(c)).To(Succeed())
		Expect(taken(l, l.Plan("billing", invoices), subject("x"), 9, now)).To(BeZero())
		Expect(l.Limits().Rules).To(ContainElement(telemetry.RuleCount{Rule: "x", Source: "memory", Allowed: 5, Refused: 13}))
		c.Rules = append(c.Rules, limit.Rule{Name: "x"})
		Expect(l.Apply(c)).NotTo(Succeed())
		Expect(taken(l, l.Plan("billing", invoices), subject("x"), 9, now)).To(BeZero(), "the old ones stay in force")
		Expect(l.Apply(limit.Config{})).To(Succeed())
		Expect(l.Plan("billing", invoices)).To(BeNil())
		c.Rules = []limit.Rule{{Name: "z", Rate: 1, Per: 1, Scope: limit.ScopeEnvironment, Failure: limit.FailureOpen}}
		Expect(l.Apply(c)).NotTo(Succeed())
	})

	It("have decisions that headers say", func() {
		l := newLimiter(limit.Config{Headers: true, Rules: []limit.Rule{
			{Name: "day", By: "subject", Rate: 1000, Per: 24 * time.Hour}, {Name: "fast", Rate: 10, Per: 5 * time.Second, Burst: 4},
		}})
		p := l.Plan("billing", invoices)
		Expect(p.Policy()).To(Equal([]string{`"day";q=1000;w=86400, "fast";q=4;w=2`}))
		d := l.Take(context.Background(), p, subject("x"), now)
		Expect(d).To(Equal(limit.Decision{Allowed: true, Rule: "fast", Limit: 4, Remaining: 3, Reset: 500 * time.Millisecond, Source: limit.SourceMemory}))
		Expect(d.Field()).To(Equal(`"fast";r=3;t=1`))
		Expect(taken(l, p, subject("x"), 9, now)).To(Equal(3))
		d = l.Take(context.Background(), p, subject("x"), now.Add(100*time.Millisecond))
		Expect(d).To(Equal(limit.Decision{
			Rule: "fast", Limit: 4, Reset: 1900 * time.Millisecond, RetryAfter: 400 * time.Millisecond, Source: limit.SourceMemory,
		}))
		Expect(d.Field()).To(Equal(`"fast";r=0;t=2`))
		Expect(d.RetryAfterSeconds()).To(Equal("1"))
		Expect((&limit.Decision{RetryAfter: 1001 * time.Millisecond}).RetryAfterSeconds()).To(Equal("2"))
		Expect((&limit.Decision{}).RetryAfterSeconds()).To(Equal("1"))
		Expect((&limit.Decision{Allowed: true, Remaining: -1}).Field()).To(BeEmpty())
	})
})
