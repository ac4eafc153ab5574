package breaking_test

import (
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/stella-ops/router/generator/breaking"
	"github.com/stella-ops/router/generator/diagnostic"
	"github.com/stella-ops/router/spec"
)

var _ = Describe("waivers", func() {
	minor := func(m *spec.Manifest) { m.Version = "1.5.0" }

	// waived is a review of billing without a list of invoices.
	waived := func(use string, list ...breaking.Waiver) (found, waivers []diagnostic.Finding) {
		GinkgoHelper()
		cfg := breaking.Config{Rules: selection(use), Today: today, Waivers: breaking.NewWaivers(list)}
		found = breaking.Review(breaking.Subject{Manifest: billing(without(listInvoices), minor)},
			[]breaking.Baseline{{Name: "before", Manifest: billing()}}, cfg).Findings
		return found, cfg.Waivers.Findings(cfg)
	}
	good := func() breaking.Waiver {
		GinkgoHelper()
		found, _ := waived("ENDPOINT_REMOVED")
		Expect(found).To(HaveLen(1))
		return breaking.Waiver{
			Rule: "ENDPOINT_REMOVED", Endpoint: listInvoices, Fingerprint: found[0].Fingerprint, Reason: "nobody calls it", Owner: "@billing", Until: "2027-01-31",
		}
	}

	It("say why a change does not count, which then breaks nothing", func() {
		found, faults := waived(breaking.Standard, good())
		Expect(faults).To(BeEmpty())
		Expect(found).To(ConsistOf(And(HaveField("Rule", breaking.EndpointRemoved),
			HaveField("Waiver", "nobody calls it (@billing, until 2027-01-31)"))))
	})

	It("hold for one change of one service, by its id as by its name", func() {
		w := good()
		w.Rule = string(breaking.EndpointRemoved)
		found, _ := waived("ENDPOINT_REMOVED", w)
		Expect(found[0].Waiver).NotTo(BeEmpty())
		Expect(breaking.Change{Rule: breaking.EndpointRemoved, Endpoints: []string{listInvoices}, Where: "removed"}.Fingerprint("billing")).To(Equal(w.Fingerprint))
		Expect(breaking.Change{Rule: breaking.EndpointRemoved, Endpoints: []string{listInvoices}, Where: "removed"}.Fingerprint("other")).NotTo(Equal(w.Fingerprint))
		Expect(breaking.Change{Rule: breaking.EndpointRemoved, Endpoints: []string{listInvoices}, Where: "removed", Text: "other words"}.Fingerprint("billing")).
			To(Equal(w.Fingerprint))
	})

	DescribeTable("that are wrong waive nothing",
		func(change func(*breaking.Waiver), rule diagnostic.ID, message string) {
			w := good()
			change(&w)
			found, faults := waived(breaking.Standard, w)
			Expect(names(found)).To(Equal([]string{"ENDPOINT_REMOVED", "MAJOR_NOT_BUMPED"}))
			Expect(found).To(HaveEach(HaveField("Waiver", "")))
			if message == "" {
				Expect(faults).To(BeEmpty())
				return
			}
			Expect(faults).To(ConsistOf(And(HaveField("Rule", rule), HaveField("Message", ContainSubstring(message)))))
			known, _ := breaking.Find(string(rule))
			Expect(faults[0].Severity).To(Equal(known.Severity))
		},
		Entry("no reason", func(w *breaking.Waiver) { w.Reason = "" }, breaking.WaiverInvalid, "has no reason"),
		Entry("no owner", func(w *breaking.Waiver) { w.Owner = "" }, breaking.WaiverInvalid, "has no owner"),
		Entry("no end", func(w *breaking.Waiver) { w.Until = "" }, breaking.WaiverInvalid, "has no until"),
		Entry("no day", func(w *breaking.Waiver) { w.Until = "soon" }, breaking.WaiverInvalid, "expected a day such as"),
		Entry("no rule there is", func(w *breaking.Waiver) { w.Rule = "ENDPOINT_GONE" }, breaking.WaiverInvalid, "ENDPOINT_GONE"),
		Entry("too long", func(w *breaking.Waiver) { w.Until = "2027-05-27" }, breaking.WaiverInvalid, "more than 180 days ahead"),
		Entry("too late", func(w *breaking.Waiver) { w.Until = "2026-11-26" }, breaking.WaiverExpired, "has expired on 2026-11-26"),
		Entry("another change", func(w *breaking.Waiver) { w.Fingerprint = "0123456789abcdef" }, breaking.WaiverUnused, "waives nothing"),
		Entry("another endpoint", func(w *breaking.Waiver) { w.Endpoint = create }, breaking.WaiverUnused, "waives nothing"),
		Entry("an endpoint that is not looked at", func(w *breaking.Waiver) { w.Endpoint = "GET /elsewhere" }, breaking.WaiverUnused, ""),
	)

	It("hold on their last day, and for 180 days", func() {
		for _, until := range []string{"2026-11-27", "2027-05-26"} {
			w := good()
			w.Until = until
			found, faults := waived(breaking.Standard, w)
			Expect(faults).To(BeEmpty())
			Expect(found).To(HaveEach(HaveField("Waiver", ContainSubstring(until))))
		}
	})

	It("of rules that are not selected are left alone", func() {
		w := good()
		w.Fingerprint = "0123456789abcdef"
		_, faults := waived(breaking.JSON, w)
		Expect(faults).To(BeEmpty())
	})

	It("waive changes of the service itself at *", func() {
		found, _ := waived("MAJOR_NOT_BUMPED")
		w := good()
		w.Rule, w.Endpoint, w.Fingerprint = "MAJOR_NOT_BUMPED", breaking.AnyEndpoint, found[0].Fingerprint
		found, faults := waived("MAJOR_NOT_BUMPED", w)
		Expect(faults).To(BeEmpty())
		Expect(found[0].Waiver).NotTo(BeEmpty())
	})
})
