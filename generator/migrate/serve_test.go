package migrate_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"golang.org/x/tools/txtar"

	"github.com/stella-ops/router/generator"
	"github.com/stella-ops/router/generator/migrate"
)

// compileTimeout bounds a test that compiles the runtime.
const compileTimeout = 5 * time.Minute

// driver is the test of the module that was migrated: it serves both ways, and compares.
const driver = `package api

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stella-ops/router/runtime/stellatest"
)

func TestMigrated(t *testing.T) {
	server := New()
	router := server.Routes()
	served := stellatest.Serve(t, Manifest, Endpoints(Handlers{Server: server, RoutesBridge: &RoutesBridge{Router: router}}))
	for _, call := range []struct{ method, path, old, admin string }{
		{"GET", "/books", "/books", ""},
		{"GET", "/books/7", "/books/7", ""},
		{"GET", "/books/a%2Fb", "/books/a%2Fb", ""},
		{"DELETE", "/books/7", "/books/7", ""},
		{"DELETE", "/books/7", "/books/7", "yes"},
		{"GET", "/files/a/b", "/files/a/b", ""},
		{"PUT", "/files/a", "/files/a", ""},
		{"POST", "/files", "/files/", ""},
		{"GET", "/healthz", "/healthz", ""},
		{"GET", "/livez", "/livez", ""},
		{"GET", "/metrics", "/metrics", ""},
		{"GET", "/", "/", ""},
	} {
		r := httptest.NewRequest(call.method, call.old, nil)
		r.Header.Set("X-Admin", call.admin)
		want := httptest.NewRecorder()
		router.ServeHTTP(want, r)
		got := served.Do(call.method+" "+call.path, stellatest.Header("X-Admin", call.admin))
		if got.Status != want.Code || string(got.Body) != want.Body.String() {
			t.Errorf("%s %s: %d %q, the router answers %d %q", call.method, call.path, got.Status, got.Body, want.Code, want.Body)
		}
	}
	if answer := served.Do("DELETE /books/7"); answer.Status != http.StatusForbidden {
		t.Errorf("the middleware did not run: %d", answer.Status)
	}
}
`

var _ = Describe("A module that was migrated", func() {
	It("generates, compiles, and answers as its router does", func(ctx SpecContext) {
		archive, err := txtar.ParseFile("testdata/bridge.txtar")
		Expect(err).NotTo(HaveOccurred())
		dir := unpack(archive)
		Expect(requireThisModule(dir)).To(Succeed())
		config := migrate.Config{Dir: dir, Env: compiling(), Patterns: []string{"./..."}}
		migrateAll(ctx, config, migrate.Options{Write: true, Bridge: true, Public: "it is \"free\""})
		generate(ctx, dir)
		Expect(os.WriteFile(filepath.Join(dir, "api", "migrated_test.go"), []byte(driver), 0o600)).To(Succeed())
		out := goCommand(ctx, dir, "test", "-v", "./...")
		Expect(out).To(ContainSubstring("--- PASS: TestMigrated"))
		Expect(goCommand(ctx, dir, "vet", "./...")).To(BeEmpty())
	}, NodeTimeout(compileTimeout))

	It("moves handlers out of the bridge once they can do without it", func(ctx SpecContext) {
		archive, err := txtar.ParseFile("testdata/bridge.txtar")
		Expect(err).NotTo(HaveOccurred())
		dir := unpack(archive)
		config := migrate.Config{Dir: dir, Env: environment(), Patterns: []string{"./..."}}
		options := migrate.Options{Bridge: true, Claims: []string{"scope shop:all"}}
		bridged := migrateAll(ctx, config, options)
		Expect(bridged.Written).To(BeEmpty())
		name := filepath.Join(dir, "api", migrate.BridgeFile)
		before, err := os.ReadFile(name)
		Expect(err).NotTo(HaveOccurred())
		own := "// ours stays.\nfunc ours() {}\n"
		const livez = "\nfunc (b *RoutesBridge) GetLivez("
		changed := strings.Replace(string(before), "shop:all"+livez, "shop:live"+livez, 1)
		Expect(changed).NotTo(Equal(string(before)))
		Expect(os.WriteFile(name, []byte(changed+"\n"+own), 0o600)).To(Succeed())

		moved := migrateAll(ctx, config, migrate.Options{Write: true, Claims: []string{"scope shop:all"}, Drop: []string{"admin"}})
		Expect(moved.Bridged).To(BeEmpty())
		Expect(moved.Written).To(HaveLen(4)) // remove too, since admin may go
		after, err := os.ReadFile(name)
		Expect(err).NotTo(HaveOccurred())
		for _, gone := range []string{"GetBooks(", "GetBooksByID(", "DeleteBooksByID("} {
			Expect(string(before)).To(ContainSubstring(gone))
			Expect(string(after)).NotTo(ContainSubstring(gone))
		}
		Expect(string(after)).To(ContainSubstring("shop:live" + livez))
		Expect(string(after)).To(ContainSubstring(own))
		generate(ctx, dir)
	})
})

// migrateAll writes what a plan has.
func migrateAll(ctx context.Context, config migrate.Config, options migrate.Options) *migrate.Plan {
	GinkgoHelper()
	report, err := migrate.Read(ctx, config)
	Expect(err).NotTo(HaveOccurred())
	plan, err := report.Plan(ctx, config, options)
	Expect(err).NotTo(HaveOccurred())
	for _, f := range plan.Files {
		Expect(os.WriteFile(f.Name, f.New, 0o600)).To(Succeed())
	}
	return plan
}

func generate(ctx context.Context, dir string) {
	GinkgoHelper()
	findings, err := generator.Run(ctx, generator.Config{Dir: dir, Env: compiling(), Patterns: []string{"./..."}}, &generator.Disk{})
	Expect(err).NotTo(HaveOccurred())
	Expect(findings.List).To(BeEmpty())
}

// requireThisModule lets a module require this one, with all that this one requires.
func requireThisModule(dir string) error {
	root, err := filepath.Abs("../..")
	if err != nil {
		return err
	}
	mod, err := os.ReadFile(filepath.Join(root, "go.mod"))
	if err != nil {
		return err
	}
	_, requires, _ := strings.Cut(string(mod), "\nrequire (")
	name := filepath.Join(dir, "go.mod")
	own, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	text := string(own) + "\nrequire github.com/stella-ops/router v0.0.0\nreplace github.com/stella-ops/router => " + root + "\nrequire (" + requires
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		return err
	}
	sum, err := os.ReadFile(filepath.Join(root, "go.sum"))
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "go.sum"), sum, 0o600)
}

// compiling lets the go command complete go.mod, still without the network.
func compiling() []string { return append(environment(), "GOFLAGS=-mod=mod") }

func goCommand(ctx context.Context, dir string, args ...string) string {
	GinkgoHelper()
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir, cmd.Env = dir, compiling()
	out, err := cmd.CombinedOutput()
	Expect(err).NotTo(HaveOccurred(), string(out))
	return string(out)
}
