package generator_test

import (
	"bytes"
	"context"
	"flag"
	"go/format"
	"os"
	"path/filepath"
	"slices"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"github.com/rogpeppe/go-internal/txtar"

	"github.com/stella-ops/router/generator"
	"github.com/stella-ops/router/generator/diagnostic"
)

var rewrite = flag.Bool("update", false, "write what is made of the archives into them")

// wantPrefix marks the files of an archive that a run is expected to make.
const wantPrefix = "want/"

// removed is what a file holds that must not be there.
const removed = "removed\n"

// wantErrors is what a run is expected to print instead.
const wantErrors = wantPrefix + "errors"

// Each archive in testdata is a module, and what the generator makes of it: files below want/, or the findings.
// -update writes what it makes into the archives, for review.
var _ = Describe("a module and what is made of it", func() {
	archives, err := filepath.Glob("testdata/*.txtar")
	if err != nil {
		panic(err)
	}
	for _, name := range archives {
		It(strings.TrimSuffix(filepath.Base(name), ".txtar"), func(ctx SpecContext) {
			archive, err := txtar.ParseFile(name)
			Expect(err).NotTo(HaveOccurred())
			got := run(ctx, unpack(archive))
			if *rewrite {
				update(name, archive, got)
			}
			Expect(got).To(Equal(wanted(archive)))
			for file, content := range got {
				if strings.HasSuffix(file, ".go") {
					formatted, err := format.Source([]byte(content))
					Expect(err).NotTo(HaveOccurred())
					Expect(string(formatted)).To(Equal(content), "gofmt would change it")
				}
			}
		})
	}
})

// memory is a target that keeps what it gets.
type memory struct {
	dir   string
	files map[string]string
}

func (m *memory) Put(name string, content []byte) error {
	rel, err := filepath.Rel(m.dir, name)
	m.files[wantPrefix+filepath.ToSlash(rel)] = string(content)
	return err
}

func (m *memory) Remove(name string) error {
	rel, err := filepath.Rel(m.dir, name)
	m.files[wantPrefix+filepath.ToSlash(rel)] = removed
	return err
}

// run generates for a module and returns its files, or what is printed about it.
func run(ctx context.Context, dir string) map[string]string {
	target := &memory{dir: dir, files: map[string]string{}}
	findings, err := generator.Run(ctx, generator.Config{Dir: dir, Env: environment(), Patterns: []string{"./..."}}, target)
	Expect(err).NotTo(HaveOccurred())
	if len(findings.List) > 0 {
		var text bytes.Buffer
		format, _ := diagnostic.FindFormat(diagnostic.TextFormat)
		report := diagnostic.Report{Findings: findings.List, Base: dir, Source: findings.Source, Tail: "nothing was written"}
		Expect(format.Write(&text, &report, diagnostic.Style{})).To(Succeed())
		Expect(target.files).To(BeEmpty(), "nothing is written when there is a finding")
		target.files[wantErrors] = text.String()
	}
	return target.files
}

// environment keeps the go command from the network and from the workspace of whoever runs the tests.
func environment() []string {
	return append(os.Environ(), "GOFLAGS=", "GOPROXY=off", "GOWORK=off", "GOTOOLCHAIN=local")
}

func unpack(archive *txtar.Archive) string {
	dir, err := filepath.EvalSymlinks(GinkgoT().TempDir())
	Expect(err).NotTo(HaveOccurred())
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
