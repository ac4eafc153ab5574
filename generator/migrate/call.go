package migrate

import (
	"fmt"
	"go/ast"
	"go/token"
	"go/types"
	"slices"
	"strings"
)

// invocation is a call that is being executed.
type invocation struct {
	f    *frame
	expr *ast.CallExpr
	args []value
}

func (it *interp) call(f *frame, e *ast.CallExpr) value {
	fun := ast.Unparen(e.Fun)
	if tv, ok := f.info.Types[fun]; ok && tv.IsType() {
		if len(e.Args) == 0 {
			return nil
		}
		return it.argument(f, e.Args[0])
	}
	if id, ok := fun.(*ast.Ident); ok {
		if b, ok := f.info.Uses[id].(*types.Builtin); ok {
			return it.builtin(f, b.Name(), e)
		}
	}
	callee := it.eval(f, fun)
	c := &invocation{f: f, expr: e}
	for _, arg := range e.Args {
		v := it.argument(f, arg)
		if t, ok := v.(tuple); ok && len(e.Args) == 1 {
			c.args = append(c.args, t...) // g(f())
			continue
		}
		c.args = append(c.args, v)
	}
	var all value
	first := true
	for _, alt := range alternatives(callee) {
		var v value
		if fn, ok := alt.(*callable); ok {
			v = it.callOne(c, fn)
		} else {
			v = it.unknownCall(c, nil)
		}
		if first {
			all, first = v, false
		} else {
			all = joinResults(all, v)
		}
	}
	if fn, ok := all.(*callable); ok && fn.lit != nil && fn.expr == literalName {
		named := *fn
		named.expr = short(types.ExprString(e))
		return &named
	}
	return all
}

// literalName is what a function literal is called.
const literalName = "func literal"

// argument is an expression's value; of what may be a handler or a middleware, at least the expression.
func (it *interp) argument(f *frame, e ast.Expr) value {
	v := it.eval(f, e)
	if v == nil {
		return opaqueOf(f, e)
	}
	return v
}

func (it *interp) builtin(f *frame, name string, e *ast.CallExpr) value {
	switch name {
	case "new":
		return it.zero(f, f.info.TypeOf(e.Args[0]), e.Pos())
	case "make":
		return &list{}
	case "append":
		l, ok := it.eval(f, e.Args[0]).(*list)
		grown := &list{}
		if ok {
			grown.elems, grown.open = slices.Clone(l.elems), l.open
		}
		for i, arg := range e.Args[1:] {
			v := it.argument(f, arg)
			if e.Ellipsis != token.NoPos && i == len(e.Args)-2 {
				if more, ok := v.(*list); ok {
					grown.elems, grown.open = append(grown.elems, more.elems...), grown.open || more.open
				} else {
					grown.open = true
				}
				continue
			}
			grown.elems = append(grown.elems, v)
		}
		return grown
	}
	for _, arg := range e.Args {
		if tv, ok := f.info.Types[arg]; !ok || !tv.IsType() {
			it.eval(f, arg)
		}
	}
	return nil
}

// callOne calls one function that is known.
func (it *interp) callOne(c *invocation, fn *callable) value {
	if fn.lit != nil {
		return it.invokeLiteral(fn, it.pack(c, fn.frame.info.TypeOf(fn.lit)))
	}
	if fn.plain && len(c.args) > 0 {
		shifted := *fn
		shifted.recv, shifted.plain = c.args[0], false
		expr := *c.expr
		expr.Args = expr.Args[1:]
		return it.callOne(&invocation{c.f, &expr, c.args[1:]}, &shifted)
	}
	obj := fn.obj
	if _, op := it.operation(fn); op.action != none {
		return it.operate(c, fn, op)
	}
	if isConstructor(obj) {
		n := it.newNode(mustFramework(obj), c.expr.Pos(), c.f, "")
		if obj.Name() == "Default" {
			n.guards = []string{"gin.Logger()", "gin.Recovery()"}
		}
		return n
	}
	if v, ok := it.special(c, obj); ok {
		return v
	}
	if fw, ok := routerOf(c.f.info.TypeOf(c.expr)); ok && isRouterValue(fn.recv) && fw == mustFramework(obj) {
		return fn.recv // an Echo's Router, and the like
	}
	if decl := it.p.funcs[obj]; decl != nil {
		return it.callDeclared(c, fn, decl)
	}
	if r := obj.Signature().Recv(); r != nil && types.IsInterface(r.Type()) {
		if v, ok := it.dispatch(c, fn); ok {
			return v
		}
	}
	return it.unknownCall(c, obj)
}

