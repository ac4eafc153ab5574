package emit

import (
	"slices"

	"github.com/dave/jennifer/jen"

	"github.com/stella-ops/router/generator/scan"
	"github.com/stella-ops/router/spec"
)

// dispatcher writes the function that serves one endpoint.
func (s *source) dispatcher(e *scan.Endpoint) {
	var param jen.Code = jen.Null()
	call := jen.Id(e.Func)
	if e.Receiver != nil {
		param = jen.Id("h").Add(receiver(e.Receiver.Type, s.receivers[e.Receiver.Type]))
		call = jen.Id("h").Dot(e.Func)
	}
	s.file.Commentf("%s serves %s %s.", s.serves[e], e.Method, e.Path)
	s.file.Comment("//")
	s.file.Comment("//go:noinline") // inlined into Endpoints, the dispatcher would be compiled a second time
	s.file.Func().Id(s.serves[e]).Params(param).Add(stella("Dispatch")).Block(jen.Return(s.dispatch(e, call)))
	s.file.Line()
}

// dispatch is the expression of one endpoint's dispatcher; call is its handler, as a value.
func (s *source) dispatch(e *scan.Endpoint, call *jen.Statement) *jen.Statement {
	if e.Kind == spec.KindHTTP {
		if e.Receiver != nil && !e.Receiver.Pointer && s.receivers[e.Receiver.Type] {
			// A method value would look into a pointer that may be nil; stella.Run is to say so, by name.
			call = jen.Func().Params(jen.Id("w").Qual("net/http", "ResponseWriter"), jen.Id("r").Op("*").Qual("net/http", "Request")).
				Block(call.Call(jen.Id("w"), jen.Id("r")))
		}
		return jen.Qual(scan.BridgePath, "Dispatch").Call(jen.Qual("net/http", "HandlerFunc").Call(call))
	}
	return jen.Func().Params(
		jen.Id("ctx").Qual("context", "Context"),
		jen.Id("r").Op("*").Add(stella("Request")),
		jen.Id("w").Op("*").Add(stella("Response")),
	).Error().BlockFunc(func(g *jen.Group) {
		if len(e.Errors) > 0 {
			g.Id("w").Dot("DeclareErrors").Call(jen.Id(s.finderOf(e)))
		}
		if e.Kind == spec.KindRaw {
			g.Return(call.Call(jen.Id("ctx"), jen.Id("r"), jen.Id("w")))
			return
		}
		if e.Kind == spec.KindStream { // before the handler does anything
			g.If(jen.Err().Op(":=").Add(stella("AcceptsSequence")).Call(jen.Id("r")), jen.Err().Op("!=").Nil()).Block(jen.Return(jen.Err()))
		}
		args := []jen.Code{jen.Id("ctx")}
		if e.In != nil {
			s.bind(g, e)
			args = append(args, jen.Op("&").Id("in"))
		}
		s.answer(g, e, call.Call(args...))
	})
}

// bind writes what makes a request the handler's input.
func (s *source) bind(g *jen.Group, e *scan.Endpoint) {
	g.Var().Id("in").Add(typeExpr(e.In.Go))
	bind := jen.Id("b").Op(":=").Add(stella("Bind")).Call(jen.Id("r"))
	if e.Unknown != "" {
		bind = bind.Dot("IgnoreUnknown").Call()
	}
	g.Add(bind)
	switch {
	case e.HasBody() && e.In.IsForm():
		g.Id("b").Dot("Form").Call(jen.Id(s.forms[e.In.Key]))
	case e.HasBody():
		required := slices.ContainsFunc(e.In.Fields, func(f *scan.Field) bool { return f.In == spec.InBody && f.Required })
		decode := jen.Id("b").Dot("NoMembers").Call()
		if hasMembers(e.In) {
			decode = jen.Id(s.decoders[e.In.Key]).Call(jen.Id("b"), jen.Op("&").Id("in"))
		}
		g.If(jen.Id("b").Dot("Body").Call(jen.Lit(required))).Block(decode)
	}
	for _, in := range sources {
		for _, f := range e.In.Fields {
			if f.In != in.name {
				continue
			}
			if method := fileBinder(f.Type); method != "" {
				g.Add(s.bindFile(f, method))
				continue
			}
			param := jen.Id("b").Dot(in.method).Call(jen.Lit(f.Name))
			if f.Required && f.In != spec.InPath {
				param = param.Dot("Required").Call()
			}
			if name := s.rules[f]; name != "" {
				param = param.Dot("Rule").Call(jen.Op("&").Id(name))
			}
			if text := f.Type.Schema.Default; text != nil {
				param = param.Dot("Default").Call(jen.Lit(*text))
			}
			g.Add(bindInto(f.Type, param, jen.Op("&").Add(selector("in", f))))
		}
	}
	if e.In.Validates {
		g.Id("b").Dot("Validate").Call(jen.Op("&").Id("in"))
	}
	g.If(jen.Err().Op(":=").Id("b").Dot("Err").Call(), jen.Err().Op("!=").Nil()).Block(jen.Return(jen.Err()))
}

