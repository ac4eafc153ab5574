package config_test

import (
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/stella-ops/router/gateway/config"
)

var _ = Describe("a configuration with faults of several kinds", func() {
	DescribeTable("is refused with all of them, each once, and with none that only follows from another",
		func(text string, want ...string) {
			_, err := config.Check(config.Source{Name: "gateway.yaml", Text: []byte(text)})
			Expect(err).To(HaveOccurred())
			lines := strings.Split(err.Error(), "\n")
			Expect(lines).To(HaveLen(len(want)), err.Error())
			for i := range want {
				Expect(lines[i]).To(HavePrefix("gateway.yaml:" + want[i]))
			}
		},
		Entry("of YAML, of values, between settings, and of the gateway",
			"log: {level: loud, level: info}\ndev: {tokenFile: a}\nadmin: {address: '0.0.0.0:5190'}\nshutdown: {grace: &a soon}\nlimits: {rules: [{name: a b, rate: 1}]}\n",
			`1:14: log.level: expected debug`, `1:20: key level given twice`, `2:7: dev.tokenFile: is for development mode alone`,
			`3:9: admin.address: admin address "0.0.0.0:5190" is not a loopback address`, `4:19: anchor &a is refused`,
			`4:19: shutdown.grace: expected a time`, `5:18: limits.rules[0]: limit: rule "a b": its name`),
		Entry("of an alias, which is no empty value", "node: {id: &eu gw, region: *eu}\nhttp: nowhere\n",
			`1:12: anchor &eu is refused`, `1:28: alias *eu is refused`, `2:7: http: expected host:port`),
		Entry("of an alias in lists and tables", "node: {id: &a b, neighbours: [*a]}\ntransports: {owners: {/a: *a}}\nhttp: nowhere\n",
			`1:12: anchor &a`, `1:31: alias *a`, `2:27: alias *a`, `3:7: http: expected`),
		Entry("of a merge key, which may bring whatever is missed", "admin: {address: '0.0.0.0:1', <<: {tokenFile: a}}\nhttp: nowhere\n",
			`1:31: merge key <<`, `2:7: http: expected`),
		Entry("of no YAML, behind which nothing is read", "admin: {address: '0.0.0.0:1'}\na: b: c\n", `2:5: mapping values`),
		Entry("of no settings", "[a]\n", `1:1: expected keys and values, got a list`),
		Entry("of a file of tokens that is none, without which the address is refused", "admin: {address: '0.0.0.0:1', tokenFile: [a]}\n",
			`1:42: admin.tokenFile: expected one value`),
		Entry("of a key that is misspelt, without which the address is refused", "admin: {address: '0.0.0.0:1', tokenFil: a}\n",
			`1:31: admin: there is no key "tokenFil"`),
		Entry("of a section that is misspelt, without which an address is refused",
			"transport: {tokenFile: a}\ntransports: {listen: ['tcp://0.0.0.0:2']}\nadmin: {address: '0.0.0.0:1'}\n",
			`1:1: there is no key "transport"`, `3:9: admin.address: admin address "0.0.0.0:1" is not a loopback`),
		Entry("of a section that is unknown, which may be one that is missed", "certificates: {enabled: true}\nfront: [a]\nadmin: {address: '0.0.0.0:1'}\n",
			`2:1: there is no key "front"`, `3:9: admin.address: admin address "0.0.0.0:1" is not a loopback`),
		Entry("of roots without which certificates are for nobody",
			"certificates: {enabled: true}\nlisteners: [{address: '127.0.0.1:1', tls: {cert: none, key: none, clientCAs: [a]}}]\n",
			`2:78: listeners[0].tls.clientCAs: expected one value`),
		Entry("of an address, in whose place the default's would be taken already", "http: nowhere\nlisteners: [{address: '127.0.0.1:8080'}]\nlog: {level: loud}\n",
			`1:7: http: expected host:port`, `3:14: log.level: expected`),
		Entry("of items of a list, of which others have theirs", "limits: {rules: [{name: a, rate: 0}, {name: b, rate: 1, by: nobody}, {name: c, rate: 1}]}\n",
			`1:34: limits.rules[0].rate: expected at least 1`, `1:38: limits.rules[1]: limit: rule "b": by: expected`),
		Entry("of the service of a rule, without which it would count the same as another", "limits: {rules: [{name: a, rate: 1}, {name: b, rate: 1, service: No One}]}\n",
			`1:66: limits.rules[1].service: expected the name of a service`),
		Entry("of routing, which services have, too", "routing: {ejection: {baseTime: soon}}\nservices: {a: {ejection: {maxTime: 1s}}}\nhttp: nowhere\n",
			`1:32: routing.ejection.baseTime: expected a time`, `3:7: http: expected`),
		Entry("of a network, without which nobody is a peer", "listeners: [{address: '127.0.0.1:1', proxyProtocol: [10.0.0.1]}]\n",
			`1:54: listeners[0].proxyProtocol[0]: expected a network`),
		Entry("of an issuer, each with its own place",
			"issuers:\n- {issuer: a, audiences: [''], algorithms: [], jwks: 'http://192.0.2.1/'}\n",
			`2:27: issuers[0].audiences[0]: auth: configuration: issuer "a": audiences/0: it is empty`, `2:32: issuers[0].algorithms: `, `2:48: issuers[0].jwks: `),
		Entry("of an issuer, beside one of its values",
			"issuers: [{issuer: a, audiences: [b], algorithms: [HS256], jwks: 'http://192.0.2.1/'}]\n",
			`1:52: issuers[0].algorithms[0]: expected RS256 or`, `1:60: issuers[0].jwks: `),
		Entry("of an issuer with a key that is misspelt, without which there are no keys", "issuers: [{issuer: a, audiences: [b], jwk: c}]\n",
			`1:39: issuers[0]: there is no key "jwk" (is it jwks?)`),
		Entry("of a rule that has another one: what it would count is not known", "limits: {rules: [{name: a b, rate: 1}, {name: x, rate: 1, failure: open}]}\n",
			`1:18: limits.rules[0]: limit: rule "a b": its name`, `1:40: limits.rules[1]: limit: rule "x": failure: is for scope environment`),
	)

	It("is taken when it has none", func() {
		l, err := config.Check(config.Source{Name: "gateway.yaml", Text: []byte("http: 127.0.0.1:0\n")})
		Expect(err).NotTo(HaveOccurred())
		Expect(l.File.HTTP).To(Equal("127.0.0.1:0"))
	})
})
