package config_test

import (
	"os"
	"path/filepath"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/stella-ops/router/gateway/config"
	"github.com/stella-ops/router/internal/strictyaml"
	"github.com/stella-ops/router/transports/trust"
)

// everything is a configuration without faults, much of which hangs on something else in it. DIR is a folder with its files.
const everything = `node: {id: gw-1, region: eu-1, neighbours: [eu-2, us-1], environment: production}
http: 127.0.0.1:18080
listeners:
  - address: 0.0.0.0:18443
    tls: {cert: CERT, key: KEY, clientCAs: DIR/ca.pem, clients: required}
    proxyProtocol: [10.0.0.0/8]
transports:
  listen: ["tcp://0.0.0.0:15100", "tcp://127.0.0.1:15101"]
  tokenFile: DIR/tokens
  owners: {/invoices: billing, /orders: orders}
  peers: ["tcp://gw-2:15100"]
  acceptRate: 10
  memory: 64MiB
issuers:
  - {issuer: a, audiences: [b], jwks: DIR/jwks.json, algorithms: [EdDSA], skew: 10s}
  - {issuer: b, audiences: [b], jwks: "https://id.example/jwks", algorithms: [ES256]}
certificates: {enabled: true, trustDomains: [prod.example], grants: [{subject: spiffe://prod.example/a, claims: [scope x]}]}
tenant: {override: true, header: X-Tenant-Id}
envelope: {keyFile: DIR/keys, services: [billing]}
health: {degradedAfter: 3, unhealthyAfter: 4}
routing: {slowStart: 1s, version: {default: newest}, ejection: {baseTime: 1s, maxTime: 2s, minRequests: 3}, overlays: {loosen: [timeout]}}
services:
  billing: {version: {weights: {1.0.0: 1, 1.1.0: 2}, sticky: subject}, ejection: {maxTime: 1500ms}}
  orders: {balancer: ping, trust: hybrid}
endpoints:
  - {service: billing, endpoint: POST /invoices, claims: [scope a]}
  - {service: billing, endpoint: "GET /invoices/{id}", public: a test}
  - {service: orders, endpoint: POST /invoices, timeout: 3s}
legacy:
  upstreams: [{name: shop, url: "http://127.0.0.1:18081"}, {name: rest, url: "http://127.0.0.1:18082"}]
  routes:
    - {path: /books, methods: [GET], upstream: shop, public: a test}
    - {path: /books, methods: [POST], upstream: rest, weight: 10, sticky: subject, claims: [scope x]}
authority: {source: "https://authority.example/claims", tokenFile: DIR/token, unreached: declared}
limits:
  store: valkey://127.0.0.1:6379
  gateways: 2
  rules:
    - {name: a, rate: 5, by: tenant, scope: environment, failure: open}
    - {name: b, rate: 5, by: tenant, service: billing}
    - {name: c, rate: 5, by: tenant, endpoint: GET /x}
  priorities: [{service: billing, class: critical}, {service: billing, endpoint: GET /x, class: normal}]
  concurrency: {adaptive: true, min: 5000, max: 6000}
cors: [{origins: ["https://a.example"], credentials: true}, {path: /a, origins: ["*"]}]
static: [{dir: DIR}, {path: /a, dir: DIR}]
admin: {address: 0.0.0.0:15190, tokenFile: DIR/operators, hosts: [gw-1]}
telemetry: {traces: {endpoint: "http://127.0.0.1:4318", oneIn: 10}}
`

var _ = Describe("a fault of one setting", func() {
	var text string
	check := func(text string) (*config.Loaded, error) {
		return config.Check(config.Source{Name: "gateway.yaml", Text: []byte(text)})
	}
	BeforeEach(func() {
		dir := GinkgoT().TempDir()
		authority, err := trust.OpenAuthority(dir)
		Expect(err).NotTo(HaveOccurred())
		cert, key, err := authority.IssueFiles(dir, "front", "127.0.0.1")
		Expect(err).NotTo(HaveOccurred())
		for name, content := range map[string]string{
			"tokens": "* abcdefghijklmnopqrstuvwxyzabcdef\n", "operators": "me admin abcdefghijklmnopqrstuvwxyzabcdef\n", "token": "abcdef\n",
			"keys":      "abcdefghijklmnopqrstuvwxyzabcdef\n",
			"jwks.json": `{"keys":[{"kty":"OKP","crv":"Ed25519","kid":"a","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo","alg":"EdDSA"}]}`,
		} {
			Expect(os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600)).To(Succeed())
		}
		text = strings.NewReplacer("DIR", dir, "CERT", cert, "KEY", key).Replace(everything)
		_, err = check(text)
		Expect(err).NotTo(HaveOccurred())
	})

	It("is told alone, whatever hangs on that setting", func() {
		root, faults := strictyaml.Parse([]byte(text))
		Expect(faults).To(BeEmpty())
		values := 0
		var visit func(n *strictyaml.Node)
		visit = func(n *strictyaml.Node) {
			for _, m := range n.Members {
				visit(m.Value)
			}
			for _, item := range n.Items {
				visit(item)
			}
			if n.Kind != strictyaml.Text {
				return
			}
			values++
			_, err := check(text[:n.Offset] + "{a: b}" + text[n.Offset+n.Width:]) // no setting is that
			Expect(err).To(HaveOccurred())
			lines := strings.Split(err.Error(), "\n")
			Expect(lines).To(HaveLen(1), err.Error())
			Expect(lines[0]).To(ContainSubstring("expected one value, got a mapping"))
		}
		visit(root)
		Expect(values).To(BeNumerically(">", 100))
	})

	It("is told alone where it is the key that is wrong, and whatever is required", func() {
		root, _ := strictyaml.Parse([]byte(text))
		var visit func(n *strictyaml.Node)
		visit = func(n *strictyaml.Node) {
			for _, item := range n.Items {
				visit(item)
			}
			for _, m := range n.Members {
				visit(m.Value)
				_, err := check(text[:m.Key.Offset] + "'? ?'" + text[m.Key.Offset+m.Key.Width:]) // no key, path, version nor service is that
				Expect(err).To(HaveOccurred())
				for line := range strings.SplitSeq(err.Error(), "\n") {
					Expect(line).To(Or(ContainSubstring("there is no key"), ContainSubstring(`got "? ?"`), ContainSubstring("is not said: ")), m.Key.Text)
				}
			}
		}
		visit(root)
	})
})
