package directive_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"slices"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/stella-ops/router/generator/diagnostic"
	"github.com/stella-ops/router/generator/directive"
	"github.com/stella-ops/router/spec"
)

// parse reads one comment as it would stand in a file.
func parse(comment string) (*directive.Directive, []diagnostic.Finding) {
	fset := token.NewFileSet()
	src := "package p\n\n" + comment + "\n"
	f, err := parser.ParseFile(fset, "p.go", src, parser.ParseComments)
	Expect(err).NotTo(HaveOccurred())
	Expect(f.Comments).NotTo(BeEmpty())
	var list diagnostic.List
	return directive.Parse(fset, f.Comments[0].List[0], &list), list.Sorted()
}

var _ = Describe("a directive", func() {
	It("has positional arguments, keys and flags", func() {
		d, findings := parse(`//stella:endpoint PUT /a/{id}/{rest...} timeout=1m30s body=10MB stream=both idempotent tags=a,"b, c",d status=202`)
		Expect(findings).To(BeEmpty())
		Expect(d.Name).To(Equal("endpoint"))
		Expect(d.Args).To(HaveLen(2))
		Expect(d.Args[0].Text).To(Equal("PUT"))
		Expect(d.Args[1].Text).To(Equal("/a/{id}/{rest...}"))
		Expect(d.Keys["timeout"].Duration).To(Equal(90 * time.Second))
		Expect(d.Keys["body"].Int).To(Equal(int64(10_000_000)))
		Expect(d.Keys["stream"].Text).To(Equal("both"))
		Expect(d.Keys["tags"].List).To(Equal([]string{"a", "b, c", "d"}))
		Expect(d.Keys["status"].Ints).To(Equal([]int64{202}))
		Expect(d.Has("idempotent")).To(BeTrue())
		Expect(d.Has("idle")).To(BeFalse())
	})

	It("knows the column of each argument", func() {
		d, findings := parse(`//stella:endpoint  GET   /a  timeout="1s"`)
		Expect(findings).To(BeEmpty())
		Expect(d.Args[0].Pos.String()).To(Equal("p.go:3:20"))
		Expect(d.Args[1].Pos.String()).To(Equal("p.go:3:26"))
		Expect(d.Keys["timeout"].Pos.String()).To(Equal("p.go:3:38"))
	})

	DescribeTable("reads quoted text",
		func(comment, want string) {
			d, findings := parse(comment)
			Expect(findings).To(BeEmpty())
			Expect(d.Args[len(d.Args)-1].Text).To(Equal(want))
		},
		Entry("in quotes", `//stella:public "a \"b\" \u00e9"`, `a "b" é`),
		Entry("raw", "//stella:public `a \"b\"`", `a "b"`),
		Entry("bare", `//stella:public why`, `why`),
		Entry("a flag's name, quoted", `//stella:public "idempotent"`, `idempotent`),
		Entry("a claim's value with an equals sign", `//stella:claim scope a=b`, `a=b`),
		Entry("a claim's value with a comma", `//stella:claim scope a,b`, `a,b`),
		Entry("all that is left", `//stella:ignore STL0020 it's "another" tool's, really`, `it's "another" tool's, really`),
	)

	DescribeTable("of a size",
		func(text string, bytes int) {
			d, findings := parse("//stella:with body=" + text)
			Expect(findings).To(BeEmpty())
			Expect(d.Keys["body"].Int).To(Equal(int64(bytes)))
		},
		Entry(nil, "1B", 1), Entry(nil, "64KiB", 65536), Entry(nil, "64KB", 64000), Entry(nil, "2MiB", 2<<20), Entry(nil, "1GiB", 1<<30),
		Entry(nil, "1024GiB", 1<<40),
	)

	DescribeTable("of a lease or a number of attempts goes as far as the manifest",
		func(args string, want time.Duration, attempts int) {
			d, findings := parse("//stella:with " + args)
			Expect(findings).To(BeEmpty())
			Expect(d.Keys["lease"].Duration).To(Equal(want))
			Expect(d.Keys["attempts"].Int).To(BeEquivalentTo(attempts))
		},
		Entry(nil, "lease=1s attempts=1", spec.MinLeaseMS*time.Millisecond, 1),
		Entry(nil, "lease=25m attempts=100", spec.MaxLeaseMS*time.Millisecond, spec.MaxAttempts),
	)

	DescribeTable("spells durations as authors do",
		func(d time.Duration, want string) {
			Expect(directive.Spell(d)).To(Equal(want))
			Expect(time.ParseDuration(want)).To(Equal(d))
		},
		Entry(nil, 30*time.Second, "30s"), Entry(nil, time.Minute, "1m"), Entry(nil, 90*time.Second, "1m30s"), Entry(nil, 10*time.Minute, "10m"),
		Entry(nil, 24*time.Hour, "24h"), Entry(nil, time.Hour+time.Second, "1h0m1s"), Entry(nil, 20*time.Hour+10*time.Minute, "20h10m"),
		Entry(nil, time.Millisecond, "1ms"), Entry(nil, 1500*time.Millisecond, "1.5s"),
	)

	DescribeTable("spells sizes as authors do",
		func(n int, want string) { Expect(directive.SpellSize(int64(n))).To(Equal(want)) },
		Entry(nil, 1, "1B"), Entry(nil, 1000, "1KB"), Entry(nil, 1<<20, "1MiB"), Entry(nil, 64_000_000, "64MB"), Entry(nil, 1536<<20, "1536MiB"),
		Entry(nil, 1025, "1025B"), Entry(nil, 1<<40, "1024GiB"), Entry(nil, 1_024_000, "1000KiB"),
	)

	It("has keys whose values are read wherever they stand", func() {
		def, _ := directive.Lookup("endpoint")
		key := func(name string) directive.Key {
			return def.Keys[slices.IndexFunc(def.Keys, func(k directive.Key) bool { return k.Name == name })]
		}
		v, message := key("tags").Check("a", "b, c")
		Expect(message).To(BeEmpty())
		Expect(v.List).To(Equal([]string{"a", "b, c"}))
		v, message = key("timeout").Check("5s")
		Expect(message).To(BeEmpty())
		Expect(v.Duration).To(Equal(5 * time.Second))
		_, message = key("timeout").Check("5")
		Expect(message).To(Equal(`is "5": missing unit, did you mean 5s?`))
	})

	It("has arguments that are read wherever they stand", func() {
		var list diagnostic.List
		pos := token.Position{Filename: "x.yaml", Line: 3, Column: 9, Offset: 40}
		d := directive.ParseArgs("claim", `scope "a b"`, pos, &list)
		Expect(list.Sorted()).To(BeEmpty())
		Expect(d.Args[1].Text).To(Equal("a b"))
		Expect(d.Args[1].Pos.String()).To(Equal("x.yaml:3:15"))
		Expect(directive.ParseArgs("claim", "scope a b", pos, &list)).To(BeNil())
		Expect(list.Sorted()).To(ConsistOf(HaveField("Pos.Column", 17)))
	})

	DescribeTable("is refused for a wrong value",
		func(args, want string) {
			d, findings := parse("//stella:" + args)
			Expect(d).To(BeNil())
			Expect(findings).To(ContainElement(HaveField("Message", ContainSubstring(want))))
		},
		Entry(nil, "with body=0B", "expected 1B to 1024GiB"), Entry(nil, "with body=1025GiB", "expected 1B to 1024GiB"),
		Entry(nil, "with body=99999999999999999999GiB", "expected 1B to 1024GiB"), Entry(nil, "with body=MiB", "expected a whole number"),
		Entry(nil, `with body="1 MiB"`, "did you mean 1MiB?"), Entry(nil, "with body=1MB2", "did you mean 1MB?"),
		Entry(nil, "with body=999999999TiB", "expected 1B to 1024GiB"), Entry(nil, "with body=2TB", "expected 1B to 1024GiB"),
		Entry(nil, "endpoint GET /straße/{id}", "character 'ß' must not"), Entry(nil, "endpoint GET /x/:id", "write {id} for a parameter"),
		Entry(nil, "with body=1.5MiB", "expected a whole number"), Entry(nil, "with timeout=1500us", "expected whole milliseconds"),
		Entry(nil, "with timeout=-1s", "expected 1ms to 24h"), Entry(nil, "with timeout=", "needs a duration with its unit"),
		Entry(nil, "with timeout", "timeout needs a value"), Entry(nil, "with status=99", "a number from 200 to 299"),
		Entry(nil, "with lease=999ms", "expected 1s to 25m"), Entry(nil, "with lease=25m1ms", "expected 1s to 25m"),
		Entry(nil, "with timeout=24h1ms", "expected 1ms to 24h"), Entry(nil, "with attempts=0", "a number from 1 to 100"),
		Entry(nil, "with attempts=101", "a number from 1 to 100"), Entry(nil, "with delivery=later", "expected one of call, queue"),
		Entry(nil, "endpoint GET /_stella", "reserved for the gateway"), Entry(nil, "endpoint GET /_stella/{rest...}", "reserved for the gateway"),
		Entry(nil, `public "a\nb"`, "no control characters"), Entry(nil, `public ""`, "needs a value"), Entry(nil, "service a/b version=1.0.0", "a name of letters"),
		Entry(nil, "service billing version=v1.0.0", "expected strict semver"), Entry(nil, "service billing", "missing version="),
		Entry(nil, `with tags=a"b"`, "quote within a word"), Entry(nil, `with tags="a`, "quoted text does not end"),
		Entry(nil, "endpoint/v2 GET /", "unknown directive"), Entry(nil, "with idempotent tags=a idempotent", "given twice"),
	)

	DescribeTable("has no comment behind it, which is one mistake",
		func(args string, column int) {
			d, findings := parse("//stella:" + args)
			Expect(d).To(BeNil())
			Expect(findings).To(ConsistOf(And(
				HaveField("Rule", diagnostic.Syntax), HaveField("Message", ContainSubstring("a directive is its whole line")),
				HaveField("Pos.Column", column), HaveField("Width", len("// it's a \"b")),
			)))
		},
		Entry(nil, `endpoint GET /a timeout=1s // it's a "b`, 37), Entry(nil, `public "x" // it's a "b`, 21),
		Entry(nil, `claim a // it's a "b`, 18),
	)

	It("takes slashes within an argument as they are", func() {
		d, findings := parse(`//stella:claim https://example.com/role "a // b"`)
		Expect(findings).To(BeEmpty())
		Expect(d.Args[1].Text).To(Equal("a // b"))
		d, findings = parse(`//stella:claim root //host/x`)
		Expect(findings).To(BeEmpty())
		Expect(d.Args[1].Text).To(Equal("//host/x"))
	})

	It("reports every fault of its arguments at once", func() {
		_, findings := parse(`//stella:endpoint get a timeout=3 bogus=1 "x`)
		Expect(findings).To(HaveLen(5))
	})

	DescribeTable("may be mentioned in prose",
		func(comment string) {
			d, findings := parse(comment)
			Expect(d).To(BeNil())
			Expect(findings).To(BeEmpty())
		},
		Entry(nil, "// Stella: the router"), Entry(nil, "// see //stella:endpoint"), Entry(nil, "// //stella:endpoint is one"), Entry(nil, "// `stella:endpoint` is one"),
		Entry(nil, "// stellar: endpoint is a word"), Entry(nil, "// stellar:endpoints"),
		Entry(nil, "// stella.Public says"), Entry(nil, "// stella-gateway"), Entry(nil, "// cell:service"), Entry(nil, "// @stella: please look"),
		Entry(nil, "// the stela:endpoint"), Entry(nil, "// stela"), Entry(nil, "//stela:"), Entry(nil, "//"),

		Entry(nil, "//go:generate stella:endpoint"), Entry(nil, "//nolint:stella // stella:"),
	)
})

