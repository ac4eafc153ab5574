package lint

import (
	"time"

	"github.com/stella-ops/router/generator/diagnostic"
	"github.com/stella-ops/router/generator/emit"
	"github.com/stella-ops/router/generator/scan"
	"github.com/stella-ops/router/spec"
)

// service is a service as rules see it: its manifest, and where everything in it stands.
type service struct {
	*scan.Service

	manifest  *spec.Manifest
	endpoints []*endpoint
	params    []*param  // of all endpoints
	members   []*member // of all JSON bodies
	structs   []*object // that bodies are made of
	limits    Limits
	today     time.Time
}

// endpoint is an endpoint in the source and in the manifest.
type endpoint struct {
	*scan.Endpoint

	spec    *spec.Endpoint
	pattern spec.Pattern
	service *service
}

// name is the endpoint as findings call it.
func (e *endpoint) name() string { return e.Method + " " + e.Path }

// span is the endpoint's directive.
func (e *endpoint) span() scan.Span { return scan.Span{Pos: e.Pos, Width: e.Width} }

// key is where the value of a key stands, or the directive if the key is not said.
func (e *endpoint) key(name string) scan.Span {
	if at, said := e.Places.Keys[name]; said {
		return at
	}
	return e.span()
}

func (e *endpoint) says(key string) bool {
	_, said := e.Places.Keys[key]
	return said
}

// otherIsHere goes with the place of what a finding compares with.
const otherIsHere = "the other is here"

// param is a parameter of one endpoint's requests.
type param struct {
	spec     *spec.Param
	field    *scan.Field // nil in a handler that reads the request itself
	at       scan.Span
	endpoint *endpoint
}

// object is a struct type that JSON bodies are made of.
type object struct {
	*scan.Struct

	name    string // of the schema
	schema  *spec.Schema
	request bool // requests may have it
	service *service
}

// member is a member of a JSON object.
type member struct {
	*scan.Field

	schema *spec.Schema
	of     *object
}

func (m *member) span() scan.Span { return m.Source.Name }

// goName is the field's name in Go.
func (m *member) goName() string { return m.Selector[len(m.Selector)-1] }

func newService(svc *scan.Service, c Config) *service {
	m, structs := emit.Model(svc)
	s := &service{Service: svc, manifest: m, limits: c.Limits.withDefaults(), today: c.Today}
	for i, e := range svc.Endpoints() {
		s.addEndpoint(e, &m.Endpoints[i])
	}
	s.addObjects(structs)
	return s
}

func (s *service) addEndpoint(found *scan.Endpoint, described *spec.Endpoint) {
	e := &endpoint{Endpoint: found, spec: described, service: s}
	if p, err := spec.ParsePattern(found.Path); err == nil { // package directive has refused others
		e.pattern = p
	}
	s.endpoints = append(s.endpoints, e)
	fields := map[[2]string]*scan.Field{}
	if found.In != nil {
		for _, f := range found.In.Fields {
			fields[[2]string{f.In, f.Name}] = f
		}
	}
	for i := range described.Params {
		p := &param{spec: &described.Params[i], at: found.Places.Path, endpoint: e}
		if f := fields[[2]string{p.spec.In, p.spec.Name}]; f != nil {
			p.field, p.at = f, f.Source.Name
		}
		s.params = append(s.params, p)
	}
}

// addObjects notes the types that bodies are made of, by the schemas that refer to them.
func (s *service) addObjects(structs map[string]*scan.Struct) {
	requests := map[string]bool{}
	for i := range s.manifest.Endpoints {
		s.reach(s.manifest.Endpoints[i].Request, requests)
	}
	for _, name := range sortedKeys(s.manifest.Schemas) {
		found := structs[name]
		if found == nil {
			continue
		}
		o := &object{Struct: found, name: name, schema: s.manifest.Schemas[name], request: requests[name], service: s}
		s.structs = append(s.structs, o)
		for _, f := range found.Fields {
			if schema := o.schema.Properties[f.Name]; schema != nil && f.In == spec.InBody {
				s.members = append(s.members, &member{Field: f, schema: schema, of: o})
			}
		}
	}
}

// reach notes the named schemas that a schema is made of.
func (s *service) reach(schema *spec.Schema, seen map[string]bool) {
	switch {
	case schema == nil:
	case schema.Ref != "":
		if !seen[schema.Ref] {
			seen[schema.Ref] = true
			s.reach(s.manifest.Schemas[schema.Ref], seen)
		}
	default:
		for _, p := range schema.Properties {
			s.reach(p, seen)
		}
		s.reach(schema.Items, seen)
		s.reach(schema.Values, seen)
	}
}

// apply runs a rule on everything that it looks at.
func (s *service) apply(r *rule, list *diagnostic.List) {
	report := &reporter{rule: r, list: list}
	if r.service != nil {
		r.service(report, s)
	}
	if r.endpoint != nil {
		for _, e := range s.endpoints {
			report.endpoint = e.name()
			r.endpoint(report, e)
		}
	}
	if r.param != nil {
		for _, p := range s.params {
			report.endpoint = p.endpoint.name()
			r.param(report, p)
		}
	}
	report.endpoint = ""
	if r.object != nil {
		for _, o := range s.structs {
			r.object(report, o)
		}
	}
	if r.member != nil {
		for _, m := range s.members {
			r.member(report, m)
		}
	}
}

// reporter takes the findings of one rule.
type reporter struct {
	rule     *rule
	list     *diagnostic.List
	endpoint string
}

// at reports a finding. The result is good until the next.
func (r *reporter) at(span scan.Span, format string, args ...any) *diagnostic.Finding {
	f := r.list.Addf(r.rule.ID, span.Pos, span.Width, format, args...)
	f.Severity, f.Endpoint = r.rule.Severity, r.endpoint
	return f
}
