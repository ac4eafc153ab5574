package session

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/stella-ops/router/spec"
	"github.com/stella-ops/router/transports"
)

// closeTimeout bounds the time that closing gives the last frames to leave.
const closeTimeout = time.Second

// core is what both ends of a session share: the link, its writer, its pulse, and its end.
type core struct {
	link     transports.Link
	w        *writer
	interval time.Duration

	account   account   // what this end receives
	allowance allowance // what it may send
	budget    budget    // the reader's alone

	received atomic.Uint64 // frames, of any kind: they are the peer's life
	trips    trips

	over chan struct{} // one: the peer has drained, and the session is to end
	once sync.Once
	done chan struct{} // closed when the session is dead and every call has been told
	err  error         // why; set before done is closed
	lost func(error)   // fails every call

	counts   *Counts // nil: nobody counts
	trailers bool    // both ends take TRAILERS
	wg       sync.WaitGroup
	abort    sync.Once
	cause    atomic.Pointer[error] // why this end leaves, while it tells the peer

	traits transports.Traits // the link's; here, so that what every frame touches stays together
}

func (c *core) init(link transports.Link, interval time.Duration, limits Limits, lost func(error)) {
	c.link, c.traits, c.interval, c.lost = link, link.Traits(), interval, lost
	c.done, c.over = make(chan struct{}), make(chan struct{}, 1)
	c.w = newWriter(link, c.fail, &c.account.due)
	if limits.Pending > 0 {
		c.w.cap = limits.Pending
	}
	c.budget.filled = time.Now()
}

// receives sets what this end takes, before it begins to read.
func (c *core) receives(window int64, limits Limits) {
	c.account.init(window, limits.memory(), limits.Shared, c.w.wake)
}

// start runs the session's goroutines. handle takes over each frame; its error ends the session.
func (c *core) start(handle func(*transports.Frame, spec.Header) error, beat func()) {
	c.wg.Go(func() { c.w.run(c.done) })
	c.wg.Go(func() { c.pulse(beat) })
	c.wg.Go(func() { c.read(handle) })
}

func (c *core) read(handle func(*transports.Frame, spec.Header) error) {
	err := deliver(c.link, func(f *transports.Frame) error {
		c.received.Add(1)
		return c.receive(f, handle)
	})
	var protocol *Error
	var malformed *spec.FrameError
	switch {
	case errors.As(err, &protocol) && !protocol.Remote:
		c.leave(protocol.Code, protocol.Reason, err)
	case errors.As(err, &malformed):
		c.leave(spec.CodeProtocol, malformed.Error(), err)
	default:
		c.fail(err)
	}
}

// deliver gives every frame to take until the link ends or take fails.
func deliver(link transports.Link, take func(*transports.Frame) error) error {
	if d, ok := link.(transports.Deliverer); ok {
		return d.Deliver(take)
	}
	for {
		f, err := link.ReadFrame()
		if err == nil {
			err = take(f)
		}
		if err != nil {
			return err
		}
	}
}

// receive takes over a frame, unless the peer has sent too many that are of no use.
func (c *core) receive(f *transports.Frame, handle func(*transports.Frame, spec.Header) error) error {
	if err := c.budget.spend(f.Header(), c.w); err != nil {
		f.Release()
		return err
	}
	return c.dispatch(f, handle)
}

// dispatch handles the frames that mean the same on both ends.
func (c *core) dispatch(f *transports.Frame, handle func(*transports.Frame, spec.Header) error) error {
	h := f.Header()
	switch {
	case h.Type.Ignorable():
	case h.Type == spec.TypePong:
		c.trips.back(h.Aux, time.Now())
	case h.Type == spec.TypePing:
		c.w.enqueue(transports.NewControl(spec.TypePong, 0, h.Aux, nil))
	case h.Type == spec.TypeCancel && h.Stream == 0:
		err := &Error{Code: spec.Code(h.Aux), Reason: string(f.Meta()), Remote: true}
		f.Release()
		return err
	case h.Stream == 0 && h.Type == spec.TypeCredit:
		f.Release()
		return c.allowance.give(int64(h.Aux))
	default:
		return handle(f, h)
	}
	f.Release()
	return nil
}

// pulse calls beat every interval, pings a silent peer, and ends the session when it stays silent or has drained.
func (c *core) pulse(beat func()) {
	timer := time.NewTimer(jitter(c.interval))
	defer timer.Stop()
	last, silent, pings := c.received.Load(), 0, uint32(0)
	for {
		select {
		case <-c.done:
			return
		case <-c.over:
			c.flush()
			c.fail(ErrDrained)
			return
		case <-timer.C:
		}
		timer.Reset(jitter(c.interval))
		if beat != nil {
			beat()
		}
		now := c.received.Load()
		alive := now != last
		if alive {
			last, silent = now, 0
		} else if silent++; silent >= spec.DeadAfter {
			c.fail(fmt.Errorf("session: nothing received for %d intervals of %v", silent, c.interval))
			return
		}
		if !alive || c.trips.measures {
			pings++
			c.trips.sent(pings, time.Now())
			c.w.enqueue(transports.NewControl(spec.TypePing, 0, pings, nil))
		}
	}
}

// jitter spreads d by a tenth to both sides.
func jitter(d time.Duration) time.Duration {
	return time.Duration(float64(d) * (0.9 + 0.2*rand.Float64())) //nolint:gosec // spreads load, guards nothing
}

// fail ends the session at once: every call on it fails.
func (c *core) fail(err error) {
	if errors.Is(err, io.EOF) { // which readers of bodies would take for a body's end
		err = errPeerClosed
	}
	if own := c.cause.Load(); own != nil { // a peer that was told may close the link before this end does
		err = *own
	}
	c.once.Do(func() {
		c.err = fmt.Errorf("%w: %w", ErrClosed, err)
		c.w.close()
		_ = c.link.Close()
		c.lost(c.err)
		c.account.close()
		close(c.done)
	})
}

// leave tells the peer why the session ends, and then ends it with err. It takes at most closeTimeout.
func (c *core) leave(code spec.Code, why string, err error) {
	c.abort.Do(func() {
		c.cause.Store(&err)
		c.w.enqueue(transports.NewControl(spec.TypeCancel, 0, uint32(code), reason(why)))
		c.flush()
	})
	c.fail(err)
}

// flush waits until what is queued has left, at most closeTimeout.
func (c *core) flush() {
	ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
	defer cancel()
	_ = c.flushUntil(ctx) // whatever has not left by then is lost
}

// flushUntil waits until what is queued has left or the session is dead. It fails when ctx ends before.
func (c *core) flushUntil(ctx context.Context) error {
	select {
	case <-c.w.flushed():
	case <-c.done:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	return nil
}

// Done is closed when the session is dead and every call on it has been told.
func (c *core) Done() <-chan struct{} { return c.done }

// Err is why the session ended; nil as long as it lives. It wraps [ErrClosed], and the peer's *[Error] if the peer
// gave a reason.
func (c *core) Err() error {
	select {
	case <-c.done:
		return c.err
	default:
		return nil
	}
}

// Remote is the peer's address, for logs.
func (c *core) Remote() string { return c.traits.Remote }

// closed is the error of a session that this side closes.
func closed(code spec.Code, why string) error { return &Error{Code: code, Reason: why} }