func mustFramework(fn *types.Func) Framework {
	if fn.Pkg() == nil {
		return ""
	}
	fw, _ := frameworkOf(fn.Pkg().Path())
	return fw
}

// operation is what a call does with a router: by its method, or, for an interface that is the program's own, by the router.
func (it *interp) operation(fn *callable) (Framework, operation) {
	if fw, op := routerMethod(fn.obj); op.action != none {
		return fw, op
	}
	for _, v := range alternatives(fn.recv) {
		n, ok := v.(*node)
		if r := fn.obj.Signature().Recv(); ok && r != nil && types.IsInterface(r.Type()) {
			return n.fw, operationOf(n.fw, fn.obj.Name())
		}
	}
	if looksLike(fn.obj) && it.p.infos[fn.obj.Pkg()] != nil && it.sites[fn.site] != nil && !it.hasDispatch(fn) {
		return "", operation{action: register} // its router is unknown, and that is to be said
	}
	return "", operation{}
}

// hasDispatch reports whether a method of an interface can be followed to those of types.
func (it *interp) hasDispatch(fn *callable) bool {
	if !slices.ContainsFunc(it.impls[fn.obj.FullName()], func(m *types.Func) bool { return it.relevant[m] }) {
		return false // whoever is behind it, no router that is known is
	}
	it.settle(fn.site)
	return true
}

// settle notes that a site's calls are followed to other sites.
func (it *interp) settle(pos token.Pos) {
	if s := it.sites[pos]; s != nil {
		s.done = true
	}
}

// special are functions of other packages that are known.
func (it *interp) special(c *invocation, obj *types.Func) (value, bool) {
	if obj.Pkg() == nil {
		return nil, false
	}
	name := obj.Pkg().Path() + "." + obj.Name()
	fw, _ := frameworkOf(obj.Pkg().Path())
	isFunc := obj.Signature().Recv() == nil
	switch {
	case name == "net/http.StripPrefix" && len(c.args) == 2:
		return it.stripped(c.args[0], c.args[1]), true
	case isFunc && fw == ServeMux && slices.Contains([]string{"ListenAndServe", "ListenAndServeTLS", "Serve", "ServeTLS"}, obj.Name()):
		for _, v := range c.args {
			it.served(v)
		}
		return nil, true
	case isFunc && len(c.args) == 1 && (fw == Gin || fw == Echo) && slices.Contains([]string{"WrapH", "WrapF", "WrapHandler"}, obj.Name()):
		return c.args[0], true
	case isFunc && fw == Echo && obj.Name() == "WrapMiddleware" && len(c.args) == 1:
		return opaque{expr: short(types.ExprString(c.expr.Args[0]))}, true
	case isFunc:
		if v, ok := pureText(name, it.strings(c, name)); ok {
			return v, true
		}
	}
	return nil, false
}

// stripped is a handler that does not see a prefix, for each that it may be.
func (it *interp) stripped(prefix, inner value) value {
	var all choice
	for _, alt := range alternatives(prefix) {
		s, known := alt.(text)
		w := &wrapped{inner: inner, strip: string(s), unknown: !known}
		it.served(w)
		all = append(all, w)
	}
	if len(all) == 1 {
		return all[0]
	}
	return all
}

