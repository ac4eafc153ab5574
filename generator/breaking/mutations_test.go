package breaking_test

import (
	"slices"

	. "github.com/onsi/ginkgo/v2"

	"github.com/stella-ops/router/spec"
)

// mutation breaks a rule, and no other.
type mutation struct {
	rule     string
	before   func(*spec.Manifest) // first, on both sides: what billing lacks
	breaks   func(*spec.Manifest)
	harmless func(*spec.Manifest) // is much the same, and breaks nothing
	version  string               // of the changed manifest; 2.0.0, after 1.4.0, unless it is said
}

// The endpoints and types that are changed. NewInvoice is in requests only, Status in responses only.
const (
	getStatus    = "GET /billing/status"
	listInvoices = "GET /invoices"
	create       = "POST /invoices"
	getInvoice   = "GET /invoices/{id}"
	attach       = "PUT /invoices/{id}/attachments/{name}"
	watch        = "GET /invoices/{id}/events"
	makeReport   = "POST /reports"
	newInvoice   = "billing.NewInvoice"
	status       = "billing.Status"
)

// of changes an endpoint.
func of(name string, change func(*spec.Endpoint)) func(*spec.Manifest) {
	return func(m *spec.Manifest) { change(endpoint(m, name)) }
}

// field changes the schema of a member.
func field(schema, name string, change func(*spec.Schema)) func(*spec.Manifest) {
	return func(m *spec.Manifest) { change(m.Schemas[schema].Properties[name]) }
}

// object changes a schema.
func object(schema string, change func(*spec.Schema)) func(*spec.Manifest) {
	return func(m *spec.Manifest) { change(m.Schemas[schema]) }
}

// without removes an endpoint.
func without(name string) func(*spec.Manifest) {
	return func(m *spec.Manifest) {
		m.Endpoints = slices.DeleteFunc(m.Endpoints, func(e spec.Endpoint) bool { return e.Method+" "+e.Path == name })
	}
}

// with adds an endpoint that is like billing's status, at another place.
func with(method, path string) func(*spec.Manifest) {
	return func(m *spec.Manifest) {
		e := *endpoint(m, getStatus)
		e.Method, e.Path, e.Handler = method, path, "Service.New"
		m.Endpoints = append(m.Endpoints, e)
	}
}

// param adds a parameter, as a copy of what stands there.
func param(name string, p spec.Param) func(*spec.Manifest) {
	return of(name, func(e *spec.Endpoint) {
		schema := *p.Schema
		q := p
		q.Schema = &schema
		e.Params = append(slices.Clone(e.Params), q)
	})
}

func text() *spec.Schema { return &spec.Schema{Type: spec.TypeString} }

var mutations = slices.Concat(wireMutations, httpMutations, paramMutations, claimMutations, requestMutations, responseMutations,
	opsMutations, lifecycleMutations, goMutations)

var wireMutations = []mutation{
	{
		rule: "SERVICE_NAME_CHANGED", breaks: func(m *spec.Manifest) { m.Service = "invoicing" },
		harmless: func(m *spec.Manifest) { m.Doc, m.Owner = "Package invoicing is billing.", "invoicing" },
	},
	{
		rule:     "STREAM_REQUEST_CHANGED",
		breaks:   of(attach, func(e *spec.Endpoint) { e.Stream = spec.StreamNone }),
		harmless: of(attach, func(e *spec.Endpoint) { e.Kind = spec.KindHTTP }),
	},
	{
		rule:     "STREAM_RESPONSE_CHANGED",
		breaks:   of(attach, func(e *spec.Endpoint) { e.Stream = spec.StreamBoth }),
		harmless: of(watch, func(e *spec.Endpoint) { e.Limits.IdleMS++ }),
	},
	{
		rule:     "STREAM_EVENTS_CHANGED",
		breaks:   of(watch, func(e *spec.Endpoint) { e.Events = true }),
		harmless: of(watch, func(e *spec.Endpoint) { e.Doc = "Watch has events." }),
	},
	{
		rule:     "DELIVERY_CHANGED",
		breaks:   of(makeReport, func(e *spec.Endpoint) { e.Queue = nil }),
		harmless: of(makeReport, func(e *spec.Endpoint) { e.Queue = &spec.Queueing{Attempts: 4, LeaseMS: 61_000} }),
	},
}

