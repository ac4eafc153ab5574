package migrate

import (
	"go/ast"
	"go/token"
	"go/types"
	"slices"
)

// block executes statements, up to one that ends the function or the loop.
func (it *interp) block(f *frame, stmts []ast.Stmt) (ended bool) {
	for _, s := range stmts {
		if it.stmt(f, s) {
			return true
		}
	}
	return false
}

func (it *interp) stmt(f *frame, s ast.Stmt) (ended bool) {
	if it.steps++; it.steps > maxSteps {
		return true
	}
	switch s := s.(type) {
	case *ast.ExprStmt:
		it.eval(f, s.X)
		return isExit(f.info, s.X)
	case *ast.AssignStmt:
		it.assign(f, s)
	case *ast.DeclStmt:
		it.declare(f, s)
	case *ast.BlockStmt:
		return it.block(f, s.List)
	case *ast.IfStmt:
		return it.ifStmt(f, s)
	case *ast.ForStmt:
		it.loop(f, s)
	case *ast.RangeStmt:
		it.rangeStmt(f, s)
	case *ast.SwitchStmt:
		it.init(f, s.Init)
		tag := ""
		if s.Tag != nil {
			v := it.eval(f, s.Tag)
			if chosen, ok := it.choose(f, s.Body, v); ok {
				return it.block(f, chosen) && !breaks(chosen)
			}
			tag = types.ExprString(s.Tag) + " == "
		}
		return it.clauses(f, s.Body, tag)
	case *ast.TypeSwitchStmt:
		it.init(f, s.Init)
		it.typeSwitch(f, s)
	case *ast.SelectStmt:
		return it.clauses(f, s.Body, "")
	case *ast.ReturnStmt:
		it.ret(f, s)
		return true
	case *ast.BranchStmt:
		return s.Tok != token.GOTO && s.Tok != token.FALLTHROUGH
	case *ast.GoStmt:
		it.eval(f, s.Call)
	case *ast.DeferStmt:
		it.eval(f, s.Call)
	case *ast.LabeledStmt:
		return it.stmt(f, s.Stmt)
	case *ast.SendStmt:
		it.eval(f, s.Chan)
		it.eval(f, s.Value)
	}
	return false
}

// isExit reports whether a call does not return. Without it, what follows a usage message would be taken for its end.
func isExit(info *types.Info, e ast.Expr) bool {
	call, ok := ast.Unparen(e).(*ast.CallExpr)
	if !ok {
		return false
	}
	id, ok := ast.Unparen(call.Fun).(*ast.Ident)
	if !ok {
		return false
	}
	b, ok := info.Uses[id].(*types.Builtin)
	return ok && b.Name() == "panic"
}

func (it *interp) init(f *frame, s ast.Stmt) {
	if s != nil {
		it.stmt(f, s)
	}
}

// under executes what happens only on a condition.
func (it *interp) under(cond string, do func() bool) bool {
	it.conds = append(it.conds, cond)
	defer func() { it.conds = it.conds[:len(it.conds)-1] }()
	return do()
}

func (it *interp) ifStmt(f *frame, s *ast.IfStmt) bool {
	it.init(f, s.Init)
	it.eval(f, s.Cond)
	cond := short(types.ExprString(s.Cond))
	then := it.under("if "+cond, func() bool { return it.block(f, s.Body.List) })
	if s.Else == nil {
		return false
	}
	other := it.under("if not "+cond, func() bool { return it.stmt(f, s.Else) })
	return then && other
}

func (it *interp) loop(f *frame, s *ast.ForStmt) {
	it.init(f, s.Init)
	cond := ""
	if s.Cond != nil {
		it.eval(f, s.Cond)
		cond = " " + short(types.ExprString(s.Cond))
	}
	it.under("for"+cond, func() bool {
		it.spoil(f, s.Body, s.Post)
		it.block(f, s.Body.List)
		return false
	})
}

// spoil forgets the strings that a loop changes: they differ at each turn.
func (it *interp) spoil(f *frame, body *ast.BlockStmt, post ast.Stmt) {
	visit := func(n ast.Node) bool {
		var targets []ast.Expr
		switch n := n.(type) {
		case *ast.AssignStmt:
			if n.Tok != token.DEFINE {
				targets = n.Lhs
			}
		case *ast.IncDecStmt:
			targets = []ast.Expr{n.X}
		case *ast.FuncLit:
			return false
		}
		for _, t := range targets {
			if id, ok := t.(*ast.Ident); ok {
				if c := f.lookup(f.info.Uses[id]); c != nil {
					if isConstant(c.v) {
						c.v = nil
					}
				}
			}
		}
		return true
	}
	ast.Inspect(body, visit)
	if post != nil {
		ast.Inspect(post, visit)
	}
}

