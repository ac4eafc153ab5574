package session

import (
	"errors"
	"fmt"

	"github.com/stella-ops/router/spec"
	"github.com/stella-ops/router/transports"
)

// PROTOCOL.md, section "Trailers": a half may end with header fields, where both ends have said that they take them.

var (
	// ErrTrailers is what ending a half with trailers wraps that may have none, or not these; nothing of them was sent.
	ErrTrailers = errors.New("session: trailers")

	errTrailersSize    = fmt.Errorf("%w of more than %d bytes or %d fields", ErrTrailers, spec.MaxMetadata, spec.MaxFields)
	errTrailersUpgrade = fmt.Errorf("%w: what follows an upgrade has none", ErrTrailers)
)

// Trailers reports whether the peer takes TRAILERS: HELLO and WELCOME have named the feature, and the link streams bodies.
// Where it does not, bodies end without.
func (c *core) Trailers() bool { return c.trailers }

// agree notes whether both ends take TRAILERS.
func (c *core) agree(both bool) { c.trailers = both && c.traits.Streams }

// trailersFrame is a frame that ends a half with fields, not sealed yet. Its error is that of fields which do not fit.
func trailersFrame(fields []spec.Field) (f *transports.Frame, meta int, err error) {
	if len(fields) > spec.MaxFields {
		return nil, 0, errTrailersSize
	}
	t := spec.Trailers{Fields: fields}
	f = transports.NewFrame(headRoom)
	b := t.AppendTo(f.Bytes())
	f.SetBytes(b)
	if meta = len(b) - spec.HeaderSize; meta > spec.MaxMetadata {
		f.Release()
		return nil, 0, errTrailersSize
	}
	return f, meta, nil
}

// pushTrailers ends the half with a frame of trailersFrame, which it takes over, up to writing, which the caller does if it is
// mine. The caller holds mu and has checked that the half may go on.
func (st *stream) pushTrailers(f *transports.Frame, meta int) (mine bool, err error) {
	st.send.ended = true
	f.Seal(spec.TypeTrailers, spec.FlagEnd, st.id, st.send.sequence, meta)
	st.send.sequence++
	signal(st.send.wake) // whoever waits for credit to send more
	return st.w.push(f, nil)
}

// onTrailers takes over a frame that ends the half of the peer. malformed says that its metadata cannot be read, which ends
// the call; the other error ends the session. It runs on the reading goroutine.
func (st *stream) onTrailers(f *transports.Frame, h spec.Header) (malformed, err error) {
	defer f.Release()
	if !st.core.trailers {
		return nil, protocolError("TRAILERS on stream %d, which HELLO and WELCOME have not agreed on", h.Stream)
	}
	st.mu.Lock()
	defer st.mu.Unlock()
	r := &st.recv
	if st.err != nil || r.ended { // ended by this side, or crossing the end: nobody waits for it
		return nil, nil
	}
	if h.Aux != r.sequence {
		return nil, protocolError("TRAILERS on stream %d has sequence %d, expected %d", h.Stream, h.Aux, r.sequence)
	}
	r.sequence++
	t := new(spec.Trailers)
	if malformed = t.Decode(f.Meta()); malformed == nil {
		r.trailers, r.ended = t, true
		signal(r.wake)
	}
	return malformed, nil
}

// trailersOf are the trailers of the peer's half, once all of its data has been taken: when they came is no concern of whoever
// reads that.
func (st *stream) trailersOf() []spec.Field {
	st.mu.Lock()
	defer st.mu.Unlock()
	if st.recv.trailers == nil || len(st.recv.queue) > 0 {
		return nil
	}
	return st.recv.trailers.Fields
}

// Trailers are the fields that follow the answer's body, at the latest when [Call.Next] has returned [io.EOF]; none as long as
// some of it has to be taken. They stay valid.
func (c *Call) Trailers() []spec.Field { return c.trailersOf() }

// EndWith ends the request body, with fields that follow it if there are any and the service takes them. Errors are those of
// [Call.Send], or wrap [ErrTrailers].
func (c *Call) EndWith(fields []spec.Field) error {
	if len(fields) == 0 || !c.core.trailers {
		return c.Send(transports.NewFrame(0), 0, true)
	}
	f, meta, err := trailersFrame(fields)
	if err != nil {
		return err
	}
	c.mu.Lock()
	var mine bool
	switch {
	case c.err != nil:
		err = c.err
	case c.send.stopped:
		err = ErrStopSending
	case c.send.ended:
		err = errEnded
	}
	if err != nil {
		f.Release()
	} else {
		mine, err = c.pushTrailers(f, meta)
	}
	c.mu.Unlock()
	c.w.flush(mine, false)
	if err == nil {
		c.settle()
	}
	return err
}

