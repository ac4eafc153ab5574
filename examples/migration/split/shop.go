// Package shop is the bookshop as a service of its own: typed handlers over the same package books, and no HTTP.
//
//stella:service bookshop version=1.0.0 owner=shop
package shop

import (
	"context"
	"crypto/subtle"
	"errors"
	"io"
	"iter"
	"net/http"
	"net/url"

	"github.com/stella-ops/router/examples/migration/books"
	stella "github.com/stella-ops/router/runtime"
)

// Shop has the handlers.
type Shop struct{ store *books.Store }

// New returns a shop that sells what is in the store.
func New(store *books.Store) *Shop { return &Shop{store} }

// Service is the shop behind a gateway. Who sends the key may change it.
func (s *Shop) Service(key string, more ...stella.Part) *stella.Service {
	return stella.New(Manifest, append(more,
		Endpoints(Handlers{Shop: s}), stella.WithInterceptor(named), stella.WithInterceptor(staff(key), stella.OfTag("staff")),
	)...)
}

// named says who answers.
func named(ctx context.Context, r *stella.Request, w *stella.Response, next stella.Dispatch) error {
	w.Header().Set("X-Shop", "bookshop")
	return next(ctx, r, w)
}

// staff lets those pass who know the key.
func staff(key string) stella.Interceptor {
	return func(ctx context.Context, r *stella.Request, w *stella.Response, next stella.Dispatch) error {
		if subtle.ConstantTimeCompare([]byte(r.Header.Get("X-Api-Key")), []byte(key)) != 1 {
			return stella.NewError(http.StatusUnauthorized, "staff_only", "This is for the staff alone.")
		}
		return next(ctx, r, w)
	}
}

// UnknownBookError is the answer for a book that is not there.
type UnknownBookError struct{}

func (UnknownBookError) Error() string { return books.ErrUnknown.Error() }

// BookExistsError is the answer for a book that is there already.
type BookExistsError struct{}

func (BookExistsError) Error() string { return books.ErrExists.Error() }

// InvalidBookError is the answer for what is no book.
type InvalidBookError struct{}

func (InvalidBookError) Error() string { return books.ErrInvalid.Error() }

// problem is what callers are told of an error of the store.
func problem(err error) error {
	switch {
	case errors.Is(err, books.ErrUnknown):
		return UnknownBookError{}
	case errors.Is(err, books.ErrExists):
		return BookExistsError{}
	case errors.Is(err, books.ErrInvalid):
		return InvalidBookError{}
	}
	return err
}

// Status says that the service is up.
type Status struct {
	Status string `json:"status"`
}

// Health answers whether the shop is open.
//
//stella:endpoint GET /health
//stella:public "a load balancer asks"
func (*Shop) Health(context.Context) (*Status, error) { return &Status{"ok"}, nil }

// List finds books by a word. It is raw, since callers have always got an array, and a typed handler answers an object.
//
//stella:endpoint GET /books
//stella:public "everybody may look"
func (s *Shop) List(_ context.Context, r *stella.Request, w *stella.Response) error {
	query, err := url.ParseQuery(r.RawQuery)
	if err != nil {
		return stella.NewError(http.StatusBadRequest, "bad_query", "The query cannot be read: "+err.Error())
	}
	return w.JSON(http.StatusOK, s.store.Find(query.Get("q")))
}

// ISBN names a book.
type ISBN struct {
	ISBN string `path:"isbn"`
}

// Get finds one book.
//
//stella:endpoint GET /books/{isbn} errors=UnknownBookError:404
//stella:public "everybody may look"
func (s *Shop) Get(_ context.Context, in *ISBN) (*books.Book, error) {
	b, err := s.store.Get(in.ISBN)
	if err != nil {
		return nil, problem(err)
	}
	return &b, nil
}

// NewBook is a book that is added.
type NewBook struct {
	ISBN   string `json:"isbn"`
	Title  string `json:"title"`
	Author string `json:"author"`
	Cents  int    `json:"cents"`
}

// AddedBook is a book that was added.
type AddedBook struct {
	books.Book

	Location string `header:"Location" json:"-"`
}

// Add stores a book.
//
//stella:endpoint POST /books status=201 tags=staff body=64KiB errors=BookExistsError:409,InvalidBookError:422
//stella:public "the staff's key is checked by an interceptor"
func (s *Shop) Add(_ context.Context, in *NewBook) (*AddedBook, error) {
	b := books.Book(*in)
	if err := s.store.Add(b); err != nil {
		return nil, problem(err)
	}
	return &AddedBook{Book: b, Location: "/books/" + b.ISBN}, nil
}

// Remove forgets a book.
//
//stella:endpoint DELETE /books/{isbn} idempotent tags=staff errors=UnknownBookError:404
//stella:public "the staff's key is checked by an interceptor"
func (s *Shop) Remove(_ context.Context, in *ISBN) error { return problem(s.store.Remove(in.ISBN)) }

// Cover answers the picture of a book's cover.
//
//stella:endpoint GET /books/{isbn}/cover stream=response idle=60s errors=UnknownBookError:404
//stella:public "everybody may look"
func (s *Shop) Cover(_ context.Context, r *stella.Request, w *stella.Response) error {
	picture, err := s.store.Cover(r.PathValue("isbn"))
	if err != nil {
		return problem(err)
	}
	w.Header().Set("Content-Type", "image/png")
	_, err = w.Write(picture)
	return err
}

// SetCover stores the picture of a book's cover.
//
//stella:endpoint PUT /books/{isbn}/cover status=204 stream=request idle=30s body=8MiB idempotent tags=staff errors=UnknownBookError:404
//stella:public "the staff's key is checked by an interceptor"
func (s *Shop) SetCover(_ context.Context, r *stella.Request, w *stella.Response) error {
	picture, err := io.ReadAll(r.Body)
	if err != nil {
		return err
	}
	if err := s.store.SetCover(r.PathValue("isbn"), picture); err != nil {
		return problem(err)
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// Added follows what is added.
//
//stella:endpoint GET /books/added idle=60s
//stella:public "everybody may look"
func (s *Shop) Added(ctx context.Context) (iter.Seq2[books.Book, error], error) {
	added, stop := s.store.Follow() // before the caller has the head: nothing is missed that is added after that
	return func(yield func(books.Book, error) bool) {
		defer stop()
		for {
			select {
			case <-ctx.Done():
				return
			case b := <-added:
				if !yield(b, nil) {
					return
				}
			}
		}
	}, nil
}
