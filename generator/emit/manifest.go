package emit

import (
	"fmt"
	"go/types"
	"maps"
	"slices"
	"strings"

	"github.com/stella-ops/router/generator/scan"
	"github.com/stella-ops/router/spec"
)

// Manifest is the canonical JSON of the service's manifest.
func Manifest(svc *scan.Service) ([]byte, error) {
	m, _ := Model(svc)
	encoded, err := m.Encode()
	if err != nil {
		return nil, fmt.Errorf("emit: manifest of %s: %w", svc.Own.ImportPath, err)
	}
	return encoded, nil
}

// Model is the service's manifest before it is encoded, its endpoints in the order of svc.Endpoints, and the struct types
// that its schemas are of.
func Model(svc *scan.Service) (m *spec.Manifest, types map[string]*scan.Struct) {
	endpoints := svc.Endpoints()
	structs := structsOf(endpoints)
	names := schemaNames(structs)
	shown := shownStructs(endpoints)
	m = &spec.Manifest{
		Service: svc.Name, Version: svc.Version, Owner: svc.Owner, Doc: svc.Doc, Endpoints: []spec.Endpoint{},
		Schemas: map[string]*spec.Schema{},
	}
	types = map[string]*scan.Struct{}
	for _, e := range endpoints {
		m.Endpoints = append(m.Endpoints, descriptor(e, names))
	}
	for _, s := range structs {
		if shown[s.Key] {
			m.Schemas[names[s.Key]], types[names[s.Key]] = objectSchema(s, names), s
		}
	}
	return m, types
}

func descriptor(e *scan.Endpoint, names map[string]string) spec.Endpoint {
	d := spec.Endpoint{
		Method: e.Method, Path: e.Path, Handler: e.Handler(), Kind: e.Kind, Status: e.Status, Stream: e.Stream,
		Idempotent: e.Idempotent, Public: e.Public, Claims: e.Claims, Limits: e.Limits, Queue: e.Queue, Tags: e.Tags, Doc: e.Doc,
		Deprecated: e.Deprecated, Statuses: e.Statuses, Unknown: e.Unknown, SLO: e.SLO, WithinMS: e.WithinMS, Stability: e.Stability, Sunset: e.Sunset,
	}
	for _, a := range e.Errors {
		answer := spec.ErrorAnswer{Code: a.Code, Status: a.Status, Doc: a.Doc}
		if a.Details != nil {
			answer.Details = &spec.Schema{Ref: names[a.Details.Key]}
		}
		d.Errors = append(d.Errors, answer)
	}
	slices.SortFunc(d.Errors, func(a, b spec.ErrorAnswer) int { return strings.Compare(a.Code, b.Code) })
	if e.Kind == spec.KindRaw || e.Kind == spec.KindHTTP {
		d.Params = pathParams(e.Path)
	}
	if e.In != nil {
		for _, in := range []string{spec.InPath, spec.InQuery, spec.InHeader, spec.InCookie} {
			for _, f := range e.In.Fields {
				if f.In == in {
					d.Params = append(d.Params, spec.Param{Name: f.Name, In: in, Required: f.Required, Doc: f.Doc, Schema: f.Type.Schema})
				}
			}
		}
		if e.HasBody() && (hasMembers(e.In) || e.In.IsForm()) {
			d.Request = &spec.Schema{Ref: names[e.In.Key]}
		}
		if e.HasBody() && e.In.IsForm() {
			d.Consumes = spec.MediaForm
		}
		if e.HasBody() && e.In.HasFiles() {
			d.Consumes = spec.MediaMultipart
		}
	}
	if e.Out != nil {
		d.Response, d.Headers = &spec.Schema{Ref: names[e.Out.Key]}, headers(e.Out)
	}
	d.Events = e.Events
	if e.Item != nil {
		d.Response = named(e.Item.Schema, names)
	}
	return d
}

// headers are the header fields of a result.
func headers(out *scan.Struct) []spec.Param {
	var list []spec.Param
	for _, f := range out.Fields {
		if f.In != spec.InHeader {
			continue
		}
		schema := f.Type.Schema
		if f.Type.Kind == scan.Time {
			schema = &spec.Schema{Type: spec.TypeString, Format: "http-date"}
		}
		list = append(list, spec.Param{Name: f.Name, In: spec.InHeader, Doc: f.Doc, Schema: schema})
	}
	return list
}

