package edge

import (
	"bufio"
	"context"
	"errors"
	"io"
	"math"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/stella-ops/router/spec"
	"github.com/stella-ops/router/transports"
	"github.com/stella-ops/router/transports/session"
)

// forever is a wait that other things end.
const forever = time.Duration(math.MaxInt64)

// farEnd is a tunnel's other end: a service's, or an upstream's. One goroutine receives, and another one sends.
type farEnd interface {
	// next waits for a part, whose body is for the client. io.EOF is the end of this way in order, any other error that of both.
	next() (*transports.Frame, error)
	// consumed says that the client has taken n bytes.
	consumed(n int)
	// send takes over f and passes its payload on; end says that nothing follows. It may wait for long, while w watches the client.
	// It fails when the far end has ended, or takes no more.
	send(w *watch, f *transports.Frame, end bool) error
	// rest waits, behind io.EOF, until the far end takes no more, or done is closed, which whoever sends does at its end.
	rest(done <-chan struct{})
	// failed reports whether it has ended before both ways had.
	failed() bool
	// cancel ends it, and wakes whoever waits on it. May be called by anybody, and does nothing once it has ended.
	cancel(code spec.Code)
}

// serviceEnd is a call, which the service has accepted.
type serviceEnd struct{ call atomic.Pointer[session.Call] }

func (s *serviceEnd) next() (*transports.Frame, error) {
	return s.call.Load().Next(context.Background(), forever) // the idle time is of both ways together
}

func (s *serviceEnd) consumed(n int) { s.call.Load().Consumed(n) }

func (s *serviceEnd) send(w *watch, f *transports.Frame, end bool) error {
	return sendBody(&s.call, w, f, end)
}

func (s *serviceEnd) rest(done <-chan struct{}) { s.call.Load().Rest(done) }

func (s *serviceEnd) failed() bool { return s.call.Load().Failed() }

func (s *serviceEnd) cancel(code spec.Code) { s.call.Load().Cancel(code) }

// tunnel carries octets between a client's connection and its far end, both ways, and looks at none. It ends when both ways have,
// when the far end is cancelled, or when nothing has moved either way for the idle time. Beside what credit bounds, a client that
// sends nothing costs what net/http reads ahead, and no chunk.
type tunnel struct {
	x     *Exchange
	conn  net.Conn
	start time.Time // the exchange's
	far   farEnd
	stall time.Duration // how long a write to the client may make no progress
	idle  time.Duration

	moved atomic.Int64 // when an octet has moved last, since the exchange's start
	timer *time.Timer  // looks at that
	gone  atomic.Bool  // the client has broken the connection
	ended atomic.Bool  // the gateway's half has, or is about to
	watch *watch       // sees that the client is gone while the far end takes nothing
	done  chan struct{}

	mu      sync.Mutex
	leaving bool // the read deadline is the last one
}

// run says 101, moves octets until the end, and closes the connection.
func (t *tunnel) run(from *bufio.Reader) {
	t.touch()
	t.timer = time.AfterFunc(t.idle, t.look)
	t.done = make(chan struct{})
	t.watch = newWatch(t.x, t.wasReset, func() { t.lost(net.ErrClosed) })
	broken := t.say()
	if !broken {
		go t.up(from)
		broken = t.down()
		if broken {
			t.leave(longAgo)
		} else {
			t.leave(time.Now().Add(lingering)) // so that the client gets to read what was sent last
		}
		<-t.done
	}
	t.timer.Stop()
	if broken {
		if t.gone.Load() {
			t.x.abort(statusClientGone)
		} else {
			t.x.abort(t.x.status)
		}
		reset(t.conn)
	}
	_ = t.conn.Close() // whoever is there has been told all; fails on one that was reset
}

// say accepts the upgrade.
func (t *tunnel) say() (broken bool) {
	_ = t.conn.SetWriteDeadline(time.Now().Add(t.stall)) // fails on a connection that is gone, as the write does
	_, err := t.conn.Write(t.x.switched())
	return t.lost(err)
}

// lost cancels the far end if err says that the client is gone.
func (t *tunnel) lost(err error) bool {
	if err == nil {
		return false
	}
	t.gone.Store(true)
	t.far.cancel(spec.CodeClientGone)
	return true
}

// wasReset reports whether the client has reset the connection. Once the gateway's half has ended that cannot be told from a
// client which has ended its own in order, and what that has sent is still to be read: the idle time ends both.
func (t *tunnel) wasReset(conn syscall.RawConn) bool { return wasReset(conn) && !t.ended.Load() }

// down moves octets to the client until both ways have ended. It reports whether that was out of order.
func (t *tunnel) down() (broken bool) {
	for {
		f, err := t.far.next()
		switch {
		case errors.Is(err, io.EOF):
			t.ended.Store(true) // before that can be seen
			closeWrite(t.conn)
			t.far.rest(t.done)
			return t.gone.Load() || t.far.failed()
		case err != nil:
			return true
		}
		n := len(f.Body())
		_ = t.conn.SetWriteDeadline(time.Now().Add(t.stall)) // fails on a connection that is gone, as the write does
		written, err := t.conn.Write(f.Body())
		t.x.written += int64(written)
		f.Release()
		if t.lost(err) {
			return true
		}
		t.touch()
		t.far.consumed(n)
	}
}

