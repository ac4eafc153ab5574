package openapi

import (
	"encoding/json"
	"maps"
	"slices"

	"github.com/stella-ops/router/spec"
)

// schema is a JSON Schema. Its members depend on the dialect.
type schema map[string]any

// dialect is how schemas are written: as JSON Schema 2020-12, which OpenAPI 3.1 has as well, or as OpenAPI 3.0 has them.
type dialect struct {
	old     bool                    // OpenAPI 3.0
	at      string                  // what references begin with
	names   map[string]string       // of the manifest's schemas
	schemas map[string]*spec.Schema // the manifest's
}

// ref refers to a schema of the manifest.
func (d *dialect) ref(name string) schema { return d.refTo(d.names[name]) }

// refTo refers to a schema by its name in the document.
func (d *dialect) refTo(name string) schema { return schema{"$ref": d.at + name} }

// schema writes s.
func (d *dialect) schema(s *spec.Schema) schema {
	if s == nil {
		return schema{}
	}
	var out schema
	if s.Ref != "" {
		out = d.reference(s)
	} else {
		out = d.value(s)
	}
	if s.Doc != "" {
		out["description"] = s.Doc
	}
	return out
}

// reference writes a schema that refers to another one. OpenAPI 3.0 ignores what stands beside a $ref, and nullable
// where there is no type.
func (d *dialect) reference(s *spec.Schema) schema {
	to := d.ref(s.Ref)
	switch {
	case d.old && s.Nullable:
		out := schema{"allOf": []schema{to}}
		if kind := d.target(s).Type; kind != "" { // without a type any value will do, null as well
			out["type"], out["nullable"] = kind, true
		}
		return out
	case d.old && s.Doc != "":
		return schema{"allOf": []schema{to}}
	case s.Nullable:
		return schema{"anyOf": []schema{to, {"type": "null"}}}
	}
	return to
}

// target is the schema that s stands for, behind its references. Where those go on and on, nothing is known of it.
func (d *dialect) target(s *spec.Schema) *spec.Schema {
	for range spec.MaxSchemaDepth {
		if s == nil || s.Ref == "" {
			break
		}
		s = d.schemas[s.Ref]
	}
	if s == nil || s.Ref != "" {
		return &spec.Schema{}
	}
	return s
}

// value writes a schema that says itself what its values are.
func (d *dialect) value(s *spec.Schema) schema {
	out := schema{}
	d.kind(out, s)
	d.bounds(out, s)
	if s.Type == spec.TypeArray || s.Items != nil {
		out["items"] = d.schema(s.Items)
	}
	if s.Values != nil {
		out["additionalProperties"] = d.schema(s.Values)
	}
	if len(s.Properties) > 0 {
		properties := make(map[string]schema, len(s.Properties))
		for name, p := range s.Properties {
			properties[name] = d.schema(p)
		}
		out["properties"] = properties
	}
	if len(s.Required) > 0 {
		out["required"] = slices.Compact(slices.Clone(s.Required))
	}
	if s.Default != nil {
		out["default"] = literal(s.Type, *s.Default)
	}
	if len(s.Enum) > 0 {
		values := make([]any, 0, len(s.Enum)+1)
		for _, v := range s.Enum {
			values = append(values, literal(s.Type, v))
		}
		if s.Nullable {
			values = append(values, nil) // an enum lists null as well, or there is none
		}
		out["enum"] = values
	}
	return out
}

// kind writes type, format and whether null is a value.
func (d *dialect) kind(out schema, s *spec.Schema) {
	switch {
	case s.Type == "": // any value, null as well
	case d.old:
		out["type"] = s.Type
		if s.Nullable {
			out["nullable"] = true
		}
	case s.Nullable:
		out["type"] = []string{s.Type, "null"}
	default:
		out["type"] = s.Type
	}
	switch {
	case s.Format == "":
	case s.Format == formatByte && !d.old:
		out["contentEncoding"] = "base64"
	case s.Format == formatBinary && !d.old:
		out["contentMediaType"] = mediaBytes
	default:
		out["format"] = s.Format
	}
}

// Formats that JSON Schema 2020-12 has other words for.
const (
	formatByte   = "byte"   // bytes as base64
	formatBinary = "binary" // bytes as they are, in a part of a form
)

// bounds writes the constraints that compare.
func (d *dialect) bounds(out schema, s *spec.Schema) {
	number := func(name, value string) {
		if value != "" {
			out[name] = json.Number(value)
		}
	}
	number("minimum", s.Minimum)
	number("maximum", s.Maximum)
	number("multipleOf", s.MultipleOf)
	if d.old {
		d.exclusive(out, "minimum", "exclusiveMinimum", s.Above)
		d.exclusive(out, "maximum", "exclusiveMaximum", s.Below)
	} else {
		number("exclusiveMinimum", s.Above)
		number("exclusiveMaximum", s.Below)
	}
	if s.MinLength > 0 {
		out["minLength"] = s.MinLength
	}
	if s.MaxLength != nil {
		out["maxLength"] = *s.MaxLength
	}
	if s.Pattern != "" {
		out["pattern"] = s.Pattern
	}
	if s.MinItems > 0 {
		out["minItems"] = s.MinItems
	}
	if s.MaxItems != nil {
		out["maxItems"] = *s.MaxItems
	}
	if s.Unique {
		out["uniqueItems"] = true
	}
}

// exclusive writes an exclusive bound of OpenAPI 3.0, where a flag makes the inclusive one exclusive. Where there are
// both, the exclusive one stands in a schema of its own that holds as well.
func (d *dialect) exclusive(out schema, bound, flag, value string) {
	if value == "" {
		return
	}
	exclusive := schema{bound: json.Number(value), flag: true}
	if _, both := out[bound]; !both {
		maps.Copy(out, exclusive)
		return
	}
	all, _ := out["allOf"].([]schema)
	out["allOf"] = append(all, exclusive)
}

// literal is a value of Enum or Default as JSON.
func literal(kind, text string) any {
	switch kind {
	case spec.TypeInteger, spec.TypeNumber:
		return json.Number(text)
	case spec.TypeBoolean:
		return text == "true"
	}
	return text
}
