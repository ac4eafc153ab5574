package auth_test

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/lestrrat-go/jwx/v3/jwa"
	"github.com/lestrrat-go/jwx/v3/jwt"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/stella-ops/router/gateway/auth"
	"github.com/stella-ops/router/spec"
)

func TestAuth(t *testing.T) {
	RegisterFailHandler(Fail)
	RunSpecs(t, "Auth")
}

var now = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

var _ = Describe("the verifier", func() {
	var (
		public  ed25519.PublicKey
		private ed25519.PrivateKey
		v       *auth.Verifier
	)
	BeforeEach(func() {
		var err error
		public, private, err = ed25519.GenerateKey(rand.Reader)
		Expect(err).NotTo(HaveOccurred())
		v = auth.NewVerifier().Trust(public, "issuer", "audience")
	})
	good := func() *jwt.Builder {
		return jwt.NewBuilder().Issuer("issuer").Audience([]string{"audience"}).Subject("me").IssuedAt(now).Expiration(now.Add(time.Minute))
	}
	sign := func(b *jwt.Builder, alg jwa.SignatureAlgorithm, key any) string {
		GinkgoHelper()
		t, err := b.Build()
		Expect(err).NotTo(HaveOccurred())
		s, err := jwt.Sign(t, jwt.WithKey(alg, key))
		Expect(err).NotTo(HaveOccurred())
		return string(s)
	}

	It("maps strings, lists of strings and the words of scope to claims, and leaves out the rest", func() {
		token := sign(good().Claim("scope", "a b").Claim("team", []string{"x", "y"}).Claim("level", 3).Claim("admin", true), jwa.EdDSA(), private)
		id, err := v.Verify(context.Background(), token, now)
		Expect(err).NotTo(HaveOccurred())
		Expect(id.Subject).To(Equal("me"))
		Expect(id.Claims).To(ContainElements(
			spec.Claim{Type: "scope", Value: "a"}, spec.Claim{Type: "scope", Value: "b"},
			spec.Claim{Type: "team", Value: "x"}, spec.Claim{Type: "team", Value: "y"}))
		for _, c := range id.Claims {
			Expect(c.Type).NotTo(BeElementOf("level", "admin", "exp", "iat"))
		}
	})

	It("refuses a token of another key, issuer, audience or time, without an end, or without a signature", func() {
		_, other, err := ed25519.GenerateKey(rand.Reader)
		Expect(err).NotTo(HaveOccurred())
		parts := strings.Split(sign(good(), jwa.EdDSA(), private), ".")
		none := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none"}`)) + "." + parts[1] + "."
		for name, token := range map[string]string{
			"another key":              sign(good(), jwa.EdDSA(), other),
			"HMAC with the public key": sign(good(), jwa.HS256(), []byte(public)),
			"no signature":             none,
			"cut":                      parts[0] + "." + parts[1],
			"another issuer":           sign(good().Issuer("x"), jwa.EdDSA(), private),
			"another audience":         sign(good().Audience([]string{"x"}), jwa.EdDSA(), private),
			"expired":                  sign(good().Expiration(now.Add(-time.Minute)), jwa.EdDSA(), private),
			"not yet valid":            sign(good().NotBefore(now.Add(time.Minute)), jwa.EdDSA(), private),
			"no end":                   sign(jwt.NewBuilder().Issuer("issuer").Audience([]string{"audience"}), jwa.EdDSA(), private),
			"too many claims":          sign(good().Claim("scope", strings.Repeat("s ", spec.MaxFields+1)), jwa.EdDSA(), private),
			"too long":                 sign(good().Claim("x", strings.Repeat("x", 9<<10)), jwa.EdDSA(), private),
			"empty":                    "",
		} {
			_, err := v.Verify(context.Background(), token, now)
			Expect(err).To(MatchError(auth.ErrToken), name)
		}
	})

	It("remembers a token, and still refuses it after its end", func() {
		token := sign(good(), jwa.EdDSA(), private)
		first, err := v.Verify(context.Background(), token, now)
		Expect(err).NotTo(HaveOccurred())
		Expect(v.Verify(context.Background(), token, now.Add(time.Minute))).To(BeIdenticalTo(first))
		_, err = v.Verify(context.Background(), token, now.Add(2*time.Minute))
		Expect(err).To(MatchError(ContainSubstring("expired")))
	})

	It("forgets rather than grow", func() {
		for i := range 3000 {
			_, err := v.Verify(context.Background(), sign(good().Claim("n", strings.Repeat("i", i%1000+1)), jwa.EdDSA(), private), now)
			Expect(err).NotTo(HaveOccurred())
		}
	})
})

var _ = Describe("a development key", func() {
	It("is made once, for its owner's eyes only, and found again", func() {
		path := filepath.Join(GinkgoT().TempDir(), "key")
		k, err := auth.EnsureDevKey(path)
		Expect(err).NotTo(HaveOccurred())
		info, err := os.Stat(path)
		Expect(err).NotTo(HaveOccurred())
		Expect(info.Mode().Perm()).To(BeEquivalentTo(0o600))
		again, err := auth.EnsureDevKey(path)
		Expect(err).NotTo(HaveOccurred())
		token, err := k.Token([]spec.Claim{{Type: "scope", Value: "a"}, {Type: "scope", Value: "b"}, {Type: "team", Value: "x"}}, now, time.Minute)
		Expect(err).NotTo(HaveOccurred())
		id, err := again.Trusted(nil).Verify(context.Background(), token, now)
		Expect(err).NotTo(HaveOccurred())
		Expect(id.Claims).To(ContainElements(spec.Claim{Type: "scope", Value: "b"}, spec.Claim{Type: "team", Value: "x"}))
	})

	It("is refused when the file holds something else", func() {
		path := filepath.Join(GinkgoT().TempDir(), "key")
		Expect(os.WriteFile(path, []byte("rubbish"), 0o600)).To(Succeed())
		_, err := auth.EnsureDevKey(path)
		Expect(err).To(MatchError(ContainSubstring("expected one PEM block")))
	})

	It("does not sign what is the token's own", func() {
		k, err := auth.EnsureDevKey(filepath.Join(GinkgoT().TempDir(), "key"))
		Expect(err).NotTo(HaveOccurred())
		_, err = k.Token([]spec.Claim{{Type: "exp", Value: "never"}}, now, time.Minute)
		Expect(err).To(MatchError(ContainSubstring("exp")))
	})

	It("satisfies what is required, with a value where none is asked for", func() {
		Expect(auth.Satisfying([]spec.ClaimRequirement{
			{Type: "scope"}, {Type: "scope", Value: "r"}, {Type: "team"}, {Type: "iss", Value: "x"},
		})).To(Equal([]spec.Claim{{Type: "scope", Value: "r"}, {Type: "team", Value: "dev"}}))
	})
})
