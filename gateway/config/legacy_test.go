package config_test

import (
	"log/slog"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/stella-ops/router/gateway"
	"github.com/stella-ops/router/gateway/config"
	"github.com/stella-ops/router/gateway/legacy"
	"github.com/stella-ops/router/spec"
)

const legacyFile = `legacy:
  upstreams:
    - {name: shop, url: "http://127.0.0.1:9000"}
    - {name: old, url: "https://old.internal", host: shop.example}
  routes:
    - path: "/books/{rest...}"
      upstream: shop
      weight: 90
      sticky: header:X-Caller
      claims: [scope shop, team]
    - {path: /report, methods: [GET, POST], upstream: old, public: printed on every book, timeout: 1m, idle: 5s, body: 1GiB}
`

var _ = Describe("legacy routes, by a configuration", func() {
	It("are what the file says", func() {
		l, err := load(legacyFile, nil)
		Expect(err).NotTo(HaveOccurred())
		cfg := l.Gateway(GinkgoWriter, new(slog.LevelVar))
		Expect(gateway.Check(cfg)).To(Succeed())
		Expect(cfg.Policy.Legacy).To(Equal(legacy.Config{
			Upstreams: []legacy.Upstream{{Name: "shop", URL: "http://127.0.0.1:9000"}, {Name: "old", URL: "https://old.internal", Host: "shop.example"}},
			Routes: []legacy.Route{
				{
					Path: "/books/{rest...}", Upstream: "shop", Weight: 90, Sticky: "header:X-Caller",
					Claims: []spec.ClaimRequirement{{Type: "scope", Value: "shop"}, {Type: "team"}},
				},
				{
					Path: "/report", Methods: []string{"GET", "POST"}, Upstream: "old", Weight: 100, Public: "printed on every book",
					Limits: spec.Limits{TimeoutMS: 60_000, IdleMS: 5_000, MaxBodyBytes: 1 << 30},
				},
			},
		}))
	})

	It("are none unless the file says so", func() {
		l, err := load("node: {}", nil)
		Expect(err).NotTo(HaveOccurred())
		cfg := l.Gateway(GinkgoWriter, new(slog.LevelVar))
		Expect(cfg.Policy.Legacy).To(BeZero())
	})

	It("change while the gateway runs", func() {
		l, err := load("node: {}", nil)
		Expect(err).NotTo(HaveOccurred())
		next, err := load(legacyFile, nil)
		Expect(err).NotTo(HaveOccurred())
		changes := l.Diff(next)
		Expect(changes).To(ContainElement(config.Change{Path: "legacy.routes[0].weight", New: "90", Kind: "added", Origin: "gateway.yaml:8:7"}))
		for _, c := range changes {
			Expect(c.Restart).To(BeFalse(), c.Path)
		}
	})

	DescribeTable("are refused with the place when they are wrong", func(routes, place, why string) {
		l, err := load("http: 127.0.0.1:8080\nlegacy:\n  upstreams: [{name: shop, url: \"http://127.0.0.1:9000\"}]\n  routes:\n    - "+routes, nil)
		if err == nil {
			err = gateway.Check(l.Gateway(GinkgoWriter, new(slog.LevelVar)))
			Expect(err).To(HaveOccurred())
			err = l.Explain(err, gateway.ErrConfig)
		}
		Expect(err).To(MatchError(And(ContainSubstring("gateway.yaml:"+place+": "), ContainSubstring(why))))
	},
		Entry("another key", "{path: /a, upstream: shop, public: a, weigt: 1}", "5:45", `there is no key "weigt" (is it weight?)`),
		Entry("no path", "{upstream: shop, public: a}", "5:7", "legacy.routes[0].path: is not said"),
		Entry("an asterisk for the rest", "{path: /books/*, upstream: shop, public: a}", "5:14", "write {rest...}, as the last segment"),
		Entry("a path that is no pattern", "{path: /a/, upstream: shop, public: a}", "5:14", "ends with a slash"),
		Entry("a weight beyond all", "{path: /a, upstream: shop, public: a, weight: 101}", "5:53", "expected at most 100, got 101"),
		Entry("a weight that is none", "{path: /a, upstream: shop, public: a, weight: most}", "5:53", "expected a whole number"),
		Entry("another method", "{path: /a, upstream: shop, public: a, methods: [BREW]}", "5:55", `got "BREW"`),
		Entry("no such upstream", "{path: /a, upstream: none, public: a}", "5:18", `no upstream "none"`),
		Entry("what nobody sticks by", "{path: /a, upstream: shop, public: a, sticky: mood}", "5:45", "expected subject, tenant"),
		Entry("neither claims nor public", "{path: /a, upstream: shop}", "5:7", "either claims, or why it is public"),
		Entry("two of one identity", "{path: '/a/{b}', upstream: shop, public: a}\n    - {path: '/a/{c}', upstream: shop, public: a}",
			"6:8", "is taken by legacy.routes[0]"),
		Entry("no time", "{path: /a, upstream: shop, public: a, timeout: 0s}", "5:54", "expected at least 1ms"),
	)

	It("name an upstream by a URL like their own", func() {
		_, err := load("legacy: {upstreams: [{name: shop, url: shop}]}", nil)
		Expect(err).To(MatchError(ContainSubstring(`legacy.upstreams[0].url: expected http or https and a host, such as http://127.0.0.1:9000, got "shop"`)))
	})

	DescribeTable("lead to no gateway's own address", func(http, host string, own bool) {
		l, err := load("http: '"+http+"'\nlegacy: {upstreams: [{name: shop, url: 'http://"+host+"'}]}\n", nil)
		Expect(err).NotTo(HaveOccurred())
		err = l.Explain(gateway.Check(l.Gateway(GinkgoWriter, new(slog.LevelVar))), gateway.ErrConfig)
		if !own {
			Expect(err).NotTo(HaveOccurred())
			return
		}
		Expect(err).To(MatchError(ContainSubstring("gateway.yaml:2:35: legacy.upstreams[0].url: " + host + " is this gateway's own address")))
	},
		Entry("as it is", "127.0.0.1:8080", "127.0.0.1:8080", true),
		Entry("by its name", "127.0.0.1:8080", "localhost:8080", true),
		Entry("by another name for it", "127.0.0.1:8080", "LocalHost:8080", true),
		Entry("as one of IPv6 that stands for one of IPv4", "127.0.0.1:8080", "[::ffff:127.0.0.1]:8080", true),
		Entry("as none in particular", "127.0.0.1:8080", "0.0.0.0:8080", true),
		Entry("at another port", "127.0.0.1:8080", "localhost:9000", false),
		Entry("at the port that nobody has to say", "127.0.0.1:80", "localhost", true),
		Entry("of another address of the machine", "127.0.0.1:8080", "127.0.0.2:8080", false),
		Entry("of another machine", "127.0.0.1:8080", "shop.internal:8080", false),
		Entry("of all, as one of them", "0.0.0.0:8080", "127.0.0.2:8080", true),
		Entry("of all, by its name", ":8080", "localhost:8080", true),
		Entry("of all, of another machine", ":8080", "192.0.2.1:8080", false),
		Entry("a name, as an address", "localhost:8080", "127.0.0.1:8080", true),
	)
})
