package artifacts

import (
	"bytes"
	"encoding/json"

	"github.com/getkin/kin-openapi/openapi3"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"github.com/santhosh-tekuri/jsonschema/v6"
)

// judge says whether a value is one of a schema of the manifest that has everything.
type judge func(name string, value any) error

// byOpenAPI30 judges by OpenAPI 3.0, whose schemas are a dialect of their own.
func byOpenAPI30() judge {
	GinkgoHelper()
	document, err := openapi3.NewLoader().LoadFromData(export("openapi30", manifest("everything")))
	Expect(err).NotTo(HaveOccurred())
	return func(name string, value any) error {
		GinkgoHelper()
		schema := document.Components.Schemas[name]
		Expect(schema).NotTo(BeNil(), name)
		return schema.Value.VisitJSON(value)
	}
}

// by202012 judges by a document whose schemas are JSON Schema 2020-12, under this path.
func by202012(kind, path string) judge {
	GinkgoHelper()
	compiler := schemas(export(kind, manifest("everything")))
	return func(name string, value any) error {
		GinkgoHelper()
		schema, err := compiler.Compile("schema.json#/" + path + "/" + name)
		Expect(err).NotTo(HaveOccurred())
		return schema.Validate(value)
	}
}

// schemas is a compiler that has a document as schema.json.
func schemas(document []byte) *jsonschema.Compiler {
	GinkgoHelper()
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(document))
	Expect(err).NotTo(HaveOccurred())
	compiler := jsonschema.NewCompiler()
	compiler.DefaultDraft(jsonschema.Draft2020)
	Expect(compiler.AddResource("schema.json", value)).To(Succeed())
	return compiler
}

var _ = Describe("JSON Schema", func() {
	for name := range manifests {
		It("of "+name+" is 2020-12, and every definition in it compiles", func() {
			document := export("jsonschema", manifest(name))
			var top struct {
				Schema string         `json:"$schema"`
				Defs   map[string]any `json:"$defs"`
			}
			Expect(json.Unmarshal(document, &top)).To(Succeed())
			Expect(top.Schema).To(Equal("https://json-schema.org/draft/2020-12/schema"))
			Expect(top.Defs).NotTo(BeEmpty())
			compiler := schemas(document)
			for def := range top.Defs {
				_, err := compiler.Compile("schema.json#/$defs/" + def)
				Expect(err).NotTo(HaveOccurred(), def)
			}
		})
	}

	DescribeTable("of a request knows whether unknown members are refused", func(def, value string, ok bool) {
		schema, err := schemas(export("jsonschema", manifest("everything"))).Compile("schema.json#/$defs/" + def)
		Expect(err).NotTo(HaveOccurred())
		v, err := jsonschema.UnmarshalJSON(bytes.NewReader([]byte(value)))
		Expect(err).NotTo(HaveOccurred())
		Expect(schema.Validate(v) == nil).To(Equal(ok))
	},
		Entry("the members of its type are known", "make.request", `{"customer":"a","lines":[{"price":1}]}`, true),
		Entry("others are refused", "make.request", `{"customer":"a","lines":[{"price":1}],"colour":"red"}`, false),
		Entry("unless the endpoint ignores them", "createOrder.request", `{"customer":"a","lines":[{"price":1}],"colour":"red"}`, true),
	)
})

// The same values are judged by what each dialect makes of the manifest's constraints, so none may say more or less. kin-openapi
// takes null for no value of a schema without a type, which OpenAPI 3.0.3 does not say: there is no row for it.
var _ = DescribeTable("a schema means the same in OpenAPI 3.1, in 3.0 and in JSON Schema",
	func(name, value string, ok bool) {
		v, err := jsonschema.UnmarshalJSON(bytes.NewReader([]byte(value)))
		Expect(err).NotTo(HaveOccurred())
		var plain any
		Expect(json.Unmarshal([]byte(value), &plain)).To(Succeed())
		for dialect, says := range map[string]error{
			"OpenAPI 3.1": by202012("openapi", "components/schemas")(name, v),
			"OpenAPI 3.0": byOpenAPI30()(name, plain),
			"JSON Schema": by202012("jsonschema", "$defs")(name, v),
		} {
			if ok {
				Expect(says).NotTo(HaveOccurred(), dialect)
			} else {
				Expect(says).To(HaveOccurred(), dialect)
			}
		}
	},
	Entry("above an exclusive bound", "orders.Line", `{"price":0.01}`, true),
	Entry("at an exclusive bound", "orders.Line", `{"price":0}`, false),
	Entry("at the other exclusive bound", "orders.Line", `{"price":1000000.5}`, false),
	Entry("no multiple", "orders.Line", `{"price":0.015}`, false),
	Entry("within two bounds", "orders.Line", `{"price":1,"share":0}`, true),
	Entry("at the exclusive one of two bounds", "orders.Line", `{"price":1,"share":-0.25}`, false),
	Entry("below the other exclusive one of two bounds", "orders.Line", `{"price":1,"share":98.5}`, true),
	Entry("above the exclusive one of two bounds", "orders.Line", `{"price":1,"share":99}`, false),
	Entry("a number that is listed", "orders.Line", `{"price":1,"level":3}`, true),
	Entry("a number that is not listed", "orders.Line", `{"price":1,"level":4}`, false),
	Entry("null beside numbers that are listed", "orders.Line", `{"price":1,"level":null}`, true),
	Entry("null that is not allowed", "orders.Line", `{"price":null}`, false),
	Entry("no member that is required", "orders.Line", `{}`, false),
	Entry("null in place of a named type", "orders.NewOrder", `{"customer":"a","lines":[{"price":1}],"note":null}`, true),
	Entry("null where a named type has to be", "orders.NewOrder", `{"customer":"a","lines":[{"price":1}],"billTo":null}`, false),
	Entry("anything", "orders.NewOrder", `{"customer":"a","lines":[{"price":1}],"extra":[1,"a"]}`, true),
	Entry("null beside text that is listed", "orders.NewOrder", `{"customer":"a","lines":[{"price":1}],"state":null}`, true),
	Entry("too few items", "orders.NewOrder", `{"customer":"a","lines":[]}`, false),
	Entry("text that does not match", "orders.NewOrder", `{"customer":"A","lines":[{"price":1}]}`, false),
	Entry("text that is too long", "orders.NewOrder", `{"customer":"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa","lines":[{"price":1}]}`, false),
	Entry("a type within itself", "orders.Note", `{"answers":[{"text":"a","answers":null}]}`, true),
	Entry("a fault deep in a type within itself", "orders.Note", `{"answers":[{"answers":[{"text":1}]}]}`, false),
	Entry("a map's values", "Page_orders.Order_", `{"words":{"a":"b"}}`, true),
	Entry("a map's value of another type", "Page_orders.Order_", `{"words":{"a":1}}`, false),
)
