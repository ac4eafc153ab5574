package emit

import (
	"fmt"
	"strings"

	"github.com/dave/jennifer/jen"

	"github.com/stella-ops/router/generator/scan"
)

// finderOf names the function that finds the errors that an endpoint declares. Endpoints that declare the same share one.
func (s *source) finderOf(e *scan.Endpoint) string {
	key := declaredErrors(e)
	if s.finders[key] == "" {
		s.finders[key] = s.names.take("stellaErrorsOf" + strings.TrimPrefix(s.serves[e], "stellaServe"))
	}
	return s.finders[key]
}

func declaredErrors(e *scan.Endpoint) string {
	var b strings.Builder
	for _, a := range e.Errors {
		fmt.Fprintf(&b, "%s:%d,", a.Go.Obj().Name(), a.Status)
	}
	return b.String()
}

// finder writes the function, at the first endpoint that needs it.
func (s *source) finder(e *scan.Endpoint) {
	key := declaredErrors(e)
	name := s.finders[key]
	if name == "" || s.found[key] {
		return
	}
	s.found[key] = true
	s.file.Func().Id(name).Params(jen.Err().Error()).Op("*").Add(stella("Error")).BlockFunc(func(g *jen.Group) {
		for _, a := range e.Errors {
			if !a.Pointer {
				g.Add(find(a, typeExpr(a.Go), jen.Id("ok")))
			}
			g.Add(find(a, jen.Op("*").Add(typeExpr(a.Go)), jen.Id("ok").Op("&&").Id("e").Op("!=").Nil()))
		}
		g.Return(jen.Nil())
	})
	s.file.Line()
}

// find answers an error of a type.
func find(a *scan.ErrorAnswer, t, found *jen.Statement) *jen.Statement {
	values := []jen.Code{
		jen.Id("Status").Op(":").Lit(a.Status), jen.Id("Code").Op(":").Lit(a.Code), jen.Id("Message").Op(":").Id("e").Dot("Error").Call(),
	}
	if a.Details != nil {
		values = append(values, jen.Id("Details").Op(":").Id("e"))
	}
	return jen.If(jen.List(jen.Id("e"), jen.Id("ok")).Op(":=").Qual("errors", "AsType").Types(t).Call(jen.Err()), found).Block(
		jen.Return(jen.Op("&").Add(stella("Error")).Values(values...)))
}
