package breaking_test

import (
	"encoding/json"
	"os"
	"slices"
	"testing"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/stella-ops/router/generator/breaking"
	"github.com/stella-ops/router/generator/diagnostic"
	"github.com/stella-ops/router/spec"
)

func TestBreaking(t *testing.T) {
	RegisterFailHandler(Fail)
	RunSpecs(t, "breaking")
}

// today is the day on which all of this happens.
var today = time.Date(2026, 11, 27, 12, 0, 0, 0, time.UTC)

// billing is the manifest of the example, changed. Its schemas have types alone, so that what bounds them in the example
// may change without a word here.
func billing(changes ...func(*spec.Manifest)) *spec.Manifest {
	GinkgoHelper()
	b, err := os.ReadFile("../../examples/billing/stella.manifest.json")
	Expect(err).NotTo(HaveOccurred())
	m := new(spec.Manifest)
	Expect(json.Unmarshal(b, m)).To(Succeed())
	for _, s := range m.Schemas {
		unbind(s)
	}
	for i := range m.Endpoints {
		for _, p := range m.Endpoints[i].Params {
			unbind(p.Schema)
		}
	}
	for _, change := range changes {
		if change != nil {
			change(m)
		}
	}
	_, err = m.Encode() // checks it, and gives it its digest
	Expect(err).NotTo(HaveOccurred(), "the manifest is not valid")
	return m
}

func unbind(s *spec.Schema) {
	if s == nil {
		return
	}
	unbind(s.Items)
	unbind(s.Values)
	for _, p := range s.Properties {
		unbind(p)
	}
	*s = spec.Schema{
		Ref: s.Ref, Type: s.Type, Format: s.Format, Nullable: s.Nullable, Items: s.Items, Values: s.Values,
		Properties: s.Properties, Required: s.Required, Doc: s.Doc,
	}
}

// endpoint returns one of m.
func endpoint(m *spec.Manifest, name string) *spec.Endpoint {
	GinkgoHelper()
	i := slices.IndexFunc(m.Endpoints, func(e spec.Endpoint) bool { return e.Method+" "+e.Path == name })
	Expect(i).NotTo(Equal(-1), "there is no endpoint %s", name)
	return &m.Endpoints[i]
}

func selection(use ...string) breaking.Selection {
	GinkgoHelper()
	s, err := breaking.Select(use...)
	Expect(err).NotTo(HaveOccurred())
	return s
}

// review is what is found against one baseline, by every rule unless others are named.
func review(before, now *spec.Manifest, use ...string) []diagnostic.Finding {
	GinkgoHelper()
	if len(use) == 0 {
		use = []string{breaking.Strict}
	}
	return breaking.Review(breaking.Subject{Manifest: now, File: "/src/stella.manifest.json"},
		[]breaking.Baseline{{Name: "before", Manifest: before}}, breaking.Config{Rules: selection(use...), Today: today}).Findings
}

// names are the rules of findings, each once.
func names(findings []diagnostic.Finding) []string {
	found := []string{}
	for _, f := range findings {
		r, ok := breaking.Find(string(f.Rule))
		Expect(ok).To(BeTrue())
		found = append(found, r.Name)
	}
	slices.Sort(found)
	return slices.Compact(found)
}
