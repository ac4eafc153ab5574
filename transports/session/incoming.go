package session

import (
	"context"
	"errors"
	"io"
	"runtime"
	"time"

	"github.com/stella-ops/router/spec"
	"github.com/stella-ops/router/transports"
)

// Incoming is the service's end of one call. Serve owns it until it returns; Cancel may be called by anybody.
type Incoming struct {
	stream
	s       *Service
	during  callContext
	frame   *transports.Frame // the REQUEST, whose inline body may be read until Serve returns
	request spec.Request
	inline  []byte // of the inline body, what Read has not taken yet

	// Guarded by stream.mu.
	head bool // RESPONSE was sent
	slot bool // counts against the lease: until the final frame is about to leave, after which the gateway may use
	// the slot again at once, whether or not Serve has returned
}

func newIncoming(s *Service, f *transports.Frame, h spec.Header) *Incoming {
	c := &Incoming{s: s, frame: f, inline: f.Body(), slot: true}
	c.init(&s.core, c, h.Stream, spec.TypeResponseStreamData, s.cfg.Hello.StreamWindow, s.welcome.StreamWindow)
	c.recv.ended = h.Flags&spec.FlagEnd != 0
	c.ctx = &c.during
	c.ctx.init(time.Duration(h.Aux) * time.Millisecond)
	return c
}

// Context ends when the call is cancelled, its deadline passes, or the session dies, each with an *[Error] or one
// that wraps [ErrClosed] as its cause; and when Serve has returned. The deadline holds until the response head.
func (c *Incoming) Context() context.Context { return c.ctx }

// Request is the call's metadata. It stays valid.
func (c *Incoming) Request() *spec.Request { return &c.request }

// Inline is the part of the body that came with REQUEST and has not been read; whole tells that nothing follows.
// It is valid until Serve returns and must not be written to.
func (c *Incoming) Inline() (body []byte, whole bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.inline, c.recv.ended && len(c.recv.queue) == 0
}

// Read reads the request body: first what came with REQUEST, then the stream. [io.EOF] is its end.
func (c *Incoming) Read(p []byte) (int, error) {
	if n := c.readInline(p); n > 0 {
		return n, nil
	}
	if len(p) == 0 {
		return 0, nil
	}
	for {
		n, ok, late, err := c.readQueue(p)
		if n > 0 {
			c.returnCredit(n)
			return n, nil
		}
		if err != nil {
			c.tellReaders()
			return 0, err
		}
		if !ok {
			if err := c.wait(c.awaitRecv(), late); err != nil {
				return 0, err
			}
		}
	}
}

// tellReaders passes on the signal of an end to whoever else reads: it wakes one.
func (c *Incoming) tellReaders() {
	c.mu.Lock()
	defer c.mu.Unlock()
	signal(c.recv.wake)
}

func (c *Incoming) readInline(p []byte) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := copy(p, c.inline)
	c.inline = c.inline[n:]
	return n
}

// readQueue copies from the first frame that is queued; ok is false when there is none, and then late is what bounds the
// wait for it.
func (c *Incoming) readQueue(p []byte) (n int, ok bool, late <-chan struct{}, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	late = c.readLate()
	switch {
	case c.err != nil:
		return 0, false, nil, c.err
	case late != nil && passed(late) != nil: // as connections have it, whatever has come
		return 0, false, nil, passed(late)
	case len(c.recv.queue) == 0 && c.recv.ended:
		return 0, false, nil, io.EOF
	case len(c.recv.queue) == 0:
		return 0, false, late, nil
	}
	f := c.recv.queue[0]
	n = copy(p, f.Body()[c.recv.offset:])
	if c.recv.offset += n; c.recv.offset == len(f.Body()) {
		rest := copy(c.recv.queue, c.recv.queue[1:])
		c.recv.queue[rest] = nil
		c.recv.queue, c.recv.offset = c.recv.queue[:rest], 0
		f.Release()
	}
	return n, true, nil, nil
}

// Respond sends a whole answer. It copies body, and fills in a ContentLength of -1.
func (c *Incoming) Respond(r *spec.Response, body []byte) error {
	if r.ContentLength < 0 {
		r.ContentLength = int64(len(body))
	}
	if len(body) > spec.MaxInlineBody {
		if err := c.Head(r); err != nil {
			return err
		}
		if _, err := c.Write(body); err != nil {
			return err
		}
		return c.End()
	}
	flags := spec.FlagEnd
	if len(body) > 0 {
		flags |= spec.FlagInlineBody
	}
	return c.respond(r, flags, body)
}

