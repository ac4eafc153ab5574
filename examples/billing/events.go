package billing

import (
	"context"
	"iter"
	"slices"
	"time"
)

// EventType is what has happened.
type EventType string

// Types of events.
const (
	EventCreated  EventType = "created"  // the invoice is there
	EventAttached EventType = "attached" // a file has been attached, or replaced
)

// Event is something that happened to an invoice.
type Event struct {
	Type       EventType   `json:"type"`
	Invoice    string      `json:"invoice"`
	At         time.Time   `json:"at"`
	Attachment *Attachment `json:"attachment,omitempty"` // what was attached
}

// Watch follows an invoice until the caller leaves or the service stops: what has happened to it, then what happens. A
// caller who does not keep up is told so by a last event with the code slow_watcher, and may begin anew.
//
//stella:endpoint GET /invoices/{id}/events idle=1h errors=UnknownInvoiceError:404,SlowWatcherError:503
//stella:claim scope billing:read
func (s *Service) Watch(ctx context.Context, in *GetInvoiceRequest) (iter.Seq2[Event, error], error) {
	if _, ok := s.invoices.get(in.ID); !ok {
		return nil, UnknownInvoiceError{in.ID}
	}
	return func(yield func(Event, error) bool) {
		past, w := s.invoices.watch(in.ID) // here, so that what ends the range gives it back
		defer s.invoices.unwatch(in.ID, w)
		for _, e := range past {
			if !yield(e, nil) {
				return
			}
		}
		for {
			select {
			case <-ctx.Done():
				yield(Event{}, context.Cause(ctx))
				return
			case e, more := <-w.events:
				switch {
				case more:
					if !yield(e, nil) {
						return
					}
				case w.slow:
					yield(Event{}, SlowWatcherError{})
					return
				default:
					return
				}
			}
		}
	}, nil
}

// SlowWatcherError ends the events of a caller who does not keep up.
type SlowWatcherError struct{}

func (SlowWatcherError) Error() string { return "The caller took the events too slowly: watch again." }

// EndWatches ends every Watch, also those to come, so that a service that stops need not wait for its callers to leave.
func (s *Service) EndWatches() { s.invoices.endWatches() }

// watchQueue is how many events a watcher may be behind. What callers do not take piles up nowhere else: the session
// holds an answer back until they do.
const watchQueue = 16

// watcher is one who follows an invoice.
type watcher struct {
	events chan Event
	slow   bool // set before events is closed: the queue was full
}

// watchers are all of them. The zero value is ready; the store's lock guards it.
type watchers struct {
	of    map[string][]*watcher // by invoice
	count int
	ended bool
}

func (ws *watchers) add(id string) *watcher {
	w := &watcher{events: make(chan Event, watchQueue)}
	if ws.ended {
		close(w.events)
		return w
	}
	if ws.of == nil {
		ws.of = map[string][]*watcher{}
	}
	ws.of[id] = append(ws.of[id], w)
	ws.count++
	return w
}

// remove forgets a watcher, if it is still known.
func (ws *watchers) remove(id string, w *watcher) {
	list := slices.DeleteFunc(ws.of[id], func(other *watcher) bool { return other == w })
	ws.count -= len(ws.of[id]) - len(list)
	if len(list) == 0 {
		delete(ws.of, id)
		return
	}
	ws.of[id] = list
}

// publish never waits: a watcher without room for the event is cut off.
func (ws *watchers) publish(e Event) {
	for _, w := range slices.Clone(ws.of[e.Invoice]) {
		select {
		case w.events <- e:
		default:
			w.slow = true
			close(w.events)
			ws.remove(e.Invoice, w)
		}
	}
}

func (ws *watchers) end() {
	ws.ended = true
	for _, list := range ws.of {
		for _, w := range list {
			close(w.events)
		}
	}
	ws.of, ws.count = nil, 0
}
