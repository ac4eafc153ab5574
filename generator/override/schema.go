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

// schema is as much of JSON Schema as the file needs, of draft 7, which YAML language servers read.
type schema struct {
	Version       string             `json:"$schema,omitempty"`
	Title         string             `json:"title,omitempty"`
	Ref           string             `json:"$ref,omitempty"`  // what stands beside it has no effect
	AllOf         []*schema          `json:"allOf,omitempty"` // for what should stand beside a Ref
	Description   string             `json:"description,omitempty"`
	Type          string             `json:"type,omitempty"`
	Const         string             `json:"const,omitempty"`
	Enum          []string           `json:"enum,omitempty"`
	Pattern       string             `json:"pattern,omitempty"`
	Examples      []string           `json:"examples,omitempty"`
	MinLength     int                `json:"minLength,omitempty"`
	Minimum       *int64             `json:"minimum,omitempty"`
	Maximum       *int64             `json:"maximum,omitempty"`
	Above         *int64             `json:"exclusiveMinimum,omitempty"`
	Below         *int64             `json:"exclusiveMaximum,omitempty"`
	Items         *schema            `json:"items,omitempty"`
	MinItems      int                `json:"minItems,omitempty"`
	MaxItems      int                `json:"maxItems,omitempty"`
	UniqueItems   bool               `json:"uniqueItems,omitempty"`
	Properties    map[string]*schema `json:"properties,omitempty"`
	MinProperties int                `json:"minProperties,omitempty"`
	Additional    *bool              `json:"additionalProperties,omitempty"`
	Definitions   map[string]*schema `json:"definitions,omitempty"`
}

// Schema is the JSON Schema of the overrides of a service, with its endpoints by name, for editors to complete and check.
// What Parse refuses beyond it needs the code to be seen, or is a bound that a pattern does not tell.
func Schema(m *spec.Manifest) ([]byte, error) {
	endpoints := map[string]*schema{}
	for i := range m.Endpoints {
		e := &m.Endpoints[i]
		kind := definitionCall
		if e.Queue != nil {
			kind = definitionJob
		}
		first, _, _ := strings.Cut(e.Doc, "\n\n")
		endpoints[e.Method+" "+e.Path] = &schema{AllOf: []*schema{reference(kind)}, Description: strings.ReplaceAll(first, "\n", " ")}
	}
	service, entries := &schema{Const: m.Service, Description: "the service that the file is about"}, closed(endpoints)
	entries.Description = "refinements of endpoints, by METHOD /path"
	defaults := settings(func(k Key) bool { return k.Defaults })
	defaults.Description = "of endpoints that say nothing themselves"
	s := closed(map[string]*schema{keyService: service, keyDefaults: reference(keyDefaults), keyEndpoints: entries})
	s.Version, s.Title, s.MinProperties = "http://json-schema.org/draft-07/schema#", "Overrides of service "+m.Service, 1
	s.Definitions = map[string]*schema{
		keyDefaults:    defaults,
		definitionCall: settings(func(k Key) bool { return !k.Jobs }),
		definitionJob:  settings(func(k Key) bool { return k.Name != keyStream }),
	}
	var text bytes.Buffer
	enc := json.NewEncoder(&text)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(s); err != nil {
		return nil, fmt.Errorf("override: schema of service %s: %w", m.Service, err)
	}
	return text.Bytes(), nil
}

// Definitions of the schema, beside that of defaults.
const (
	definitionCall = "call"
	definitionJob  = "job"
)

func reference(definition string) *schema { return &schema{Ref: "#/definitions/" + definition} }

// closed is the schema of a mapping that has no keys but these.
func closed(properties map[string]*schema) *schema {
	return &schema{Type: spec.TypeObject, Properties: properties, Additional: new(bool)}
}

// settings is the schema of a set with the keys that belong to it.
func settings(belongs func(Key) bool) *schema {
	claim, _ := directive.Lookup("claim")
	var docs []string
	for _, k := range claim.Args {
		docs = append(docs, k.Name+", "+k.Doc)
	}
	properties := map[string]*schema{keyClaims: {
		Type: spec.TypeArray, MinItems: 1, MaxItems: spec.MaxFields, UniqueItems: true, Items: &schema{Type: spec.TypeString, Pattern: `^\S`},
		Description: "claims that callers must hold, all of them, each as behind //stella:claim: " + strings.Join(docs, "; "),
	}}
	for _, k := range keys {
		if belongs(k) {
			properties[k.Name] = valueSchema(k.Key)
		}
	}
	s := closed(properties)
	s.MinProperties = 1
	return s
}

// valueSchema is the schema of a key's value. Where one is text its form is a pattern, which leaves bounds to Parse.
func valueSchema(k directive.Key) *schema {
	s := &schema{Description: k.Doc}
	text := func(pattern string, examples ...string) {
		s.Type, s.Pattern, s.Examples = spec.TypeString, pattern, examples
	}
	switch k.Type { //nolint:exhaustive // the keys of the file have no others, which a test holds
	case directive.Duration:
		text(`^([0-9]+(\.[0-9]+)?(h|m|s|ms))+$`, "500ms", "30s", "2m")
	case directive.Size:
		text(`^[0-9]+(`+strings.Join(spec.SizeUnits, "|")+`)$`, "64KiB", "1MiB")
	case directive.Date:
		text(`^[0-9]{4}-[0-9]{2}-[0-9]{2}$`, "2027-01-31")
	case directive.Integer:
		s.Type, s.Minimum, s.Maximum = spec.TypeInteger, &k.Min, &k.Max
	case directive.Percent:
		s.Type, s.Above, s.Below = spec.TypeNumber, new(int64), new(int64(hundred))
	case directive.Enum:
		s.Enum = k.Values
	case directive.List:
		s.Type, s.MinItems, s.Items = spec.TypeArray, 1, &schema{Type: spec.TypeString, MinLength: 1}
	}
	return s
}

// hundred is the percentage that is out of reach.
const hundred = 100
