package spec_test

import (
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/stella-ops/router/spec"
)

var _ = DescribeTable("A size", func(text string, bytes int64) {
	n, err := spec.ParseSize(text)
	if bytes == 0 {
		Expect(err).To(MatchError(ContainSubstring("expected a whole number from 1 and one of B, KB")))
		return
	}
	Expect(err).NotTo(HaveOccurred())
	Expect(n).To(Equal(bytes))
},
	Entry("in bytes", "7B", int64(7)),
	Entry("in powers of ten", "2MB", int64(2_000_000)),
	Entry("in powers of two", "64KiB", int64(65536)),
	Entry("as large as can be counted", "8589934591GiB", int64(8589934591)<<30),
	Entry("too large to be counted", "8589934592GiB", int64(0)),
	Entry("without a unit", "64", int64(0)),
	Entry("with a unit that is none", "64kib", int64(0)),
	Entry("without a number", "KiB", int64(0)),
	Entry("of nothing", "0B", int64(0)),
	Entry("with a sign", "-1B", int64(0)),
	Entry("that says nothing", "", int64(0)),
)