var httpMutations = []mutation{
	{rule: "ENDPOINT_REMOVED", breaks: without(listInvoices), harmless: with("POST", "/billing/status")},
	{
		rule: "ENDPOINT_METHOD_CHANGED", breaks: of(attach, func(e *spec.Endpoint) { e.Method = "PATCH" }),
		harmless: with("PATCH", "/invoices/{id}/attachments/{name}"),
	},
	{
		rule: "ENDPOINT_PATH_CHANGED", breaks: of(getStatus, func(e *spec.Endpoint) { e.Path = "/status" }),
		harmless: with("GET", "/status"),
	},
	{rule: "ROUTE_CAPTURE_CHANGED", breaks: with("GET", "/invoices/open"), harmless: with("GET", "/invoices/open/count")},
	{
		rule:     "REQUEST_MEDIA_TYPE_CHANGED",
		breaks:   of(create, func(e *spec.Endpoint) { e.Consumes = spec.MediaForm }),
		harmless: of(create, func(e *spec.Endpoint) { e.Tags = []string{"form"} }),
	},
	{
		rule:     "RESPONSE_MEDIA_TYPE_CHANGED",
		breaks:   of(getStatus, func(e *spec.Endpoint) { e.Kind, e.Stream = spec.KindStream, spec.StreamResponse }),
		harmless: of("GET /legacy/report", func(e *spec.Endpoint) { e.Kind = spec.KindRaw }),
	},
	{
		rule: "RESPONSE_STATUS_CHANGED", before: of(create, func(e *spec.Endpoint) { e.Statuses = []int{202, 203} }),
		breaks:   of(create, func(e *spec.Endpoint) { e.Status = 200 }),
		harmless: of(create, func(e *spec.Endpoint) { e.Status, e.Statuses = 202, []int{201, 203} }),
	},
	{
		rule: "RESPONSE_STATUS_REMOVED", before: of(create, func(e *spec.Endpoint) { e.Statuses = []int{202, 203} }),
		breaks:   of(create, func(e *spec.Endpoint) { e.Statuses = []int{203} }),
		harmless: of(create, func(e *spec.Endpoint) { e.Status, e.Statuses = 203, []int{201, 202} }),
	},
	{
		rule: "RESPONSE_STATUS_ADDED", before: of(create, func(e *spec.Endpoint) { e.Statuses = []int{202} }),
		breaks:   of(create, func(e *spec.Endpoint) { e.Statuses = []int{200, 202} }),
		harmless: of(create, func(e *spec.Endpoint) { e.Status, e.Statuses = 202, []int{201} }),
	},
	{
		rule: "RESPONSE_HEADER_REMOVED", before: header(true),
		breaks:   of(create, func(e *spec.Endpoint) { e.Headers = nil }),
		harmless: of(create, func(e *spec.Endpoint) { e.Headers[0].Name = "etag" }),
	},
	{
		rule: "RESPONSE_HEADER_CHANGED", before: header(false),
		breaks:   of(create, func(e *spec.Endpoint) { e.Headers[0].Schema.Type = spec.TypeInteger }),
		harmless: of(create, func(e *spec.Endpoint) { e.Headers[0].Required = true }),
	},
	{
		rule: "ERROR_REMOVED", before: of(create, failure), breaks: of(create, func(e *spec.Endpoint) { e.Errors = nil }),
		harmless: of(create, func(e *spec.Endpoint) { e.Errors[0].Doc = "there is no customer" }),
	},
	{
		rule: "ERROR_ADDED", breaks: of(create, failure),
		harmless: of(create, func(e *spec.Endpoint) { e.Doc = "CreateInvoice may fail." }),
	},
	{
		rule: "ERROR_STATUS_CHANGED", before: of(create, failure), breaks: of(create, func(e *spec.Endpoint) { e.Errors[0].Status = 409 }),
		harmless: of(create, func(e *spec.Endpoint) { e.Errors[0].Details = text() }),
	},
	{
		rule: "IDEMPOTENCY_LOST", breaks: of(attach, func(e *spec.Endpoint) { e.Idempotent = false }),
		harmless: of(create, func(e *spec.Endpoint) { e.Idempotent = true }),
	},
}

func header(required bool) func(*spec.Manifest) {
	return of(create, func(e *spec.Endpoint) {
		e.Headers = []spec.Param{{Name: "ETag", In: spec.InHeader, Required: required, Schema: text()}}
	})
}

