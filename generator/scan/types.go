package scan

import (
	"fmt"
	"go/types"

	"github.com/stella-ops/router/generator/diagnostic"
	"github.com/stella-ops/router/spec"
)

// shallow is the model of a type that a field or an item of a stream has, which must not nest deeper than its schema may.
func (b *builder) shallow(t types.Type, at use) *Type {
	const most = spec.MaxSchemaDepth - 1 // a field's schema is itself within a struct's
	model := b.typeOf(t, at)
	depth := 0
	for s := model.Schema; s != nil; depth++ {
		if s.Items != nil {
			s = s.Items
		} else {
			s = s.Values
		}
	}
	if depth-1 > most {
		return b.refuse(t, at, fmt.Sprintf("nests slices, arrays and maps %d deep, expected at most %d: put a struct in between", depth-1, most))
	}
	return model
}

// typeOf is the model of a type that a field has.
func (b *builder) typeOf(t types.Type, at use) *Type {
	t = types.Unalias(t)
	if isNamed(t, "time", "Time") {
		return &Type{Kind: Time, Go: t, Schema: &spec.Schema{Type: spec.TypeString, Format: "date-time"}}
	}
	if isNamed(t, "time", "Duration") {
		return &Type{Kind: Duration, Go: t, Schema: &spec.Schema{Type: spec.TypeInteger, Format: "int64"}}
	}
	if isNamed(t, "encoding/json", "Number") {
		return &Type{Kind: JSON, Go: t, Schema: &spec.Schema{Type: spec.TypeNumber}}
	}
	if isNamed(t, RuntimePath, "File") {
		return &Type{Kind: File, Go: t, Schema: &spec.Schema{Type: spec.TypeString, Format: "binary"}}
	}
	if isNamed(t, RuntimePath, "Event") {
		return b.refuse(t, at, "is for the items of a sequence: iter.Seq2[stella.Event[T], error]")
	}
	if isNamed(t, RuntimePath, "Optional") {
		return b.optional(t, at)
	}
	if _, isPointer := t.(*types.Pointer); !isPointer {
		switch {
		case decodesText(t) && !takesBytes(method(t, "UnmarshalJSON")):
			return &Type{Kind: Text, Go: t, Schema: &spec.Schema{Type: spec.TypeString}}
		case decodesText(t): // both: text as a parameter, its own JSON in a body
			return &Type{Kind: Text, Go: t, Schema: &spec.Schema{}}
		case decodesJSON(t):
			return &Type{Kind: JSON, Go: t, Schema: &spec.Schema{}}
		}
	}
	if named, ok := t.(*types.Named); ok {
		key := types.TypeString(named, nil)
		obj := named.Obj()
		if b.busy[key] { // type Tree []Tree: encoding/json follows it from here
			return &Type{Kind: JSON, Go: t, Schema: &spec.Schema{}}
		}
		if !obj.Exported() && obj.Pkg() != nil && obj.Pkg() != b.src.types {
			return b.refuse(t, at, "is not exported by its package")
		}
		if b.onSomeMachines(b.l.sourceOf(obj.Pkg()), obj.Name(), at.node.Type) {
			return &Type{Kind: Invalid, Go: t, Schema: &spec.Schema{}}
		}
		if _, isStruct := t.Underlying().(*types.Struct); !isStruct { // structs may: object keeps them
			b.busy[key] = true
			defer delete(b.busy, key)
		}
	}
	return b.underlying(t, at)
}

// optional is the model of a stella.Optional.
func (b *builder) optional(t types.Type, at use) *Type {
	args := t.(*types.Named).TypeArgs() //nolint:forcetypeassert // isNamed has seen it
	if args.Len() != 1 {
		return b.refuse(t, at, "needs the type of its value")
	}
	elem := b.typeOf(args.At(0), at)
	return &Type{Kind: Optional, Go: t, Elem: elem, Schema: nullable(elem.Schema)}
}

func (b *builder) underlying(t types.Type, at use) *Type {
	switch u := t.Underlying().(type) {
	case *types.Basic:
		return b.basic(t, u, at)
	case *types.Pointer:
		if _, isNamed := t.(*types.Named); isNamed {
			return &Type{Kind: JSON, Go: t, Schema: &spec.Schema{}}
		}
		elem := b.typeOf(u.Elem(), at)
		return &Type{Kind: Pointer, Go: t, Elem: elem, Schema: nullable(elem.Schema)}
	case *types.Slice:
		return b.slice(t, u, at)
	case *types.Array:
		elem := b.typeOf(u.Elem(), at)
		n := int(u.Len())
		return &Type{Kind: Array, Go: t, Elem: elem, Schema: &spec.Schema{Type: spec.TypeArray, Items: elem.Schema, MinItems: n, MaxItems: &n}}
	case *types.Map:
		return b.mapOf(t, u, at)
	case *types.Struct:
		return b.structOf(t, at)
	case *types.Interface:
		if u.Empty() {
			return &Type{Kind: JSON, Go: t, Schema: &spec.Schema{}}
		}
		return &Type{Kind: Opaque, Go: t, Schema: &spec.Schema{}}
	}
	return b.refuse(t, at, "has no JSON form")
}

