package stella

import (
	"context"
	"errors"
	"fmt"

	"github.com/stella-ops/router/spec"
)

// Manifest is what a service offers: the bytes of its stella.manifest.json, which generated code embeds.
type Manifest struct {
	// JSON goes to the gateway as it is, byte for byte.
	JSON string
}

// Dispatch serves one call of an endpoint: it binds the request, calls the handler and writes the answer. Generated
// code has one for each endpoint. The context ends when the caller has left, when the endpoint's time is up, and when
// the service is stopped; [RequestFromContext] finds the request in it.
type Dispatch func(ctx context.Context, r *Request, w *Response) error

// Endpoint is one endpoint's dispatcher.
type Endpoint struct {
	Method   string // as in the manifest
	Path     string // the pattern, as in the manifest
	Dispatch Dispatch
}

// Endpoints are the dispatchers of one package. Generated code makes them from the package's handlers.
type Endpoints struct {
	Package string   // the Go package, for errors
	Missing []string // names of the fields of Handlers that are nil; Run refuses them
	List    []Endpoint
}

func (e Endpoints) apply(c *config) { c.endpoints = append(c.endpoints, e) }

// route is one endpoint as calls find it.
type route struct {
	endpoint *spec.Endpoint
	pattern  spec.Pattern
	dispatch Dispatch
}

// newRoutes puts the dispatchers into the manifest's order, so that a call finds its own by index. It reports every
// endpoint without a dispatcher, every dispatcher without an endpoint, and every handler that is nil.
func newRoutes(m *spec.Manifest, parts []Endpoints) ([]route, error) {
	var errs []error
	routes := make([]route, len(m.Endpoints))
	index := make(map[string]int, len(m.Endpoints))
	for i := range m.Endpoints {
		e := &m.Endpoints[i]
		pattern, err := spec.ParsePattern(e.Path)
		if err != nil {
			errs = append(errs, fmt.Errorf("stella: %s %s: %w", e.Method, e.Path, err))
		}
		routes[i] = route{endpoint: e, pattern: pattern}
		index[e.Method+" "+e.Path] = i
	}
	for _, part := range parts {
		for _, field := range part.Missing {
			errs = append(errs, fmt.Errorf("stella: %s.Handlers.%s is nil: give %s.Endpoints a handler there", part.Package, field, part.Package))
		}
		for _, e := range part.List {
			name := e.Method + " " + e.Path
			i, known := index[name]
			switch {
			case !known:
				errs = append(errs, fmt.Errorf("stella: %s.Endpoints serves %s, which the manifest of %s lacks: run go generate", part.Package, name, m.Service))
			case e.Dispatch == nil:
				errs = append(errs, fmt.Errorf("stella: %s.Endpoints has a nil dispatcher for %s: run go generate", part.Package, name))
			case routes[i].dispatch != nil:
				errs = append(errs, fmt.Errorf("stella: %s.Endpoints serves %s, which another argument of New serves already", part.Package, name))
			default:
				routes[i].dispatch = e.Dispatch
			}
		}
	}
	for i := range routes {
		if e := routes[i].endpoint; routes[i].dispatch == nil {
			errs = append(errs, fmt.Errorf("stella: nothing serves %s %s of %s: give New the Endpoints of the package that has %s", e.Method, e.Path, m.Service, e.Handler))
		}
	}
	return routes, errors.Join(errs...)
}
