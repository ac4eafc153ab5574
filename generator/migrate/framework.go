package migrate

import (
	"go/types"
	"regexp"
	"slices"
	"strings"
)

// Framework is whose router a route is registered on.
type Framework string

// The frameworks.
const (
	ServeMux Framework = "net/http"
	Chi      Framework = "chi"
	Gin      Framework = "gin"
	Echo     Framework = "echo"
)

var (
	chiPath  = regexp.MustCompile(`^github\.com/(go-chi|pressly)/chi(/v\d+)?$`)
	ginPath  = regexp.MustCompile(`^github\.com/gin-gonic/gin$`)
	echoPath = regexp.MustCompile(`^github\.com/labstack/echo(/v\d+)?$`)
)

// frameworkOf is the framework that a package is of.
func frameworkOf(path string) (Framework, bool) {
	switch {
	case path == "net/http":
		return ServeMux, true
	case chiPath.MatchString(path):
		return Chi, true
	case ginPath.MatchString(path):
		return Gin, true
	case echoPath.MatchString(path):
		return Echo, true
	}
	return "", false
}

// otherRouters are packages whose routes are not read, without the versions in their paths.
var otherRouters = []string{
	"github.com/gorilla/mux", "github.com/julienschmidt/httprouter", "github.com/gofiber/fiber", "github.com/uptrace/bunrouter",
	"github.com/go-martini/martini", "github.com/gobuffalo/buffalo", "github.com/emicklei/go-restful", "github.com/danielgtaylor/huma",
	"github.com/beego/beego", "github.com/revel/revel", "github.com/valyala/fasthttp", "github.com/fasthttp/router", "goji.io",
	"github.com/dimfeld/httptreemux", "github.com/bmizerany/pat", "github.com/gocraft/web", "github.com/cloudwego/hertz", "github.com/kataras/iris",
	"github.com/zeromicro/go-zero/rest", "github.com/go-pkgz/routegroup",
}

var versionSuffix = regexp.MustCompile(`/v\d+$`)

func otherRouter(path string) bool {
	return slices.Contains(otherRouters, versionSuffix.ReplaceAllString(path, ""))
}

// routerTypes are the types of routers and groups, by framework.
var routerTypes = map[Framework][]string{
	ServeMux: {"ServeMux"},
	Chi:      {"Mux", "Router"},
	Gin:      {"Engine", "RouterGroup", "IRouter", "IRoutes"},
	Echo:     {"Echo", "Group", "Router"},
}

// constructors are the functions that make routers.
var constructors = map[Framework][]string{
	ServeMux: {"NewServeMux"}, Chi: {"NewRouter", "NewMux"}, Gin: {"New", "Default"}, Echo: {"New"},
}

// routerOf tells whether a type is a router's, or a pointer to one.
func routerOf(t types.Type) (Framework, bool) {
	if t == nil {
		return "", false
	}
	t = types.Unalias(t)
	if ptr, ok := t.(*types.Pointer); ok {
		t = types.Unalias(ptr.Elem())
	}
	named, ok := t.(*types.Named)
	if !ok || named.Obj().Pkg() == nil {
		return "", false
	}
	fw, ok := frameworkOf(named.Obj().Pkg().Path())
	return fw, ok && slices.Contains(routerTypes[fw], named.Obj().Name())
}

// action is what a call does with a router.
type action int

const (
	none     action = iota
	register        // pattern, handlers
	byMethod        // method, pattern, handlers
	byList          // methods, pattern, handlers
	group           // prefix, middleware: a router below
	subroute        // pattern, func(Router): a router below, which the function fills
	inline          // func(Router), with the router's own middleware
	mount           // pattern, handler
	with            // middleware: a router with more of it
	use             // middleware
	static          // pattern, and files
	fallback        // what answers if nothing else does
	host            // a host, middleware
)

// operation is a method of a router.
type operation struct {
	action action
	method string // of a register; empty: any
}

// verbs are methods of HTTP as chi, gin and echo name functions, in capitals.
var verbs = []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "CONNECT", "TRACE"}

// operationOf is what a method of a router does, by its name.
func operationOf(fw Framework, name string) operation {
	switch fw {
	case ServeMux:
		if name == "Handle" || name == "HandleFunc" {
			return operation{action: register}
		}
	case Chi:
		return chiOperation(name)
	case Gin:
		return ginOperation(name)
	case Echo:
		return echoOperation(name)
	}
	return operation{}
}

func chiOperation(name string) operation {
	if upper := strings.ToUpper(name); upper != name && (slices.Contains(verbs, upper) || upper == "QUERY") {
		return operation{register, upper}
	}
	switch name {
	case "Handle", "HandleFunc":
		return operation{action: register}
	case "Method", "MethodFunc":
		return operation{action: byMethod}
	case "Route":
		return operation{action: subroute}
	case "Group":
		return operation{action: inline}
	case "Mount":
		return operation{action: mount}
	case "With":
		return operation{action: with}
	case "Use":
		return operation{action: use}
	case "NotFound", "MethodNotAllowed":
		return operation{action: fallback}
	}
	return operation{}
}

