package override_test

import (
	"encoding/json"
	"os"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/stella-ops/router/generator/override"
	"github.com/stella-ops/router/spec"
)

// e2e/artifacts holds files of both kinds against the schema: those that Parse takes, and those that it refuses.
var _ = Describe("the JSON Schema of a service's overrides", func() {
	schema := func() []byte {
		text, err := os.ReadFile("../../examples/billing/stella.manifest.json")
		Expect(err).NotTo(HaveOccurred())
		m, err := spec.ParseManifest(text)
		Expect(err).NotTo(HaveOccurred())
		got, err := override.Schema(m)
		Expect(err).NotTo(HaveOccurred())
		return got
	}

	// -update writes it, for review.
	It("is that of its golden", func() {
		const golden = "testdata/billing.schema.json"
		if *update {
			Expect(os.WriteFile(golden, schema(), 0o600)).To(Succeed())
		}
		want, err := os.ReadFile(golden)
		Expect(err).NotTo(HaveOccurred())
		Expect(string(schema())).To(Equal(string(want)))
	})

	It("knows every key, and those of jobs for jobs alone", func() {
		var doc struct {
			Definitions map[string]struct {
				Properties map[string]map[string]any `json:"properties"`
			} `json:"definitions"`
		}
		Expect(json.Unmarshal(schema(), &doc)).To(Succeed())
		call, job, defaults := doc.Definitions["call"].Properties, doc.Definitions["job"].Properties, doc.Definitions["defaults"].Properties
		for _, k := range override.Keys() {
			Expect(k.Jobs).To(Equal(call[k.Name] == nil), k.Name)
			Expect(k.Defaults).To(Equal(defaults[k.Name] != nil), k.Name)
			Expect(call[k.Name] != nil || job[k.Name] != nil).To(BeTrue(), k.Name)
			Expect(job[k.Name]["type"] != nil || job[k.Name]["enum"] != nil || call[k.Name]["enum"] != nil).To(BeTrue(), "%s has no form", k.Name)
		}
	})
})