// strings are a call's arguments; of fmt's, those with a String method of the program's are what that returns.
func (it *interp) strings(c *invocation, name string) []value {
	if !strings.HasPrefix(name, "fmt.Sprint") {
		return c.args
	}
	args := slices.Clone(c.args)
	for i, v := range args {
		if i >= len(c.expr.Args) || !isConstant(v) {
			continue
		}
		t := c.f.info.TypeOf(c.expr.Args[i])
		if t == nil {
			continue
		}
		obj, _, _ := types.LookupFieldOrMethod(t, true, c.f.pkg, "String")
		fn, ok := obj.(*types.Func)
		if !ok {
			continue
		}
		args[i] = nil
		if decl := it.p.funcs[fn]; decl != nil {
			args[i] = it.invoke(decl, v, nil)
		}
	}
	return args
}

// callDeclared calls a function of the program. A function that only wraps a handler is a middleware, and not executed.
func (it *interp) callDeclared(c *invocation, fn *callable, decl *function) value {
	obj := decl.obj
	involved := it.relevant[obj] || slices.ContainsFunc(c.args, func(v value) bool { return bears(v, 4) && !isServed(v) })
	if !it.relevant[obj] {
		if v, ok := it.wrap(c, obj); ok {
			return v
		}
		if r := obj.Signature().Results(); r.Len() == 1 && isMiddleware(r.At(0).Type()) {
			return opaque{short(types.ExprString(c.expr)), obj}
		}
		if it.calls[obj]++; !involved && it.calls[obj] > maxPlain && !givesText(obj) {
			return nil
		}
	}
	recv := fn.recv
	if r := obj.Signature().Recv(); r != nil && recv == nil {
		recv = it.unknownOf(r.Type(), r.Pos(), "the router is the receiver of "+obj.Name())
	}
	return it.invoke(decl, recv, it.pack(c, obj.Type()))
}

func isServed(v value) bool {
	_, ok := v.(*wrapped)
	return ok
}

// dispatch calls a method of an interface: that of the value, or those of all types that may be behind it.
func (it *interp) dispatch(c *invocation, fn *callable) (value, bool) {
	var all value = nothing{}
	called := false
	for _, v := range alternatives(fn.recv) {
		o, ok := v.(*object)
		if !ok {
			continue
		}
		t := o.typ
		if _, isPtr := t.Underlying().(*types.Pointer); !isPtr {
			t = types.NewPointer(t)
		}
		obj, _, _ := types.LookupFieldOrMethod(t, true, fn.obj.Pkg(), fn.obj.Name())
		if m, ok := obj.(*types.Func); ok && it.p.funcs[m.Origin()] != nil {
			called = true
			all = joinResults(all, it.callDeclared(c, &callable{obj: m.Origin(), recv: o}, it.p.funcs[m.Origin()]))
		}
	}
	if called {
		return all, true
	}
	for _, m := range it.impls[fn.obj.FullName()] {
		if !it.relevant[m] {
			continue
		}
		called = true
		it.under("by the type behind "+short(types.ExprString(c.expr.Fun)), func() bool {
			all = joinResults(all, it.callDeclared(c, &callable{obj: m}, it.p.funcs[m]))
			return false
		})
	}
	return all, called
}

// unknownCall is a call of a function whose body is not read.
func (it *interp) unknownCall(c *invocation, obj *types.Func) value {
	for i, v := range c.args {
		for _, a := range alternatives(v) {
			if fn, ok := a.(*callable); ok && it.mayRegister(fn) {
				it.callBack(fn)
			}
			if o, ok := a.(*object); ok {
				o.expose()
			}
		}
		if i < len(c.expr.Args) {
			it.escape(c, obj, v, c.expr.Args[i], i)
		}
	}
	if v, ok := it.wrap(c, obj); ok {
		return v
	}
	return opaqueOf(c.f, c.expr)
}

