package client

import (
	"maps"
	"regexp"
	"slices"

	"github.com/stella-ops/router/spec"
)

// qualifier is a package's name before a type's.
var qualifier = regexp.MustCompile(`[\pL\pN_]+\.`)

// nameSchemas names the manifest's schemas: as the type without its package, unless there are two of them.
func (m *Model) nameSchemas() {
	keys := slices.Sorted(maps.Keys(m.Manifest.Schemas))
	short := func(key string) string { return Exported(qualifier.ReplaceAllString(key, "")) }
	count := map[string]int{}
	for _, key := range keys {
		count[short(key)]++
	}
	details := map[string]string{} // by key, the error whose details these are
	for _, e := range m.Errors {
		if e.Details != nil && e.Details.Ref != "" && details[e.Details.Ref] == "" {
			details[e.Details.Ref] = e.Name
		}
	}
	for _, key := range keys {
		candidates := []string{short(key), Exported(key)}
		switch {
		case count[candidates[0]] > 1:
			candidates = candidates[1:]
		case details[key] == candidates[0]: // the error has the name
			candidates = []string{details[key] + "Details", Exported(key)}
		}
		m.add(m.Manifest.Schemas[key], candidates...)
		m.refs[key] = m.named[m.Manifest.Schemas[key]]
	}
}

func (m *Model) add(s *spec.Schema, candidates ...string) {
	if m.named[s] == "" {
		m.named[s] = m.Names.Take(candidates...)
		m.Types = append(m.Types, &Type{Name: m.named[s], Schema: s})
	}
}

// nameInline names objects and enumerations that have no name in the manifest, by where they stand.
func (m *Model) nameInline() {
	for _, t := range slices.Clone(m.Types) {
		m.nameWithin(t.Schema, t.Name)
	}
	for _, call := range m.Calls {
		for _, p := range call.Params {
			m.name(p.Schema, call.Name+Exported(p.Name))
		}
		m.name(call.Request, call.Name+"Body")
		m.name(call.Response, call.Name+"Response")
		for _, h := range call.Headers {
			m.name(h.Schema, call.Name+Exported(h.Name))
		}
	}
	for _, e := range m.Errors {
		m.name(e.Details, e.Name+"Details")
	}
}

// name names s, if it needs a name, and what is within.
func (m *Model) name(s *spec.Schema, name string) {
	if s == nil || s.Ref != "" {
		return
	}
	if len(s.Properties) > 0 || len(s.Enum) > 0 {
		m.add(s, name)
		name = m.named[s]
	}
	m.nameWithin(s, name)
}

func (m *Model) nameWithin(s *spec.Schema, name string) {
	for _, member := range Members(s) {
		m.name(s.Properties[member], name+Exported(member))
	}
	m.name(s.Items, name+"Item")
	m.name(s.Values, name+"Value")
}

// Members are the names of an object's properties, sorted.
func Members(s *spec.Schema) []string { return slices.Sorted(maps.Keys(s.Properties)) }

// TypeName is the name of the type that s is, or empty.
func (m *Model) TypeName(s *spec.Schema) string {
	if s.Ref != "" {
		return m.refs[s.Ref]
	}
	return m.named[s]
}

// Resolve follows references. Those that lead in a circle lead to a schema that allows anything.
func (m *Model) Resolve(s *spec.Schema) (target *spec.Schema, nullable bool) {
	seen := map[string]bool{}
	for {
		nullable = nullable || s.Nullable
		if s.Ref == "" {
			return s, nullable
		}
		if seen[s.Ref] {
			return &spec.Schema{}, nullable
		}
		seen[s.Ref] = true
		s = m.Manifest.Schemas[s.Ref]
	}
}

// Circular reports whether s is a reference that leads to itself.
func (m *Model) Circular(s *spec.Schema) bool {
	target, _ := m.Resolve(s)
	return s.Ref != "" && target.Type == "" && m.TypeName(target) == ""
}

// markSent marks the types that requests hold.
func (m *Model) markSent() {
	sent := map[*spec.Schema]bool{}
	for _, call := range m.Calls {
		m.reach(call.Request, sent)
	}
	for _, t := range m.Types {
		t.Sent = sent[t.Schema]
	}
}

// reach adds s to seen, and all that is in it.
func (m *Model) reach(s *spec.Schema, seen map[*spec.Schema]bool) {
	if s == nil || seen[s] {
		return
	}
	seen[s] = true
	if s.Ref != "" {
		m.reach(m.Manifest.Schemas[s.Ref], seen)
	}
	for _, p := range s.Properties {
		m.reach(p, seen)
	}
	m.reach(s.Items, seen)
	m.reach(s.Values, seen)
}

// Within reports whether a value of inner may hold one of outer.
func (m *Model) Within(outer, inner *spec.Schema) bool {
	seen := map[*spec.Schema]bool{}
	m.reach(inner, seen)
	return seen[outer]
}
