package scan

import (
	"go/ast"
	"go/parser"
	"go/token"
	"go/types"
	"testing"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

func TestScan(t *testing.T) {
	RegisterFailHandler(Fail)
	RunSpecs(t, "scan")
}

var _ = Describe("the declarations that are known without reading their packages", func() {
	for path, text := range known {
		It("of "+path+" are right", func() {
			fset := token.NewFileSet()
			f, err := parser.ParseFile(fset, path, text, parser.AllErrors)
			Expect(err).NotTo(HaveOccurred())
			conf := types.Config{IgnoreFuncBodies: true}
			p, err := conf.Check(path, fset, []*ast.File{f}, nil)
			Expect(err).NotTo(HaveOccurred())
			Expect(p.Scope().Names()).NotTo(BeEmpty())
		})
	}
})

var _ = Describe("reading struct tags", func() {
	DescribeTable("keeps to their conventional form",
		func(text string, want []tag, ok bool) {
			got, whole := splitTag(text, 10)
			Expect(got).To(Equal(want))
			Expect(whole).To(Equal(ok))
		},
		Entry(nil, `json:"a,omitempty"  path:"b\"c"`, []tag{{"json", "a,omitempty", 10, 18}, {"path", `b"c`, 30, 11}}, true),
		Entry(nil, ``, nil, true), Entry(nil, ` `, nil, true),
		Entry(nil, `json`, nil, false), Entry(nil, `json:`, nil, false), Entry(nil, `json:a`, nil, false), Entry(nil, `json:"a`, nil, false),
		Entry(nil, `a:"b" :"c"`, []tag{{"a", "b", 10, 5}}, false),
	)
})
