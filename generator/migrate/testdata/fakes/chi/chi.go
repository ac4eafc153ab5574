// Package chi has the names of chi that programs register routes with, and does nothing.
package chi

import "net/http"

type Router interface {
	http.Handler
	Use(middlewares ...func(http.Handler) http.Handler)
	With(middlewares ...func(http.Handler) http.Handler) Router
	Group(fn func(r Router)) Router
	Route(pattern string, fn func(r Router)) Router
	Mount(pattern string, h http.Handler)
	Handle(pattern string, h http.Handler)
	HandleFunc(pattern string, h http.HandlerFunc)
	Method(method, pattern string, h http.Handler)
	MethodFunc(method, pattern string, h http.HandlerFunc)
	Get(pattern string, h http.HandlerFunc)
	Post(pattern string, h http.HandlerFunc)
	Put(pattern string, h http.HandlerFunc)
	Delete(pattern string, h http.HandlerFunc)
	NotFound(h http.HandlerFunc)
}

type Mux struct{}

func NewRouter() *Mux { return &Mux{} }

func URLParam(r *http.Request, key string) string { return "" }

func Walk(r Router, fn func(method, route string) error) error { return nil }

func (*Mux) ServeHTTP(http.ResponseWriter, *http.Request)                 {}
func (*Mux) Use(middlewares ...func(http.Handler) http.Handler)           {}
func (m *Mux) With(middlewares ...func(http.Handler) http.Handler) Router { return m }
func (m *Mux) Group(fn func(r Router)) Router                             { return m }
func (m *Mux) Route(pattern string, fn func(r Router)) Router             { return m }
func (*Mux) Mount(pattern string, h http.Handler)                         {}
func (*Mux) Handle(pattern string, h http.Handler)                        {}
func (*Mux) HandleFunc(pattern string, h http.HandlerFunc)                {}
func (*Mux) Method(method, pattern string, h http.Handler)                {}
func (*Mux) MethodFunc(method, pattern string, h http.HandlerFunc)        {}
func (*Mux) Get(pattern string, h http.HandlerFunc)                       {}
func (*Mux) Post(pattern string, h http.HandlerFunc)                      {}
func (*Mux) Put(pattern string, h http.HandlerFunc)                       {}
func (*Mux) Delete(pattern string, h http.HandlerFunc)                    {}
func (*Mux) NotFound(h http.HandlerFunc)                                  {}
