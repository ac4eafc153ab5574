package legacy_test

import (
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/stella-ops/router/gateway/legacy"
	"github.com/stella-ops/router/internal/fault"
	"github.com/stella-ops/router/spec"
)

var _ = Describe("the configuration of legacy routes", func() {
	// sound is one without faults, which an entry changes.
	sound := func() legacy.Config {
		return legacy.Config{
			Upstreams: []legacy.Upstream{{Name: "shop", URL: "http://127.0.0.1:9000"}, {Name: "old-1.x", URL: "https://shop.internal", Host: "shop.example:8443"}},
			Routes: []legacy.Route{
				{Path: "/books/{rest...}", Upstream: "shop", Weight: 90, Sticky: "subject", Claims: []spec.ClaimRequirement{{Type: "scope", Value: "shop"}}},
				{Path: "/books/{id}", Methods: []string{"GET", "PUT"}, Upstream: "old-1.x", Public: "a test"},
			},
		}
	}
	It("is taken where nothing is wrong with it", func() {
		c := sound()
		Expect(c.Check()).To(Succeed())
		Expect(new(legacy.Config).Check()).To(Succeed())
		Expect(c.Routes[0].Name()).To(Equal("/books/{rest...}"))
		Expect(c.Routes[1].Name()).To(Equal("GET,PUT /books/{id}"))
	})

	DescribeTable("is refused with the place of what is wrong",
		func(setting, says string, change func(*legacy.Config)) {
			c := sound()
			change(&c)
			leaves := fault.Leaves(c.Check())
			Expect(leaves).To(HaveLen(1))
			Expect(leaves[0].Setting).To(Equal(setting))
			Expect(leaves[0].Err.Error()).To(ContainSubstring(says))
		},
		Entry("a name with other characters", "legacy.upstreams[1].name", "letters, digits", func(c *legacy.Config) {
			c.Upstreams[1].Name, c.Routes[1].Upstream = "a b", "a b"
		}),
		Entry("two of a name", "legacy.upstreams[1].name", "two upstreams shop", func(c *legacy.Config) {
			c.Upstreams[1].Name, c.Routes[1].Upstream = "shop", "shop"
		}),
		Entry("another scheme", "legacy.upstreams[0].url", "expected http or https", func(c *legacy.Config) { c.Upstreams[0].URL = "ftp://x" }),
		Entry("no host", "legacy.upstreams[0].url", "a host", func(c *legacy.Config) { c.Upstreams[0].URL = "http://:80" }),
		Entry("a path", "legacy.upstreams[0].url", "no login, path or query", func(c *legacy.Config) { c.Upstreams[0].URL = "http://x/base" }),
		Entry("a login, which is not repeated", "legacy.upstreams[0].url", "nothing beside them", func(c *legacy.Config) { c.Upstreams[0].URL = "http://me:secret@x" }),
		Entry("what is no host", "legacy.upstreams[0].host", "expected a host", func(c *legacy.Config) { c.Upstreams[0].Host = "a\r\nb" }),
		Entry("an upstream that is not there", "legacy.routes[0].upstream", `no upstream "none"`, func(c *legacy.Config) { c.Routes[0].Upstream = "none" }),
		Entry("a weight above", "legacy.routes[0].weight", "101, expected 0 to 100", func(c *legacy.Config) { c.Routes[0].Weight = 101 }),
		Entry("a weight below", "legacy.routes[0].weight", "-1, expected 0 to 100", func(c *legacy.Config) { c.Routes[0].Weight = -1 }),
		Entry("what nobody sticks by", "legacy.routes[0].sticky", "expected subject, tenant", func(c *legacy.Config) { c.Routes[0].Sticky = "mood" }),
		Entry("neither claims nor public", "legacy.routes[1]", "either claims, or why it is public", func(c *legacy.Config) { c.Routes[1].Public = "" }),
		Entry("both", "legacy.routes[0]", "either claims, or why it is public", func(c *legacy.Config) { c.Routes[0].Public = "a test" }),
		Entry("a claim without a type", "legacy.routes[0].claims", "claim", func(c *legacy.Config) { c.Routes[0].Claims[0].Type = "" }),
		Entry("limits below nothing", "legacy.routes[0]", "timeoutMs -1", func(c *legacy.Config) { c.Routes[0].Limits.TimeoutMS = -1 }),
		Entry("a subtree", "legacy.routes[0].path", "ends with a slash", func(c *legacy.Config) { c.Routes[0].Path = "/books/" }),
		Entry("the gateway's own paths", "legacy.routes[0].path", "/_stella is the gateway's own", func(c *legacy.Config) { c.Routes[0].Path = "/_stella/{rest...}" }),
		Entry("a method of another world", "legacy.routes[1].methods", `"BREW", expected GET`, func(c *legacy.Config) { c.Routes[1].Methods[1] = "BREW" }),
		Entry("two routes of one identity", "legacy.routes[1].path", "PUT /books/{other...} is taken by legacy.routes[0] already", func(c *legacy.Config) {
			c.Routes[1].Path, c.Routes[1].Methods = "/books/{other...}", []string{"PUT"}
		}),
		Entry("too much", "legacy.routes", "1025 routes", func(c *legacy.Config) { c.Routes = make([]legacy.Route, 1025) }),
	)

	It("says everything that is wrong at once, and no password", func() {
		c := sound()
		c.Upstreams[0].URL, c.Routes[0].Weight, c.Routes[1].Path = "http://me:secret@x", 101, "books"
		err := c.Check()
		Expect(fault.Leaves(err)).To(HaveLen(3))
		Expect(err.Error()).NotTo(ContainSubstring("secret"))
	})
})
