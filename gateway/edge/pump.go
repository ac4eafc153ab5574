package edge

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/stella-ops/router/spec"
	"github.com/stella-ops/router/transports"
	"github.com/stella-ops/router/transports/session"
)

const (
	// chunk is how much of a body one frame takes: with the header it fills a pooled buffer.
	chunk = spec.MaxChunk - spec.HeaderSize
	// lingering bounds how long a connection is read from after an answer that did not need all of the request, so
	// that a client which is still sending gets to read the answer before the connection ends.
	lingering = time.Second
	// lingeringBytes bounds how much is read then; net/http has the same bound.
	lingeringBytes = 256 << 10
	// settling is how long a small body may take to come that nobody needs: it has been sent with the header as a rule.
	settling = 50 * time.Millisecond
	// maxHeld bounds how much of a body is held to offer it to another instance.
	maxHeld = 64 << 10
)

// longAgo as a deadline makes reads that wait return.
var longAgo = time.Unix(1, 0)

// pump owns the request body: from dispatch to its end, or to the call's, it moves the body to the service, counts
// it, and notices a client that stalls or leaves. It is joined before the handler returns. Beside the credit that the
// service has granted it holds one chunk, however slowly the service reads, and a copy of the body's first 64 KiB until
// a service has begun to answer.
type pump struct {
	x          *Exchange
	call       atomic.Pointer[session.Call]
	stall      time.Duration
	limit      int64 // bytes that the body may have
	idempotent bool
	watch      *watch

	mu      sync.Mutex        // held by whoever sends to the call
	turn    *sync.Cond        // of mu: the body moves on, or is not wanted any more
	held    *transports.Frame // a copy of all that has been read
	dropped bool              // it was given up
	atEnd   bool              // the copy is the body to its end
	trailer []spec.Field      // what follows the body's end
	moving  bool              // a service has refused the call: whether there is another is not known yet
	behind  bool              // the call has not been sent the copy yet
	replay  sync.WaitGroup    // who sends it

	answered atomic.Bool                   // no copy is needed any more
	verdict  atomic.Pointer[verdictOnBody] // set before the call is cancelled because of the body
	stopping atomic.Bool                   // the body is not wanted any more
	aborting atomic.Bool                   // and the connection is to end at once
	whole    bool                          // the body was read to its end; set before done is closed
	done     chan struct{}

	leave   context.CancelFunc // tells the exchange that its client has left
	unwatch func() bool        // stops waiting for net/http to say so; set before done is closed
}

// verdictOnBody says that the body is why a call failed.
type verdictOnBody struct {
	problem *problem // what to answer; nil if the client has left
	code    spec.Code
}

// startPump lets the body of the exchange flow into the call.
func (x *Exchange) startPump(call *session.Call, stall time.Duration) {
	x.duplex()
	p := &pump{x: x, stall: stall, limit: x.route.MaxBody, idempotent: x.route.Idempotent, done: make(chan struct{})}
	p.turn = sync.NewCond(&p.mu)
	p.watch = newWatch(x, hungUp, func() { p.end(nil, spec.CodeClientGone) })
	p.call.Store(call)
	if x.http1() {
		// Any error of reading from its client ends a request's context, a deadline of ours as well. As long as the pump
		// reads, it knows better what has happened.
		x.ctx, p.leave = context.WithCancel(context.WithoutCancel(x.ctx))
	}
	x.pump = p
	go p.run()
}

func (p *pump) run() {
	defer close(p.done)
	left := p.limit
	for {
		f := transports.NewFrame(chunk)
		p.x.readBy(time.Now().Add(p.stall))
		if p.stopping.Load() {
			f.Release()
			p.linger()
			return
		}
		b := f.Bytes()
		n, err := p.x.read(b[len(b) : len(b)+chunk])
		f.SetBytes(b[:len(b)+n])
		if !p.x.http1() { // which would break the body off while the pump waits for the service to read on
			p.x.readBy(time.Time{})
		}
		if left -= int64(n); left < 0 {
			f.Release()
			p.end(tooLarge(p.limit), spec.CodeLimit)
			return
		}
		if err == io.EOF { //nolint:errorlint // io.Reader returns it bare
			p.whole = true
			p.x.readBy(time.Time{})
			if p.leave != nil { // from here on net/http watches
				p.unwatch = context.AfterFunc(p.x.context(), p.leave)
			}
			trailer, why, code := p.x.trailers()
			if why != nil {
				f.Release()
				p.end(why, code)
				return
			}
			_ = p.deliver(f, true, trailer) // fails when the call has ended, and then it does not matter
			return
		}
		if p.deliver(f, false, nil) != nil { // the call has ended, or the service wants no more
			p.linger()
			return
		}
		if err != nil {
			p.end(p.x.fault(err))
			return
		}
	}
}