func (b *builder) refuse(t types.Type, at use, why string) *Type {
	b.l.list.Addf(diagnostic.FieldType, b.pos(at.node.Type.Pos()), int(at.node.Type.End()-at.node.Type.Pos()), "%s %s", b.name(t), why)
	return &Type{Kind: Invalid, Go: t, Schema: &spec.Schema{}}
}

func nullable(s *spec.Schema) *spec.Schema {
	c := *s
	c.Nullable = true
	return &c
}

// basic is the model of text, a number or a boolean. Constants of the type list its values.
func (b *builder) basic(t types.Type, u *types.Basic, at use) *Type {
	of := func(kind Kind, s spec.Schema) *Type {
		model := &Type{Kind: kind, Go: t, Schema: &s}
		if kind == String || kind == Int || kind == Uint {
			s.Enum, model.Unread = b.constants(t, at)
		}
		return model
	}
	switch info := u.Info(); {
	case info&types.IsString != 0:
		return of(String, spec.Schema{Type: spec.TypeString})
	case info&types.IsBoolean != 0:
		return of(Bool, spec.Schema{Type: spec.TypeBoolean})
	case u.Kind() == types.Float32:
		return of(Float, spec.Schema{Type: spec.TypeNumber, Format: "float"})
	case u.Kind() == types.Float64:
		return of(Float, spec.Schema{Type: spec.TypeNumber, Format: "double"})
	case info&types.IsUnsigned != 0:
		return of(Uint, spec.Schema{Type: spec.TypeInteger, Format: intFormat(u), Minimum: "0"})
	case info&types.IsInteger != 0:
		return of(Int, spec.Schema{Type: spec.TypeInteger, Format: intFormat(u)})
	}
	return b.refuse(t, at, "has no JSON form")
}

// intFormat names an integer's size. int and uint have 64 bits where services run.
func intFormat(u *types.Basic) string {
	switch u.Kind() {
	case types.Int, types.Int64:
		return "int64"
	case types.Uint, types.Uint64, types.Uintptr:
		return "uint64"
	default:
		return u.Name()
	}
}

func (b *builder) slice(t types.Type, u *types.Slice, at use) *Type {
	if elem, ok := u.Elem().Underlying().(*types.Basic); ok && elem.Kind() == types.Byte && !decodesJSON(u.Elem()) && !decodesText(u.Elem()) {
		kind := Bytes
		if !types.Identical(u.Elem(), types.Typ[types.Byte]) {
			kind = JSON
		}
		return &Type{Kind: kind, Go: t, Schema: &spec.Schema{Type: spec.TypeString, Format: "byte", Nullable: true}}
	}
	elem := b.typeOf(u.Elem(), at)
	return &Type{Kind: Slice, Go: t, Elem: elem, Schema: &spec.Schema{Type: spec.TypeArray, Nullable: true, Items: elem.Schema}}
}

func (b *builder) mapOf(t types.Type, u *types.Map, at use) *Type {
	elem := b.typeOf(u.Elem(), at)
	schema := &spec.Schema{Type: spec.TypeObject, Nullable: true, Values: elem.Schema}
	key, ok := u.Key().Underlying().(*types.Basic)
	switch {
	case decodesText(u.Key()) || ok && key.Info()&types.IsInteger != 0:
		schema.Values = unlisted(elem.Schema)
		return &Type{Kind: JSON, Go: t, Schema: schema} // encoding/json knows how to make such keys
	case !ok || key.Info()&types.IsString == 0:
		return b.refuse(t, at, "has no JSON form: a map's keys are text, integers or types with UnmarshalText")
	}
	return &Type{Kind: Map, Go: t, Elem: elem, Schema: schema}
}

func (b *builder) structOf(t types.Type, at use) *Type {
	named, ok := t.(*types.Named)
	if !ok {
		return b.refuse(t, at, "has no name: declare a type for it")
	}
	src := b.l.sourceOf(named.Obj().Pkg())
	if src == nil || !src.own {
		return &Type{Kind: JSON, Go: t, Schema: &spec.Schema{}}
	}
	if named.Obj().Parent() != named.Obj().Pkg().Scope() {
		return b.refuse(t, at, "is declared within a function")
	}
	s := b.object(named)
	return &Type{Kind: Object, Go: t, Struct: s, Schema: &spec.Schema{Ref: s.Key}}
}

// asParam is a type with the schema of a parameter, which is text that comes or does not, and is never null.
func asParam(t *Type) *Type {
	n := *t
	switch t.Kind {
	case Pointer, Optional:
		n.Elem = asParam(t.Elem)
		n.Schema = n.Elem.Schema
	case Slice:
		n.Elem = asParam(t.Elem)
		n.Schema = &spec.Schema{Type: spec.TypeArray, Items: n.Elem.Schema}
	case Text:
		n.Schema = &spec.Schema{Type: spec.TypeString}
	case Duration:
		n.Schema = &spec.Schema{Type: spec.TypeString, Format: "go-duration"}
	case Invalid, String, Bool, Int, Uint, Float, Time, Bytes, JSON, Opaque, Object, Map, File, Array:
	}
	return &n
}
