package limit_test

import (
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/stella-ops/router/gateway/limit"
)

var _ = Describe("a rule", func() {
	good := func(change ...func(*limit.Rule)) limit.Rule {
		r := limit.Rule{Name: "invoices", Service: "billing", Endpoint: "POST /invoices/{id}", By: "tenant", Rate: 10, Per: time.Second}
		for _, f := range change {
			f(&r)
		}
		return r
	}

	It("is good as long as nothing is wrong with it", func() {
		for _, r := range []limit.Rule{
			good(), {Name: "x", Rate: 1, Per: 31 * 24 * time.Hour}, {Name: "x", Rate: 100_000, Per: time.Second, Burst: 1},
			good(func(r *limit.Rule) { r.By = "claim:team" }),
			good(func(r *limit.Rule) { r.Scope, r.Failure = limit.ScopeEnvironment, limit.FailureLocal }),
		} {
			Expect(r.Check()).To(Succeed())
		}
	})

	DescribeTable("is refused with its name and what was expected",
		func(change func(*limit.Rule), want string) {
			r := good(change)
			Expect(r.Check()).To(MatchError(ContainSubstring(want)))
		},
		Entry("a name for no label", func(r *limit.Rule) { r.Name = `a"b` }, `rule "a\"b": its name: expected 1 to 64 letters`),
		Entry("no name", func(r *limit.Rule) { r.Name = "" }, "its name"),
		Entry("a service that cannot be", func(r *limit.Rule) { r.Service = "Billing!" }, `rule "invoices": service:`),
		Entry("an endpoint without a method", func(r *limit.Rule) { r.Endpoint = "/invoices" }, "expected a method and a path, such as POST /invoices"),
		Entry("a path that cannot be", func(r *limit.Rule) { r.Endpoint = "POST invoices" }, "endpoint:"),
		Entry("counting by something else", func(r *limit.Rule) { r.By = "claim:" }, `by: expected all, subject, tenant, claim:TYPE or address, got "claim:"`),
		Entry("no rate", func(r *limit.Rule) { r.Rate = 0 }, "rate: expected at least 1, got 0"),
		Entry("no time", func(r *limit.Rule) { r.Per = 0 }, "per: expected a time above zero and up to 744h"),
		Entry("too long a time", func(r *limit.Rule) { r.Per = 32 * 24 * time.Hour }, "per:"),
		Entry("a rate beyond the clock", func(r *limit.Rule) { r.Rate = 100_001 }, "expected at most one request in 10µs"),
		Entry("a negative burst", func(r *limit.Rule) { r.Burst = -1 }, "burst: expected at least 1"),
		Entry("a burst for ever", func(r *limit.Rule) { r.Per, r.Burst = 744*time.Hour, 1<<40 }, "burst: expected one that is whole again"),
		Entry("another scope", func(r *limit.Rule) { r.Scope = "world" }, `scope: expected instance or environment, got "world"`),
		Entry("no failure mode", func(r *limit.Rule) { r.Scope = limit.ScopeEnvironment }, `failure: expected open, closed or local, got ""`),
		Entry("a failure mode for nothing", func(r *limit.Rule) { r.Failure = limit.FailureOpen }, "failure: is for scope environment"),
	)

	It("names all its faults at once", func() {
		err := (&limit.Rule{Name: "x", By: "y", Scope: "z"}).Check()
		for _, want := range []string{"by:", "rate:", "per:", "scope:"} {
			Expect(err).To(MatchError(ContainSubstring(want)))
		}
	})
})

var _ = Describe("a configuration", func() {
	It("that says nothing limits nothing", func() {
		l := newLimiter(limit.Config{})
		Expect(l.Plan("billing", invoices)).To(BeNil())
		Expect((*limit.Limiter)(nil).Plan("billing", invoices)).To(BeNil())
	})

	DescribeTable("is refused",
		func(c limit.Config, want string) {
			_, err := limit.New(c, quiet)
			Expect(err).To(MatchError(ContainSubstring(want)))
		},
		Entry("with two rules of a name", limit.Config{Rules: []limit.Rule{
			{Name: "a", Rate: 1, Per: time.Second}, {Name: "a", By: "subject", Rate: 1, Per: time.Second},
		}}, `rule "a" is given twice`),
		Entry("with two rules for the same, however the parameter is called", limit.Config{Rules: []limit.Rule{
			{Name: "a", Endpoint: "GET /x/{id}", Rate: 1, Per: time.Second}, {Name: "b", Endpoint: "GET /x/{key}", By: "all", Rate: 1, Per: time.Second},
		}}, `rule "b" counts the same requests by the same as rule "a"`),
		Entry("with rules of an environment and no store", limit.Config{Rules: []limit.Rule{
			{Name: "a", Rate: 1, Per: time.Second, Scope: limit.ScopeEnvironment, Failure: limit.FailureOpen},
		}}, "expected a store, valkey://host:port"),
		Entry("with a store of another kind", limit.Config{Store: "http://localhost:80"}, "expected valkey://"),
		Entry("with a store without a port", limit.Config{Store: "valkey://localhost"}, "expected valkey://"),
		Entry("with a parameter that there is not", limit.Config{Store: "valkey://localhost:1?group=x"}, "expected one parameter at most, prefix"),
		Entry("with an environment for no key", limit.Config{Environment: "a b"}, "environment: expected"),
		Entry("without gateways", limit.Config{Gateways: -1}, "expected at least 1 each"),
		Entry("with concurrency the wrong way round", limit.Config{Concurrency: limit.Concurrency{Min: 10, Max: 5}}, "expected a total from 0, and 1 <= min <= max"),
		Entry("with fewer than no connections", limit.Config{Connections: limit.Connections{Total: -1}}, "connections: expected numbers from 0"),
		Entry("with a class that there is not", limit.Config{Priorities: []limit.Priority{{Service: "a", Class: "vip"}}},
			"class: expected critical, normal or background"),
		Entry("with a class for nothing", limit.Config{Priorities: []limit.Priority{{Class: "critical"}}}, "expected a service, an endpoint, or both"),
		Entry("with two classes for one", limit.Config{Priorities: []limit.Priority{
			{Endpoint: "GET /x/{a}", Class: "critical"}, {Endpoint: "GET /x/{b}", Class: "background"},
		}}, "is for the same as another one"),
	)

	It("is refused without showing the store's password", func() {
		_, err := limit.New(limit.Config{Store: "valkey://me:secret@localhost:99999"}, quiet)
		Expect(err).To(MatchError(Not(ContainSubstring("secret"))))
	})
})
