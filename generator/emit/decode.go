package emit

import (
	"github.com/dave/jennifer/jen"

	"github.com/stella-ops/router/generator/scan"
	"github.com/stella-ops/router/spec"
)

// decoded lists the structs that bodies are made of, by full name.
func (s *source) decoded() []*scan.Struct {
	found := map[*scan.Struct]bool{}
	var visit func(st *scan.Struct)
	visit = func(st *scan.Struct) {
		if st == nil || found[st] {
			return
		}
		found[st] = true
		for _, f := range st.Fields {
			if f.In != spec.InBody {
				continue
			}
			for t := f.Type; t != nil; t = t.Elem {
				s.nested[t.Struct] = true
				visit(t.Struct)
			}
		}
	}
	for _, e := range s.pkg.Endpoints {
		if e.HasBody() && e.In != nil && hasMembers(e.In) {
			visit(e.In)
		}
	}
	var list []*scan.Struct
	for _, st := range s.structs {
		if found[st] {
			list = append(list, st)
		}
	}
	return list
}

// decoder writes the function that takes one struct from a body, and the list of its members.
func (s *source) decoder(st *scan.Struct) {
	key := st.Key
	body := jen.Id("b").Dot("NoMembers").Call()
	if hasMembers(st) {
		s.memberList(st)
		object := jen.Id("b").Dot("Object").Call(jen.Id(s.members[key]))
		body = jen.For(jen.Id("o").Op(":=").Add(object), jen.Id("o").Dot("Next").Call(), jen.Empty()).Block(
			jen.Switch(jen.Id("o").Dot("Index").Call()).BlockFunc(func(g *jen.Group) {
				index := 0
				for _, f := range st.Fields {
					if f.In == spec.InBody {
						g.Case(jen.Lit(index)).Block(jen.Comment(f.Name), s.decodeMember(f.Type, selector("out", f)))
						index++
					}
				}
			}))
	}
	code := []jen.Code{body}
	if st.Validates && s.nested[st] {
		code = append(code, jen.Id("b").Dot("ValidateMember").Call(jen.Id("out")))
	}
	s.file.Func().Id(s.decoders[key]).Params(jen.Id("b").Op("*").Add(stella("Binder")), jen.Id("out").Op("*").Add(typeExpr(st.Go))).Block(code...)
	s.file.Line()
}

func (s *source) memberList(st *scan.Struct) {
	s.file.Var().Id(s.members[st.Key]).Op("=").Index().Add(stella("Member")).ValuesFunc(func(g *jen.Group) {
		for _, f := range st.Fields {
			if f.In != spec.InBody {
				continue
			}
			values := []jen.Code{jen.Id("Name").Op(":").Lit(f.Name)}
			if f.Required {
				values = append(values, jen.Id("Required").Op(":").True())
			}
			if text := jsonDefault(f.Type.Schema); text != "" {
				values = append(values, jen.Id("Default").Op(":").Lit(text))
			}
			if fields := rule(f.Type); fields != nil {
				values = append(values, jen.Id("Rule").Op(":").Op("&").Add(stella("Rule")).Values(fields...))
			}
			g.Line().Values(values...)
		}
		g.Line()
	})
	s.file.Line()
}

// decoders are the runtime's functions for a JSON value.
var decoders = map[scan.Kind]string{
	scan.String: "DecodeString", scan.Int: "DecodeInt", scan.Duration: "DecodeInt", scan.Uint: "DecodeUint",
	scan.Float: "DecodeFloat", scan.Bool: "DecodeBool", scan.Time: "DecodeTime", scan.Bytes: "DecodeBytes",
	scan.Text: "DecodeJSON", scan.JSON: "DecodeJSON",
	scan.Pointer: "DecodePointer", scan.Optional: "DecodeOptional", scan.Slice: "DecodeSlice", scan.Map: "DecodeMap", scan.Array: "DecodeArray",
}

// decodeMember writes the decoding of one member. A slice of structs gets a loop of its own: see stella.Array.
func (s *source) decodeMember(t *scan.Type, dst *jen.Statement) *jen.Statement {
	if t.Kind != scan.Slice || t.Elem.Kind != scan.Object {
		return s.decodeInto(t, jen.Op("&").Add(dst))
	}
	return jen.If(jen.Id("a").Op(":=").Id("b").Dot("Array").Call(), jen.Id("a").Dot("Begun").Call()).Block(
		dst.Clone().Op("=").Make(typeExpr(t.Go), jen.Lit(0), jen.Id("a").Dot("Room").Call()),
		jen.For(jen.Id("a").Dot("Next").Call()).Block(
			jen.Var().Id("v").Add(typeExpr(t.Elem.Go)),
			jen.Id(s.decoders[t.Elem.Struct.Key]).Call(jen.Id("b"), jen.Op("&").Id("v")),
			dst.Clone().Op("=").Append(dst.Clone(), jen.Id("v")),
		),
	)
}

// decodeInto writes the decoding of one value.
func (s *source) decodeInto(t *scan.Type, dst *jen.Statement) *jen.Statement {
	if t.Kind == scan.Object {
		return jen.Id(s.decoders[t.Struct.Key]).Call(jen.Id("b"), dst)
	}
	if t.Kind == scan.Array {
		dst = jen.Parens(dst).Index(jen.Empty(), jen.Empty())
	}
	call := stella(decoders[t.Kind])
	if t.Elem != nil {
		return call.Call(jen.Id("b"), dst, s.element(t.Elem))
	}
	return call.Call(jen.Id("b"), dst)
}

// element is the function that decodes the elements of a slice, map or pointer.
func (s *source) element(t *scan.Type) *jen.Statement {
	switch {
	case t.Kind == scan.Object:
		return jen.Id(s.decoders[t.Struct.Key])
	case t.Elem != nil:
		return jen.Func().Params(jen.Id("b").Op("*").Add(stella("Binder")), jen.Id("v").Op("*").Add(typeExpr(t.Go))).Block(
			s.decodeInto(t, jen.Id("v")))
	}
	return instance(decoders, t)
}
