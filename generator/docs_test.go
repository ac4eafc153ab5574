package generator_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/stella-ops/router/spec"
)

// fenced are the code blocks of a document.
var fenced = regexp.MustCompile("(?ms)^```([a-z]+)\n(.*?)^```$")

var _ = Describe("docs/overrides.md", func() {
	It("shows a service, a file beside it, what comes of both, and a finding", func(ctx SpecContext) {
		text, err := os.ReadFile("../docs/overrides.md")
		Expect(err).NotTo(HaveOccurred())
		block := map[string]string{}
		for _, b := range fenced.FindAllStringSubmatch(string(text), -1) {
			Expect(block).NotTo(HaveKey(b[1]))
			block[b[1]] = b[2]
		}
		dir := filepath.Join(GinkgoT().TempDir(), "billing")
		write := func(name, content string) {
			GinkgoHelper()
			Expect(os.MkdirAll(dir, 0o750)).To(Succeed())
			Expect(os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600)).To(Succeed())
		}
		write("../go.mod", "module example.com/shop\n\ngo 1.26\n")
		write("billing.go", block["go"])
		write("stella.yaml", block["yaml"])

		m, err := spec.ParseManifest([]byte(run(ctx, filepath.Dir(dir))[wantPrefix+"billing/stella.manifest.json"]))
		Expect(err).NotTo(HaveOccurred())
		Expect(m.Endpoints).To(HaveLen(2))
		list, get := m.Endpoints[0], m.Endpoints[1]
		read := []spec.ClaimRequirement{{Type: "scope", Value: "billing:read"}}
		Expect(get.Limits.TimeoutMS).To(BeEquivalentTo(2000))
		Expect(get.Claims).To(Equal(read))
		Expect(list.Limits.TimeoutMS).To(BeEquivalentTo(10_000))
		Expect(list.Claims).To(Equal(read))
		Expect([]string{get.SLO, list.SLO}).To(Equal([]string{"99.9", "99.9"}))

		write("stella.yaml", strings.Replace(block["yaml"], "timeout: 2s", "timeout: 20s", 1))
		Expect(run(ctx, filepath.Dir(dir))[wantErrors]).To(HavePrefix(block["text"]))
	})
})
