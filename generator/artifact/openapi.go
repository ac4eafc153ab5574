package artifact

import (
	"github.com/stella-ops/router/spec"
	"github.com/stella-ops/router/spec/openapi"
)

func openAPI31(m *spec.Manifest, o Options) ([]byte, error) { return openAPI(m, o, openapi.V31) }

func openAPI30(m *spec.Manifest, o Options) ([]byte, error) { return openAPI(m, o, openapi.V30) }

func openAPI(m *spec.Manifest, o Options, v openapi.Version) ([]byte, error) {
	if o.URL == "" {
		o.URL = DefaultURL
	}
	return openapi.Document(m, openapi.Options{Version: v, URL: o.URL})
}

func jsonSchema(m *spec.Manifest, _ Options) ([]byte, error) { return openapi.JSONSchema(m) }
