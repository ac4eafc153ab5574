package analyzer_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/tools/go/analysis/analysistest"
	"golang.org/x/tools/txtar"

	"github.com/stella-ops/router/generator/analyzer"
	"github.com/stella-ops/router/generator/diagnostic"
	"github.com/stella-ops/router/generator/lint"
	"github.com/stella-ops/router/generator/override"
)

// today is the day of all tests.
var today = time.Date(2026, time.June, 1, 0, 0, 0, 0, time.UTC)

func TestBodies(t *testing.T) {
	t.Setenv("GOFLAGS", "")
	for _, name := range []string{"contexts", "streams", "headers", "model"} {
		t.Run(name, func(t *testing.T) {
			analysistest.RunWithSuggestedFixes(t, analysistest.TestData(), analyzer.Analyzer, "./"+name)
		})
	}
}

// TestRulesHaveFixtures holds that what lint leaves to the analyzer is found in a fixture, and not everywhere.
func TestRulesHaveFixtures(t *testing.T) {
	var text bytes.Buffer
	names, err := filepath.Glob("testdata/*/*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		src, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		text.Write(src)
	}
	for _, r := range lint.Rules() {
		if r.Category == lint.Code && !strings.Contains(text.String(), "// want `"+string(r.ID)) {
			t.Errorf("no fixture wants %s (%s)", r.ID, r.Name)
		}
	}
}

// place is a finding as both tools tell it.
type place struct{ Rule, File, At string }

// TestAgreesWithLint runs stellagen lint, and go vet with the built stellavet, on one module that is made of all of lint's
// fixtures and some wrong input: the findings are the same, at the same places.
func TestAgreesWithLint(t *testing.T) {
	dir := corpus(t)
	rules, err := lint.Select([]string{"STRICT"}, []string{"STYLE", "TRANSPORT"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	env := append(os.Environ(), "GOFLAGS=", "GOPROXY=off", "GOWORK=off", "GOTOOLCHAIN=local")
	found, err := lint.Run(t.Context(), lint.Config{Dir: dir, Env: env, Patterns: []string{"./..."}, Rules: rules, Today: today})
	if err != nil {
		t.Fatal(err)
	}
	want, rulesSeen := []place{}, map[diagnostic.ID]bool{}
	for _, f := range found.List {
		rulesSeen[f.Rule] = true
		if f.Waiver == "" {
			want = append(want, place{string(f.Rule), relative(dir, f.Pos.Filename), fmt.Sprintf("%d:%d", f.Pos.Line, f.Pos.Column)})
		}
	}
	for _, r := range lint.Rules() {
		if !rulesSeen[r.ID] && r.Category != lint.Code && r.Name != "ENDPOINT_COUNT" && r.Name != "MANIFEST_SIZE" { // these take hundreds
			t.Errorf("the corpus has nothing that %s finds", r.Name)
		}
	}
	got := vet(t, dir, env)
	sortPlaces(want)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("lint (-) and vet (+) differ:\n%s", diff)
	}
}

func relative(dir, name string) string {
	rel, err := filepath.Rel(dir, name)
	if err != nil {
		return name
	}
	return filepath.ToSlash(rel)
}

func sortPlaces(list []place) {
	slices.SortFunc(list, func(a, b place) int {
		return strings.Compare(a.File+" "+a.At+" "+a.Rule, b.File+" "+b.At+" "+b.Rule)
	})
}

// vet is what go vet finds in dir.
func vet(t *testing.T, dir string, env []string) []place {
	t.Helper()
	tool := filepath.Join(t.TempDir(), "stellavet")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", tool, "../cmd/stellavet").CombinedOutput(); err != nil {
		t.Fatalf("building stellavet: %v\n%s", err, out)
	}
	cmd := exec.CommandContext(t.Context(), "go", "vet", "-json", "-vettool="+tool, "-stella.use=STRICT", "-stella.enable=STYLE,TRANSPORT",
		"-stella.today="+today.Format(time.DateOnly), "./...")
	cmd.Dir, cmd.Env = dir, env
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		t.Fatalf("go vet: %v\n%s", err, stderr.String())
	}
	report := stdout.String()
	if !strings.Contains(report, "{") { // older go commands report to stderr
		report = stderr.String()
	}
	var lines []string
	for line := range strings.Lines(report) {
		if !strings.HasPrefix(line, "#") {
			lines = append(lines, line)
		}
	}
	found := []place{}
	dec := json.NewDecoder(strings.NewReader(strings.Join(lines, "")))
	for dec.More() {
		var packages map[string]map[string][]struct {
			Posn    string `json:"posn"`
			Message string `json:"message"`
		}
		if err := dec.Decode(&packages); err != nil {
			t.Fatalf("%v\n%s", err, report)
		}
		for _, analyzers := range packages {
			for _, d := range analyzers["stella"] {
				id, _, _ := strings.Cut(d.Message, ":")
				parts := strings.Split(d.Posn, ":")
				n := len(parts)
				found = append(found, place{id, relative(dir, strings.Join(parts[:n-2], ":")), parts[n-2] + ":" + parts[n-1]})
			}
		}
	}
	sortPlaces(found)
	return slices.Compact(found)
}

// corpus is a module with a folder for each archive of lint's fixtures, and for each of our own.
func corpus(t *testing.T) string {
	t.Helper()
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	if err := os.CopyFS(filepath.Join(dir, "router"), os.DirFS("testdata/router")); err != nil {
		t.Fatal(err)
	}
	mod, err := os.ReadFile("testdata/go.mod")
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "go.mod"), mod)
	archives, err := filepath.Glob("../lint/testdata/*.txtar")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range append(archives, "testdata/input.txtar") {
		archive, err := txtar.ParseFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range archive.Files {
			if strings.HasSuffix(f.Name, ".go") || filepath.Base(f.Name) == override.FileName {
				folder := strings.ToLower(strings.TrimSuffix(filepath.Base(name), ".txtar"))
				write(t, filepath.Join(dir, folder, filepath.FromSlash(f.Name)), f.Data)
			}
		}
	}
	return dir
}

func write(t *testing.T, name string, data []byte) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o750); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, data, 0o600); err != nil {
		t.Fatal(err)
	}
}
