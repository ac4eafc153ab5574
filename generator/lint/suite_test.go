package lint_test

import (
	"bytes"
	"context"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"golang.org/x/tools/txtar"

	"github.com/stella-ops/router/generator/diagnostic"
	"github.com/stella-ops/router/generator/lint"
	"github.com/stella-ops/router/generator/override"
)

var update = flag.Bool("update", false, "write the files of testdata, and the reference made from the tables")

func TestLint(t *testing.T) {
	RegisterFailHandler(Fail)
	RunSpecs(t, "lint")
}

// today is the day of all specs.
var today = time.Date(2026, time.June, 1, 0, 0, 0, 0, time.UTC)

// environment keeps the go command from the network and from the workspace of whoever runs the tests.
func environment() []string {
	return append(os.Environ(), "GOFLAGS=", "GOPROXY=off", "GOWORK=off", "GOTOOLCHAIN=local")
}

// module writes the Go files of an archive into a module of their own.
func module(files []txtar.File) string {
	dir, err := filepath.EvalSymlinks(GinkgoT().TempDir())
	Expect(err).NotTo(HaveOccurred())
	write(dir, "go.mod", []byte("module fixture\n\ngo 1.26\n\nrequire github.com/stella-ops/router v0.0.0\n"))
	for _, f := range files {
		if strings.HasSuffix(f.Name, ".go") || filepath.Base(f.Name) == override.FileName {
			write(dir, f.Name, f.Data)
		}
	}
	return dir
}

func write(dir, name string, data []byte) {
	full := filepath.Join(dir, filepath.FromSlash(name))
	Expect(os.MkdirAll(filepath.Dir(full), 0o750)).To(Succeed())
	Expect(os.WriteFile(full, data, 0o600)).To(Succeed())
}

// sources makes an archive of one file.
func sources(text string) []txtar.File { return []txtar.File{{Name: "a.go", Data: []byte(text)}} }

func selected(use ...string) lint.Selection {
	GinkgoHelper()
	rules, err := lint.Select(use, nil, nil)
	Expect(err).NotTo(HaveOccurred())
	return rules
}

// only is a selection of one rule.
func only(id diagnostic.ID) lint.Selection {
	GinkgoHelper()
	rules, err := lint.Select([]string{"CODE"}, []string{string(id)}, []string{"CODE"})
	Expect(err).NotTo(HaveOccurred())
	return rules
}

func run(ctx context.Context, dir string, c lint.Config) lint.Findings {
	GinkgoHelper()
	c.Dir, c.Env, c.Patterns = dir, environment(), []string{"./..."}
	if c.Today.IsZero() {
		c.Today = today
	}
	found, err := lint.Run(ctx, c)
	Expect(err).NotTo(HaveOccurred())
	return found
}

// printed is what people see of findings.
func printed(dir string, found lint.Findings) string {
	GinkgoHelper()
	text, ok := diagnostic.FindFormat(diagnostic.TextFormat)
	Expect(ok).To(BeTrue())
	var out bytes.Buffer
	report := &diagnostic.Report{Findings: found.List, Base: dir, Source: found.Source, Rule: func(id diagnostic.ID) (diagnostic.Rule, bool) {
		if r, ok := lint.Find(string(id)); ok {
			return r, true
		}
		return diagnostic.Find(id)
	}}
	Expect(text.Write(&out, report, diagnostic.Style{})).To(Succeed())
	return out.String()
}

// ids are those of findings that count.
func ids(found lint.Findings) []string {
	var list []string
	for _, f := range found.List {
		if f.Waiver == "" {
			list = append(list, string(f.Rule))
		}
	}
	return list
}

// mend applies the first fix of every finding to the files in dir.
func mend(findings []diagnostic.Finding) {
	GinkgoHelper()
	byFile := map[string][]diagnostic.Edit{}
	for _, f := range findings {
		if len(f.Fixes) > 0 {
			for _, e := range f.Fixes[0].Edits {
				Expect(e.End.Filename).To(Equal(e.Pos.Filename))
				byFile[e.Pos.Filename] = append(byFile[e.Pos.Filename], e)
			}
		}
	}
	for name, edits := range byFile {
		src, err := os.ReadFile(name)
		Expect(err).NotTo(HaveOccurred())
		slices.SortFunc(edits, func(a, b diagnostic.Edit) int { return b.Pos.Offset - a.Pos.Offset })
		for _, e := range edits {
			src = slices.Concat(src[:e.Pos.Offset], []byte(e.New), src[e.End.Offset:])
		}
		Expect(os.WriteFile(name, src, 0o600)).To(Succeed())
	}
}
