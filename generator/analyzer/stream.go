package analyzer

import (
	"go/ast"

	"github.com/stella-ops/router/generator/diagnostic"
	"github.com/stella-ops/router/generator/lint"
)

// streamWaits reports every place where a handler that streams waits without its context.
func (p *pack) streamWaits(h *handler) []diagnostic.Finding {
	var found []diagnostic.Finding
	for _, w := range p.waits(h.decl.Body) {
		f := p.finding(lint.StreamIgnoresContext, w.node.Pos(), w.to,
			h.decl.Name.Name+" waits without its context: "+w.what+" goes on when the caller has left",
			"select on "+contextName(h)+".Done() as well")
		if fix, ok := p.sleepUntilDone(h, w); ok {
			f.Fixes = []diagnostic.Fix{fix}
		}
		found = append(found, f)
	}
	return found
}

// sleepUntilDone makes a sleep end with the context: in a function without results, where to return is to end the stream.
func (p *pack) sleepUntilDone(h *handler, w wait) (diagnostic.Fix, bool) {
	if w.what != "time.Sleep" || h.name == nil || h.name.Name == "_" || !p.inPlainFunc(h.decl.Body, w.node) {
		return diagnostic.Fix{}, false
	}
	open, end := w.call.Lparen+1, w.call.Rparen
	return diagnostic.Fix{
		Message: "end the sleep with the context",
		Edits: []diagnostic.Edit{
			p.edit(w.call.Pos(), open, "select {\ncase <-"+h.name.Name+".Done():\nreturn\ncase <-time.After("),
			p.edit(end, w.call.End(), "):\n}"),
		},
	}, true
}

// inPlainFunc reports whether the innermost function around a node is a literal without results.
func (p *pack) inPlainFunc(body ast.Node, n ast.Node) bool {
	plain := false
	ast.Inspect(body, func(m ast.Node) bool {
		if m == nil || m.Pos() > n.Pos() || m.End() < n.End() {
			return false
		}
		if lit, ok := m.(*ast.FuncLit); ok {
			plain = lit.Type.Results == nil
		}
		return true
	})
	return plain
}
