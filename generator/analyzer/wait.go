package analyzer

import (
	"go/ast"
	"go/token"
	"go/types"
	"slices"
)

// wait is a place that may wait for something, and nothing there ends with a context.
type wait struct {
	node ast.Node
	to   token.Pos // behind what is shown of it
	what string
	call *ast.CallExpr // of a function that waits; nil for channels
}

// blocking are functions that wait for others.
var blocking = []string{"time.Sleep", "(*sync.WaitGroup).Wait", "(*sync.Cond).Wait"}

// waits lists the places below n, in their order.
func (p *pack) waits(n ast.Node) []wait {
	var found []wait
	done := p.doneChannels(n)
	ast.Inspect(n, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.SelectStmt:
			if !p.endsWithContext(n, done) {
				found = append(found, wait{node: n, to: n.Select + token.Pos(len("select")), what: "select"})
			}
			for _, c := range n.Body.List { // what the cases do, not what they wait for
				for _, s := range c.(*ast.CommClause).Body { //nolint:forcetypeassert // there is nothing else in a select
					found = append(found, p.waits(s)...)
				}
			}
			return false
		case *ast.UnaryExpr:
			if n.Op == token.ARROW && !p.isDone(n.X, done) {
				found = append(found, wait{node: n, to: n.End(), what: "a receive"})
			}
		case *ast.SendStmt:
			found = append(found, wait{node: n, to: n.End(), what: "a send"})
		case *ast.RangeStmt:
			if t := p.TypesInfo.TypeOf(n.X); t != nil && isChannel(t) {
				found = append(found, wait{node: n, to: n.X.End(), what: "a range over a channel"})
			}
		case *ast.CallExpr:
			if fn := p.callee(n); fn != nil && slices.Contains(blocking, fn.FullName()) {
				found = append(found, wait{node: n, to: n.End(), what: fn.FullName(), call: n})
			}
		}
		return true
	})
	return found
}

func isChannel(t types.Type) bool {
	_, ok := t.Underlying().(*types.Chan)
	return ok
}

// doneChannels are the variables that hold what a context's Done gave.
func (p *pack) doneChannels(n ast.Node) map[types.Object]bool {
	done := map[types.Object]bool{}
	ast.Inspect(n, func(n ast.Node) bool {
		assign, ok := n.(*ast.AssignStmt)
		if !ok || len(assign.Lhs) != len(assign.Rhs) {
			return true
		}
		for i, x := range assign.Rhs {
			if id, ok := assign.Lhs[i].(*ast.Ident); ok && p.isDone(x, nil) {
				done[p.TypesInfo.ObjectOf(id)] = true
			}
		}
		return true
	})
	return done
}

// isDone reports whether an expression is a context's Done.
func (p *pack) isDone(x ast.Expr, done map[types.Object]bool) bool {
	switch x := ast.Unparen(x).(type) {
	case *ast.Ident:
		return done[p.TypesInfo.ObjectOf(x)]
	case *ast.CallExpr:
		fn := p.callee(x)
		return fn != nil && fn.FullName() == "(context.Context).Done"
	}
	return false
}

// endsWithContext reports whether a select does not wait, or ends when a context does.
func (p *pack) endsWithContext(s *ast.SelectStmt, done map[types.Object]bool) bool {
	for _, c := range s.Body.List {
		clause, ok := c.(*ast.CommClause)
		if !ok || clause.Comm == nil {
			return true // default
		}
		var x ast.Expr
		switch comm := clause.Comm.(type) {
		case *ast.ExprStmt:
			x = comm.X
		case *ast.AssignStmt:
			x = comm.Rhs[0]
		}
		if receive, ok := ast.Unparen(x).(*ast.UnaryExpr); ok && receive.Op == token.ARROW && p.isDone(receive.X, done) {
			return true
		}
	}
	return false
}
