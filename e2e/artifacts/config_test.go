package artifacts

import (
	"os"
	"os/exec"
	"path/filepath"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/stella-ops/router/internal/strictyaml"
)

var _ = Describe("the JSON Schema of gateway.yaml", func() {
	var gateway string
	BeforeEach(func() { gateway = filepath.Join(binaries(GinkgoT().TempDir()), "stella-gateway") })

	judged := func(text string) (byGateway, bySchema error) {
		GinkgoHelper()
		written, err := exec.Command(gateway, "config", "schema").Output()
		Expect(err).NotTo(HaveOccurred())
		compiler := schemas(written)
		compiler.DefaultDraft(jsonschema.Draft7)
		schema, err := compiler.Compile("schema.json")
		Expect(err).NotTo(HaveOccurred())
		Expect(schema.DraftVersion).To(Equal(7))
		doc, faults := strictyaml.Parse([]byte(text))
		Expect(faults).To(BeEmpty())
		file := filepath.Join(GinkgoT().TempDir(), "gateway.yaml")
		Expect(os.WriteFile(file, []byte(text), 0o600)).To(Succeed())
		return exec.Command(gateway, "check", file).Run(), schema.Validate(value(doc))
	}

	DescribeTable("takes what the gateway takes", func(text string) {
		byGateway, bySchema := judged(text)
		Expect(byGateway).NotTo(HaveOccurred())
		Expect(bySchema).NotTo(HaveOccurred())
	},
		Entry(nil, "http: 127.0.0.1:1\n"),
		Entry(nil, "node: {id: gw-1, region: eu}\nlog: {level: debug, format: json}\nshutdown: {grace: 1m30s}\n"),
		Entry(nil, "transports: {listen: ['tcp://127.0.0.1:5100'], owners: {/invoices: billing}, memory: 1GiB, acceptRate: 7}\n"),
		Entry(nil, "listeners: [{address: 127.0.0.1:1, proxyProtocol: [10.0.0.0/8]}]\n"),
		Entry(nil, "legacy: {upstreams: [{name: a, url: 'http://127.0.0.1:1'}], routes: [{path: '/a/{b...}', methods: [GET], upstream: a, weight: 90, "+
			"sticky: 'cookie:sid', claims: [scope x], timeout: 1m, body: 1GiB}]}\n"),
	)

	DescribeTable("refuses what the gateway refuses", func(text string) {
		byGateway, bySchema := judged(text)
		Expect(byGateway).To(HaveOccurred())
		Expect(bySchema).To(HaveOccurred())
	},
		Entry("another key", "nod: {}\n"),
		Entry("an address that is none", "http: nowhere\n"),
		Entry("another word", "log: {level: loud}\n"),
		Entry("a size that is none", "transports: {memory: lots}\n"),
		Entry("a number under its least", "transports: {acceptRate: 0}\n"),
		Entry("a time that is none", "shutdown: {grace: soon}\n"),
		Entry("a listener without an address", "listeners: [{}]\n"),
		Entry("a weight beyond all", "legacy: {upstreams: [{name: a, url: 'http://127.0.0.1:1'}], routes: [{path: /a, upstream: a, public: b, weight: 101}]}\n"),
		Entry("a method of another world", "legacy: {upstreams: [{name: a, url: 'http://b'}], routes: [{path: /a, upstream: a, public: b, methods: [BREW]}]}\n"),
		Entry("an owner of no path", "transports: {owners: {a: b}}\n"),
		Entry("a list that is text", "transports: {listen: tcp://127.0.0.1:1}\n"),
	)
})
