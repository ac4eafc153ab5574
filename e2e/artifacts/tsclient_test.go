package artifacts

import (
	"os"
	"path/filepath"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

const tsc = "node_modules/typescript/bin/tsc"

var _ = Describe("the TypeScript client", func() {
	It("of every manifest passes the compiler's strictest checks", func() {
		said, ok := node(tsc, "--project", "tsclient", "--noEmit", "--exactOptionalPropertyTypes")
		Expect(ok).To(BeTrue(), said)
	})

	It("passes plain --strict, without the library for iterables of the DOM", func() {
		for name := range manifests {
			path := file("client.ts", export("tsclient", manifest(name)))
			said, ok := node(tsc, "--strict", "--noEmit", "--target", "es2022", "--lib", "es2022,dom", path)
			Expect(ok).To(BeTrue(), said)
		}
	})

	It("is refused where a call is given what it does not take", func() {
		text := string(export("tsclient", manifest("billing"))) + "\nvoid new Client().getInvoice({ key: 1 });\n"
		said, ok := node(tsc, "--strict", "--noEmit", "--target", "es2022", "--lib", "es2022,dom", file("client.ts", []byte(text)))
		Expect(ok).To(BeFalse())
		Expect(said).To(ContainSubstring("TS2353"))
	})

	It("runs the scenario of billing through a gateway", func() {
		out := GinkgoT().TempDir()
		said, ok := node(tsc, "--project", "tsclient", "--outDir", out)
		Expect(ok).To(BeTrue(), said)
		Expect(os.WriteFile(filepath.Join(out, "package.json"), []byte(`{"type":"module"}`), 0o600)).To(Succeed())
		s := startStack(true)
		said, ok = node(filepath.Join(out, "scenario.js"), s.url, s.token)
		Expect(ok).To(BeTrue(), said)
		Expect(strings.Count(said, "ok:")).To(Equal(9), said)
	})
})
