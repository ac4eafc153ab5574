package emit

import (
	"github.com/dave/jennifer/jen"

	"github.com/stella-ops/router/generator/scan"
)

func isForm(e *scan.Endpoint) bool { return e.In != nil && e.HasBody() && e.In.IsForm() }

// formFields writes the lists of the fields that forms may have.
func (s *source) formFields() {
	written := map[string]bool{}
	for _, e := range s.pkg.Endpoints {
		if !isForm(e) || written[e.In.Key] {
			continue
		}
		written[e.In.Key] = true
		s.file.Var().Id(s.forms[e.In.Key]).Op("=").Index().Add(stella("FormField")).ValuesFunc(func(g *jen.Group) {
			for _, f := range e.In.Fields {
				if f.In != scan.InForm {
					continue
				}
				values := []jen.Code{jen.Id("Name").Op(":").Lit(f.Name)}
				if fileBinder(f.Type) != "" {
					values = append(values, jen.Id("File").Op(":").True())
				}
				g.Line().Values(values...)
			}
			g.Line()
		})
		s.file.Line()
	}
}

// fileBinder is the Binder's method for a field that is a file; empty for others.
func fileBinder(t *scan.Type) string {
	switch {
	case t.Kind == scan.File:
		return "File"
	case t.Elem == nil || t.Elem.Kind != scan.File:
		return ""
	case t.Kind == scan.Pointer:
		return "FilePointer"
	}
	return "Files"
}

// bindFile writes one field that is a file.
func (s *source) bindFile(f *scan.Field, method string) *jen.Statement {
	args := []jen.Code{jen.Lit(f.Name), jen.Lit(f.Required)}
	if method == "Files" {
		rule := jen.Nil()
		if name := s.rules[f]; name != "" {
			rule = jen.Op("&").Id(name)
		}
		args = append(args, rule)
	}
	return jen.Id("b").Dot(method).Call(append(args, jen.Op("&").Add(selector("in", f)))...)
}
