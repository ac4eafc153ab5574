package config

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
)

// SchemaName is the name of the file with the JSON Schema of gateway.yaml.
const SchemaName = "gateway.schema.json"

// schema is as much of JSON Schema as the file needs, of draft 7, which YAML language servers read.
type schema struct {
	Version     string             `json:"$schema,omitempty"`
	Title       string             `json:"title,omitempty"`
	Description string             `json:"description,omitempty"`
	Type        string             `json:"type,omitempty"`
	Enum        []string           `json:"enum,omitempty"`
	Pattern     string             `json:"pattern,omitempty"`
	Default     any                `json:"default,omitempty"`
	Minimum     json.Number        `json:"minimum,omitempty"`
	Maximum     json.Number        `json:"maximum,omitempty"`
	Items       *schema            `json:"items,omitempty"`
	Properties  map[string]*schema `json:"properties,omitempty"`
	Required    []string           `json:"required,omitempty"`
	Additional  any                `json:"additionalProperties,omitempty"`
	Names       *schema            `json:"propertyNames,omitempty"`
}

// Schema is the JSON Schema of gateway.yaml, for editors to complete and check. What Load refuses beyond it needs more
// than one value to be seen, or is a bound that a pattern does not tell.
func Schema() ([]byte, error) {
	s := sectionSchema(reflect.TypeFor[File](), "")
	s.Version, s.Title = "http://json-schema.org/draft-07/schema#", "Configuration of a Stella gateway"
	var text bytes.Buffer
	enc := json.NewEncoder(&text)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(s); err != nil {
		return nil, fmt.Errorf("config: schema: %w", err)
	}
	return text.Bytes(), nil
}

func sectionSchema(t reflect.Type, path string) *schema {
	out := &schema{Type: "object", Properties: map[string]*schema{}, Additional: false}
	settings := settingsOf(t, path)
	for i := range settings {
		s := &settings[i]
		out.Properties[s.key] = s.schema(join(path, s.key))
		if s.required {
			out.Required = append(out.Required, s.key)
		}
	}
	return out
}

func (s *setting) schema(path string) *schema {
	var out *schema
	switch shapeOf(s.typ) {
	case section:
		out = sectionSchema(structOf(s.typ), path)
	case entries:
		out = &schema{Type: "array", Items: sectionSchema(structOf(s.typ), path+"[]")}
	case named:
		out = &schema{Type: "object", Additional: sectionSchema(structOf(s.typ), path+"[]"), Names: s.names()}
	case list:
		out = &schema{Type: "array", Items: s.text(s.typ.Elem())}
		if s.preset != "" {
			out.Default = strings.Split(s.preset, ",")
		}
	case table:
		out = &schema{Type: "object", Additional: s.text(s.typ.Elem()), Names: s.names()}
	case scalar:
		out = s.text(s.typ)
		if s.preset != "" {
			out.Default = s.preset
			if v, err := s.parse(s.typ, s.preset); err == nil && (out.Type == "integer" || out.Type == "boolean") {
				out.Default = v.Interface()
			}
		}
	}
	out.Description = s.doc
	return out
}

func (s *setting) names() *schema {
	if s.keys == "" {
		return nil
	}
	return &schema{Pattern: formats[s.keys].pattern}
}

// text is the schema of one text.
func (s *setting) text(t reflect.Type) *schema {
	switch {
	case t == durationType:
		return &schema{Type: "string", Pattern: `^([0-9]+(\.[0-9]+)?(h|m|s|ms|us))+$`}
	case t == sizeType:
		return &schema{Type: "string", Pattern: `^[1-9][0-9]*(B|[KMG]i?B)$`}
	case t.Kind() == reflect.Int:
		return &schema{Type: "integer", Minimum: json.Number(s.min), Maximum: json.Number(s.max)}
	case t.Kind() == reflect.Bool:
		return &schema{Type: "boolean"}
	}
	return &schema{Type: "string", Enum: s.oneOf, Pattern: formats[s.format].pattern}
}
