package scan

import (
	"go/ast"
	"go/token"
	"go/types"
	"slices"
	"strings"
	"unicode"

	"github.com/stella-ops/router/generator/diagnostic"
	"github.com/stella-ops/router/spec"
)

// object is the model of a struct type of the service's module. A type that is made of itself meets itself here.
func (b *builder) object(named *types.Named) *Struct {
	key := types.TypeString(named, nil)
	if s := b.structs[key]; s != nil {
		return s
	}
	s := &Struct{Go: named, Pos: b.pos(named.Obj().Pos()), Key: key, Validates: returns(named, "Validate", isError), Chooses: returns(named, "HTTPStatus", isInt)}
	b.structs[key] = s
	src := b.l.sourceOf(named.Obj().Pkg())
	if decl := src.decls[named.Obj().Name()]; decl != nil {
		s.Doc = decl.doc
	}
	fields := b.fields(named, nil, map[string]bool{key: true})
	s.Fields = b.visible(fields)
	return s
}

// placed is a field and how deep it is embedded.
type placed struct {
	*Field

	depth int
}

func (b *builder) fields(named *types.Named, prefix []string, seen map[string]bool) []placed {
	st, ok := named.Underlying().(*types.Struct)
	if !ok {
		return nil
	}
	src := b.l.sourceOf(named.Origin().Obj().Pkg())
	var found []placed
	for i := range st.NumFields() {
		v := st.Field(i)
		node := src.fields[v.Origin().Pos()]
		if node == nil {
			node = &ast.Field{Type: &ast.BadExpr{From: v.Pos(), To: v.Pos() + 1}}
		}
		selector := append(slices.Clone(prefix), v.Name())
		tags := b.tags(node, st.Tag(i))
		if v.Embedded() && !tags.bound() && tags.jsonName == "" && !tags.excluded {
			b.idle(tags, "an embedded struct's fields have their own")
			found = append(found, b.embedded(v, node, selector, src, seen)...)
			continue
		}
		if !v.Exported() {
			b.idle(tags, "the field is not exported")
			if tags.bound() {
				b.l.list.Addf(diagnostic.BadTag, b.pos(v.Pos()), len(v.Name()), "unexported field %s cannot be bound", v.Name())
			}
			continue
		}
		if f := b.field(v, node, tags, src); f != nil {
			f.Selector = selector
			f.Source = b.sourceOfField(node, v.Pos(), v.Name(), st.Tag(i))
			found = append(found, placed{f, len(prefix)})
		}
	}
	return found
}

// embedded flattens an embedded struct, as encoding/json does.
func (b *builder) embedded(v *types.Var, node *ast.Field, selector []string, src *source, seen map[string]bool) []placed {
	if b.unresolved(v.Type(), node.Type, src) {
		return nil
	}
	report := func(format string, args ...any) []placed {
		b.l.list.Addf(diagnostic.FieldType, b.pos(node.Pos()), int(node.Type.End()-node.Pos()), format, args...).Hint =
			"give the field a name"
		return nil
	}
	named, ok := types.Unalias(v.Type()).(*types.Named)
	if !ok {
		return report("embedded pointers are not supported")
	}
	s := b.l.sourceOf(named.Obj().Pkg())
	if _, isStruct := named.Underlying().(*types.Struct); !isStruct || s == nil || !s.own {
		return report("only structs of this module can be embedded, got %s", b.name(named))
	}
	if decodesJSON(named) || decodesText(named) {
		return report("embedded %s decodes itself", b.name(named))
	}
	if !v.Exported() && named.Obj().Pkg() != b.src.types {
		return report("embedded %s is not exported by its package", b.name(named))
	}
	key := types.TypeString(named, nil)
	if seen[key] {
		return nil // Go forbids it; only a package that does not compile has it
	}
	seen[key] = true
	defer delete(seen, key)
	return b.fields(named, selector, seen)
}