// onTrailers ends the answer. It runs on the reading goroutine.
func (c *Call) onTrailers(f *transports.Frame, h spec.Header) error {
	c.mu.Lock()
	early := !c.answered && c.err == nil
	c.mu.Unlock()
	if early {
		f.Release()
		return protocolError("TRAILERS before RESPONSE on stream %d", h.Stream)
	}
	malformed, err := c.stream.onTrailers(f, h)
	if err != nil {
		return err
	}
	if malformed != nil {
		c.spoil(&Error{Code: spec.CodeProtocol, Reason: malformed.Error()})
	}
	c.mu.Lock()
	c.recv.ended = true // also of a cancelled call: its confirmation
	c.mu.Unlock()
	c.settle()
	return nil
}

// spoil ends the call because the end of the answer, which was the service's final frame, cannot be read. What came before it
// still can. It runs on the reading goroutine.
func (c *Call) spoil(e *Error) {
	c.mu.Lock()
	if c.err != nil {
		c.mu.Unlock()
		return
	}
	tell := !c.send.ended
	c.err = e
	c.recv.ended, c.send.ended = true, true
	if tell {
		c.canceled = true
		c.core.counts.cancelSent(e.Code)
	}
	c.wakeAll()
	c.mu.Unlock()
	if tell {
		c.w.enqueue(c.cancelFrame(e.Code, e.Reason))
	}
}

// Trailers are the fields that follow the request's body, at the latest when [Incoming.Read] has returned [io.EOF]; none as long
// as some of it has to be taken from the stream. They stay valid.
func (c *Incoming) Trailers() []spec.Field { return c.trailersOf() }

// RespondWith sends a whole answer, as [Incoming.Respond] does, and then fields that follow its body if there are any and the
// gateway takes them. Where it does, it fills in no ContentLength: a length that is known leaves HTTP/1.1 no room for what
// follows. Errors may wrap [ErrTrailers].
func (c *Incoming) RespondWith(r *spec.Response, body []byte, fields []spec.Field) error {
	if len(fields) == 0 || !c.core.trailers {
		return c.Respond(r, body)
	}
	f, meta, err := c.trailersFrame(fields)
	if err != nil {
		return err
	}
	inline, flags := body, spec.Flags(0)
	if len(body) > spec.MaxInlineBody {
		inline = nil
	}
	if len(inline) > 0 {
		flags = spec.FlagInlineBody
	}
	if err = c.respond(r, flags, inline); err == nil && len(inline) < len(body) {
		_, err = c.Write(body)
	}
	if err != nil {
		f.Release()
		return err
	}
	return c.endWith(f, meta)
}

// EndWith ends a streamed answer, with fields that follow its body if there are any and the gateway takes them. Errors may
// wrap [ErrTrailers].
func (c *Incoming) EndWith(fields []spec.Field) error {
	if len(fields) == 0 || !c.core.trailers {
		return c.End()
	}
	f, meta, err := c.trailersFrame(fields)
	if err != nil {
		return err
	}
	return c.endWith(f, meta)
}

// trailersFrame is trailersFrame where the call may have trailers.
func (c *Incoming) trailersFrame(fields []spec.Field) (f *transports.Frame, meta int, err error) {
	if c.request.Upgrade != "" {
		return nil, 0, errTrailersUpgrade
	}
	return trailersFrame(fields)
}

// endWith takes over a frame of trailersFrame.
func (c *Incoming) endWith(f *transports.Frame, meta int) error {
	c.mu.Lock()
	var err error
	var mine bool
	switch {
	case c.err != nil:
		err = c.err
	case !c.head:
		err = errNoHead
	case c.send.ended:
		err = errEnded
	}
	if err != nil {
		f.Release()
	} else {
		c.freeSlot()
		mine, err = c.pushTrailers(f, meta)
	}
	c.mu.Unlock()
	c.w.flush(mine, false)
	return err
}

// onTrailers ends the request. It runs on the reading goroutine.
func (c *Incoming) onTrailers(f *transports.Frame, h spec.Header) error {
	malformed, err := c.stream.onTrailers(f, h)
	if malformed != nil {
		c.spoil(&Error{Code: spec.CodeProtocol, Reason: malformed.Error()})
	}
	return err
}

// spoil ends the call because the end of the request, which was the gateway's final frame, cannot be read. An answer that is
// whole stands. It runs on the reading goroutine.
func (c *Incoming) spoil(e *Error) {
	c.mu.Lock()
	if c.err != nil {
		c.mu.Unlock()
		return
	}
	tell := !c.send.ended
	c.end(e)
	c.mu.Unlock()
	c.ctx.end(e)
	if tell {
		c.w.enqueue(c.cancelFrame(e.Code, e.Reason))
	}
}