// up moves octets to the far end until the client's half ends, or that does. As long as the client fills what net/http
// reads ahead, it reads straight into whole chunks.
func (t *tunnel) up(from *bufio.Reader) {
	defer close(t.done)
	for busy := false; ; {
		f, err := readPart(from, busy, t.readBy)
		if f != nil {
			n := len(f.Payload())
			busy = n >= from.Size()
			t.x.received += int64(n)
			t.touch()
			if t.far.send(t.watch, f, false) != nil {
				t.discard(from)
				return
			}
		}
		switch {
		case err == nil:
		case errors.Is(err, os.ErrDeadlineExceeded) && !t.isLeaving(): // that of a client which was busy
			busy = false
		case errors.Is(err, io.EOF):
			_ = t.far.send(t.watch, transports.NewFrame(0), true) // fails with the far end, whose end is no concern of the client's half
			return
		default:
			if !t.isLeaving() {
				t.lost(err)
			}
			return
		}
	}
}

// readPart reads a part of what a connection brings, whose reads readBy bounds. A peer that is not busy may be silent for long, and is
// waited for without a chunk; one that is busy may turn out not to be: os.ErrDeadlineExceeded.
func readPart(from *bufio.Reader, busy bool, readBy func(time.Time)) (*transports.Frame, error) {
	size := chunk
	if busy && from.Buffered() == 0 {
		readBy(time.Now().Add(settling))
	} else {
		readBy(time.Time{})
		if _, err := from.Peek(1); err != nil {
			return nil, err //nolint:wrapcheck // is shown to nobody
		}
		size = from.Buffered()
	}
	f := transports.NewFrame(size)
	b := f.Bytes()
	n, err := from.Read(b[len(b) : len(b)+size])
	f.SetBytes(b[:len(b)+n])
	if n == 0 {
		f.Release()
		return nil, err //nolint:wrapcheck // as above
	}
	return f, err //nolint:wrapcheck // as above
}

// discard reads on for nobody, so that a connection which is closed with the client still sending is not reset before the
// client has read what was sent to it. The deadline comes with the end of the other way.
func (t *tunnel) discard(from *bufio.Reader) {
	for left := lingeringBytes; left > 0; {
		n, err := from.Discard(max(from.Buffered(), 1))
		if left -= n; err != nil {
			return
		}
	}
}

// readBy bounds the reads that follow, unless the connection is being left.
func (t *tunnel) readBy(at time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.leaving {
		_ = t.conn.SetReadDeadline(at) // fails on a connection that is gone, as the read does
	}
}

// leave bounds all reads from now on.
func (t *tunnel) leave(at time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.leaving = true
	_ = t.conn.SetReadDeadline(at) // as above
}

func (t *tunnel) isLeaving() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.leaving
}

// touch notes that an octet has moved.
func (t *tunnel) touch() { t.moved.Store(int64(time.Since(t.start))) }

// look ends the tunnel when nothing has moved for the idle time.
func (t *tunnel) look() {
	left := t.idle - (time.Since(t.start) - time.Duration(t.moved.Load()))
	if left > 0 {
		t.timer.Reset(left)
		return
	}
	t.far.cancel(spec.CodeIdle)
}

// closeWrite tells the peer that nothing more is sent. Within TLS that is an alert of TLS.
func closeWrite(conn net.Conn) {
	for {
		switch c := conn.(type) {
		case interface{ CloseWrite() error }:
			_ = c.CloseWrite() // fails on a connection that is gone
			return
		case interface{ NetConn() net.Conn }:
			conn = c.NetConn()
		case interface{ Raw() net.Conn }:
			conn = c.Raw()
		default:
			return
		}
	}
}

// reset ends the connection, with RST where it is TCP, so that nobody takes what was sent for the whole. It does so beneath TLS,
// whose Close would first tell the client that this was all (RFC 8446, section 6.1). Who has the connection closes it, too.
func reset(conn net.Conn) {
	inner := bare(conn)
	if tcp, ok := inner.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0) // fails on a connection that is gone
	}
	_ = inner.Close() // as above
}

// crowd counts those who are in, for who waits until all have left.
type crowd struct {
	mu    sync.Mutex
	in    int
	empty chan struct{} // closed when the last one leaves; nil: nobody waits
}

func (c *crowd) enter() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.in++
}

func (c *crowd) leave() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.in--; c.in == 0 && c.empty != nil {
		close(c.empty)
		c.empty = nil
	}
}

// wait waits until nobody is in, or ctx ends.
func (c *crowd) wait(ctx context.Context) error {
	c.mu.Lock()
	if c.in == 0 {
		c.mu.Unlock()
		return nil
	}
	if c.empty == nil {
		c.empty = make(chan struct{})
	}
	empty := c.empty
	c.mu.Unlock()
	select {
	case <-empty:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
