package stella

import (
	"context"
	"iter"
	"sync"
	"time"
)

// sequenceSilence is how long a sequence may be silent until the head of its answer leaves without an item. It is long
// enough for a sequence that fails at once to be answered with a problem, and short enough that nobody who watches
// thinks of a hung server.
const sequenceSilence = 100 * time.Millisecond

// keepAlive is how long an event stream may be silent until it gets a comment, so that no proxy takes it for dead. NDJSON
// has none, because it has no comments.
const keepAlive = 15 * time.Second

// sequenceFormat is how a sequence is written: the texts before and after an item, and those of the error that
// ends it.
type sequenceFormat struct {
	mediaType                string
	before, after            string
	beforeError, behindError string
	comment                  string // empty: it has none
}

var (
	ndjson      = sequenceFormat{"application/x-ndjson", "", "\n", `{"error":`, "}\n", ""}
	eventStream = sequenceFormat{"text/event-stream", "data: ", "\n\n", "event: error\ndata: ", "\n\n", ":\n\n"}
)

// SendSequence answers with every item of seq as JSON, each sent as soon as it comes. It must be the whole answer. A
// nil sequence is empty.
//
// The Accept header (RFC 9110, section 12.5.1) chooses the format: text/event-stream, one event with a line of data
// for each item, or application/x-ndjson, one line for each. Equal wishes, */* and no wish at all get NDJSON: what
// reads events as such, like EventSource in a browser, always says so, and everything else, like curl, is served better
// by plain JSON. A caller who takes neither gets 406 with code not_acceptable, and seq is not ranged; use
// [AcceptsSequence] to know before there is a seq.
//
// It ranges seq once, on the goroutine of the caller, and not at all for HEAD. Hence a sequence takes what it has to
// give back, such as a subscription, while it is ranged, not before. It must end when its context ends; once the caller
// has left, the next yield returns false.
//
// The head leaves with the first item, or after 100 ms without one. An error, or a panic, before that is answered like
// any other. A later error becomes the last item: an event of type error, or a line {"error": ...}, with the problem
// that the error would have been; then the answer is broken off, so that nobody takes it for whole. Items that cannot
// be encoded are such errors, too. The error that SendSequence returns is for the handler to return.
//
// The endpoint's timeout bounds the time to the head; from then on its idle time bounds the silence between items. An
// event stream is never silent for longer than 15 s: then it gets a comment, which counts as an item does.
func SendSequence[T any](r *Request, w *Response, status int, seq iter.Seq2[T, error]) error {
	s, err := newSequence(r, w, status)
	if err != nil || seq == nil {
		return err
	}
	if w.bodiless {
		return w.Flush() // nothing of what a caller of HEAD wants depends on the items
	}
	s.begin()
	defer s.end()
	for item, err := range seq {
		if !s.send("", &item, err) {
			break
		}
	}
	return s.err
}

// sequence is the answer of one sequence. The handler's goroutine owns it; a timer's goroutine sends the head, and then
// comments, while that one waits for an item.
type sequence struct {
	ctx    context.Context //nolint:containedctx // the call's, for as long as the call lasts
	id     string          // the request's
	format *sequenceFormat
	err    error // what broke it off
	timer  *time.Timer

	mu   sync.Mutex
	w    *Response // guarded by mu from begin to end
	over bool      // w is the handler's alone again
}

func newSequence(r *Request, w *Response, status int) (*sequence, error) {
	if err := w.untouched(); err != nil {
		return nil, err
	}
	format, err := acceptedFormat(r)
	if err != nil {
		return nil, err
	}
	w.header.Set(contentType, format.mediaType)
	w.header.Set("Cache-Control", "no-cache") // a stream tells of now, in either format
	w.header.Add("Vary", "Accept")
	w.WriteHeader(status)
	return &sequence{ctx: w.to.Context(), id: r.ID, format: format, w: w}, nil
}

// begin has the head, and comments, sent after a silence.
func (s *sequence) begin() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.timer = time.AfterFunc(sequenceSilence, s.breakSilence)
}

// breakSilence sends the head, or a comment. Where it fails, so does whatever the handler's goroutine does next with w.
func (s *sequence) breakSilence() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.over || s.w.ended {
		return
	}
	if s.w.begun {
		if _, err := s.w.Write([]byte(s.format.comment)); err != nil {
			return
		}
	}
	if err := s.w.Flush(); err == nil {
		s.awaitSilence()
	}
}

// awaitSilence has the timer run again.
func (s *sequence) awaitSilence() {
	if s.format.comment != "" {
		s.timer.Reset(keepAlive)
	}
}

// end takes w back from the timer.
func (s *sequence) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.over = true
	s.timer.Stop()
}

// send sends an item behind lines of its own, or the error that takes the place of all further ones. It reports whether
// there may be more.
func (s *sequence) send(lines string, item any, err error) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.timer.Stop()
	if s.err = s.pass(lines, item, err); s.err != nil {
		return false
	}
	s.awaitSilence()
	return true
}

func (s *sequence) pass(lines string, item any, err error) error {
	if s.ctx.Err() != nil {
		return context.Cause(s.ctx)
	}
	if err == nil {
		err = s.w.part(lines+s.format.before, item, s.format.after)
	}
	if err == nil {
		return s.w.Flush()
	}
	if !s.w.begun { // nothing has left: the error is the answer
		return err
	}
	if s.w.part(s.format.beforeError, s.w.errorOf(err).problem(s.id), s.format.behindError) == nil {
		_ = s.w.Flush() // err is what counts, and breaks the answer off
	}
	return err
}
