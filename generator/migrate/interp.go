package migrate

import (
	"fmt"
	"go/ast"
	"go/token"
	"go/types"
	"slices"
)

// limits of the execution: what is beyond them is reported as not followed.
const (
	maxDepth = 60        // of calls
	maxSteps = 3_000_000 // statements
	maxPlain = 40        // calls of a function that has nothing to do with routers
)

// interp executes.
type interp struct {
	p         *program
	relevant  map[*types.Func]bool // has to do with routers, or calls what has
	makes     map[*types.Func]bool // a router: it may be given to others that register on it
	callees   map[*types.Func][]*types.Func
	globals   map[*types.Var]*cell
	initOf    map[*types.Var]*initializer
	fields    map[*types.Var]*cell // what was ever stored in a field, for structs that are unknown
	sites     map[token.Pos]*site
	order     []*site
	nodes     []*node
	byPlace   map[token.Pos]*node // parameters and fields that routers come from
	stack     []*types.Func
	conds     []string
	steps     int
	calls     map[*types.Func]int
	invoked   map[*types.Func]bool
	literals  map[*ast.FuncLit]*callable
	ran       map[*ast.FuncLit]bool
	mux       *node // http.DefaultServeMux
	impls     map[string][]*types.Func
	extra     []Unfollowed
	unreached []unreached
	noted     map[string]bool
}

// initializer is the expression of a variable at package level.
type initializer struct {
	info  *types.Info
	pkg   *types.Package
	vars  []*types.Var
	expr  ast.Expr
	began bool
}

// site is a call of a registering method, or its use as a value.
type site struct {
	pos    token.Pos
	text   string
	fn     *types.Func // that has it; nil at package level
	lit    *ast.FuncLit
	op     operation
	done   bool
	failed []failure
}

// failure is why a site has not become a route, at one of the times when it was executed.
type failure struct {
	why, todo string
	weak      bool // it does not count if the site became a route at another time
}

func newInterp(p *program) *interp {
	it := &interp{
		p: p, relevant: map[*types.Func]bool{}, makes: map[*types.Func]bool{},
		callees: map[*types.Func][]*types.Func{}, globals: map[*types.Var]*cell{}, initOf: map[*types.Var]*initializer{},
		fields: map[*types.Var]*cell{}, sites: map[token.Pos]*site{},
		byPlace: map[token.Pos]*node{}, calls: map[*types.Func]int{},
		invoked: map[*types.Func]bool{}, literals: map[*ast.FuncLit]*callable{}, ran: map[*ast.FuncLit]bool{}, impls: map[string][]*types.Func{},
		noted: map[string]bool{},
	}
	it.survey()
	return it
}

// run executes main and init, then whatever else has calls of registering methods: what calls others first.
func (it *interp) run() {
	for _, pkg := range it.p.pkgs {
		for _, in := range pkg.TypesInfo.InitOrder {
			it.initialize(it.initOf[in.Lhs[0]])
		}
		for _, f := range pkg.Syntax {
			for _, decl := range f.Decls {
				if fd, ok := decl.(*ast.FuncDecl); ok && fd.Recv == nil && fd.Name.Name == "init" && fd.Body != nil {
					it.runInit(pkg.Types, pkg.TypesInfo, fd)
				}
			}
		}
	}
	for _, pkg := range it.p.pkgs {
		if fn, ok := pkg.Types.Scope().Lookup("main").(*types.Func); ok && pkg.Name == "main" {
			it.root(fn)
		}
	}
	for fn := it.next(); fn != nil; fn = it.next() {
		it.root(fn)
	}
	if it.steps > maxSteps {
		it.note(token.NoPos, "the program", "it is too large to be followed to its end: routes may be missing", "name fewer packages")
	}
	for _, s := range it.order {
		if c := it.literals[s.lit]; !s.done && len(s.failed) == 0 && c != nil && !it.ran[s.lit] {
			it.invokeLiteral(c, nil)
		}
	}
}

func (it *interp) runInit(pkg *types.Package, info *types.Info, fd *ast.FuncDecl) {
	fn, _ := info.Defs[fd.Name].(*types.Func)
	it.block(&frame{fn: fn, info: info, pkg: pkg, vars: map[types.Object]*cell{}}, fd.Body.List)
	it.invoked[fn] = true
}

// next is a function that has not been executed, with a site that has not either, and that no other such function leads to.
func (it *interp) next() *types.Func {
	var open []*types.Func
	pending := it.pending()
	for _, pkg := range it.p.pkgs {
		for _, f := range pkg.Syntax {
			for _, decl := range f.Decls {
				fd, ok := decl.(*ast.FuncDecl)
				if !ok {
					continue
				}
				if fn, ok := pkg.TypesInfo.Defs[fd.Name].(*types.Func); ok && pending[fn] && !it.invoked[fn] {
					open = append(open, fn)
				}
			}
		}
	}
	leads := map[*types.Func]map[*types.Func]bool{}
	for _, fn := range open {
		leads[fn] = it.reachable(fn, pending)
	}
	for _, fn := range open {
		if !slices.ContainsFunc(open, func(other *types.Func) bool { return other != fn && leads[other][fn] && !leads[fn][other] }) {
			return fn
		}
	}
	return nil
}

