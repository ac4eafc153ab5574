package auth_test

import (
	"context"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/stella-ops/router/gateway/auth"
	"github.com/stella-ops/router/spec"
)

var _ = Describe("what an endpoint requires", func() {
	held := []spec.Claim{
		{Type: "scope", Value: "orders:*"}, {Type: "scope", Value: "billing:read"}, {Type: "scope", Value: "*"}, {Type: "scope", Value: ":*"},
		{Type: "scope", Value: "a*"}, {Type: "scope", Value: "b:*:c"}, {Type: "team", Value: "x"}, {Type: "team", Value: "y:*"}, {Type: "admin"},
	}

	DescribeTable("is held, or not", func(kind, value string, want bool) {
		r := spec.ClaimRequirement{Type: kind, Value: value}
		missing, lacking := auth.Missing([]spec.ClaimRequirement{{Type: "team", Value: "x"}, r}, held)
		Expect(lacking).To(Equal(!want))
		if !want {
			Expect(missing).To(Equal(r))
		}
	},
		Entry("an exact value", "scope", "billing:read", true),
		Entry("another value", "scope", "billing:write", false),
		Entry("a value in another case", "scope", "Billing:read", false),
		Entry("presence", "team", "", true),
		Entry("presence of a claim with an empty value", "admin", "", true),
		Entry("absence", "role", "", false),
		Entry("a type in another case", "Team", "", false),
		Entry("one of several values", "team", "y:*", true),
		Entry("a star of what is no scope", "team", "y:z", false),
		Entry("a scope under a star", "scope", "orders:read", true),
		Entry("a scope deep under a star", "scope", "orders:read:all", true),
		Entry("the star itself", "scope", "orders:*", true),
		Entry("a scope that the star is under", "scope", "orders", false),
		Entry("nothing under the star", "scope", "orders:", false),
		Entry("a scope that begins alike", "scope", "orders2:read", false),
		Entry("what a star alone would cover", "scope", "x:read", false),
		Entry("what a star without a word would cover", "scope", ":read", false),
		Entry("what a star within a word would cover", "scope", "ab", false),
		Entry("what a star in the middle would cover", "scope", "b:x:c", false),
		Entry("a requirement with a star, by one scope under it", "scope", "billing:*", false),
		Entry("scp, which is scope", "scp", "billing:read", true),
	)

	It("is nothing, and is held by everybody", func() {
		_, missing := auth.Missing(nil, nil)
		Expect(missing).To(BeFalse())
	})
})

