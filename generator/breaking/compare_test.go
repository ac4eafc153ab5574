package breaking_test

import (
	"maps"
	"slices"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/stella-ops/router/generator/breaking"
	"github.com/stella-ops/router/generator/diagnostic"
	"github.com/stella-ops/router/spec"
)

// document changes everything that only documents.
func document(m *spec.Manifest) {
	m.Doc, m.Owner = "Other words.", "somebody"
	var schema func(*spec.Schema)
	schema = func(s *spec.Schema) {
		if s == nil {
			return
		}
		s.Doc = "Other words."
		schema(s.Items)
		schema(s.Values)
		for _, p := range s.Properties {
			schema(p)
		}
	}
	for _, s := range m.Schemas {
		schema(s)
	}
	for i := range m.Endpoints {
		e := &m.Endpoints[i]
		e.Doc, e.Tags = "Other words.", []string{"tag"}
		if e.Public != "" {
			e.Public = "another reason"
		}
		for j := range e.Params {
			e.Params[j].Doc = "Other words."
		}
	}
}

// reorder changes every order that means nothing.
func reorder(m *spec.Manifest) {
	slices.Reverse(m.Endpoints)
	for i := range m.Endpoints {
		slices.Reverse(m.Endpoints[i].Claims)
		slices.Reverse(m.Endpoints[i].Params)
		slices.Reverse(m.Endpoints[i].Headers)
	}
	for _, s := range m.Schemas {
		for _, p := range s.Properties {
			slices.Reverse(p.Enum)
		}
	}
}

