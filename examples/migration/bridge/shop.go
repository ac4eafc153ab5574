// Package shop is the bookshop behind the bridge. New are the directive below and stella_bridge.go: stellagen migrate --bridge has
// written both, and the limits in stella_bridge.go, such as idle= and idempotent, were refined by hand since.
//
//stella:service bookshop-bridge version=0.1.0 owner=shop
package shop

import (
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"

	"github.com/go-chi/chi/v5"

	"github.com/stella-ops/router/examples/migration/books"
)

// maxCover bounds the picture of a cover, in bytes.
const maxCover = 8 << 20

// Shop has the handlers.
type Shop struct {
	store *books.Store
	key   string // what the staff sends as X-Api-Key
}

// New returns a shop that sells what is in the store. Who sends the key may change it.
func New(store *books.Store, key string) *Shop { return &Shop{store, key} }

// Router has the shop's routes.
func (s *Shop) Router() http.Handler {
	r := chi.NewRouter()
	r.Use(server)
	r.Get("/health", health)
	r.Route("/books", func(r chi.Router) {
		r.Get("/", s.list)
		r.Get("/added", s.added)
		r.Group(func(r chi.Router) {
			r.Use(s.staff)
			r.Post("/", s.add)
		})
		r.Route("/{isbn}", func(r chi.Router) {
			r.Get("/", s.get)
			r.Get("/cover", s.cover)
			r.With(s.staff).Delete("/", s.remove)
			r.With(s.staff).Put("/cover", s.setCover)
		})
	})
	return r
}

// server says who answers.
func server(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Shop", "bookshop")
		next.ServeHTTP(w, r)
	})
}

// staff lets those pass who know the key.
func (s *Shop) staff(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if subtle.ConstantTimeCompare([]byte(r.Header.Get("X-Api-Key")), []byte(s.key)) != 1 {
			refuse(w, http.StatusUnauthorized, errors.New("for the staff alone"))
			return
		}
		next.ServeHTTP(w, r)
	})
}

func health(w http.ResponseWriter, _ *http.Request) {
	answer(w, http.StatusOK, map[string]string{"status": "ok"})
}

func (s *Shop) list(w http.ResponseWriter, r *http.Request) {
	answer(w, http.StatusOK, s.store.Find(r.URL.Query().Get("q")))
}

func (s *Shop) get(w http.ResponseWriter, r *http.Request) {
	b, err := s.store.Get(r.PathValue("isbn"))
	if err != nil {
		refuse(w, http.StatusNotFound, err)
		return
	}
	answer(w, http.StatusOK, b)
}

func (s *Shop) add(w http.ResponseWriter, r *http.Request) {
	var b books.Book
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 1<<16)).Decode(&b); err != nil {
		refuse(w, http.StatusBadRequest, err)
		return
	}
	switch err := s.store.Add(b); {
	case errors.Is(err, books.ErrExists):
		refuse(w, http.StatusConflict, err)
	case err != nil:
		refuse(w, http.StatusUnprocessableEntity, err)
	default:
		w.Header().Set("Location", "/books/"+b.ISBN)
		answer(w, http.StatusCreated, b)
	}
}

func (s *Shop) remove(w http.ResponseWriter, r *http.Request) {
	if err := s.store.Remove(r.PathValue("isbn")); err != nil {
		refuse(w, http.StatusNotFound, err)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

func (s *Shop) cover(w http.ResponseWriter, r *http.Request) {
	picture, err := s.store.Cover(r.PathValue("isbn"))
	if err != nil {
		refuse(w, http.StatusNotFound, err)
		return
	}
	w.Header().Set("Content-Type", "image/png")
	_, _ = w.Write(picture)
}

func (s *Shop) setCover(w http.ResponseWriter, r *http.Request) {
	picture, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxCover))
	if err != nil {
		refuse(w, http.StatusRequestEntityTooLarge, err)
		return
	}
	if err := s.store.SetCover(r.PathValue("isbn"), picture); err != nil {
		refuse(w, http.StatusNotFound, err)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

// added follows what is added, as server-sent events.
func (s *Shop) added(w http.ResponseWriter, r *http.Request) {
	added, stop := s.store.Follow()
	defer stop()
	w.Header().Set("Content-Type", "text/event-stream")
	w.WriteHeader(http.StatusOK)
	out := http.NewResponseController(w)
	if err := out.Flush(); err != nil {
		return
	}
	for {
		select {
		case <-r.Context().Done():
			return
		case b := <-added:
			text, err := json.Marshal(b)
			if err != nil {
				return
			}
			if _, err := fmt.Fprintf(w, "data: %s\n\n", text); err != nil {
				return
			}
			if err := out.Flush(); err != nil {
				return
			}
		}
	}
}

func answer(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v)
}

func refuse(w http.ResponseWriter, status int, why error) {
	answer(w, status, map[string]string{"error": why.Error()})
}