// mayRegister reports whether a function has sites that have not been executed.
func (it *interp) mayRegister(fn *callable) bool {
	if fn.lit == nil {
		return it.relevant[fn.obj] && it.p.funcs[fn.obj] != nil && !it.invoked[fn.obj]
	}
	return !it.ran[fn.lit] && it.hasSites(fn)
}

// hasSites reports whether a function literal has to do with routers.
func (it *interp) hasSites(fn *callable) bool {
	found := false
	ast.Inspect(fn.lit.Body, func(n ast.Node) bool {
		if id, ok := n.(*ast.Ident); ok {
			obj, _ := fn.frame.info.Uses[id].(*types.Func)
			found = found || it.sites[id.Pos()] != nil || obj != nil && (it.relevant[obj.Origin()] || isConstructor(obj))
		}
		return !found
	})
	return found
}

// callBack executes a function that somebody else is given to call.
func (it *interp) callBack(fn *callable) {
	if fn.lit != nil {
		sig, _ := fn.frame.info.TypeOf(fn.lit).(*types.Signature)
		it.invokeLiteral(fn, it.unknownArgs(sig, "a function literal"))
		return
	}
	it.invoke(it.p.funcs[fn.obj], fn.recv, it.unknownArgs(fn.obj.Signature(), fn.obj.Name()))
}

func (it *interp) unknownArgs(sig *types.Signature, of string) []value {
	var args []value
	if sig == nil {
		return nil
	}
	for v := range sig.Params().Variables() {
		args = append(args, it.unknownOf(v.Type(), v.Pos(), fmt.Sprintf("the router is the parameter %s of %s, which other code calls", v.Name(), of)))
	}
	return args
}

// escape notes a router that is passed to what may register routes on it, unseen.
func (it *interp) escape(c *invocation, obj *types.Func, v value, arg ast.Expr, i int) {
	if !slices.ContainsFunc(alternatives(v), isRouterValue) {
		return
	}
	where := short(types.ExprString(c.expr.Fun))
	if obj != nil {
		sig := obj.Signature()
		if sig.Params().Len() == 0 || obj.Pkg() == nil {
			return
		}
		t := sig.Params().At(min(i, sig.Params().Len()-1)).Type()
		if s, ok := t.(*types.Slice); ok && sig.Variadic() {
			t = s.Elem()
		}
		if !it.takesRouter(t) {
			return
		}
		if fw, ok := frameworkOf(obj.Pkg().Path()); ok && fw != "" {
			return // chi.Walk, and the like
		}
	}
	it.note(arg.Pos(), where+"("+short(types.ExprString(arg))+")", "the router is passed to a function that is not read: it may register routes",
		"look what it registers, and write those endpoints by hand")
}

// takesRouter reports whether a parameter's type lets a function register routes.
func (it *interp) takesRouter(t types.Type) bool {
	if _, ok := routerOf(t); ok {
		return true
	}
	iface, ok := t.Underlying().(*types.Interface)
	if !ok {
		return false
	}
	for m := range iface.Methods() {
		if _, op := routerMethod(m); op.adds() || looksLike(m) {
			return true
		}
	}
	return false
}

func (it *interp) note(pos token.Pos, what, why, todo string) {
	u := Unfollowed{Place: it.p.place(pos), What: what, Why: why, Todo: todo}
	key := fmt.Sprint(u)
	if !it.noted[key] {
		it.noted[key] = true
		it.extra = append(it.extra, u)
	}
}

// pack makes a list of the arguments that a variadic function gets.
func (it *interp) pack(c *invocation, t types.Type) []value {
	sig, ok := t.(*types.Signature)
	if !ok || !sig.Variadic() || c.expr.Ellipsis != token.NoPos {
		return c.args
	}
	n := sig.Params().Len() - 1
	if len(c.args) < n {
		return c.args
	}
	return append(slices.Clone(c.args[:n]), &list{elems: slices.Clone(c.args[n:])})
}

