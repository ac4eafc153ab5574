package e2e

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

// generated is what `stellagen generate ./...` did in a module of its own.
type generated struct {
	code    int
	text    string   // standard output and error
	written []string // files that are there and were not before
}

// generate writes the files into a new module, and runs stellagen there.
func generate(files map[string]string) generated {
	GinkgoHelper()
	dir := GinkgoT().TempDir()
	files["go.mod"] = "module example.com/shop\n\ngo 1.26\n"
	for name, text := range files {
		Expect(os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600)).To(Succeed())
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, binary("stellagen"), "generate", "./...")
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	g := generated{text: string(out)}
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		g.code = exit.ExitCode()
	} else {
		Expect(err).NotTo(HaveOccurred())
	}
	Expect(filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		name, _ := filepath.Rel(dir, path)
		if _, given := files[name]; !given && err == nil && !d.IsDir() {
			g.written = append(g.written, name)
		}
		return err
	})).To(Succeed())
	return g
}

// shop is a package with one endpoint, in which every spec breaks something.
const shop = `// Package shop is a shop.
//
//stella:service shop version=1.0.0
package shop

import "context"

type In struct {
	ID string ` + "`path:\"id\"`" + `
	Limit int ` + "`query:\"limit\"`" + `
}

type Out struct {
	Name string ` + "`json:\"name\"`" + `
}

// Thing finds a thing.
//
//stella:endpoint GET /things/{id} timeout=5s
//stella:public "prices are on the window"
func Thing(ctx context.Context, in *In) (*Out, error) { return nil, nil }
`

var _ = Describe("stellagen", func() {
	It("generates a package that is right, although it has never been compiled", func() {
		g := generate(map[string]string{"shop.go": shop})
		Expect(g.code).To(Equal(0), g.text)
		Expect(g.written).To(ConsistOf("stella_gen.go", "stella.manifest.json"))
	})

	DescribeTable("refuses what it does not know with exit 2, the place, a caret and a suggestion, and writes nothing",
		func(old, wrong, at, suggestion string) {
			Expect(strings.Count(shop, old)).To(Equal(1), "the spec's own fault")
			text := strings.Replace(shop, old, wrong, 1)
			g := generate(map[string]string{"shop.go": text})
			Expect(g.code).To(Equal(2), g.text)
			Expect(g.written).To(BeEmpty())
			Expect(g.text).To(MatchRegexp(`shop\.go:`+at+`: STL\d{4}: `), g.text)
			Expect(g.text).To(ContainSubstring(suggestion), g.text)
			Expect(caret(g.text, text)).To(BeTrue(), "no caret below the source line:\n%s", g.text)
		},
		Entry("an unknown directive", "//stella:public", "//stella:pubic", "20:10", "public"),
		Entry("a misspelt key", "timeout=5s", "timout=5s", "19:36", "timeout"),
		Entry("a misspelt tag", `query:"limit"`, `qurey:"limit"`, "10:13", "query"),
		Entry("a tag in other letters", `path:"id"`, `Path:"id"`, "9:13", "path"),
		Entry("a look-alike with a space", "//stella:endpoint", "// stella:endpoint", "19:1", "//stella:endpoint"),
		Entry("a look-alike in capitals", "//stella:endpoint", "//Stella:endpoint", "19:1", "//stella:endpoint"),
		Entry("a look-alike with a plus", "//stella:endpoint", "//+stella:endpoint", "19:1", "//stella:endpoint"),
		Entry("a wrong method", "GET /things", "GETT /things", "19:19", "GET"),
		Entry("a wrong value", "timeout=5s", "timeout=5", "19:44", "5s"),
	)

	It("reports all faults at once", func() {
		text := strings.Replace(shop, "query:", "qurey:", 1) + `
//stella:endpoint POST /things timout=5s
//stella:pubic "so far"
func Make(ctx context.Context) error { return nil }

// stella:endpoint DELETE /things
func Drop(ctx context.Context) error { return nil }
`
		g := generate(map[string]string{"shop.go": text})
		Expect(g.code).To(Equal(2))
		for _, place := range []string{"shop.go:10:", "shop.go:23:", "shop.go:24:", "shop.go:27:"} {
			Expect(g.text).To(ContainSubstring(place))
		}
		Expect(g.written).To(BeEmpty())
	})
})

// caret reports whether text shows a source line with a line of carets right below it.
func caret(text, source string) bool {
	lines := strings.Split(text, "\n")
	sources := strings.Split(source, "\n")
	for i, line := range lines[1:] {
		if !strings.HasPrefix(strings.TrimLeft(line, " \t|│"), "^") {
			continue
		}
		if slices.ContainsFunc(sources, func(s string) bool { return s != "" && strings.Contains(expand(lines[i]), expand(s)) }) {
			return true
		}
	}
	return false
}

// expand has spaces for tabs, which a printer may widen.
func expand(s string) string { return strings.Join(strings.Fields(s), " ") }
