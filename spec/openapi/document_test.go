package openapi_test

import (
	"reflect"
	"slices"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/stella-ops/router/spec"
	"github.com/stella-ops/router/spec/openapi"
)

// both are the versions.
var both = []openapi.Version{openapi.V31, openapi.V30}

var _ = Describe("an OpenAPI document", func() {
	DescribeTable("writes schemas in its own dialect",
		func(s *spec.Schema, v31, v30 string) {
			m := service("x", "1.0.0", map[string]*spec.Schema{"T": s, "x.Object": {Type: spec.TypeObject}, "x.Any": {}, "Loop": {Ref: "Loop"}, "Chain": {Ref: "x.Object"}})
			Expect(document(m, openapi.V31).at("components", "schemas", "T")).To(Equal(body(v31)))
			Expect(document(m, openapi.V30).at("components", "schemas", "T")).To(Equal(body(v30)))
		},
		Entry("null beside a type", &spec.Schema{Type: "string", Nullable: true}, `{"type":["string","null"]}`, `{"type":"string","nullable":true}`),
		Entry("null among listed values", &spec.Schema{Type: "integer", Nullable: true, Enum: []string{"2", "1"}},
			`{"type":["integer","null"],"enum":[2,1,null]}`, `{"type":"integer","nullable":true,"enum":[2,1,null]}`),
		Entry("null instead of a named type", &spec.Schema{Ref: "x.Object", Nullable: true},
			`{"anyOf":[{"$ref":"#/components/schemas/x.Object"},{"type":"null"}]}`,
			`{"allOf":[{"$ref":"#/components/schemas/x.Object"}],"type":"object","nullable":true}`),
		Entry("null instead of a named type that is another", &spec.Schema{Ref: "Chain", Nullable: true},
			`{"anyOf":[{"$ref":"#/components/schemas/Chain"},{"type":"null"}]}`,
			`{"allOf":[{"$ref":"#/components/schemas/Chain"}],"type":"object","nullable":true}`),
		Entry("null instead of anything", &spec.Schema{Ref: "x.Any", Nullable: true},
			`{"anyOf":[{"$ref":"#/components/schemas/x.Any"},{"type":"null"}]}`, `{"allOf":[{"$ref":"#/components/schemas/x.Any"}]}`),
		Entry("null instead of nothing but itself", &spec.Schema{Ref: "Loop", Nullable: true},
			`{"anyOf":[{"$ref":"#/components/schemas/Loop"},{"type":"null"}]}`, `{"allOf":[{"$ref":"#/components/schemas/Loop"}]}`),
		Entry("words beside a reference", &spec.Schema{Ref: "x.Object", Doc: "d"},
			`{"$ref":"#/components/schemas/x.Object","description":"d"}`, `{"allOf":[{"$ref":"#/components/schemas/x.Object"}],"description":"d"}`),
		Entry("exclusive bounds", &spec.Schema{Type: "number", Above: "0", Below: "0.5"},
			`{"type":"number","exclusiveMinimum":0,"exclusiveMaximum":0.5}`,
			`{"type":"number","minimum":0,"exclusiveMinimum":true,"maximum":0.5,"exclusiveMaximum":true}`),
		Entry("exclusive bounds beside inclusive ones", &spec.Schema{Type: "integer", Minimum: "1", Above: "-1"},
			`{"type":"integer","minimum":1,"exclusiveMinimum":-1}`, `{"type":"integer","minimum":1,"allOf":[{"minimum":-1,"exclusiveMinimum":true}]}`),
		Entry("numbers digit by digit", &spec.Schema{Type: "number", Maximum: "9007199254740993.000000000000000000001", MultipleOf: "0.1"},
			`{"type":"number","maximum":9007199254740993.000000000000000000001,"multipleOf":0.1}`,
			`{"type":"number","maximum":9007199254740993.000000000000000000001,"multipleOf":0.1}`),
		Entry("bytes in text", &spec.Schema{Type: "string", Format: "byte"}, `{"type":"string","contentEncoding":"base64"}`, `{"type":"string","format":"byte"}`),
		Entry("files", &spec.Schema{Type: "string", Format: "binary"},
			`{"type":"string","contentMediaType":"application/octet-stream"}`, `{"type":"string","format":"binary"}`),
		Entry("an array of anything", &spec.Schema{Type: "array"}, `{"type":"array","items":{}}`, `{"type":"array","items":{}}`),
		Entry("a default of text", &spec.Schema{Type: "string", Default: new("1")}, `{"type":"string","default":"1"}`, `{"type":"string","default":"1"}`),
		Entry("a default without text", &spec.Schema{Type: "string", Default: new("")}, `{"type":"string","default":""}`, `{"type":"string","default":""}`),
		Entry("a default number", &spec.Schema{Type: "number", Default: new("1.5")}, `{"type":"number","default":1.5}`, `{"type":"number","default":1.5}`),
		Entry("a default of two", &spec.Schema{Type: "boolean", Default: new("false")},
			`{"type":"boolean","default":false}`, `{"type":"boolean","default":false}`),
	)

	It("names schemas as components may be named, and tells them apart", func() {
		m := service("x", "1.0.0", map[string]*spec.Schema{
			"P[a]": {Type: "string"}, "P<a>": {Type: "integer"}, "stella.Problem": {Type: "boolean"}, "U": {Ref: "P[a]"},
		})
		t := document(m, openapi.V31)
		Expect(t.at("components", "schemas", "P_a_")).To(Equal(body(`{"type":"integer"}`)))
		Expect(t.at("components", "schemas", "P_a__2")).To(Equal(body(`{"type":"string"}`)))
		Expect(t.at("components", "schemas", "U")).To(Equal(body(`{"$ref":"#/components/schemas/P_a__2"}`)))
		Expect(t.at("components", "schemas", "stella.Problem", "type")).To(Equal("object"))
		Expect(t.at("components", "schemas", "stella.Problem_2", "type")).To(Equal("boolean"))
	})

	It("has the members of problems and faults that package spec has", func() {
		t := document(service("x", "1.0.0", nil), openapi.V31)
		for name, of := range map[string]reflect.Type{"stella.Problem": reflect.TypeFor[spec.Problem](), "stella.Fault": reflect.TypeFor[spec.Fault]()} {
			required, _ := t.at("components", "schemas", name, "required").([]any)
			for field := range of.Fields() {
				member, omitted := strings.CutSuffix(field.Tag.Get("json"), ",omitempty")
				Expect(t.at("components", "schemas", name, "properties", member)).NotTo(BeNil(), "%s of %s", member, name)
				Expect(slices.Contains(required, any(member))).To(Equal(!omitted), "%s of %s: required", member, name)
			}
		}
	})

	It("writes a body for no answer that has none", func() {
		m := service("x", "1.0.0", nil,
			spec.Endpoint{Method: "GET", Path: "/a", Status: 204, Statuses: []int{200}, Response: &spec.Schema{Type: "string"}},
			spec.Endpoint{Method: "HEAD", Path: "/b", Response: &spec.Schema{Type: "string"}},
			spec.Endpoint{Method: "POST", Path: "/c"})
		for _, v := range both {
			t := document(m, v)
			Expect(t.at("paths", "/a", "get", "responses", "204")).To(Equal(body(`{"description":"No Content"}`)))
			Expect(t.at("paths", "/a", "get", "responses", "200", "content", "application/json", "schema")).To(Equal(body(`{"type":"string"}`)))
			Expect(t.at("paths", "/b", "head", "responses", "200")).To(Equal(body(`{"description":"OK"}`)))
			Expect(t.at("paths", "/c", "post", "responses", "200")).To(Equal(body(`{"description":"OK"}`)))
			Expect(t.at("paths", "/c", "post", "requestBody")).To(BeNil())
		}
	})

	It("writes the answers of a WebSocket: 101, and 426 of the gateway's", func() {
		m := service("x", "1.0.0", nil,
			spec.Endpoint{Method: "GET", Path: "/chat", Kind: spec.KindHTTP, Status: 101, Stream: spec.StreamUpgrade})
		for _, v := range both {
			t := document(m, v)
			Expect(t.at("paths", "/chat", "get", "x-stella-stream")).To(Equal("upgrade"))
			Expect(t.at("paths", "/chat", "get", "responses", "101")).To(Equal(body(`{"description":"Switching Protocols"}`)))
			Expect(t.at("paths", "/chat", "get", "responses", "426")).NotTo(BeNil())
			Expect(t.at("paths", "/chat", "get", "responses", "200")).To(BeNil())
		}
	})

	It("asks for a body where it has a member that must come", func() {
		object := func(required ...string) *spec.Schema { return &spec.Schema{Type: "object", Required: required} }
		t := document(service("x", "1.0.0", map[string]*spec.Schema{"A": object("a"), "B": object(), "C": {Ref: "A"}},
			spec.Endpoint{Method: "POST", Path: "/a", Request: &spec.Schema{Ref: "A"}},
			spec.Endpoint{Method: "POST", Path: "/b", Request: &spec.Schema{Ref: "B"}},
			spec.Endpoint{Method: "POST", Path: "/c", Request: &spec.Schema{Ref: "C"}}), openapi.V31)
		Expect(t.at("paths", "/a", "post", "requestBody", "required")).To(BeTrue())
		Expect(t.at("paths", "/b", "post", "requestBody", "required")).To(BeNil())
		Expect(t.at("paths", "/c", "post", "requestBody", "required")).To(BeTrue())
	})

	It("adds a declared error to a success of the same status", func() {
		t := document(service("x", "1.0.0", nil, spec.Endpoint{
			Method: "GET", Path: "/a", Status: 409, Response: &spec.Schema{Type: "string"}, Errors: []spec.ErrorAnswer{{Code: "taken", Status: 409}},
		}), openapi.V31)
		Expect(t.at("paths", "/a", "get", "responses", "409", "content", "application/json")).NotTo(BeNil())
		Expect(t.at("paths", "/a", "get", "responses", "409", "content", "application/problem+json")).NotTo(BeNil())
	})

	It("refuses a version that it does not know", func() {
		_, err := openapi.Document(everything(), openapi.Options{Version: "2.0"})
		Expect(err).To(MatchError(And(ContainSubstring(`"2.0"`), ContainSubstring("3.0.3"))))
	})

	It("is of 3.1 unless told otherwise", func() {
		Expect(document(everything(), "").at("openapi")).To(Equal(string(openapi.V31)))
	})
})

