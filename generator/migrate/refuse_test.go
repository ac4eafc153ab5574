package migrate_test

import (
	"os"
	"path/filepath"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"golang.org/x/tools/txtar"

	"github.com/stella-ops/router/generator/migrate"
)

// awkward is a module whose handlers generated code has no names for, and one that is like any other.
const awkward = `-- go.mod --
module example.com/shop

go 1.26
-- shop.go --
package shop

import "net/http"

// Routes are the routes.
func Routes(mode string) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /ok", ok)
	mux.HandleFunc("GET /in", in)
	mux.HandleFunc("GET /type", new(b).get)
	mux.HandleFunc("GET /lower", new(server).lower)
	mux.HandleFunc("GET /upper", new(Server).upper)
	mux.HandleFunc("GET /fine", fine)
	mux.Handle("GET /guarded", guard(http.HandlerFunc(guarded)))
	switch mode {
	case "one":
		mux.HandleFunc("GET /one", one)
	default:
		mux.HandleFunc("GET /other", other)
	}
	return mux
}

func ok(w http.ResponseWriter, r *http.Request) {}

func in(w http.ResponseWriter, r *http.Request) {}

func fine(w http.ResponseWriter, r *http.Request) {}

func one(w http.ResponseWriter, r *http.Request) {}

func other(w http.ResponseWriter, r *http.Request) {}

func guard(next http.Handler) http.Handler { return next }

func guarded(w http.ResponseWriter, r *http.Request) {}

type b struct{}

func (*b) get(w http.ResponseWriter, r *http.Request) {}

type server struct{}

func (*server) lower(w http.ResponseWriter, r *http.Request) {}

// Server is another server.
type Server struct{}

func (*Server) upper(w http.ResponseWriter, r *http.Request) {}
`

var _ = Describe("What migrate does not write", func() {
	var config migrate.Config
	BeforeEach(func() {
		config = migrate.Config{Dir: unpack(txtar.Parse([]byte(awkward))), Env: environment(), Patterns: []string{"./..."}}
	})

	It("is a directive of a handler that generated code cannot name: the bridge serves it", func(ctx SpecContext) {
		report, err := migrate.Read(ctx, config)
		Expect(err).NotTo(HaveOccurred())
		plan, err := report.Plan(ctx, config, migrate.Options{Write: true, Public: "a test"})
		Expect(err).NotTo(HaveOccurred())
		why := map[string]string{}
		for _, l := range plan.Left {
			why[l.Route.Pattern] = l.Why
		}
		Expect(why).To(HaveKeyWithValue("/ok", ContainSubstring("generated code cannot call a function that is called ok: rename it")))
		Expect(why).To(HaveKey("/in"))
		Expect(why).To(HaveKeyWithValue("/type", ContainSubstring("variables that are called like its type, b")))
		Expect(why).To(HaveKeyWithValue("/upper", ContainSubstring("its type Server would be the field of Handlers that server is")))
		Expect(why).To(HaveKeyWithValue("/one", ContainSubstring(`it is there only if mode == "one"`)))
		Expect(why).To(HaveKeyWithValue("/other", ContainSubstring("it is there only if no case of its switch holds")))

		both := migrateAll(ctx, config, migrate.Options{Write: true, Bridge: true, Public: "a test"})
		Expect(both.Left).To(BeEmpty())
		Expect(both.Written).To(HaveLen(2), "fine and lower")
		generate(ctx, config.Dir)
		Expect(migrateAll(ctx, config, migrate.Options{Write: true, Bridge: true, Public: "a test"}).Files).To(BeEmpty())
	})

	It("is anything, where --drop names a middleware that no route has", func(ctx SpecContext) {
		report, err := migrate.Read(ctx, config)
		Expect(err).NotTo(HaveOccurred())
		_, err = report.Plan(ctx, config, migrate.Options{Write: true, Public: "a test", Drop: []string{"guard", "nope"}})
		Expect(err).To(MatchError(ContainSubstring("--drop nope: no route has this middleware, expected one of guard")))
		Expect(migrate.IsInput(err)).To(BeTrue())
		_, err = report.Plan(ctx, config, migrate.Options{Write: true, Public: "a test", Drop: []string{"guard"}})
		Expect(err).NotTo(HaveOccurred())
	})

	It("is told, where it is an endpoint of the bridge whose route is gone", func(ctx SpecContext) {
		options := migrate.Options{Bridge: true, Public: "a test"}
		Expect(migrateAll(ctx, config, options).Stale).To(BeEmpty())
		name := filepath.Join(config.Dir, "shop.go")
		text, err := os.ReadFile(name)
		Expect(err).NotTo(HaveOccurred())
		Expect(os.WriteFile(name, []byte(strings.Replace(string(text), `mux.HandleFunc("GET /fine", fine)`, "", 1)), 0o600)).To(Succeed())
		plan := migrateAll(ctx, config, options)
		Expect(plan.Files).To(BeEmpty())
		Expect(plan.Stale).To(ConsistOf(HaveField("Endpoint", "GET /fine")))
		Expect(plan.Stale[0].File).To(Equal(migrate.BridgeFile))
		Expect(plan.Stale[0].Line).To(BeNumerically(">", 1))
	})
})
