package auth_test

import (
	"errors"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/stella-ops/router/gateway/auth"
)

var _ = Describe("the configuration of an issuer", func() {
	const url = "https://issuer.example/keys"

	DescribeTable("is checked without asking anyone", func(change func(*auth.Issuer), faults ...string) {
		i := issuer(url)
		change(&i)
		err := i.Check()
		if len(faults) == 0 {
			Expect(err).NotTo(HaveOccurred())
			return
		}
		var fields []string
		var joined interface{ Unwrap() []error }
		Expect(errors.As(err, &joined)).To(BeTrue())
		for _, e := range joined.Unwrap() {
			var f *auth.FieldError
			Expect(errors.As(e, &f)).To(BeTrue())
			Expect(f.Problem).NotTo(BeEmpty())
			fields = append(fields, f.Field)
		}
		Expect(fields).To(Equal(faults))
		_, err = auth.NewVerifier(auth.Config{Issuers: []auth.Issuer{i}, Logger: quiet})
		Expect(err).To(MatchError(auth.ErrConfig))
	},
		Entry("whole", func(*auth.Issuer) {}),
		Entry("with the bounds", func(i *auth.Issuer) { i.Skew, i.MaxStale, i.Cooldown = 5*time.Minute, 7*24*time.Hour, time.Hour }),
		Entry("with http on this machine", func(i *auth.Issuer) { i.JWKS = "http://127.0.0.1:1/keys" }),
		Entry("with http on this machine by IPv6", func(i *auth.Issuer) { i.JWKS = "http://[::1]:1/keys" }),
		Entry("with http on this machine by name", func(i *auth.Issuer) { i.JWKS = "http://localhost/keys" }),
		Entry("with a file", func(i *auth.Issuer) { i.JWKS = "/etc/stella/keys.json" }),
		Entry("empty", func(i *auth.Issuer) { *i = auth.Issuer{} }, "/issuer", "/audiences", "/algorithms", "/jwks"),
		Entry("with what must not be", func(i *auth.Issuer) {
			*i = auth.Issuer{
				Issuer: "stella-gateway-dev", Audiences: []string{"a", ""}, Algorithms: []string{"ES256", "HS256", "none", "rs256"}, JWKS: "http://issuer.example",
				Skew: -1, MaxStale: -1, Cooldown: 1,
			}
		}, "/issuer", "/audiences/1", "/algorithms/1", "/algorithms/2", "/algorithms/3", "/jwks", "/skew", "/maxStale", "/cooldown"),
		Entry("with too much", func(i *auth.Issuer) { i.Skew, i.MaxStale, i.Cooldown = time.Hour, 8*24*time.Hour, 2*time.Hour }, "/skew", "/maxStale", "/cooldown"),
		Entry("with another scheme", func(i *auth.Issuer) { i.JWKS = "file:///etc/keys.json" }, "/jwks"),
		Entry("with a login", func(i *auth.Issuer) { i.JWKS = "https://a:b@issuer.example/keys" }, "/jwks"),
		Entry("with a fragment", func(i *auth.Issuer) { i.JWKS = url + "#x" }, "/jwks"),
		Entry("without a host", func(i *auth.Issuer) { i.JWKS = "https:///keys" }, "/jwks"),
		Entry("with a port alone", func(i *auth.Issuer) { i.JWKS = "https://:443/keys" }, "/jwks"),
		Entry("with a name that begins like this machine's", func(i *auth.Issuer) { i.JWKS = "http://localhost.issuer.example/keys" }, "/jwks"),
		Entry("with no URL", func(i *auth.Issuer) { i.JWKS = "https://%zz/" }, "/jwks"),
	)

	It("is there once", func() {
		_, err := auth.NewVerifier(auth.Config{Issuers: []auth.Issuer{issuer(url), issuer(url)}, Logger: quiet})
		Expect(err).To(MatchError(auth.ErrConfig))
		Expect(err).To(MatchError(ContainSubstring("twice")))
	})
})
