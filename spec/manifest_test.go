package spec_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/stella-ops/router/spec"
)

// billing is a manifest with everything in it. Every call returns a new one.
func billing() *spec.Manifest {
	return &spec.Manifest{
		Service: "billing", Version: "1.4.0", Doc: "Package billing keeps invoices.",
		Endpoints: []spec.Endpoint{
			{
				Method: "POST", Path: "/invoices", Handler: "Service.CreateInvoice", Kind: spec.KindTyped, Status: 201,
				Stream: spec.StreamNone, Claims: []spec.ClaimRequirement{{Type: "scope", Value: "billing:write"}, {Type: "tenant"}},
				Limits: spec.Limits{MaxBodyBytes: 1 << 20, TimeoutMS: 5000, IdleMS: 60_000},
				Params: []spec.Param{
					{Name: "dryRun", In: spec.InQuery, Doc: "tries only", Schema: &spec.Schema{Type: "boolean", Doc: "or not"}},
					{Name: "If-Match", In: spec.InHeader, Schema: &spec.Schema{Type: "string"}},
				},
				Request: &spec.Schema{Ref: "NewInvoice"}, Response: &spec.Schema{Ref: "Invoice", Nullable: true, Doc: "the invoice"},
				Statuses: []int{202, 203}, Unknown: spec.UnknownIgnore, SLO: "99.9", WithinMS: 300, Stability: spec.StabilityBeta, Sunset: "2027-01-31",
				Headers: []spec.Param{{Name: "Location", In: spec.InHeader, Doc: "where it is", Schema: &spec.Schema{Type: "string"}}},
				Errors:  []spec.ErrorAnswer{{Code: "conflict", Status: 409, Doc: "it is there", Details: &spec.Schema{Ref: "Invoice"}}},
				Tags:    []string{"invoices"}, Doc: "CreateInvoice stores a new invoice.", Deprecated: "use another",
			},
			{
				Method: "GET", Path: "/invoices/{id}", Handler: "Service.GetInvoice", Kind: spec.KindTyped, Status: 200,
				Stream: spec.StreamNone, Idempotent: true, Public: "printed on every invoice",
				Limits:   spec.DefaultLimits,
				Params:   []spec.Param{{Name: "id", In: spec.InPath, Required: true, Schema: &spec.Schema{Type: "string"}}},
				Response: &spec.Schema{Ref: "Invoice"},
			},
		},
		Schemas: map[string]*spec.Schema{
			"Invoice": {
				Type: "object", Required: []string{"amount", "id"}, Doc: "An invoice.",
				Properties: map[string]*spec.Schema{
					"id":     {Type: "string", Doc: "its number"},
					"amount": {Type: "number", Format: "double", Minimum: "-0.5", Maximum: "1000000"},
					"lines":  {Type: "array", Items: &spec.Schema{Type: "string"}},
					"labels": {Type: "object", Values: &spec.Schema{Type: "string", Nullable: true}},
				},
			},
			"NewInvoice": {Type: "object", Properties: map[string]*spec.Schema{"copyOf": {Ref: "Invoice"}}},
		},
	}
}

// spoilt puts a schema into a manifest.
func spoilt(s spec.Schema) func(*spec.Manifest) {
	return func(m *spec.Manifest) { m.Schemas["Invoice"].Properties["amount"] = &s }
}

// toUpgrade makes an endpoint of the manifest one that changes to another protocol.
func toUpgrade(m *spec.Manifest) {
	e := &m.Endpoints[1]
	e.Kind, e.Status, e.Stream, e.Response = spec.KindRaw, 101, spec.StreamUpgrade, nil
}

// digest is m's contract digest.
func digest(m *spec.Manifest) string {
	GinkgoHelper()
	_, err := m.Encode()
	Expect(err).NotTo(HaveOccurred())
	return m.ContractDigest
}