var _ = Describe("a path in an OpenAPI document", func() {
	It("is one where only its parameters' names differ", func() {
		t := document(service("x", "1.0.0", nil,
			spec.Endpoint{Method: "GET", Path: "/a/{id}/b"},
			spec.Endpoint{Method: "PUT", Path: "/a/{key}/b", Params: []spec.Param{
				{Name: "key", In: spec.InPath, Required: true, Doc: "d", Schema: &spec.Schema{Type: "integer"}},
			}}), openapi.V31)
		Expect(t.at("paths")).To(HaveLen(1))
		Expect(t.at("paths", "/a/{id}/b", "put", "parameters")).To(Equal(body(
			`[{"name":"id","in":"path","required":true,"description":"d","schema":{"type":"integer"}}]`)))
	})

	It("that takes the rest says so", func() {
		t := document(service("x", "1.0.0", nil, spec.Endpoint{Method: "GET", Path: "/a/{rest...}"}), openapi.V31)
		Expect(t.at("paths", "/a/{rest}", "get", "parameters")).To(Equal(body(
			`[{"name":"rest","in":"path","required":true,"schema":{"type":"string"},"x-stella-wildcard":true}]`)))
	})

	It("that takes the rest shares a path with another method's parameter", func() {
		t := document(service("x", "1.0.0", nil,
			spec.Endpoint{Method: "GET", Path: "/a/{rest...}"}, spec.Endpoint{Method: "PUT", Path: "/a/{id}"}), openapi.V31)
		Expect(t.at("paths")).To(HaveLen(1))
		Expect(t.at("paths", "/a/{id}", "get", "parameters")).To(Equal(body(
			`[{"name":"id","in":"path","required":true,"schema":{"type":"string"},"x-stella-wildcard":true}]`)))
	})

	It("that takes the rest gives way to its own method's parameters, and keeps what they leave", func() {
		t := document(service("x", "1.0.0", nil,
			spec.Endpoint{Method: "GET", Path: "/a/{rest...}", Handler: "Rest"}, spec.Endpoint{Method: "GET", Path: "/a/{id}", Handler: "One"},
			spec.Endpoint{Method: "GET", Path: "/a/{id}/{sub}", Handler: "Two"}), openapi.V31)
		Expect(t.at("paths", "/a/{id}", "get", "operationId")).To(Equal("one"))
		Expect(t.at("paths", "/a/{id}/{sub}", "get", "operationId")).To(Equal("two"))
		Expect(t.at("paths", "/a/{rest1}/{rest2}/{rest}", "get", "operationId")).To(Equal("rest"))
	})
})

