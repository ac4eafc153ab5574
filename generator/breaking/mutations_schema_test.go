package breaking_test

import (
	"slices"

	"github.com/stella-ops/router/spec"
)

var paramMutations = []mutation{
	{
		rule:     "PARAM_TYPE_CHANGED",
		breaks:   of(getInvoice, func(e *spec.Endpoint) { e.Params[0].Schema.Type = spec.TypeInteger }),
		harmless: of(listInvoices, func(e *spec.Endpoint) { e.Params[1].Schema = &spec.Schema{Type: spec.TypeNumber} }),
	},
	{
		rule: "QUERY_PARAM_REQUIRED", breaks: of(listInvoices, func(e *spec.Endpoint) { e.Params[0].Required = true }),
		harmless: param(listInvoices, spec.Param{Name: "order", In: spec.InQuery, Schema: text()}),
	},
	{
		rule: "QUERY_PARAM_REMOVED", breaks: of(listInvoices, func(e *spec.Endpoint) { e.Params = e.Params[1:] }),
		harmless: of(listInvoices, func(e *spec.Endpoint) { slices.Reverse(e.Params) }),
	},
	{
		rule: "HEADER_PARAM_REQUIRED", breaks: param(create, spec.Param{Name: "If-Match", In: spec.InHeader, Required: true, Schema: text()}),
		harmless: param(create, spec.Param{Name: "If-Match", In: spec.InHeader, Schema: text()}),
	},
	{
		rule: "HEADER_PARAM_REMOVED", before: param(create, spec.Param{Name: "If-Match", In: spec.InHeader, Required: true, Schema: text()}),
		breaks:   of(create, func(e *spec.Endpoint) { e.Params = nil }),
		harmless: of(create, func(e *spec.Endpoint) { e.Params[0].Name, e.Params[0].Required = "if-match", false }),
	},
	{
		rule: "COOKIE_PARAM_REQUIRED", before: param(create, spec.Param{Name: "visit", In: spec.InCookie, Schema: text()}),
		breaks:   of(create, func(e *spec.Endpoint) { e.Params[0].Required = true }),
		harmless: param(create, spec.Param{Name: "theme", In: spec.InCookie, Schema: text()}),
	},
	{
		rule: "COOKIE_PARAM_REMOVED", before: param(create, spec.Param{Name: "visit", In: spec.InCookie, Required: true, Schema: text()}),
		breaks:   of(create, func(e *spec.Endpoint) { e.Params = nil }),
		harmless: of(create, func(e *spec.Endpoint) { e.Params[0].Required = false }),
	},
}

// currency and discount change members of requests: one of text, and a number that billing lacks.
func currency(change func(*spec.Schema)) func(*spec.Manifest) {
	return field(newInvoice, "currency", change)
}

func discount(change func(*spec.Schema)) func(*spec.Manifest) {
	return field(newInvoice, "discount", change)
}

var hasDiscount = object(newInvoice, func(s *spec.Schema) {
	s.Properties["discount"] = &spec.Schema{Type: spec.TypeNumber, Minimum: "0.1", Below: "0.9", MultipleOf: "0.02"}
})

// lenient lets unknown members of new invoices pass.
var lenient = of(create, func(e *spec.Endpoint) { e.Unknown = spec.UnknownIgnore })

func remove(name string) func(*spec.Schema) {
	return func(s *spec.Schema) {
		delete(s.Properties, name)
		s.Required = slices.DeleteFunc(s.Required, func(r string) bool { return r == name })
	}
}

