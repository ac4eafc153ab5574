package goclient

import (
	"slices"
	"strconv"
	"strings"
	"unicode"

	"github.com/stella-ops/router/generator/artifact/client"
	"github.com/stella-ops/router/spec"
)

// What Go calls types that have no name of their own.
const (
	goAny   = "any"
	goBytes = "[]byte"
	goFile  = "File"
	goTime  = "time.Time"
)

// Formats of text that is no string in Go.
const (
	formatBinary = "binary" // a file in a form
	formatBytes  = "byte"
	formatTime   = "date-time"
)

// omitZero is the option of a tag that leaves a member out.
const omitZero = ",omitzero"

var integers = []string{"int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"}

// base is the type of a value of s that is not null.
func (w *writer) base(s *spec.Schema) string {
	if name := w.TypeName(s); name != "" {
		return name
	}
	return w.shape(s)
}

// shape is base for what has no name.
func (w *writer) shape(s *spec.Schema) string {
	switch s.Type {
	case spec.TypeString:
		switch s.Format {
		case formatTime:
			return goTime
		case formatBytes:
			return goBytes
		case formatBinary:
			return goFile
		}
		return "string"
	case spec.TypeInteger:
		if slices.Contains(integers, s.Format) {
			return s.Format
		}
		return "int64"
	case spec.TypeNumber:
		if s.Format == "float" {
			return "float32"
		}
		return "float64"
	case spec.TypeBoolean:
		return "bool"
	case spec.TypeArray:
		if s.Items == nil {
			return "[]any"
		}
		return "[]" + w.nilable(s.Items)
	case spec.TypeObject:
		if s.Values == nil {
			return "map[string]any"
		}
		return "map[string]" + w.nilable(s.Values)
	}
	return goAny
}

// nilable is the type of a value of s, where nil is null.
func (w *writer) nilable(s *spec.Schema) string {
	if _, nullable := w.Resolve(s); nullable && !w.hasNil(s) {
		return "*" + w.base(s)
	}
	return w.base(s)
}

// hasNil reports whether the type of s has a nil of its own.
func (w *writer) hasNil(s *spec.Schema) bool {
	target, _ := w.Resolve(s)
	switch target.Type {
	case spec.TypeObject:
		return len(target.Properties) == 0
	case spec.TypeString:
		return target.Format == formatBytes
	}
	return target.Type == "" || target.Type == spec.TypeArray
}

// member is the type of an object's member, and its tag's options. outer is the object.
func (w *writer) member(outer *client.Type, s *spec.Schema, required bool) (expr, options string) {
	target, nullable := w.Resolve(s)
	base := w.base(s)
	isStruct := target.Type == spec.TypeObject && len(target.Properties) > 0
	switch {
	case required && isStruct && w.Within(outer.Schema, s): // a struct cannot hold itself
		return "*" + base, ""
	case required:
		return w.nilable(s), ""
	case nullable && outer.Sent:
		return "Optional[" + base + "]", omitZero
	case nullable:
		return w.nilable(s), omitZero
	case w.hasNil(s):
		return base, omitZero
	case target.Default != nil, isStruct, base == goFile:
		return "*" + base, omitZero
	}
	return base, omitZero
}

func (w *writer) writeTypes() {
	for _, t := range w.Types {
		w.writeType(t)
	}
}

func (w *writer) writeType(t *client.Type) {
	lines := client.Lines(t.Schema.Doc)
	if len(lines) == 0 {
		lines = []string{t.Name + " is a type of the service."}
	}
	if text := constraints(t.Schema); text != "" {
		lines = append(lines, client.Lines("\nIt has "+text+".")...)
	}
	w.comment(lines...)
	switch s := t.Schema; {
	case w.Circular(s):
		w.linef("type %s = any\n", t.Name)
	case s.Ref != "":
		w.linef("type %s = %s\n", t.Name, w.base(s))
	case len(s.Properties) > 0:
		w.linef("type %s struct {", t.Name)
		w.writeMembers(t)
		w.linef("}\n")
	default:
		w.linef("type %s %s\n", t.Name, w.defined(s))
		w.writeEnum(t)
	}
}

