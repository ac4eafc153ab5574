package breaking_test

import (
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/stella-ops/router/generator/breaking"
	"github.com/stella-ops/router/spec"
)

var _ = Describe("advice about the version", func() {
	version := func(v string) func(*spec.Manifest) { return func(m *spec.Manifest) { m.Version = v } }
	same := func(*spec.Manifest) {}
	grown, broken, opened := with("GET", "/status"), without(listInvoices), of(create, func(e *spec.Endpoint) { e.Claims, e.Public = nil, "why not" })

	DescribeTable("suggests the lowest version that says what changed, and names what is wrong with the one that is there",
		func(change func(*spec.Manifest), was, is, suggested, rule string) {
			report := breaking.Review(breaking.Subject{Manifest: billing(change, version(is))},
				[]breaking.Baseline{{Name: "file:old", Manifest: billing(version(was))}},
				breaking.Config{Rules: selection("VERSION_NOT_BUMPED", "MAJOR_NOT_BUMPED", "VERSION_DECREASED"), Today: today})
			Expect(report.Advice).To(Equal([]breaking.Advice{
				{Baseline: "file:old", Service: "billing", Was: was, Is: is, Suggested: suggested},
			}))
			if rule == "" {
				Expect(report.Findings).To(BeEmpty())
				return
			}
			Expect(names(report.Findings)).To(Equal([]string{rule}))
			Expect(report.Findings[0].Hint).To(HavePrefix("suggested: " + suggested))
		},
		Entry(nil, same, "1.4.0", "1.4.0", "1.4.0", ""),
		Entry(nil, same, "1.4.0", "1.5.0", "1.4.0", ""),
		Entry(nil, same, "1.4.0", "1.4.0-rc.1", "1.4.0", "VERSION_DECREASED"),
		Entry(nil, grown, "1.4.0", "1.4.0", "1.5.0", "VERSION_NOT_BUMPED"),
		Entry(nil, grown, "1.4.0", "1.4.1", "1.5.0", ""),
		Entry(nil, grown, "1.4.0", "1.4.0+build.2", "1.5.0", ""),
		Entry(nil, grown, "0.4.0", "0.4.0", "0.4.1", "VERSION_NOT_BUMPED"),
		Entry(nil, broken, "1.4.0", "1.4.0", "2.0.0", "VERSION_NOT_BUMPED"),
		Entry(nil, broken, "1.4.0", "1.5.0", "2.0.0", "MAJOR_NOT_BUMPED"),
		Entry(nil, broken, "1.4.0", "2.0.0-rc.1", "2.0.0", ""),
		Entry(nil, broken, "1.4.0", "1.3.0", "2.0.0", "VERSION_DECREASED"),
		Entry(nil, broken, "0.4.2", "0.4.3", "0.5.0", "MAJOR_NOT_BUMPED"),
		Entry(nil, broken, "0.4.2", "0.5.0", "0.5.0", ""),
		Entry(nil, broken, "0.4.2", "1.0.0", "0.5.0", ""),
		Entry(nil, broken, "2.0.0-rc.1", "2.0.0-rc.2", "2.0.0", ""),
		Entry("granted access breaks nobody", opened, "1.4.0", "1.5.0", "1.5.0", ""),
	)
})

var _ = Describe("a review", func() {
	It("names the place in the manifest, and every baseline that it breaks", func() {
		shorter := func(ms int64) func(*spec.Manifest) {
			return of(create, func(e *spec.Endpoint) { e.Limits.TimeoutMS = ms })
		}
		now := billing(shorter(4000))
		source, err := now.Encode()
		Expect(err).NotTo(HaveOccurred())
		report := breaking.Review(breaking.Subject{Manifest: now, File: "stella.manifest.json", Source: source},
			[]breaking.Baseline{{"git:main", billing()}, {"git:v1", billing()}, {"file:x", billing(shorter(6000))}},
			breaking.Config{Rules: selection("TIMEOUT_SHRUNK", "VERSION_NOT_BUMPED"), Today: today})
		Expect(report.Findings).To(HaveLen(3))
		Expect(report.Findings[0].Message).To(Equal("POST /invoices: timeout shrank from 5s to 4s, against git:main, git:v1"))
		Expect(report.Findings[2].Message).To(Equal("POST /invoices: timeout shrank from 6s to 4s, against file:x"))
		lines := splitLines(source)
		Expect(lines[report.Findings[0].Pos.Line-2]).To(Equal(`      "method": "POST",`))
		Expect(lines[report.Findings[0].Pos.Line-1]).To(Equal(`      "path": "/invoices",`))
		Expect(lines[report.Findings[1].Pos.Line-1]).To(Equal(`  "version": "1.4.0"`))
	})
})

func splitLines(source []byte) []string { return strings.Split(string(source), "\n") }
