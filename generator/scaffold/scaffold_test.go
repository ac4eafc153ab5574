package scaffold_test

import (
	"go/parser"
	"go/token"
	"testing"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/stella-ops/router/generator/scaffold"
	"github.com/stella-ops/router/spec"
)

func TestScaffold(t *testing.T) {
	RegisterFailHandler(Fail)
	RunSpecs(t, "scaffold")
}

// That what is written compiles and runs is for ./e2e to show, which has the commands.
var _ = Describe("A scaffold", func() {
	DescribeTable("names a handler by its method and path", func(method, path, name string) {
		p, err := spec.ParsePattern(path)
		Expect(err).NotTo(HaveOccurred())
		Expect(scaffold.HandlerName(method, p)).To(Equal(name))
		Expect(token.IsIdentifier(name)).To(BeTrue())
	},
		Entry(nil, "GET", "/", "GetRoot"),
		Entry(nil, "GET", "/invoices/{id}", "GetInvoicesByID"),
		Entry(nil, "POST", "/invoice-lines/{line_no}/parts", "PostInvoiceLinesByLineNoParts"),
		Entry(nil, "DELETE", "/files/{rest...}", "DeleteFilesByRest"),
	)

	DescribeTable("writes Go for any endpoint", func(e scaffold.Endpoint, parts ...string) {
		e.Package = "api"
		text, err := e.File()
		Expect(err).NotTo(HaveOccurred())
		_, err = parser.ParseFile(token.NewFileSet(), "x.go", text, parser.SkipObjectResolution)
		Expect(err).NotTo(HaveOccurred())
		for _, part := range parts {
			Expect(string(text)).To(ContainSubstring(part))
		}
	},
		Entry("with neither input nor result", scaffold.Endpoint{Method: "HEAD", Path: "/a", Claims: []string{"scope a:read", "tenant"}},
			"//stella:claim scope a:read\n//stella:claim tenant\nfunc HeadA(_ context.Context) error {"),
		Entry("with a result", scaffold.Endpoint{Method: "GET", Path: "/a", Public: `it is "free"`, Receiver: "*Service"},
			`//stella:public "it is \"free\""`, "func (*Service) GetA(_ context.Context) (*GetAResponse, error) {", `Text: "GetA"`),
		Entry("with a body", scaffold.Endpoint{Method: "PUT", Path: "/a/{text}", Name: "Store"},
			"Text     string `path:\"text\"`", "TextBody string `json:\"text\"`", "*StoreRequest) (*StoreResponse, error)", "in.TextBody"),
		Entry("with parameters that are no names", scaffold.Endpoint{Method: "GET", Path: "/a/{id}/{_}/{ID}"}, "ID ", "P ", "PID "),
	)

	It("refuses a path that is none", func() {
		_, err := scaffold.Endpoint{Method: "GET", Path: "a"}.File()
		Expect(err).To(MatchError(ContainSubstring("does not begin with a slash")))
	})
})
