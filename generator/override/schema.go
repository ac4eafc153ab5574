package override

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/stella-ops/router/generator/directive"
	"github.com/stella-ops/router/spec"
)

// SchemaName is the name of the file that holds the JSON Schema of a service's overrides.
const SchemaName = "stella.schema.json"

// object is a JSON object; encoding/json sorts its members.
type object = map[string]any

// Schema is the JSON Schema of the overrides of a service, with its endpoints by name, for editors to complete and check.
// It is of draft 7, which YAML language servers read. What Parse refuses beyond it needs the code to be seen.
func Schema(m *spec.Manifest) ([]byte, error) {
	endpoints := object{}
	for i := range m.Endpoints {
		e := &m.Endpoints[i]
		kind := "call"
		if e.Queue != nil {
			kind = "job"
		}
		entry := object{"allOf": []any{reference(kind)}} // what stands beside a $ref has no effect in draft 7
		if first, _, _ := strings.Cut(e.Doc, "\n\n"); first != "" {
			entry["description"] = strings.ReplaceAll(first, "\n", " ")
		}
		endpoints[e.Method+" "+e.Path] = entry
	}
	schema := object{
		"$schema":              "http://json-schema.org/draft-07/schema#",
		"title":                "Overrides of service " + m.Service,
		"type":                 "object",
		"additionalProperties": false,
		"minProperties":        1,
		"properties": object{
			keyService:   object{"const": m.Service, "description": "the service that the file is about"},
			keyDefaults:  reference(keyDefaults),
			keyEndpoints: object{"type": "object", "additionalProperties": false, "properties": endpoints, "description": "refinements by METHOD /path"},
		},
		"definitions": object{
			keyDefaults: settings("of endpoints that say nothing themselves", func(k Key) bool { return k.Defaults }),
			"call":      settings("", func(k Key) bool { return !k.Jobs }),
			"job":       settings("", func(k Key) bool { return k.Name != "stream" }),
		},
	}
	var text bytes.Buffer
	enc := json.NewEncoder(&text)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(schema); err != nil {
		return nil, fmt.Errorf("override: schema of service %s: %w", m.Service, err)
	}
	return text.Bytes(), nil
}

func reference(definition string) object { return object{"$ref": "#/definitions/" + definition} }

// settings is the schema of a set with the keys that belong to it.
func settings(doc string, belongs func(Key) bool) object {
	claim, _ := directive.Lookup("claim")
	properties := object{keyClaims: object{
		"type": "array", "minItems": 1, "maxItems": spec.MaxFields, "uniqueItems": true, "items": object{"type": "string", "pattern": `^\S`},
		"description": "claims that callers must hold, all of them, each as behind //stella:claim: " + argumentDocs(claim),
	}}
	for _, k := range keys {
		if belongs(k) {
			properties[k.Name] = valueSchema(k.Key)
		}
	}
	s := object{"type": "object", "additionalProperties": false, "minProperties": 1, "properties": properties}
	if doc != "" {
		s["description"] = doc
	}
	return s
}

func argumentDocs(d directive.Definition) string {
	var docs []string
	for _, k := range d.Args {
		docs = append(docs, k.Name+", "+k.Doc)
	}
	return strings.Join(docs, "; ")
}

// valueSchema is the schema of a key's value. Where one is text its form is a pattern, which leaves bounds to Parse.
func valueSchema(k directive.Key) object {
	s := object{"description": k.Doc}
	text := func(pattern string, examples ...any) {
		s["type"], s["pattern"], s["examples"] = "string", pattern, examples
	}
	switch k.Type {
	case directive.Duration:
		text(`^([0-9]+(\.[0-9]+)?(h|m|s|ms))+$`, "500ms", "30s", "2m")
	case directive.Size:
		text(`^[0-9]+(`+strings.Join(spec.SizeUnits, "|")+`)$`, "64KiB", "1MiB")
	case directive.Date:
		text(`^[0-9]{4}-[0-9]{2}-[0-9]{2}$`, "2027-01-31")
	case directive.Integer:
		s["type"], s["minimum"], s["maximum"] = "integer", k.Min, k.Max
	case directive.Percent:
		s["type"], s["exclusiveMinimum"], s["exclusiveMaximum"] = "number", 0, 100
	case directive.Enum:
		s["enum"] = k.Values
	case directive.List:
		s["type"], s["minItems"], s["items"] = "array", 1, object{"type": "string", "minLength": 1}
	default:
		s["type"] = "string"
	}
	return s
}
