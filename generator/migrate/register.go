package migrate

import (
	"go/ast"
	"go/token"
	"go/types"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// operate executes a call of a router's method.
func (it *interp) operate(c *invocation, fn *callable, op operation) value {
	s := it.sites[fn.site]
	if s == nil {
		s = it.sites[sitePos(c.expr)]
	}
	if s == nil {
		s = &site{pos: c.expr.Pos()} // of a method that only adds middleware
	}
	recv := fn.recv
	if fn.obj.Signature().Recv() == nil {
		recv = it.defaultMux()
	}
	var result value
	found := false
	for _, v := range alternatives(recv) {
		n, ok := v.(*node)
		if !ok {
			continue
		}
		own := operationOf(n.fw, fn.obj.Name())
		if own.action == none {
			own = op
		}
		r := &registration{it: it, invocation: c, site: s, n: n, op: own}
		v := r.apply()
		if !found {
			result, found = v, true
		} else {
			result = join(result, v)
		}
	}
	if !found {
		s.failWeakly("the router is not known", "pass the router on in variables, parameters and fields that can be followed, or write the endpoint by hand")
	}
	return result
}

func (s *site) fail(why, todo string) { s.addFailure(failure{why: why, todo: todo}) }

func (s *site) failWeakly(why, todo string) { s.addFailure(failure{why, todo, true}) }

func (s *site) addFailure(f failure) {
	if !slices.Contains(s.failed, f) {
		s.failed = append(s.failed, f)
	}
}

// registration is a call of a method of one router.
type registration struct {
	*invocation

	it   *interp
	site *site
	n    *node
	op   operation
}

func (r *registration) apply() value {
	switch r.op.action {
	case register:
		r.routes([]string{r.op.method}, 0)
		return r.n
	case byMethod:
		r.routes(r.methodArg(), 1)
		return r.n
	case byList:
		r.routes(r.methodList(), 1)
		return r.n
	case group:
		return r.group(0, "")
	case host:
		host, _ := r.arg(0).(text)
		return r.group(-1, string(host))
	case inline:
		child := r.child("")
		r.fill(child, 0)
		return child
	case subroute:
		return r.subroute()
	case mount:
		r.mount()
	case with:
		child := r.child("")
		child.guards = r.names(0)
		return child
	case use:
		r.answering()
		for _, name := range r.names(0) {
			r.n.guards = append(r.n.guards, r.maybe(name))
		}
		return r.n
	case static:
		r.static()
		return r.n
	case fallback:
		r.site.fail("it answers what no route matches, and what a route does not take: the gateway answers 404 and 405 itself",
			"nothing, unless callers rely on its answer")
	case none:
	}
	return nil
}

func (r *registration) arg(i int) value {
	if i < len(r.args) {
		return r.args[i]
	}
	return nil
}

func (r *registration) text(i int) string {
	if i < len(r.expr.Args) {
		return short(types.ExprString(r.expr.Args[i]))
	}
	return "what is passed"
}

// answers are middlewares that answer requests before any route does, by the packages that have them, without versions.
var answers = map[string][]string{
	"github.com/go-chi/chi/middleware":    {"Heartbeat", "PageRoute"},
	"github.com/labstack/echo/middleware": {"Static", "StaticWithConfig", "Proxy", "ProxyWithConfig"},
	"github.com/gin-contrib/static":       {"Serve", "ServeRoot"},
}

// version is that of a module, within or at the end of a package's path.
var version = regexp.MustCompile(`/v\d+(/|$)`)

// answering notes middleware that answers paths by itself, which are no routes.
func (r *registration) answering() {
	for _, arg := range r.expr.Args {
		call, ok := ast.Unparen(arg).(*ast.CallExpr)
		if !ok {
			continue
		}
		fn := calleeOf(r.f.info, call)
		if fn == nil || fn.Pkg() == nil || !slices.Contains(answers[version.ReplaceAllString(fn.Pkg().Path(), "$1")], fn.Name()) {
			continue
		}
		r.it.note(call.Pos(), short(types.ExprString(call)), "the middleware answers paths itself, before any route does",
			"write endpoints of these paths by hand, which serve the whole router as those of the bridge do")
	}
}

// maybe says of a middleware on which condition it is added.
func (r *registration) maybe(name string) string {
	if len(r.it.conds) > r.n.depth {
		return name + " (" + r.it.conds[len(r.it.conds)-1] + ")"
	}
	return name
}

func (r *registration) methodArg() []string {
	var methods []string
	for _, v := range alternatives(r.arg(0)) {
		if m, ok := v.(text); ok {
			methods = append(methods, strings.ToUpper(string(m)))
		}
	}
	if len(methods) == 0 || len(methods) < len(alternatives(r.arg(0))) {
		r.site.fail("the method is not a constant: "+r.text(0), "write the method as a constant, or write the endpoint by hand")
	}
	return methods
}

func (r *registration) methodList() []string {
	var methods []string
	l, ok := r.arg(0).(*list)
	if ok && !l.open {
		for _, v := range l.elems {
			if m, isText := v.(text); isText {
				methods = append(methods, strings.ToUpper(string(m)))
			}
		}
	}
	if !ok || l.open || len(methods) < len(l.elems) {
		r.site.fail("the methods are not a list of constants: "+r.text(0), "write the methods as constants, or write the endpoint by hand")
	}
	return methods
}

// paths are the patterns that an argument may be.
func (r *registration) paths(i int) []string {
	var paths []string
	for _, v := range alternatives(r.arg(i)) {
		if p, ok := v.(text); ok {
			paths = append(paths, string(p))
			continue
		}
		why := "the path is not a constant: " + r.text(i)
		if n := len(r.it.conds); n > 0 && strings.HasPrefix(r.it.conds[n-1], "for") {
			why += " (" + r.it.conds[n-1] + ")"
		}
		r.site.fail(why, "write the path as a constant, or write the endpoint by hand")
	}
	return paths
}

// loosen notes of a router that the path where it is mounted, which is argument i, is not known.
func (r *registration) loosen(i int, v value) {
	if !slices.Contains(alternatives(r.arg(i)), nil) {
		return
	}
	for _, alt := range alternatives(v) {
		inner, _, _, _ := unwrap(alt)
		for _, h := range alternatives(inner) {
			if _, again := h.(*wrapped); again {
				r.loosen(i, h)
			}
			if n, ok := h.(*node); ok {
				n.root().loose = "the path where its router is mounted is not a constant: " + r.text(i)
			}
		}
	}
}

// routes adds routes; the pattern is argument i, handlers follow.
func (r *registration) routes(methods []string, i int) {
	handlers, guards := r.handlers(i + 1)
	for _, h := range handlers {
		r.loosen(i, h.v)
	}
	for _, path := range r.paths(i) {
		if len(handlers) == 0 {
			r.site.fail("it has no handler", "")
		}
		for _, m := range methods {
			e := r.entry(path)
			e.guards = append(e.guards, guards...)
			if m != "" {
				e.methods = []string{m}
			}
			if method, rest, ok := strings.Cut(path, " "); ok && m == "" && (r.n.fw == Chi || r.n.fw == ServeMux) {
				e.methods, e.pattern = []string{strings.ToUpper(method)}, strings.TrimLeft(rest, " \t")
			}
			for _, h := range handlers {
				r.bind(e, h.v, h.name)
			}
		}
	}
}

func (r *registration) entry(pattern string) entry {
	e := entry{pos: r.site.pos, pattern: pattern, conds: slices.Clone(r.it.conds)}
	if r.n.fw != Echo || r.n.base != nil { // what an Echo uses counts for all its routes
		e.guards = slices.Clone(r.n.guards)
	}
	return e
}

// given is a handler that was passed.
type given struct {
	v    value
	name string
}

// handlers are the handler that is argument i, and the middleware of its own. gin has the handler last, echo first.
func (r *registration) handlers(i int) (handlers []given, guards []string) {
	var all []given
	for j := i; j < len(r.args); j++ {
		if l, ok := r.args[j].(*list); ok && r.expr.Ellipsis != token.NoPos && j == len(r.args)-1 && !l.open {
			for k, v := range l.elems {
				all = append(all, given{v, nameOf(r.it, v, r.text(j)+"["+itoa(k)+"]")})
			}
			continue
		}
		all = append(all, given{r.args[j], r.nameArg(j)})
	}
	if len(all) == 0 {
		return nil, nil
	}
	at := 0
	if r.n.fw == Gin {
		at = len(all) - 1
	}
	for k, g := range all {
		if k != at {
			guards = append(guards, g.name)
		}
	}
	return all[at : at+1], guards
}

// names are what middleware is called that is passed, from argument i on.
func (r *registration) names(i int) []string {
	var names []string
	for j := i; j < len(r.args); j++ {
		l, ok := r.args[j].(*list)
		if !ok || r.expr.Ellipsis == token.NoPos {
			names = append(names, r.nameArg(j))
			continue
		}
		for k, v := range l.elems {
			names = append(names, nameOf(r.it, v, r.text(j)+"["+itoa(k)+"]"))
		}
		if l.open {
			names = append(names, r.text(j)+"...")
		}
	}
	return names
}

// nameArg is an argument as it is written; a function literal has its place.
func (r *registration) nameArg(i int) string {
	if i < len(r.expr.Args) {
		if _, ok := ast.Unparen(r.expr.Args[i]).(*ast.FuncLit); !ok {
			return r.text(i)
		}
	}
	return nameOf(r.it, r.args[i], r.text(i))
}

// nameOf is what a handler or a middleware is called.
func nameOf(it *interp, v value, otherwise string) string {
	switch v := v.(type) {
	case *callable:
		if v.obj != nil {
			return funcName(v.obj)
		}
		if v.expr != literalName {
			return v.expr
		}
		return literalName + " (" + it.p.place(v.lit.Pos()).String() + ")"
	case opaque:
		return v.expr
	}
	return otherwise
}

// funcName is api.Server.List of a method, and api.List of a function.
func funcName(fn *types.Func) string {
	name := fn.Name()
	if r := fn.Signature().Recv(); r != nil {
		t := types.Unalias(r.Type())
		if ptr, ok := t.(*types.Pointer); ok {
			t = types.Unalias(ptr.Elem())
		}
		if named, ok := t.(*types.Named); ok {
			name = named.Obj().Name() + "." + name
		}
	}
	if fn.Pkg() != nil {
		name = fn.Pkg().Name() + "." + name
	}
	return name
}

// bind adds a route, or a router below, to the router.
func (r *registration) bind(e entry, v value, name string) { r.bindWithin(e, v, "", false, name) }

// bindWithin is bind for what is within handlers that strip a prefix.
func (r *registration) bindWithin(e entry, v value, strip string, unknown bool, name string) {
	for _, alt := range alternatives(v) {
		inner, by, own, ownUnknown := unwrap(alt)
		below := e
		below.guards = append(slices.Clone(e.guards), by...)
		for _, h := range alternatives(inner) {
			if _, again := h.(*wrapped); again {
				r.bindWithin(below, h, strip+own, unknown || ownUnknown, name)
			} else {
				r.bindOne(below, h, strip+own, unknown || ownUnknown, name)
			}
		}
	}
}

func (r *registration) bindOne(e entry, h value, strip string, unknown bool, name string) {
	if o, ok := h.(*object); ok {
		if n := embedded(o); n != nil {
			h = n
		}
	}
	if fn, ok := h.(*callable); ok && fn.obj != nil && fn.obj.Name() == "ServeHTTP" && isRouterValue(fn.recv) {
		h = fn.recv // router.ServeHTTP, as a function
	}
	switch h := h.(type) {
	case *node:
		if h == r.n || h.root() == r.n.root() {
			r.site.fail("a router is mounted on itself", "")
			return
		}
		if unknown {
			e.note = stripDoubt
		}
		h.root().mounted = true
		e.child, e.mode, e.strip = h.root(), whole, strip
		if r.op.action == mount && h.fw == Chi && strip == "" {
			e.mode = joined
		}
	case *callable:
		e.handler = handler{name: nameOf(r.it, h, name), fn: h.obj, lit: h.lit}
		if h.lit != nil {
			e.handler.info = h.frame.info
		}
	case *object:
		e.handler = handler{name: name, serves: serveHTTP(h.typ)}
	case opaque:
		e.handler = handler{name: h.expr, serves: h.by}
	default:
		e.handler = handler{name: name}
	}
	r.n.entries = append(r.n.entries, e)
	r.site.done = true
}

// serveHTTP is the method that makes a handler of a type; nil if it has none.
func serveHTTP(t types.Type) *types.Func {
	if t == nil {
		return nil
	}
	obj, _, _ := types.LookupFieldOrMethod(t, true, nil, "ServeHTTP")
	fn, _ := obj.(*types.Func)
	return fn
}

// embedded is the router that a struct embeds: it serves the struct's requests.
func embedded(o *object) *node {
	for field, c := range o.fields {
		if n, ok := c.v.(*node); ok && field.Embedded() {
			return n
		}
	}
	return nil
}

// child is a group of the router.
func (r *registration) child(prefix string) *node {
	n := r.it.newNode(r.n.fw, r.expr.Pos(), r.f, "")
	n.base = r.n
	e := r.entry(prefix)
	e.child, e.mode = n, joined
	r.n.entries = append(r.n.entries, e)
	r.site.done = true
	return n
}

// group is a group with a prefix, which is argument i, and middleware.
func (r *registration) group(i int, host string) value {
	prefixes := []string{""}
	doubt := ""
	if i >= 0 {
		prefixes = nil
		for _, v := range alternatives(r.arg(i)) {
			p, ok := v.(text)
			if !ok {
				doubt = "the prefix of its group is not a constant: " + r.text(i)
			}
			prefixes = append(prefixes, string(p))
		}
	}
	var all value
	for j, prefix := range prefixes {
		n := r.child(prefix)
		last := &r.n.entries[len(r.n.entries)-1]
		last.host = host
		n.guards, n.doubt = r.names(1), doubt
		if j == 0 {
			all = n
		} else {
			all = join(all, n)
		}
	}
	return all
}

// fill lets the function that is argument i register on a router below.
func (r *registration) fill(child *node, i int) {
	called := false
	for _, v := range alternatives(r.arg(i)) {
		fn, ok := v.(*callable)
		if !ok {
			continue
		}
		if fn.lit != nil {
			r.it.invokeLiteral(fn, []value{child})
			called = true
		} else if decl := r.it.p.funcs[fn.obj]; decl != nil {
			r.it.invoke(decl, fn.recv, []value{child})
			called = true
		}
	}
	if !called {
		r.site.fail("the function that registers routes is not read: "+r.text(i), "look what it registers, and write those endpoints by hand")
	}
}

func (r *registration) subroute() value {
	paths := r.paths(0)
	if len(paths) == 0 {
		n := r.child("")
		n.doubt = "the path of its router is not a constant: " + r.text(0)
		r.fill(n, 1)
		return n
	}
	var all value
	for i, path := range paths {
		n := r.child(path)
		n.base = nil
		n.mounted = true
		r.fill(n, 1)
		if i == 0 {
			all = n
		} else {
			all = join(all, n)
		}
	}
	return all
}

// mount is chi's: the handler gets the path, and all that is below.
func (r *registration) mount() {
	r.loosen(0, r.arg(1))
	for _, path := range r.paths(0) {
		e := r.entry(path)
		e.subtree = true
		r.bind(e, r.arg(1), r.nameArg(1))
	}
}

// static adds the routes that serve files.
func (r *registration) static() {
	name := ast.Unparen(r.expr.Fun)
	sel, ok := name.(*ast.SelectorExpr)
	if !ok {
		r.site.fail("files are served through a function value", "write the endpoint by hand")
		return
	}
	for _, path := range r.paths(0) {
		e := r.entry(path)
		e.methods = []string{"GET"}
		e.handler = handler{name: "files of " + r.text(1)}
		if isFolder(sel.Sel.Name) {
			if r.n.fw == Gin {
				e.pattern = strings.TrimSuffix(path, "/") + "/*filepath"
			} else {
				e.pattern = strings.TrimSuffix(path, "/") + "/*"
			}
		}
		r.n.entries = append(r.n.entries, e)
		r.site.done = true
	}
}

// isFolder reports whether a method serves all files of a folder.
func isFolder(method string) bool { return !strings.Contains(method, "File") }

func itoa(n int) string { return strconv.Itoa(n) }