var _ = Describe("A manifest", func() {
	It("has endpoints that change to another protocol", func() {
		m := billing()
		toUpgrade(m)
		b, err := m.Encode()
		Expect(err).NotTo(HaveOccurred())
		again, err := spec.ParseManifest(b)
		Expect(err).NotTo(HaveOccurred())
		Expect(again.Endpoints[1].Stream).To(Equal(spec.StreamUpgrade))
		m.Endpoints[1].Kind = spec.KindHTTP
		Expect(m.Encode()).NotTo(BeEmpty())
	})

	It("reads back as it was written, and is written the same again", func() {
		b, err := billing().Encode()
		Expect(err).NotTo(HaveOccurred())
		m, err := spec.ParseManifest(b)
		Expect(err).NotTo(HaveOccurred())
		again, err := m.Encode()
		Expect(err).NotTo(HaveOccurred())
		Expect(string(again)).To(Equal(string(b)))
	})

	It("is written the same whatever the order its endpoints were found in", func() {
		one, err := billing().Encode()
		Expect(err).NotTo(HaveOccurred())
		m := billing()
		slices.Reverse(m.Endpoints)
		two, err := m.Encode()
		Expect(err).NotTo(HaveOccurred())
		Expect(string(two)).To(Equal(string(one)))
	})

	It("lists no endpoints as an empty list", func() {
		b, err := (&spec.Manifest{Service: "idle", Version: "0.1.0"}).Encode()
		Expect(err).NotTo(HaveOccurred())
		Expect(string(b)).To(ContainSubstring(`"endpoints": []`))
		Expect(spec.ParseManifest(b)).Error().NotTo(HaveOccurred())
	})

	It("takes what ends at its limits", func() {
		m := billing()
		m.Endpoints[0].Limits = spec.Limits{MaxBodyBytes: 1 << 40, TimeoutMS: 86_400_000, IdleMS: 86_400_000}
		m.Endpoints[0].Status = 599
		Expect(m.Encode()).Error().NotTo(HaveOccurred())
		m = billing()
		m.Endpoints[0].Limits = spec.Limits{MaxBodyBytes: 1, TimeoutMS: 1, IdleMS: 1}
		m.Endpoints[0].Status = 200
		Expect(m.Encode()).Error().NotTo(HaveOccurred())
	})

	DescribeTable("is refused", func(spoil func(*spec.Manifest), why string) {
		m := billing()
		spoil(m)
		_, err := m.Encode()
		Expect(err).To(MatchError(spec.ErrManifest))
		Expect(err).To(MatchError(ContainSubstring(why)))
	},
		Entry("without a service", func(m *spec.Manifest) { m.Service = "" }, `service ""`),
		Entry("with a service name that cannot be a label", func(m *spec.Manifest) { m.Service = "bill ing" }, `service "bill ing"`),
		Entry("with a service name that is too long", func(m *spec.Manifest) { m.Service = strings.Repeat("a", 129) }, "up to 128"),
		Entry("with a version that is not semver", func(m *spec.Manifest) { m.Version = "v1.4.0" }, `version "v1.4.0"`),
		Entry("with a method that endpoints do not have", func(m *spec.Manifest) { m.Endpoints[0].Method = "TRACE" }, "method is not one of GET"),
		Entry("with a path that is none", func(m *spec.Manifest) { m.Endpoints[0].Path = "invoices" }, "does not begin with a slash"),
		Entry("without a handler", func(m *spec.Manifest) { m.Endpoints[0].Handler = "" }, "no handler"),
		Entry("with an unknown kind", func(m *spec.Manifest) { m.Endpoints[0].Kind = "magic" }, `unknown kind "magic"`),
		Entry("with an unknown way to stream", func(m *spec.Manifest) { m.Endpoints[0].Stream = "" }, `unknown stream ""`),
		Entry("with an informational status", func(m *spec.Manifest) { m.Endpoints[0].Status = 100 }, "status 100"),
		Entry("with a status that HTTP does not have", func(m *spec.Manifest) { m.Endpoints[0].Status = 600 }, "status 600"),
		Entry("with neither claims nor a reason to be public", func(m *spec.Manifest) { m.Endpoints[0].Claims = nil }, "either claims or a reason to be public"),
		Entry("with both claims and a reason to be public", func(m *spec.Manifest) { m.Endpoints[0].Public = "why" }, "either claims or a reason to be public"),
		Entry("with a claim without a type", func(m *spec.Manifest) { m.Endpoints[0].Claims[0].Type = "" }, "claim without a type"),
		Entry("with a claim that has a control character", func(m *spec.Manifest) { m.Endpoints[0].Claims[0].Value = "a\nb" }, "control character"),
		Entry("without a body limit", func(m *spec.Manifest) { m.Endpoints[0].Limits.MaxBodyBytes = 0 }, "maxBodyBytes 0, expected 1 to"),
		Entry("with a body limit that is too large", func(m *spec.Manifest) { m.Endpoints[0].Limits.MaxBodyBytes = 1<<40 + 1 }, "maxBodyBytes"),
		Entry("without a timeout", func(m *spec.Manifest) { m.Endpoints[0].Limits.TimeoutMS = 0 }, "timeoutMs 0, expected 1 to"),
		Entry("with a timeout that is too long", func(m *spec.Manifest) { m.Endpoints[0].Limits.TimeoutMS = math.MaxInt64 }, "timeoutMs"),
		Entry("without an idle limit", func(m *spec.Manifest) { m.Endpoints[0].Limits.IdleMS = 0 }, "idleMs 0, expected 1 to"),
		Entry("with an idle limit that is too long", func(m *spec.Manifest) { m.Endpoints[0].Limits.IdleMS = 86_400_001 }, "idleMs"),
		Entry("with more path parameters than a REQUEST can carry", func(m *spec.Manifest) {
			for i := range 129 {
				m.Endpoints[0].Path += fmt.Sprintf("/{p%d}", i)
			}
		}, "more than 128"),
		Entry("with more claims than a REQUEST can carry", func(m *spec.Manifest) { m.Endpoints[0].Claims = make([]spec.ClaimRequirement, 129) }, "more than 128"),
		Entry("with a parameter without a name", func(m *spec.Manifest) { m.Endpoints[0].Params[0].Name = "" }, "is not whole"),
		Entry("with a parameter in the body", func(m *spec.Manifest) { m.Endpoints[0].Params[0].In = spec.InBody }, "is not whole"),
		Entry("with a parameter without a schema", func(m *spec.Manifest) { m.Endpoints[0].Params[0].Schema = nil }, "is not whole"),
		Entry("with a header parameter that is no header", func(m *spec.Manifest) { m.Endpoints[0].Params[1].Name = "If Match" }, "not the name of a header"),
		Entry("with a parameter twice", func(m *spec.Manifest) { m.Endpoints[0].Params[1] = m.Endpoints[0].Params[0] }, "twice in the query"),
		Entry("with a header twice, whatever its case", func(m *spec.Manifest) {
			m.Endpoints[0].Params[0] = spec.Param{Name: "if-match", In: spec.InHeader, Schema: &spec.Schema{}}
		}, "twice in the header"),
		Entry("with a path parameter that the path lacks", func(m *spec.Manifest) { m.Endpoints[1].Params[0].Name = "key" }, `parameter "key" is not in the path`),
		Entry("with a parameter whose schema is wrong",
			func(m *spec.Manifest) { m.Endpoints[0].Params[0].Schema.Type = "bool" }, `parameter "dryRun": schema type "bool"`),
		Entry("with a request schema that is not there", func(m *spec.Manifest) { m.Endpoints[0].Request.Ref = "Nothing" }, `request: schema refers to "Nothing"`),
		Entry("with a response schema that is not there", func(m *spec.Manifest) { m.Endpoints[0].Response.Ref = "Nothing" }, `response: schema refers to "Nothing"`),
		Entry("with a reference that says more", func(m *spec.Manifest) { m.Endpoints[0].Request.Type = "object" }, "says more than"),
		Entry("with a named schema that is none", func(m *spec.Manifest) { m.Schemas["Invoice"] = nil }, `schema "Invoice" is not whole`),
		Entry("with a property that has no schema", func(m *spec.Manifest) { m.Schemas["Invoice"].Properties["id"] = nil }, `property "id" has no schema`),
		Entry("with a fault deep in a schema",
			func(m *spec.Manifest) { m.Schemas["Invoice"].Properties["labels"].Values.Type = "text" }, `schema "Invoice": schema type "text"`),
		Entry("with required members out of order", func(m *spec.Manifest) { slices.Reverse(m.Schemas["Invoice"].Required) }, "required is not sorted"),
		Entry("with a minimum that is not canonical", func(m *spec.Manifest) { m.Schemas["Invoice"].Properties["amount"].Minimum = "1.0" }, `minimum "1.0"`),
		Entry("with a maximum that is not canonical", func(m *spec.Manifest) { m.Schemas["Invoice"].Properties["amount"].Maximum = "1e3" }, `maximum "1e3"`),
		Entry("with further statuses out of order", func(m *spec.Manifest) { m.Endpoints[0].Statuses = []int{204, 202} }, "statuses are not sorted"),
		Entry("with its status twice", func(m *spec.Manifest) { m.Endpoints[0].Statuses = []int{201} }, "repeat the status"),
		Entry("with a further status that is no success", func(m *spec.Manifest) { m.Endpoints[0].Statuses = []int{302} }, "status 302 in statuses"),
		Entry("with a media type that nobody reads", func(m *spec.Manifest) { m.Endpoints[0].Consumes = "text/csv" }, `unknown consumes "text/csv"`),
		Entry("with a form and no request", func(m *spec.Manifest) {
			m.Endpoints[0].Consumes, m.Endpoints[0].Request = spec.MediaForm, nil
		}, "has no request schema"),
		Entry("with an unknown rule for unknown members", func(m *spec.Manifest) { m.Endpoints[0].Unknown = "keep" }, `unknown "keep"`),
		Entry("with an upgrade whose method opens no WebSocket", func(m *spec.Manifest) {
			toUpgrade(m)
			m.Endpoints[1].Method = "POST"
		}, "expected GET"),
		Entry("with an upgrade and a typed handler", func(m *spec.Manifest) {
			toUpgrade(m)
			m.Endpoints[1].Kind = spec.KindTyped
		}, "expected raw or http"),
		Entry("with an upgrade and a status that accepts nothing", func(m *spec.Manifest) {
			toUpgrade(m)
			m.Endpoints[1].Status = 200
		}, "the status not 101 alone"),
		Entry("with an upgrade and a second status", func(m *spec.Manifest) {
			toUpgrade(m)
			m.Endpoints[1].Statuses = []int{200}
		}, "the status not 101 alone"),
		Entry("with an upgrade and a body", func(m *spec.Manifest) {
			toUpgrade(m)
			m.Endpoints[1].Response = &spec.Schema{}
		}, "no schemas of bodies"),
		Entry("with an upgrade and a queue", func(m *spec.Manifest) {
			toUpgrade(m)
			m.Endpoints[1].Queue = &spec.Queueing{Attempts: 1, LeaseMS: 1000}
		}, "delivery=queue"),
		Entry("with status 101 and no upgrade", func(m *spec.Manifest) { m.Endpoints[0].Status = 101 }, "status 101, expected 200 to 599"),
		Entry("with events and no stream", func(m *spec.Manifest) { m.Endpoints[0].Events = true }, "only a stream has events"),
		Entry("with an unknown stability", func(m *spec.Manifest) { m.Endpoints[0].Stability = "alpha" }, `unknown stability "alpha"`),
		Entry("with an SLO that is no number", func(m *spec.Manifest) { m.Endpoints[0].SLO = "99,9" }, `slo "99,9"`),
		Entry("with an SLO within less than no time", func(m *spec.Manifest) { m.Endpoints[0].WithinMS = -1 }, "withinMs -1"),
		Entry("with an SLO within more than a day", func(m *spec.Manifest) { m.Endpoints[0].WithinMS = 86_400_001 }, "withinMs 86400001"),
		Entry("with a sunset that is no day", func(m *spec.Manifest) { m.Endpoints[0].Sunset = "2027-02-30" }, `sunset "2027-02-30"`),
		Entry("with a header of the answer that is none", func(m *spec.Manifest) {
			m.Endpoints[0].Headers = []spec.Param{{Name: "ETag", In: spec.InQuery, Schema: &spec.Schema{}}}
		}, `header "ETag" of the answer is not whole`),
		Entry("with a cookie that is none", func(m *spec.Manifest) {
			m.Endpoints[0].Params[1] = spec.Param{Name: "a b", In: spec.InCookie, Schema: &spec.Schema{}}
		}, "not the name of a cookie"),
		Entry("with an error that is none", func(m *spec.Manifest) { m.Endpoints[0].Errors = []spec.ErrorAnswer{{Code: "x", Status: 200}} }, `error "x" with status 200`),
		Entry("with an error twice", func(m *spec.Manifest) {
			m.Endpoints[0].Errors = []spec.ErrorAnswer{{Code: "x", Status: 404}, {Code: "x", Status: 409}}
		}, "there twice"),
		Entry("with an error whose details are not there", func(m *spec.Manifest) {
			m.Endpoints[0].Errors = []spec.ErrorAnswer{{Code: "x", Status: 404, Details: &spec.Schema{Ref: "Nothing"}}}
		}, `error "x": schema refers to "Nothing"`),
		Entry("with bounds of a number on text", spoilt(spec.Schema{Type: "string", Above: "1"}), "exclusiveMinimum bounds a number"),
		Entry("with bounds of text on a number", spoilt(spec.Schema{Type: "number", Pattern: "a"}), "bound text"),
		Entry("with bounds of an array on text", spoilt(spec.Schema{Type: "string", Unique: true}), "bound an array"),
		Entry("with a step that is nothing", spoilt(spec.Schema{Type: "number", MultipleOf: "0"}), "multipleOf 0 is not more than zero"),
		Entry("with no length that fits", spoilt(spec.Schema{Type: "string", MinLength: 2, MaxLength: new(1)}), "no length"),
		Entry("with no number of items that fits", spoilt(spec.Schema{Type: "array", MinItems: 2, MaxItems: new(1)}), "no number of items"),
		Entry("with a pattern that is none", spoilt(spec.Schema{Type: "string", Pattern: "("}), "pattern: error parsing"),
		Entry("with a pattern that is too long", spoilt(spec.Schema{Type: "string", Pattern: strings.Repeat("a", 1001)}), "1001 bytes"),
		Entry("with a value twice", spoilt(spec.Schema{Type: "string", Enum: []string{"a", "a"}}), `enum value "a"`),
		Entry("with a value of another type", spoilt(spec.Schema{Type: "integer", Enum: []string{"1.5"}}), `enum value "1.5"`),
		Entry("with values of what lists none", spoilt(spec.Schema{Type: "boolean", Enum: []string{"true"}}), "enum lists text or numbers"),
		Entry("with a default of another type", spoilt(spec.Schema{Type: "boolean", Default: new("yes")}), `default "yes" is no boolean`),
		Entry("with schemas that nest without end", func(m *spec.Manifest) {
			s := &spec.Schema{Type: "array"}
			s.Items = s
			m.Schemas["Invoice"].Properties["lines"] = s
		}, "nests deeper than 64"),
	)

	DescribeTable("takes a decimal in its one form", func(s string, ok bool) {
		m := billing()
		m.Schemas["Invoice"].Properties["amount"].Minimum = s
		_, err := m.Encode()
		Expect(err == nil).To(Equal(ok), "%v", err)
	},
		Entry(nil, "0", true), Entry(nil, "-1", true), Entry(nil, "10", true), Entry(nil, "0.05", true), Entry(nil, "-0.5", true),
		Entry(nil, "123456789012345678901234567890.5", true),
		Entry(nil, "-0", false), Entry(nil, "01", false), Entry(nil, "+1", false), Entry(nil, ".5", false), Entry(nil, "1.", false),
		Entry(nil, "1.50", false), Entry(nil, "--1", false), Entry(nil, "1.5.5", false), Entry(nil, "-", false), Entry(nil, "0x1", false),
	)
})

