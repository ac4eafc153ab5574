package stella

import (
	"errors"
	"fmt"
	"iter"
	"strings"
)

// Event is an item of a stream that has an id, a name, or both: a handler that returns iter.Seq2[stella.Event[T], error]
// sends such items. As an event stream they are the lines id and event before the data; as NDJSON they are members of
// the line, {"id":...,"event":...,"data":...}. What is empty is left out.
//
// EventSource in a browser hands the name to the listeners of that event, and comes back after a break with the last id
// in the header Last-Event-ID.
type Event[T any] struct {
	ID   string // of one line
	Name string // of one line; error is the name of what ends a stream that failed
	Data T
}

// namedEvent is an event as a line of NDJSON.
type namedEvent struct {
	ID   string `json:"id,omitempty"`
	Name string `json:"event,omitempty"`
	Data any    `json:"data"`
}

// SendEvents is [SendSequence] for items with an id and a name.
func SendEvents[T any](r *Request, w *Response, status int, seq iter.Seq2[Event[T], error]) error {
	if seq == nil {
		return SendSequence[T](r, w, status, nil)
	}
	s, err := newSequence(r, w, status)
	if err != nil {
		return err
	}
	if w.bodiless {
		return w.Flush()
	}
	s.begin()
	defer s.end()
	for e, err := range seq {
		if !s.sendEvent(namedEvent{e.ID, e.Name, &e.Data}, err) {
			break
		}
	}
	return s.err
}

func (s *sequence) sendEvent(e namedEvent, err error) bool {
	if err != nil || s.format != &eventStream {
		return s.send("", e, err)
	}
	lines, err := e.lines()
	return s.send(lines, e.Data, err)
}

var errEventLine = errors.New("stella: an event's id and name are of one line")

// lines are the lines of an event stream before the data.
func (e namedEvent) lines() (string, error) {
	var b strings.Builder
	for _, field := range []struct{ name, value string }{{"id", e.ID}, {"event", e.Name}} {
		if strings.ContainsAny(field.value, "\r\n\x00") {
			return "", fmt.Errorf("%w: %s is %.40q", errEventLine, field.name, field.value)
		}
		if field.value != "" {
			b.WriteString(field.name + ": " + field.value + "\n")
		}
	}
	return b.String(), nil
}