// reachable are the functions of a set that a function leads to, by others of the set.
func (it *interp) reachable(from *types.Func, set map[*types.Func]bool) map[*types.Func]bool {
	seen := map[*types.Func]bool{}
	queue := []*types.Func{from}
	for len(queue) > 0 {
		fn := queue[len(queue)-1]
		queue = queue[:len(queue)-1]
		for _, c := range it.callees[fn] {
			if set[c] && !seen[c] {
				seen[c] = true
				queue = append(queue, c)
			}
		}
	}
	return seen
}

// pending are the functions that lead to sites which have not been executed.
func (it *interp) pending() map[*types.Func]bool {
	set := map[*types.Func]bool{}
	for _, s := range it.order {
		if s.fn != nil && !s.done && len(s.failed) == 0 {
			set[s.fn] = true
		}
	}
	for fn := range it.makes {
		if it.makes[fn] && !it.invoked[fn] {
			set[fn] = true
		}
	}
	for changed := true; changed; {
		changed = false
		for fn, callees := range it.callees {
			if !set[fn] && slices.ContainsFunc(callees, func(c *types.Func) bool { return set[c] }) {
				set[fn], changed = true, true
			}
		}
	}
	return set
}

// root executes a function that nothing which was followed calls.
func (it *interp) root(fn *types.Func) {
	it.invoked[fn] = true
	f := it.p.funcs[fn]
	if f == nil {
		return
	}
	sig := fn.Signature()
	var recv value
	if r := sig.Recv(); r != nil {
		recv = it.unknownOf(r.Type(), r.Pos(), fn.Name()+" is called by nothing that could be followed")
	}
	args := make([]value, sig.Params().Len())
	for i := range args {
		v := sig.Params().At(i)
		doubt := fmt.Sprintf("the router is the parameter %s of %s, which is called by nothing that could be followed", v.Name(), fn.Name())
		args[i] = it.unknownOf(v.Type(), v.Pos(), doubt)
	}
	it.invoke(f, recv, args)
}

// unknownOf is a value of which only the type is known: a router of its own, or a struct.
func (it *interp) unknownOf(t types.Type, pos token.Pos, doubt string) value {
	if fw, ok := routerOf(t); ok {
		if it.byPlace[pos] == nil {
			it.byPlace[pos] = it.newNode(fw, pos, nil, doubt)
		}
		return it.byPlace[pos]
	}
	if structOf(t) != nil {
		return &object{typ: t, fields: map[*types.Var]*cell{}}
	}
	return nil
}

// structOf is the struct that a type is, or points to.
func structOf(t types.Type) *types.Struct {
	if ptr, ok := t.Underlying().(*types.Pointer); ok {
		t = ptr.Elem()
	}
	s, _ := t.Underlying().(*types.Struct)
	return s
}

func (it *interp) newNode(fw Framework, pos token.Pos, f *frame, doubt string) *node {
	n := &node{fw: fw, created: pos, doubt: doubt, depth: len(it.conds)}
	if f != nil {
		n.fn, n.pkg = f.fn, f.pkg
	}
	it.nodes = append(it.nodes, n)
	return n
}

// initialize executes the expression of variables at package level, once.
func (it *interp) initialize(in *initializer) {
	if in == nil || in.began {
		return
	}
	in.began = true
	f := &frame{info: in.info, pkg: in.pkg, vars: map[types.Object]*cell{}}
	v := it.eval(f, in.expr)
	for i, obj := range in.vars {
		it.globals[obj] = &cell{v: element(v, i, len(in.vars))}
	}
}

