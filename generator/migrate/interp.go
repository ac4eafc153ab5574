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
