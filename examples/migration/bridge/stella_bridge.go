// The endpoints of this file serve routes by the router that has them, so that its middleware runs as before. stellagen
// migrate has written it; it adds to it and takes from it, and leaves the rest as it is. Give each endpoint the claims that its
// callers need. A handler with a directive of its own needs no endpoint here.

package shop

import "net/http"

// RouterBridge serves routes of the router that Router makes.
type RouterBridge struct {
	Router http.Handler // the router, or what wraps it whole
}

// GetHealth serves GET /health as the router does.
//
//stella:endpoint GET /health
//stella:public "the shop's own middleware guards it"
func (b *RouterBridge) GetHealth(w http.ResponseWriter, r *http.Request) {
	b.Router.ServeHTTP(w, r) // shop.health, behind server
}

// GetBooks serves GET /books as the router does.
//
//stella:endpoint GET /books
//stella:public "the shop's own middleware guards it"
func (b *RouterBridge) GetBooks(w http.ResponseWriter, r *http.Request) {
	b.Router.ServeHTTP(w, r) // shop.Shop.list, behind server
}

// GetBooksAdded serves GET /books/added as the router does.
//
//stella:endpoint GET /books/added stream=response idle=60s
//stella:public "the shop's own middleware guards it"
func (b *RouterBridge) GetBooksAdded(w http.ResponseWriter, r *http.Request) {
	b.Router.ServeHTTP(w, r) // shop.Shop.added, behind server
}

// PostBooks serves POST /books as the router does.
//
//stella:endpoint POST /books
//stella:public "the shop's own middleware guards it"
func (b *RouterBridge) PostBooks(w http.ResponseWriter, r *http.Request) {
	b.Router.ServeHTTP(w, r) // shop.Shop.add, behind server, s.staff
}

// GetBooksByIsbn serves GET /books/{isbn} as the router does.
//
//stella:endpoint GET /books/{isbn}
//stella:public "the shop's own middleware guards it"
func (b *RouterBridge) GetBooksByIsbn(w http.ResponseWriter, r *http.Request) {
	b.Router.ServeHTTP(w, r) // shop.Shop.get, behind server
}

// GetBooksByIsbnCover serves GET /books/{isbn}/cover as the router does.
//
//stella:endpoint GET /books/{isbn}/cover stream=response idle=60s
//stella:public "the shop's own middleware guards it"
func (b *RouterBridge) GetBooksByIsbnCover(w http.ResponseWriter, r *http.Request) {
	b.Router.ServeHTTP(w, r) // shop.Shop.cover, behind server
}

// DeleteBooksByIsbn serves DELETE /books/{isbn} as the router does.
//
//stella:endpoint DELETE /books/{isbn} idempotent
//stella:public "the shop's own middleware guards it"
func (b *RouterBridge) DeleteBooksByIsbn(w http.ResponseWriter, r *http.Request) {
	b.Router.ServeHTTP(w, r) // shop.Shop.remove, behind server, s.staff
}

// PutBooksByIsbnCover serves PUT /books/{isbn}/cover as the router does.
//
//stella:endpoint PUT /books/{isbn}/cover stream=request idle=30s body=8MiB idempotent
//stella:public "the shop's own middleware guards it"
func (b *RouterBridge) PutBooksByIsbnCover(w http.ResponseWriter, r *http.Request) {
	b.Router.ServeHTTP(w, r) // shop.Shop.setCover, behind server, s.staff
}
