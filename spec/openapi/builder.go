package openapi

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/stella-ops/router/spec"
)

// builder puts a document together from the endpoints of one or more manifests.
type builder struct {
	dialect

	doc       document
	taken     names               // of components
	ids       names               // of operations
	shapes    map[string]template // paths of the document by their shape: OpenAPI takes other names for the same path
	held      map[string]*writer  // by identity of an endpoint, who has it
	conflicts []Conflict
	jobs      bool     // there is an endpoint with a queue
	results   []schema // of such endpoints
}

// writer writes what one manifest has.
type writer struct {
	dialect

	manifest *spec.Manifest
	label    string // names the service in documents of several; else empty
}

func newBuilder(o Options) (*builder, error) {
	if o.Version == "" {
		o.Version = V31
	}
	if o.Version != V31 && o.Version != V30 {
		return nil, fmt.Errorf("%w %.40q, expected %s or %s", errVersion, o.Version, V31, V30)
	}
	b := &builder{
		dialect: dialect{old: o.Version == V30, at: "#/components/schemas/"},
		taken:   names{}, ids: names{jobID: 1, jobResultID: 1}, shapes: map[string]template{}, held: map[string]*writer{},
	}
	b.doc.OpenAPI, b.doc.Paths = o.Version, map[string]map[string]*operation{}
	if o.URL != "" {
		b.doc.Servers = []server{{o.URL}}
	}
	own := problemSchemas(&b.dialect)
	own[brokenSchema], own[jobSchema] = brokenSequence(&b.dialect), jobStatus()
	for name := range own {
		b.taken[name] = 1
	}
	b.doc.Components.Schemas = own
	b.doc.Components.Responses = map[string]*response{problemSchema: problemAnswer(&b.dialect)}
	return b, nil
}

// writer begins a manifest: it names and writes its schemas.
func (b *builder) writer(m *spec.Manifest, label string) *writer {
	w := &writer{dialect: b.dialect, manifest: m, label: label}
	w.names, w.schemas = make(map[string]string, len(m.Schemas)), m.Schemas
	sorted := slices.Sorted(maps.Keys(m.Schemas))
	for _, name := range sorted {
		want := componentName(name)
		if label != "" && !strings.HasPrefix(want, label+".") {
			want = label + "." + want
		}
		w.names[name] = b.taken.unique(want)
	}
	for _, name := range sorted {
		b.doc.Components.Schemas[w.names[name]] = w.schema(m.Schemas[name])
	}
	return w
}

// endpoints adds those of all manifests. Paths that take the rest come last: see place.
func (b *builder) endpoints(writers []*writer) error {
	ids := make([][]string, len(writers))
	for i, w := range writers {
		ids[i] = operationIDs(w.manifest.Endpoints)
	}
	for _, rest := range []bool{false, true} {
		for i, w := range writers {
			for k := range w.manifest.Endpoints {
				e := &w.manifest.Endpoints[k]
				pattern, err := spec.ParsePattern(e.Path)
				if err != nil {
					return fmt.Errorf("openapi: %s of %s: %w", e.Method, w.manifest.Service, err)
				}
				if pattern.HasRest() == rest {
					b.endpoint(w, e, pattern, ids[i][k])
				}
			}
		}
	}
	return nil
}

func (b *builder) endpoint(w *writer, e *spec.Endpoint, pattern spec.Pattern, id string) {
	identity := e.Method + " " + pattern.Identity()
	if other := b.held[identity]; other != nil {
		b.conflicts = append(b.conflicts, Conflict{
			Method: e.Method, Path: e.Path, Service: w.manifest.Service, Version: w.manifest.Version,
			HeldBy: other.manifest.Service, HeldAt: other.manifest.Version,
		})
		return
	}
	b.held[identity] = w
	if w.label != "" {
		id = camel([]string{w.label}) + "_" + id
	}
	path := b.place(e.Method, pattern)
	op := w.operation(e, b.ids.unique(id), path)
	if w.label != "" {
		op.Service = w.manifest.Service
	}
	b.doc.Paths[path.text][strings.ToLower(e.Method)] = op
	if e.Queue != nil {
		b.jobs = true
		if e.Response != nil {
			b.results = append(b.results, w.schema(e.Response))
		}
	}
}

// place finds a path of the document for an endpoint. To OpenAPI /files/{name} and /files/{rest} are one path, to the
// router /files/{name} and /files/{rest...} are two. Where both have the method, the first gets all paths of one
// segment, so that the other is written as /files/{rest1}/{rest}.
func (b *builder) place(method string, pattern spec.Pattern) template {
	for extra := 0; ; extra++ {
		t := newTemplate(pattern, extra)
		if same, known := b.shapes[t.shape]; known {
			t = t.as(same)
		}
		if b.doc.Paths[t.text][strings.ToLower(method)] != nil {
			continue
		}
		if b.doc.Paths[t.text] == nil {
			b.doc.Paths[t.text] = map[string]*operation{}
			b.shapes[t.shape] = t
		}
		return t
	}
}

// finish adds what endpoints have in common, and writes the document.
func (b *builder) finish() ([]byte, error) {
	secured, broken := b.jobs, false
	tags := map[string]bool{}
	for _, path := range b.doc.Paths {
		for _, op := range path {
			secured = secured || len(op.Security) > 0
			broken = broken || op.sequence()
			for _, t := range op.Tags {
				tags[t] = true
			}
		}
	}
	if b.jobs {
		tags[gatewayTag] = true
		maps.Copy(b.doc.Paths, jobPaths(&b.dialect, b.results))
	} else {
		delete(b.doc.Components.Schemas, jobSchema)
	}
	if !broken {
		delete(b.doc.Components.Schemas, brokenSchema)
	}
	if secured {
		b.doc.Components.SecuritySchemes = map[string]securityScheme{bearer: {
			Type: "http", Scheme: "bearer", BearerFormat: "JWT", Description: "The token must hold the claims that x-stella-claims lists.",
		}}
	}
	for _, name := range slices.Sorted(maps.Keys(tags)) {
		b.doc.Tags = append(b.doc.Tags, tag{name})
	}
	return encode(&b.doc)
}

// sequence reports whether an operation answers with a sequence.
func (op *operation) sequence() bool {
	for _, r := range op.Responses {
		if r.Content[mediaLines] != nil {
			return true
		}
	}
	return false
}
