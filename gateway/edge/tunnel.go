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

// tunnel carries octets between a client's connection and a call, both ways, and looks at none. It ends when both ways have,
// when the call is cancelled, or when nothing has moved either way for the idle time. Beside what credit bounds, a client that
// sends nothing costs what net/http reads ahead, and no chunk.
type tunnel struct {
	x     *Exchange
	conn  net.Conn
	start time.Time // the exchange's
	call  atomic.Pointer[session.Call]
	stall time.Duration // how long a write to the client may make no progress
	idle  time.Duration

	moved atomic.Int64 // when an octet has moved last, since the exchange's start
	timer *time.Timer  // looks at that
	gone  atomic.Bool  // the client has broken the connection
	ended atomic.Bool  // the gateway's half has, or is about to
	watch *watch       // sees that the client is gone while the service takes nothing
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

// lost cancels the call if err says that the client is gone.
func (t *tunnel) lost(err error) bool {
	if err == nil {
		return false
	}
	t.gone.Store(true)
	t.call.Load().Cancel(spec.CodeClientGone)
	return true
}

// wasReset reports whether the client has reset the connection. Once the gateway's half has ended that cannot be told from a
// client which has ended its own in order, and what that has sent is still to be read: the idle time ends the call.
func (t *tunnel) wasReset(conn syscall.RawConn) bool { return wasReset(conn) && !t.ended.Load() }

// down moves octets to the client until both ways have ended. It reports whether that was out of order.
func (t *tunnel) down() (broken bool) {
	call := t.call.Load()
	for {
		f, err := call.Next(context.Background(), forever) // the idle time is of both ways together
		switch {
		case errors.Is(err, io.EOF):
			t.ended.Store(true) // before that can be seen
			closeWrite(t.conn)
			call.Rest(t.done)
			return t.gone.Load() || call.Failed()
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
		call.Consumed(n)
	}
}

// up moves octets to the service until the client's half ends, or the call does. As long as the client fills what net/http
// reads ahead, it reads straight into whole chunks.
func (t *tunnel) up(from *bufio.Reader) {
	defer close(t.done)
	for busy := false; ; {
		f, err := t.read(from, busy)
		if f != nil {
			n := len(f.Payload())
			busy = n >= from.Size()
			t.x.received += int64(n)
			t.touch()
			if t.send(f, false) != nil { // the call has ended, or the service wants no more
				t.discard(from)
				return
			}
		}
		switch {
		case err == nil:
		case errors.Is(err, os.ErrDeadlineExceeded) && !t.isLeaving(): // that of a client which was busy
			busy = false
		case errors.Is(err, io.EOF):
			_ = t.send(transports.NewFrame(0), true) // fails with the call, whose end is no concern of the client's half
			return
		default:
			if !t.isLeaving() {
				t.lost(err)
			}
			return
		}
	}
}

// read reads a part. A client that is not busy may be silent for long, and is waited for without a chunk.
func (t *tunnel) read(from *bufio.Reader, busy bool) (*transports.Frame, error) {
	size := chunk
	if busy && from.Buffered() == 0 {
		t.readBy(time.Now().Add(settling))
	} else {
		t.readBy(time.Time{})
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

// send moves a part, and waits for the service to take it.
func (t *tunnel) send(f *transports.Frame, end bool) error { return sendBody(&t.call, t.watch, f, end) }

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

// look ends the call when nothing has moved for the idle time.
func (t *tunnel) look() {
	left := t.idle - (time.Since(t.start) - time.Duration(t.moved.Load()))
	if left > 0 {
		t.timer.Reset(left)
		return
	}
	t.call.Load().Cancel(spec.CodeIdle)
}

// closeWrite tells the client that nothing more is sent. Within TLS that is an alert of TLS.
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