var _ = Describe("a misspelt prefix", func() {
	DescribeTable("is a look-alike where the name of a directive follows",
		func(comment, name string) {
			d, findings := parse(comment)
			Expect(d).To(BeNil())
			Expect(findings).To(ConsistOf(And(
				HaveField("Rule", diagnostic.LookAlike), HaveField("Hint", HavePrefix("write //stella:"+name)),
			)))
		},
		Entry(nil, "//stela:endpoint GET /", "endpoint"), Entry(nil, "//stella.endpoint GET /", "endpoint"),
		Entry(nil, "//stella-endpoint GET /", "endpoint"), Entry(nil, "// @stella:endpoint GET /", "endpoint"),
		Entry(nil, "//go:stella:endpoint GET /", "endpoint"), Entry(nil, "// stellar:claim a", "claim"),
		Entry(nil, "/* +Stlela:public*/", "public"), Entry(nil, "//stell:service", "service"),
	)
})

var _ = Describe("the registry", func() {
	It("documents every directive and key, and names none twice", func() {
		names := map[string]bool{}
		for _, d := range directive.Registry() {
			Expect(names).NotTo(HaveKey(d.Name))
			names[d.Name] = true
			Expect(d.Doc).To(HaveSuffix("."), d.Name)
			Expect(d.Place).NotTo(BeZero(), d.Name)
			keys := map[string]bool{}
			for _, k := range append(d.Args, d.Keys...) {
				Expect(keys).NotTo(HaveKey(k.Name), d.Name)
				keys[k.Name] = true
				Expect(k.Doc).NotTo(BeEmpty(), d.Name+" "+k.Name)
				Expect(k.Type.String()).NotTo(BeEmpty(), d.Name+" "+k.Name)
			}
		}
	})
})

