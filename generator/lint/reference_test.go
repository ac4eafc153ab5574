package lint_test

import (
	"fmt"
	"os"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/stella-ops/router/generator/lint"
)

const referenceFile = "../../docs/reference/lint.md"

// reference is the documentation of all rules, made from the table.
func reference() string {
	var b strings.Builder
	b.WriteString("# Rules of stellagen lint\n\nMade from the table of rules: `go test ./generator/lint -update` writes it. What lint is, and how to " +
		"ignore a\nfinding: [lint](../lint.md).\n")
	category := ""
	for _, r := range lint.Rules() {
		if r.Category != category {
			category = r.Category
			fmt.Fprintf(&b, "\n## %s\n\n| id | name | severity | preset | finds |\n|---|---|---|---|---|\n", category)
		}
		fmt.Fprintf(&b, "| %s | `%s` | %s | %s | %s: %s |\n", r.ID, r.Name, r.Severity, lint.PresetOf(r.ID), r.Title, strings.ReplaceAll(r.Text, "|", `\|`))
	}
	return b.String()
}

var _ = Describe("the reference", func() {
	It("is that of the table", func() {
		if *update {
			Expect(os.WriteFile(referenceFile, []byte(reference()), 0o600)).To(Succeed())
		}
		got, err := os.ReadFile(referenceFile)
		Expect(err).NotTo(HaveOccurred())
		Expect(string(got)).To(Equal(reference()))
	})
})