// visible drops fields that a shallower one of the same name hides, and reports names that clash.
func (b *builder) visible(fields []placed) []*Field {
	best := map[string]placed{}
	for _, f := range fields {
		key := f.In + " " + canonicalName(f.Field)
		first, taken := best[key]
		switch {
		case !taken || f.depth < first.depth:
			best[key] = f
		case f.depth == first.depth:
			report := b.l.list.Addf(diagnostic.BadTag, f.Pos, 1, "a second field for %s %q", f.In, f.Name)
			report.Related = []diagnostic.Related{{Pos: first.Pos, Message: firstIsHere}}
		}
	}
	var kept []*Field
	for _, f := range fields {
		if best[f.In+" "+canonicalName(f.Field)].Field == f.Field {
			kept = append(kept, f.Field)
		}
	}
	return kept
}

func canonicalName(f *Field) string {
	if f.In == spec.InHeader {
		return strings.ToLower(f.Name)
	}
	return f.Name
}

// field is one field, or nil if it takes no part.
func (b *builder) field(v *types.Var, node *ast.Field, tags fieldTags, src *source) *Field {
	if tags.excluded && !tags.bound() {
		b.idle(tags, "the field takes no part")
		return nil
	}
	f := &Field{Pos: b.pos(v.Pos()), In: spec.InBody, Name: tags.jsonName, Required: tags.required, Suspect: tags.broken, Doc: fieldDoc(node)}
	if f.Name == "" {
		f.Name = v.Name()
	}
	if tags.bound() {
		f.In, f.Name = tags.in, tags.name
		f.JSONOut = !tags.excluded
		f.Required = f.Required || tags.in == spec.InPath
	}
	if b.unresolved(v.Type(), node.Type, src) {
		f.Type = &Type{Kind: Invalid, Go: v.Type(), Schema: &spec.Schema{}}
		return f
	}
	f.Type = b.shallow(v.Type(), use{node: node, pos: v.Pos()})
	if tags.bound() {
		b.checkParam(f, node)
		f.Type = asParam(f.Type)
	} else if f.Type.holdsFile() {
		f.Type = b.refuse(v.Type(), use{node: node, pos: v.Pos()}, "comes with a form: tag the field form:\"name\"")
	}
	b.constrain(f, len(v.Name()), tags)
	return f
}

func fieldDoc(node *ast.Field) string {
	if doc := clean(node.Doc); doc != "" {
		return doc
	}
	return clean(node.Comment)
}

// use is where a type is written, for findings about it.
type use struct {
	node *ast.Field
	pos  token.Pos
}

// checkParam reports a parameter's type that text does not make.
func (b *builder) checkParam(f *Field, node *ast.Field) {
	t := f.Type
	several := f.In == spec.InQuery || f.In == spec.InHeader || f.In == InForm
	switch {
	case t.Kind == Slice && several, t.Kind == Pointer && f.In != spec.InPath:
		t = t.Elem
	case t.Kind == Optional && f.In != spec.InPath && !t.holdsFile():
		t = t.Elem
	}
	switch t.Kind {
	case String, Bool, Int, Uint, Float, Time, Duration, Text, Invalid:
		return
	case File:
		if f.In == InForm {
			return
		}
	case Bytes, JSON, Opaque, Object, Slice, Map, Pointer, Optional, Array:
	}
	what, hint := "a "+f.In+" parameter", "use text, numbers, booleans, time.Time, time.Duration or a type with UnmarshalText; in "+
		"query and header also pointers to and slices of these"
	if f.In == InForm {
		what, hint = "a form's field", "use text, numbers, booleans, time.Time, time.Duration, a type with UnmarshalText, stella.File, and "+
			"pointers to and slices of these"
	}
	b.l.list.Addf(diagnostic.FieldType, b.pos(node.Type.Pos()), int(node.Type.End()-node.Type.Pos()),
		"%s cannot be %s", what, b.name(f.Type.Go)).Hint = hint
}

