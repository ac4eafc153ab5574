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

	// compiled is a folder with what the folder tsclient has, as JavaScript.
	compiled := func() string {
		GinkgoHelper()
		out := GinkgoT().TempDir()
		said, ok := node(tsc, "--project", "tsclient", "--outDir", out)
		Expect(ok).To(BeTrue(), said)
		Expect(os.WriteFile(filepath.Join(out, "package.json"), []byte(`{"type":"module"}`), 0o600)).To(Succeed())
		return out
	}

	It("runs the scenario of billing through a gateway", func() {
		s := startStack(true)
		said, ok := node(filepath.Join(compiled(), "billing.scenario.js"), s.url, s.token)
		Expect(ok).To(BeTrue(), said)
		Expect(strings.Count(said, "ok:")).To(Equal(9), said)
	})

	It("runs the scenario of orders against a server that fails", func() {
		o := startOrders()
		said, ok := node(filepath.Join(compiled(), "orders.scenario.js"), o.URL+"/")
		Expect(ok).To(BeTrue(), said)
		Expect(strings.Count(said, "ok:")).To(Equal(10), said)
		flaky := `POST /orders {"customer":"flaky","lines":[{"price":1}]}`
		Expect(o.seen()).To(Equal([]string{
			"GET /orders?limit=0&tag=a+b&tag=%26 sid=s t",
			"GET /orders sid=s",
			`POST /orders {"customer":"a","express":false,"note":null,"lines":[{"price":1,"level":null}]}`,
			`POST /orders {"customer":"empty","lines":[{"price":1}]}`,
			`POST /orders {"customer":"conflict","lines":[{"price":1}]}`,
			flaky, flaky, flaky,
			"GET /orders/cut", "GET /orders/cut",
			"GET /orders/plain",
			"PATCH /orders/a",
			"GET /orders/later",
			"GET /orders/a%20b%3Fc%23%C3%A9%2F",
			"PUT /files/d/a/b%20c?q=1 text/plain m bytes",
			"POST /orders/import file=blob:A more=blob:B more=blob: title=t",
			"POST /orders/search text=a%26b%3Dc",
			"HEAD /orders/a",
			"DELETE /orders/a",
			"GET /orders/a/events application/x-ndjson",
			"GET /orders/broken/events application/x-ndjson",
			"GET /orders/cut/events application/x-ndjson",
		}))
	})
})
