package auth_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/stella-ops/router/gateway/auth"
	"github.com/stella-ops/router/spec"
)

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
		id, err := again.Verifier().Verify(context.Background(), token, now)
		Expect(err).NotTo(HaveOccurred())
		Expect(id.Claims).To(ContainElements(spec.Claim{Type: "scope", Value: "b"}, spec.Claim{Type: "team", Value: "x"}))
	})

	It("may have to hold several tenants, and then acts for none", func() {
		k, err := auth.EnsureDevKey(filepath.Join(GinkgoT().TempDir(), "key"))
		Expect(err).NotTo(HaveOccurred())
		for tenants, want := range map[string]string{"a": "a", "a b": ""} {
			var held []spec.Claim
			for tenant := range strings.FieldsSeq(tenants) {
				held = append(held, spec.Claim{Type: "tenant", Value: tenant})
			}
			token, err := k.Token(held, now, time.Minute)
			Expect(err).NotTo(HaveOccurred())
			p, err := k.Verifier().Verify(context.Background(), token, now)
			Expect(err).NotTo(HaveOccurred())
			Expect(p.Tenant).To(Equal(want))
			Expect(p.Claims).To(ContainElements(held))
		}
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
