package example_test

import (
	"bytes"
	"encoding/json"
	"reflect"
	"regexp"
	"testing"
	"unicode/utf8"

	"github.com/stella-ops/router/generator/artifact/example"
	"github.com/stella-ops/router/spec"
)

func of(t *testing.T, m *spec.Manifest, s *spec.Schema) string {
	t.Helper()
	v, err := example.Of(m, s)
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		t.Fatal(err)
	}
	return string(bytes.TrimSpace(b.Bytes()))
}

func TestExampleOfASchema(t *testing.T) {
	m := &spec.Manifest{Schemas: map[string]*spec.Schema{
		"tree": {Type: "object", Properties: map[string]*spec.Schema{
			"left": {Ref: "tree"}, "name": {Type: "string"}, "right": {Ref: "tree", Nullable: true}, "all": {Type: "array", Items: &spec.Schema{Ref: "tree"}},
		}, Required: []string{"name"}},
		"level": {Type: "integer", Enum: []string{"3", "1", "2"}},
	}}
	for name, row := range map[string]struct {
		schema *spec.Schema
		want   string
	}{
		"text":                       {&spec.Schema{Type: "string"}, `"example"`},
		"anything":                   {&spec.Schema{}, `"example"`},
		"truth":                      {&spec.Schema{Type: "boolean"}, `true`},
		"short text":                 {&spec.Schema{Type: "string", MaxLength: new(3)}, `"exa"`},
		"no text":                    {&spec.Schema{Type: "string", MaxLength: new(0)}, `""`},
		"long text":                  {&spec.Schema{Type: "string", MinLength: 9}, `"exampleaa"`},
		"a default":                  {&spec.Schema{Type: "integer", Default: new("20"), Minimum: "1"}, `20`},
		"a default that breaks":      {&spec.Schema{Type: "integer", Default: new("0"), Minimum: "5"}, `5`},
		"listed text":                {&spec.Schema{Type: "string", Enum: []string{"open", "done"}}, `"open"`},
		"currency":                   {&spec.Schema{Type: "string", Pattern: `^[A-Z]{3}$`}, `"AAA"`},
		"pattern with a length":      {&spec.Schema{Type: "string", Pattern: `^[a-z]+\d*$`, MinLength: 5}, `"aaaaa"`},
		"pattern not anchored":       {&spec.Schema{Type: "string", Pattern: `-\d\d-`, MinLength: 6}, `"-00-aa"`},
		"pattern with alternatives":  {&spec.Schema{Type: "string", Pattern: `^(a|bcd|ef)$`, MinLength: 2}, `"bcd"`},
		"format and pattern":         {&spec.Schema{Type: "string", Format: "uri", Pattern: `^https://`}, `"https://example.com/"`},
		"bytes":                      {&spec.Schema{Type: "string", Format: "byte"}, `"ZXhhbXBsZQ=="`},
		"integer":                    {&spec.Schema{Type: "integer"}, `1`},
		"integer in bounds":          {&spec.Schema{Type: "integer", Minimum: "10", Maximum: "12"}, `10`},
		"negative integer":           {&spec.Schema{Type: "integer", Below: "-3"}, `-4`},
		"between exclusive bounds":   {&spec.Schema{Type: "number", Above: "0", Below: "0.001"}, `0.0005`},
		"multiple":                   {&spec.Schema{Type: "number", MultipleOf: "0.01", Minimum: "3.001"}, `3.01`},
		"integer multiple":           {&spec.Schema{Type: "integer", MultipleOf: "2.5", Minimum: "7"}, `10`},
		"beyond floats":              {&spec.Schema{Type: "integer", Minimum: "9007199254740993"}, `9007199254740993`},
		"different items":            {&spec.Schema{Type: "array", MinItems: 3, Unique: true, Items: &spec.Schema{Type: "string"}}, `["example","example2","example3"]`},
		"different short items":      {&spec.Schema{Type: "array", MinItems: 2, Unique: true, Items: &spec.Schema{Type: "string", MaxLength: new(1)}}, `["e","2"]`},
		"different items of a type":  {&spec.Schema{Type: "array", MinItems: 2, Unique: true, Items: &spec.Schema{Ref: "level"}}, `[3,1]`},
		"no items":                   {&spec.Schema{Type: "array", MaxItems: new(0), Items: &spec.Schema{Type: "string"}}, `[]`},
		"map":                        {&spec.Schema{Type: "object", Values: &spec.Schema{Type: "integer"}}, `{"key":1}`},
		"a type within itself":       {&spec.Schema{Ref: "tree"}, `{"all":[],"name":"example","right":null}`},
		"null where nothing else is": {&spec.Schema{Type: "integer", Nullable: true, Minimum: "2", Maximum: "1"}, `null`},
	} {
		t.Run(name, func(t *testing.T) {
			if got := of(t, m, row.schema); got != row.want {
				t.Errorf("got %s, expected %s", got, row.want)
			}
		})
	}
}

