package directive_test

import (
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/stella-ops/router/generator/directive"
)

var _ = Describe("formatting", func() {
	DescribeTable("writes one form, and leaves alone what it does not understand",
		func(text, want string) {
			Expect(directive.Format(text)).To(Equal(want))
			Expect(directive.Format(want)).To(Equal(want), "it is the form")
		},
		Entry(nil, `//stella:endpoint   idempotent  PUT timeout=5s   /a/{id} body="1MiB" status=201`,
			`//stella:endpoint PUT /a/{id} status=201 timeout=5s body=1MiB idempotent`),
		Entry(nil, "//stella:endpoint GET /a tags=`a b`,c,\"d,e\"", `//stella:endpoint GET /a tags="a b",c,"d,e"`),
		Entry(nil, "//stella:public `all may`  ", `//stella:public "all may"`),
		Entry(nil, `//stella:public free`, `//stella:public "free"`),
		Entry(nil, `//stella:claim  scope  "billing:write"`, `//stella:claim scope billing:write`),
		Entry(nil, `//stella:claim scope "a=b c"`, `//stella:claim scope "a=b c"`),
		Entry(nil, `//stella:claim scope a=b`, `//stella:claim scope a=b`),
		Entry(nil, `//stella:claim scope "//x"`, `//stella:claim scope "//x"`),
		Entry(nil, `//stella:ignore   STL0020   because  of "this", and that`, `//stella:ignore STL0020 because  of "this", and that`),
		Entry(nil, `//stella:endpoint GET  /a timeot=5s`, `//stella:endpoint GET  /a timeot=5s`),
		Entry(nil, `//stella:nothing  x`, `//stella:nothing  x`),
		Entry(nil, `// stella:endpoint  GET /a`, `// stella:endpoint  GET /a`),
		Entry(nil, `// prose,  as it is`, `// prose,  as it is`),
	)
})
