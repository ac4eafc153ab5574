// Package gin has the names of gin that programs register routes with, and does nothing.
package gin

import "net/http"

type Context struct{ Request *http.Request }

type HandlerFunc func(*Context)

type IRoutes interface {
	Use(...HandlerFunc) IRoutes
	GET(string, ...HandlerFunc) IRoutes
}

type RouterGroup struct{}

type Engine struct{ RouterGroup }

func New() *Engine { return &Engine{} }

func Default() *Engine { return &Engine{} }

func WrapH(h http.Handler) HandlerFunc { return nil }

func WrapF(f http.HandlerFunc) HandlerFunc { return nil }

func Logger() HandlerFunc { return nil }

func (*Engine) ServeHTTP(http.ResponseWriter, *http.Request) {}
func (*Engine) Run(addr ...string) error                     { return nil }
func (*Engine) NoRoute(handlers ...HandlerFunc)              {}
func (e *Engine) Use(middleware ...HandlerFunc) IRoutes      { return e }

func (g *RouterGroup) Use(middleware ...HandlerFunc) IRoutes                           { return g }
func (g *RouterGroup) Group(path string, handlers ...HandlerFunc) *RouterGroup         { return g }
func (g *RouterGroup) Handle(method, path string, handlers ...HandlerFunc) IRoutes     { return g }
func (g *RouterGroup) GET(path string, handlers ...HandlerFunc) IRoutes                { return g }
func (g *RouterGroup) POST(path string, handlers ...HandlerFunc) IRoutes               { return g }
func (g *RouterGroup) DELETE(path string, handlers ...HandlerFunc) IRoutes             { return g }
func (g *RouterGroup) Any(path string, handlers ...HandlerFunc) IRoutes                { return g }
func (g *RouterGroup) Match(ms []string, path string, handlers ...HandlerFunc) IRoutes { return g }
func (g *RouterGroup) Static(path, root string) IRoutes                                { return g }
func (g *RouterGroup) StaticFile(path, file string) IRoutes                            { return g }