func (it *interp) rangeStmt(f *frame, s *ast.RangeStmt) {
	over := it.eval(f, s.X)
	turn := func(key, elem value) {
		for i, target := range []ast.Expr{s.Key, s.Value} {
			if target == nil {
				continue
			}
			v := key
			if i == 1 {
				v = elem
			}
			if s.Tok == token.DEFINE {
				it.define(f, target, v)
			} else {
				it.store(f, target, v)
			}
		}
		it.block(f, s.Body.List)
	}
	l, ok := over.(*list)
	if ok && !l.open {
		for i, elem := range l.elems {
			var key value
			if i < len(l.keys) {
				key = l.keys[i]
			}
			turn(key, elem)
		}
		if len(l.elems) > 0 {
			return
		}
	}
	it.under("for each of "+short(types.ExprString(s.X)), func() bool {
		it.spoil(f, s.Body, nil)
		var elem value
		if t := f.info.TypeOf(s.X); t != nil {
			if l, ok := t.Underlying().(*types.Slice); ok {
				elem = it.unknownOf(l.Elem(), s.X.Pos(), "the router is one of "+short(types.ExprString(s.X)))
			}
		}
		turn(nil, elem)
		return false
	})
}

func (it *interp) clauses(f *frame, body *ast.BlockStmt, tag string) (ended bool) {
	ended, whole := true, false
	for _, c := range body.List {
		switch c := c.(type) {
		case *ast.CaseClause:
			cond := "if no case of its switch holds"
			if len(c.List) > 0 {
				cond = "if " + tag + short(types.ExprString(c.List[0]))
			} else {
				whole = true
			}
			done := it.under(cond, func() bool { return it.block(f, c.Body) })
			ended = ended && done && !breaks(c.Body)
		case *ast.CommClause:
			it.under("if its case of a select is the one", func() bool {
				it.init(f, c.Comm)
				return it.block(f, c.Body)
			})
			ended = false
		}
	}
	return ended && whole
}

// choose is the body of the clause that a constant leads to; not ok if that is not known.
func (it *interp) choose(f *frame, body *ast.BlockStmt, tag value) (chosen []ast.Stmt, ok bool) {
	if !isConstant(tag) {
		return nil, false
	}
	for _, s := range body.List {
		clause, isCase := s.(*ast.CaseClause)
		if !isCase || len(clause.Body) > 0 && isFallthrough(clause.Body[len(clause.Body)-1]) {
			return nil, false
		}
		if clause.List == nil && !ok {
			chosen = clause.Body
		}
		for _, e := range clause.List {
			v := it.eval(f, e)
			if !isConstant(v) {
				return nil, false
			}
			if same(v, tag) && !ok {
				chosen, ok = clause.Body, true
			}
		}
	}
	return chosen, true
}

func isFallthrough(s ast.Stmt) bool {
	b, ok := s.(*ast.BranchStmt)
	return ok && b.Tok == token.FALLTHROUGH
}

// breaks reports whether the last statement only leaves the switch.
func breaks(body []ast.Stmt) bool {
	if len(body) == 0 {
		return true
	}
	_, ok := body[len(body)-1].(*ast.BranchStmt)
	return ok
}

func (it *interp) typeSwitch(f *frame, s *ast.TypeSwitchStmt) {
	var v value
	switch a := s.Assign.(type) {
	case *ast.AssignStmt:
		v = it.eval(f, a.Rhs[0])
	case *ast.ExprStmt:
		v = it.eval(f, a.X)
	}
	for _, c := range s.Body.List {
		clause, ok := c.(*ast.CaseClause)
		if !ok {
			continue
		}
		if obj := f.info.Implicits[clause]; obj != nil {
			f.vars[obj] = &cell{v: v, depth: len(it.conds) + 1}
		}
		it.under("by type", func() bool { return it.block(f, clause.Body) })
	}
}

func (it *interp) ret(f *frame, s *ast.ReturnStmt) {
	results := make([]value, f.count)
	switch {
	case len(s.Results) == 0:
		for i, v := range f.named {
			if c := f.lookup(v); c != nil {
				results[i] = c.v
			}
		}
	case len(s.Results) == 1 && f.count > 1:
		v := it.eval(f, s.Results[0])
		for i := range results {
			results[i] = element(v, i, f.count)
		}
	default:
		for i, e := range s.Results {
			if v := it.eval(f, e); i < len(results) {
				results[i] = v
			}
		}
	}
	if f.results == nil {
		f.results = results
		return
	}
	for i := range results {
		f.results[i] = joinResults(f.results[i], results[i])
	}
}

// joinResults is a result of one return statement or another. Nil is what comes with an error.
func joinResults(a, b value) value {
	if isMissing(a, b) {
		return b
	}
	if isMissing(b, a) {
		return a
	}
	return join(a, b)
}

// isMissing reports whether a value is none beside another one. An unknown string is one: it may be a path.
func isMissing(v, other value) bool {
	if _, isNil := v.(nothing); isNil {
		return true
	}
	_, isText := other.(text)
	c, _ := other.(choice)
	return v == nil && !isText && !slices.ContainsFunc(c, func(v value) bool { _, ok := v.(text); return ok })
}

func (it *interp) declare(f *frame, s *ast.DeclStmt) {
	decl, ok := s.Decl.(*ast.GenDecl)
	if !ok {
		return
	}
	for _, spec := range decl.Specs {
		vs, ok := spec.(*ast.ValueSpec)
		if !ok {
			continue
		}
		var one value
		if len(vs.Values) == 1 {
			one = it.eval(f, vs.Values[0])
		}
		for i, name := range vs.Names {
			var v value
			switch {
			case len(vs.Values) == 0:
				v = it.zero(f, f.info.TypeOf(name), name.Pos())
			case len(vs.Values) == 1:
				v = element(one, i, len(vs.Names))
			default:
				v = it.eval(f, vs.Values[i])
			}
			it.define(f, name, v)
		}
	}
}
