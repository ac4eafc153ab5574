package session

import (
	"context"
	"errors"
	"time"

	"github.com/stella-ops/router/spec"
	"github.com/stella-ops/router/transports"
)

// Call is the gateway's end of one call. One goroutine waits for the answer (Head, Next), another may send the
// request body (Acquire, Send); Cancel may be called by any. Whoever started the call closes it, and uses nothing
// of it afterwards.
type Call struct {
	stream
	g       *Gateway
	whole   bool // REQUEST carried END: there is nothing more to send
	timeout time.Duration
	timer   *time.Timer
	head    chan *transports.Frame // one: the RESPONSE, or nil when the call failed before it

	// Guarded by stream.mu.
	answered bool        // head was sent something
	canceled bool        // this end sent CANCEL
	plain    bool        // one frame each way: the reader has let go of it with the answer
	hold     *time.Timer // frees the slot of a cancelled call that nobody confirms
	about    any         // what whoever started it says it is, until it is closed
}

// newCall returns a call that nobody uses, of those that the session has had.
func newCall(g *Gateway) *Call {
	c, _ := g.spare.Get().(*Call)
	if c == nil {
		t := time.NewTimer(time.Hour)
		t.Stop()
		c = &Call{head: make(chan *transports.Frame, 1), timer: t}
	}
	c.g = g
	return c
}

func (c *Call) begin(id uint32, whole bool, timeout time.Duration) {
	c.init(&c.g.core, c, id, spec.TypeRequestStreamData, c.g.cfg.Welcome.StreamWindow, c.g.hello.StreamWindow)
	c.whole, c.timeout = whole, timeout
	c.send.ended = whole
	c.answered, c.canceled, c.plain, c.hold, c.about = false, false, false, nil, nil
}

// Head waits for RESPONSE, which the caller decodes and releases. Its errors: the cause of ctx, where that ended
// first; an *[Error] with code DEADLINE when the timeout passed or the service said so; any other *[Error] as the
// service sent it; or one that wraps [ErrClosed]. However it fails, the call is over.
func (c *Call) Head(ctx context.Context) (*transports.Frame, error) {
	var late <-chan time.Time
	if c.timeout > 0 {
		c.timer.Reset(c.timeout)
		late = c.timer.C
	}
	select {
	case f := <-c.head:
		c.timer.Stop()
		return c.headOr(f)
	case <-ctx.Done():
		c.timer.Stop()
		c.Cancel(spec.CodeClientGone)
		return nil, context.Cause(ctx)
	case <-late:
		select {
		case f := <-c.head: // it came at the last moment
			return c.headOr(f)
		default:
		}
		c.Cancel(spec.CodeDeadline)
		return nil, &Error{Code: spec.CodeDeadline, Reason: "no answer in time"}
	}
}

// Wait waits for what Head waits for, but no longer than d, and leaves it there. It reports whether Head would return at once. The
// time that it takes is the call's, as in Head.
func (c *Call) Wait(ctx context.Context, d time.Duration) bool {
	if c.timeout > 0 && d >= c.timeout {
		return true // then Head has the last word
	}
	c.timer.Reset(d)
	defer c.timer.Stop()
	select {
	case f := <-c.head:
		c.head <- f // it has room: nothing comes twice
	case <-ctx.Done():
	case <-c.timer.C:
		if c.timeout > 0 {
			c.timeout -= d
		}
		return false
	}
	return true
}

func (c *Call) headOr(f *transports.Frame) (*transports.Frame, error) {
	if f != nil {
		return f, nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return nil, c.err
}

// Ended reports whether the answer is whole: nothing follows what has been received.
func (c *Call) Ended() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.recv.ended && len(c.recv.queue) == 0
}

// Next waits for the next part of a streamed answer, which the caller releases; [io.EOF] is its end. idle bounds
// the wait; when it passes, the call is cancelled with IDLE. Errors are those of [Call.Head].
func (c *Call) Next(ctx context.Context, idle time.Duration) (*transports.Frame, error) {
	if f, err := c.pop(); !errors.Is(err, errNothing) {
		return f, err
	}
	c.timer.Reset(idle)
	defer c.timer.Stop()
	wake := c.awaitRecv()
	for {
		select {
		case <-wake:
		case <-ctx.Done():
			c.Cancel(spec.CodeClientGone)
			return nil, context.Cause(ctx)
		case <-c.timer.C:
			c.Cancel(spec.CodeIdle)
			return nil, &Error{Code: spec.CodeIdle, Reason: "the service was silent for " + idle.String()}
		}
		if f, err := c.pop(); !errors.Is(err, errNothing) {
			return f, err
		}
	}
}

