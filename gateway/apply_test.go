package gateway_test

import (
	"os"
	"path/filepath"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/stella-ops/router/gateway"
	"github.com/stella-ops/router/gateway/auth"
	"github.com/stella-ops/router/gateway/limit"
)

var _ = Describe("a configuration that is read anew", func() {
	It("changes nothing if one part of it cannot be, though all of it would do after a restart", func() {
		r := run(config(GinkgoWriter))
		next := config(GinkgoWriter)
		next.Limits = limit.Config{ // the store needs a restart
			Store: "valkey://127.0.0.1:1", Rules: []limit.Rule{{Name: "a", Rate: 1, Per: time.Second, Scope: limit.ScopeEnvironment, Failure: limit.FailureOpen}},
		}
		next.Issuers = []auth.Issuer{{
			Issuer: "https://issuer.example", Audiences: []string{"a"}, Algorithms: []string{"ES256"}, JWKS: "https://issuer.example/jwks",
		}}
		Expect(r.Apply(next)).To(And(MatchError(gateway.ErrConfig), MatchError(ContainSubstring("restart it"))))
		Expect(r.Issuers()).To(BeEmpty())
		next.Limits = limit.Config{}
		Expect(r.Apply(next)).To(Succeed())
		Expect(r.Issuers()).To(HaveLen(1))
	})

	It("leaves the region until a restart, and its neighbours with it", func() {
		r := run(config(GinkgoWriter)) // without a region
		next := config(GinkgoWriter)
		next.Region, next.Neighbours = "eu-1", []string{"eu-2"}
		next.Issuers = []auth.Issuer{{
			Issuer: "https://issuer.example", Audiences: []string{"a"}, Algorithms: []string{"ES256"}, JWKS: "https://issuer.example/jwks",
		}}
		Expect(r.Apply(next)).To(Succeed())
		Expect(r.Issuers()).To(HaveLen(1), "what else the file says counts")
		next.Region = ""
		Expect(r.Apply(next)).To(MatchError(ContainSubstring("set region")))
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