// Head begins a streamed answer and lifts the call's deadline: from here the gateway times the stream.
func (c *Incoming) Head(r *spec.Response) error { return c.respond(r, 0, nil) }

// headRoom is a guess at the size of RESPONSE metadata, in bytes. A wrong one costs a copy.
const headRoom = 240

func (c *Incoming) respond(r *spec.Response, flags spec.Flags, body []byte) error {
	f := transports.NewFrame(headRoom + len(body))
	b := r.AppendTo(f.Bytes())
	meta := len(b) - spec.HeaderSize
	f.SetBytes(append(b, body...))
	if meta > spec.MaxMetadata || len(r.Header) > spec.MaxFields {
		f.Release()
		return errMetadata
	}
	if err := c.s.carries(len(b)-spec.HeaderSize+len(body), flags); err != nil {
		f.Release()
		c.Cancel(spec.CodeTooLarge, err.Error())
		return err
	}
	c.mu.Lock()
	var err error
	switch {
	case c.err != nil:
		err = c.err
	case c.head:
		err = errHead
	}
	if err != nil {
		c.mu.Unlock()
		f.Release()
		return err
	}
	c.head = true
	if flags&spec.FlagEnd != 0 {
		c.send.ended = true
		c.freeSlot()
	} else {
		c.ctx.lift()
	}
	f.Seal(spec.TypeResponse, flags, c.id, 0, meta)
	mine, err := c.w.push(f, nil) // under mu: data and CANCEL of other goroutines come after it
	c.mu.Unlock()
	c.w.flush(mine, false)
	return err
}

// Write sends a part of a streamed answer, and waits for the credit that it needs.
func (c *Incoming) Write(p []byte) (int, error) {
	sent := 0
	for sent < len(p) {
		n, err := c.acquire(len(p) - sent)
		if err != nil {
			return sent, err
		}
		f := transports.NewFrame(n)
		f.SetBytes(append(f.Bytes(), p[sent:sent+n]...))
		if err := c.sendData(f, n, false); err != nil {
			return sent, err
		}
		sent += n
	}
	return sent, nil
}

// ReadFrom sends what src has, reading it straight into frames.
func (c *Incoming) ReadFrom(src io.Reader) (int64, error) {
	var sent int64
	for {
		got, err := c.acquire(spec.MaxChunk)
		if err != nil {
			return sent, err
		}
		f := transports.NewFrame(got)
		b := f.Bytes()
		n, err := src.Read(b[len(b) : len(b)+got])
		f.SetBytes(b[:len(b)+n])
		if n == 0 {
			c.giveBack(got)
			f.Release()
		} else if err := c.sendData(f, got, false); err != nil {
			return sent, err
		}
		sent += int64(n)
		if err == io.EOF { //nolint:errorlint // io.Reader returns it bare
			return sent, nil
		}
		if err != nil {
			return sent, err
		}
	}
}

// End ends a streamed answer. A second End does nothing.
func (c *Incoming) End() error {
	mine, err := c.pushEnd()
	c.w.flush(mine, false)
	return err
}

func (c *Incoming) pushEnd() (mine bool, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.err != nil:
		return false, c.err
	case !c.head:
		return false, errNoHead
	case c.send.ended:
		return false, nil
	}
	c.freeSlot()
	return c.pushData(transports.NewFrame(0), 0, true) // needs no credit, and so does not wait for any
}

// Cancel fails the call. Before the response head the gateway answers with an error of its own; afterwards it
// breaks the answer off. A call that has ended stays as it is.
func (c *Incoming) Cancel(code spec.Code, why string) {
	c.mu.Lock()
	if c.err != nil || c.send.ended {
		c.mu.Unlock()
		return
	}
	e := &Error{Code: code, Reason: why}
	c.end(e)
	c.mu.Unlock()
	c.ctx.end(e)
	_ = c.w.send(c.cancelFrame(code, why)) // fails with the session, and then there is nobody to tell
}

// Leave tells the gateway, once the answer has ended, that no more of the request is read. Before that, and when the
// request has ended, it does nothing. A call whose Serve has returned is left.
func (c *Incoming) Leave() {
	c.mu.Lock()
	if !c.send.ended || c.recv.ended || c.err != nil {
		c.mu.Unlock()
		return
	}
	c.end(errEnded)
	c.mu.Unlock()
	_ = c.w.send(c.cancelFrame(spec.CodeNoError, "")) // fails with the session, and then there is nobody to tell
}