// checkInput reports fields of an endpoint's input that its requests have no place for, and types that cannot be
// decoded.
func (b *builder) checkInput(e *Endpoint) {
	form := e.In.IsForm()
	for _, f := range e.In.Fields {
		width := len(f.Selector[len(f.Selector)-1])
		switch {
		case f.Suspect: // what is wrong with its tag has been said
		case (f.In == spec.InBody || f.In == InForm) && !e.HasBody():
			report := b.l.list.Addf(diagnostic.UntaggedField, f.Pos, width,
				"field %s has no place in a %s request, which has no body", strings.Join(f.Selector, "."), e.Method)
			report.Hint = "tag it path, query, header or cookie, or exclude it by json:\"-\""
			report.Related = []diagnostic.Related{{Pos: e.Pos, Message: endpointIsHere}}
		case f.In == spec.InBody && form:
			report := b.l.list.Addf(diagnostic.UntaggedField, f.Pos, width,
				"field %s has no place in a form: other fields are tagged form", strings.Join(f.Selector, "."))
			report.Hint = "tag it form, too, or exclude it by json:\"-\""
		case f.In == spec.InBody:
			b.checkDecodable(f.Type, f, map[*Struct]bool{e.In: true})
		}
	}
}

// endpointIsHere goes with what contradicts an endpoint's directive.
const endpointIsHere = "the endpoint is here"

// checkDecodable looks for interfaces, at any depth.
func (b *builder) checkDecodable(t *Type, f *Field, seen map[*Struct]bool) {
	switch {
	case t == nil:
	case t.Kind == Opaque:
		b.l.list.Addf(diagnostic.FieldType, f.Pos, len(f.Selector[len(f.Selector)-1]),
			"%s cannot be decoded from JSON: it is an interface with methods", b.name(t.Go))
	case t.Kind == Object && !seen[t.Struct]:
		seen[t.Struct] = true
		for _, member := range t.Struct.Fields {
			b.nested(member)
			b.checkDecodable(member.Type, member, seen)
		}
	default:
		b.checkDecodable(t.Elem, f, seen)
	}
}

// nested reports a bound field of a struct that is not a handler's own input or result.
func (b *builder) nested(f *Field) {
	if f.In != spec.InBody {
		b.l.list.Addf(diagnostic.BadTag, f.Pos, len(f.Selector[len(f.Selector)-1]),
			"tag %s:%q in a nested struct binds nothing: only a handler's own input and result have parameters", f.In, f.Name)
	}
}

// checkResult reports fields of a result that bind to nothing, or travel twice.
func (b *builder) checkResult(e *Endpoint) {
	seen := map[*Struct]bool{e.Out: true}
	for _, f := range e.Out.Fields {
		width := len(f.Selector[len(f.Selector)-1])
		switch {
		case f.In != spec.InHeader && f.In != spec.InBody:
			b.l.list.Addf(diagnostic.BadTag, f.Pos, width, "a result has no %s: field %s is tagged %s:%q", f.In, f.Selector[0], f.In, f.Name)
		case f.In == spec.InHeader && f.JSONOut:
			b.l.list.Addf(diagnostic.ResultHeader, f.Pos, width,
				"field %s travels as header %s and in the JSON body", strings.Join(f.Selector, "."), f.Name).Hint = "tag it json:\"-\" too"
		case f.In == spec.InHeader:
			b.checkResultHeader(f)
		default:
			b.checkNested(f.Type, seen)
		}
	}
}

func (b *builder) checkNested(t *Type, seen map[*Struct]bool) {
	for ; t != nil; t = t.Elem {
		if t.Kind != Object || seen[t.Struct] {
			continue
		}
		seen[t.Struct] = true
		for _, member := range t.Struct.Fields {
			b.nested(member)
			b.checkNested(member.Type, seen)
		}
	}
}

func (b *builder) checkResultHeader(f *Field) {
	switch f.Type.Kind {
	case String, Bool, Int, Uint, Time, Invalid:
		return
	case Slice:
		if f.Type.Elem.Kind == String {
			return
		}
	case Float, Duration, Bytes, Text, JSON, Opaque, Object, Map, Pointer, Optional, File, Array:
	}
	b.l.list.Addf(diagnostic.FieldType, f.Pos, len(f.Selector[len(f.Selector)-1]),
		"a result's header cannot be %s", b.name(f.Type.Go)).Hint = "use text, integers, booleans, time.Time or a slice of text"
}

// validJSONName is what encoding/json takes as a name in a tag; it ignores others without a word.
func validJSONName(s string) bool {
	for _, c := range s {
		if !strings.ContainsRune("!#$%&()*+-./:;<=>?@[]^_{|}~ ", c) && !unicode.IsLetter(c) && !unicode.IsDigit(c) {
			return false
		}
	}
	return true
}
