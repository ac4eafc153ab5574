package generator_test

import (
	"bytes"
	"os"
	"path/filepath"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/stella-ops/router/generator/diagnostic"
)

var _ = Describe("the rules", func() {
	It("are each shown by an archive or a script", func() {
		var shown bytes.Buffer
		for _, pattern := range []string{"testdata/*.txtar", "cmd/stellagen/testdata/*.txtar"} {
			names, err := filepath.Glob(pattern)
			Expect(err).NotTo(HaveOccurred())
			for _, name := range names {
				text, err := os.ReadFile(name)
				Expect(err).NotTo(HaveOccurred())
				shown.Write(text)
			}
		}
		for _, rule := range diagnostic.Rules() {
			Expect(shown.String()).To(ContainSubstring(string(rule.ID)+": "), rule.Title)
		}
	})
})
