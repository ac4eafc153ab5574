package lint_test

import (
	"go/format"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"golang.org/x/tools/txtar"

	"github.com/stella-ops/router/generator/diagnostic"
	"github.com/stella-ops/router/generator/lint"
)

// lower are limits that a fixture of a sensible size exceeds.
var lower = map[string]lint.Limits{"ENDPOINT_COUNT": {Endpoints: 1}, "MANIFEST_SIZE": {Manifest: 700}}

const wantFile = "want"

// Each rule has an archive of its name: a package bad that it finds something in, a package good that is like it and
// that it finds nothing in, and what is printed. -update writes that into the archives, for review.
var _ = Describe("a rule", func() {
	for _, r := range lint.Rules() {
		if r.Category == lint.Code {
			continue // package analyzer has its fixtures
		}
		It(r.Name+" finds what is bad, and not what is good", func(ctx SpecContext) {
			name := filepath.Join("testdata", r.Name+".txtar")
			archive, err := txtar.ParseFile(name)
			Expect(err).NotTo(HaveOccurred(), "every rule needs an archive")
			dir := module(archive.Files)
			rules := only(r.ID)
			if r.Name == "IGNORE_EXPIRED" {
				rules = selected("STANDARD") // and those that are ignored
			}
			found := run(ctx, dir, lint.Config{Rules: rules, Limits: lower[r.Name]})
			Expect(found.Input).To(BeFalse(), printed(dir, found))
			Expect(ids(found)).To(ContainElement(string(r.ID)))
			for _, f := range found.List {
				if f.Waiver == "" {
					Expect(f.Pos.Filename).To(HavePrefix(filepath.Join(dir, "bad")), f.Message)
				}
				if f.Rule == r.ID {
					Expect(f.Severity).To(Equal(r.Severity))
				}
			}
			got := printed(dir, found)
			if *update {
				archive.Files = slices.DeleteFunc(archive.Files, func(f txtar.File) bool { return f.Name == wantFile })
				archive.Files = append(archive.Files, txtar.File{Name: wantFile, Data: []byte(got)})
				Expect(os.WriteFile(name, txtar.Format(archive), 0o600)).To(Succeed())
			}
			i := slices.IndexFunc(archive.Files, func(f txtar.File) bool { return f.Name == wantFile })
			Expect(i).NotTo(Equal(-1), "no golden output yet")
			Expect(got).To(Equal(string(archive.Files[i].Data)))

			left := slices.DeleteFunc(slices.Clone(found.List), func(f diagnostic.Finding) bool { return len(f.Fixes) > 0 || f.Waiver != "" })
			mend(found.List)
			again := run(ctx, dir, lint.Config{Rules: rules, Limits: lower[r.Name]})
			Expect(ids(again)).To(HaveLen(len(left)), "a fix mends its finding, and breaks nothing: %s", printed(dir, again))
		})
	}
})

var _ = Describe("the table", func() {
	It("is sorted by id, and explains each rule", func() {
		list := lint.Rules()
		Expect(len(list)).To(BeNumerically(">=", 40))
		names := map[string]bool{}
		for i, r := range list {
			Expect(r.ID.IsLint()).To(BeTrue())
			Expect(i == 0 || list[i-1].ID < r.ID).To(BeTrue(), string(r.ID))
			Expect(r.Name).To(MatchRegexp(`^[A-Z][A-Z0-9_]+$`))
			Expect(names[r.Name]).To(BeFalse(), r.Name)
			names[r.Name] = true
			Expect(r.Title).NotTo(BeEmpty())
			Expect(r.Text).To(HaveSuffix("."))
			Expect(lint.Categories()).To(ContainElement(r.Category))
			Expect(lint.Categories()[(r.ID[4]-'0')]).To(Equal(r.Category), "the hundreds are the categories'")
			byID, ok := lint.Find(string(r.ID))
			Expect(ok).To(BeTrue())
			Expect(byID).To(Equal(r))
			byName, ok := lint.Find(r.Name)
			Expect(ok).To(BeTrue())
			Expect(byName).To(Equal(r))
		}
	})

	It("has no archive of a rule that is not there, and archives that gofmt leaves alone", func() {
		archives, err := filepath.Glob("testdata/*.txtar")
		Expect(err).NotTo(HaveOccurred())
		unique := map[string]string{}
		service := regexp.MustCompile(`//stella:service (\S+)`)
		for _, name := range archives {
			_, known := lint.Find(strings.TrimSuffix(filepath.Base(name), ".txtar"))
			Expect(known).To(BeTrue(), name)
			archive, err := txtar.ParseFile(name)
			Expect(err).NotTo(HaveOccurred())
			for _, f := range archive.Files {
				if !strings.HasSuffix(f.Name, ".go") {
					continue
				}
				formatted, err := format.Source(f.Data)
				Expect(err).NotTo(HaveOccurred(), name)
				Expect(string(f.Data)).To(Equal(string(formatted)), name)
				if m := service.FindSubmatch(f.Data); m != nil {
					Expect(unique).NotTo(HaveKey(string(m[1])), "the corpus is one module")
					unique[string(m[1])] = name
				}
			}
		}
	})
})
