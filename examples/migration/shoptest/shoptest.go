// Package shoptest is what holds for the bookshop, whoever serves it: tests against plain HTTP, which do not change while the
// shop moves.
package shoptest

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stella-ops/router/examples/migration/books"
)

// Key is what the staff of the shop under test sends.
const Key = "correct horse battery staple"

// Shelf is what the shop under test begins with.
func Shelf() *books.Store {
	return books.NewStore(
		books.Book{ISBN: "9780131103627", Title: "The C Programming Language", Author: "Kernighan, Ritchie", Cents: 6499},
		books.Book{ISBN: "9780134190440", Title: "The Go Programming Language", Author: "Donovan, Kernighan", Cents: 3999},
	)
}

// Run tests the shop at a URL, which has the Shelf and takes the Key.
func Run(t *testing.T, url string) {
	t.Helper()
	s := shop{t, url}
	t.Run("health", s.health)
	t.Run("books", s.books)
	t.Run("staff", s.staff)
	t.Run("add and remove", s.addAndRemove)
	t.Run("covers", s.covers)
	t.Run("events", s.events)
	t.Run("nothing there", s.nothingThere)
}

type shop struct {
	t   *testing.T
	url string
}

// call sends a request and expects a status.
func (s shop) call(t *testing.T, method, path string, body io.Reader, want int, header ...string) (string, http.Header) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, method, s.url+path, body)
	if err != nil {
		t.Fatal(err)
	}
	for pair := range slices.Chunk(header, 2) {
		r.Header.Set(pair[0], pair[1])
	}
	a, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = a.Body.Close() }()
	text, err := io.ReadAll(a.Body)
	if err != nil {
		t.Fatal(err)
	}
	if a.StatusCode != want {
		t.Fatalf("%s %s: status %d, want %d: %s", method, path, a.StatusCode, want, text)
	}
	return string(text), a.Header
}

func (s shop) list(t *testing.T, query string) []string {
	t.Helper()
	text, _ := s.call(t, http.MethodGet, "/books"+query, nil, http.StatusOK)
	var all []books.Book
	if err := json.Unmarshal([]byte(text), &all); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	found := []string{}
	for _, b := range all {
		found = append(found, b.ISBN)
	}
	return found
}

func equal(t *testing.T, got, want any) {
	t.Helper()
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func (s shop) health(t *testing.T) {
	text, header := s.call(t, http.MethodGet, "/health", nil, http.StatusOK)
	equal(t, strings.TrimSpace(text), `{"status":"ok"}`)
	equal(t, header.Get("X-Shop"), "bookshop")
}

func (s shop) books(t *testing.T) {
	equal(t, s.list(t, ""), []string{"9780131103627", "9780134190440"})
	equal(t, s.list(t, "?q=go"), []string{"9780134190440"})
	equal(t, s.list(t, "?q=kernighan"), []string{"9780131103627", "9780134190440"})
	equal(t, s.list(t, "?q=java"), []string{})
	text, header := s.call(t, http.MethodGet, "/books/9780134190440", nil, http.StatusOK)
	equal(t, strings.TrimSpace(text), `{"isbn":"9780134190440","title":"The Go Programming Language","author":"Donovan, Kernighan","cents":3999}`)
	equal(t, header.Get("Content-Type"), "application/json")
	s.call(t, http.MethodGet, "/books/0", nil, http.StatusNotFound)
}

func (s shop) staff(t *testing.T) {
	for _, key := range []string{"", "wrong"} {
		s.call(t, http.MethodPost, "/books", strings.NewReader(`{"isbn":"1","title":"a"}`), http.StatusUnauthorized, "X-Api-Key", key)
		s.call(t, http.MethodDelete, "/books/9780134190440", nil, http.StatusUnauthorized, "X-Api-Key", key)
		s.call(t, http.MethodPut, "/books/9780134190440/cover", strings.NewReader("x"), http.StatusUnauthorized, "X-Api-Key", key)
	}
	equal(t, len(s.list(t, "")), 2)
}

func (s shop) addAndRemove(t *testing.T) {
	text, header := s.call(t, http.MethodPost, "/books", strings.NewReader(`{"isbn":"1","title":"One","author":"A","cents":100}`), http.StatusCreated,
		"X-Api-Key", Key, "Content-Type", "application/json")
	equal(t, strings.TrimSpace(text), `{"isbn":"1","title":"One","author":"A","cents":100}`)
	equal(t, header.Get("Location"), "/books/1")
	s.call(t, http.MethodPost, "/books", strings.NewReader(`{"isbn":"1","title":"One"}`), http.StatusConflict, "X-Api-Key", Key, "Content-Type", "application/json")
	s.call(t, http.MethodPost, "/books", strings.NewReader(`{"title":"none"}`), http.StatusUnprocessableEntity, "X-Api-Key", Key, "Content-Type", "application/json")
	s.call(t, http.MethodPost, "/books", strings.NewReader(`{`), http.StatusBadRequest, "X-Api-Key", Key, "Content-Type", "application/json")
	text, _ = s.call(t, http.MethodDelete, "/books/1", nil, http.StatusNoContent, "X-Api-Key", Key)
	equal(t, text, "")
	s.call(t, http.MethodDelete, "/books/1", nil, http.StatusNotFound, "X-Api-Key", Key)
}

func (s shop) covers(t *testing.T) {
	s.call(t, http.MethodGet, "/books/9780134190440/cover", nil, http.StatusNotFound)
	picture := bytes.Repeat([]byte("\x89PNG\x00\xff"), 200_000)
	s.call(t, http.MethodPut, "/books/9780134190440/cover", bytes.NewReader(picture), http.StatusNoContent, "X-Api-Key", Key)
	got, header := s.call(t, http.MethodGet, "/books/9780134190440/cover", nil, http.StatusOK)
	if got != string(picture) {
		t.Errorf("the cover has %d bytes, or others than the %d that were sent", len(got), len(picture))
	}
	equal(t, header.Get("Content-Type"), "image/png")
	s.call(t, http.MethodPut, "/books/0/cover", strings.NewReader("x"), http.StatusNotFound, "X-Api-Key", Key)
	s.call(t, http.MethodPut, "/books/9780134190440/cover", bytes.NewReader(make([]byte, 9<<20)), http.StatusRequestEntityTooLarge, "X-Api-Key", Key)
}

func (s shop) events(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url+"/books/added", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Accept", "text/event-stream")
	a, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = a.Body.Close() }()
	equal(t, a.StatusCode, http.StatusOK)
	equal(t, a.Header.Get("Content-Type"), "text/event-stream")
	s.call(t, http.MethodPost, "/books", strings.NewReader(`{"isbn":"2","title":"Two"}`), http.StatusCreated, "X-Api-Key", Key, "Content-Type", "application/json")
	lines := bufio.NewScanner(a.Body)
	for lines.Scan() {
		if text, ok := strings.CutPrefix(lines.Text(), "data: "); ok {
			equal(t, text, `{"isbn":"2","title":"Two","author":"","cents":0}`)
			s.call(t, http.MethodDelete, "/books/2", nil, http.StatusNoContent, "X-Api-Key", Key)
			return
		}
	}
	t.Fatalf("no event came: %v", lines.Err())
}

func (s shop) nothingThere(t *testing.T) {
	s.call(t, http.MethodGet, "/nothing", nil, http.StatusNotFound)
	s.call(t, http.MethodPatch, "/books", nil, http.StatusMethodNotAllowed)
}