var _ = DescribeTable("operationIds", func(endpoints map[string]string, want map[string]string) {
	var all []spec.Endpoint
	for route, handler := range endpoints {
		method, path, _ := strings.Cut(route, " ")
		all = append(all, spec.Endpoint{Method: method, Path: path, Handler: handler})
	}
	t := document(service("x", "1.0.0", nil, all...), openapi.V31)
	for route, id := range want {
		method, path, _ := strings.Cut(route, " ")
		Expect(t.at("paths", path, strings.ToLower(method), "operationId")).To(Equal(id), route)
	}
},
	Entry("are the function's name",
		map[string]string{"POST /a": "Service.CreateInvoice", "GET /a": "GetURL", "GET /b": "URLOf", "GET /c": "ID", "GET /d": "m.example/p/q.T.V2Of"},
		map[string]string{"POST /a": "createInvoice", "GET /a": "getURL", "GET /b": "urlOf", "GET /c": "id", "GET /d": "v2Of"}),
	Entry("have the receiver where functions share a name",
		map[string]string{"GET /a": "A.Get", "GET /b": "B.Get", "GET /c": "C.Other"},
		map[string]string{"GET /a": "aGet", "GET /b": "bGet", "GET /c": "other"}),
	Entry("have the package where receivers share a name, too",
		map[string]string{"GET /a": "m.example/a.S.Get", "GET /b": "m.example/b.S.Get"},
		map[string]string{"GET /a": "aSGet", "GET /b": "bSGet"}),
	Entry("are method and path where one handler serves several",
		map[string]string{"GET /a/{id}": "S.Do", "POST /a": "S.Do"},
		map[string]string{"GET /a/{id}": "getAId", "POST /a": "postA"}),
	Entry("leave those of the gateway alone",
		map[string]string{"GET /a": "S.StellaJob"}, map[string]string{"GET /a": "sStellaJob"}),
	Entry("are told apart by numbers where nothing else is left",
		map[string]string{"GET /a-b": "Do", "GET /a.b": "Do"}, map[string]string{"GET /a-b": "getAB", "GET /a.b": "getAB_2"}),
	Entry("are method and path of a handler whose name has no letters",
		map[string]string{"GET /a": "Ж.Ñ"}, map[string]string{"GET /a": "getA"}),
)
