package diff_test

import (
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

// shop is a small manifest.
func shop() *spec.Manifest {
	at := func(method, path, handler string) spec.Endpoint {
		return spec.Endpoint{
			Method: method, Path: path, Handler: handler, Kind: spec.KindTyped, Status: 200, Stream: spec.StreamNone,
			Limits: spec.DefaultLimits, Claims: []spec.ClaimRequirement{{Type: "scope", Value: "shop"}},
		}
	}
	order := at("POST", "/orders", "Order")
	order.Request = &spec.Schema{Ref: "shop.Order"}
	return &spec.Manifest{
		Service: "shop", Version: "1.4.0", Doc: strings.Repeat("Shop sells. ", 9),
		Endpoints: []spec.Endpoint{at("GET", "/old", "Old"), order, at("GET", "/orders/{id}", "Find")},
		Schemas: map[string]*spec.Schema{
			"shop.Order": {Type: spec.TypeObject, Required: []string{"item"}, Properties: map[string]*spec.Schema{
				"item": {Type: spec.TypeString}, "a.b": {Type: spec.TypeArray, Items: &spec.Schema{Type: spec.TypeInteger, Format: "int64"}},
			}},
			"shop.Item": {Type: spec.TypeString, Doc: "what is sold"},
		},
	}
}

func printed(p diff.Plan) string {
	GinkgoHelper()
	var out strings.Builder
	Expect(p.Print(&out)).To(Succeed())
	return out.String()
}

var _ = Describe("a plan", func() {
	It("is empty where nothing differs", func() {
		p := diff.Compare(shop(), shop())
		Expect(p.Empty()).To(BeTrue())
		Expect(printed(p)).To(BeEmpty())
	})

	It("shows what is added, changed and removed, field by field", func() {
		now := shop()
		now.Version = "2.0.0"
		create, export := &now.Endpoints[1], now.Endpoints[0]
		create.Limits.TimeoutMS, create.Claims[0].Value, create.Status, create.SLO = 8000, "admin", 201, "99.9"
		create.Params = []spec.Param{{Name: "dry", In: spec.InQuery, Required: true, Schema: &spec.Schema{Type: spec.TypeBoolean}}}
		now.Endpoints[2].Path = "/v2/orders/{id}"
		export.Path, export.Handler, export.Public, export.Claims = "/export", "Export", "why not", nil
		now.Endpoints = []spec.Endpoint{export, *create, now.Endpoints[2]}
		order := now.Schemas["shop.Order"]
		order.Properties["note"] = &spec.Schema{
			Type: spec.TypeString, MaxLength: new(80), Enum: []string{"a", "b"}, Default: new("a"), Nullable: true, Doc: "some words",
		}
		order.Properties["item"].Pattern = "^[A-Z]+$"
		order.Properties["a.b"].Items.Format = "int32"
		delete(now.Schemas, "shop.Item")

		p := diff.Compare(shop(), now)
		added, changed, removed := p.Count()
		Expect([]int{added, changed, removed}).To(Equal([]int{1, 2, 1}))
		Expect(printed(p)).To(Equal(`  ~ version: 1.4.0 -> 2.0.0

  + GET /export
      + handler: Export
      + kind: typed
      + status: 200
      + public: "why not"
      + timeout: 30s
      + idle: 1m0s
      + body: 1048576 bytes

  - GET /old
      - handler: Old
      - kind: typed
      - status: 200
      - claim scope=shop: required
      - timeout: 30s
      - idle: 1m0s
      - body: 1048576 bytes

  ~ POST /orders
      ~ status: 200 -> 201
      + claim scope=admin: required
      ~ timeout: 30s -> 8s
      + query dry: boolean, required
      + slo: 99.9
      - claim scope=shop: required

  ~ GET /v2/orders/{id} (was GET /orders/{id})

  - type shop.Item
      - type: string
      - type doc: "what is sold"

  ~ type shop.Order
      ~ type."a.b"[]: integer (int64) -> integer (int32)
      ~ type.item: string, required -> string, pattern ^[A-Z]+$, required
      + type.note: string, nullable, enum a|b, default "a", maxLength 80
      + type.note doc: "some words"
`))
	})

	It("counts a claim that is required twice", func() {
		now := shop()
		now.Endpoints[0].Claims = append(now.Endpoints[0].Claims, now.Endpoints[0].Claims[0])
		Expect(diff.Compare(now, now).Empty()).To(BeTrue())
		Expect(printed(diff.Compare(shop(), now))).To(ContainSubstring("      + claim scope=shop (2): required\n"))
	})

	It("is all of a service that is new, or gone", func() {
		added, changed, removed := diff.Compare(nil, shop()).Count()
		Expect([]int{added, changed, removed}).To(Equal([]int{len(shop().Endpoints), 0, 0}))
		added, changed, removed = diff.Compare(shop(), nil).Count()
		Expect([]int{added, changed, removed}).To(Equal([]int{0, 0, len(shop().Endpoints)}))
	})

	It("says so where texts differ behind what is shown", func() {
		now := shop()
		now.Doc += " More."
		Expect(printed(diff.Compare(shop(), now))).To(ContainSubstring("-> (continues otherwise)"))
	})
})