func ginOperation(name string) operation {
	if slices.Contains(verbs, name) {
		return operation{register, name}
	}
	switch name {
	case "Any":
		return operation{action: register}
	case "Handle":
		return operation{action: byMethod}
	case "Match":
		return operation{action: byList}
	case "Group":
		return operation{action: group}
	case "Use":
		return operation{action: use}
	case "Static", "StaticFS", "StaticFile", "StaticFileFS":
		return operation{action: static}
	case "NoRoute", "NoMethod":
		return operation{action: fallback}
	}
	return operation{}
}

func echoOperation(name string) operation {
	if slices.Contains(verbs, name) {
		return operation{register, name}
	}
	switch name {
	case "Any":
		return operation{action: register}
	case "Add":
		return operation{action: byMethod}
	case "Match":
		return operation{action: byList}
	case "Group":
		return operation{action: group}
	case "Host":
		return operation{action: host}
	case "Use", "Pre":
		return operation{action: use}
	case "Static", "StaticFS", "File", "FileFS":
		return operation{action: static}
	case "RouteNotFound":
		return operation{action: fallback}
	}
	return operation{}
}

// adds reports whether a call adds something that requests reach: it has to become a route, or be reported.
func (o operation) adds() bool {
	return o.action != none && o.action != use && o.action != with
}

// routerMethod is the operation of a method of a router, and whose router it is.
func routerMethod(fn *types.Func) (fw Framework, op operation) {
	if fn == nil || fn.Pkg() == nil {
		return "", operation{}
	}
	fw, ok := frameworkOf(fn.Pkg().Path())
	if !ok {
		return "", operation{}
	}
	sig := fn.Signature()
	if sig.Recv() == nil {
		if fw == ServeMux && (fn.Name() == "Handle" || fn.Name() == "HandleFunc") {
			return fw, operation{action: register}
		}
		return "", operation{}
	}
	if _, ok := routerOf(sig.Recv().Type()); !ok && !routerInterface(sig.Recv().Type()) {
		return "", operation{}
	}
	return fw, operationOf(fw, fn.Name())
}

// routerInterface reports whether a method's receiver is an interface: within these packages those with such methods are
// routers'.
func routerInterface(t types.Type) bool {
	named, ok := types.Unalias(t).(*types.Named)
	return ok && types.IsInterface(named) && slices.Contains([]string{"Router", "IRouter", "IRoutes"}, named.Obj().Name())
}

// looksLike reports whether a method of an interface that is the program's own registers routes, as far as its name and its
// parameters tell.
func looksLike(fn *types.Func) bool {
	sig := fn.Signature()
	if sig.Recv() == nil || !types.IsInterface(sig.Recv().Type()) || sig.Params().Len() < 2 {
		return false
	}
	known := false
	for _, fw := range []Framework{ServeMux, Chi, Gin, Echo} {
		a := operationOf(fw, fn.Name()).action
		known = known || a == register || a == byMethod || a == byList || a == mount
	}
	return known && isString(sig.Params().At(0).Type()) && isHandler(sig.Params().At(sig.Params().Len()-1).Type())
}

func isString(t types.Type) bool {
	basic, ok := t.Underlying().(*types.Basic)
	return ok && basic.Info()&types.IsString != 0
}

// isHandler reports whether values of a type handle requests: http.Handler, or a function or a list of functions of one
// of the shapes of the frameworks.
func isHandler(t types.Type) bool {
	if t == nil {
		return false
	}
	switch u := t.Underlying().(type) {
	case *types.Slice:
		return isHandler(u.Elem())
	case *types.Interface:
		return hasServeHTTP(t)
	case *types.Signature:
		return isHandlerFunc(u)
	}
	return hasServeHTTP(t)
}

func hasServeHTTP(t types.Type) bool {
	obj, _, _ := types.LookupFieldOrMethod(t, true, nil, "ServeHTTP")
	fn, ok := obj.(*types.Func)
	return ok && isHTTPSignature(fn.Signature())
}

func isHandlerFunc(sig *types.Signature) bool {
	if isHTTPSignature(sig) {
		return true
	}
	if sig.Params().Len() == 0 {
		return false
	}
	first := types.TypeString(sig.Params().At(0).Type(), nil)
	return strings.Contains(first, "gin-gonic/gin.Context") || strings.Contains(first, "labstack/echo") && strings.HasSuffix(first, ".Context") ||
		first == "net/http.ResponseWriter"
}

// isHTTPSignature reports whether a function is what http.HandlerFunc is.
func isHTTPSignature(sig *types.Signature) bool {
	p := sig.Params()
	return p.Len() == 2 && sig.Results().Len() == 0 && !sig.Variadic() &&
		types.TypeString(p.At(0).Type(), nil) == "net/http.ResponseWriter" && types.TypeString(p.At(1).Type(), nil) == "*net/http.Request"
}
