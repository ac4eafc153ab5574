// Package echo has the names of echo that programs register routes with, and does nothing.
package echo

import "net/http"

type Context interface{ Param(name string) string }

type HandlerFunc func(Context) error

type MiddlewareFunc func(HandlerFunc) HandlerFunc

type Route struct{}

type Echo struct{}

type Group struct{}

func New() *Echo { return &Echo{} }

func WrapHandler(h http.Handler) HandlerFunc { return nil }

func (*Echo) ServeHTTP(http.ResponseWriter, *http.Request)                       {}
func (*Echo) Start(addr string) error                                            { return nil }
func (*Echo) Use(m ...MiddlewareFunc)                                            {}
func (*Echo) Pre(m ...MiddlewareFunc)                                            {}
func (*Echo) Group(prefix string, m ...MiddlewareFunc) *Group                    { return nil }
func (*Echo) Host(name string, m ...MiddlewareFunc) *Group                       { return nil }
func (*Echo) GET(path string, h HandlerFunc, m ...MiddlewareFunc) *Route         { return nil }
func (*Echo) POST(path string, h HandlerFunc, m ...MiddlewareFunc) *Route        { return nil }
func (*Echo) Any(path string, h HandlerFunc, m ...MiddlewareFunc) []*Route       { return nil }
func (*Echo) Add(method, path string, h HandlerFunc, m ...MiddlewareFunc) *Route { return nil }
func (*Echo) Static(prefix, root string) *Route                                  { return nil }
func (*Echo) File(path, file string, m ...MiddlewareFunc) *Route                 { return nil }
func (*Group) Use(m ...MiddlewareFunc)                                           {}
func (*Group) Group(prefix string, m ...MiddlewareFunc) *Group                   { return nil }
func (*Group) GET(path string, h HandlerFunc, m ...MiddlewareFunc) *Route        { return nil }
func (*Group) DELETE(path string, h HandlerFunc, m ...MiddlewareFunc) *Route     { return nil }
func (*Group) Match(ms []string, path string, h HandlerFunc, m ...MiddlewareFunc) []*Route {
	return nil
}

type Router struct{}

func (*Echo) Router() *Router { return nil }

func (*Router) Add(method, path string, h HandlerFunc) {}