// invoke executes a declared function.
func (it *interp) invoke(fn *function, recv value, args []value) value {
	if slices.Contains(it.stack, fn.obj) && countOf(it.stack, fn.obj) > 1 || len(it.stack) >= maxDepth || it.steps > maxSteps {
		if it.relevant[fn.obj] {
			it.note(fn.decl.Name.Pos(), fn.decl.Name.Name, "the call is too deep, or calls itself", "write what it registers by hand")
		}
		return nil
	}
	it.invoked[fn.obj] = true
	it.stack = append(it.stack, fn.obj)
	defer func() { it.stack = it.stack[:len(it.stack)-1] }()
	f := &frame{fn: fn.obj, info: fn.pkg.TypesInfo, pkg: fn.pkg.Types, vars: map[types.Object]*cell{}}
	if fn.decl.Recv != nil {
		it.bindParams(f, fn.decl.Recv, []value{recv})
	}
	return it.body(f, fn.decl.Type, fn.decl.Body, args)
}

func countOf(stack []*types.Func, fn *types.Func) int {
	n := 0
	for _, f := range stack {
		if f == fn {
			n++
		}
	}
	return n
}

// invokeLiteral executes a function literal, with the variables around it.
func (it *interp) invokeLiteral(c *callable, args []value) value {
	if len(it.stack) >= maxDepth || it.steps > maxSteps {
		if !it.hasSites(c) {
			return nil
		}
		it.note(c.lit.Pos(), literalName, "the call is too deep, or calls itself", "write what it registers by hand")
		return nil
	}
	it.ran[c.lit] = true
	it.stack = append(it.stack, nil)
	defer func() { it.stack = it.stack[:len(it.stack)-1] }()
	if args == nil {
		sig, _ := c.frame.info.TypeOf(c.lit).(*types.Signature)
		args = it.unknownArgs(sig, "a function literal")
	}
	f := &frame{fn: c.frame.fn, info: c.frame.info, pkg: c.frame.pkg, vars: map[types.Object]*cell{}, parent: c.frame}
	return it.body(f, c.lit.Type, c.lit.Body, args)
}

func (it *interp) body(f *frame, t *ast.FuncType, body *ast.BlockStmt, args []value) value {
	it.bindParams(f, t.Params, args)
	if t.Results != nil {
		for _, field := range t.Results.List {
			f.count += max(len(field.Names), 1)
			for _, name := range field.Names {
				if v, ok := f.info.Defs[name].(*types.Var); ok {
					f.named = append(f.named, v)
					f.vars[v] = &cell{v: it.zero(f, v.Type(), v.Pos()), depth: len(it.conds)}
				}
			}
		}
	}
	it.block(f, body.List)
	switch {
	case f.results == nil:
		return nil
	case f.count == 1:
		return f.results[0]
	}
	return tuple(f.results)
}

func (it *interp) bindParams(f *frame, fields *ast.FieldList, args []value) {
	i := 0
	for _, field := range fields.List {
		for _, name := range field.Names {
			var v value
			if i < len(args) {
				v = args[i]
			}
			i++
			obj, ok := f.info.Defs[name].(*types.Var)
			if !ok {
				continue
			}
			if _, isRouter := routerOf(obj.Type()); isRouter && (v == nil || same(v, nothing{})) {
				v = it.unknownOf(obj.Type(), obj.Pos(), "the router is the parameter "+obj.Name()+", which is not known where it is passed")
			}
			f.vars[obj] = &cell{v: v, depth: len(it.conds)}
		}
		if len(field.Names) == 0 {
			i++
		}
	}
}

// givesText reports whether a function returns one string, which may be a path.
func givesText(fn *types.Func) bool {
	r := fn.Signature().Results()
	return r.Len() == 1 && isString(r.At(0).Type())
}
