package openapi_test

import (
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/stella-ops/router/spec"
)

// everything is a manifest that has every member that a manifest may have.
func everything() *spec.Manifest {
	GinkgoHelper()
	text := &spec.Schema{Type: spec.TypeString}
	write := []spec.ClaimRequirement{{Type: "scope", Value: "orders:write"}, {Type: "employee"}}
	m := service("orders", "2.1.0-rc.1", everySchema(),
		spec.Endpoint{
			Method: "POST", Path: "/orders", Handler: "Service.CreateOrder", Status: 201, Statuses: []int{200, 204}, Claims: write,
			Limits: spec.Limits{TimeoutMS: 5000, MaxBodyBytes: 2048}, Idempotent: true, Unknown: spec.UnknownIgnore,
			Request: &spec.Schema{Ref: "orders.NewOrder"}, Response: &spec.Schema{Ref: "orders.Order"},
			Headers: []spec.Param{
				{Name: "ETag", In: spec.InHeader, Required: true, Doc: "the order's version", Schema: text},
				{Name: "X-Left", In: spec.InHeader, Schema: &spec.Schema{Type: spec.TypeInteger, Format: "int64"}},
			},
			Errors: []spec.ErrorAnswer{
				{Code: "conflict", Status: 409, Doc: "there is such an order", Details: &spec.Schema{Ref: "orders.Conflict"}},
				{Code: "credit", Status: 409, Doc: "the customer owes too much"},
				{Code: "not_found", Status: 404},
				{Code: "who", Status: 401, Doc: "nobody knows the customer"},
			},
			SLO: "99.95", WithinMS: 250, Stability: spec.StabilityBeta, Tags: []string{"orders", "write"},
			Doc: "CreateOrder takes an order. It is there at once.\n\nA second paragraph with <html> & \"quotes\".",
		},
		spec.Endpoint{
			Method: "GET", Path: "/orders", Handler: "Service.ListOrders", Stability: spec.StabilityExperimental, Idempotent: true,
			Deprecated: "search for them", Sunset: "2027-01-31", Doc: "ListOrders lists orders.",
			Response: &spec.Schema{Type: spec.TypeArray, Nullable: true, Items: &spec.Schema{Ref: "orders.Order"}},
			Params: []spec.Param{
				{Name: "sid", In: spec.InCookie, Required: true, Schema: text},
				{Name: "X-Trace", In: spec.InHeader, Doc: "for support", Schema: text},
				{Name: "limit", In: spec.InQuery, Schema: &spec.Schema{Type: spec.TypeInteger, Format: "int32", Default: new("20"), Minimum: "1", Maximum: "100"}},
				{Name: "tag", In: spec.InQuery, Schema: &spec.Schema{
					Type: spec.TypeArray, Items: text, MinItems: 1, MaxItems: new(5), Unique: true,
				}},
			},
		},
		spec.Endpoint{
			Method: "HEAD", Path: "/orders/{id}", Handler: "Service.HasOrder", Idempotent: true, Doc: "HasOrder tells whether there is one.",
		},
		spec.Endpoint{
			Method: "GET", Path: "/orders/{id}", Handler: "Service.GetOrder", Idempotent: true, Doc: "GetOrder finds an order.",
			Params: []spec.Param{{
				Name: "id", In: spec.InPath, Required: true, Doc: "the order's", Schema: &spec.Schema{Type: spec.TypeString, Format: "uuid"},
			}},
			Response: &spec.Schema{Ref: "orders.Order", Nullable: true, Doc: "null where there is none"},
		},
		spec.Endpoint{
			Method: "DELETE", Path: "/orders/{key}", Handler: "Service.DeleteOrder", Status: 204, Claims: write, Idempotent: true,
			Doc: "DeleteOrder forgets an order.",
		},
		spec.Endpoint{
			Method: "GET", Path: "/orders/{id}/events", Handler: "Service.Watch", Kind: spec.KindStream, Stream: spec.StreamResponse, Events: true,
			Limits: spec.Limits{IdleMS: 120_000}, Idempotent: true, Response: &spec.Schema{Ref: "orders.Event"}, Doc: "Watch follows an order.",
		},
		spec.Endpoint{
			Method: "POST", Path: "/orders/search", Handler: "Service.Search", Consumes: spec.MediaForm, Doc: "Search finds orders by a form.",
			Request:  &spec.Schema{Type: spec.TypeObject, Properties: map[string]*spec.Schema{"text": text}, Required: []string{"text"}},
			Response: &spec.Schema{Type: spec.TypeObject, Values: &spec.Schema{Ref: "orders.Order"}},
		},
		spec.Endpoint{
			Method: "POST", Path: "/orders/import", Handler: "Service.Import", Consumes: spec.MediaMultipart, Claims: write,
			Request: &spec.Schema{Ref: "orders.Upload"}, Status: 204, Doc: "Import takes files.",
		},
		spec.Endpoint{
			Method: "POST", Path: "/reports", Handler: "example.com/orders/reports.Service.Make", Claims: write, Idempotent: true,
			Queue: &spec.Queueing{Attempts: 3, LeaseMS: 60_000}, Request: &spec.Schema{Ref: "orders.NewOrder"},
			Response: &spec.Schema{Ref: "Page[orders.Order]"}, Doc: "Make makes a report.",
		},
		spec.Endpoint{
			Method: "PUT", Path: "/files/{name}", Handler: "PutFile", Kind: spec.KindRaw, Stream: spec.StreamRequest, Claims: write,
			Limits: spec.Limits{MaxBodyBytes: 1 << 30}, Doc: "PutFile keeps a file.",
		},
		spec.Endpoint{
			Method: "PUT", Path: "/files/{dir}/{rest...}", Handler: "PutDeep", Kind: spec.KindRaw, Stream: spec.StreamBoth, Claims: write,
			Doc: "PutDeep keeps a file in a folder.",
		},
		spec.Endpoint{
			Method: "GET", Path: "/files/{path...}", Handler: "Service.Files", Kind: spec.KindHTTP, Idempotent: true, Doc: "Files gives files.",
		},
		spec.Endpoint{
			Method: "GET", Path: "/files/{name}", Handler: "Service.File", Kind: spec.KindRaw, Stream: spec.StreamResponse, Idempotent: true,
			Doc: "File gives a file.",
		},
		spec.Endpoint{Method: "OPTIONS", Path: "/", Handler: "Service.Options", Kind: spec.KindHTTP, Doc: "Options tells what can be done."},
		spec.Endpoint{Method: "PATCH", Path: "/orders/{id}", Handler: "Other.GetOrder", Doc: "GetOrder has the name of another.", Status: 202},
	)
	m.Doc, m.Owner = "Package orders takes orders.", "team-orders@example.com"
	return m
}