var _ = Describe("Reading a manifest", func() {
	edited := func(old, replacement string) []byte {
		GinkgoHelper()
		b, err := billing().Encode()
		Expect(err).NotTo(HaveOccurred())
		Expect(string(b)).To(ContainSubstring(old))
		return bytes.Replace(b, []byte(old), []byte(replacement), 1)
	}

	DescribeTable("refuses bytes that were not generated", func(b func() []byte, why string) {
		_, err := spec.ParseManifest(b())
		Expect(err).To(MatchError(spec.ErrManifest))
		Expect(err).To(MatchError(ContainSubstring(why)))
	},
		Entry("no JSON", func() []byte { return []byte("{") }, "unexpected end"),
		Entry("nothing", func() []byte { return nil }, "unexpected end"),
		Entry("a newer format, though it has members that are new", func() []byte {
			return []byte(`{"format": 2, "news": true}`)
		}, "format 2, this version reads 1"),
		Entry("an unknown member", func() []byte { return edited(`"format"`, `"extra": 1, "format"`) }, `unknown field "extra"`),
		Entry("a contract edited by hand", func() []byte { return edited(`"status": 201`, `"status": 200`) }, "contractDigest is"),
		Entry("a space too many", func() []byte { return edited(`"format": 1`, `"format":  1`) }, "not in canonical form"),
		Entry("members in another order", func() []byte {
			return edited("\"service\": \"billing\",\n  \"version\": \"1.4.0\"", "\"version\": \"1.4.0\",\n  \"service\": \"billing\"")
		}, "not in canonical form"),
		Entry("a member twice", func() []byte { return edited(`"format": 1`, `"format": 1, "format": 1`) }, "not in canonical form"),
		Entry("a member in other letters", func() []byte { return edited(`"service"`, `"Service"`) }, "not in canonical form"),
		Entry("a zero that canonical JSON leaves out", func() []byte {
			return edited(`"name": "dryRun",`, `"name": "dryRun", "required": false,`)
		}, "not in canonical form"),
		Entry("no list of endpoints", func() []byte {
			b, err := (&spec.Manifest{Service: "idle", Version: "0.1.0"}).Encode()
			Expect(err).NotTo(HaveOccurred())
			return bytes.Replace(b, []byte("[]"), []byte("null"), 1)
		}, ""),
		Entry("text after the manifest", func() []byte { return edited("\n}\n", "\n}\n{}") }, "after top-level value"),
		Entry("endpoints out of order", func() []byte {
			m := billing()
			_, err := m.Encode()
			Expect(err).NotTo(HaveOccurred())
			slices.Reverse(m.Endpoints)
			return []byte(canonical(m))
		}, "not sorted"),
		Entry("more than any manifest has", func() []byte { return make([]byte, spec.MaxManifest+1) }, "the limit is 16777216"),
	)
})

