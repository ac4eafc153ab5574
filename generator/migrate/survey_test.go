//go:build survey

package migrate_test

import (
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/tools/txtar"

	"github.com/stella-ops/router/generator"
	"github.com/stella-ops/router/generator/migrate"
)

// surveyTimeout bounds one module, whose dependencies may have to be downloaded.
const surveyTimeout = 10 * time.Minute

// TestSurvey repeats what docs/migrate.md says of public services. The numbers are counts by hand; it needs the network.
func TestSurvey(t *testing.T) {
	for _, m := range []struct {
		module     string
		routes     map[string]int // by file
		unfollowed int
	}{
		{"miniflux.app/v2@v2.3.5", map[string]int{
			"internal/ui/ui.go": 100, "internal/api/api.go": 51, "internal/googlereader/handler.go": 15, "internal/http/server/routes.go": 9,
		}, 1},
		{"github.com/smallstep/certificates@v0.30.2", map[string]int{
			"acme/api/handler.go": 30, "api/api.go": 58, "authority/admin/api/handler.go": 33, "ca/ca.go": 2, "internal/metrix/meter.go": 1,
			"scep/api/api.go": 8,
		}, 1},
		{"github.com/ollama/ollama@v0.17.4", map[string]int{
			"server/routes.go": 36, "runner/ollamarunner/runner.go": 5, "runner/llamarunner/runner.go": 4,
		}, 12},
	} {
		t.Run(m.module, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), surveyTimeout)
			defer cancel()
			env := append(os.Environ(), "GOFLAGS=-mod=mod", "GOWORK=off", "GOTOOLCHAIN=local", "GOOS=linux", "GOARCH=amd64")
			report, err := migrate.Read(ctx, migrate.Config{Dir: download(ctx, t, env, m.module), Env: env, Patterns: []string{"./..."}})
			if err != nil {
				t.Fatal(err)
			}
			got := map[string]int{}
			for _, r := range report.Routes {
				got[r.File]++
				if r.Doubt != "" {
					t.Errorf("%s: %s %s: %s", r.Place, r.Method, r.Pattern, r.Doubt)
				}
			}
			if diff := cmp.Diff(m.routes, got); diff != "" {
				t.Errorf("routes by hand (-) and by migrate (+):\n%s", diff)
			}
			if len(report.Unfollowed) != m.unfollowed {
				t.Errorf("%d calls were not followed, want %d: %v", len(report.Unfollowed), m.unfollowed, report.Unfollowed)
			}
		})
	}
}

// TestRouters migrates a module that uses chi, gin and echo as they are published, and runs its test, which compares.
func TestRouters(t *testing.T) {
	archive, err := txtar.ParseFile("testdata/survey/routers.txtar")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), surveyTimeout)
	defer cancel()
	dir := t.TempDir()
	for _, f := range archive.Files {
		name := filepath.Join(dir, filepath.FromSlash(f.Name))
		if err := os.MkdirAll(filepath.Dir(name), 0o750); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, f.Data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := requireThisModule(dir); err != nil {
		t.Fatal(err)
	}
	env := append(os.Environ(), "GOFLAGS=-mod=mod", "GOWORK=off", "GOTOOLCHAIN=local")
	config := migrate.Config{Dir: dir, Env: env, Patterns: []string{"./..."}}
	report, err := migrate.Read(ctx, config)
	if err != nil {
		t.Fatal(err)
	}
	plan, err := report.Plan(ctx, config, migrate.Options{Write: true, Bridge: true, Public: "a test", Drop: []string{"stamp", "middleware.RequestID"}})
	if err != nil {
		t.Fatal(err)
	}
	if len(plan.Written) != 2 || len(plan.Left)+len(report.Unfollowed) > 0 {
		t.Errorf("%d endpoints by directives, want 2; left: %v, not followed: %v", len(plan.Written), plan.Left, report.Unfollowed)
	}
	for _, f := range plan.Files {
		if err := os.WriteFile(f.Name, f.New, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	found, err := generator.Run(ctx, generator.Config{Dir: dir, Env: env, Patterns: []string{"./..."}}, &generator.Disk{})
	if err != nil || len(found.List) > 0 {
		t.Fatal(err, found.List)
	}
	cmd := exec.CommandContext(ctx, "go", "test", "./...")
	cmd.Dir, cmd.Env = dir, env
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

// download is a copy of a module that can be written to: the go command completes its go.sum.
func download(ctx context.Context, t *testing.T, env []string, module string) string {
	t.Helper()
	cmd := exec.CommandContext(ctx, "go", "mod", "download", "-json", module)
	cmd.Dir, cmd.Env = t.TempDir(), env
	out, err := cmd.Output()
	var at map[string]any
	decoded := json.Unmarshal(out, &at)
	from, ok := at["Dir"].(string)
	if err != nil || decoded != nil || !ok {
		t.Fatalf("%s cannot be had: %v %v", module, err, at["Error"])
	}
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	dir = filepath.Join(dir, "module")
	if err := os.CopyFS(dir, os.DirFS(from)); err != nil {
		t.Fatal(err)
	}
	return dir
}
