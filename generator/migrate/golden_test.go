package migrate_test

import (
	"context"
	"flag"
	"fmt"
	"go/format"
	"os"
	"path/filepath"
	"slices"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"golang.org/x/tools/txtar"

	"github.com/stella-ops/router/generator/migrate"
)

var rewrite = flag.Bool("update", false, "write what is found into the archives")

// wantPrefix marks the files of an archive that are expected.
const wantPrefix = "want/"

// stable are the archives that are migrated twice: between them they have all that is written.
var stable = []string{"bridge", "bridge-uses", "servemux", "unsure"}

// Each archive in testdata is a module, and what is found in it; want/files below are those that a plan changes.
// -update writes what is found into the archives, for review.
var _ = Describe("a program and its routes", func() {
	archives, err := filepath.Glob("testdata/*.txtar")
	if err != nil {
		panic(err)
	}
	for _, name := range archives {
		It(strings.TrimSuffix(filepath.Base(name), ".txtar"), func(ctx SpecContext) {
			archive, err := txtar.ParseFile(name)
			Expect(err).NotTo(HaveOccurred())
			dir := unpack(archive)
			config := migrate.Config{Dir: dir, Env: environment(), Patterns: []string{"./..."}}
			report, err := migrate.Read(ctx, config)
			Expect(err).NotTo(HaveOccurred())
			got := map[string]string{wantPrefix + "report": describe(report)}
			plan, err := report.Plan(ctx, config, migrate.Options{Write: true, Bridge: true, Claims: []string{"scope shop:all"}})
			Expect(err).NotTo(HaveOccurred())
			got[wantPrefix+"plan"] = describePlan(plan)
			alone, err := report.Plan(ctx, config, migrate.Options{Write: true, Public: "why"})
			Expect(err).NotTo(HaveOccurred())
			got[wantPrefix+"without-bridge"] = describePlan(alone)
			for _, f := range plan.Files {
				rel, err := filepath.Rel(dir, f.Name)
				Expect(err).NotTo(HaveOccurred())
				if filepath.Base(f.Name) != migrate.BridgeFile || strings.HasPrefix(filepath.Base(name), "bridge") {
					got[wantPrefix+filepath.ToSlash(rel)] = string(f.New)
				}
				formatted, err := format.Source(f.New)
				Expect(err).NotTo(HaveOccurred())
				Expect(string(formatted)).To(Equal(string(f.New)), "gofmt would change it")
			}
			if *rewrite {
				update(name, archive, got)
			}
			Expect(got).To(Equal(wanted(archive)))
			if slices.Contains(stable, strings.TrimSuffix(filepath.Base(name), ".txtar")) {
				isStable(ctx, config, plan)
			}
		})
	}
})

// isStable holds that a second run changes nothing.
func isStable(ctx context.Context, config migrate.Config, plan *migrate.Plan) {
	GinkgoHelper()
	for _, f := range plan.Files {
		Expect(os.WriteFile(f.Name, f.New, 0o600)).To(Succeed())
	}
	report, err := migrate.Read(ctx, config)
	Expect(err).NotTo(HaveOccurred())
	again, err := report.Plan(ctx, config, migrate.Options{Write: true, Bridge: true, Claims: []string{"scope shop:all"}})
	Expect(err).NotTo(HaveOccurred())
	Expect(again.Files).To(BeEmpty())
	Expect(again.Written).To(BeEmpty())
	Expect(again.Bridged).To(BeEmpty())
}

func describe(r *migrate.Report) string {
	var b strings.Builder
	for _, route := range r.Routes {
		fmt.Fprintf(&b, "%s: %s %s -> %s by %s\n", route.Place, route.Method, route.Host+route.Pattern, strings.Join(route.Paths, " "), route.Handler)
		for _, g := range route.Guards {
			fmt.Fprintf(&b, "    behind %s\n", g)
		}
		if len(route.Condition) > 0 {
			fmt.Fprintf(&b, "    only %s\n", strings.Join(route.Condition, ", "))
		}
		for _, n := range route.Notes {
			fmt.Fprintf(&b, "    note: %s\n", n)
		}
		for _, n := range route.Needs {
			fmt.Fprintf(&b, "    needs: %s\n", n)
		}
		if route.Doubt != "" {
			fmt.Fprintf(&b, "    doubt: %s\n", route.Doubt)
		}
	}
	for _, u := range r.Unfollowed {
		fmt.Fprintf(&b, "%s: not followed: %s: %s\n", u.Place, u.What, u.Why)
	}
	return b.String()
}

func describePlan(p *migrate.Plan) string {
	var b strings.Builder
	for _, w := range p.Written {
		fmt.Fprintf(&b, "write %s %s\n", w.Method, w.Path)
	}
	for _, w := range p.Bridged {
		fmt.Fprintf(&b, "bridge %s %s\n", w.Method, w.Path)
	}
	for _, l := range p.Left {
		fmt.Fprintf(&b, "left %s %s: %s\n", l.Route.Method, l.Route.Pattern, l.Why)
	}
	for _, n := range p.Needs {
		fmt.Fprintf(&b, "%s %s lacks: %s\n", n.Method, n.Path, n.Why)
	}
	for _, s := range p.Stale {
		fmt.Fprintf(&b, "stale %s\n", s.Endpoint)
	}
	for _, f := range p.Fields {
		fmt.Fprintf(&b, "%s\n", f)
	}
	return b.String()
}

// environment keeps the go command from the network and from the workspace of whoever runs the tests.
func environment() []string {
	return append(os.Environ(), "GOFLAGS=", "GOPROXY=off", "GOWORK=off", "GOTOOLCHAIN=local")
}

func unpack(archive *txtar.Archive) string {
	GinkgoHelper()
	dir, err := filepath.EvalSymlinks(GinkgoT().TempDir())
	Expect(err).NotTo(HaveOccurred())
	Expect(os.CopyFS(filepath.Join(dir, "fakes"), os.DirFS("testdata/fakes"))).To(Succeed())
	for _, f := range archive.Files {
		if strings.HasPrefix(f.Name, wantPrefix) {
			continue
		}
		full := filepath.Join(dir, filepath.FromSlash(f.Name))
		Expect(os.MkdirAll(filepath.Dir(full), 0o750)).To(Succeed())
		Expect(os.WriteFile(full, f.Data, 0o600)).To(Succeed())
	}
	return dir
}

func wanted(archive *txtar.Archive) map[string]string {
	files := map[string]string{}
	for _, f := range archive.Files {
		if strings.HasPrefix(f.Name, wantPrefix) {
			files[f.Name] = string(f.Data)
		}
	}
	return files
}

func update(name string, archive *txtar.Archive, got map[string]string) {
	GinkgoHelper()
	archive.Files = slices.DeleteFunc(archive.Files, func(f txtar.File) bool { return strings.HasPrefix(f.Name, wantPrefix) })
	var names []string
	for file := range got {
		names = append(names, file)
	}
	slices.Sort(names)
	for _, file := range names {
		archive.Files = append(archive.Files, txtar.File{Name: file, Data: []byte(got[file])})
	}
	Expect(os.WriteFile(name, txtar.Format(archive), 0o600)).To(Succeed())
}