// defined is the type that a named type is defined as. One that is defined as another loses its methods, hence the alias.
func (w *writer) defined(s *spec.Schema) string {
	switch expr := w.shape(s); expr {
	case goTime, goFile, goAny:
		return "= " + expr
	default:
		return expr
	}
}

// fields are the names of an object's members in Go.
func (w *writer) fields(s *spec.Schema) map[string]string {
	taken := client.Names{}
	out := map[string]string{}
	for _, name := range client.Members(s) {
		out[name] = taken.Take(client.Exported(name))
	}
	return out
}

func (w *writer) writeMembers(t *client.Type) {
	fields := w.fields(t.Schema)
	for _, name := range client.Members(t.Schema) {
		s := t.Schema.Properties[name]
		if !taggable(name) {
			w.failf("%s has a member %q: encoding/json takes letters, digits and most punctuation in names, but no quotes, commas and backslashes", t.Name, name)
			return
		}
		expr, options := w.member(t, s, slices.Contains(t.Schema.Required, name))
		if name == "-" && options == "" {
			options = ","
		}
		w.comment(memberDoc(s)...)
		w.linef("%s %s `json:%s`", fields[name], expr, strconv.Quote(name+options))
	}
}

// taggable reports whether encoding/json takes a name in a tag.
func taggable(name string) bool {
	for _, r := range name {
		if !unicode.IsLetter(r) && !unicode.IsDigit(r) && !strings.ContainsRune("!#$%&()*+-./:;<=>?@[]^_{|}~ ", r) {
			return false
		}
	}
	return name != ""
}

func memberDoc(s *spec.Schema) []string {
	lines := client.Lines(s.Doc)
	if text := constraints(s); text != "" {
		lines = append(lines, client.Lines("("+text+")")...)
	}
	return lines
}

// constraints are what a schema asks for and its type in Go does not.
func constraints(s *spec.Schema) string {
	c := *s
	if c.Type != spec.TypeString || slices.Contains([]string{formatBinary, formatBytes, formatTime}, c.Format) {
		c.Format = ""
	}
	return client.Constraints(&c)
}

// writeEnum writes the values that a type has.
func (w *writer) writeEnum(t *client.Type) {
	if len(t.Schema.Enum) == 0 || w.defined(t.Schema)[0] == '=' || w.defined(t.Schema) == goBytes {
		return
	}
	w.linef("// The values of %s.\nconst (", t.Name)
	for _, v := range t.Schema.Enum {
		text := strconv.Quote(v)
		word := v
		if t.Schema.Type != spec.TypeString {
			text = v
			word = strings.NewReplacer("-", "minus ", ".", " point ").Replace(v)
		}
		w.linef("%s %s = %s", w.Names.Take(t.Name+strings.TrimPrefix(client.Exported(word), "X")), t.Name, text)
	}
	w.linef(")\n")
}

func (w *writer) writeErrors() {
	for _, e := range w.Errors {
		w.comment(e.Name + " is the problem with code " + strconv.Quote(e.Code) + " and status " + strconv.Itoa(e.Status) + ".")
		if lines := client.Lines(e.Doc); len(lines) > 0 {
			w.comment("")
			w.comment(lines...)
		}
		w.linef("type %s struct {\nProblem", e.Name)
		if e.Details != nil {
			w.linef("Details %s", w.nilable(e.Details))
		}
		w.linef("}\n\n// Unwrap gives the problem.\nfunc (e *%s) Unwrap() error { return &e.Problem }\n", e.Name)
		w.linef("func as%s(p *Problem) error {\ne := &%s{Problem: *p}", e.Name, e.Name)
		if e.Details != nil {
			w.linef("if len(p.Details) > 0 && json.Unmarshal(p.Details, &e.Details) != nil {\nreturn p // not as declared\n}")
		}
		w.linef("return e\n}\n")
	}
}
