package override_test

import (
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/stella-ops/router/generator/override"
	"github.com/stella-ops/router/spec"
)

var _ = Describe("a key", func() {
	It("is one of the registry of directives", func() {
		for i, k := range override.Keys() {
			Expect(k.Name).NotTo(BeEmpty(), "number %d", i)
			Expect(k.Doc).NotTo(BeEmpty())
		}
	})

	DescribeTable("loosens or not",
		func(key, code, here string, want bool) {
			k, known := override.FindKey(key)
			Expect(known).To(BeTrue())
			a, message := k.Check(here)
			Expect(message).To(BeEmpty())
			b, message := k.Check(code)
			Expect(message).To(BeEmpty())
			Expect(k.Loosens(a, b)).To(Equal(want))
		},
		Entry(nil, "timeout", "5s", "5s", false), Entry(nil, "timeout", "5s", "5001ms", true), Entry(nil, "timeout", "5s", "1s", false),
		Entry(nil, "idle", "1m", "61s", true), Entry(nil, "idle", "1m", "60s", false), Entry(nil, "lease", "1m", "2m", true),
		Entry(nil, "body", "1MB", "1MiB", true), Entry(nil, "body", "1MiB", "1024KiB", false), Entry(nil, "attempts", "2", "3", true),
		Entry(nil, "unknown", "reject", "ignore", true), Entry(nil, "unknown", "ignore", "reject", false),
		Entry(nil, "stream", "both", "request", false), Entry(nil, "stream", "request", "both", true), Entry(nil, "stream", "request", "response", true),
		Entry(nil, "stream", "response", "none", false), Entry(nil, "stream", "none", "response", true), Entry(nil, "stream", "none", "none", false),
		Entry(nil, "stream", "both", "upgrade", true), Entry(nil, "stream", "upgrade", "both", true), Entry(nil, "stream", "upgrade", "none", true),
		Entry(nil, "stream", "upgrade", "upgrade", false),
		Entry(nil, "slo", "99", "1", false), Entry(nil, "stability", "beta", "experimental", false),
	)

	DescribeTable("tells whether two texts are one value",
		func(key, a, b string, want bool) {
			k, _ := override.FindKey(key)
			Expect(k.Same(a, b)).To(Equal(want))
		},
		Entry(nil, "timeout", "60s", "1m", true), Entry(nil, "timeout", "60s", "61s", false), Entry(nil, "body", "1MiB", "1024KiB", true),
		Entry(nil, "body", "1MiB", "1MB", false), Entry(nil, "slo", "99.90", "99.9", true), Entry(nil, "tags", "a,b", "a,b", true),
		Entry(nil, "tags", "a,b", "a", false), Entry(nil, "attempts", "05", "5", true), Entry(nil, "stream", "none", "both", false),
	)

	DescribeTable("of claims covers one of the code or not",
		func(here, code spec.ClaimRequirement, want bool) { Expect(here.Covers(code)).To(Equal(want)) },
		Entry("the same", spec.ClaimRequirement{Type: "a", Value: "b"}, spec.ClaimRequirement{Type: "a", Value: "b"}, true),
		Entry("narrower", spec.ClaimRequirement{Type: "a", Value: "b"}, spec.ClaimRequirement{Type: "a"}, true),
		Entry("wider", spec.ClaimRequirement{Type: "a"}, spec.ClaimRequirement{Type: "a", Value: "b"}, false),
		Entry("another value", spec.ClaimRequirement{Type: "a", Value: "c"}, spec.ClaimRequirement{Type: "a", Value: "b"}, false),
		Entry("another type", spec.ClaimRequirement{Type: "c", Value: "b"}, spec.ClaimRequirement{Type: "a"}, false),
	)
})
