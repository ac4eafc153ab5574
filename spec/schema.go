package spec

import (
	"errors"
	"fmt"
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"
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
	Enum       []string           `json:"enum,omitempty"`       // in the author's order; numbers as canonical decimal strings
	Default    *string            `json:"default,omitempty"`    // taken where nothing came; in the form of Enum; true and false of a boolean
	Minimum    string             `json:"minimum,omitempty"`    // canonical decimal string, as are the other bounds of numbers
	Maximum    string             `json:"maximum,omitempty"`
	Above      string             `json:"exclusiveMinimum,omitempty"`
	Below      string             `json:"exclusiveMaximum,omitempty"`
	MultipleOf string             `json:"multipleOf,omitempty"` // more than zero
	MinLength  int                `json:"minLength,omitempty"`  // of a string, in Unicode code points
	MaxLength  *int               `json:"maxLength,omitempty"`
	Pattern    string             `json:"pattern,omitempty"` // RE2 syntax; matches anywhere in the string unless anchored
	MinItems   int                `json:"minItems,omitempty"`
	MaxItems   *int               `json:"maxItems,omitempty"`
	Unique     bool               `json:"uniqueItems,omitempty"`
	Doc        string             `json:"doc,omitempty"`
}

// maxPattern bounds a pattern, in bytes.
const maxPattern = 1000

// The values of Schema.Type. Without one, any JSON value will do.
const (
	TypeString  = "string"
	TypeInteger = "integer"
	TypeNumber  = "number"
	TypeBoolean = "boolean"
	TypeArray   = "array"
	TypeObject  = "object"
)

var schemaTypes = []string{"", TypeString, TypeInteger, TypeNumber, TypeBoolean, TypeArray, TypeObject}

// contract is a copy of s that documents nothing, and whose values are in an order that says nothing. s has been
// checked, and so is not too deep.
func (s *Schema) contract() *Schema {
	if s == nil {
		return nil
	}
	c := *s
	c.Doc = ""
	c.Enum = slices.Sorted(slices.Values(s.Enum))
	c.Items, c.Values = c.Items.contract(), c.Values.contract()
	if c.Properties != nil {
		c.Properties = make(map[string]*Schema, len(s.Properties))
		for k, p := range s.Properties {
			c.Properties[k] = p.contract()
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
		if !reflect.DeepEqual(*s, Schema{Ref: s.Ref, Nullable: s.Nullable, Doc: s.Doc}) {
			return fmt.Errorf("schema refers to %q and says more than nullable and doc beside it", s.Ref)
		}
	}
	switch {
	case !slices.Contains(schemaTypes, s.Type):
		return fmt.Errorf("schema type %.40q is not one of JSON's", s.Type)
	case !slices.IsSorted(s.Required):
		return errors.New("required is not sorted")
	}
	if err := s.checkBounds(); err != nil {
		return err
	}
	return s.checkValues()
}

// numeric reports whether values of s are numbers.
func (s *Schema) numeric() bool { return s.Type == TypeInteger || s.Type == TypeNumber }

// checkBounds checks the constraints that compare: each stands at a type that it bounds, and is well formed.
func (s *Schema) checkBounds() error {
	for _, b := range []struct{ name, value string }{
		{"minimum", s.Minimum}, {"maximum", s.Maximum}, {"exclusiveMinimum", s.Above}, {"exclusiveMaximum", s.Below}, {"multipleOf", s.MultipleOf},
	} {
		switch {
		case b.value == "":
		case !s.numeric():
			return fmt.Errorf("%s bounds a number, and the type is %q", b.name, s.Type)
		case !canonicalDecimal(b.value):
			return fmt.Errorf("%s %.40q is not a canonical decimal, such as -0.5", b.name, b.value)
		}
	}
	switch {
	case s.MultipleOf == "0" || strings.HasPrefix(s.MultipleOf, "-"):
		return fmt.Errorf("multipleOf %s is not more than zero", s.MultipleOf)
	case (s.MinLength != 0 || s.MaxLength != nil || s.Pattern != "") && s.Type != TypeString:
		return fmt.Errorf("minLength, maxLength and pattern bound text, and the type is %q", s.Type)
	case (s.MinItems != 0 || s.MaxItems != nil || s.Unique) && s.Type != TypeArray:
		return fmt.Errorf("minItems, maxItems and uniqueItems bound an array, and the type is %q", s.Type)
	case s.MinLength < 0 || s.MaxLength != nil && *s.MaxLength < s.MinLength:
		return errors.New("no length is both at least minLength and at most maxLength")
	case s.MinItems < 0 || s.MaxItems != nil && *s.MaxItems < s.MinItems:
		return errors.New("no number of items is both at least minItems and at most maxItems")
	case len(s.Pattern) > maxPattern:
		return fmt.Errorf("pattern has %d bytes, the limit is %d", len(s.Pattern), maxPattern)
	}
	if _, err := regexp.Compile(s.Pattern); err != nil {
		return fmt.Errorf("pattern: %w", err)
	}
	return nil
}

// checkValues checks the values that s lists.
func (s *Schema) checkValues() error {
	seen := make(map[string]bool, len(s.Enum))
	for _, v := range s.Enum {
		if s.Type != TypeString && !s.numeric() {
			return fmt.Errorf("enum lists text or numbers, and the type is %q", s.Type)
		}
		if !s.writes(v) || seen[v] {
			return fmt.Errorf("enum value %.40q is there twice, or is no %s", v, s.Type)
		}
		seen[v] = true
	}
	if s.Default != nil && !s.writes(*s.Default) {
		return fmt.Errorf("default %.40q is no %s", *s.Default, s.Type)
	}
	return nil
}

// writes reports whether v is how a value of s is written in Enum and Default.
func (s *Schema) writes(v string) bool {
	switch s.Type {
	case TypeString:
		return utf8.ValidString(v)
	case TypeInteger:
		return canonicalDecimal(v) && !strings.Contains(v, ".")
	case TypeNumber:
		return canonicalDecimal(v)
	case TypeBoolean:
		return v == "true" || v == "false"
	}
	return false
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