// pathParams are the parameters of a handler that reads the request itself: text.
func pathParams(path string) []spec.Param {
	pattern, err := spec.ParsePattern(path)
	if err != nil {
		return nil // the directive's parser has let it pass; the manifest's check reports it
	}
	var params []spec.Param
	for _, name := range pattern.Params() {
		params = append(params, spec.Param{Name: name, In: spec.InPath, Required: true, Schema: &spec.Schema{Type: spec.TypeString}})
	}
	return params
}

func hasMembers(s *scan.Struct) bool {
	return slices.ContainsFunc(s.Fields, func(f *scan.Field) bool { return f.In == spec.InBody })
}

// shownStructs are those that request and response bodies are made of. The others are nothing but the parameters of
// endpoints, which tell all of them.
func shownStructs(endpoints []*scan.Endpoint) map[string]bool {
	shown := map[string]bool{}
	var visit func(t *scan.Type)
	body := func(s *scan.Struct) {
		if s == nil || shown[s.Key] {
			return
		}
		shown[s.Key] = true
		for _, f := range s.Fields {
			if f.In == spec.InBody {
				visit(f.Type)
			}
		}
	}
	visit = func(t *scan.Type) {
		for ; t != nil; t = t.Elem {
			body(t.Struct)
		}
	}
	for _, e := range endpoints {
		if e.In != nil && e.HasBody() && (hasMembers(e.In) || e.In.IsForm()) {
			body(e.In)
		}
		body(e.Out)
		visit(e.Item)
		for _, a := range e.Errors {
			body(a.Details)
		}
	}
	return shown
}

func objectSchema(s *scan.Struct, names map[string]string) *spec.Schema {
	o := &spec.Schema{Type: "object", Doc: s.Doc}
	for _, f := range s.Fields {
		if f.In != spec.InBody && f.In != scan.InForm {
			continue
		}
		if o.Properties == nil {
			o.Properties = map[string]*spec.Schema{}
		}
		member := named(f.Type.Schema, names)
		member.Doc = f.Doc
		member.Nullable = member.Nullable && !f.Required
		o.Properties[f.Name] = member
		if f.Required {
			o.Required = append(o.Required, f.Name)
		}
	}
	slices.Sort(o.Required)
	return o
}

// named puts the manifest's names into the references of a schema.
func named(s *spec.Schema, names map[string]string) *spec.Schema {
	if s == nil {
		return nil
	}
	c := *s
	if c.Ref != "" {
		c.Ref = names[c.Ref]
	}
	c.Items, c.Values = named(c.Items, names), named(c.Values, names)
	return &c
}

// structsOf lists every struct that the endpoints' inputs and results are made of, by full name.
func structsOf(endpoints []*scan.Endpoint) []*scan.Struct {
	found := map[string]*scan.Struct{}
	var visit func(s *scan.Struct)
	visit = func(s *scan.Struct) {
		if s == nil || found[s.Key] != nil {
			return
		}
		found[s.Key] = s
		for _, f := range s.Fields {
			for t := f.Type; t != nil; t = t.Elem {
				visit(t.Struct)
			}
		}
	}
	for _, e := range endpoints {
		visit(e.In)
		visit(e.Out)
		for t := e.Item; t != nil; t = t.Elem {
			visit(t.Struct)
		}
		for _, a := range e.Errors {
			visit(a.Details)
		}
	}
	var list []*scan.Struct
	for _, key := range slices.Sorted(maps.Keys(found)) {
		list = append(list, found[key])
	}
	return list
}

// schemaNames names structs as package.Type. Where two packages of one name have a type of one name, their import
// paths tell them apart.
func schemaNames(structs []*scan.Struct) map[string]string {
	short := func(p *types.Package) string { return p.Name() }
	count := map[string]int{}
	for _, s := range structs {
		count[types.TypeString(s.Go, short)]++
	}
	names := map[string]string{}
	for _, s := range structs {
		name := types.TypeString(s.Go, short)
		if count[name] > 1 {
			name = s.Key
		}
		names[s.Key] = plain(name)
	}
	return names
}

// plain replaces the brackets of type arguments, which have no place in the names of OpenAPI components.
func plain(name string) string {
	return strings.TrimRight(brackets.Replace(name), "_")
}

var brackets = strings.NewReplacer("[", "_", "]", "_", ",", "_", "*", "", "/", "_")