func TestNoExample(t *testing.T) {
	m := &spec.Manifest{Schemas: map[string]*spec.Schema{
		"endless": {Type: "object", Properties: map[string]*spec.Schema{"more": {Ref: "endless"}}, Required: []string{"more"}},
		"circle":  {Ref: "circle"},
	}}
	wide := &spec.Schema{Type: "string"}
	for range 14 { // 2^14 leaves
		wide = &spec.Schema{Type: "object", Properties: map[string]*spec.Schema{"a": wide, "b": wide}, Required: []string{"a", "b"}}
	}
	for name, s := range map[string]*spec.Schema{
		"bounds that exclude each other": {Type: "integer", Minimum: "2", Maximum: "1"},
		"a pattern that nothing matches": {Type: "string", Pattern: `a$b`},
		"a type that needs itself":       {Ref: "endless"},
		"a name for itself":              {Ref: "circle"},
		"too many values":                wide,
		"too long a text":                {Type: "string", MinLength: 1 << 20},
		"too long a text of a pattern":   {Type: "string", MinLength: 1 << 20, Pattern: "^a*$"},
		"too many items":                 {Type: "array", MinItems: 1 << 20, Items: &spec.Schema{}},
		"more items than values":         {Type: "array", MinItems: 3, Unique: true, Items: &spec.Schema{Type: "boolean"}},
	} {
		t.Run(name, func(t *testing.T) {
			if v, err := example.Of(m, s); err == nil {
				t.Errorf("got %v, expected an error", v)
			}
		})
	}
}

func TestEveryFormatHasAnExample(t *testing.T) {
	for _, format := range spec.Formats() {
		v, err := example.Of(&spec.Manifest{}, &spec.Schema{Type: "string", Format: format})
		if err != nil {
			t.Errorf("%s: %v", format, err)
		} else if got, is := v.(string); !is || !spec.HasFormat(format, got) {
			t.Errorf("%s: %q is none", format, v)
		}
	}
}

// FuzzText holds that what comes of a pattern matches it, and that it comes in bounded time and again the same.
func FuzzText(f *testing.F) {
	for _, p := range []string{``, `^[A-Z]{3}$`, `\bx\b`, `(?i)abc`, `((a{9}){9}){9}`, `[^a]`, `\p{Greek}+`, `a|b|`, `(a*)*`, `[^\x00-\x{10FFFF}]`} {
		f.Add(p, 3, 5)
	}
	f.Fuzz(func(t *testing.T, pattern string, least, most int) {
		re, err := regexp.Compile(pattern)
		if err != nil || len(pattern) > 1000 || least < 0 || most < least {
			return
		}
		s := &spec.Schema{Type: "string", Pattern: pattern, MinLength: least, MaxLength: &most}
		v, err := example.Of(&spec.Manifest{}, s)
		again, _ := example.Of(&spec.Manifest{}, s)
		if !reflect.DeepEqual(v, again) {
			t.Errorf("%v, then %v", v, again)
		}
		if err != nil {
			return
		}
		got, is := v.(string)
		if n := utf8.RuneCountInString(got); !is || !re.MatchString(got) || n < least || n > most {
			t.Errorf("%q does not keep to %q with a length of %d to %d", got, pattern, least, most)
		}
	})
}
