package main

import (
	"bytes"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// fenced are the code blocks of a document.
var fenced = regexp.MustCompile("(?ms)^```([a-z]+)\n(.*?)^```$")

// TestMigrateDocs runs the commands of docs/migrate.md on the service that it begins with, and compares what it shows.
func TestMigrateDocs(t *testing.T) {
	text, err := os.ReadFile("../../../docs/migrate.md")
	if err != nil {
		t.Fatal(err)
	}
	blocks := map[string][]string{}
	for _, b := range fenced.FindAllStringSubmatch(string(text), -1) {
		blocks[b[1]] = append(blocks[b[1]], b[2])
	}
	if len(blocks["sh"]) != 4 || len(blocks["go"]) != 3 || len(blocks["text"]) != 1 || len(blocks["diff"]) != 1 {
		t.Fatalf("docs/migrate.md has other blocks than this test knows: %d sh, %d go, %d text, %d diff",
			len(blocks["sh"]), len(blocks["go"]), len(blocks["text"]), len(blocks["diff"]))
	}
	t.Setenv("GOFLAGS", "")
	t.Setenv("GOPROXY", "off")
	t.Setenv("GOWORK", "off")
	t.Chdir(t.TempDir())
	for name, content := range map[string]string{"go.mod": "module example.com/shop\n\ngo 1.26\n", "shop.go": blocks["go"][0]} {
		if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff(blocks["text"][0], execute(t, blocks["sh"][0])); diff != "" {
		t.Errorf("the report differs from the documentation (-):\n%s", diff)
	}
	shown := execute(t, strings.Replace(blocks["sh"][1], "--write", "--write --diff", 1))
	for hunk := range strings.SplitSeq(blocks["diff"][0], "…\n") {
		if !strings.Contains(shown, hunk) {
			t.Errorf("the change differs from the documentation's:\n%s\nit is:\n%s", hunk, shown)
		}
	}
	execute(t, blocks["sh"][1])
	execute(t, blocks["sh"][2])
	execute(t, "stellagen generate")
	bridge, err := os.ReadFile("stella_bridge.go")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(bridge), blocks["go"][1]) {
		t.Errorf("the bridge differs from the documentation's:\n%s", bridge)
	}
	generated, err := os.ReadFile("stella_gen.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, field := range []string{"Server       *Server", "RoutesBridge *RoutesBridge"} {
		if !strings.Contains(string(generated), field) {
			t.Errorf("Handlers has no field %s", field)
		}
	}
	runtimeByDocs(t, blocks["sh"][3])
}

// runtimeByDocs runs the commands that give a module the runtime, but for go mod tidy, which the tutorial's test runs with its own.
func runtimeByDocs(t *testing.T, block string) {
	t.Helper()
	edit, rest, found := strings.Cut(block, "go mod tidy\n")
	if !found || rest != "" {
		t.Fatalf("expected commands that end with go mod tidy:\n%s", block)
	}
	cmd := exec.CommandContext(t.Context(), "sh", "-ec", edit)
	cmd.Env = append(os.Environ(), "HOME=/home/author", "GOCACHE="+t.TempDir())
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", edit, err, out)
	}
	mod, err := os.ReadFile("go.mod")
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{
		"require github.com/stella-ops/router v0.0.0\n", "replace github.com/stella-ops/router => /home/author/router\n",
		"tool github.com/stella-ops/router/generator/cmd/stellagen\n",
	} {
		if !strings.Contains(string(mod), line) {
			t.Errorf("go.mod does not say %s:\n%s", line, mod)
		}
	}
}

// execute runs a command line of the documentation, which must succeed, and returns what it prints to stdout.
func execute(t *testing.T, line string) string {
	t.Helper()
	var words []string
	for i, part := range strings.Split(strings.TrimSpace(line), `"`) {
		if i%2 == 1 { // within quotes
			words = append(words, part)
		} else {
			words = append(words, strings.Fields(part)...)
		}
	}
	if words[0] != "stellagen" {
		t.Fatalf("%s: expected stellagen", line)
	}
	var stdout, stderr bytes.Buffer
	if code := run(words[1:], &stdout, &stderr); code != exitOK {
		t.Fatalf("%s: exit code %d\n%s", line, code, stderr.String())
	}
	return stdout.String()
}
