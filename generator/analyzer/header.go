package analyzer

import (
	"go/ast"
	"go/constant"
	"go/types"
	"net/http"
	"slices"

	"github.com/stella-ops/router/generator/diagnostic"
	"github.com/stella-ops/router/generator/lint"
	"github.com/stella-ops/router/generator/scan"
	"github.com/stella-ops/router/spec"
)

// readHeaders reports where a function reads a header of an incoming request that the gateway takes away.
func (p *pack) readHeaders(fn *ast.FuncDecl) []diagnostic.Finding {
	params := p.params(fn)
	var found []diagnostic.Finding
	ast.Inspect(fn.Body, func(n ast.Node) bool {
		name := p.readName(n, params)
		if name == nil {
			return true
		}
		value := p.TypesInfo.Types[name].Value
		if value == nil || value.Kind() != constant.String {
			return true
		}
		if key := http.CanonicalHeaderKey(constant.StringVal(value)); spec.IsReservedHeader(key) {
			found = append(found, p.finding(lint.ReservedHeaderRead, name.Pos(), name.End(),
				"header "+key+" never arrives: the gateway takes it away", "who calls is in the request's Identity: stella.RequestFromContext(ctx)"))
		}
		return true
	})
	return found
}

// params are the parameters of a function, and of those within it.
func (p *pack) params(fn *ast.FuncDecl) map[types.Object]bool {
	params := map[types.Object]bool{}
	ast.Inspect(fn, func(n ast.Node) bool {
		if t, ok := n.(*ast.FuncType); ok {
			for _, field := range t.Params.List {
				for _, name := range field.Names {
					params[p.TypesInfo.Defs[name]] = true
				}
			}
		}
		return true
	})
	return params
}

// readName is the name of the header field that a node reads, if it reads one of an incoming request.
func (p *pack) readName(n ast.Node, params map[types.Object]bool) ast.Expr {
	switch n := n.(type) {
	case *ast.CallExpr:
		method, ok := ast.Unparen(n.Fun).(*ast.SelectorExpr)
		reads := ok && slices.Contains([]string{"Get", "Has", "Values"}, method.Sel.Name)
		if reads && len(n.Args) == 1 && p.isHeader(method.X, params) {
			return n.Args[0]
		}
	case *ast.IndexExpr:
		if p.isHeader(n.X, params) {
			return n.Index
		}
	}
	return nil
}

// isHeader reports whether an expression is the header of an incoming request. An http.Request is one if it is a
// parameter: others are made to be sent.
func (p *pack) isHeader(x ast.Expr, params map[types.Object]bool) bool {
	sel, ok := ast.Unparen(x).(*ast.SelectorExpr)
	if !ok || sel.Sel.Name != "Header" {
		return false
	}
	switch t := p.TypesInfo.TypeOf(sel.X); {
	case isPointerTo(t, scan.RuntimePath, "Request"):
		return true
	case isPointerTo(t, "net/http", "Request"):
		id, ok := ast.Unparen(sel.X).(*ast.Ident)
		return ok && params[p.TypesInfo.Uses[id]]
	}
	return false
}
