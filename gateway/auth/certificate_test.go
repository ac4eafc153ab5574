package auth_test

import (
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"net"
	"net/url"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/stella-ops/router/gateway/auth"
	"github.com/stella-ops/router/spec"
)

var _ = Describe("a client's certificate", func() {
	certificate := func(cn string, uris, names []string) *x509.Certificate {
		GinkgoHelper()
		t := &x509.Certificate{
			SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: cn, Organization: []string{"Acme"}}, DNSNames: names,
			IPAddresses: []net.IP{net.IPv4(10, 0, 0, 1)}, EmailAddresses: []string{"a@b.example"},
		}
		for _, u := range uris {
			t.URIs = append(t.URIs, must(url.Parse(u)))
		}
		key := p256()
		return must(x509.ParseCertificate(must(x509.CreateCertificate(rand.Reader, t, t, key.Public(), key))))
	}
	const id = "spiffe://acme.example/billing/worker-1"

	DescribeTable("names its owner", func(subject, cn string, uris, names []string, rule auth.CertRule) {
		got, err := auth.IdentityOfCertificate(certificate(cn, uris, names), rule)
		Expect(err).NotTo(HaveOccurred())
		Expect(got.Subject).To(Equal(subject))
		Expect(got.Tenant).To(BeEmpty())
	},
		Entry("by SPIFFE ID", id, "cn", []string{id}, []string{"a.example"}, auth.CertRule{}),
		Entry("by SPIFFE ID of a domain that is trusted", id, "cn", []string{id}, nil, auth.CertRule{TrustDomains: []string{"x", "acme.example"}}),
		Entry("by the domain alone", "spiffe://acme.example", "", []string{"spiffe://acme.example"}, nil, auth.CertRule{}),
		Entry("by DNS name", "a.example", "cn", nil, []string{"*.example", "a.example", "b.example"}, auth.CertRule{CommonName: true}),
		Entry("by DNS name, beside a URI of another kind", "a.example", "cn", []string{"urn:a:b"}, []string{"a.example"}, auth.CertRule{}),
		Entry("by DNS name, behind what is none", "b.example", "cn", nil, []string{id, "a.example/x", "a:1", "a b", "b.example"}, auth.CertRule{}),
		Entry("by common name, where that is allowed", "cn", "cn", nil, []string{"*.example"}, auth.CertRule{CommonName: true}),
		Entry("by common name, with a dot that makes it no DNS name", "Alice B. Doe", "Alice B. Doe", nil, nil, auth.CertRule{CommonName: true}),
	)

	DescribeTable("names nobody", func(why, cn string, uris, names []string, rule auth.CertRule) {
		_, err := auth.IdentityOfCertificate(certificate(cn, uris, names), rule)
		Expect(err).To(MatchError(auth.ErrCertificate))
		Expect(err).To(MatchError(ContainSubstring(why)))
	},
		Entry("by common name alone", "neither", "cn", nil, nil, auth.CertRule{}),
		Entry("by nothing", "neither", "", nil, nil, auth.CertRule{CommonName: true}),
		Entry("by a common name that would break lines", "neither", "a\nb", nil, nil, auth.CertRule{CommonName: true}),
		Entry("by a common name that poses as a SPIFFE ID", "could pass for", id, nil, nil, auth.CertRule{CommonName: true}),
		Entry("by a common name that poses as a DNS name", "could pass for", "billing.example", nil, []string{"*.other.example"}, auth.CertRule{CommonName: true}),
		Entry("by a common name with a slash", "could pass for", "a/b", nil, nil, auth.CertRule{CommonName: true}),
		Entry("by a common name with a colon", "could pass for", "a:b", nil, nil, auth.CertRule{CommonName: true}),
		Entry("by a DNS name that poses as a SPIFFE ID", "neither", "", nil, []string{id}, auth.CertRule{}),
		Entry("by a DNS name with a slash", "neither", "", nil, []string{"a.example/b"}, auth.CertRule{}),
		Entry("by a DNS name with a colon", "neither", "", nil, []string{"a.example:443"}, auth.CertRule{}),
		Entry("by wildcards", "neither", "cn", nil, []string{"*.example"}, auth.CertRule{}),
		Entry("by two URIs", "2 URIs", "cn", []string{id, "spiffe://other.example/x"}, nil, auth.CertRule{}),
		Entry("by a domain that is not trusted", "trust domain", "cn", []string{id}, nil, auth.CertRule{TrustDomains: []string{"other.example"}}),
		Entry("by DNS name, where domains are configured", "no SPIFFE ID", "cn", nil, []string{"a.example"}, auth.CertRule{TrustDomains: []string{"acme.example"}}),
		Entry("by a SPIFFE ID with a query", "TRUST-DOMAIN", "", []string{id + "?x"}, nil, auth.CertRule{}),
		Entry("by a SPIFFE ID with a port", "TRUST-DOMAIN", "", []string{"spiffe://acme.example:1/x"}, nil, auth.CertRule{}),
		Entry("by a SPIFFE ID without a domain", "TRUST-DOMAIN", "", []string{"spiffe:///x"}, nil, auth.CertRule{}),
		Entry("by a SPIFFE ID that goes up", "segment", "", []string{"spiffe://acme.example/a/../b"}, nil, auth.CertRule{}),
		Entry("by a SPIFFE ID with an escape", "segment", "", []string{"spiffe://acme.example/a%2Fb"}, nil, auth.CertRule{}),
		Entry("by a SPIFFE ID that ends in a slash", "segment", "", []string{id + "/"}, nil, auth.CertRule{}),
	)

	It("claims its names, each with its kind, so that none passes for another", func() {
		got, err := auth.IdentityOfCertificate(certificate("cn", []string{id}, []string{"a.example"}), auth.CertRule{})
		Expect(err).NotTo(HaveOccurred())
		Expect(got.Claims).To(ContainElements(
			spec.Claim{Type: "cert.san", Value: "URI:" + id}, spec.Claim{Type: "cert.san", Value: "DNS:a.example"},
			spec.Claim{Type: "cert.san", Value: "IP:10.0.0.1"}, spec.Claim{Type: "cert.san", Value: "email:a@b.example"},
			spec.Claim{Type: "cert.cn", Value: "cn"}, spec.Claim{Type: "cert.o", Value: "Acme"}, spec.Claim{Type: "cert.issuer", Value: "CN=cn,O=Acme"}))
		Expect(got.Claims).To(ContainElement(And(HaveField("Type", "cert.sha256"), HaveField("Value", HaveLen(64)))))
	})

	It("with more names than a request can carry is refused", func() {
		_, err := auth.IdentityOfCertificate(certificate("", nil, append(make([]string, 0, 200), manyNames(200)...)), auth.CertRule{})
		Expect(err).To(MatchError(ContainSubstring("the limit is 128")))
	})

	It("has the claims that its subject is granted, and no others", func() {
		rule := auth.CertRule{Grants: []auth.Grant{
			{Subject: id, Claims: []spec.Claim{{Type: "scope", Value: "orders:read"}, {Type: "team", Value: "x"}}},
			{Subject: id + "/below", Claims: []spec.Claim{{Type: "scope", Value: "below"}}},
			{Subject: "spiffe://acme.example/billing", Claims: []spec.Claim{{Type: "scope", Value: "above"}}},
			{Subject: "cn", Claims: []spec.Claim{{Type: "scope", Value: "cn"}}},
		}}
		Expect(rule.Check()).To(Succeed())
		got, err := auth.IdentityOfCertificate(certificate("cn", []string{id}, []string{"a.example"}), rule)
		Expect(err).NotTo(HaveOccurred())
		Expect(got.Claims).To(ContainElements(spec.Claim{Type: "scope", Value: "orders:read"}, spec.Claim{Type: "team", Value: "x"}))
		Expect(got.Claims).NotTo(ContainElement(Or(HaveField("Value", "below"), HaveField("Value", "above"), And(HaveField("Type", "scope"), HaveField("Value", "cn")))))
	})

	DescribeTable("has rules that are checked", func(rule auth.CertRule, why string) {
		Expect(rule.Check()).To(MatchError(ContainSubstring(why)))
	},
		Entry("a trust domain in capitals", auth.CertRule{TrustDomains: []string{"Prod.example"}}, "small letters"),
		Entry("a trust domain with its scheme", auth.CertRule{TrustDomains: []string{"spiffe://prod.example"}}, "small letters"),
		Entry("no trust domain", auth.CertRule{TrustDomains: []string{""}}, "small letters"),
		Entry("common names beside trust domains", auth.CertRule{TrustDomains: []string{"a"}, CommonName: true}, "one of the two"),
		Entry("a grant for nobody", auth.CertRule{Grants: []auth.Grant{{Claims: []spec.Claim{{Type: "a", Value: "b"}}}}}, "expected a subject"),
		Entry("a grant for what no subject is", auth.CertRule{
			Grants: []auth.Grant{{Subject: "https://a.example", Claims: []spec.Claim{{Type: "a", Value: "b"}}}},
		}, "nobody is"),
		Entry("a grant of nothing", auth.CertRule{Grants: []auth.Grant{{Subject: "a"}}}, "at least one claim"),
		Entry("a grant of what a certificate says", auth.CertRule{
			Grants: []auth.Grant{{Subject: "a", Claims: []spec.Claim{{Type: "cert.san", Value: "b"}}}},
		}, "what a certificate says"),
		Entry("a grant of scp, which nothing asks for", auth.CertRule{
			Grants: []auth.Grant{{Subject: "a", Claims: []spec.Claim{{Type: "scp", Value: "b"}}}},
		}, "of type scope"),
		Entry("a grant without a value", auth.CertRule{Grants: []auth.Grant{{Subject: "a", Claims: []spec.Claim{{Type: "a"}}}}}, "a type and a value"),
		Entry("two grants for one", auth.CertRule{Grants: []auth.Grant{
			{Subject: "a", Claims: []spec.Claim{{Type: "a", Value: "b"}}}, {Subject: "a", Claims: []spec.Claim{{Type: "c", Value: "d"}}},
		}}, "granted twice"),
	)
})
