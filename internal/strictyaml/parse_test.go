package strictyaml_test

import (
	"fmt"
	"runtime"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/stella-ops/router/internal/strictyaml"
)

// show writes a node in one line, with the places of its texts.
func show(n *strictyaml.Node) string {
	switch n.Kind {
	case strictyaml.List:
		var items []string
		for _, it := range n.Items {
			items = append(items, show(it))
		}
		return "[" + strings.Join(items, " ") + "]"
	case strictyaml.Mapping:
		var members []string
		for _, m := range n.Members {
			members = append(members, show(m.Key)+": "+show(m.Value))
		}
		return "{" + strings.Join(members, ", ") + "}"
	case strictyaml.Text, strictyaml.Null:
	}
	quotes := ""
	if n.Quoted {
		quotes = "'"
	}
	if n.Kind == strictyaml.Null {
		return fmt.Sprintf("null@%d:%d", n.Line, n.Column)
	}
	return fmt.Sprintf("%s%s%s@%d:%d+%d", quotes, n.Text, quotes, n.Line, n.Column, n.Width)
}

var _ = Describe("a document", func() {
	DescribeTable("is a tree that knows where everything stands",
		func(src, want string) {
			n, faults := strictyaml.Parse([]byte(src))
			Expect(faults).To(BeEmpty())
			Expect(show(n)).To(Equal(want))
		},
		Entry("with text as it is written", "version: 1.10\n", "{version@1:1+7: 1.10@1:10+4}"),
		Entry("in quotes", "a: \"x\\\"y\"\nb: 'it''s'\n", "{a@1:1+1: 'x\"y'@1:4+6, b@2:1+1: 'it's'@2:4+7}"),
		Entry("with nothing", "a:\nb: ~\nc: null\n", "{a@1:1+1: null@1:3, b@2:1+1: null@2:4, c@3:1+1: null@3:4}"),
		Entry("that is quoted", "a: 'null'\n", "{a@1:1+1: 'null'@1:4+6}"),
		Entry("of lists", "- a\n- [b, c]\n", "[a@1:3+1 [b@2:4+1 c@2:7+1]]"),
		Entry("behind a comment and a marker", "# yes\n---\n\"POST /a\": {b: c}\n", "{'POST /a'@3:1+9: {b@3:13+1: c@3:16+1}}"),
		Entry("whose columns are bytes", "\"ü\": {é: y}\n", "{'ü'@1:1+4: {é@1:8+2: y@1:12+1}}"),
		Entry("with lines that end as on Windows", "a: b\r\nc: d\r\n", "{a@1:1+1: b@1:4+1, c@2:1+1: d@2:4+1}"),
	)

	DescribeTable("is refused at a place",
		func(src string, want ...string) {
			_, faults := strictyaml.Parse([]byte(src))
			var got []string
			for _, f := range faults {
				got = append(got, fmt.Sprintf("%d:%d+%d %s", f.Line, f.Column, f.Width, f.Message))
			}
			Expect(got).To(HaveLen(len(want)))
			for i := range want {
				Expect(got[i]).To(HavePrefix(want[i]))
			}
		},
		Entry("empty", "", "1:1+0 the file is empty"),
		Entry("with nothing but comments", "# a\n", "1:1+0 the file is empty"),
		Entry("that is null", "---\n~\n", "1:1+3 the document is empty"),
		Entry("with a second document", "a: 1\n---\nb: 1\n", "2:1+3 a second document"),
		Entry("with a second document that is broken", "a: 1\n---\nb: [\n", "4:1+0 did not find expected node content"),
		Entry("that does not parse", "a: b: c\n", "1:5+1 mapping values are not allowed"),
		Entry("whose quote does not end", "a: \"x\nb: y\n", "1:4+1 found unexpected end of stream"),
		Entry("with a tab", "a:\n\tb: c\n", "2:1+1 found character that cannot start any token"),
		Entry("with keys given twice, each time", "a: 1\nb: {c: 1, c: 2}\na: 3\na: 4\n",
			"2:11+1 key c given twice", "3:1+1 key a given twice", "4:1+1 key a given twice"),
		Entry("with an anchor, an alias and a merge key", "a: &x {b: 1}\nc: *x\nd: {<<: *x}\n",
			"1:4+1 anchor &x", "2:4+2 alias *x", "3:9+2 alias *x", "3:5+2 merge key"),
		Entry("with tags", "a: !!str 1\nb: !x y\n", "1:4+1 tag !!str", "2:4+1 tag !x"),
		Entry("with a key that is no text", "? [a]\n: b\n", "1:3+1 a key is a list"),
		Entry("with an unknown alias", "a: *x\n", "1:4+1 unknown anchor"),
		Entry("with a control character", "a: 1\nb: \x01\n", "2:4+1 control character U+0001"),
		Entry("with a line break that is one for the parser alone", "a: b\rc: d\n", "1:5+1 control character U+000D"),
		Entry("that is not UTF-8", "a: 1\nb: \xff\n", "2:4+1 the file is not UTF-8"),
		Entry("with a byte order mark", "\uFEFFa: 1\n", "1:1+3 a byte order mark"),
		Entry("with a merge conflict", "a: 1\n<<<<<<< ours\n", "2:1+7 a merge conflict"),
		Entry("that nests too deep", strings.Repeat("[", 40), "1:33+1 exceeded max depth of 32"),
		Entry("that is too large", "a: "+strings.Repeat("b", strictyaml.MaxBytes), "1:1+0 the file has 1048579 bytes, expected at most 1048576"),
	)

	It("that is a bomb is refused without being expanded", func() {
		var bomb strings.Builder
		bomb.WriteString("a0: &a0 [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]\n")
		for i := range 40 { // 10^41 items
			fmt.Fprintf(&bomb, "a%d: &a%d [%s]\n", i+1, i+1, strings.TrimSuffix(strings.Repeat(fmt.Sprintf("*a%d, ", i), 10), ", "))
		}
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, faults := strictyaml.Parse([]byte(bomb.String()))
		runtime.ReadMemStats(&after)
		Expect(faults).To(HaveLen(41 + 40*10))
		Expect(after.TotalAlloc - before.TotalAlloc).To(BeNumerically("<", 4<<20))
	})

	It("that is too large is not parsed", func() {
		src := []byte(strings.Repeat("a: b\n", strictyaml.MaxBytes))
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, faults := strictyaml.Parse(src)
		runtime.ReadMemStats(&after)
		Expect(faults).To(HaveLen(1))
		Expect(after.TotalAlloc - before.TotalAlloc).To(BeNumerically("<", 1<<20))
	})
})