func everySchema() map[string]*spec.Schema {
	text := &spec.Schema{Type: spec.TypeString}
	return map[string]*spec.Schema{
		"orders.NewOrder": {Type: spec.TypeObject, Doc: "NewOrder is an order to be.", Required: []string{"customer", "lines"}, Properties: map[string]*spec.Schema{
			"customer": {Type: spec.TypeString, MinLength: 1, MaxLength: new(40), Pattern: `^[a-z]+\d*$`},
			"lines":    {Type: spec.TypeArray, Items: &spec.Schema{Ref: "orders.Line"}, MinItems: 1},
			"state":    {Type: spec.TypeString, Nullable: true, Enum: []string{"open", "done"}, Default: new("open")},
			"express":  {Type: spec.TypeBoolean, Default: new("true")},
			"note":     {Ref: "orders.Note", Nullable: true},
			"billTo":   {Ref: "orders.Note", Doc: "where the bill goes"},
			"extra":    {Doc: "anything", Nullable: true},
		}},
		"orders.Line": {Type: spec.TypeObject, Required: []string{"price"}, Properties: map[string]*spec.Schema{
			"price": {Type: spec.TypeNumber, Format: "double", Above: "0", Below: "1000000.5", MultipleOf: "0.01"},
			"share": {Type: spec.TypeNumber, Minimum: "-0.5", Above: "-0.25", Maximum: "12345678901234567890.123456789", Below: "99"},
			"level": {Type: spec.TypeInteger, Format: "int64", Nullable: true, Enum: []string{"1", "3", "2"}},
		}},
		"orders.Note": {Type: spec.TypeObject, Doc: "Note is a text, and what was said to it.", Properties: map[string]*spec.Schema{
			"text": text, "answers": {Type: spec.TypeArray, Nullable: true, Items: &spec.Schema{Ref: "orders.Note"}},
		}},
		"orders.Order": {Type: spec.TypeObject, Required: []string{"id"}, Properties: map[string]*spec.Schema{
			"id": {Type: spec.TypeString, Format: "uuid"}, "at": {Type: spec.TypeString, Format: "date-time", Nullable: true},
			"key": {Type: spec.TypeString, Format: "byte", Nullable: true},
		}},
		"orders.Event":    {Type: spec.TypeObject, Properties: map[string]*spec.Schema{"kind": text}},
		"orders.Conflict": {Type: spec.TypeObject, Properties: map[string]*spec.Schema{"with": text}, Required: []string{"with"}},
		"orders.Upload": {Type: spec.TypeObject, Required: []string{"file"}, Properties: map[string]*spec.Schema{
			"file": {Type: spec.TypeString, Format: "binary"}, "title": text,
			"more": {Type: spec.TypeArray, Items: &spec.Schema{Type: spec.TypeString, Format: "binary"}},
		}},
		"Page[orders.Order]": {Type: spec.TypeObject, Properties: map[string]*spec.Schema{
			"items": {Type: spec.TypeArray, Items: &spec.Schema{Ref: "orders.Order"}}, "words": {Type: spec.TypeObject, Values: text},
		}},
	}
}

// use notes which members of structs have a value somewhere in v.
func use(v reflect.Value, used map[string]bool) {
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() {
			use(v.Elem(), used)
		}
	case reflect.Struct:
		for i := range v.NumField() {
			name := v.Type().Name() + "." + v.Type().Field(i).Name
			used[name] = used[name] || !v.Field(i).IsZero()
			use(v.Field(i), used)
		}
	case reflect.Slice:
		for i := range v.Len() {
			use(v.Index(i), used)
		}
	case reflect.Map:
		for _, k := range v.MapKeys() {
			use(v.MapIndex(k), used)
		}
	default:
	}
}

var _ = Describe("the manifest that goldens are made from", func() {
	It("has every member that a manifest may have", func() {
		used := map[string]bool{}
		use(reflect.ValueOf(everything()), used)
		for _, name := range slices.Sorted(maps.Keys(used)) {
			Expect(used[name]).To(BeTrue(), "nothing has a value for %s: add it to everything", name)
		}
		Expect(used).To(HaveKey("Schema.Unique"))
	})

	It("is kept in testdata, for the validators in e2e/artifacts", func() {
		raw, err := everything().Encode()
		Expect(err).NotTo(HaveOccurred())
		checkGolden("everything.manifest.json", raw)
	})
})

// billing is the example's manifest.
func billing() *spec.Manifest {
	GinkgoHelper()
	raw, err := os.ReadFile(filepath.Join("..", "..", "examples", "billing", "stella.manifest.json"))
	Expect(err).NotTo(HaveOccurred())
	m, err := spec.ParseManifest(raw)
	Expect(err).NotTo(HaveOccurred())
	return m
}