var _ = Describe("looking for mentions", func() {
	DescribeTable("finds comments that may be directives",
		func(src string, want bool) { Expect(directive.Mentions([]byte(src))).To(Equal(want)) },
		Entry(nil, "//stella:endpoint", true), Entry(nil, "x // \t+ STELLA:x", true), Entry(nil, "/*stella:x*/", true),
		Entry(nil, "//go:stella:x", true), Entry(nil, "// @stella:x", true),
		Entry(nil, "//", false), Entry(nil, "/", false), Entry(nil, "///stella:x", true), Entry(nil, "// stella", false), Entry(nil, "", false),
	)
})

// FuzzParse feeds the scanner: it never panics, positions stay within the line, and what passes has all it needs.
func FuzzParse(f *testing.F) {
	for _, seed := range []string{
		`endpoint GET /a timeout=1s`, `public "a b"`, "claim x `y", `with tags=a,"b",c body=1GiB`, `ignore STL0020 x`, `service a version=1.0.0 =`,
		`with ="" a==b ,,`, "part of=\"\\xff\"",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, args string) {
		text := "//stella:" + args
		if strings.ContainsAny(args, "\n\x00") {
			return
		}
		fset := token.NewFileSet()
		file := fset.AddFile("p.go", -1, len(text)+1)
		var list diagnostic.List
		d := directive.Parse(fset, &ast.Comment{Slash: file.Pos(0), Text: text}, &list)
		if d != nil && list.Len() > 0 {
			t.Fatal("a directive with findings")
		}
		for _, finding := range list.Sorted() {
			if finding.Pos.Column < 1 || finding.Pos.Column-1+finding.Width > len(text)+1 || finding.Message == "" {
				t.Fatalf("%d bytes, finding %+v", len(text), finding)
			}
		}
		if d == nil {
			return
		}
		def, _ := directive.Lookup(d.Name)
		for i, k := range def.Args {
			if k.Required && i >= len(d.Args) {
				t.Fatalf("passed without %s", k.Name)
			}
		}
	})
}