// end cancels the call because of its body.
func (p *pump) end(why *problem, code spec.Code) {
	p.verdict.Store(&verdictOnBody{why, code})
	p.call.Load().Cancel(code)
}

// deliver holds what has been read, as long as there may be need of it, and sends it. It takes over f. That a service
// refuses the call, or is lost with one that may be repeated, is no error if another can be sent the same: the next part waits until that is known.
func (p *pump) deliver(f *transports.Frame, end bool, trailer []spec.Field) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.trailer = trailer
	for p.moving && !p.stopping.Load() {
		p.turn.Wait()
	}
	var err error
	if p.behind {
		err = p.catchUp()
	}
	p.hold(f.Payload(), end)
	if err == nil {
		err = p.send(f, end)
	} else {
		f.Release()
	}
	if err != nil && !p.dropped && (refused(err) || p.idempotent && lost(err)) {
		p.moving = true
		return nil
	}
	return err
}

// hold adds to the copy, or gives it up when it gets too large or nobody will need it. The caller holds mu.
func (p *pump) hold(data []byte, end bool) {
	size := len(data)
	if p.held != nil {
		size += len(p.held.Payload())
	}
	switch {
	case p.dropped:
		return
	case p.answered.Load(), size > maxHeld:
		p.giveUp()
		return
	case p.held == nil:
		p.held = transports.NewFrame(size)
	}
	p.held.SetBytes(append(p.held.Bytes(), data...))
	p.atEnd = end
}

// giveUp releases the copy. The caller holds mu.
func (p *pump) giveUp() {
	p.held.Release()
	p.held, p.dropped = nil, true
}

// settle tells that a service has begun to answer.
func (p *pump) settle() {
	p.answered.Store(true)
	if p.mu.TryLock() { // else somebody is sending, and the copy goes with the next part or with the exchange
		if !p.behind {
			p.giveUp()
		}
		p.mu.Unlock()
	}
}

// rewind reports whether the body can be sent to another call, and if so makes the pump wait for that: see resume.
func (p *pump) rewind() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.moving = !p.dropped
	return p.moving
}

// resume lets the body flow into another call, from its beginning.
func (p *pump) resume(call *session.Call) {
	p.mu.Lock()
	p.moving, p.behind = false, true
	p.call.Store(call) // before the next part is sent, which must not go to the call that was refused
	p.mu.Unlock()
	if v := p.verdict.Load(); v != nil { // the body has failed meanwhile
		call.Cancel(v.code)
	}
	p.turn.Broadcast()
	p.replay.Go(func() { // the pump itself may be waiting for the client
		p.mu.Lock()
		defer p.mu.Unlock()
		if p.behind {
			_ = p.catchUp() // fails with the call, and whoever waits for its answer knows why
		}
	})
}

// catchUp sends the copy to the call. The caller holds mu.
func (p *pump) catchUp() error {
	p.behind = false
	if p.held == nil {
		return nil
	}
	f := transports.NewFrame(len(p.held.Payload()))
	f.SetBytes(append(f.Bytes(), p.held.Payload()...))
	return p.send(f, p.atEnd)
}

// send passes on what has been read, and behind its end the trailers.
func (p *pump) send(f *transports.Frame, end bool) error {
	trails := end && len(p.trailer) > 0
	if err := sendBody(&p.call, p.watch, f, end && !trails); err != nil || !trails {
		return err
	}
	return p.call.Load().EndWith(p.trailer)
}

