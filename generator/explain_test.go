package generator_test

import (
	"fmt"
	"path/filepath"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"github.com/rogpeppe/go-internal/txtar"

	"github.com/stella-ops/router/generator"
	"github.com/stella-ops/router/generator/directive"
	"github.com/stella-ops/router/generator/scan"
)

// explained writes the settings of an endpoint, one a line: value, origin, and what it took the place of.
func explained(dir string, e *scan.Endpoint) string {
	var text strings.Builder
	where := func(o scan.Origin) string {
		if !o.Pos.IsValid() {
			return o.Layer.String()
		}
		rel, err := filepath.Rel(dir, o.Pos.Filename)
		Expect(err).NotTo(HaveOccurred())
		return fmt.Sprintf("%s %s:%d:%d", o.Layer, filepath.ToSlash(rel), o.Pos.Line, o.Pos.Column)
	}
	for _, s := range generator.Explain(e) {
		fmt.Fprintf(&text, "%s=%s (%s)", s.Key, s.Value, where(s.Origin))
		for _, o := range s.Over {
			fmt.Fprintf(&text, " over %s (%s)", o.Text, where(o))
		}
		text.WriteByte('\n')
	}
	return text.String()
}

var _ = Describe("the effective values of an endpoint", func() {
	read := func(ctx SpecContext, name string) (string, *scan.Result) {
		archive, err := txtar.ParseFile(filepath.Join("testdata", name))
		Expect(err).NotTo(HaveOccurred())
		dir := unpack(archive)
		result, findings, err := generator.Read(ctx, generator.Config{Dir: dir, Env: environment(), Patterns: []string{"./..."}})
		Expect(err).NotTo(HaveOccurred())
		Expect(findings.List).To(BeEmpty())
		return dir, result
	}
	of := func(ctx SpecContext, endpoint string) string {
		dir, result := read(ctx, "overrides.txtar")
		found, err := generator.Find(result, endpoint)
		Expect(err).NotTo(HaveOccurred())
		Expect(found).To(HaveLen(1))
		return explained(dir, found[0].Endpoint)
	}

	It("come from an entry of stella.yaml before the code, from the code before defaults, and from these before what is built in", func(ctx SpecContext) {
		Expect(of(ctx, "POST /invoices")).To(Equal(`status=200 (default)
unknown=reject (stella.yaml billing/stella.yaml:16:14) over ignore (code billing/billing.go:18:64) over reject (default)
timeout=5s (stella.yaml billing/stella.yaml:14:14) over 10s (code billing/billing.go:18:42) over 30s (default)
idle=1m (default)
body=1MiB (stella.yaml billing/stella.yaml:15:11) over 2MiB (code billing/billing.go:18:51) over 1MiB (default)
stream=none (default)
idempotent=false (default)
delivery=call (default)
slo=99.5 (stella.yaml defaults billing/stella.yaml:9:8)
within=4s (stella.yaml defaults billing/stella.yaml:10:11)
stability=stable (stella.yaml billing/stella.yaml:17:16) over beta (code billing/billing.go:18:81) over stable (default)
tags=invoices,new, and hot (stella.yaml billing/stella.yaml:18:11) over invoices (code billing/billing.go:18:91)
claim=scope billing:write (stella.yaml billing/stella.yaml:20:9) over scope billing:write (code billing/billing.go:19:1)
claim=region "eu west" (stella.yaml billing/stella.yaml:21:9)
`))
		Expect(of(ctx, "GET /invoices/{any}/events")).To(Equal(`status=200 (default)
timeout=20s (stella.yaml defaults billing/stella.yaml:4:12) over 30s (default)
idle=5s (code billing/billing.go:35:50) over 1m (default)
body=1MiB (default)
stream=response (default)
idempotent=true (default)
delivery=call (default)
slo=99.5 (stella.yaml defaults billing/stella.yaml:9:8)
stability=stable (default)
claim=scope billing (stella.yaml defaults billing/stella.yaml:11:12)
`))
	})

	It("tell what is said of a part's job, and of an endpoint that is public no longer", func(ctx SpecContext) {
		Expect(of(ctx, "POST /reports/{month}")).To(And(
			ContainSubstring("idempotent=true (code billing/reports/reports.go:10:56) over false (default)\n"),
			ContainSubstring("unknown=ignore (stella.yaml defaults billing/stella.yaml:7:12) over reject (default)\n"),
			ContainSubstring("attempts=7 (stella.yaml billing/stella.yaml:28:15) over 5 (default)\nlease=2m (stella.yaml billing/stella.yaml:29:12) over 1m (default)\n"),
		))
		Expect(of(ctx, "GET /version")).To(And(
			ContainSubstring("claim=scope billing:read (stella.yaml billing/stella.yaml:31:14) over nothing in it (code billing/billing.go:52:1)\n"),
			Not(ContainSubstring("public=")), Not(ContainSubstring("unknown=")),
		))
		Expect(of(ctx, "GET /events")).To(ContainSubstring("idle=30s (stella.yaml defaults billing/stella.yaml:5:9) over 1m (default)\nbody=1MiB (default)\n"))
		Expect(of(ctx, "GET /ping")).To(ContainSubstring("public=probes (code billing/billing.go:46:1)\n"))
	})

	It("are those of the endpoint that is meant, or a guess at it", func(ctx SpecContext) {
		_, result := read(ctx, "overrides.txtar")
		var names []string
		for _, l := range generator.List(result) {
			names = append(names, fmt.Sprintf("%s %s %s %s", l.Service.Name, l.Method, l.Path, l.Handler()))
		}
		Expect(names).To(Equal([]string{
			"billing GET /events All", "billing POST /invoices CreateInvoice", "billing GET /invoices/{id} GetInvoice", "billing GET /invoices/{id}/events Watch",
			"billing GET /ping Ping", "billing POST /reports/{month} example.com/shop/billing/reports.Month", "billing GET /version Version",
		}))
		_, err := generator.Find(result, "POST /invoice")
		Expect(err).To(MatchError(ContainSubstring("there is no endpoint POST /invoice: did you mean POST /invoices?")))
		_, err = generator.Find(result, "invoices")
		Expect(err).To(MatchError(ContainSubstring("expected a method, a space and a path")))
	})

	It("have a value for every key of the directive", func(ctx SpecContext) {
		seen := map[string]bool{}
		for _, archive := range []string{"overrides.txtar", "errors.txtar"} {
			_, result := read(ctx, archive)
			for _, l := range generator.List(result) {
				for _, s := range generator.Explain(l.Endpoint) {
					seen[s.Key] = true
				}
			}
		}
		def, _ := directive.Lookup("endpoint")
		for _, k := range def.Keys {
			Expect(seen).To(HaveKey(k.Name))
		}
	})
})
