package config_test

import (
	"log/slog"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/stella-ops/router/gateway"
	"github.com/stella-ops/router/gateway/auth"
	"github.com/stella-ops/router/gateway/config"
	"github.com/stella-ops/router/gateway/routing"
	"github.com/stella-ops/router/spec"
	"github.com/stella-ops/router/transports/trust"
)

var _ = Describe("who may call, by a configuration", func() {
	It("is what the file says", func() {
		dir := GinkgoT().TempDir()
		authority, err := trust.OpenAuthority(dir)
		Expect(err).NotTo(HaveOccurred())
		cert, key, err := authority.IssueFiles(dir, "front", "127.0.0.1")
		Expect(err).NotTo(HaveOccurred())
		l, err := load(`listeners: [{address: "127.0.0.1:8443", tls: {cert: '`+cert+`', key: '`+key+`', clientCAs: '`+dir+`/ca.pem'}}]
certificates:
  enabled: true
  trustDomains: [prod.example]
  grants: [{subject: spiffe://prod.example/billing, claims: [scope orders:read, "name with spaces in it"]}]
tenant: {override: true, header: X-Tenant-Id}
endpoints:
  - {service: billing, endpoint: "POST /invoices/{id}", claims: [scope billing:write, team]}
  - {service: billing, endpoint: GET /report, public: printed on every invoice}
authority: {source: https://authority.example/claims.json, unreached: declared}
`, nil)
		Expect(err).NotTo(HaveOccurred())
		cfg := l.Gateway(GinkgoWriter, new(slog.LevelVar))
		Expect(gateway.Check(cfg)).To(Succeed())
		Expect(cfg.Policy.Certificates).To(Equal(&auth.CertRule{TrustDomains: []string{"prod.example"}, Grants: []auth.Grant{{
			Subject: "spiffe://prod.example/billing",
			Claims:  []spec.Claim{{Type: "scope", Value: "orders:read"}, {Type: "name", Value: "with spaces in it"}},
		}}}))
		Expect(cfg.Policy.TenantHeader).To(Equal("X-Tenant-Id"))
		Expect(cfg.Access).To(Equal([]routing.AccessRule{
			{
				Service: "billing", Endpoint: "POST /invoices/{id}", Origin: "gateway.yaml:8:5",
				Claims: []spec.ClaimRequirement{{Type: "scope", Value: "billing:write"}, {Type: "team"}},
			},
			{Service: "billing", Endpoint: "GET /report", Origin: "gateway.yaml:9:5", Public: "printed on every invoice"},
		}))
		Expect(cfg.Authority).To(Equal(gateway.Authority{Source: "https://authority.example/claims.json", Every: 30 * time.Second, Declared: true}))
	})

	It("is nobody's certificate, nobody's choice of a tenant and no authority unless the file says so", func() {
		l, err := load("certificates: {commonName: true}\ntenant: {header: X-Tenant-Id}\n", nil)
		Expect(err).NotTo(HaveOccurred())
		cfg := l.Gateway(GinkgoWriter, new(slog.LevelVar))
		Expect(cfg.Policy.Certificates).To(BeNil())
		Expect(cfg.Policy.TenantHeader).To(BeEmpty())
		Expect(cfg.Authority.Source).To(BeEmpty())
		Expect(cfg.Authority.Declared).To(BeFalse(), "nobody passes before an authority was reached")
	})

	It("changes while the gateway runs, but for the authority", func() {
		l, err := load("node: {}", nil)
		Expect(err).NotTo(HaveOccurred())
		next, err := load(`issuers: [{issuer: a, audiences: [b], jwks: c.json}]
certificates: {enabled: true}
tenant: {override: true}
envelope: {keyFile: a, services: [b]}
routing: {trust: hybrid}
services: {a: {trust: service}}
endpoints: [{service: a, endpoint: GET /, public: b}]
authority: {source: a.json}
`, nil)
		Expect(err).NotTo(HaveOccurred())
		var restart []string
		for _, c := range l.Diff(next) {
			if c.Restart {
				restart = append(restart, c.Path)
			}
		}
		Expect(restart).To(Equal([]string{"authority.source"}))
	})

	DescribeTable("is refused with the place when it is wrong", func(text, place, why string) {
		_, err := load(text, nil)
		Expect(err).To(MatchError(And(ContainSubstring(place), ContainSubstring(why))))
	},
		Entry("a grant without a value", "certificates: {grants: [{subject: a, claims: [scope]}]}", "gateway.yaml:1:47", "no value"),
		Entry("a grant of what nobody can ask for", "certificates: {grants: [{subject: a, claims: [scope x, scp x]}]}", "gateway.yaml:1:56", "write scope"),
		Entry("a grant for nobody", "certificates: {grants: [{claims: [scope a]}]}", "certificates.grants[0].subject", "is not said"),
		Entry("a tenant's field that services see", "tenant: {header: Accept}", "gateway.yaml:1:18", "services see this one"),
		Entry("an endpoint without a method", "endpoints: [{service: a, endpoint: /x, public: b}]", "gateway.yaml:1:36", "a method and a path"),
		Entry("an endpoint with neither", "endpoints: [{service: a, endpoint: GET /x}]", "endpoints[0]", "either claims"),
		Entry("an endpoint with both", "endpoints: [{service: a, endpoint: GET /x, public: b, claims: [c]}]", "endpoints[0]", "either claims"),
		Entry("an endpoint twice", "endpoints:\n- {service: a, endpoint: 'GET /{x}', public: b}\n- {service: a, endpoint: 'GET /{y}', public: b}\n",
			"gateway.yaml:3:3", "is there twice"),
		Entry("a claim that is none", "endpoints: [{service: a, endpoint: GET /x, claims: ['a  b']}]", "gateway.yaml:1:53", "TYPE VALUE"),
		Entry("keys of envelopes for nobody", "envelope: {keyFile: a}", "envelope.keyFile", "signs for no service"),
		Entry("services of envelopes without keys", "envelope: {services: [a]}", "envelope.services", "without keys"),
		Entry("another way to trust", "services: {a: {trust: nobody}}", "services[a].trust", "gateway or hybrid or service"),
		Entry("another way to be unreached", "authority: {source: a, unreached: open}", "authority.unreached", "closed or declared"),
	)

	It("is refused by the gateway where only it can tell", func() {
		for text, why := range map[string]string{
			"authority: {source: 'http://192.0.2.1/'}":                                                          "expected https",
			"certificates: {enabled: true, trustDomains: [A]}":                                                  "small letters",
			"certificates: {enabled: true, grants: [{subject: a, claims: [cert.cn b]}]}":                        "what a certificate says",
			"tenant: {override: true, header: Stella-Version}":                                                  "never reaches services",
			"certificates: {enabled: true, commonName: true, trustDomains: [a]}":                                "one of the two",
			"certificates: {enabled: true, grants: [{subject: a, claims: [b c]}, {subject: a, claims: [b c]}]}": "granted twice",
		} {
			l, err := load(text, nil)
			Expect(err).NotTo(HaveOccurred(), text)
			Expect(gateway.Check(l.Gateway(GinkgoWriter, new(slog.LevelVar)))).To(MatchError(ContainSubstring(why)), text)
		}
	})

	It("has the reason and the origin of each endpoint in what operators see", func() {
		l, err := load("endpoints: [{service: a, endpoint: GET /x, claims: [b, c d]}]", nil)
		Expect(err).NotTo(HaveOccurred())
		Expect(l.Values()).To(ContainElement(And(HaveField("Path", "endpoints[0].claims"), HaveField("Text", "b,c d"), HaveField("Origin", "gateway.yaml:1:44"))))
		Expect(config.Help("authority.every")).To(ContainSubstring("STELLA_AUTHORITY_EVERY"))
	})
})
