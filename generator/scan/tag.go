package scan

import (
	"go/ast"
	"go/token"
	"go/types"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/stella-ops/router/generator/diagnostic"
	"github.com/stella-ops/router/internal/spelling"
	"github.com/stella-ops/router/spec"
)

// fieldTags are the generator's keys of one struct tag.
type fieldTags struct {
	in, name string // where it comes from, and the name there
	jsonName string
	excluded bool // json:"-"
	required bool
	broken   bool // there are findings about it

	constraints []tag
}

func (t fieldTags) bound() bool { return t.in != "" }

var (
	// bindingKeys are the tag keys that the generator reads.
	bindingKeys = []string{"path", "query", "header", "cookie", "form", "json", "required"}
	// constraintKeys are the keywords of JSON Schema that it reads, too.
	constraintKeys = []string{
		keyDefault, keyEnum, keyMinimum, keyMaximum, keyAbove, keyBelow, keyMultipleOf, keyMinLength, keyMaxLength, keyPattern,
		keyFormat, keyMinItems, keyMaxItems, keyUniqueItems,
	}
	// laterKeys are those that it does not. They are refused, because ignoring a constraint would be worse.
	laterKeys = []string{"minProperties", "maxProperties"}
	// foreignKeys are near to ours, and known to be others'.
	foreignKeys = []string{"bson", "cbor", "toml", "yaml", "xml", "env", "db", "avro", "jsonschema", "jsonapi", "validate", "param", "params"}
)

// tag is one key:"value" of a struct tag.
type tag struct {
	key, value string
	pos        token.Pos // of the key
	width      int
}

// splitTag reads a struct tag in its conventional form. The last result is false where the form ends.
func splitTag(text string, start token.Pos) (tags []tag, ok bool) {
	i := 0
	for {
		for i < len(text) && text[i] == ' ' {
			i++
		}
		if i == len(text) {
			return tags, true
		}
		from := i
		for i < len(text) && text[i] > ' ' && text[i] != ':' && text[i] != '"' && text[i] != 0x7f {
			i++
		}
		if i == from || i+1 >= len(text) || text[i] != ':' || text[i+1] != '"' {
			return tags, false
		}
		quoted, err := strconv.QuotedPrefix(text[i+1:])
		if err != nil {
			return tags, false
		}
		value, err := strconv.Unquote(quoted)
		if err != nil {
			return tags, false
		}
		end := i + 1 + len(quoted)
		tags = append(tags, tag{text[from:i], value, start + token.Pos(from), end - from})
		i = end
	}
}

// tags reads a field's struct tag, and reports what is wrong with it.
func (b *builder) tags(node *ast.Field, text string) fieldTags {
	var t fieldTags
	if text == "" {
		return t
	}
	start := node.Pos()
	if node.Tag != nil {
		start = node.Tag.Pos() + 1 // behind the quote; escapes of an interpreted string would shift what follows them
	}
	list, ok := splitTag(text, start)
	if !ok {
		t.broken = true
		b.l.list.Addf(diagnostic.BadTag, b.pos(start), len(text), "struct tag is not of the form key:\"value\" other:\"value\"")
	}
	seen := map[string]bool{}
	for _, g := range list {
		if seen[g.key] {
			b.badTagf(&t, g, "%s given twice", g.key)
			continue
		}
		seen[g.key] = true
		b.tag(&t, g)
	}
	if t.bound() && t.jsonName != "" {
		t.broken = true
		b.l.list.Addf(diagnostic.BadTag, b.pos(start), len(text), "a field bound to the %s is no member of the JSON body: remove the json name %q", t.in, t.jsonName)
	}
	return t
}

func (b *builder) badTagf(t *fieldTags, g tag, format string, args ...any) {
	t.broken = true
	b.l.list.Addf(diagnostic.BadTag, b.pos(g.pos), g.width, format, args...)
}

func (b *builder) tag(t *fieldTags, g tag) {
	switch g.key {
	case spec.InPath, spec.InQuery, spec.InHeader, spec.InCookie, InForm:
		b.bindingTag(t, g)
	case "json":
		b.jsonTag(t, g)
	case "required":
		if !isBool(g.value) {
			b.badTagf(t, g, "required is %q, expected true or false", g.value)
		}
		t.required = g.value == yes
	default:
		b.otherTag(t, g)
	}
}