var requestMutations = []mutation{
	{
		rule: "REQUEST_BODY_ADDED", before: of(create, func(e *spec.Endpoint) { e.Request = nil }),
		breaks:   of(create, func(e *spec.Endpoint) { e.Request = &spec.Schema{Ref: newInvoice} }),
		harmless: object(newInvoice, func(s *spec.Schema) { s.Properties["note"], s.Required = text(), []string{"note"} }),
	},
	{
		rule: "REQUEST_BODY_REMOVED", breaks: of(create, func(e *spec.Endpoint) { e.Request = nil }),
		harmless: func(m *spec.Manifest) { endpoint(m, create).Request = m.Schemas[newInvoice] }, // in place
	},
	{
		rule:     "REQUEST_FIELD_REQUIRED_ADDED",
		breaks:   object(newInvoice, func(s *spec.Schema) { s.Properties["note"], s.Required = text(), append(s.Required, "note") }),
		harmless: object(newInvoice, func(s *spec.Schema) { s.Properties["note"] = text() }),
	},
	{
		rule: "REQUEST_FIELD_BECAME_REQUIRED", before: hasDiscount,
		breaks:   object(newInvoice, func(s *spec.Schema) { s.Required = []string{"currency", "customer", "discount", "lines"} }),
		harmless: object(newInvoice, func(s *spec.Schema) { s.Required = []string{"customer"} }),
	},
	{
		rule: "REQUEST_FIELD_REMOVED", breaks: object(newInvoice, remove("customer")),
		harmless: object(newInvoice, func(s *spec.Schema) { s.Required = nil }),
	},
	{
		rule: "REQUEST_FIELD_IGNORED", before: lenient, breaks: object(newInvoice, remove("customer")),
		harmless: object(newInvoice, func(s *spec.Schema) { s.Properties["note"] = text() }),
	},
	{
		rule: "REQUEST_FIELD_TYPE_CHANGED", breaks: currency(func(s *spec.Schema) { s.Type = spec.TypeBoolean }),
		harmless: currency(func(s *spec.Schema) { s.Type = "" }),
	},
	{
		rule: "REQUEST_NULL_FORBIDDEN", before: currency(func(s *spec.Schema) { s.Nullable = true }),
		breaks:   currency(func(s *spec.Schema) { s.Nullable = false }),
		harmless: field(newInvoice, "customer", func(s *spec.Schema) { s.Nullable = true }),
	},
	{
		rule: "REQUEST_ENUM_VALUE_REMOVED", before: currency(func(s *spec.Schema) { s.Enum = []string{"CHF", "EUR"} }),
		breaks:   currency(func(s *spec.Schema) { s.Enum = []string{"EUR", "USD"} }),
		harmless: currency(func(s *spec.Schema) { s.Enum = []string{"EUR", "CHF", "USD"} }),
	},
	{
		rule: "REQUEST_ENUM_ADDED", breaks: currency(func(s *spec.Schema) { s.Enum = []string{"CHF", "EUR"} }),
		harmless: field("billing.Event", "type", func(s *spec.Schema) { s.Enum = []string{"attached", "created"} }),
	},
	{
		rule: "REQUEST_RANGE_TIGHTENED", before: hasDiscount,
		breaks:   discount(func(s *spec.Schema) { s.Minimum = "0.1000000000000000000001" }),
		harmless: discount(func(s *spec.Schema) { s.Minimum, s.Below, s.Maximum = "0.0999999999999999999999", "", "0.9" }),
	},
	{
		rule: "REQUEST_LENGTH_TIGHTENED", before: currency(func(s *spec.Schema) { s.MinLength, s.MaxLength = 2, new(4) }),
		breaks:   currency(func(s *spec.Schema) { s.MaxLength = new(3) }),
		harmless: currency(func(s *spec.Schema) { s.MinLength, s.MaxLength = 1, nil }),
	},
	{
		rule: "REQUEST_ITEMS_TIGHTENED", breaks: field(newInvoice, "lines", func(s *spec.Schema) { s.MinItems = 1 }),
		harmless: field(newInvoice, "lines", func(s *spec.Schema) { s.MinItems, s.Doc = 0, "at least one" }),
	},
	{
		rule: "REQUEST_PATTERN_CHANGED", before: currency(func(s *spec.Schema) { s.Pattern = "^[A-Z]{3}$" }),
		breaks:   currency(func(s *spec.Schema) { s.Pattern = "^[A-Z]{3,4}$" }),
		harmless: currency(func(s *spec.Schema) { s.Pattern = "" }),
	},
	{
		rule: "REQUEST_MULTIPLE_OF_TIGHTENED", before: hasDiscount, breaks: discount(func(s *spec.Schema) { s.MultipleOf = "0.03" }),
		harmless: discount(func(s *spec.Schema) { s.MultipleOf = "0.01" }),
	},
	{
		rule: "REQUEST_UNIQUE_ITEMS", before: field(newInvoice, "lines", func(s *spec.Schema) { s.MaxItems = new(9) }),
		breaks:   field(newInvoice, "lines", func(s *spec.Schema) { s.Unique = true }),
		harmless: field(newInvoice, "lines", func(s *spec.Schema) { s.MaxItems = nil }),
	},
	{
		rule: "REQUEST_DEFAULT_CHANGED", before: param(listInvoices, spec.Param{Name: "order", In: spec.InQuery, Schema: &spec.Schema{
			Type: spec.TypeString, Default: new("up"),
		}}),
		breaks: of(listInvoices, func(e *spec.Endpoint) { e.Params[3].Schema.Default = new("down") }),
		harmless: param(listInvoices, spec.Param{Name: "part", In: spec.InQuery, Schema: &spec.Schema{
			Type: spec.TypeInteger, Default: new("1"),
		}}),
	},
	{
		rule: "REQUEST_BECAME_STRICT", before: lenient, breaks: of(create, func(e *spec.Endpoint) { e.Unknown = "" }),
		harmless: of(makeReport, func(e *spec.Endpoint) { e.Unknown = spec.UnknownIgnore }),
	},
}

