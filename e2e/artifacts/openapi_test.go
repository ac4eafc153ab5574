package artifacts

import (
	"strings"

	"github.com/getkin/kin-openapi/openapi3"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

// lintOpenAPI is what Redocly's linter finds wrong with a document, or nothing.
func lintOpenAPI(document []byte) string {
	GinkgoHelper()
	said, ok := node("lint-openapi.mjs", file("openapi.json", document))
	if ok {
		return ""
	}
	Expect(said).NotTo(BeEmpty(), "the linter failed without a word")
	return said
}

// validateOpenAPI is what kin-openapi finds wrong with a document.
func validateOpenAPI(document []byte) error {
	t, err := openapi3.NewLoader().LoadFromData(document)
	if err != nil {
		return err
	}
	return t.Validate(GinkgoT().Context(), openapi3.EnableSchemaFormatValidation(), openapi3.EnableSchemaDefaultsValidation())
}

var _ = Describe("OpenAPI", func() {
	for name := range manifests {
		for _, kind := range []string{"openapi", "openapi30"} {
			It("of "+name+" as "+kind+" is taken by both validators", func() {
				document := export(kind, manifest(name))
				Expect(validateOpenAPI(document)).To(Succeed())
				Expect(lintOpenAPI(document)).To(BeEmpty())
			})
		}
	}
})

var _ = Describe("the validators of OpenAPI", func() {
	const sound = `{"openapi":"VERSION","info":{"title":"t","version":"1.0.0"},"servers":[{"url":"http://127.0.0.1:8080"}],"paths":{"/x/{id}":{"get":{
		"operationId":"getX","summary":"x","security":[],"parameters":[{"name":"id","in":"path","required":true,"schema":{"type":"string"}}],
		"responses":{"200":{"description":"ok"},"4XX":{"description":"no"}}}}}}`

	for _, version := range []string{"3.0.3", "3.1.0"} {
		document := strings.Replace(sound, "VERSION", version, 1)
		It("take a sound document of "+version, func() {
			Expect(lintOpenAPI([]byte(document))).To(BeEmpty())
			Expect(validateOpenAPI([]byte(document))).To(Succeed())
		})
		It("refuse a document of "+version+" that lacks a path parameter", func() {
			unsound := []byte(strings.Replace(document, `"name":"id"`, `"name":"key"`, 1))
			Expect(lintOpenAPI(unsound)).To(ContainSubstring("path-parameters-defined"))
			Expect(validateOpenAPI(unsound)).To(MatchError(ContainSubstring("id")))
		})
	}
})