// sources are where parameters come from, in the order in which they are bound, and the Binder's methods for them.
var sources = []struct{ name, method string }{
	{scan.InForm, "Field"}, {spec.InPath, "Path"}, {spec.InQuery, "Query"}, {spec.InHeader, "Header"}, {spec.InCookie, "Cookie"},
}

func selector(root string, f *scan.Field) *jen.Statement {
	expr := jen.Id(root)
	for _, name := range f.Selector {
		expr = expr.Dot(name)
	}
	return expr
}

// answer writes the call of the handler and what becomes of its result.
func (s *source) answer(g *jen.Group, e *scan.Endpoint, call *jen.Statement) {
	if e.Out == nil && e.Item == nil {
		g.If(jen.Err().Op(":=").Add(call), jen.Err().Op("!=").Nil()).Block(jen.Return(jen.Err()))
		g.Return(jen.Id("w").Dot("Empty").Call(jen.Lit(e.Status)))
		return
	}
	g.List(jen.Id("out"), jen.Err()).Op(":=").Add(call)
	g.If(jen.Err().Op("!=").Nil()).Block(jen.Return(jen.Err()))
	if e.Item != nil {
		send := "SendSequence"
		if e.Events {
			send = "SendEvents"
		}
		g.Return(stella(send).Call(jen.Id("r"), jen.Id("w"), jen.Lit(e.Status), jen.Id("out")))
		return
	}
	g.If(jen.Id("out").Op("==").Nil()).Block(jen.Return(jen.Id("w").Dot("Empty").Call(jen.Lit(noContent))))
	for _, f := range e.Out.Fields {
		if f.In == spec.InHeader {
			g.Add(stella(setters[f.Type.Kind])).Call(jen.Id("w"), jen.Lit(f.Name), selector("out", f))
		}
	}
	if e.Out.Chooses {
		args := []jen.Code{jen.Id("w"), jen.Id("out"), jen.Id("out").Dot("HTTPStatus").Call(), jen.Lit(e.Status)}
		for _, status := range e.Statuses {
			args = append(args, jen.Lit(status))
		}
		g.Return(stella("SendResult").Call(args...))
		return
	}
	g.Return(jen.Id("w").Dot("JSON").Call(jen.Lit(e.Status), jen.Id("out")))
}

// noContent answers a handler that gives no result and no error, although it could.
const noContent = 204

// setters are the runtime's functions for a result's header fields.
var setters = map[scan.Kind]string{
	scan.String: "SetString", scan.Int: "SetInt", scan.Uint: "SetUint", scan.Bool: "SetBool", scan.Time: "SetTime",
	scan.Slice: "SetStrings",
}

// binders are the runtime's functions for a parameter's text.
var binders = map[scan.Kind]string{
	scan.String: "BindString", scan.Int: "BindInt", scan.Uint: "BindUint", scan.Float: "BindFloat", scan.Bool: "BindBool",
	scan.Time: "BindTime", scan.Duration: "BindDuration", scan.Text: "BindText",
	scan.Pointer: "BindPointer", scan.Optional: "BindOptional", scan.Slice: "BindSlice",
}

// bindInto writes one parameter.
func bindInto(t *scan.Type, param, dst *jen.Statement) *jen.Statement {
	call := stella(binders[t.Kind])
	if t.Elem != nil {
		return call.Call(param, dst, instance(binders, t.Elem))
	}
	return call.Call(param, dst)
}

// instance names a runtime function for one type, as a value.
func instance(functions map[scan.Kind]string, t *scan.Type) *jen.Statement {
	if t.Kind == scan.Time {
		return stella(functions[t.Kind])
	}
	return stella(functions[t.Kind]).Types(typeExpr(t.Go))
}
