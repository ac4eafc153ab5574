package openapi_test

import (
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/stella-ops/router/spec"
	"github.com/stella-ops/router/spec/openapi"
)

var _ = Describe("a document of several services", func() {
	item := func(kind string) map[string]*spec.Schema { return map[string]*spec.Schema{"Item": {Type: kind}} }
	get := func(path string) spec.Endpoint {
		return spec.Endpoint{Method: "GET", Path: path, Handler: "Get", Response: &spec.Schema{Ref: "Item"}}
	}
	merge := func(ms ...*spec.Manifest) (tree, []openapi.Conflict) {
		GinkgoHelper()
		raw, conflicts, err := openapi.Merge(openapi.Info{Title: "all", Version: "1"}, ms, openapi.Options{URL: gatewayURL})
		Expect(err).NotTo(HaveOccurred())
		return decoded(raw), conflicts
	}

	It("names operations and schemas after their services", func() {
		t, conflicts := merge(service("b", "1.0.0", item("string"), get("/b")), service("a.x", "1.0.0", item("integer"), get("/a")))
		Expect(conflicts).To(BeEmpty())
		Expect(t.at("info")).To(Equal(body(`{"title":"all","version":"1"}`)))
		Expect(t.at("paths", "/a", "get", "operationId")).To(Equal("aX_get"))
		Expect(t.at("paths", "/b", "get", "operationId")).To(Equal("b_get"))
		Expect(t.at("paths", "/b", "get", "x-stella-service")).To(Equal("b"))
		Expect(t.at("paths", "/b", "get", "responses", "200", "content", "application/json", "schema")).To(Equal(body(`{"$ref":"#/components/schemas/b.Item"}`)))
		Expect(t.at("components", "schemas", "b.Item", "type")).To(Equal("string"))
		Expect(t.at("components", "schemas", "a.x.Item", "type")).To(Equal("integer"))
		Expect(t.at("tags")).To(Equal(body(`[{"name":"a.x"},{"name":"b"}]`)))
	})

	It("leaves out what another service has, and tells it, whatever the order", func() {
		a := service("a", "1.0.0", item("string"), get("/x/{id}"))
		b := service("b", "2.0.0", item("string"), get("/x/{key}"), get("/y"))
		for _, order := range [][]*spec.Manifest{{a, b}, {b, a}} {
			t, conflicts := merge(order...)
			Expect(conflicts).To(HaveExactElements(openapi.Conflict{
				Method: "GET", Path: "/x/{key}", Service: "b", Version: "2.0.0", HeldBy: "a", HeldAt: "1.0.0",
			}))
			Expect(conflicts[0].String()).To(Equal("GET /x/{key} of b 2.0.0 is left out: a 1.0.0 has it"))
			Expect(t.at("paths")).To(And(HaveLen(2), HaveKey("/x/{id}"), HaveKey("/y")))
		}
	})

	It("prefers the highest version of a service, and keeps what only an older one has", func() {
		older := service("a", "1.9.0", item("string"), get("/x"), get("/old"))
		newer := service("a", "1.10.0", item("integer"), get("/x"))
		t, conflicts := merge(older, newer)
		Expect(conflicts).To(HaveExactElements(openapi.Conflict{Method: "GET", Path: "/x", Service: "a", Version: "1.9.0", HeldBy: "a", HeldAt: "1.10.0"}))
		Expect(t.at("components", "schemas", "a.Item", "type")).To(Equal("integer"))
		Expect(t.at("components", "schemas", "a-1.9.0.Item", "type")).To(Equal("string"))
		Expect(t.at("paths", "/old", "get", "responses", "200", "content", "application/json", "schema", "$ref")).
			To(Equal("#/components/schemas/a-1.9.0.Item"))
	})

	It("lets one service have a path, and another what is below it", func() {
		t, conflicts := merge(service("a", "1.0.0", item("string"), get("/x/{rest...}")), service("b", "1.0.0", item("string"), get("/x/{id}")))
		Expect(conflicts).To(BeEmpty())
		Expect(t.at("paths", "/x/{id}", "get", "x-stella-service")).To(Equal("b"))
		Expect(t.at("paths", "/x/{rest1}/{rest}", "get", "x-stella-service")).To(Equal("a"))
	})

	It("has the gateway's job paths once", func() {
		job := func(path string) spec.Endpoint {
			return spec.Endpoint{Method: "POST", Path: path, Idempotent: true, Queue: new(spec.DefaultQueueing), Response: &spec.Schema{Ref: "Item"}}
		}
		t, _ := merge(service("a", "1.0.0", item("string"), job("/a")), service("b", "1.0.0", item("string"), job("/b")))
		Expect(t.at("paths", "/_stella/jobs/{id}/result", "get", "responses", "200", "content", "application/json", "schema")).
			To(Equal(body(`{"anyOf":[{"$ref":"#/components/schemas/a.Item"},{"$ref":"#/components/schemas/b.Item"}]}`)))
	})

	It("of none is empty and sound", func() {
		t, conflicts := merge()
		Expect(conflicts).To(BeEmpty())
		Expect(t.at("paths")).To(BeEmpty())
	})

	It("refuses a manifest whose version is none", func() {
		_, _, err := openapi.Merge(openapi.Info{}, []*spec.Manifest{{Service: "a", Version: "one"}}, openapi.Options{})
		Expect(err).To(MatchError(ContainSubstring("manifest of a")))
	})
})
