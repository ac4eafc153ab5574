package reference

import (
	"bytes"
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/stella-ops/router/generator/artifact/example"
	"github.com/stella-ops/router/spec"
)

func itoa(i int) string { return strconv.Itoa(i) }

// reader makes the page of a manifest.
type reader struct {
	m     *spec.Manifest
	types map[string]string // the IDs of the manifest's schemas
	ids   ids
}

// typeOf is a schema in words.
func (r *reader) typeOf(s *spec.Schema) typeText {
	if s == nil {
		return nil
	}
	var t typeText
	switch {
	case s.Ref != "":
		t = typeText{{s.Ref, r.types[s.Ref]}}
	case s.Type == spec.TypeArray:
		t = append(typeText{{Text: "array of "}}, r.typeOf(s.Items)...)
		if s.Items == nil {
			t = typeText{{Text: "array"}}
		}
	case s.Type == spec.TypeObject && s.Values != nil:
		t = append(typeText{{Text: "object, each member a "}}, r.typeOf(s.Values)...)
	case s.Type == "":
		t = typeText{{Text: "any value"}}
	case s.Format != "":
		t = typeText{{Text: s.Type + " (" + s.Format + ")"}}
	default:
		t = typeText{{Text: s.Type}}
	}
	if s.Nullable && s.Type+s.Ref != "" {
		t = append(slices.Clip(t), part{Text: ", or null"})
	}
	return t
}

// String is the type in words alone.
func (t typeText) String() string {
	var b strings.Builder
	for _, p := range t {
		b.WriteString(p.Text)
	}
	return b.String()
}

// constraints are what a value has to keep to beside its type. Those of an array's items and of a map's values are among
// them, since those have no row of their own.
func constraints(s *spec.Schema) []string {
	if s == nil {
		return nil
	}
	var list []string
	add := func(is bool, words ...string) {
		if is {
			list = append(list, strings.Join(words, " "))
		}
	}
	add(len(s.Enum) > 0, "one of", strings.Join(s.Enum, ", "))
	add(s.Minimum != "", "at least", s.Minimum)
	add(s.Above != "", "more than", s.Above)
	add(s.Maximum != "", "at most", s.Maximum)
	add(s.Below != "", "less than", s.Below)
	add(s.MultipleOf != "", "a multiple of", s.MultipleOf)
	between := func(least int, most *int, what string) {
		switch {
		case most != nil && least == *most:
			add(true, "exactly", itoa(least), what)
		case most != nil && least > 0:
			add(true, itoa(least), "to", itoa(*most), what)
		case most != nil:
			add(true, "at most", itoa(*most), what)
		case least > 0:
			add(true, "at least", itoa(least), what)
		}
	}
	between(s.MinLength, s.MaxLength, "characters")
	add(s.Pattern != "", "matches", s.Pattern)
	between(s.MinItems, s.MaxItems, "items")
	add(s.Unique, "no two items alike")
	if s.Default != nil {
		add(true, "default", *s.Default)
	}
	for _, inner := range []*spec.Schema{s.Items, s.Values} {
		for _, c := range constraints(inner) {
			list = append(list, "each "+c)
		}
	}
	return list
}

// members are the rows of an object, in the order of their names. Those of objects without a name follow the member that
// holds them, with its name before theirs.
func (r *reader) members(s *spec.Schema) []row {
	var rows []row
	for _, name := range slices.Sorted(maps.Keys(s.Properties)) {
		p := s.Properties[name]
		rows = append(rows, row{
			Name: name, Required: slices.Contains(s.Required, name), Type: r.typeOf(p), Constraints: constraints(p), Doc: p.Doc,
		})
		inner, suffix := p, ""
		for inner.Items != nil || inner.Values != nil {
			if inner.Items != nil {
				inner, suffix = inner.Items, suffix+"[]"
			} else {
				inner, suffix = inner.Values, suffix+".*"
			}
		}
		for _, m := range r.members(inner) {
			m.Name = name + suffix + "." + m.Name
			rows = append(rows, m)
		}
	}
	return rows
}

// body is a schema as what a request or answer carries.
func (r *reader) body(media string, s *spec.Schema) *body {
	b := &body{Media: media, Type: r.typeOf(s)}
	if s == nil {
		return b
	}
	inner := s
	for inner.Items != nil {
		inner = inner.Items
	}
	b.Rows = r.members(inner)
	if v, err := example.Of(r.m, s); err == nil && media == mediaJSON {
		b.Example = indented(v)
	}
	return b
}

const mediaJSON = "application/json"

func indented(v any) string {
	var out bytes.Buffer
	e := json.NewEncoder(&out)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(v); err != nil { // an example is made of what JSON has
		return ""
	}
	return strings.TrimSpace(out.String())
}