// Ready reports whether Next would return at once.
func (c *Call) Ready() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.recv.queue) > 0 || c.recv.ended || c.err != nil
}

// Rest waits, once the answer is whole, until nothing more is to be sent either: the service wants no more, the call is
// over, or done is closed, which whoever sends does at its end.
func (c *Call) Rest(done <-chan struct{}) {
	wake := c.awaitRecv()
	for {
		c.mu.Lock()
		over := c.send.ended || c.err != nil
		c.mu.Unlock()
		if over {
			return
		}
		select {
		case <-wake:
		case <-done:
			return
		}
	}
}

// Failed reports whether the call has ended before both of its halves did.
func (c *Call) Failed() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err != nil
}

// Consumed returns the credit for n bytes of answer that the client has taken.
func (c *Call) Consumed(n int) { c.returnCredit(n) }

// Acquire waits for credit and takes up to want bytes of it, at most [spec.MaxChunk]. [ErrStopSending] means that
// the service wants no more of the body though its answer stands; other errors are those of [Call.Head]. The wait
// ends with the call.
func (c *Call) Acquire(want int) (int, error) { return c.acquire(want) }

// Send takes over f, whose payload is body data for which credit was acquired, and sends it; end says that the
// body is whole now. Credit left over is kept.
func (c *Call) Send(f *transports.Frame, acquired int, end bool) error {
	err := c.sendData(f, acquired, end)
	if end && err == nil {
		c.settle()
	}
	return err
}

// Cancel ends the call with code and wakes everybody who waits on it. A call ends once: afterwards, and after the
// answer and the body have ended, it does nothing.
func (c *Call) Cancel(code spec.Code) {
	c.cancel(code, nil)
}

// cancel sends CANCEL, unless the call has ended. A nil err stands for one with the code, which is made only where it
// is needed: every call is closed, and few are cancelled. It must not be called by the reading goroutine.
func (c *Call) cancel(code spec.Code, err error) {
	if f := c.cancelFrameOnce(code, err); f != nil {
		c.g.cancels.spend() // beyond the budget no calls are begun until it has filled up: see Start
		_ = c.w.send(f)     // fails with the session, and then the call has failed with it
		c.settle()
	}
}

// cancelFrameOnce ends the call on this side and returns the CANCEL to send, or nil if it has ended already. The caller
// settles it afterwards.
func (c *Call) cancelFrameOnce(code spec.Code, err error) *transports.Frame {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err != nil || c.canceled || c.recv.ended && c.send.ended {
		return nil
	}
	if err == nil {
		err = &Error{Code: code}
	}
	c.err, c.canceled, c.send.ended = err, true, true
	c.core.counts.cancelSent(code)
	c.drop()
	if !c.answered { // another goroutine may wait in Head
		c.answered = true
		c.head <- nil
	}
	c.wakeAll()
	return c.cancelFrame(code, "")
}

// slow ends the call because its reader has stalled and the memory is spent. It may run on any session's reading
// goroutine.
func (c *Call) slow() {
	if f := c.cancelFrameOnce(spec.CodeSlowConsumer, errSlow); f != nil {
		c.w.enqueue(f)
		c.settle()
		return
	}
	c.mu.Lock() // all of the answer that will come has come, and waits for a client that does not read it
	defer c.mu.Unlock()
	if c.recv.held == 0 {
		return
	}
	if c.err == nil {
		c.err = errSlow
	}
	c.drop()
	c.wakeAll()
}

// settle frees the slot once both halves have ended. That of a cancelled call waits no longer than [spec.CancelHold] for
// the service's confirmation.
func (c *Call) settle() {
	c.mu.Lock()
	over := c.recv.ended && c.send.ended
	switch {
	case over && c.hold != nil:
		c.hold.Stop()
	case !over && c.canceled && c.hold == nil:
		c.hold = time.AfterFunc(spec.CancelHold, func() { c.g.forget(c) })
	}
	c.mu.Unlock()
	if over {
		c.g.forget(c)
	}
}