var _ = Describe("Documentation edited by hand", func() {
	It("passes, since callers rely on none of it: only stellagen check sees it, and the manifest digest", func() {
		b, err := billing().Encode()
		Expect(err).NotTo(HaveOccurred())
		other := bytes.Replace(b, []byte("keeps invoices"), []byte("keeps bills"), 1)
		Expect(spec.ParseManifest(other)).Error().NotTo(HaveOccurred())
		Expect(spec.Digest(other)).NotTo(Equal(spec.Digest(b)))
	})
})

var _ = Describe("A contract digest", func() {
	DescribeTable("changes with what callers see", func(change func(*spec.Manifest)) {
		m := billing()
		change(m)
		Expect(digest(m)).NotTo(Equal(digest(billing())))
	},
		Entry("the service", func(m *spec.Manifest) { m.Service = "other" }),
		Entry("an endpoint more", func(m *spec.Manifest) {
			e := m.Endpoints[1]
			e.Path, e.Params = "/more", nil
			m.Endpoints = append(m.Endpoints, e)
		}),
		Entry("an endpoint less", func(m *spec.Manifest) { m.Endpoints = m.Endpoints[:1] }),
		Entry("a method", func(m *spec.Manifest) { m.Endpoints[0].Method = "PUT" }),
		Entry("a path", func(m *spec.Manifest) { m.Endpoints[0].Path = "/bills" }),
		Entry("a status", func(m *spec.Manifest) { m.Endpoints[0].Status = 200 }),
		Entry("a handler that sends a stream of items now", func(m *spec.Manifest) { m.Endpoints[0].Kind = spec.KindStream }),
		Entry("what may be streamed", func(m *spec.Manifest) { m.Endpoints[0].Stream = spec.StreamBoth }),
		Entry("whether it is safe to repeat", func(m *spec.Manifest) { m.Endpoints[0].Idempotent = true }),
		Entry("a claim", func(m *spec.Manifest) { m.Endpoints[0].Claims[1].Value = "acme" }),
		Entry("whether it needs claims", func(m *spec.Manifest) { m.Endpoints[0].Claims, m.Endpoints[0].Public = nil, "why" }),
		Entry("the body limit", func(m *spec.Manifest) { m.Endpoints[0].Limits.MaxBodyBytes++ }),
		Entry("the timeout", func(m *spec.Manifest) { m.Endpoints[0].Limits.TimeoutMS++ }),
		Entry("the idle limit", func(m *spec.Manifest) { m.Endpoints[0].Limits.IdleMS++ }),
		Entry("a parameter's name", func(m *spec.Manifest) { m.Endpoints[0].Params[0].Name = "dry" }),
		Entry("a parameter's place", func(m *spec.Manifest) { m.Endpoints[0].Params[0].In = spec.InHeader }),
		Entry("whether a parameter is required", func(m *spec.Manifest) { m.Endpoints[0].Params[0].Required = true }),
		Entry("a parameter's schema", func(m *spec.Manifest) { m.Endpoints[0].Params[0].Schema.Type = "string" }),
		Entry("a request's schema", func(m *spec.Manifest) { m.Endpoints[0].Request = nil }),
		Entry("a response's schema", func(m *spec.Manifest) { m.Endpoints[0].Response.Nullable = false }),
		Entry("a named schema", func(m *spec.Manifest) { m.Schemas["Invoice"].Properties["lines"].Items.Type = "integer" }),
		Entry("a bound", func(m *spec.Manifest) { m.Schemas["Invoice"].Properties["amount"].Minimum = "0" }),
		Entry("a further status", func(m *spec.Manifest) { m.Endpoints[0].Statuses = nil }),
		Entry("what becomes of unknown members", func(m *spec.Manifest) { m.Endpoints[0].Unknown = "" }),
		Entry("a header of the answer", func(m *spec.Manifest) { m.Endpoints[0].Headers = nil }),
		Entry("an error's status", func(m *spec.Manifest) { m.Endpoints[0].Errors[0].Status = 410 }),
		Entry("a value that is taken", func(m *spec.Manifest) { m.Schemas["Invoice"].Properties["id"].Enum = []string{"a", "b"} }),
		Entry("a default", func(m *spec.Manifest) { m.Schemas["Invoice"].Properties["id"].Default = new("a") }),
		Entry("what is required", func(m *spec.Manifest) { m.Schemas["Invoice"].Required = []string{"id"} }),
	)

	It("does not change with the order of an enum", func() {
		with := func(values ...string) string {
			m := billing()
			m.Schemas["Invoice"].Properties["id"].Enum = values
			return digest(m)
		}
		Expect(with("a", "b")).To(Equal(with("b", "a")))
		Expect(with("a", "b")).NotTo(Equal(with("a", "c")))
	})

	It("changes with whether calls are jobs, how often these are tried, and their lease", func() {
		seen := map[string]string{}
		for name, q := range map[string]*spec.Queueing{
			"calls": nil, "jobs": {Attempts: 5, LeaseMS: 60_000}, "attempts": {Attempts: 6, LeaseMS: 60_000}, "lease": {Attempts: 5, LeaseMS: 60_001},
		} {
			m := billing()
			m.Endpoints[0].Idempotent, m.Endpoints[0].Queue = true, q
			d := digest(m)
			Expect(seen).NotTo(HaveKey(d), name)
			seen[d] = name
		}
	})

	DescribeTable("stays the same whatever changes", func(change func(*spec.Manifest)) {
		m := billing()
		change(m)
		Expect(digest(m)).To(Equal(digest(billing())))
	},
		Entry("in the version", func(m *spec.Manifest) { m.Version = "2.0.0" }),
		Entry("in the service's documentation", func(m *spec.Manifest) { m.Doc, m.Owner = "", "ann" }),
		Entry("in how long an endpoint lasts", func(m *spec.Manifest) {
			m.Endpoints[0].SLO, m.Endpoints[0].WithinMS = "", 0
			m.Endpoints[0].Stability, m.Endpoints[0].Sunset = "", ""
		}),
		Entry("in what is said of answers", func(m *spec.Manifest) {
			m.Endpoints[0].Headers[0].Doc, m.Endpoints[0].Errors[0].Doc = "", ""
		}),
		Entry("in an endpoint's documentation", func(m *spec.Manifest) {
			m.Endpoints[0].Doc, m.Endpoints[0].Tags, m.Endpoints[0].Deprecated = "", nil, ""
		}),
		Entry("in a parameter's documentation", func(m *spec.Manifest) {
			m.Endpoints[0].Params[0].Doc, m.Endpoints[0].Params[0].Schema.Doc = "", ""
		}),
		Entry("in a schema's documentation", func(m *spec.Manifest) {
			m.Schemas["Invoice"].Doc, m.Schemas["Invoice"].Properties["id"].Doc, m.Endpoints[0].Response.Doc = "", "", ""
		}),
		Entry("in the reason to be public", func(m *spec.Manifest) { m.Endpoints[1].Public = "because" }),
		Entry("in the handler's name", func(m *spec.Manifest) { m.Endpoints[0].Handler = "create" }),
		Entry("in the handler's shape, where callers cannot tell", func(m *spec.Manifest) { m.Endpoints[0].Kind = spec.KindHTTP }),
		Entry("in the order of claims", func(m *spec.Manifest) { slices.Reverse(m.Endpoints[0].Claims) }),
		Entry("in the order of parameters", func(m *spec.Manifest) { slices.Reverse(m.Endpoints[0].Params) }),
	)

	It("does not touch what it digests", func() {
		m := billing()
		digest(m)
		want := billing()
		slices.SortFunc(want.Endpoints, func(a, b spec.Endpoint) int { return strings.Compare(a.Path, b.Path) })
		want.Format, want.ContractDigest = m.Format, m.ContractDigest
		Expect(m).To(Equal(want))
	})

	It("is SHA-256, named", func() {
		Expect(spec.Digest(nil)).To(Equal("sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"))
	})
})