// yes is how a tag says that something is so.
const yes = "true"

func isBool(s string) bool { return s == yes || s == "false" }

func (b *builder) bindingTag(t *fieldTags, g tag) {
	switch {
	case t.in != "":
		b.badTagf(t, g, "a field is bound once, but has both %s and %s", t.in, g.key)
	case g.value == "":
		b.badTagf(t, g, "%s needs the parameter's name", g.key)
	case g.key == spec.InHeader && !isToken(g.value):
		b.badTagf(t, g, "%q is no name of a header field", g.value)
	case g.key == spec.InCookie && !isToken(g.value):
		b.badTagf(t, g, "%q is no name of a cookie", g.value)
	case g.key != spec.InHeader && strings.ContainsAny(g.value, ", \t"):
		b.badTagf(t, g, "%s takes a name alone, got %q", g.key, g.value)
	}
	t.in, t.name = g.key, g.value
	if g.key == spec.InHeader {
		t.name = http.CanonicalHeaderKey(g.value)
	}
}

func isToken(s string) bool {
	for _, c := range s {
		letter := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
		if !letter && !strings.ContainsRune("!#$%&'*+-.^_`|~", c) {
			return false
		}
	}
	return s != ""
}

func (b *builder) jsonTag(t *fieldTags, g tag) {
	if g.value == "-" {
		t.excluded = true
		return
	}
	name, options, _ := strings.Cut(g.value, ",")
	if !validJSONName(name) {
		b.badTagf(t, g, "%q is no name that encoding/json takes: it would ignore the tag", name)
	}
	t.jsonName = name
	for option := range strings.SplitSeq(options, ",") {
		switch option {
		case "", "omitempty", "omitzero":
		case "string":
			t.broken = true
			b.l.list.Addf(diagnostic.NotSupportedYet, b.pos(g.pos), g.width, "the json option string is not supported yet")
		default:
			b.badTagf(t, g, "unknown json option %q, expected omitempty or omitzero", option)
		}
	}
}

// otherTag keeps a constraint, and reports a key that is not read yet, or that was probably meant to be ours.
func (b *builder) otherTag(t *fieldTags, g tag) {
	if slices.Contains(constraintKeys, g.key) {
		t.constraints = append(t.constraints, g)
		return
	}
	if slices.Contains(laterKeys, g.key) {
		t.broken = true
		b.l.list.Addf(diagnostic.NotSupportedYet, b.pos(g.pos), g.width, "the constraint %s is not supported yet", g.key)
		return
	}
	if slices.Contains(foreignKeys, g.key) {
		return
	}
	ours := slices.Concat(bindingKeys, constraintKeys, laterKeys)
	guess := spelling.Suggest(g.key, ours)
	if guess == "" {
		return
	}
	b.l.list.Addf(diagnostic.NearTag, b.pos(g.pos), len(g.key), "unknown tag key %s: did you mean %s?", g.key, guess).Hint =
		"if it is another tool's, say so above the field: //stella:ignore " + string(diagnostic.NearTag) + " reason"
}

// method finds a method of a type or of a pointer to it.
func method(t types.Type, name string) *types.Signature {
	obj, _, _ := types.LookupFieldOrMethod(t, true, nil, name)
	fn, ok := obj.(*types.Func)
	if !ok {
		return nil
	}
	return fn.Signature()
}

// returns reports whether a type, or a pointer to it, has a method without parameters and with one result of a type.
func returns(t types.Type, name string, result func(types.Type) bool) bool {
	sig := method(t, name)
	return sig != nil && sig.Params().Len() == 0 && sig.Results().Len() == 1 && result(sig.Results().At(0).Type())
}

func isInt(t types.Type) bool { return types.Identical(t, types.Typ[types.Int]) }

func decodesJSON(t types.Type) bool {
	return takesBytes(method(t, "UnmarshalJSON")) || method(t, "MarshalJSON") != nil
}

func decodesText(t types.Type) bool { return takesBytes(method(t, "UnmarshalText")) }

// takesBytes reports whether a method is func([]byte) error.
func takesBytes(sig *types.Signature) bool {
	return sig != nil && sig.Params().Len() == 1 && sig.Results().Len() == 1 && isError(sig.Results().At(0).Type()) &&
		types.Identical(sig.Params().At(0).Type(), types.NewSlice(types.Typ[types.Byte]))
}
