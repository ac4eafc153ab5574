package tsclient

import (
	"slices"
	"strings"

	"github.com/stella-ops/router/generator/artifact/client"
	"github.com/stella-ops/router/spec"
)

// What TypeScript calls types that have no name of their own.
const (
	tsBlob    = "Blob"
	tsString  = "string"
	tsUnknown = "unknown"
)

// expr is the type of a value of s, null included.
func (w *writer) expr(s *spec.Schema) string {
	if s == nil {
		return tsUnknown
	}
	if _, nullable := w.Resolve(s); nullable && w.base(s) != tsUnknown {
		return w.base(s) + " | null"
	}
	return w.base(s)
}

// base is expr without null.
func (w *writer) base(s *spec.Schema) string {
	if name := w.TypeName(s); name != "" {
		return name
	}
	return w.shape(s)
}

// shape is base for what has no name.
func (w *writer) shape(s *spec.Schema) string {
	if len(s.Enum) > 0 {
		values := make([]string, len(s.Enum))
		for i, v := range s.Enum {
			if values[i] = v; s.Type == spec.TypeString {
				values[i] = quote(v)
			}
		}
		return strings.Join(values, " | ")
	}
	switch s.Type {
	case spec.TypeString:
		if s.Format == "binary" {
			return tsBlob
		}
		return tsString
	case spec.TypeInteger, spec.TypeNumber:
		return "number"
	case spec.TypeBoolean:
		return "boolean"
	case spec.TypeArray:
		item := w.expr(s.Items)
		if strings.Contains(item, " ") {
			item = "(" + item + ")"
		}
		return item + "[]"
	case spec.TypeObject:
		return "{ [key: string]: " + w.expr(s.Values) + " }"
	}
	return tsUnknown
}

func (w *writer) writeType(t *client.Type) {
	w.comment("", doc(t.Schema)...)
	switch s := t.Schema; {
	case w.Circular(s):
		w.linef("export type %s = unknown;\n", t.Name)
	case len(s.Properties) > 0:
		w.linef("export interface %s {", t.Name)
		for _, name := range client.Members(s) {
			w.comment("  ", doc(s.Properties[name])...)
			w.linef("  %s%s: %s;", key(name), optional(slices.Contains(s.Required, name)), w.expr(s.Properties[name]))
		}
		w.linef("}\n")
	case s.Ref != "":
		w.linef("export type %s = %s;\n", t.Name, w.base(s))
	default:
		w.linef("export type %s = %s;\n", t.Name, w.shape(s))
	}
}

func optional(required bool) string {
	if required {
		return ""
	}
	return "?"
}

// doc is what a schema says of itself and asks for.
func doc(s *spec.Schema) []string {
	lines := client.Lines(s.Doc)
	if text := client.Constraints(s); text != "" {
		lines = append(lines, client.Lines("("+text+")")...)
	}
	return lines
}

func (w *writer) writeErrors() {
	for _, e := range w.Errors {
		lines := client.Lines(e.Doc)
		w.linef("")
		w.comment("", append(lines, client.Lines("The problem with code "+quote(e.Code)+" and status "+decimal(e.Status)+".")...)...)
		w.linef("export class %s extends ProblemError {", e.Name)
		if e.Details != nil {
			w.linef("  get details(): %s {\n    return this.problem.details as %s;\n  }", w.expr(e.Details), w.expr(e.Details))
		}
		w.linef("}")
	}
}
