package migrate

import (
	"fmt"
	"go/ast"
	"go/constant"
	"go/types"
	"net/http"
	"path"
	"slices"
	"strings"

	"github.com/stella-ops/router/generator/directive"
	"github.com/stella-ops/router/generator/scan"
	"github.com/stella-ops/router/spec"
)

// uses is what a handler does that the default limits of an endpoint are too little for: the calls that do it, as they are
// written; empty if there are none. Found are calls in the handler's own body, and in functions of the program that it gives
// the request or the writer to. What middleware and other modules do is not looked at.
type uses struct {
	upgrade string // takes the connection over, as a WebSocket
	flush   string // sends what it has written before it ends
	upload  string // reads a form's files
	in      string // copies the request's body
	out     string // copies to the answer
	most    int64  // bytes of the largest body that it takes, by http.MaxBytesReader; 0: it does not say
}

// mostBody is the largest body that an endpoint may take, in bytes: 1 TiB. A handler that says more says no limit.
const mostBody = 1 << 40

// reader finds the uses of a handler.
type reader struct {
	p     *program
	found uses
	seen  map[*types.Func]bool
}

// usesOf are the uses of a route's handler.
func (p *program) usesOf(h handler) uses {
	r := &reader{p: p, seen: map[*types.Func]bool{}}
	for _, fn := range []*types.Func{h.fn, h.serves} {
		if fn == nil {
			continue
		}
		for v := range fn.Signature().Params().Variables() {
			if named := namedOf(v.Type()); named != nil && isWebSocket(named.Obj().Pkg()) { // of x/net's websocket.Handler
				r.found.upgrade = named.Obj().Pkg().Name() + "." + named.Obj().Name()
			}
		}
		r.function(fn)
	}
	if h.lit != nil {
		r.body(h.info, h.lit.Body)
	}
	return r.found
}

func (r *reader) function(fn *types.Func) {
	decl := r.p.funcs[fn.Origin()]
	if decl == nil || r.seen[fn.Origin()] {
		return
	}
	r.seen[fn.Origin()] = true
	r.body(decl.pkg.TypesInfo, decl.decl.Body)
}

func (r *reader) body(info *types.Info, body *ast.BlockStmt) {
	ast.Inspect(body, func(n ast.Node) bool {
		call, ok := n.(*ast.CallExpr)
		if !ok {
			return true
		}
		if fn := calleeOf(info, call); fn != nil {
			r.call(info, call, fn)
		}
		return true
	})
}

func calleeOf(info *types.Info, call *ast.CallExpr) *types.Func {
	var id *ast.Ident
	switch fun := ast.Unparen(call.Fun).(type) {
	case *ast.Ident:
		id = fun
	case *ast.SelectorExpr:
		id = fun.Sel
	default:
		return nil
	}
	fn, _ := info.Uses[id].(*types.Func)
	return fn
}

func (r *reader) call(info *types.Info, call *ast.CallExpr, fn *types.Func) {
	text := short(types.ExprString(call.Fun))
	note := func(at *string) {
		if *at == "" {
			*at = text
		}
	}
	recv := fn.Signature().Recv()
	framework := Framework("")
	if fn.Pkg() != nil {
		framework, _ = frameworkOf(fn.Pkg().Path())
	}
	switch name := fn.Name(); {
	case takesOver(fn):
		note(&r.found.upgrade)
	case recv != nil && (name == "Flush" || name == "FlushError") && (framework == ServeMux || isWriter(recv.Type())), framework == Gin && name == "Stream":
		note(&r.found.flush)
	case recv != nil && framework != "" && slices.Contains([]string{"FormFile", "ParseMultipartForm", "MultipartReader", "MultipartForm", "SaveUploadedFile"}, name):
		note(&r.found.upload)
	case framework == ServeMux && slices.Contains([]string{"ServeContent", "ServeFile", "ServeFileFS"}, name), framework == Echo && name == "Stream":
		note(&r.found.out)
	case framework == ServeMux && name == "MaxBytesReader" && len(call.Args) == 3:
		if v := info.Types[call.Args[2]].Value; v != nil {
			if n, exact := constant.Int64Val(constant.ToInt(v)); exact && n <= mostBody {
				r.found.most = max(r.found.most, n)
			}
		}
	}
	if fn.Pkg() != nil && fn.Pkg().Path() == "io" && strings.HasPrefix(fn.Name(), "Copy") && len(call.Args) > 1 {
		if isWriter(info.TypeOf(call.Args[0])) {
			note(&r.found.out)
		}
		if readsBody(info, call.Args[1]) {
			note(&r.found.in)
		}
	}
	if slices.ContainsFunc(call.Args, func(arg ast.Expr) bool { return isExchange(info.TypeOf(arg)) }) {
		r.function(fn)
	}
}

// takesOver reports whether a function makes a WebSocket of a request, or takes its connection.
func takesOver(fn *types.Func) bool {
	sig := fn.Signature()
	if sig.Recv() != nil && fn.Name() == "Hijack" && sig.Results().Len() == 3 {
		return true
	}
	for v := range sig.Params().Variables() {
		if isWebSocket(fn.Pkg()) && isExchange(v.Type()) {
			return true
		}
	}
	return false
}

