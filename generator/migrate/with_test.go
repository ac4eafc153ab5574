package migrate_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"golang.org/x/tools/txtar"

	"github.com/stella-ops/router/generator/migrate"
)

// anyMethod is a module whose route takes all methods, so that there are endpoints of each.
const anyMethod = `-- go.mod --
module example.com/shop

go 1.26
-- shop.go --
package shop

import "net/http"

// Routes are the routes.
func Routes() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/any", http.NotFoundHandler())
	mux.Handle("HEAD /head", http.NotFoundHandler())
	return mux
}
`

var _ = Describe("Keys of all endpoints that are written", func() {
	var (
		dir, name string
		config    migrate.Config
	)
	BeforeEach(func() {
		dir = unpack(txtar.Parse([]byte(anyMethod)))
		name = filepath.Join(dir, migrate.BridgeFile)
		config = migrate.Config{Dir: dir, Env: environment(), Patterns: []string{"./..."}}
	})
	bridge := func(ctx context.Context, with string) *migrate.Plan {
		GinkgoHelper()
		return migrateAll(ctx, config, migrate.Options{Bridge: true, Public: "a test", With: with})
	}
	lines := func() string {
		GinkgoHelper()
		text, err := os.ReadFile(name)
		Expect(err).NotTo(HaveOccurred())
		var found []string
		for line := range strings.Lines(string(text)) {
			if endpoint, ok := strings.CutPrefix(strings.TrimSpace(line), "//stella:endpoint "); ok {
				found = append(found, endpoint)
			}
		}
		return strings.Join(found, "\n")
	}

	DescribeTable("are those that code can be generated for", func(ctx SpecContext, with string) {
		plan := bridge(ctx, with)
		Expect(plan.Bridged).To(HaveLen(7))
		generate(ctx, dir)
		again := bridge(ctx, with)
		Expect(again.Files).To(BeEmpty())
	},
		Entry("streams and bodies", "stream=both body=64MiB idle=5m"),
		Entry("requests", "stream=request idle=5m"),
		Entry("answers", "stream=response timeout=10s"),
		Entry("upgrades", "stream=upgrade idle=5m"),
		Entry("jobs", "delivery=queue idempotent attempts=3 lease=60s"),
		Entry("words", `status=200 unknown=ignore tags="a b",c stability=beta slo=99.9 within=300ms`),
	)

	It("do not keep an endpoint from what its handler needs", func(ctx SpecContext) {
		archive, err := txtar.ParseFile("testdata/bridge-uses.txtar")
		Expect(err).NotTo(HaveOccurred())
		dir = unpack(archive)
		name = filepath.Join(dir, migrate.BridgeFile)
		config.Dir = dir
		plan := bridge(ctx, "stream=request body=2MiB")
		Expect(lines()).To(ContainSubstring("GET /live stream=upgrade\n"))
		Expect(lines()).To(ContainSubstring("GET /events stream=response\n"))
		Expect(lines()).To(ContainSubstring("PUT /limited stream=request body=2MiB\n"), "what is asked for counts")
		Expect(plan.Keys).To(ContainElement(HaveField("What", "it is stream=upgrade, which the handler needs")))
		generate(ctx, dir)
	})

	It("are told where they are left out", func(ctx SpecContext) {
		plan := bridge(ctx, "stream=both body=64MiB")
		Expect(plan.Keys).To(ConsistOf(
			migrate.KeyNote{Keys: "stream=both", What: "left out: a GET request has no body: it is stream=response", Endpoints: []string{"GET /any"}},
			migrate.KeyNote{Keys: "body=64MiB", What: "left out: a GET request has no body", Endpoints: []string{"GET /any"}},
			migrate.KeyNote{Keys: "stream=both", What: "left out: a DELETE request has no body: it is stream=response", Endpoints: []string{"DELETE /any"}},
			migrate.KeyNote{Keys: "body=64MiB", What: "left out: a DELETE request has no body", Endpoints: []string{"DELETE /any"}},
			migrate.KeyNote{Keys: "stream=both", What: "left out: HEAD has no body, neither way", Endpoints: []string{"HEAD /head"}},
			migrate.KeyNote{Keys: "body=64MiB", What: "left out: a HEAD request has no body", Endpoints: []string{"HEAD /head"}},
		))
	})

	It("are added to a bridge that is there, and change no value that somebody has set", func(ctx SpecContext) {
		bridge(ctx, "")
		text, err := os.ReadFile(name)
		Expect(err).NotTo(HaveOccurred())
		changed := strings.Replace(string(text), "POST /any\n", "POST /any body=2MiB\n//stella:with timeout=9s\n", 1)
		Expect(os.WriteFile(name, []byte(changed), 0o600)).To(Succeed())
		plan := bridge(ctx, "stream=both body=64MiB timeout=9s")
		Expect(lines()).To(Equal("GET /any stream=response timeout=9s\nPOST /any body=2MiB stream=both\nPUT /any stream=both body=64MiB timeout=9s\n" +
			"PATCH /any stream=both body=64MiB timeout=9s\nDELETE /any stream=response timeout=9s\nOPTIONS /any stream=both body=64MiB timeout=9s\nHEAD /head timeout=9s"))
		Expect(plan.Keys).To(ContainElement(migrate.KeyNote{
			Keys:      "body=64MiB",
			What:      "not set: stella_bridge.go has body=2MiB, which stays: change it there, or remove it and run migrate again",
			Endpoints: []string{"POST /any"},
		}))
		generate(ctx, dir)
	})

	It("are mended in a bridge whose methods cannot have them", func(ctx SpecContext) {
		bridge(ctx, "")
		text, err := os.ReadFile(name)
		Expect(err).NotTo(HaveOccurred())
		broken := strings.NewReplacer("GET /any\n//stella:public", "GET /any stream=both body=64MiB\n//stella:public",
			"DELETE /any\n", "DELETE /any timeout=3s\n//stella:with stream=request\n").Replace(string(text))
		Expect(os.WriteFile(name, []byte(broken), 0o600)).To(Succeed())
		plan := bridge(ctx, "")
		Expect(lines()).To(Equal("GET /any stream=response\nPOST /any\nPUT /any\nPATCH /any\nDELETE /any timeout=3s\nOPTIONS /any\nHEAD /head"))
		after, err := os.ReadFile(name)
		Expect(err).NotTo(HaveOccurred())
		Expect(string(after)).NotTo(ContainSubstring("stella:with"))
		Expect(plan.Keys).To(HaveLen(3))
		generate(ctx, dir)
	})
})