var _ = Describe("a token's claims", func() {
	var (
		k = newEd("a")
		i auth.Issuer
	)
	BeforeEach(func() { i = issuer(serving(k.jwk()).URL) })
	proof := func(claims map[string]any) auth.Proof {
		GinkgoHelper()
		at := time.Now()
		p, err := running(i).Verify(context.Background(), k.token(claimsAt(at, claims)), at)
		Expect(err).NotTo(HaveOccurred())
		return p
	}

	It("are strings and lists of strings, and nothing else", func() {
		p := proof(map[string]any{"team": []any{"x", 1, "y"}, "level": 3, "admin": true, "address": map[string]any{"a": "b"}, "nothing": nil, "email": "a@b"})
		Expect(p.Claims).To(ConsistOf(
			spec.Claim{Type: "aud", Value: audience}, spec.Claim{Type: "iss", Value: name}, spec.Claim{Type: "sub", Value: "alice"},
			spec.Claim{Type: "email", Value: "a@b"}, spec.Claim{Type: "team", Value: "x"}, spec.Claim{Type: "team", Value: "y"}))
	})

	It("of scope and scp are one, word by word, each once", func() {
		p := proof(map[string]any{"scope": "a  b", "scp": []string{"b", "c d"}, "aud": audience})
		var scopes []string
		for _, c := range p.Claims {
			Expect(c.Type).NotTo(Equal("scp"))
			if c.Type == "scope" {
				scopes = append(scopes, c.Value)
			}
		}
		Expect(scopes).To(Equal([]string{"a", "b", "c", "d"}))
	})

	It("say the tenant: tenant, or else tid, or the one that is configured and no other", func() {
		Expect(proof(map[string]any{"tenant": "acme", "tid": "other"}).Tenant).To(Equal("acme"))
		Expect(proof(map[string]any{"tid": "other"}).Tenant).To(Equal("other"))
		Expect(proof(nil).Tenant).To(BeEmpty())
		i.TenantClaim = "org"
		Expect(proof(map[string]any{"tenant": "acme", "tid": "other"}).Tenant).To(BeEmpty())
		Expect(proof(map[string]any{"tenant": "acme", "org": "mine"}).Tenant).To(Equal("mine"))
	})

	It("list the tenants that can be chosen, where that is configured", func() {
		listed := map[string]any{"tenant": "acme", "tenants": []string{"acme", "globex"}}
		own := proof(listed)
		i.TenantsClaim = "tenants"
		free := proof(listed)
		words := proof(map[string]any{"tenants": "a b"})
		for wanted, p := range map[string]auth.Proof{"": own, "acme": free, "globex": free, "b": words} {
			want := wanted
			if want == "" {
				want = "acme"
			}
			Expect(auth.SelectTenant(p, wanted)).To(Equal(want))
		}
		Expect(auth.SelectTenant(words, "")).To(BeEmpty())
		for wanted, p := range map[string]auth.Proof{"globex": own, "initech": free, "ACME": free, "acme": words, "x": {}} {
			_, err := auth.SelectTenant(p, wanted)
			Expect(err).To(MatchError(auth.ErrTenant), wanted)
		}
	})

	DescribeTable("list no tenant that is part of another's name", func(item string) {
		i.TenantsClaim = "tenants"
		at := time.Now()
		_, err := running(i).Verify(context.Background(), k.token(claimsAt(at, map[string]any{"tenants": []any{"acme", item}})), at)
		Expect(err).To(MatchError(auth.ErrToken))
		Expect(err).To(MatchError(ContainSubstring("not the name of a tenant")))
	},
		Entry(nil, "globex corp"), Entry(nil, " globex"), Entry(nil, "globex\n"), Entry(nil, "globex\tcorp"), Entry(nil, ""),
	)

	It("name the own tenant nowhere once another is chosen, also where two of them could name it", func() {
		i.TenantsClaim = "tenants"
		for _, tid := range []string{"acme", "directory-1"} {
			p := proof(map[string]any{"tenant": "acme", "tid": tid, "tenants": "acme globex"})
			chosen, err := p.For("globex")
			Expect(err).NotTo(HaveOccurred())
			Expect(chosen.Claims).To(ContainElement(spec.Claim{Type: "tenant", Value: "globex"}))
			Expect(chosen.Claims).NotTo(ContainElement(HaveField("Type", "tid")))
			Expect(chosen.Claims).To(HaveLen(len(p.Claims) - 1))
			own, err := p.For("acme")
			Expect(err).NotTo(HaveOccurred())
			Expect(own.Claims).To(ContainElement(spec.Claim{Type: "tid", Value: tid}))
		}
	})

	It("name the tenant that is chosen, and no other", func() {
		i.TenantsClaim = "tenants"
		p := proof(map[string]any{"tid": "acme", "tenants": "acme globex", "org": "acme"})
		own, err := p.For("")
		Expect(err).NotTo(HaveOccurred())
		Expect(own).To(BeIdenticalTo(p.Identity))
		chosen, err := p.For("globex")
		Expect(err).NotTo(HaveOccurred())
		Expect(chosen.Subject).To(Equal("alice"))
		Expect(chosen.Tenant).To(Equal("globex"))
		Expect(chosen.Claims).To(ContainElements(spec.Claim{Type: "tid", Value: "globex"}, spec.Claim{Type: "org", Value: "acme"}))
		Expect(chosen.Claims).NotTo(ContainElement(spec.Claim{Type: "tid", Value: "acme"}))
		Expect(p.Tenant).To(Equal("acme"), "what is remembered of the token is as it was")
		Expect(p.Claims).To(ContainElement(spec.Claim{Type: "tid", Value: "acme"}))
		refused, err := p.For("initech")
		Expect(err).To(MatchError(auth.ErrTenant))
		Expect(refused).To(BeNil())
	})
})