func namedOf(t types.Type) *types.Named {
	if t == nil {
		return nil
	}
	t = types.Unalias(t)
	if ptr, ok := t.(*types.Pointer); ok {
		t = types.Unalias(ptr.Elem())
	}
	named, _ := t.(*types.Named)
	if named == nil || named.Obj().Pkg() == nil {
		return nil
	}
	return named
}

// isWebSocket reports whether a package is one for WebSockets, by its name: github.com/coder/websocket, nhooyr.io/websocket,
// github.com/gorilla/websocket, golang.org/x/net/websocket, github.com/gobwas/ws, github.com/lxzan/gws.
func isWebSocket(pkg *types.Package) bool {
	if pkg == nil {
		return false
	}
	base := path.Base(versionSuffix.ReplaceAllString(pkg.Path(), ""))
	return base == "websocket" || base == "ws" || base == "gws"
}

// isWriter reports whether a value is what a handler answers by.
func isWriter(t types.Type) bool {
	if t == nil {
		return false
	}
	obj, _, _ := types.LookupFieldOrMethod(t, true, nil, "WriteHeader")
	_, ok := obj.(*types.Func)
	return ok
}

// isExchange reports whether a value is a request, its answer, or a framework's context of both.
func isExchange(t types.Type) bool {
	if named := namedOf(t); named != nil {
		_, ok := frameworkOf(named.Obj().Pkg().Path())
		return ok && slices.Contains([]string{"Request", "ResponseWriter", "Context"}, named.Obj().Name())
	}
	return false
}

// readsBody reports whether an expression has the body of a request in it.
func readsBody(info *types.Info, e ast.Expr) bool {
	found := false
	ast.Inspect(e, func(n ast.Node) bool {
		if sel, ok := n.(*ast.SelectorExpr); ok && sel.Sel.Name == "Body" {
			named := namedOf(info.TypeOf(sel.X))
			found = found || named != nil && named.Obj().Pkg().Path() == "net/http" && named.Obj().Name() == "Request"
		}
		return !found
	})
	return found
}

// needs says which keys endpoints of a route need besides those that they have, and why.
func (u *uses) needs(methods []string, have keyList) []string {
	var all []string
	add := func(format string, args ...any) { all = append(all, fmt.Sprintf(format, args...)) }
	get := slices.Contains(methods, http.MethodGet)
	stream := spec.Streaming(have.value(keyStream))
	answers := stream == spec.StreamResponse || stream == spec.StreamBoth || stream == spec.StreamUpgrade
	switch {
	case u.upgrade != "" && get && stream != spec.StreamUpgrade:
		add("its handler takes the connection over (%s): its endpoint needs stream=upgrade, or answers 426", u.upgrade)
	case u.upgrade != "" && !get && len(methods) > 0:
		add("its handler takes the connection over (%s), which only an endpoint of GET with stream=upgrade can", u.upgrade)
	case answers:
	case u.flush != "":
		add("its handler flushes its answer (%s): its endpoint needs stream=response, or ends after timeout=", u.flush)
	case u.out != "":
		add("its handler copies to its answer (%s): its endpoint needs stream=response, where that may take longer than timeout=", u.out)
	}
	if slices.ContainsFunc(methods, hasBody) {
		if why := u.needsBody(have); why != "" {
			all = append(all, why)
		}
	}
	return all
}

// needsBody says which body= endpoints need that have a body.
func (u *uses) needsBody(have keyList) string {
	body := spec.DefaultLimits.MaxBodyBytes
	said := have.index(keyBody) >= 0
	if n, err := spec.ParseSize(have.value(keyBody)); said && err == nil {
		body = n
	}
	by := u.bodyBy()
	switch {
	case u.most > 0 && u.most <= body, u.most == 0 && (by == "" || said):
		return ""
	case by == "":
		return fmt.Sprintf("its handler takes bodies of %s (http.MaxBytesReader): its endpoint needs body=%s, or answers 413",
			directive.SpellSize(u.most), directive.SpellSize(u.most))
	}
	size := "body=SIZE, of the largest that it takes"
	if u.most > 0 {
		size = "body=" + directive.SpellSize(u.most)
	}
	return fmt.Sprintf("its handler reads bodies that may be large (%s): its endpoint needs %s, and stream=request for what may take longer than timeout=; "+
		"more than body= is 413", by, size)
}

func (u *uses) bodyBy() string {
	if u.upload != "" {
		return u.upload
	}
	return u.in
}

func hasBody(method string) bool { return (&scan.Endpoint{Method: method}).HasBody() }

// keys adds the keys that are certain, which those that were asked for do not say.
func (u *uses) keys(method string, list keyList) keyList {
	stream := spec.Streaming(list.value(keyStream))
	switch {
	case u.upgrade != "" && method == http.MethodGet:
		list = list.set(key{keyStream, string(spec.StreamUpgrade)})
	case u.flush != "" && stream == "":
		list = list.set(key{keyStream, string(spec.StreamResponse)})
	case u.flush != "" && stream == spec.StreamRequest:
		list = list.set(key{keyStream, string(spec.StreamBoth)})
	}
	if u.most > spec.DefaultLimits.MaxBodyBytes && hasBody(method) && list.index(keyBody) < 0 {
		list = list.set(key{keyBody, directive.SpellSize(u.most)})
	}
	return list
}
