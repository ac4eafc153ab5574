package analyzer

import (
	"go/ast"
	"go/types"

	"github.com/stella-ops/router/generator/diagnostic"
	"github.com/stella-ops/router/generator/lint"
)

// handler is a function with an endpoint directive that takes a context.
type handler struct {
	decl   *ast.FuncDecl
	field  *ast.Field // of the context
	name   *ast.Ident // of it; nil without one
	used   bool       // somewhere in the body
	stream bool       // it returns a sequence
}

// bodies are what the function bodies of the package show.
func (p *pack) bodies() []diagnostic.Finding {
	found := []diagnostic.Finding{}
	for _, f := range p.Files {
		for _, decl := range f.Decls {
			fn, ok := decl.(*ast.FuncDecl)
			if !ok || fn.Body == nil {
				continue
			}
			found = append(found, p.readHeaders(fn)...)
			h := p.handler(fn)
			switch {
			case h == nil:
			case h.stream:
				found = append(found, p.streamWaits(h)...)
			case !h.used:
				found = append(found, p.handlerWaits(h)...)
			}
		}
	}
	for i := range found {
		rule, _ := lint.Find(string(found[i].Rule))
		found[i].Severity = rule.Severity
	}
	return found
}

// handler is what a function is if an endpoint directive stands on it, and its first parameter is a context.
func (p *pack) handler(fn *ast.FuncDecl) *handler {
	if fn.Doc == nil || len(fn.Type.Params.List) == 0 || !isEndpoint(fn.Doc) {
		return nil
	}
	field := fn.Type.Params.List[0]
	if !isContext(p.TypesInfo.TypeOf(field.Type)) {
		return nil
	}
	h := &handler{decl: fn, field: field}
	if results := fn.Type.Results; results != nil && len(results.List) > 0 {
		h.stream = isNamed(p.TypesInfo.TypeOf(results.List[0].Type), "iter", "Seq2")
	}
	if len(field.Names) > 0 {
		h.name = field.Names[0]
	}
	if h.name != nil && h.name.Name != "_" {
		obj := p.TypesInfo.Defs[h.name]
		ast.Inspect(fn.Body, func(n ast.Node) bool {
			id, ok := n.(*ast.Ident)
			h.used = h.used || ok && obj != nil && p.TypesInfo.Uses[id] == obj
			return !h.used
		})
	}
	return h
}

func isEndpoint(doc *ast.CommentGroup) bool {
	for _, c := range doc.List {
		if d, ok := ast.ParseDirective(c.Slash, c.Text); ok && d.Tool == "stella" && d.Name == "endpoint" {
			return true
		}
	}
	return false
}

func isNamed(t types.Type, path, name string) bool {
	named, ok := types.Unalias(t).(*types.Named)
	return ok && named.Obj().Pkg() != nil && named.Obj().Pkg().Path() == path && named.Obj().Name() == name
}

func isPointerTo(t types.Type, path, name string) bool {
	ptr, ok := types.Unalias(t).(*types.Pointer)
	return ok && isNamed(ptr.Elem(), path, name)
}

func isContext(t types.Type) bool { return t != nil && isNamed(t, "context", "Context") }

// callee is the function or method that a call names; nil if it is a value.
func (p *pack) callee(call *ast.CallExpr) *types.Func {
	var id *ast.Ident
	switch fun := ast.Unparen(call.Fun).(type) {
	case *ast.Ident:
		id = fun
	case *ast.SelectorExpr:
		id = fun.Sel
	default:
		return nil
	}
	fn, _ := p.TypesInfo.Uses[id].(*types.Func)
	return fn
}
