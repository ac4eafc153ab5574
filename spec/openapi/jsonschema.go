package openapi

import (
	"maps"
	"slices"

	"github.com/stella-ops/router/spec"
)

// JSONSchema writes the types of a manifest as one JSON Schema document (2020-12): under $defs every schema, and for
// every endpoint that has them OPERATION.request and OPERATION.response, by the operationId that OpenAPI documents have.
// m has passed [spec.Manifest.Check].
func JSONSchema(m *spec.Manifest) ([]byte, error) {
	d := dialect{at: "#/$defs/", names: make(map[string]string, len(m.Schemas)), schemas: m.Schemas}
	taken := names{}
	sorted := slices.Sorted(maps.Keys(m.Schemas))
	for _, name := range sorted {
		d.names[name] = taken.unique(componentName(name))
	}
	defs := make(map[string]schema, len(m.Schemas))
	for _, name := range sorted {
		defs[d.names[name]] = d.schema(m.Schemas[name])
	}
	for i, id := range operationIDs(m.Endpoints) {
		e := &m.Endpoints[i]
		if e.Request != nil {
			request := d.schema(e.Request)
			if e.Unknown == "" { // unknown members are refused
				request["unevaluatedProperties"] = false
			}
			defs[taken.unique(id+".request")] = request
		}
		if e.Response != nil {
			defs[taken.unique(id+".response")] = d.schema(e.Response)
		}
	}
	out := schema{"$schema": "https://json-schema.org/draft/2020-12/schema", "title": m.Service + " " + m.Version, "$defs": defs}
	if m.Doc != "" {
		out["description"] = m.Doc
	}
	return encode(out)
}
