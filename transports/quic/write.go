package quic

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/quic-go/quic-go"

	"github.com/stella-ops/router/spec"
	"github.com/stella-ops/router/transports"
)

// writer is the part of a link that writes.
type writer struct {
	stall   time.Duration // without progress, a write fails
	writing sync.Mutex    // held by whoever writes
	closed  bool          // guarded by writing
	broken  error         // a write has failed; guarded by writing
	left    []*transports.Frame
	done    int                         // bytes of the first frame that is left which were written
	current atomic.Pointer[quic.Stream] // which a write may be waiting for
}

// steps is how often a write that waits is looked at for progress, in the time that it may stall.
const steps = 10

// WriteFrames implements [transports.Link].
func (l *link) WriteFrames(batch []*transports.Frame) error {
	l.writing.Lock()
	defer l.writing.Unlock()
	if len(l.left) > 0 {
		batch = append(l.left, batch...)
		l.left = nil
	}
	var err error
	for _, f := range batch {
		if err == nil {
			err = l.write(f, time.Time{})
		}
		f.Release()
	}
	return err
}

// WriteSome implements [transports.Patient].
func (l *link) WriteSome(batch []*transports.Frame) (left bool, err error) {
	l.writing.Lock()
	defer l.writing.Unlock()
	until := time.Now().Add(transports.Moment)
	if len(l.left) > 0 { // it has waited before, and now has the time that it takes
		until = time.Time{}
		batch = append(l.left, batch...)
		l.left = nil
	}
	for i, f := range batch {
		if err == nil {
			err = l.write(f, until)
			if errors.Is(err, errLater) {
				l.left = append(l.left, batch[i:]...)
				return true, nil
			}
		}
		f.Release()
	}
	return false, err
}

// errLater tells that a write has waited long enough.
var errLater = errors.New("quic: more is to be written")

// write writes what is left of a frame: until the time given, if any, and otherwise until nothing was written for so
// long that the link counts as stalled.
func (l *link) write(f *transports.Frame, until time.Time) error {
	switch {
	case l.closed || l.ctx.Err() != nil:
		return net.ErrClosed
	case l.broken != nil:
		return l.broken
	}
	h := f.Header()
	s, c, err := l.route(h, until)
	if err == nil && s != nil {
		err = l.put(s, f.Bytes(), until)
	}
	if errors.Is(err, errLater) {
		return err // the call stays busy
	}
	l.done = 0
	if c != nil {
		err = l.wrote(c, h, err)
	}
	if err != nil {
		l.broken = l.why(err)
	}
	return l.broken
}

// why is what an error of a write means to the session.
func (l *link) why(err error) error {
	if l.ctx.Err() != nil {
		return net.ErrClosed
	}
	err = cause(err)
	if errors.Is(err, io.EOF) || errors.Is(err, net.ErrClosed) { // the peer has closed the link
		return io.ErrClosedPipe
	}
	return err
}

// route finds the stream for a frame, which is the call's if there is a call, and opens it where the call begins with
// the frame. It is nil for frames that have crossed their call's end.
func (l *link) route(h spec.Header, until time.Time) (*quic.Stream, *call, error) {
	if h.Stream == 0 || h.Type == spec.TypeCredit {
		return l.control, nil, nil
	}
	l.mu.Lock()
	c, over := l.calls[h.Stream], h.Stream <= l.highest
	shut := false
	if c != nil {
		c.busy, shut = true, c.shut
	}
	l.mu.Unlock()
	switch {
	case shut: // all was said but that it is to be cancelled
		return l.control, c, nil
	case c != nil:
		return c.s, c, nil
	case l.accepting && (!over || h.Type == spec.TypeRequest): // a session's ids rise, but its senders may overtake each other
		return l.begin(h.Stream, until)
	case over:
		return nil, nil, nil
	}
	return l.control, nil, nil // about a call that never was: the gateway judges it
}

// begin opens a call's stream.
func (l *link) begin(id uint32, until time.Time) (*quic.Stream, *call, error) {
	s, err := l.conn.OpenStream()
	if errors.As(err, new(*quic.StreamLimitReachedError)) {
		s, err = l.beginLater(until)
	}
	if err != nil {
		return nil, nil, err
	}
	l.mu.Lock()
	c := l.add(id, s)
	c.busy = true
	l.readers++
	l.mu.Unlock()
	l.watch(stream{s, c})
	return s, c, nil
}

// beginLater waits for the peer to let another stream be opened.
func (l *link) beginLater(until time.Time) (*quic.Stream, error) {
	deadline := until
	if until.IsZero() {
		deadline = time.Now().Add(l.stall)
	}
	ctx, cancel := context.WithDeadline(l.ctx, deadline)
	defer cancel()
	s, err := l.conn.OpenStreamSync(ctx)
	switch {
	case err == nil:
		return s, nil
	case !errors.Is(err, context.DeadlineExceeded):
		return nil, fmt.Errorf("quic: a stream for another call: %w", err)
	case !until.IsZero():
		return nil, errLater
	}
	return nil, fmt.Errorf("quic: no stream for another call within %v: %w", l.stall, os.ErrDeadlineExceeded)
}

// put writes what is left of b.
func (l *link) put(s *quic.Stream, b []byte, until time.Time) error {
	l.current.Store(s)
	defer l.current.Store(nil)
	now := time.Now()
	progress := now
	for {
		deadline := until
		if until.IsZero() {
			deadline = now.Add(l.stall / steps)
		}
		_ = s.SetWriteDeadline(deadline) // never fails
		if l.ctx.Err() != nil {          // looked at after the deadline was set: closing sets it, too, to one that has passed
			return net.ErrClosed
		}
		n, err := s.Write(b[l.done:])
		l.done += n
		switch {
		case err == nil:
			return nil
		case !errors.Is(err, os.ErrDeadlineExceeded):
			return fmt.Errorf("quic: write: %w", err)
		case !until.IsZero():
			return errLater
		}
		if now = time.Now(); n > 0 {
			progress = now
		}
		if now.Sub(progress) >= l.stall {
			return fmt.Errorf("quic: write without progress for %v: %w", l.stall, os.ErrDeadlineExceeded)
		}
	}
}

// wrote takes note of a frame that was written, or was not. A peer that reads no more of a call has forgotten it.
func (l *link) wrote(c *call, h spec.Header, err error) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	c.busy = false
	switch {
	case err == nil:
		c.sent = c.sent || final(h)
		if c.sent && l.accepting { // so that the peer has read the request to its end when it has it
			l.shut(c)
		}
	case c.got && refused(err):
		c.sent, err = true, nil
	}
	l.settle(c)
	return err
}

// stop makes pending writes return and refuses others. In order, and then it reports so, it closes every stream behind
// what was written.
func (l *link) stop() bool {
	if s := l.current.Load(); s != nil {
		_ = s.SetWriteDeadline(time.Now())
	}
	l.writing.Lock()
	defer l.writing.Unlock()
	l.closed = true
	for _, f := range l.left {
		f.Release()
	}
	inOrder := l.broken == nil && len(l.left) == 0
	l.left = nil
	if !inOrder {
		return false
	}
	l.mu.Lock()
	for _, c := range l.calls {
		_ = c.s.Close()
	}
	l.mu.Unlock()
	l.control.SetPriority(last, true)
	_ = l.control.Close()
	return true
}
