package edge

import (
	"net"
	"sync"
	"syscall"
	"time"
)

// watchEvery is how often a client is looked at whose body waits for the service.
const watchEvery = 50 * time.Millisecond

// bare is the connection within one that encrypts, or that has begun with a PROXY protocol header.
func bare(conn net.Conn) net.Conn {
	for {
		switch outer := conn.(type) {
		case interface{ NetConn() net.Conn }:
			conn = outer.NetConn()
		case interface{ Raw() net.Conn }:
			conn = outer.Raw()
		default:
			return conn
		}
	}
}

// watch looks, while a pump or a tunnel waits for credit and so does not read, whether the client has left: nobody else can see
// it then. What the client has sent before it left may stand in the way of reading its end, but not of knowing it.
type watch struct {
	left func(syscall.RawConn) bool // tells whether the client has
	end  func()                     // is told

	mu    sync.Mutex
	on    bool
	timer *time.Timer
	conn  syscall.RawConn // nil where there is nothing to look at
}

func newWatch(x *Exchange, left func(syscall.RawConn) bool, end func()) *watch {
	w := &watch{left: left, end: end}
	c := clientOf(x.context())
	if c == nil || !x.http1() { // a client's HTTP/2 stream tells by itself
		return w
	}
	conn, ok := bare(c.Conn).(syscall.Conn)
	if !ok {
		return w
	}
	if raw, err := conn.SyscallConn(); err == nil {
		w.conn = raw
		w.timer = time.AfterFunc(time.Hour, w.look)
		w.timer.Stop()
	}
	return w
}

// begin is called before the wait, and over after it.
func (w *watch) begin() {
	if w.conn == nil {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.on = true
	w.timer.Reset(watchEvery)
}

func (w *watch) over() {
	if w.conn == nil {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.on = false
	w.timer.Stop()
}

func (w *watch) look() {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case !w.on:
	case w.left(w.conn):
		w.end()
	default:
		w.timer.Reset(watchEvery)
	}
}
