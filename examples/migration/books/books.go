// Package books is what the bookshop knows of books, whichever way requests come in.
package books

import (
	"cmp"
	"errors"
	"maps"
	"slices"
	"strings"
	"sync"
)

// Book is one title.
type Book struct {
	ISBN   string `json:"isbn"`
	Title  string `json:"title"`
	Author string `json:"author"`
	Cents  int    `json:"cents"`
}

// Why something is refused.
var (
	ErrUnknown = errors.New("there is no such book")
	ErrExists  = errors.New("there is such a book already")
	ErrInvalid = errors.New("a book needs an isbn, a title, and a price that is not negative")
)

// Store keeps books in memory. Its methods may be called concurrently.
type Store struct {
	mu     sync.RWMutex
	books  map[string]Book
	covers map[string][]byte
	added  map[chan Book]struct{}
}

// NewStore returns a store with these books.
func NewStore(all ...Book) *Store {
	s := &Store{books: map[string]Book{}, covers: map[string][]byte{}, added: map[chan Book]struct{}{}}
	for _, b := range all {
		s.books[b.ISBN] = b
	}
	return s
}

// Find lists the books whose title or author has the word, by ISBN; all for an empty word.
func (s *Store) Find(word string) []Book {
	s.mu.RLock()
	defer s.mu.RUnlock()
	word = strings.ToLower(word)
	found := []Book{}
	for _, b := range slices.SortedFunc(maps.Values(s.books), func(a, b Book) int { return cmp.Compare(a.ISBN, b.ISBN) }) {
		if strings.Contains(strings.ToLower(b.Title+" "+b.Author), word) {
			found = append(found, b)
		}
	}
	return found
}

// Get finds one by ISBN.
func (s *Store) Get(isbn string) (Book, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	b, ok := s.books[isbn]
	if !ok {
		return Book{}, ErrUnknown
	}
	return b, nil
}

// Add stores a new book, and tells those who follow.
func (s *Store) Add(b Book) error {
	if b.ISBN == "" || b.Title == "" || b.Cents < 0 {
		return ErrInvalid
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.books[b.ISBN]; ok {
		return ErrExists
	}
	s.books[b.ISBN] = b
	for c := range s.added {
		select {
		case c <- b:
		default: // it does not keep up
		}
	}
	return nil
}

// Remove forgets one.
func (s *Store) Remove(isbn string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.books[isbn]; !ok {
		return ErrUnknown
	}
	delete(s.books, isbn)
	delete(s.covers, isbn)
	return nil
}

// SetCover stores the picture of a book's cover.
func (s *Store) SetCover(isbn string, picture []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.books[isbn]; !ok {
		return ErrUnknown
	}
	s.covers[isbn] = picture
	return nil
}

// Cover is the picture of a book's cover.
func (s *Store) Cover(isbn string) ([]byte, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	picture, ok := s.covers[isbn]
	if !ok {
		return nil, ErrUnknown
	}
	return picture, nil
}

// Follow returns what is added from now on, until stop is called.
func (s *Store) Follow() (added <-chan Book, stop func()) {
	c := make(chan Book, 16)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.added[c] = struct{}{}
	return c, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.added, c)
	}
}