var _ = Describe("Canonical JSON", func() {
	It("sorts members by their bytes, indents, escapes no HTML and ends with one line feed", func() {
		Expect(canonical(map[string]any{"b": "<&>", "a": []int{1, -2}, "B": nil, "ä": true, "aa": struct{}{}})).To(Equal(
			"{\n  \"B\": null,\n  \"a\": [\n    1,\n    -2\n  ],\n  \"aa\": {},\n  \"b\": \"<&>\",\n  \"ä\": true\n}\n"))
	})

	It("sorts the members of structs, whatever their order in Go", func() {
		Expect(canonical(struct {
			Z int `json:"z"`
			A int `json:"a"`
		}{1, 2})).To(Equal("{\n  \"a\": 2,\n  \"z\": 1\n}\n"))
	})

	It("is the same when it is made again from itself", func() {
		once := canonical(billing())
		var v any
		d := json.NewDecoder(strings.NewReader(once))
		d.UseNumber()
		Expect(d.Decode(&v)).To(Succeed())
		Expect(canonical(v)).To(Equal(once))
	})

	DescribeTable("has integers only", func(v any, ok bool) {
		_, err := spec.Canonical(map[string]any{"a/b": []any{0, v}})
		if ok {
			Expect(err).NotTo(HaveOccurred())
		} else {
			Expect(err).To(MatchError(ContainSubstring("/a~1b/1: number")))
		}
	},
		Entry("2^53-1", int64(1)<<53-1, true), Entry("its negative", -(int64(1)<<53-1), true),
		Entry("2^53", int64(1)<<53, false), Entry("over 64 bits", uint64(math.MaxUint64), false),
		Entry("a fraction", 0.5, false), Entry("an exponent", json.Number("1e3"), false), Entry("minus zero", json.Number("-0"), false),
		Entry("a whole float", json.Number("1.0"), false),
	)

	It("names the first of several faults, always the same", func() {
		for range 20 {
			_, err := spec.Canonical(map[string]float64{"c": 0.1, "a": 0.1, "b": 0.1})
			Expect(err).To(MatchError(ContainSubstring(" /a: ")))
		}
	})

	It("passes on why a value cannot be encoded", func() {
		_, err := spec.Canonical(func() {})
		var unsupported *json.UnsupportedTypeError
		Expect(errors.As(err, &unsupported)).To(BeTrue())
	})
})