// invoices changes a number in responses.
func invoices(change func(*spec.Schema)) func(*spec.Manifest) {
	return field(status, "invoices", change)
}

var hasState = object(status, func(s *spec.Schema) {
	s.Properties["state"] = &spec.Schema{Type: spec.TypeString, Enum: []string{"full", "open"}}
})

var responseMutations = []mutation{
	{
		rule: "RESPONSE_BODY_REMOVED", breaks: of(getStatus, func(e *spec.Endpoint) { e.Response = nil }),
		harmless: of(makeReport, func(e *spec.Endpoint) { e.Response = &spec.Schema{Ref: "reports.MonthlyReport", Doc: "a report"} }),
	},
	{
		rule: "RESPONSE_FIELD_REMOVED", breaks: object(status, remove("watchers")),
		harmless: object(status, func(s *spec.Schema) { s.Properties["state"] = text() }),
	},
	{
		rule: "RESPONSE_FIELD_BECAME_OPTIONAL", before: object(status, func(s *spec.Schema) { s.Required = []string{"invoices"} }),
		breaks:   object(status, func(s *spec.Schema) { s.Required = nil }),
		harmless: object(status, func(s *spec.Schema) { s.Required = []string{"invoices", "watchers"} }),
	},
	{
		rule: "RESPONSE_FIELD_BECAME_NULLABLE", breaks: invoices(func(s *spec.Schema) { s.Nullable = true }),
		harmless: field("billing.InvoicePage", "invoices", func(s *spec.Schema) { s.Nullable = false }),
	},
	{
		rule: "RESPONSE_FIELD_TYPE_CHANGED", breaks: invoices(func(s *spec.Schema) { *s = *text() }),
		harmless: invoices(func(s *spec.Schema) { s.Format = "int32" }),
	},
	{
		rule: "RESPONSE_ENUM_VALUE_ADDED", before: hasState,
		breaks:   field(status, "state", func(s *spec.Schema) { s.Enum = append(s.Enum, "closing") }),
		harmless: field(status, "state", func(s *spec.Schema) { s.Enum = s.Enum[1:] }),
	},
	{
		rule: "RESPONSE_CONSTRAINT_LOOSENED", before: invoices(func(s *spec.Schema) { s.Minimum = "0" }),
		breaks:   invoices(func(s *spec.Schema) { s.Minimum = "" }),
		harmless: invoices(func(s *spec.Schema) { s.Minimum, s.Above = "", "-1" }), // the same, of integers
	},
	{
		rule: "ERROR_DETAILS_REMOVED", before: of(create, detailed), breaks: of(create, func(e *spec.Endpoint) { e.Errors[0].Details = nil }),
		harmless: of(create, func(e *spec.Endpoint) { e.Errors[0].Details.MaxLength = new(80) }),
	},
	{
		rule: "JSON_NAME_CHANGED",
		breaks: object(status, func(s *spec.Schema) {
			s.Properties["invoice_count"] = s.Properties["invoices"]
			delete(s.Properties, "invoices")
		}),
		harmless: object(status, func(s *spec.Schema) { s.Properties["invoice_count"] = s.Properties["invoices"] }),
	},
	{
		rule: "NUMBER_PRECISION_CHANGED", before: invoices(func(s *spec.Schema) { s.Format = "int32" }),
		breaks:   invoices(func(s *spec.Schema) { s.Format = "int64" }),
		harmless: invoices(func(s *spec.Schema) { s.Format = "int16" }),
	},
	{
		rule:     "TIME_FORMAT_CHANGED",
		breaks:   field("billing.Event", "at", func(s *spec.Schema) { s.Type, s.Format = spec.TypeInteger, "int64" }),
		harmless: field("billing.Event", "at", func(s *spec.Schema) { s.Doc = "seconds" }),
	},
	{
		rule: "TEXT_FORMAT_CHANGED", breaks: currency(func(s *spec.Schema) { s.Format = "uuid" }),
		harmless: func(m *spec.Manifest) {
			m.Schemas["billing.Event"].Properties["invoice"].Format = "uuid" // tells more than before
			m.Schemas[newInvoice].Properties["customer"].Format = "password" // takes any text
		},
	},
}
