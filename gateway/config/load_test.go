package config_test

import (
	"log/slog"
	"os"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/stella-ops/router/gateway"
	"github.com/stella-ops/router/gateway/config"
	"github.com/stella-ops/router/gateway/edge"
	"github.com/stella-ops/router/gateway/limit"
	"github.com/stella-ops/router/gateway/routing"
	"github.com/stella-ops/router/spec"
	_ "github.com/stella-ops/router/transports/tcp"
)

// load reads a file with some variables and flags, each as a pair of name and text.
func load(text string, variables map[string]string, flags ...config.Flag) (*config.Loaded, error) {
	return config.Load(config.Source{
		Name: "gateway.yaml", Text: []byte(text), Flags: flags,
		Variable: func(name string) (string, bool) { v, ok := variables[name]; return v, ok },
	})
}

const whole = `node: {id: gw-1, region: eu}
http: 127.0.0.1:9000
listeners:
  - address: 127.0.0.1:9443
    tls: {cert: a.pem, key: a.key, clientCAs: roots.pem, clients: required}
    proxyProtocol: [10.0.0.0/8, "fd00::/8"]
transports:
  listen: [tcp://127.0.0.1:5100, tls://127.0.0.1:5101]
  owners: {/invoices: billing}
  memory: 1GiB
  acceptRate: 7
shutdown: {grace: 1m30s}
log: {level: debug, format: json}
`

