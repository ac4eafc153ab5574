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
		}, 0},
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

// download is a copy of a module that can be written to: the go command completes its go.sum.
func download(ctx context.Context, t *testing.T, env []string, module string) string {
	t.Helper()
	cmd := exec.CommandContext(ctx, "go", "mod", "download", "-json", module)
	cmd.Dir, cmd.Env = t.TempDir(), env
	out, err := cmd.Output()
	var at struct {
		Dir   string `json:"Dir"`
		Error string `json:"Error"`
	}
	if decoded := json.Unmarshal(out, &at); err != nil || decoded != nil || at.Dir == "" {
		t.Fatalf("%s cannot be had: %v %s", module, err, at.Error)
	}
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	dir = filepath.Join(dir, "module")
	if err := os.CopyFS(dir, os.DirFS(at.Dir)); err != nil {
		t.Fatal(err)
	}
	return dir
}