// sendBody passes on a part of a body, in as many parts as the credit asks for. It takes over f. A part of a chunk, and
// a chunk that is hardly used, travels in a buffer of its own size: a client that sends a byte at a time must not make
// somebody hold a chunk for each.
func sendBody(call *atomic.Pointer[session.Call], w *watch, f *transports.Frame, end bool) error {
	data := f.Payload()
	for len(data) > 0 || end {
		n := 0
		if len(data) > 0 { // an END without data needs no credit
			var err error
			w.begin()
			n, err = call.Load().Acquire(len(data))
			w.over()
			if err != nil {
				f.Release()
				return err
			}
		}
		part := f
		if n < len(f.Payload()) || n < chunk/2 {
			part = transports.NewFrame(n)
			part.SetBytes(append(part.Bytes(), data[:n]...))
		} else {
			f = nil
		}
		data = data[n:]
		if err := call.Load().Send(part, n, end && len(data) == 0); err != nil || len(data) == 0 {
			f.Release()
			return err
		}
	}
	f.Release()
	return nil
}

// linger reads on for a moment, for nobody.
func (p *pump) linger() {
	if !p.x.http1() {
		return // the stream is reset, the connection goes on
	}
	p.x.readBy(time.Now().Add(lingering))
	f := transports.NewFrame(chunk)
	defer f.Release()
	b := f.Bytes()
	b = b[len(b) : len(b)+chunk]
	for left := lingeringBytes; left > 0 && !p.aborting.Load(); {
		n, err := p.x.read(b)
		left -= n
		if err != nil {
			p.whole = err == io.EOF //nolint:errorlint // io.Reader returns it bare
			return
		}
	}
}

// join ends the pump of a call that has ended, and waits for it. What has been answered so far is sent first.
func (x *Exchange) join() {
	p := x.pump
	select {
	case <-p.done:
	default:
		p.stopping.Store(true)
		p.mu.Lock() // nobody holds it for long: the call has ended
		p.turn.Broadcast()
		p.mu.Unlock()
		if x.aborted || !x.http1() {
			p.aborting.Store(true)
			x.readBy(longAgo)
		} else if x.flush() == nil {
			x.readBy(time.Now().Add(lingering))
		}
		<-p.done
	}
	p.replay.Wait()
	p.held.Release()
	if p.unwatch != nil {
		p.unwatch()
	}
	if p.leave != nil {
		p.leave()
	}
}

// ended reports whether the body has been read to its end.
func (p *pump) ended() bool {
	select {
	case <-p.done:
		return p.whole
	default:
		return false
	}
}

// fault says what an error of reading the body means: the answer, nil when the client has left, and the code of the
// CANCEL.
func (x *Exchange) fault(err error) (*problem, spec.Code) {
	var broken *net.OpError
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return &problem{Kind: kindStalled, detail: "the request body stopped arriving"}, spec.CodeStalled
	case x.context().Err() != nil, errors.Is(err, io.ErrUnexpectedEOF), errors.As(err, &broken), !x.http1():
		return nil, spec.CodeClientGone
	}
	return &problem{Kind: kindBody, detail: "the request body breaks its framing"}, spec.CodeClientGone
}

// spare prepares for an answer to a request whose body nobody needs. A small one that is on its way is read, so that the
// connection can be used again, and so that HTTP/2 need not reset the stream, which some clients take for a fault. Any
// other ends the connection with the answer, which does not wait for it.
func (x *Exchange) spare(h http.Header) {
	if !x.streams() && x.received >= x.length {
		return
	}
	if !x.streams() && len(x.header()[headerExpect]) == 0 && x.skip() || !x.http1() {
		return
	}
	x.duplex()
	if x.pump == nil && !x.feed.reads() {
		x.readBy(time.Now().Add(lingering))
	}
	h[headerConnection] = closing
}

// skip reads the rest of a small body, and reports whether it has come whole.
func (x *Exchange) skip() bool {
	x.readBy(time.Now().Add(settling))
	f := transports.NewFrame(int(x.length))
	defer f.Release()
	b := f.Bytes()
	b = b[len(b) : len(b)+int(x.length)]
	for x.received < x.length {
		if _, err := x.read(b); err != nil && x.received < x.length {
			return false
		}
	}
	x.readBy(time.Time{})
	return true
}
