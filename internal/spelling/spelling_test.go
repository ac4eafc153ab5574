package spelling_test

import (
	"testing"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/stella-ops/router/internal/spelling"
)

func TestSpelling(t *testing.T) {
	RegisterFailHandler(Fail)
	RunSpecs(t, "Spelling")
}

var _ = Describe("suggesting", func() {
	DescribeTable("the nearest of the candidates, if one is near",
		func(word, want string) {
			Expect(spelling.Suggest(word, []string{"path", "query", "header", "json", "required"})).To(Equal(want))
		},
		Entry(nil, "qurey", "query"), Entry(nil, "Path", "path"), Entry(nil, "pth", "path"), Entry(nil, "heaader", "header"),
		Entry(nil, "require", "required"), Entry(nil, "yaml", ""), Entry(nil, "", ""), Entry(nil, "x", ""),
	)

	DescribeTable("counts letters inserted, dropped, changed and swapped",
		func(a, b string, want int) {
			Expect(spelling.Distance(a, b)).To(Equal(want))
			Expect(spelling.Distance(b, a)).To(Equal(want))
		},
		Entry(nil, "", "abc", 3), Entry(nil, "abc", "ABC", 0), Entry(nil, "ab", "ba", 1), Entry(nil, "kitten", "sitting", 3),
	)
})
