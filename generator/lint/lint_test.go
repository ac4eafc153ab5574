package lint_test

import (
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/stella-ops/router/generator/diagnostic"
	"github.com/stella-ops/router/generator/lint"
)

// service is a service with one endpoint, above whose claim stand more lines.
func service(lines string) string {
	return "// Package a is a fixture.\n//\n//stella:service a version=1.0.0 owner=fixtures\npackage a\n\nimport \"context\"\n\n" +
		"// Get gets.\n//\n//stella:endpoint GET /creditNotes\n" + lines + "//stella:claim scope a:read\nfunc Get(context.Context) error { return nil }\n"
}

var _ = Describe("an ignore", func() {
	It("keeps the finding, and its reason", func(ctx SpecContext) {
		dir := module(sources(service("//stella:ignore STL1001 callers have it in print owner=ann\n")))
		found := run(ctx, dir, lint.Config{Rules: selected()})
		Expect(ids(found)).To(BeEmpty())
		Expect(found.List).To(ConsistOf(HaveField("Waiver", "callers have it in print")))
	})

	DescribeTable("is itself a finding when",
		func(ctx SpecContext, lines, message string) {
			dir := module(sources(service(lines)))
			found := run(ctx, dir, lint.Config{Rules: selected()})
			Expect(printed(dir, found)).To(ContainSubstring("STL0026: " + message))
		},
		Entry("it silences nothing", "//stella:ignore STL1002 there is no parameter\n", "stella:ignore STL1002 silences nothing: remove it"),
		Entry("there is no such rule", "//stella:ignore STL1999 it sounds good\n", "there is no rule STL1999"),
		Entry("the rule cannot be ignored", "//stella:ignore STL1107 time has no end\n", "STL1107 (ignore has ended) cannot be ignored"),
		Entry("its day is none", "//stella:ignore STL1001 why until=soon\n", `until is "soon", expected a day such as 2027-01-31`),
		Entry("it has a day and no reason", "//stella:ignore STL1001 until=2027-01-31 owner=ann\n", "stella:ignore STL1001 says until when or who, and not why"),
	)

	It("is none when its rule does not run, or only an analyzer would see what it is about", func(ctx SpecContext) {
		dir := module(sources(service("//stella:ignore STL1001 why\n//stella:ignore STL1801 why\n")))
		Expect(ids(run(ctx, dir, lint.Config{Rules: only("STL1002")}))).To(BeEmpty())
		Expect(ids(run(ctx, dir, lint.Config{Rules: selected()}))).To(BeEmpty())
		Expect(ids(run(ctx, dir, lint.Config{Rules: selected(), Bodies: []diagnostic.Finding{}}))).To(ConsistOf("STL0026"))
	})

	It("that silences nothing has a fix that takes it away", func(ctx SpecContext) {
		dir := module(sources(service("//stella:ignore STL1001 why\n//stella:ignore STL1002 why\n")))
		mend(run(ctx, dir, lint.Config{Rules: selected()}).List)
		Expect(ids(run(ctx, dir, lint.Config{Rules: selected()}))).To(BeEmpty())
	})

	It("in the package's doc comment is about the whole file", func(ctx SpecContext) {
		text := strings.Replace(service(""), "//stella:service", "//stella:ignore STL1001 all of it is old\n//stella:service", 1)
		Expect(ids(run(ctx, module(sources(text)), lint.Config{Rules: selected()}))).To(BeEmpty())
	})
})

var _ = Describe("a run", func() {
	It("says what is wrong with the input alone, as long as there is something", func(ctx SpecContext) {
		found := run(ctx, module(sources(strings.Replace(service(""), "GET /creditNotes", "GET creditNotes", 1))), lint.Config{Rules: selected()})
		Expect(found.Input).To(BeTrue())
		Expect(ids(found)).To(ConsistOf("STL0010"))
	})

	It("does not need code that compiles", func(ctx SpecContext) {
		broken := strings.Replace(service(""), "return nil }", "return Nobody(1, }", 1)
		Expect(ids(run(ctx, module(sources(strings.Replace(broken, "(1, }", "(1) }", 1))), lint.Config{Rules: selected()}))).To(ConsistOf("STL1001"))
	})

	It("tells that nothing was checked", func(ctx SpecContext) {
		Expect(run(ctx, module(sources("package a\n")), lint.Config{Rules: selected()}).Nothing).To(BeTrue())
	})
})

var _ = Describe("a selection", func() {
	finds := func(ctx SpecContext, use, enable, disable []string) []string {
		GinkgoHelper()
		rules, err := lint.Select(use, enable, disable)
		Expect(err).NotTo(HaveOccurred())
		return ids(run(ctx, module(sources(service(""))), lint.Config{Rules: rules}))
	}

	It("is of presets, categories, ids and names", func(ctx SpecContext) {
		Expect(finds(ctx, nil, nil, nil)).To(ConsistOf("STL1001"))
		Expect(finds(ctx, []string{"minimal"}, nil, nil)).To(BeEmpty())
		Expect(finds(ctx, []string{"STRICT"}, nil, nil)).To(ConsistOf("STL1001", "STL1201"))
		Expect(finds(ctx, []string{"LIMITS", "MINIMAL"}, nil, nil)).To(ConsistOf("STL1201"))
		Expect(finds(ctx, nil, []string{"timeout_missing"}, []string{"stl1001"})).To(ConsistOf("STL1201"))
		Expect(finds(ctx, []string{"STRICT"}, nil, []string{"STYLE"})).To(ConsistOf("STL1201"))
	})

	It("has the rules of each preset in the next", func() {
		for _, r := range lint.Rules() {
			Expect(lint.PresetOf(r.ID)).To(BeNumerically("<=", lint.Strict))
			if r.Category == lint.Transport && strings.HasPrefix(r.Name, "UDP_") {
				Expect(lint.PresetOf(r.ID)).To(Equal(lint.Off))
			}
		}
	})

	DescribeTable("refuses what there is not",
		func(use, enable, message string) {
			_, err := lint.Select(strings.Fields(use), strings.Fields(enable), nil)
			Expect(err).To(MatchError(ContainSubstring(message)))
		},
		Entry(nil, "STRICTER", "", `there is no preset or category "STRICTER": did you mean STRICT?`),
		Entry(nil, "all", "", "expected MINIMAL, STANDARD, STRICT, STYLE"),
		Entry(nil, "", "PATH_KEBAP_CASE", "did you mean PATH_KEBAB_CASE?"),
		Entry(nil, "", "nonsense", `there is no rule or category "NONSENSE"`),
	)
})
