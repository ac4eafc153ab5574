package gateway_test

import (
	"os"
	"path/filepath"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/stella-ops/router/gateway"
	"github.com/stella-ops/router/gateway/auth"
)

var _ = Describe("a configuration that is read anew", func() {
	It("changes nothing if one part of it cannot be, though all of it would do after a restart", func() {
		cfg := config(GinkgoWriter)
		cfg.Region = "eu"
		r := run(cfg)
		next := config(GinkgoWriter)
		next.Region, next.Neighbours = "us", []string{"eu"} // the region needs a restart, and eu is no neighbour of eu
		next.Issuers = []auth.Issuer{{
			Issuer: "https://issuer.example", Audiences: []string{"a"}, Algorithms: []string{"ES256"}, JWKS: "https://issuer.example/jwks",
		}}
		Expect(r.Apply(next)).To(MatchError(gateway.ErrConfig))
		Expect(r.Issuers()).To(BeEmpty())
		next.Neighbours = nil
		Expect(r.Apply(next)).To(Succeed())
		Expect(r.Issuers()).To(HaveLen(1))
	})

	It("is refused by a check for what the files that it names say", func() {
		file := filepath.Join(GinkgoT().TempDir(), "file")
		Expect(os.WriteFile(file, []byte(`{"services": {"billing": {"POST /invoices": {"claim": ["scope x"]}}}}`), 0o600)).To(Succeed())
		for _, change := range []func(*gateway.Config){
			func(c *gateway.Config) { c.Authority.Source = file },
			func(c *gateway.Config) { c.Authority.Source = file + ".none" },
			func(c *gateway.Config) { c.AdminTokens = file },
			func(c *gateway.Config) {
				c.Issuers = []auth.Issuer{{Issuer: "https://a", Audiences: []string{"a"}, Algorithms: []string{"ES256"}, JWKS: file}}
			},
		} {
			cfg := config(GinkgoWriter)
			Expect(gateway.Check(cfg)).To(Succeed())
			change(&cfg)
			Expect(gateway.Check(cfg)).To(And(MatchError(gateway.ErrConfig), MatchError(ContainSubstring(file))))
		}
	})
})