// Close ends the call, cancelling it with CLIENT_GONE if it has not ended, and gives it back.
func (c *Call) Close() {
	c.Cancel(spec.CodeClientGone)
	c.mu.Lock()
	c.drop()
	c.about = nil
	// Other calls may still be known to the reader, or to a pump of the request body.
	reuse := c.plain && len(c.head) == 0
	c.mu.Unlock()
	if reuse {
		spare := &c.g.spare
		c.g, c.w = nil, nil
		spare.Put(c)
	}
}

// handle takes over a frame of this call. It runs on the reading goroutine.
func (c *Call) handle(f *transports.Frame, h spec.Header) error {
	switch h.Type {
	case spec.TypeResponse:
		return c.onResponse(f, h)
	case spec.TypeResponseStreamData:
		return c.onData(f, h)
	case spec.TypeTrailers:
		return c.onTrailers(f, h)
	case spec.TypeCredit:
		f.Release()
		return c.granted(h.Aux)
	default: // CANCEL
		if !c.cancelled() && !c.g.received.spend() {
			f.Release()
			return errCancels
		}
		c.core.counts.cancelReceived(spec.Code(h.Aux))
		c.onCancel(&Error{Code: spec.Code(h.Aux), Reason: string(f.Meta()), Remote: true})
		f.Release()
		return nil
	}
}

func (c *Call) onResponse(f *transports.Frame, h spec.Header) error {
	c.mu.Lock()
	if c.answered && c.err == nil {
		c.mu.Unlock()
		f.Release()
		return protocolError("second RESPONSE on stream %d", h.Stream)
	}
	end := h.Flags&spec.FlagEnd != 0
	c.recv.ended = c.recv.ended || end
	over := end && !c.whole
	if late := c.err != nil; late { // cancelled by this side before the answer came
		f.Release()
		over = true
	} else {
		c.answered = true
		c.plain = end && c.whole
		c.head <- f // has room, since nothing was sent before
	}
	c.mu.Unlock()
	if over { // a whole call is out of the table already, and its owner may have given it back by now
		c.settle()
	}
	return nil
}

func (c *Call) onData(f *transports.Frame, h spec.Header) error {
	c.mu.Lock()
	early := !c.answered && c.err == nil
	c.mu.Unlock()
	if early {
		f.Release()
		return protocolError("data before RESPONSE on stream %d", h.Stream)
	}
	end := h.Flags&spec.FlagEnd != 0
	flow, err := c.receive(f, h)
	if err != nil {
		return err
	}
	if flow {
		if f := c.cancelFrameOnce(spec.CodeFlow, &Error{Code: spec.CodeFlow, Reason: "the service overran its credit"}); f != nil {
			c.w.enqueue(f)
			c.settle()
		}
	}
	if end {
		c.mu.Lock()
		c.recv.ended = true // also of a cancelled call: its confirmation
		c.mu.Unlock()
		c.settle()
	}
	return nil
}

// onCancel is the service's final frame. After its END it means: stop sending, the answer stands. What came before it
// can still be read: the last part of an answer that is broken off may say why.
func (c *Call) onCancel(e *Error) {
	c.mu.Lock()
	confirm := !c.send.ended
	stop := c.recv.ended && c.err == nil
	c.recv.ended, c.send.ended = true, true
	switch {
	case stop:
		c.send.stopped = true
	case c.err == nil:
		c.err = e
	}
	tell := c.err != nil && !c.answered
	c.answered = c.answered || tell
	c.wakeAll()
	c.mu.Unlock()
	if confirm {
		c.w.enqueue(c.cancelFrame(spec.CodeNoError, ""))
	}
	c.settle()
	if tell { // whose slot is free by now
		c.head <- nil
	}
}

// cancelled reports whether this end has cancelled the call.
func (c *Call) cancelled() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.canceled
}

// lost fails the call: its session is dead.
func (c *Call) lost(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.hold != nil {
		c.hold.Stop()
	}
	if c.recv.ended && c.send.ended {
		return // the answer is whole and only has to be read
	}
	c.recv.ended, c.send.ended = true, true
	if c.err == nil {
		c.err = err
		c.drop()
	}
	if !c.answered {
		c.answered = true
		c.head <- nil
	}
	c.wakeAll()
}