func failure(e *spec.Endpoint) { e.Errors = []spec.ErrorAnswer{{Code: "no_customer", Status: 422}} }

func detailed(e *spec.Endpoint) {
	failure(e)
	e.Errors[0].Details = text()
}

var claimMutations = []mutation{
	{
		rule:   "CLAIM_ADDED",
		breaks: of(create, func(e *spec.Endpoint) { e.Claims = append(e.Claims, spec.ClaimRequirement{Type: "tenant"}) }),
		harmless: of(create, func(e *spec.Endpoint) { // whoever has a value has the claim
			e.Claims = append(e.Claims, spec.ClaimRequirement{Type: "scope"})
		}),
	},
	{
		rule: "CLAIM_VALUE_NARROWED", before: of(create, func(e *spec.Endpoint) { e.Claims = []spec.ClaimRequirement{{Type: "tenant"}} }),
		breaks:   of(create, func(e *spec.Endpoint) { e.Claims[0].Value = "acme" }),
		harmless: of(create, func(e *spec.Endpoint) { e.Claims = append(e.Claims, e.Claims[0]) }),
	},
	{
		rule: "CLAIM_VALUE_CHANGED", breaks: of(create, func(e *spec.Endpoint) { e.Claims[0].Value = "billing:admin" }),
		harmless: of(create, func(e *spec.Endpoint) { e.Claims = append(e.Claims, e.Claims[0]) }),
	},
	{
		rule: "ENDPOINT_BECAME_AUTHENTICATED",
		breaks: of(getStatus, func(e *spec.Endpoint) {
			e.Public, e.Claims = "", []spec.ClaimRequirement{{Type: "scope", Value: "billing:read"}}
		}),
		harmless: of(getStatus, func(e *spec.Endpoint) { e.Public = "another reason" }),
	},
	{
		rule: "CLAIM_REMOVED", before: of(create, func(e *spec.Endpoint) {
			e.Claims = append(e.Claims, spec.ClaimRequirement{Type: "scope"}, spec.ClaimRequirement{Type: "tenant"})
		}),
		breaks:   of(create, func(e *spec.Endpoint) { e.Claims = e.Claims[:2] }),
		harmless: of(create, func(e *spec.Endpoint) { e.Claims = []spec.ClaimRequirement{e.Claims[2], e.Claims[0]} }),
	},
	{
		rule: "CLAIM_VALUE_WIDENED", breaks: of(create, func(e *spec.Endpoint) { e.Claims[0].Value = "" }),
		harmless: of(create, func(e *spec.Endpoint) { e.Claims = append(e.Claims, e.Claims[0]) }),
	},
	{
		rule: "ENDPOINT_BECAME_PUBLIC", breaks: of(create, func(e *spec.Endpoint) { e.Claims, e.Public = nil, "why not" }),
		harmless: of(create, func(e *spec.Endpoint) { e.Claims = append(e.Claims, e.Claims[0]) }),
	},
}

var goMutations = []mutation{
	{
		rule:     "PATH_PARAM_RENAMED",
		breaks:   of(getInvoice, func(e *spec.Endpoint) { e.Path, e.Params[0].Name = "/invoices/{key}", "key" }),
		harmless: of(getInvoice, func(e *spec.Endpoint) { e.Params[0].Doc = "the key" }),
	},
	{
		rule: "HANDLER_RENAMED", breaks: of(create, func(e *spec.Endpoint) { e.Handler = "Service.AddInvoice" }),
		harmless: of(create, func(e *spec.Endpoint) { e.Doc = "AddInvoice is CreateInvoice." }),
	},
	{
		rule: "TYPE_RENAMED",
		breaks: func(m *spec.Manifest) {
			m.Schemas["billing.Health"] = m.Schemas[status]
			delete(m.Schemas, status)
			endpoint(m, getStatus).Response.Ref = "billing.Health"
		},
		harmless: func(m *spec.Manifest) { endpoint(m, getStatus).Response = m.Schemas[status] }, // in place
	},
}

var _ = Describe("a mutation", func() {
	for _, mu := range mutations {
		It("of "+mu.rule+" finds that rule and no other", func() { mu.positive() })
		It("that is harmless finds nothing of "+mu.rule, func() { mu.negative() })
	}
})