// element is one of the results of a call.
func element(v value, i, n int) value {
	if n == 1 {
		return v
	}
	if t, ok := v.(tuple); ok && i < len(t) {
		return t[i]
	}
	return nil
}

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
			cond := "default"
			if len(c.List) > 0 {
				cond = "if " + tag + short(types.ExprString(c.List[0]))
			} else {
				whole = true
			}
			done := it.under(cond, func() bool { return it.block(f, c.Body) })
			ended = ended && done && !breaks(c.Body)
		case *ast.CommClause:
			it.under("select", func() bool {
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

// zero is what a variable holds that was not given a value: a ServeMux works.
func (it *interp) zero(f *frame, t types.Type, pos token.Pos) value {
	if t == nil {
		return nil
	}
	if fw, ok := routerOf(t); ok {
		if _, isPtr := types.Unalias(t).(*types.Pointer); isPtr || types.IsInterface(t) {
			return nothing{}
		}
		return it.newNode(fw, pos, f, "")
	}
	switch t.Underlying().(type) {
	case *types.Struct:
		return &object{typ: t, fields: map[*types.Var]*cell{}}
	case *types.Slice, *types.Map:
		return &list{}
	case *types.Pointer, *types.Interface, *types.Signature:
		return nothing{}
	}
	if isString(t) {
		return text("")
	}
	return nil
}

func (it *interp) assign(f *frame, s *ast.AssignStmt) {
	if s.Tok == token.ADD_ASSIGN {
		it.store(f, s.Lhs[0], concat(it.eval(f, s.Lhs[0]), it.eval(f, s.Rhs[0])))
		return
	}
	values := make([]value, len(s.Lhs))
	if len(s.Rhs) == 1 {
		v := it.eval(f, s.Rhs[0])
		for i := range values {
			values[i] = element(v, i, len(s.Lhs))
		}
		if _, isTuple := v.(tuple); !isTuple {
			values[0] = v // v, ok := x.(T), and the like
		}
	} else {
		for i, e := range s.Rhs {
			values[i] = it.eval(f, e)
		}
	}
	for i, target := range s.Lhs {
		if s.Tok == token.DEFINE {
			it.define(f, target, values[i])
		} else {
			it.store(f, target, values[i])
		}
	}
}

// define gives a new variable its value; one that was declared before, as := may have them, is stored to.
func (it *interp) define(f *frame, target ast.Expr, v value) {
	id, ok := target.(*ast.Ident)
	if !ok {
		return
	}
	if obj := f.info.Defs[id]; obj != nil {
		f.vars[obj] = &cell{v: v, depth: len(it.conds)}
		return
	}
	it.store(f, target, v)
}

// store gives a variable, a field or an element its value. Under a condition the old one may still be there.
func (it *interp) store(f *frame, target ast.Expr, v value) {
	switch t := ast.Unparen(target).(type) {
	case *ast.Ident:
		if c := it.variable(f, f.info.Uses[t]); c != nil {
			it.set(c, v)
		}
	case *ast.StarExpr:
		it.store(f, t.X, v)
	case *ast.SelectorExpr:
		if sel := f.info.Selections[t]; sel != nil && sel.Kind() == types.FieldVal {
			owner := it.path(f, it.eval(f, t.X), sel)
			if field, ok := sel.Obj().(*types.Var); ok {
				it.storeField(owner, field, v)
			}
			return
		}
		if c := it.variable(f, f.info.Uses[t.Sel]); c != nil {
			it.set(c, v)
		}
	case *ast.IndexExpr:
		key := it.eval(f, t.Index)
		if l, ok := it.eval(f, t.X).(*list); ok {
			l.elems = append(l.elems, v)
			if isMap(f.info.TypeOf(t.X)) {
				for len(l.keys) < len(l.elems)-1 {
					l.keys = append(l.keys, nil)
				}
				l.keys = append(l.keys, key)
			}
		}
	}
}

func isMap(t types.Type) bool {
	if t == nil {
		return false
	}
	_, ok := t.Underlying().(*types.Map)
	return ok
}

func (it *interp) set(c *cell, v value) {
	if c.depth < len(it.conds) {
		v = join(c.v, v)
	}
	c.v = v
}

func (it *interp) storeField(owner value, field *types.Var, v value) {
	for _, o := range alternatives(owner) {
		if o, ok := o.(*object); ok {
			if o.fields[field] == nil {
				o.fields[field] = &cell{depth: len(it.conds)}
			}
			it.set(o.fields[field], v)
		}
	}
	if v == nil && !isString(field.Type()) || it.p.infos[field.Pkg()] == nil { // others store in the fields of other modules, too
		return
	}
	if it.fields[field] == nil {
		it.fields[field] = &cell{v: v}
		return
	}
	it.fields[field].v = joinResults(it.fields[field].v, v)
}

// variable is where an object of Go keeps its value; nil if it is none that is followed.
func (it *interp) variable(f *frame, obj types.Object) *cell {
	v, ok := obj.(*types.Var)
	if !ok {
		return nil
	}
	if c := f.lookup(v); c != nil {
		return c
	}
	if v.Pkg() == nil || v.Parent() != v.Pkg().Scope() {
		return nil
	}
	if v.Pkg().Path() == "net/http" && v.Name() == "DefaultServeMux" {
		return &cell{v: it.defaultMux(), depth: maxDepth}
	}
	if in := it.initOf[v]; in != nil {
		it.initialize(in)
	}
	if it.globals[v] == nil {
		if it.p.infos[v.Pkg()] == nil {
			return nil
		}
		zero := it.zero(nil, v.Type(), v.Pos())
		if n, ok := zero.(*node); ok {
			n.pkg = v.Pkg()
		}
		it.globals[v] = &cell{v: zero}
	}
	return it.globals[v]
}

func (it *interp) defaultMux() *node {
	if it.mux == nil {
		it.mux = it.newNode(ServeMux, token.NoPos, nil, "")
	}
	return it.mux
}

// maxText bounds what a report quotes of the source.
const maxText = 70

func short(s string) string {
	runes := []rune(s)
	if len(runes) <= maxText {
		return s
	}
	return string(runes[:maxText-3]) + "..."
}