// end marks both halves as over. The caller holds mu and has the final frame sent.
func (c *Incoming) end(err error) {
	c.err = err
	c.send.ended, c.recv.ended = true, true
	c.freeSlot()
	c.drop()
	c.wakeAll()
}

// freeSlot gives the call's slot of the lease back. The caller holds mu.
func (c *Incoming) freeSlot() {
	if c.slot {
		c.slot = false
		c.s.slots.Add(-1)
	}
}

// serve decodes the request, runs Serve, and leaves the call ended whatever Serve did.
func (c *Incoming) serve() {
	if err := c.request.Decode(c.frame.Meta()); err != nil {
		c.Cancel(spec.CodeProtocol, err.Error())
	} else {
		c.s.cfg.Serve(c)
	}
	c.finish()
	c.ctx.end(context.Canceled)
	c.mu.Lock()
	if c.late != nil { // their timers end
		c.late.read.set(time.Time{})
		c.late.write.set(time.Time{})
	}
	c.inline = nil // whoever reads on after Serve has returned must not see the next holder's bytes
	c.mu.Unlock()
	c.s.forget(c)
	c.frame.Release()
}

// finish sends the call's final frame if Serve has not: CANCEL for an answer that was not given or not ended, and as
// the confirmation of the gateway's own; after an answer that left the request open, CANCEL(NO_ERROR).
func (c *Incoming) finish() {
	c.mu.Lock()
	code, why := spec.CodeNoError, ""
	switch {
	case !c.send.ended && c.err == nil:
		code, why = spec.CodeInternal, "the service gave no answer"
		if e, ok := errors.AsType[*Error](context.Cause(c.ctx)); ok {
			code, why = e.Code, e.Reason
		}
	case c.send.ended && c.recv.ended:
		c.drop()
		c.mu.Unlock()
		return
	}
	c.end(errEnded)
	c.mu.Unlock()
	_ = c.w.send(c.cancelFrame(code, why))
}

// handle takes over a frame of this call. It runs on the reading goroutine.
func (c *Incoming) handle(f *transports.Frame, h spec.Header) error {
	switch h.Type {
	case spec.TypeRequestStreamData:
		flow, err := c.receive(f, h)
		if flow {
			c.overrun()
		}
		return err
	case spec.TypeTrailers:
		return c.onTrailers(f, h)
	case spec.TypeCredit:
		f.Release()
		return c.granted(h.Aux)
	default: // CANCEL
		e := &Error{Code: spec.Code(h.Aux), Reason: string(f.Meta()), Remote: true}
		f.Release()
		if !c.s.received.spend() {
			return errCancels
		}
		c.mu.Lock()
		open := c.err == nil && !c.send.ended
		reads := c.err == nil && !c.recv.ended // though it has answered: END is half-close
		c.recv.ended = true
		if open || reads { // our final frame, which confirms, leaves when Serve has returned
			c.err = e
			c.drop()
			c.wakeAll()
			c.ctx.end(e)
		}
		c.mu.Unlock()
		if open {
			runtime.Gosched() // the handler runs now, and not when the link has been asked for more or another thread is awake
		}
		return nil
	}
}

// overrun ends the call because the gateway has sent more than its credit. It runs on the reading goroutine.
func (c *Incoming) overrun() {
	c.giveUp(&Error{Code: spec.CodeFlow, Reason: "the gateway overran its credit"})
}

// slow ends the call because its handler has stalled and the memory is spent. It may run on any session's reading
// goroutine.
func (c *Incoming) slow() { c.giveUp(errSlow) }

// giveUp ends the call because of its body. It may run on a reading goroutine.
func (c *Incoming) giveUp(e *Error) {
	c.mu.Lock()
	if c.err != nil { // ended by the handler meanwhile
		c.mu.Unlock()
		return
	}
	code, silent := e.Code, c.send.ended && c.recv.ended
	if c.send.ended { // the answer stands; the body is not wanted any more
		code = spec.CodeNoError
	}
	c.end(e)
	c.mu.Unlock()
	c.ctx.end(e)
	if !silent {
		c.w.enqueue(c.cancelFrame(code, e.Reason))
	}
}

// lost ends the call: its session is dead.
func (c *Incoming) lost(err error) {
	c.mu.Lock()
	if c.err == nil {
		c.end(err)
	}
	c.mu.Unlock()
	c.ctx.end(err)
}
