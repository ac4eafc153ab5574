package diagnostic_test

import (
	"errors"
	"go/token"
	"strings"
	"testing"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/stella-ops/router/generator/diagnostic"
)

func TestDiagnostic(t *testing.T) {
	RegisterFailHandler(Fail)
	RunSpecs(t, "diagnostic")
}

func at(line, column int) token.Position {
	return token.Position{Filename: "/src/shop/a.go", Line: line, Column: column}
}

func source(name string) ([]byte, error) {
	if name != "/src/shop/a.go" {
		return nil, errors.New("no such file")
	}
	return []byte("one\n\ttwo é three\r\nlast"), nil
}

var _ = Describe("printing findings", func() {
	printed := func(findings ...diagnostic.Finding) string {
		var text strings.Builder
		format, known := diagnostic.FindFormat(diagnostic.TextFormat)
		Expect(known).To(BeTrue())
		report := diagnostic.Report{Findings: findings, Base: "/src", Source: source, Tail: "nothing was written"}
		Expect(format.Write(&text, &report, diagnostic.Style{})).To(Succeed())
		return text.String()
	}

	It("shows place, line, caret, hint and what belongs to it", func() {
		Expect(printed(diagnostic.Finding{
			Rule: "STL0001", Pos: at(2, 6), Width: 2, Message: "wrong", Hint: "do this",
			Related: []diagnostic.Related{{Pos: at(3, 1), Message: "see here"}},
		})).To(Equal("shop/a.go:2:6: STL0001: wrong\n    \ttwo é three\n    \t    ^\n    hint: do this\n" +
			"    shop/a.go:3:1: see here\n    last\n    ^\n1 finding; nothing was written\n"))
	})

	It("stays within the line, and does without a file, a line or a source", func() {
		Expect(printed(
			diagnostic.Finding{Rule: "STL0001", Pos: at(1, 3), Width: 99, Message: "wide"},
			diagnostic.Finding{Rule: "STL0001", Pos: at(1, 99), Message: "behind"},
			diagnostic.Finding{Rule: "STL0001", Pos: at(99, 1), Message: "below"},
			diagnostic.Finding{Rule: "STL0002", Message: "nowhere"},
			diagnostic.Finding{Rule: "STL0003", Pos: token.Position{Filename: "/src/b.go", Line: 1, Column: 1}, Message: "unread"},
		)).To(Equal("shop/a.go:1:3: STL0001: wide\n    one\n      ^\nshop/a.go:1:99: STL0001: behind\n    one\n       ^\n" +
			"shop/a.go:99:1: STL0001: below\nSTL0002: nowhere\nb.go:1:1: STL0003: unread\n5 findings; nothing was written\n"))
	})

	It("says nothing without findings", func() { Expect(printed()).To(BeEmpty()) })
})

var _ = Describe("a list", func() {
	It("sorts by place, and keeps each finding once", func() {
		var list diagnostic.List
		list.Addf("STL0002", at(2, 1), 1, "b")
		list.Addf("STL0001", at(2, 1), 1, "a")
		list.Addf("STL0003", at(1, 9), 1, "%s", "c")
		list.Addf("STL0001", at(2, 1), 1, "a")
		Expect(list.Len()).To(Equal(4))
		var got []string
		for _, f := range list.Sorted() {
			got = append(got, f.Message)
		}
		Expect(got).To(Equal([]string{"c", "a", "b"}))
		list.Remove(func(f diagnostic.Finding) bool { return f.Message == "a" })
		Expect(list.Sorted()).To(HaveLen(2))
	})
})

var _ = Describe("the table of rules", func() {
	It("is sorted by id, and explains each", func() {
		before := diagnostic.ID("STL0000")
		for _, r := range diagnostic.Rules() {
			Expect(string(r.ID)).To(MatchRegexp(`^STL0\d{3}$`))
			Expect(r.ID > before).To(BeTrue(), "%s stands behind %s", r.ID, before)
			before = r.ID
			Expect(r.Title).NotTo(BeEmpty())
			Expect(r.Text).To(HaveSuffix("."))
			found, known := diagnostic.Find(r.ID)
			Expect(known).To(BeTrue())
			Expect(found).To(Equal(r))
		}
		_, known := diagnostic.Find("STL9999")
		Expect(known).To(BeFalse())
	})
})