var _ = Describe("a configuration", func() {
	It("is what the file says, and defaults where it says nothing", func() {
		l, err := load(whole, nil)
		Expect(err).NotTo(HaveOccurred())
		f := l.File
		Expect(f.Node).To(Equal(config.Node{ID: "gw-1", Region: "eu", Environment: "default"}))
		Expect(f.Listeners).To(HaveLen(1))
		Expect(f.Listeners[0].TLS).To(Equal(&config.ListenerTLS{Cert: "a.pem", Key: "a.key", ClientCAs: "roots.pem", Clients: "required"}))
		Expect(f.Listeners[0].ProxyFrom).To(Equal([]string{"10.0.0.0/8", "fd00::/8"}))
		Expect(f.Transports.Owners).To(Equal(map[string]string{"/invoices": "billing"}))
		Expect(f.Transports.Memory).To(BeEquivalentTo(1 << 30))
		Expect(f.Transports.AcceptRate).To(Equal(7))
		Expect(f.Transports.Retain).To(Equal(10 * time.Minute))
		Expect(f.Shutdown.Grace).To(Equal(90 * time.Second))
		Expect(f.Log).To(Equal(config.Log{Level: "debug", Form: "json"}))
		Expect(f.Admin.Address).To(Equal("127.0.0.1:5190"))
	})

	It("needs no file", func() {
		l, err := config.Load(config.Source{})
		Expect(err).NotTo(HaveOccurred())
		Expect(l.File.Transports.Listen).To(Equal([]string{"tcp://127.0.0.1:5100"}))
	})

	It("is what variables say, above the file, and what flags say, above both", func() {
		l, err := load(whole, map[string]string{
			"STELLA_REGION": "us", "STELLA_LISTEN": "tcp://127.0.0.1:1, tcp://127.0.0.1:2", "STELLA_OWNERS": "/a=one,/b=two",
			"STELLA_TRANSPORTS_HEARTBEAT": "2s", "STELLA_NODE": "",
		}, config.Flag{Name: "--region", Path: "node.region", Text: "ap"})
		Expect(err).NotTo(HaveOccurred())
		Expect(l.File.Node).To(Equal(config.Node{ID: "gw-1", Region: "ap", Environment: "default"}))
		Expect(l.File.Transports.Listen).To(Equal([]string{"tcp://127.0.0.1:1", "tcp://127.0.0.1:2"}))
		Expect(l.File.Transports.Owners).To(Equal(map[string]string{"/a": "one", "/b": "two"}))
		for path, want := range map[string]string{
			"node.region": "--region", "node.id": "gateway.yaml:1:8", "transports.listen": "STELLA_LISTEN",
			"transports.heartbeat": "STELLA_TRANSPORTS_HEARTBEAT", "admin.address": "default", "transports.acceptRate": "gateway.yaml:11:3",
			"listeners[0].tls.key": "gateway.yaml:5:24",
		} {
			Expect(l.Origin(path).String()).To(Equal(want), path)
		}
	})

	It("lists every value with its origin, and shows no secrets", func() {
		l, err := load("transports: {token: [abcdefghijklmnop]}\n", nil)
		Expect(err).NotTo(HaveOccurred())
		values := map[string]config.Value{}
		for _, v := range l.Values() {
			values[v.Path] = v
		}
		Expect(values).To(HaveKeyWithValue("transports.token", And(HaveField("Text", "(not shown)"), HaveField("Origin", "gateway.yaml:1:14"))))
		Expect(values["shutdown.grace"].Text).To(Equal("25s"))
		Expect(values["transports.memory"].Text).To(Equal("256MiB"))
		Expect(values["transports.retain"].Text).To(Equal("10m"))
	})

	Describe("that says little", func() {
		shown := func(text string, variables map[string]string) map[string]string {
			GinkgoHelper()
			l, err := config.Load(config.Source{
				Name: "gateway.yaml", Text: []byte(text), Host: "host-7",
				Variable: func(name string) (string, bool) { v, ok := variables[name]; return v, ok },
			})
			Expect(err).NotTo(HaveOccurred())
			values := map[string]string{}
			for _, v := range l.Values() {
				values[v.Path] = v.Text + " " + v.Origin
			}
			return values
		}

		It("shows what is in force, and that nobody has said it", func() {
			values := shown("node: {region: eu}\ntransports: {heartbeat: 2s}\nlisteners: []\nlimits: {rules: [{name: a, rate: 7}]}\n"+
				"issuers: [{issuer: a, audiences: [b], jwks: c}]\ndev: {enabled: true, tokenFile: t}\n", nil)
			for path, want := range map[string]string{
				"node.id": "host-7 default", "node.region": "eu gateway.yaml:1:8", "http": "127.0.0.1:8080 default",
				"transports.acceptRate": "100 default", "transports.heartbeat": "2s gateway.yaml:2:14", "limits.rules[0].burst": "7 default",
				"limits.rules[0].service": "(every one) default", "limits.rules[0].rate": "7 gateway.yaml:4:28", "issuers[0].algorithms": "ES256,RS256 default",
				"issuers[0].tenantClaim": "(tenant, or tid) default", "routing.slowStart": "10s default", "routing.ejection.consecutiveFailures": "5 default",
				"routing.ejection.maxTime": "5m default", "routing.balancer": "ewma default", "routing.trust": "gateway default",
				"routing.version.default": "capacity default", "dev.key": "t.key default",
			} {
				Expect(values).To(HaveKeyWithValue(path, want))
			}
		})

		It("shows no address where listeners take its place, and no version where weights do", func() {
			values := shown("listeners: [{address: '127.0.0.1:1'}]\nservices: {a: {version: {weights: {1.0.0: 1}}}}\n", nil)
			Expect(values).To(HaveKeyWithValue("http", " default"))
			Expect(values).To(HaveKeyWithValue("services[a].version.default", " default"))
			values = shown("listeners: [{address: '127.0.0.1:1'}]\n", map[string]string{"STELLA_HTTP": "127.0.0.1:2"})
			Expect(values).To(HaveKeyWithValue("http", "127.0.0.1:2 STELLA_HTTP"))
		})

		It("shows of services what they have from routing, and where that is said", func() {
			values := shown("routing: {slowStart: 0s, version: {default: newest}, ejection: {off: true, baseTime: 10m}, overlays: {loosen: [timeout]}}\n"+
				"services:\n  a: {ejection: {off: false, failurePercent: 0}, overlays: {loosen: []}}\n  b: {version: {weights: {1.0.0: 1}, sticky: subject}}\n", nil)
			for path, want := range map[string]string{
				"routing.ejection.maxTime": "10m default", "services[a].slowStart": "0s gateway.yaml:1:11", "services[a].version.default": "newest gateway.yaml:1:36",
				"services[a].ejection.off": "false gateway.yaml:3:18", "services[a].ejection.failurePercent": "0 gateway.yaml:3:30",
				"services[a].ejection.baseTime": "10m gateway.yaml:1:76", "services[a].ejection.window": "10s default", "services[a].overlays.loosen": " gateway.yaml:3:61",
				"services[b].ejection.off": "true gateway.yaml:1:65", "services[b].overlays.loosen": "timeout gateway.yaml:1:103",
				"services[b].version.default": " default",
			} {
				Expect(values).To(HaveKeyWithValue(path, want))
			}
		})

		It("shows what a gateway without a configuration has", func() {
			l, err := config.Load(config.Source{})
			Expect(err).NotTo(HaveOccurred())
			cfg := l.Gateway(GinkgoWriter, new(slog.LevelVar))
			Expect(cfg.Routing).To(BeZero(), "what nobody has said is the gateway's own to choose")
			none := cfg.Routing.Over(routing.Policy{})
			f := &l.File
			Expect(f.Routing.SlowStart).To(Equal(none.SlowStart))
			Expect(f.Routing.Ejection.MaxEjectedPercent).To(Equal(none.Ejection.MaxEjectedPercent))
			Expect([]any{cfg.HTTP, cfg.Listen, cfg.Admin, cfg.AcceptRate, cfg.Memory, cfg.Grace, cfg.Retain, cfg.Stall, cfg.Heartbeat}).To(Equal([]any{
				gateway.DefaultHTTP, []string{gateway.DefaultListen}, gateway.DefaultAdmin, gateway.DefaultAcceptRate, int64(gateway.DefaultMemory),
				gateway.DefaultGrace, routing.DefaultRetain, edge.DefaultStall, spec.HeartbeatInterval,
			}))
		})
	})

	DescribeTable("is refused where zero would silently be the default", func(setting string) {
		_, err := load("routing: {ejection: {"+setting+"}}\n", nil)
		Expect(err).To(MatchError(ContainSubstring("gateway.yaml:1:")))
		Expect(err).To(MatchError(ContainSubstring(": expected at least ")))
	}, Entry(nil, "maxEjectedPercent: 0"), Entry(nil, "minRequests: 0"), Entry(nil, "window: 0s"), Entry(nil, "baseTime: 0s"), Entry(nil, "maxTime: 0s"))

	DescribeTable("is refused with the place of each fault",
		func(text string, want ...string) {
			_, err := load(text, nil)
			Expect(err).To(HaveOccurred())
			lines := strings.Split(err.Error(), "\n")
			Expect(lines).To(HaveLen(len(want)), err.Error())
			for i := range want {
				Expect(lines[i]).To(HavePrefix("gateway.yaml:" + want[i]))
				Expect(strings.Count(lines[i], ". ")).To(BeZero(), "one sentence")
			}
		},
		Entry("all at once", "nod: {}\nadmin: {address: nowhere}\ntransports: {acceptRate: 0, memory: lots, heartbeat: 1ms}\n",
			`1:1: there is no key "nod" (is it node?)`, `2:18: admin.address: expected host:port`,
			`3:26: transports.acceptRate: expected at least 1, got 0`, `3:37: transports.memory: expected a size`,
			`3:54: transports.heartbeat: expected at least 10ms, got 1ms`),
		Entry("a key twice", "http: 127.0.0.1:1\nhttp: 127.0.0.1:2\n", `2:1: key http given twice`),
		Entry("no YAML", "a: b: c\n", `1:5: mapping values`),
		Entry("empty", "", `1:1: the file is empty`),
		Entry("an empty key", "http:\n", `1:6: http: is empty`),
		Entry("text where a list is expected", "transports: {listen: tcp://127.0.0.1:1}\n", `1:22: transports.listen: expected a list, got text`),
		Entry("a list where text is expected", "http: [a]\n", `1:7: http: expected one value, got a list`),
		Entry("text where keys are expected", "node: gw\n", `1:7: node: expected keys and values, got text`),
		Entry("a number in quotes", "transports: {acceptRate: '5'}\n", `1:26: transports.acceptRate: expected int, got text in quotes`),
		Entry("another word", "log: {level: loud}\n", `1:14: log.level: expected debug or info or warn or error, got "loud"`),
		Entry("an access log that the level leaves out", "log: {access: true, level: warn}\n", `1:7: log.access: writes lines of level info, and log.level is warn`),
		Entry("a listener without an address", "listeners:\n  - tls: {cert: a, key: b}\n", `2:5: listeners[0].address: is not said`),
		Entry("a certificate without a key", "listeners: [{address: 127.0.0.1:1, tls: {cert: a}}]\n", `1:41: listeners[0].tls.key: is not said`),
		Entry("a front end with a slash at its end", "static: [{path: /app/, dir: .}]\n",
			`1:17: static[0].path: expected a path without parameters, such as /invoices, got "/app/": it ends with a slash: write /app, which has everything below it`),
		Entry("a front end with parameters", "static: [{path: '/{a}/', dir: .}]\n",
			`1:17: static[0].path: expected a path without parameters, such as /invoices, got "/{a}/"`),
		Entry("a front end without a folder, by one sentence", "static: [{path: /app}]\n", "1:10: static[0].dir: is not said: The folder whose files are served."),
		Entry("a network that is none", "listeners: [{address: 127.0.0.1:1, proxyProtocol: [10.0.0.1]}]\n", `1:52: listeners[0].proxyProtocol[0]: expected a network`),
		Entry("an owner that is no service", "transports: {owners: {/a: Not Me}}\n", `1:27: transports.owners[/a]: expected the name of a service`),
		Entry("an owner of a pattern", "transports: {owners: {'/a/{b}': me}}\n", `1:23: transports.owners: expected a path without parameters`),
		Entry("nowhere for services", "transports: {listen: []}\n", `1:14: transports.listen: is an empty list`),
		Entry("an owner of no path", "transports: {owners: {invoices: billing}}\n",
			`1:23: transports.owners: expected a path without parameters, such as /invoices, got "invoices": path "invoices" does not begin with a slash`),
		Entry("a store that is none", "limits: {store: 'tcp://127.0.0.1:1'}\n",
			`1:17: limits.store: expected the URL of a Valkey or Redis server, such as valkey://127.0.0.1:6379, got "(not shown)": another scheme, or none`),
		Entry("a weight of no version", "services: {billing: {version: {weights: {one: 1}}}}\n", `1:42: services[billing].version.weights: expected a version`),
		Entry("a negative weight", "services: {billing: {version: {weights: {1.0.0: -1}}}}\n", `1:49: services[billing].version.weights[1.0.0]: expected at least 0`),
		Entry("a policy of no service", "services: {No One: {balancer: ping}}\n", `1:12: services: expected the name of a service`),
		Entry("development without a file", "dev: {enabled: true}\n", `1:7: dev.enabled: development mode needs a file`),
	)

	DescribeTable("is refused by what a variable says",
		func(name, text, want string) {
			_, err := load(whole, map[string]string{name: text})
			Expect(err).To(MatchError(ContainSubstring(name + ": " + want)))
		},
		Entry(nil, "STELLA_GRACE", "soon", "shutdown.grace: expected a time"),
		Entry(nil, "STELLA_OWNERS", "/a", "transports.owners: expected KEY=VALUE"),
		Entry(nil, "STELLA_OWNERS", "/a=one,/a=two", "transports.owners: /a is given twice: one and two"),
		Entry(nil, "STELLA_QUEUE", "user:secret", `transports.queue: expected the URL of a broker`),
	)

	It("does not repeat a secret that is wrong", func() {
		_, err := load("transports: {queue: 'secret'}\n", nil)
		Expect(err).To(MatchError(And(ContainSubstring("expected the URL of a broker"), Not(ContainSubstring(`"secret"`)))))
	})

	It("has policies of routing, in which zero is said or is not", func() {
		l, err := load("node: {region: eu-1, neighbours: [eu-2, us-1]}\nrouting: {balancer: ping, ejection: {consecutiveFailures: 0}}\n"+
			"services:\n  billing: {version: {weights: {1.0.0: 90, 1.1.0: 10}, sticky: subject}, slowStart: 0s}\n", nil)
		Expect(err).NotTo(HaveOccurred())
		cfg := l.Gateway(GinkgoWriter, new(slog.LevelVar))
		Expect(cfg.Neighbours).To(Equal([]string{"eu-2", "us-1"}))
		Expect(cfg.Routing).To(Equal(routing.Policy{Balancer: "ping", Ejection: routing.Ejection{ConsecutiveFailures: routing.Off}}))
		Expect(cfg.Services).To(Equal(map[string]routing.Policy{"billing": {
			Version: routing.VersionPolicy{Weights: map[string]int{"1.0.0": 90, "1.1.0": 10}, Sticky: "subject"}, SlowStart: routing.Off,
		}}))
		Expect(gateway.Check(cfg)).To(Succeed())
	})

	It("says when instances count as worse", func() {
		l, err := load("health: {degradedAfter: 4, unhealthyAfter: 6}\n", map[string]string{"STELLA_HEALTH_UNHEALTHY_AFTER": "8"})
		Expect(err).NotTo(HaveOccurred())
		cfg := l.Gateway(GinkgoWriter, new(slog.LevelVar))
		Expect([]int{cfg.DegradedAfter, cfg.UnhealthyAfter}).To(Equal([]int{4, 8}))
		_, err = config.Check(config.Source{Name: "gateway.yaml", Text: []byte("health: {degradedAfter: 4}\n")})
		Expect(err).To(MatchError(ContainSubstring("gateway.yaml:1:1: health.unhealthyAfter: ")))
	})

	It("has limits, which docs/limits.md shows whole", func() {
		page, err := os.ReadFile("../../docs/limits.md")
		Expect(err).NotTo(HaveOccurred())
		_, text, _ := strings.Cut(string(page), "```yaml\n")
		text, _, _ = strings.Cut(text, "```")
		l, err := load(text, nil)
		Expect(err).NotTo(HaveOccurred())
		cfg := l.Gateway(GinkgoWriter, new(slog.LevelVar))
		Expect(cfg.Limits).To(Equal(limit.Config{
			Store: "valkey://limits.internal:6379", Environment: "production", Gateways: 2, Keys: limit.DefaultKeys, Headers: true,
			Rules: []limit.Rule{
				{Name: "everybody", By: "address", Rate: 50, Per: time.Second, Burst: 200, Scope: limit.ScopeInstance},
				{Name: "tenants", By: "tenant", Rate: 1000, Per: time.Minute, Burst: 1000, Scope: limit.ScopeEnvironment, Failure: limit.FailureLocal},
				{
					Name: "new-invoices", Endpoint: "POST /invoices", By: "tenant", Rate: 5, Per: time.Second, Burst: 5, Scope: limit.ScopeEnvironment,
					Failure: limit.FailureClosed,
				},
			},
			Priorities: []limit.Priority{
				{Service: "checkout", Class: limit.ClassCritical}, {Endpoint: "GET /reports/{id}", Class: limit.ClassBackground},
			},
			Concurrency: limit.Concurrency{Total: 5000, Adaptive: true, Min: limit.DefaultMin, Max: limit.DefaultMax},
			Connections: limit.Connections{Total: 20000, PerAddress: 200},
		}))
		Expect(gateway.Check(cfg)).To(Succeed())
	})

	It("has faults of limits that only the gateway sees", func() {
		l, err := load("limits: {rules: [{name: a, rate: 1, scope: environment}, {name: a, rate: 1, by: nobody}]}\n", nil)
		Expect(err).NotTo(HaveOccurred())
		err = gateway.Check(l.Gateway(GinkgoWriter, new(slog.LevelVar)))
		for _, want := range []string{"failure: expected open, closed or local", `rule "a" is given twice`, `got "nobody"`, "expected a store"} {
			Expect(err).To(MatchError(ContainSubstring(want)))
		}
	})

	It("is compared with another: what was added, removed and changed, and what needs a restart", func() {
		before, err := load("log: {level: info}\nlisteners: [{address: 127.0.0.1:1}]\ntransports: {token: [abcdefghijklmnop]}\n", nil)
		Expect(err).NotTo(HaveOccurred())
		after, err := load("log: {level: warn}\ntransports: {token: [abcdefghijklmnoq]}\n", nil)
		Expect(err).NotTo(HaveOccurred())
		Expect(before.Diff(before)).To(BeEmpty())
		Expect(before.Diff(after)).To(Equal([]config.Change{
			{Path: "http", New: "127.0.0.1:8080", Kind: "changed", Origin: "default", Restart: true},
			{Path: "transports.token", Old: "(not shown)", New: "(not shown)", Kind: "changed", Origin: "gateway.yaml:2:14", Restart: true},
			{Path: "log.level", Old: "info", New: "warn", Kind: "changed", Origin: "gateway.yaml:1:7"},
			{Path: "listeners[0].address", Old: "127.0.0.1:1", Kind: "removed", Origin: "gateway.yaml:2:14", Restart: true},
			{Path: "listeners[0].proxyProtocol", Kind: "removed", Origin: "default", Restart: true},
		}))
	})
})

var _ = Describe("the table of settings", func() {
	It("has schema and check say the same of services' names", func() {
		for _, name := range []string{"billing", "Billing", "9x", "a.b_c-d", "-a", ".a", "a b", "ä", "", strings.Repeat("a", 128), strings.Repeat("a", 129)} {
			schema, check := config.Agree("service", name)
			Expect(schema).To(Equal(check), name)
		}
	})

	It("has every key of the file, and no others, with defaults and bounds that can be read", func() {
		Expect(config.Unknown()).To(BeEmpty())
	})
})