var _ = Describe("comparing", func() {
	It("finds nothing in what is the same, in another order, or documented in other words", func() {
		Expect(review(billing(), billing())).To(BeEmpty())
		Expect(review(billing(), billing(reorder))).To(BeEmpty())
		Expect(review(billing(), billing(document))).To(BeEmpty())
		for _, mu := range mutations {
			Expect(review(billing(mu.before, mu.breaks), billing(mu.before, mu.breaks, reorder, document))).To(BeEmpty(), mu.rule)
		}
	})

	It("reports a change of a named type once for each direction, with the endpoints that it shows at", func() {
		line := field("billing.Line", "quantity", func(s *spec.Schema) { s.Type, s.Format = spec.TypeString, "" })
		found := review(billing(), billing(line), breaking.JSON)
		Expect(names(found)).To(Equal([]string{"REQUEST_FIELD_TYPE_CHANGED", "RESPONSE_FIELD_TYPE_CHANGED"}))
		Expect(found).To(HaveLen(2))
		Expect(found[0]).To(And(HaveField("Endpoint", "GET /invoices"), HaveField("Message",
			"billing.Line.quantity was integer (int64) and is string in responses (GET /invoices, GET /invoices/{id}, POST /invoices)")))
		Expect(found[1]).To(And(HaveField("Endpoint", "POST /invoices"), HaveField("Message",
			"billing.Line.quantity was integer (int64) and is string in requests (POST /invoices)")))
	})

	It("reports that an endpoint becomes a WebSocket, or is none any more", func() {
		socket := of(getStatus, func(e *spec.Endpoint) {
			e.Kind, e.Stream, e.Status, e.Response, e.Params = spec.KindRaw, spec.StreamUpgrade, 101, nil, nil
		})
		bytes := of(getStatus, func(e *spec.Endpoint) { e.Kind, e.Response, e.Params = spec.KindRaw, nil, nil })
		for _, pair := range [][2]func(*spec.Manifest){{bytes, socket}, {socket, bytes}} {
			found := names(review(billing(pair[0]), billing(pair[1])))
			Expect(found).To(ContainElements("RESPONSE_STATUS_CHANGED", "STREAM_REQUEST_CHANGED", "STREAM_RESPONSE_CHANGED"))
		}
		Expect(review(billing(socket), billing(socket))).To(BeEmpty())
	})

	It("follows types that contain themselves, and names that stand for each other", func() {
		cycle := func(m *spec.Manifest) {
			m.Schemas["billing.Tree"] = &spec.Schema{Type: spec.TypeObject, Properties: map[string]*spec.Schema{
				"children": {Type: spec.TypeArray, Items: &spec.Schema{Ref: "billing.Tree"}},
				"by-name":  {Type: spec.TypeObject, Values: &spec.Schema{Ref: "billing.Tree"}},
				"leaf":     {Ref: "billing.Leaf"},
			}}
			m.Schemas["billing.Leaf"] = &spec.Schema{Ref: "billing.Word"}
			m.Schemas["billing.Word"] = text()
			m.Schemas["billing.Self"] = &spec.Schema{Ref: "billing.Self"}
			endpoint(m, getStatus).Response = &spec.Schema{Ref: "billing.Tree"}
			endpoint(m, getInvoice).Response = &spec.Schema{Ref: "billing.Self"}
		}
		Expect(review(billing(cycle), billing(cycle))).To(BeEmpty())
		found := review(billing(cycle), billing(cycle, func(m *spec.Manifest) {
			delete(m.Schemas["billing.Tree"].Properties, "leaf")
		}), breaking.JSON)
		Expect(found).To(HaveLen(1))
		Expect(found[0].Message).To(HavePrefix("billing.Tree.leaf was removed from responses"))
	})

	It("sees into items, maps and types that are written in place", func() {
		nested := func(kind string) func(*spec.Manifest) {
			return of(getStatus, func(e *spec.Endpoint) {
				e.Response = &spec.Schema{Type: spec.TypeObject, Values: &spec.Schema{Type: spec.TypeArray, Items: &spec.Schema{
					Type: spec.TypeObject, Properties: map[string]*spec.Schema{"a.b": {Type: kind}},
				}}}
			})
		}
		found := review(billing(nested(spec.TypeString)), billing(nested(spec.TypeBoolean)), breaking.JSON)
		Expect(found).To(HaveLen(1))
		Expect(found[0].Message).To(Equal(`GET /billing/status: response{}[]."a.b" was string and is boolean in responses`))
	})

	It("takes a map and a structure for different types, and items that nothing is said of for any value", func() {
		as := func(s spec.Schema) func(*spec.Manifest) {
			return of(getStatus, func(e *spec.Endpoint) { e.Response = &s })
		}
		structure := as(spec.Schema{Type: spec.TypeObject, Properties: map[string]*spec.Schema{"a": text()}})
		Expect(names(review(billing(structure), billing(as(spec.Schema{Type: spec.TypeObject, Values: text()})), breaking.JSON))).
			To(Equal([]string{"RESPONSE_FIELD_TYPE_CHANGED"}))
		anything, words := as(spec.Schema{Type: spec.TypeArray}), as(spec.Schema{Type: spec.TypeArray, Items: text()})
		Expect(review(billing(anything), billing(words), breaking.JSON)).To(BeEmpty())
		Expect(names(review(billing(words), billing(anything), breaking.JSON))).To(Equal([]string{"RESPONSE_FIELD_TYPE_CHANGED"}))
	})

	It("takes a renamed field for one change only where it is plain which became which", func() {
		split := object(status, func(s *spec.Schema) {
			s.Properties["invoices1"], s.Properties["invoices2"] = s.Properties["invoices"], s.Properties["invoices"]
			delete(s.Properties, "invoices")
		})
		Expect(names(review(billing(), billing(split), breaking.JSON))).To(Equal([]string{"RESPONSE_FIELD_REMOVED"}))
		other := object(status, func(s *spec.Schema) {
			s.Properties["invoice_s"] = text()
			delete(s.Properties, "invoices")
		})
		Expect(names(review(billing(), billing(other), breaking.JSON))).To(Equal([]string{"RESPONSE_FIELD_REMOVED"}))
	})

	It("takes an endpoint for moved only if its handler serves no other", func() {
		Expect(names(review(billing(), billing(of(getInvoice, func(e *spec.Endpoint) {
			e.Path, e.Params[0].Name = "/v2/invoices/{key}", "key"
		}), with("GET", "/v2/status")), breaking.HTTP))).To(Equal([]string{"ENDPOINT_PATH_CHANGED"}))
		twins := of(create, func(e *spec.Endpoint) { e.Handler = "Service.GetStatus" })
		Expect(names(review(billing(twins), billing(twins, without(create), of(getStatus, func(e *spec.Endpoint) { e.Path = "/status" })),
			breaking.HTTP))).To(Equal([]string{"ENDPOINT_REMOVED"}))
	})

	DescribeTable("knows which path takes requests from which",
		func(old, added string, takes bool) {
			place := func(m *spec.Manifest) { with("GET", old)(m); m.Endpoints[len(m.Endpoints)-1].Handler = "Service.Old" }
			found := names(review(billing(place), billing(place, with("GET", added)), "ROUTE_CAPTURE_CHANGED"))
			Expect(found).To(HaveLen(map[bool]int{true: 1}[takes]))
		},
		Entry(nil, "/a/{x}", "/a/b", true), Entry(nil, "/a/b", "/a/{x}", false), Entry(nil, "/a/{x...}", "/a/{x}", true),
		Entry(nil, "/a/{x}", "/a/{x...}", false), Entry(nil, "/a/{x...}", "/a/b/c", true), Entry(nil, "/a/{x}/c", "/a/b/d", false),
		Entry(nil, "/a/{x}/c", "/a/b/{y}", true), Entry(nil, "/{x}/b", "/a/{y...}", true), Entry(nil, "/a/{x}", "/b/c", false),
		Entry(nil, "/a/{x}", "/a/b/c", false), Entry(nil, "/a/{x}/{y}", "/a/{x}/b", true),
	)

	It("leaves out endpoints that were experimental, unless it is strict, and only those", func() {
		experimental := of(create, func(e *spec.Endpoint) { e.Stability = spec.StabilityExperimental })
		gone := billing(experimental, without(create), func(m *spec.Manifest) { m.Version = "1.5.0" })
		Expect(review(billing(experimental), gone, breaking.Standard)).To(BeEmpty())
		Expect(names(review(billing(experimental), gone))).To(Equal([]string{"ENDPOINT_REMOVED", "MAJOR_NOT_BUMPED"}))
	})

	It("does not miss parameters of a handler that has come to read them itself", func() {
		raw := of(listInvoices, func(e *spec.Endpoint) { e.Kind, e.Params, e.Response = spec.KindRaw, nil, nil })
		Expect(names(review(billing(), billing(raw), breaking.HTTP, breaking.JSON))).To(Equal([]string{"RESPONSE_MEDIA_TYPE_CHANGED"}))
	})

	It("lets endpoints go after their sunset, and not without one", func() {
		gone := billing(without(create))
		Expect(review(billing(deprecated("old", "2026-11-26")), gone, breaking.HTTP, breaking.Lifecycle)).
			To(ConsistOf(HaveField("Rule", breaking.VersionNotBumped)))
		Expect(names(review(billing(deprecated("old", "")), gone, breaking.HTTP))).To(Equal([]string{"ENDPOINT_REMOVED"}))
	})

	It("takes a timeout for worse of which less than half is left", func() {
		found := review(billing(), billing(limits(func(l *spec.Limits) { l.TimeoutMS = l.TimeoutMS/2 - 1 })), breaking.Ops)
		Expect(found).To(ConsistOf(And(HaveField("Rule", breaking.TimeoutShrank), HaveField("Severity", diagnostic.Error),
			HaveField("Message", attach+": timeout shrank from 10m0s to 4m59.999s"))))
	})
})

