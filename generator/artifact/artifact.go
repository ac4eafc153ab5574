// Package artifact makes what is not Go code of the service from a manifest: documents, clients, alerts. Every artifact
// is a pure function of the manifest and its options, so it can be made without the source, and checked byte for byte.
package artifact

import (
	"slices"

	"github.com/stella-ops/router/generator/override"
	"github.com/stella-ops/router/spec"
)

// Options are what an artifact may depend on beside the manifest.
type Options struct {
	URL     string // where callers reach the gateway; DefaultURL if empty
	Package string // name of a Go client's package; the service's name and "client" if empty
}

// DefaultURL is where a gateway listens unless it is told otherwise.
const DefaultURL = "http://127.0.0.1:8080"

// Kind is one artifact.
type Kind struct {
	Name   string // as stellagen export takes it
	File   string // its file's name unless told otherwise
	Doc    string // one sentence
	Render func(*spec.Manifest, Options) ([]byte, error)
}

// Kinds returns all artifacts, in the order of their documentation.
func Kinds() []Kind { return slices.Clone(kinds) }

// Find returns the kind of this name.
func Find(name string) (Kind, bool) {
	i := slices.IndexFunc(kinds, func(k Kind) bool { return k.Name == name })
	if i < 0 {
		return Kind{}, false
	}
	return kinds[i], true
}

var kinds = []Kind{
	{"openapi", "openapi.json", "OpenAPI 3.1: endpoints, types and answers, for tools and readers of HTTP interfaces.", openAPI31},
	{"openapi30", "openapi30.json", "OpenAPI 3.0.3, for tools that do not read 3.1 yet.", openAPI30},
	{"jsonschema", "schema.json", "JSON Schema 2020-12 of all types, and of each endpoint's request and response.", jsonSchema},
	{"overrideschema", override.SchemaName, "JSON Schema of stella.yaml, for editors: the keys, and the service's endpoints.", overrideSchema},
	{"goclient", "client.go", "A client in Go, of the standard library only: an interface, its implementation, and a fake for tests.", goClient},
	{"tsclient", "client.ts", "A client in TypeScript, without dependencies, for browsers and Node.js.", tsClient},
	{"markdown", "api.md", "A reference of all endpoints and types, in Markdown.", markdown},
	{"html", "api.html", "The same as one HTML file, which is searched, and read without a network.", html},
	{"http", "api.http", "A call of each endpoint with example values, for the HTTP clients of editors.", httpFile},
	{"prometheus", "alerts.yaml", "Rules for Prometheus: alerts where an endpoint with an slo spends its error budget too fast.", prometheus},
	{"prometheustest", "alerts_test.yaml", "Unit tests of these rules, for promtool.", prometheusTest},
	{"grafana", "dashboard.json", "A dashboard for Grafana, of metrics that gateways have.", grafana},
}
