package emit

import (
	"fmt"
	"strings"

	"github.com/dave/jennifer/jen"

	"github.com/stella-ops/router/generator/scan"
	"github.com/stella-ops/router/spec"
)

// rule lists the fields of the stella.Rule that checks what a type's schema asks for; none if it asks for nothing.
func rule(t *scan.Type) []jen.Code {
	var fields []jen.Code
	s := t.Schema
	text := func(name, value string) {
		if value != "" {
			fields = append(fields, jen.Id(name).Op(":").Lit(value))
		}
	}
	number := func(name string, value int) {
		if value != 0 {
			fields = append(fields, jen.Id(name).Op(":").Lit(value))
		}
	}
	switch t.Kind {
	case scan.Pointer, scan.Optional:
		return rule(t.Elem)
	case scan.Slice, scan.Map, scan.Array:
		if t.Kind == scan.Slice { // an array's length is checked anyway
			number("MinItems", s.MinItems)
			number("MaxItems", most(s.MaxItems))
		}
		if s.Unique {
			fields = append(fields, jen.Id("Unique").Op(":").True())
		}
		if each := rule(t.Elem); each != nil {
			fields = append(fields, jen.Id("Each").Op(":").Op("&").Add(stella("Rule")).Values(each...))
		}
	case scan.Int, scan.Uint, scan.Float, scan.Duration:
		if t.Kind != scan.Uint || s.Minimum != "0" { // the type's own
			text("Minimum", s.Minimum)
		}
		text("Maximum", s.Maximum)
		text("Above", s.Above)
		text("Below", s.Below)
		text("MultipleOf", s.MultipleOf)
		fields = append(fields, enum(s)...)
	case scan.String, scan.Text:
		number("MinLength", s.MinLength)
		number("MaxLength", most(s.MaxLength))
		text("Pattern", s.Pattern)
		text("Format", s.Format)
		fields = append(fields, enum(s)...)
	case scan.Invalid, scan.Bool, scan.Time, scan.Bytes, scan.JSON, scan.Opaque, scan.Object, scan.File:
	}
	return fields
}

func most(n *int) int {
	if n == nil {
		return 0
	}
	return *n
}

func enum(s *spec.Schema) []jen.Code {
	if len(s.Enum) == 0 {
		return nil
	}
	var values []jen.Code
	for _, v := range s.Enum {
		values = append(values, jen.Lit(v))
	}
	return []jen.Code{jen.Id("Enum").Op(":").Index().String().Values(values...)}
}

// jsonDefault is a member's default as JSON; empty if there is none.
func jsonDefault(s *spec.Schema) string {
	switch {
	case s.Default == nil:
		return ""
	case s.Type == spec.TypeString:
		return quoted(*s.Default)
	}
	return *s.Default
}

// quoted is valid UTF-8 text as JSON.
func quoted(text string) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, r := range text {
		switch {
		case r == '"' || r == '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case r < ' ':
			fmt.Fprintf(&b, `\u%04x`, r)
		default:
			b.WriteRune(r)
		}
	}
	b.WriteByte('"')
	return b.String()
}

// ruled lists the parameters of an endpoint that have a rule.
func ruled(e *scan.Endpoint) []*scan.Field {
	if e.In == nil {
		return nil
	}
	var found []*scan.Field
	for _, f := range e.In.Fields {
		if f.In != spec.InBody && rule(f.Type) != nil {
			found = append(found, f)
		}
	}
	return found
}

// paramRules writes the rules of parameters. Those of members are in the lists of members.
func (s *source) paramRules() {
	written := map[string]bool{}
	for _, e := range s.pkg.Endpoints {
		for _, f := range ruled(e) {
			if name := s.rules[f]; !written[name] {
				written[name] = true
				s.file.Var().Id(name).Op("=").Add(stella("Rule")).Values(rule(f.Type)...)
				s.file.Line()
			}
		}
	}
}
