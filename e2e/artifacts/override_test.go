package artifacts

import (
	"encoding/json"
	"regexp"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/stella-ops/router/generator/diagnostic"
	"github.com/stella-ops/router/generator/override"
	"github.com/stella-ops/router/internal/strictyaml"
)

// number is what the core schema of YAML 1.2, which editors go by, takes for one.
var number = regexp.MustCompile(`^[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)$`)

// value is a node as a validator takes it.
func value(n *strictyaml.Node) any {
	switch {
	case n.Kind == strictyaml.List:
		list := []any{}
		for _, it := range n.Items {
			list = append(list, value(it))
		}
		return list
	case n.Kind == strictyaml.Mapping:
		object := map[string]any{}
		for _, m := range n.Members {
			object[m.Key.Text] = value(m.Value)
		}
		return object
	case n.Kind == strictyaml.Null:
		return nil
	case !n.Quoted && number.MatchString(n.Text):
		return json.Number(n.Text)
	case !n.Quoted && (n.Text == "true" || n.Text == "false"):
		return n.Text == "true"
	}
	return n.Text
}

var _ = Describe("the JSON Schema of stella.yaml", func() {
	// judged says what the schema of billing has against a file, and what the generator has.
	judged := func(text string) (byGenerator []diagnostic.Finding, bySchema error) {
		GinkgoHelper()
		compiler := schemas(export("overrideschema", manifest("billing")))
		compiler.DefaultDraft(jsonschema.Draft7)
		schema, err := compiler.Compile("schema.json")
		Expect(err).NotTo(HaveOccurred())
		Expect(schema.DraftVersion).To(Equal(7))
		doc, faults := strictyaml.Parse([]byte(text))
		Expect(faults).To(BeEmpty())
		var list diagnostic.List
		override.Parse("stella.yaml", "billing", []byte(text), &list)
		return list.Sorted(), schema.Validate(value(doc))
	}

	DescribeTable("takes what the generator takes", func(text string) {
		byGenerator, bySchema := judged(text)
		Expect(bySchema).NotTo(HaveOccurred())
		Expect(byGenerator).To(BeEmpty())
	},
		Entry(nil, "service: billing\n"),
		Entry(nil, "defaults: {timeout: 10s, idle: 1m30s, body: 64KiB, unknown: ignore, attempts: 3, lease: 1.5m, slo: 99.5, stability: beta, tags: [a]}\n"),
		Entry(nil, "endpoints:\n  \"POST /invoices\":\n    timeout: 500ms\n    claims: [scope billing:write, 'region \"eu west\"', tenant]\n"),
		Entry(nil, "endpoints:\n  GET /invoices/{id}: {slo: 99, sunset: 2027-01-31, stream: none, tags: [\"a, b\"]}\n"),
	)

	DescribeTable("refuses what the generator refuses", func(text string) {
		byGenerator, bySchema := judged(text)
		Expect(bySchema).To(HaveOccurred())
		Expect(byGenerator).NotTo(BeEmpty())
	},
		Entry("another service", "service: reports\n"),
		Entry("another key", "default: {timeout: 5s}\n"),
		Entry("text", "billing\n"),
		Entry("no defaults", "defaults:\n"),
		Entry("empty defaults", "defaults: {}\n"),
		Entry("a stream by default", "defaults: {stream: both}\n"),
		Entry("a sunset by default", "defaults: {sunset: 2027-01-31}\n"),
		Entry("a misspelt key", "defaults: {timout: 5s}\n"),
		Entry("what the code alone says", "endpoints: {POST /invoices: {status: 201}}\n"),
		Entry("public", "endpoints: {POST /invoices: {public: x}}\n"),
		Entry("no unit", "defaults: {timeout: 5}\n"),
		Entry("a unit that is none", "defaults: {timeout: 5sec}\n"),
		Entry("a size without a unit", "defaults: {body: 1024}\n"),
		Entry("a size of half a unit", "defaults: {body: 1.5MiB}\n"),
		Entry("a number in quotes", "defaults: {slo: \"99\"}\n"),
		Entry("all of them", "defaults: {slo: 100}\n"),
		Entry("no attempts", "defaults: {attempts: 0}\n"),
		Entry("too many attempts", "defaults: {attempts: 101}\n"),
		Entry("a word of another list", "defaults: {unknown: skip}\n"),
		Entry("no tags", "defaults: {tags: []}\n"),
		Entry("tags as text", "defaults: {tags: \"a,b\"}\n"),
		Entry("an empty tag", "defaults: {tags: [\"\"]}\n"),
		Entry("no claims", "defaults: {claims: []}\n"),
		Entry("a claim as a mapping", "defaults: {claims: [scope: a]}\n"),
		Entry("a claim twice", "defaults: {claims: [a, a]}\n"),
		Entry("an empty claim", "defaults: {claims: [\"\"]}\n"),
		Entry("a day as people write it", "endpoints: {POST /invoices: {sunset: 31.1.2027}}\n"),
		Entry("an endpoint of no method", "endpoints: {/invoices: {timeout: 5s}}\n"),
		Entry("an entry that says nothing", "endpoints: {POST /invoices: {}}\n"),
	)

	It("knows which endpoints the service has, and which are jobs, as the generator does once it sees the code", func() {
		for _, text := range []string{"endpoints: {POST /invoice: {timeout: 5s}}\n", "endpoints: {POST /invoices: {attempts: 3}}\n"} {
			_, bySchema := judged(text)
			Expect(bySchema).To(HaveOccurred())
		}
	})
})
