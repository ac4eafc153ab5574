package gateway_test

import (
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
})
