package breaking_test

import (
	"slices"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/stella-ops/router/generator/breaking"
	"github.com/stella-ops/router/spec"
)

// within promises that a share of the calls is answered well in some milliseconds.
func within(share string, ms int64) func(*spec.Manifest) {
	return of(create, func(e *spec.Endpoint) { e.SLO, e.WithinMS = share, ms })
}

func slo(share string) func(*spec.Manifest) {
	return of(create, func(e *spec.Endpoint) { e.SLO = share })
}

func deprecated(why, sunset string) func(*spec.Manifest) {
	return of(create, func(e *spec.Endpoint) { e.Deprecated, e.Sunset = why, sunset })
}

func limits(change func(*spec.Limits)) func(*spec.Manifest) {
	return of(attach, func(e *spec.Endpoint) { change(&e.Limits) })
}

var opsMutations = []mutation{
	{
		rule: "TIMEOUT_SHRUNK", breaks: limits(func(l *spec.Limits) { l.TimeoutMS-- }),
		harmless: limits(func(l *spec.Limits) { l.IdleMS++ }),
	},
	{
		rule: "TIMEOUT_GREW", breaks: limits(func(l *spec.Limits) { l.TimeoutMS++ }),
		harmless: limits(func(l *spec.Limits) { l.IdleMS++ }),
	},
	{
		rule: "IDLE_SHRUNK", breaks: limits(func(l *spec.Limits) { l.IdleMS-- }),
		harmless: of(create, func(e *spec.Endpoint) { e.Limits.IdleMS-- }), // it streams nothing
	},
	{
		rule: "BODY_LIMIT_SHRUNK", breaks: limits(func(l *spec.Limits) { l.MaxBodyBytes-- }),
		harmless: limits(func(l *spec.Limits) { l.IdleMS++ }),
	},
	{
		rule: "BODY_LIMIT_GREW", breaks: limits(func(l *spec.Limits) { l.MaxBodyBytes++ }),
		harmless: limits(func(l *spec.Limits) { l.IdleMS++ }),
	},
	{
		rule: "ATTEMPTS_LOWERED", breaks: of(makeReport, func(e *spec.Endpoint) { e.Queue.Attempts-- }),
		harmless: of(makeReport, func(e *spec.Endpoint) { e.Queue.Attempts++ }),
	},
	{
		rule: "LEASE_SHRUNK", breaks: of(makeReport, func(e *spec.Endpoint) { e.Queue.LeaseMS-- }),
		harmless: of(makeReport, func(e *spec.Endpoint) { e.Queue.LeaseMS++ }),
	},
	{rule: "SLO_LOWERED", before: slo("99.95"), breaks: slo("99.9"), harmless: slo("99.9500000000000000001")},
	{rule: "SLO_REMOVED", before: within("99.95", 300), breaks: slo(""), harmless: within("100", 300)},
	{rule: "SLO_SLOWED", before: within("99.95", 300), breaks: within("99.95", 301), harmless: within("99.95", 299)},
}

var lifecycleMutations = []mutation{
	{
		rule: "ENDPOINT_REMOVED_BEFORE_SUNSET", before: deprecated("it is old", "2026-11-27"), breaks: without(create),
		harmless: deprecated("it is very old", "2026-11-27"),
	},
	{
		rule: "STABILITY_DECREASED", before: of(create, func(e *spec.Endpoint) { e.Stability = spec.StabilityBeta }),
		breaks:   of(create, func(e *spec.Endpoint) { e.Stability = spec.StabilityExperimental }),
		harmless: of(create, func(e *spec.Endpoint) { e.Stability = "" }),
	},
	{rule: "DEPRECATED_WITHOUT_SUNSET", breaks: deprecated("it is old", ""), harmless: deprecated("it is old", "2027-01-31")},
	{
		rule: "SUNSET_MOVED_EARLIER", before: deprecated("it is old", "2027-02-01"), breaks: deprecated("it is old", "2027-01-31"),
		harmless: deprecated("it is old", "2027-02-02"),
	},
	{
		rule: "VERSION_NOT_BUMPED", version: "1.4.0", breaks: with("GET", "/status"),
		harmless: of(create, func(e *spec.Endpoint) { e.Doc = "CreateInvoice is documented." }),
	},
	{
		rule: "MAJOR_NOT_BUMPED", version: "1.5.0", breaks: without(listInvoices), harmless: with("GET", "/status"),
	},
	{
		rule: "VERSION_DECREASED", version: "1.3.9", breaks: with("GET", "/status"), harmless: nil, // the version alone
	},
}

// positive insists on the rule, and no other.
func (mu mutation) positive() {
	GinkgoHelper()
	var use []string
	if mu.rule == "MAJOR_NOT_BUMPED" { // it follows from another rule, which is not asked for here
		use = []string{mu.rule}
	}
	found := review(billing(mu.before), billing(mu.before, mu.breaks, mu.bump), use...)
	Expect(names(found)).To(Equal([]string{mu.rule}))
	rule, _ := breaking.Find(mu.rule)
	for _, f := range found {
		Expect(f.Severity).To(Equal(rule.Severity))
		Expect(f.Fingerprint).To(MatchRegexp("^[0-9a-f]{16}$"))
		Expect(f.Message).NotTo(BeEmpty())
	}
}

func (mu mutation) negative() {
	GinkgoHelper()
	if mu.rule == "VERSION_DECREASED" { // what is harmless of it is the version
		mu.version = "1.4.1"
	}
	found := names(review(billing(mu.before), billing(mu.before, mu.harmless, mu.bump)))
	Expect(found).To(BeEmpty())
}

// bump gives the changed manifest its version.
func (mu mutation) bump(m *spec.Manifest) {
	m.Version = mu.version
	if mu.version == "" {
		m.Version = "2.0.0"
	}
}

var _ = Describe("the table of rules", func() {
	It("has a mutation for each rule, but for those about waivers", func() {
		var have, want []string
		for _, mu := range mutations {
			have = append(have, mu.rule)
			Expect(mu.breaks).NotTo(BeNil(), mu.rule)
			Expect(mu.harmless == nil).To(Equal(mu.rule == "VERSION_DECREASED"), "%s: what is harmless of it", mu.rule)
		}
		for _, r := range breaking.Rules() {
			if !strings.HasPrefix(r.Name, "WAIVER_") {
				want = append(want, r.Name)
			}
		}
		slices.Sort(have)
		slices.Sort(want)
		Expect(have).To(Equal(want))
	})
})
