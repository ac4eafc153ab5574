package billing

import (
	"slices"
	"strings"
	"sync"
	"time"
)

// invoices are all invoices, in the order in which they were created. The zero value is ready. What its methods return
// is the caller's own: nothing in it changes later.
type invoices struct {
	mu    sync.RWMutex
	list  []Invoice
	index map[string]int // by id, into list

	watchers watchers
}

func (s *invoices) add(inv Invoice) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.index == nil {
		s.index = map[string]int{}
	}
	s.index[inv.ID] = len(s.list)
	s.list = append(s.list, inv)
}

func (s *invoices) get(id string) (Invoice, bool) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	i, ok := s.index[id]
	if !ok {
		return Invoice{}, false
	}
	return s.list[i], true
}

func (s *invoices) status() Status {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return Status{Invoices: len(s.list), Watchers: s.watchers.count}
}

func (s *invoices) all() []Invoice {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return slices.Clone(s.list)
}

// watch tells what has happened to an invoice so far, oldest first, and makes a watcher of what happens from now on:
// nothing is missed between the two, and nothing told twice. The watcher is to be given back to unwatch.
func (s *invoices) watch(id string) ([]Event, *watcher) {
	s.mu.Lock()
	defer s.mu.Unlock()
	inv := &s.list[s.index[id]] // the caller has found it, and none is ever removed
	past := []Event{{Type: EventCreated, Invoice: id, At: inv.CreatedAt}}
	for _, a := range inv.Attachments {
		past = append(past, attached(id, a))
	}
	slices.SortStableFunc(past, func(a, b Event) int { return a.At.Compare(b.At) })
	return past, s.watchers.add(id)
}

func attached(id string, a Attachment) Event {
	return Event{Type: EventAttached, Invoice: id, At: a.at, Attachment: &a}
}

func (s *invoices) unwatch(id string, w *watcher) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.watchers.remove(id, w)
}

func (s *invoices) endWatches() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.watchers.end()
}

// page lists up to limit invoices of a customer (of all, if that is empty) that were created after another one (from
// the first, if that is empty). It reports false if there is no such other one.
func (s *invoices) page(customer, after string, limit int) (*InvoicePage, bool) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	start := 0
	if after != "" {
		i, ok := s.index[after]
		if !ok {
			return nil, false
		}
		start = i + 1
	}
	page := &InvoicePage{Invoices: []Invoice{}}
	for _, inv := range s.list[start:] {
		if customer != "" && inv.Customer != customer {
			continue
		}
		if len(page.Invoices) == limit {
			page.Next = page.Invoices[limit-1].ID
			break
		}
		page.Invoices = append(page.Invoices, inv)
	}
	return page, true
}

// attach notes an attachment once commit has put its file in place; both happen or none, and nobody sees one without
// the other. It reports whether the attachment is new.
func (s *invoices) attach(id string, a Attachment, commit func() error) (added bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	i, ok := s.index[id]
	if !ok {
		return false, UnknownInvoiceError{id}
	}
	if err := commit(); err != nil {
		return false, err
	}
	a.at = time.Now().UTC()
	old := s.list[i].Attachments
	at, found := slices.BinarySearchFunc(old, a.Name, func(a Attachment, name string) int { return strings.Compare(a.Name, name) })
	list := slices.Clone(old) // those who read the invoice before keep theirs
	if found {
		list[at] = a
	} else {
		list = slices.Insert(list, at, a)
	}
	s.list[i].Attachments = list
	s.watchers.publish(attached(id, a))
	return !found, nil
}

// attachment finds an attachment and calls open for its file, which cannot be replaced meanwhile.
func (s *invoices) attachment(id, name string, open func() error) (Attachment, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	i, ok := s.index[id]
	if !ok {
		return Attachment{}, UnknownInvoiceError{id}
	}
	list := s.list[i].Attachments
	at, ok := slices.BinarySearchFunc(list, name, func(a Attachment, name string) int { return strings.Compare(a.Name, name) })
	if !ok {
		return Attachment{}, UnknownAttachmentError{id, name}
	}
	return list[at], open()
}
