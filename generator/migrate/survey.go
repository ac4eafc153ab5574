package migrate

import (
	"go/ast"
	"go/token"
	"go/types"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/tools/go/packages"
)

// survey lists what is to be followed, and which functions have to do with it.
func (it *interp) survey() {
	for _, pkg := range it.p.pkgs {
		for _, in := range pkg.TypesInfo.InitOrder {
			init := &initializer{info: pkg.TypesInfo, pkg: pkg.Types, vars: in.Lhs, expr: in.Rhs}
			for _, v := range in.Lhs {
				it.initOf[v] = init
			}
		}
		for _, f := range pkg.Syntax {
			for _, decl := range f.Decls {
				var fn *types.Func
				if fd, ok := decl.(*ast.FuncDecl); ok {
					fn, _ = pkg.TypesInfo.Defs[fd.Name].(*types.Func)
				}
				it.surveyDecl(pkg, fn, decl)
			}
		}
	}
	slices.SortFunc(it.order, func(a, b *site) int { return int(a.pos - b.pos) })
	it.implementations()
	for changed := true; changed; {
		changed = false
		for fn, callees := range it.callees {
			if !it.relevant[fn] && slices.ContainsFunc(callees, func(c *types.Func) bool { return it.relevant[c] }) {
				it.relevant[fn], changed = true, true
			}
		}
	}
}

// surveyDecl lists the sites of a declaration, and the functions that it refers to.
func (it *interp) surveyDecl(pkg *packages.Package, fn *types.Func, decl ast.Decl) {
	var stack []ast.Node
	ast.Inspect(decl, func(n ast.Node) bool {
		if n == nil {
			stack = stack[:len(stack)-1]
			return true
		}
		stack = append(stack, n)
		id, ok := n.(*ast.Ident)
		if !ok {
			return true
		}
		callee, ok := pkg.TypesInfo.Uses[id].(*types.Func)
		if !ok {
			if pkg.TypesInfo.Uses[id] == nil && seems(stack) {
				it.addSite(fn, stack, operation{action: register})
				it.sites[id.Pos()].fail("the type of what is registered on is not known", "mend the package, and run migrate again")
			}
			return true
		}
		callee = callee.Origin()
		if fn != nil {
			it.callees[fn] = append(it.callees[fn], callee)
		}
		_, op := routerMethod(callee)
		if op.action == none && looksLike(callee) && it.p.infos[callee.Pkg()] != nil {
			op = operation{action: register}
		}
		switch {
		case op.adds():
			it.addSite(fn, stack, op)
			fallthrough
		case op.action != none || isConstructor(callee):
			if fn != nil {
				it.relevant[fn] = true
				it.makes[fn] = it.makes[fn] || isConstructor(callee)
			}
		}
		return true
	})
}

// seems reports whether a name, the last of the stack, is called with a literal path, as methods that register routes are:
// of code that does not compile, nothing else may be known.
func seems(stack []ast.Node) bool {
	if len(stack) < 3 {
		return false
	}
	id, _ := stack[len(stack)-1].(*ast.Ident)
	sel, isSelector := stack[len(stack)-2].(*ast.SelectorExpr)
	call, isCall := stack[len(stack)-3].(*ast.CallExpr)
	if !isSelector || !isCall || sel.Sel != id || call.Fun != sel || len(call.Args) < 2 {
		return false
	}
	known := false
	for _, fw := range []Framework{ServeMux, Chi, Gin, Echo} {
		known = known || operationOf(fw, id.Name).adds()
	}
	if !known {
		return false
	}
	for _, arg := range call.Args[:2] {
		lit, ok := arg.(*ast.BasicLit)
		if !ok || lit.Kind != token.STRING {
			continue
		}
		text, err := strconv.Unquote(lit.Value)
		if _, path, found := strings.Cut(text, " "); err == nil && (strings.HasPrefix(text, "/") || found && strings.HasPrefix(path, "/")) {
			return true
		}
	}
	return false
}

// addSite notes a call of a registering method, or its use as a value.
func (it *interp) addSite(fn *types.Func, stack []ast.Node, op operation) {
	i := len(stack) - 1
	var expr ast.Expr
	expr, _ = stack[i].(ast.Expr)
	if i > 0 {
		if sel, ok := stack[i-1].(*ast.SelectorExpr); ok && sel.Sel == stack[i] {
			i--
			expr = sel
		}
	}
	if i > 0 {
		if call, ok := stack[i-1].(*ast.CallExpr); ok && call.Fun == stack[i] {
			i--
			expr = call
		}
	}
	s := &site{pos: sitePos(expr), text: short(types.ExprString(expr)), fn: fn, op: op}
	for ; i >= 0; i-- {
		if lit, ok := stack[i].(*ast.FuncLit); ok {
			s.lit = lit
			break
		}
	}
	if it.sites[s.pos] == nil {
		it.sites[s.pos] = s
		it.order = append(it.order, s)
	}
}

// sitePos is where a call is said to be: chains of calls have one beginning, but several names.
func sitePos(e ast.Expr) token.Pos {
	switch e := ast.Unparen(e).(type) {
	case *ast.CallExpr:
		return sitePos(e.Fun)
	case *ast.SelectorExpr:
		return e.Sel.Pos()
	case *ast.IndexExpr:
		return sitePos(e.X)
	}
	return e.Pos()
}

func isConstructor(fn *types.Func) bool {
	if fn == nil || fn.Pkg() == nil || fn.Signature().Recv() != nil {
		return false
	}
	fw, ok := frameworkOf(fn.Pkg().Path())
	return ok && slices.Contains(constructors[fw], fn.Name())
}

// implementations makes calls of interfaces' methods lead to the methods of the program's types.
func (it *interp) implementations() {
	wanted := map[*types.Func]bool{}
	for _, callees := range it.callees {
		for _, c := range callees {
			if r := c.Signature().Recv(); r != nil && types.IsInterface(r.Type()) && it.p.infos[c.Pkg()] != nil {
				wanted[c] = true
			}
		}
	}
	if len(wanted) == 0 {
		return
	}
	named := it.namedTypes()
	for method := range wanted {
		iface, ok := method.Signature().Recv().Type().Underlying().(*types.Interface)
		if !ok {
			continue
		}
		for _, n := range named {
			if !types.Implements(types.NewPointer(n), iface) {
				continue
			}
			obj, _, _ := types.LookupFieldOrMethod(types.NewPointer(n), true, n.Obj().Pkg(), method.Name())
			if fn, ok := obj.(*types.Func); ok && it.p.funcs[fn] != nil {
				it.callees[method] = append(it.callees[method], fn)
				it.impls[method.FullName()] = append(it.impls[method.FullName()], fn)
			}
		}
	}
}

// namedTypes are the types of the program that may be behind an interface.
func (it *interp) namedTypes() []*types.Named {
	var named []*types.Named
	for _, pkg := range it.p.pkgs {
		scope := pkg.Types.Scope()
		for _, name := range scope.Names() {
			tn, ok := scope.Lookup(name).(*types.TypeName)
			if !ok || tn.IsAlias() {
				continue
			}
			if n, ok := tn.Type().(*types.Named); ok && !types.IsInterface(n) && n.TypeParams().Len() == 0 {
				named = append(named, n)
			}
		}
	}
	return named
}
