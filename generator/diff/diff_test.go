package diff_test

import (
	"os"
	"slices"
	"strings"
	"testing"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/stella-ops/router/generator/diff"
	"github.com/stella-ops/router/spec"
)

func TestDiff(t *testing.T) {
	RegisterFailHandler(Fail)
	RunSpecs(t, "diff")
}

func billing() *spec.Manifest {
	GinkgoHelper()
	b, err := os.ReadFile("../../examples/billing/stella.manifest.json")
	Expect(err).NotTo(HaveOccurred())
	m, err := spec.ParseManifest(b)
	Expect(err).NotTo(HaveOccurred())
	return m
}

func printed(p diff.Plan) string {
	GinkgoHelper()
	var out strings.Builder
	Expect(p.Print(&out)).To(Succeed())
	return out.String()
}

var _ = Describe("a plan", func() {
	It("is empty where nothing differs", func() {
		p := diff.Compare(billing(), billing())
		Expect(p.Empty()).To(BeTrue())
		Expect(printed(p)).To(BeEmpty())
	})

	It("shows what is added, changed and removed, field by field", func() {
		now := billing()
		now.Version = "2.0.0"
		find := func(name string) *spec.Endpoint {
			i := slices.IndexFunc(now.Endpoints, func(e spec.Endpoint) bool { return e.Method+" "+e.Path == name })
			return &now.Endpoints[i]
		}
		create := find("POST /invoices")
		create.Limits.TimeoutMS, create.Claims[0].Value, create.Status, create.SLO = 8000, "billing:admin", 200, "99.9"
		create.Params = []spec.Param{{Name: "dry", In: spec.InQuery, Required: true, Schema: &spec.Schema{Type: spec.TypeBoolean}}}
		find("GET /invoices/{id}").Path = "/v2/invoices/{id}"
		export := *find("GET /billing/status")
		export.Path, export.Handler = "/export", "Service.Export"
		now.Endpoints = append(slices.DeleteFunc(now.Endpoints, func(e spec.Endpoint) bool { return e.Path == "/legacy/report" }), export)
		invoice := now.Schemas["billing.NewInvoice"]
		invoice.Properties["note"] = &spec.Schema{
			Type: spec.TypeString, MaxLength: new(80), Enum: []string{"a", "b"}, Default: new("a"), Nullable: true, Doc: "some words",
		}
		invoice.Properties["currency"].Pattern = "^[A-Z]+$"
		delete(now.Schemas, "reports.CurrencyTotal")

		p := diff.Compare(billing(), now)
		added, changed, removed := p.Count()
		Expect([]int{added, changed, removed}).To(Equal([]int{1, 2, 1}))
		Expect(printed(p)).To(Equal(`  ~ version: 1.4.0 -> 2.0.0

  + GET /export
      + handler: Service.Export
      + kind: typed
      + status: 200
      + idempotent: true
      + public: "numbers tell nothing about customers"
      + timeout: 30s
      + idle: 1m0s
      + body: 1048576 bytes
      + response: billing.Status
      + doc: "GetStatus tells that the service is there."

  ~ POST /invoices
      ~ status: 201 -> 200
      + claim scope=billing:admin: required
      ~ timeout: 5s -> 8s
      + query dry: boolean, required
      + slo: 99.9
      - claim scope=billing:write: required

  - GET /legacy/report
      - handler: Service.Report
      - kind: http
      - status: 200
      - idempotent: true
      - public: "two numbers that tell nothing about customers, fetched by a printer ...
      - timeout: 30s
      - idle: 1m0s
      - body: 1048576 bytes
      - doc: "Report is the report of the time before Stella: an unchanged net/htt...

  ~ GET /v2/invoices/{id} (was GET /invoices/{id})

  ~ type billing.NewInvoice
      ~ type.currency: string, required -> string, pattern ^[A-Z]+$, required
      + type.note: string, nullable, enum a|b, default "a", maxLength 80
      + type.note doc: "some words"

  - type reports.CurrencyTotal
      - type: object
      - type doc: "CurrencyTotal is about the invoices of one currency."
      - type.currency: string
      - type.invoices: integer (int64)
      - type.invoices doc: "how many there are"
      - type.largestCents: integer (int64)
      - type.largestCents doc: "the total of the largest, in hundredths of the currency"
`))
	})

	It("is all of a service that is new, or gone", func() {
		added, changed, removed := diff.Compare(nil, billing()).Count()
		Expect([]int{added, changed, removed}).To(Equal([]int{len(billing().Endpoints), 0, 0}))
		added, changed, removed = diff.Compare(billing(), nil).Count()
		Expect([]int{added, changed, removed}).To(Equal([]int{0, 0, len(billing().Endpoints)}))
	})

	It("says so where texts differ behind what is shown", func() {
		now := billing()
		now.Doc += " More."
		Expect(printed(diff.Compare(billing(), now))).To(ContainSubstring("-> (continues otherwise)"))
	})
})