var _ = Describe("numbers", func() {
	number := func(kind, format string) func(*spec.Manifest) {
		return object(newInvoice, func(s *spec.Schema) { s.Properties["n"] = &spec.Schema{Type: kind, Format: format} })
	}
	DescribeTable("fit where none is lost, in requests",
		func(was, is string, fit bool) {
			from, _, _ := strings.Cut(was, "/")
			_, fromFormat, _ := strings.Cut(was, "/")
			to, toFormat, _ := strings.Cut(is, "/")
			found := names(review(billing(number(from, fromFormat)), billing(number(to, toFormat)), breaking.JSON))
			if fit {
				Expect(found).To(BeEmpty())
			} else {
				Expect(found).To(Equal([]string{"NUMBER_PRECISION_CHANGED"}))
			}
		},
		Entry(nil, "integer/int32", "integer/int64", true), Entry(nil, "integer/int64", "integer/int32", false),
		Entry(nil, "integer/uint32", "integer/int64", true), Entry(nil, "integer/uint64", "integer/int64", false),
		Entry(nil, "integer/int8", "integer/uint64", false), Entry(nil, "integer", "integer/int64", false),
		Entry(nil, "integer/int64", "integer", true), Entry(nil, "integer/int64", "number/double", true),
		Entry(nil, "number/double", "integer/int64", false), Entry(nil, "number/float", "number/double", true),
		Entry(nil, "number/double", "number/float", false),
	)

	bounded := func(change func(*spec.Schema), kind string) func(*spec.Manifest) {
		return object(newInvoice, func(s *spec.Schema) {
			n := &spec.Schema{Type: kind, Format: map[string]string{spec.TypeInteger: "uint8"}[kind]}
			change(n)
			s.Properties["n"] = n
		})
	}
	DescribeTable("are bounded exactly",
		func(kind string, was, is func(*spec.Schema), tightened bool) {
			found := names(review(billing(bounded(was, kind)), billing(bounded(is, kind)), "REQUEST_RANGE_TIGHTENED", "REQUEST_MULTIPLE_OF_TIGHTENED"))
			Expect(found).To(HaveLen(map[bool]int{true: 1}[tightened]))
		},
		Entry("an open end is tighter", spec.TypeNumber, func(s *spec.Schema) { s.Minimum = "1" }, func(s *spec.Schema) { s.Above = "1" }, true),
		Entry("a closed one is not", spec.TypeNumber, func(s *spec.Schema) { s.Above = "1" }, func(s *spec.Schema) { s.Minimum = "1" }, false),
		Entry("between integers is nothing", spec.TypeInteger, func(s *spec.Schema) { s.Minimum = "2" }, func(s *spec.Schema) { s.Above = "1" }, false),
		Entry("the tighter of two counts", spec.TypeNumber, func(s *spec.Schema) { s.Maximum, s.Below = "9", "5" }, func(s *spec.Schema) { s.Below = "5" }, false),
		Entry("a format bounds, too", spec.TypeInteger, func(*spec.Schema) {}, func(s *spec.Schema) { s.Minimum, s.Maximum = "0", "255" }, false),
		Entry("as far as it goes", spec.TypeInteger, func(*spec.Schema) {}, func(s *spec.Schema) { s.Maximum = "254" }, true),
		Entry("a list bounds, too", spec.TypeNumber, func(s *spec.Schema) { s.Enum = []string{"0.5", "2"} },
			func(s *spec.Schema) { s.Minimum, s.Maximum = "0.5", "2" }, false),
		Entry("as far as it goes", spec.TypeNumber, func(s *spec.Schema) { s.Enum = []string{"0.5", "2"} },
			func(s *spec.Schema) { s.Minimum, s.Below = "0.5", "2" }, true),
		Entry("fractions of integers are rounded into the range", spec.TypeInteger, func(s *spec.Schema) { s.Minimum = "1" },
			func(s *spec.Schema) { s.Minimum = "0.5" }, false),
		Entry("every integer is a multiple of one", spec.TypeInteger, func(*spec.Schema) {}, func(s *spec.Schema) { s.MultipleOf = "1" }, false),
		Entry("and of a half", spec.TypeInteger, func(*spec.Schema) {}, func(s *spec.Schema) { s.MultipleOf = "0.5" }, false),
		Entry("but not of two", spec.TypeInteger, func(*spec.Schema) {}, func(s *spec.Schema) { s.MultipleOf = "2" }, true),
	)
})

