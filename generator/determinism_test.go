package generator_test

import (
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"github.com/rogpeppe/go-internal/txtar"

	"github.com/stella-ops/router/generator"
)

var _ = Describe("generating", Serial, func() {
	archive := func(name string) *txtar.Archive {
		a, err := txtar.ParseFile(filepath.Join("testdata", name))
		Expect(err).NotTo(HaveOccurred())
		return a
	}

	It("gives the same bytes in another folder, on one processor, with another order of files, and a second time", func(ctx SpecContext) {
		for _, name := range []string{"billing.txtar", "types.txtar", "shapes.txtar", "parts.txtar", "overrides.txtar"} {
			a := archive(name)
			dir := unpack(a)
			first := run(ctx, dir)
			Expect(first).NotTo(HaveKey(wantErrors))
			write(dir, first)
			Expect(run(ctx, dir)).To(Equal(first), "with its own output beside")

			defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
			Expect(run(ctx, unpack(a))).To(Equal(first), "in another folder")

			// The declarations of one package, in files whose names turn their order round.
			shuffled := &txtar.Archive{}
			for i, f := range a.Files {
				if strings.HasSuffix(f.Name, ".go") {
					f.Name = filepath.Join(filepath.Dir(f.Name), string(rune('z'-i))+filepath.Base(f.Name))
				}
				shuffled.Files = append(shuffled.Files, f)
			}
			slices.Reverse(shuffled.Files)
			Expect(run(ctx, unpack(shuffled))).To(Equal(first), "with files in another order")
		}
	})

	It("does not depend on the order of patterns, or on packages named beside", func(ctx SpecContext) {
		a := archive("types.txtar")
		dir := unpack(a)
		want := run(ctx, dir)
		for _, patterns := range [][]string{{"./stock"}, {"./stock", "./common"}, {"./common", "./stock", "./stock"}} {
			target := &memory{dir: dir, files: map[string]string{}}
			findings, err := generator.Run(ctx, generator.Config{Dir: dir, Env: environment(), Patterns: patterns}, target)
			Expect(err).NotTo(HaveOccurred())
			Expect(findings.List).To(BeEmpty())
			Expect(target.files).To(Equal(want))
		}
	})

	It("makes all of a service, whichever of its packages is named, and nothing of another", func(ctx SpecContext) {
		dir := unpack(archive("parts.txtar"))
		want := run(ctx, dir)
		for name := range want {
			if !strings.HasPrefix(name, wantPrefix+"billing/") && !strings.HasPrefix(name, wantPrefix+"internal/legacy/") {
				delete(want, name)
			}
		}
		for _, patterns := range [][]string{
			{"./billing"}, {"./billing/reports"}, {"./internal/..."}, {"./internal/legacy", "./billing"}, {"./money", "example.com/shop/billing/..."},
		} {
			target := &memory{dir: dir, files: map[string]string{}}
			findings, err := generator.Run(ctx, generator.Config{Dir: dir, Env: environment(), Patterns: patterns}, target)
			Expect(err).NotTo(HaveOccurred())
			Expect(findings.List).To(BeEmpty())
			Expect(target.files).To(Equal(want), strings.Join(patterns, " "))
		}
	})

	It("names neither the folder nor the machine nor the time in its output", func(ctx SpecContext) {
		dir := unpack(archive("billing.txtar"))
		for _, content := range run(ctx, dir) {
			Expect(content).NotTo(ContainSubstring(filepath.Dir(dir)))
			Expect(content).NotTo(ContainSubstring(runtime.Version()))
		}
	})
})

// write puts what a run has made into its module.
func write(dir string, files map[string]string) {
	for name, content := range files {
		if content == removed {
			continue
		}
		full := filepath.Join(dir, filepath.FromSlash(strings.TrimPrefix(name, wantPrefix)))
		Expect(os.WriteFile(full, []byte(content), 0o600)).To(Succeed())
	}
}
