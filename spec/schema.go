package spec

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Schema is the subset of JSON Schema (2020-12) that handlers' Go types map to. Numbers that a schema bounds are
// canonical decimal strings, because canonical JSON has integers only.
type Schema struct {
	Ref        string             `json:"ref,omitempty"`    // key into Manifest.Schemas; only Nullable and Doc may stand beside it
	Type       string             `json:"type,omitempty"`   // string, integer, number, boolean, array, object; empty is any
	Format     string             `json:"format,omitempty"` // int32, int64, double, date-time, byte, ...
	Nullable   bool               `json:"nullable,omitempty"`
	Items      *Schema            `json:"items,omitempty"`      // of an array
	Values     *Schema            `json:"values,omitempty"`     // of an object used as a map
	Properties map[string]*Schema `json:"properties,omitempty"` // of an object
	Required   []string           `json:"required,omitempty"`   // sorted
	Minimum    string             `json:"minimum,omitempty"`    // canonical decimal string
	Maximum    string             `json:"maximum,omitempty"`    // canonical decimal string
	Doc        string             `json:"doc,omitempty"`
}

// schemaTypes are the values of Schema.Type.
var schemaTypes = []string{"", "string", "integer", "number", "boolean", "array", "object"}

// withoutDoc is a copy of s that documents nothing. s has been checked, and so is not too deep.
func (s *Schema) withoutDoc() *Schema {
	if s == nil {
		return nil
	}
	c := *s
	c.Doc = ""
	c.Items, c.Values = c.Items.withoutDoc(), c.Values.withoutDoc()
	if c.Properties != nil {
		c.Properties = make(map[string]*Schema, len(s.Properties))
		for k, p := range s.Properties {
			c.Properties[k] = p.withoutDoc()
		}
	}
	return &c
}

// MaxSchemaDepth bounds how deep schemas nest without a Ref.
const MaxSchemaDepth = 64

func (s *Schema) check(m *Manifest, depth int) error {
	if s == nil {
		return nil
	}
	if depth > MaxSchemaDepth {
		return fmt.Errorf("schema nests deeper than %d: give its types names", MaxSchemaDepth)
	}
	if err := s.checkSelf(m); err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(s.Properties)) {
		if s.Properties[name] == nil {
			return fmt.Errorf("property %q has no schema", name)
		}
		if err := s.Properties[name].check(m, depth+1); err != nil {
			return err
		}
	}
	if err := s.Items.check(m, depth+1); err != nil {
		return err
	}
	return s.Values.check(m, depth+1)
}

// checkSelf checks s without the schemas in it.
func (s *Schema) checkSelf(m *Manifest) error {
	if s.Ref != "" {
		if _, ok := m.Schemas[s.Ref]; !ok {
			return fmt.Errorf("schema refers to %q, which the manifest lacks", s.Ref)
		}
		if s.Type != "" || s.Format != "" || s.Items != nil || s.Values != nil || s.Properties != nil ||
			s.Required != nil || s.Minimum != "" || s.Maximum != "" {
			return fmt.Errorf("schema refers to %q and says more than nullable and doc beside it", s.Ref)
		}
	}
	switch {
	case !slices.Contains(schemaTypes, s.Type):
		return fmt.Errorf("schema type %.40q is not one of JSON's", s.Type)
	case !slices.IsSorted(s.Required):
		return errors.New("required is not sorted")
	case s.Minimum != "" && !canonicalDecimal(s.Minimum):
		return fmt.Errorf("minimum %.40q is not a canonical decimal, such as -0.5", s.Minimum)
	case s.Maximum != "" && !canonicalDecimal(s.Maximum):
		return fmt.Errorf("maximum %.40q is not a canonical decimal, such as -0.5", s.Maximum)
	}
	return nil
}

// canonicalDecimal reports whether s is the one way to write its number: an optional minus, digits without a leading
// zero, and a fraction without a trailing one. Zero has no minus.
func canonicalDecimal(s string) bool {
	digits := strings.TrimPrefix(s, "-")
	whole, fraction, point := strings.Cut(digits, ".")
	switch {
	case whole == "" || strings.Trim(whole, "0123456789") != "" || len(whole) > 1 && whole[0] == '0':
		return false
	case strings.Trim(fraction, "0123456789") != "" || point && (fraction == "" || fraction[len(fraction)-1] == '0'):
		return false
	}
	return s != "-0"
}
