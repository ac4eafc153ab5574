package analyzer

import (
	"go/ast"
	"go/token"
	"go/types"
	"slices"
	"strings"

	"github.com/stella-ops/router/generator/diagnostic"
	"github.com/stella-ops/router/generator/lint"
)

// handlerWaits reports the first place where a handler that ignores its context waits, or gives up on it.
func (p *pack) handlerWaits(h *handler) []diagnostic.Finding {
	places := p.waits(h.decl.Body)
	ast.Inspect(h.decl.Body, func(n ast.Node) bool {
		if call, ok := n.(*ast.CallExpr); ok {
			if what := p.contextless(call); what != "" {
				places = append(places, wait{node: call, to: call.End(), what: what, call: call})
			}
		}
		return true
	})
	if len(places) == 0 {
		return nil
	}
	first := slices.MinFunc(places, func(a, b wait) int { return int(a.node.Pos() - b.node.Pos()) })
	f := p.finding(lint.HandlerIgnoresContext, first.node.Pos(), first.to,
		h.decl.Name.Name+" ignores its context: "+first.what+" goes on when nobody waits for it any more", "pass the handler's context on")
	f.Related = []diagnostic.Related{{Pos: p.Fset.PositionFor(h.field.Pos(), false), Message: "the context is here"}}
	if fix, ok := p.passOn(h); ok {
		f.Fixes = []diagnostic.Fix{fix}
	}
	return []diagnostic.Finding{f}
}

// suffixes are those of the names of functions that do the same with a context.
var suffixes = []string{"Context", "WithContext"}

// contextless says what a call does without a context that it could do with one; empty if nothing.
func (p *pack) contextless(call *ast.CallExpr) string {
	fn := p.callee(call)
	if fn == nil || fn.Pkg() == nil || fn.Pkg().Path() == "log/slog" { // to log is not to wait
		return ""
	}
	switch fn.FullName() {
	case "context.Background", "context.TODO":
		return fn.FullName()
	case "net/http.Get", "net/http.Head", "net/http.Post", "net/http.PostForm":
		return fn.FullName()
	}
	for _, suffix := range suffixes {
		if takesContext(sibling(fn, fn.Name()+suffix)) {
			return fn.FullName()
		}
	}
	return ""
}

// sibling is the function or method of this name beside another.
func sibling(fn *types.Func, name string) types.Object {
	if recv := fn.Signature().Recv(); recv != nil {
		obj, _, _ := types.LookupFieldOrMethod(recv.Type(), true, fn.Pkg(), name)
		return obj
	}
	return fn.Pkg().Scope().Lookup(name)
}

func takesContext(obj types.Object) bool {
	fn, ok := obj.(*types.Func)
	return ok && fn.Signature().Params().Len() > 0 && isContext(fn.Signature().Params().At(0).Type())
}

// passOn puts the handler's context where its body begins new ones.
func (p *pack) passOn(h *handler) (diagnostic.Fix, bool) {
	fix := diagnostic.Fix{Message: "pass the handler's context on"}
	ast.Inspect(h.decl.Body, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.DeferStmt, *ast.GoStmt:
			return false // may be meant to outlive the call
		case *ast.CallExpr:
			if fn := p.callee(n); fn != nil && strings.HasPrefix(fn.FullName(), "context.") && fn.Signature().Params().Len() == 0 {
				fix.Edits = append(fix.Edits, p.edit(n.Pos(), n.End(), contextName(h)))
			}
		case *ast.Ident:
			if n.Name == contextName(h) && p.TypesInfo.Defs[n] != nil {
				fix.Edits = append(fix.Edits, diagnostic.Edit{}) // the name means something else here
			}
		}
		return true
	})
	clash := slices.ContainsFunc(fix.Edits, func(e diagnostic.Edit) bool { return !e.Pos.IsValid() })
	if len(fix.Edits) == 0 || clash || h.name == nil {
		return fix, false
	}
	if h.name.Name == "_" {
		fix.Edits = append(fix.Edits, p.edit(h.name.Pos(), h.name.Pos()+token.Pos(len("_")), contextName(h)))
	}
	return fix, true
}

// contextName is what the context is called, or will be.
func contextName(h *handler) string {
	if h.name == nil || h.name.Name == "_" {
		return "ctx"
	}
	return h.name.Name
}