var _ = Describe("selecting rules", func() {
	It("takes presets, categories, names and ids together, and says what was probably meant", func() {
		s := selection("JSON", "ENDPOINT_REMOVED", "STL2065")
		Expect(s.Has(breaking.JSONNameChanged)).To(BeTrue())
		Expect(s.Has(breaking.EndpointRemoved)).To(BeTrue())
		Expect(s.Has(breaking.TimeoutShrank)).To(BeTrue())
		Expect(s.Has(breaking.EndpointPathChanged)).To(BeFalse())
		_, err := breaking.Select("ENDPOINT_REMOVE")
		Expect(err).To(MatchError(ContainSubstring("did you mean ENDPOINT_REMOVED?")))
	})

	It("has presets that contain each other", func() {
		sets := map[string]int{}
		for _, r := range breaking.Rules() {
			minimal, standard, strict := selection(breaking.Minimal).Has(r.ID), selection().Has(r.ID), selection(breaking.Strict).Has(r.ID)
			Expect(strict).To(BeTrue())
			Expect(minimal && !standard).To(BeFalse(), r.Name)
			for name, has := range map[string]bool{breaking.Minimal: minimal, breaking.Standard: standard, breaking.Strict: strict} {
				if has {
					sets[name]++
				}
			}
		}
		Expect(slices.Sorted(maps.Keys(sets))).To(Equal([]string{"MINIMAL", "STANDARD", "STRICT"}))
		Expect(sets[breaking.Minimal]).To(BeNumerically("<", sets[breaking.Standard]))
		Expect(sets[breaking.Standard]).To(BeNumerically("<", sets[breaking.Strict]))
	})

	It("has a table without gaps, with names and categories, that explains each", func() {
		for i, r := range breaking.Rules() {
			Expect(string(r.ID)).To(Equal("STL2" + string([]byte{'0', byte('0' + (i+1)/10), byte('0' + (i+1)%10)})))
			Expect(r.Name).To(MatchRegexp("^[A-Z]+(_[A-Z]+)+$"))
			Expect(breaking.Categories()).To(ContainElement(r.Category))
			Expect(r.Title).NotTo(BeEmpty())
			Expect(r.Text).To(HaveSuffix("."))
		}
	})
})
