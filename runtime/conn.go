package stella

import (
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"
)

// Conn is what a handler of an endpoint with stream=upgrade gets from [Response.Upgrade]: the raw octets of the protocol that
// the caller has asked to change to, both ways. It is a [net.Conn], for libraries that expect one. Reads and writes may be
// concurrent, and so may Close and the deadlines.
//
// Octets travel as those of bodies do, with credit: a Write waits for a caller that reads slowly. What fails for another reason
// than a deadline or an end has ended the call, and its context. When nothing has moved either way for the endpoint's idle time,
// the gateway ends the call: protocols that are silent for longer need pings of their own.
type Conn struct {
	to     duplex
	remote string

	once   sync.Once
	closed chan struct{}
}

var _ net.Conn = (*Conn)(nil)

// duplex is an outlet that takes in as well: the service's end of a call, a [session.Incoming].
type duplex interface {
	outlet
	io.Reader
	deadlined
	Leave()
}

// statusUpgrade is what accepts an upgrade (RFC 9110, section 15.2.2).
const statusUpgrade = 101

var (
	// ErrNoUpgrade is what [Response.Upgrade] returns for a request that asks for none.
	ErrNoUpgrade = errors.New("stella: the request asks for no upgrade")

	errConnClosed = fmt.Errorf("stella: upgraded connection: %w", net.ErrClosed)
)

// Upgrade accepts the upgrade that the request asks for: see [Request.Upgrade]. The answer is 101 with the header as it is, to
// which the gateway adds what belongs to the connection. Until then the handler may refuse by any other answer. Before it
// accepts, a WebSocket handler checks Origin: a browser sends the user's cookies with the request whatever site the page is
// from, and CORS does not apply.
//
// The connection ends with the handler: in order if that returns nil, as if it had been broken if it returns an error.
func (w *Response) Upgrade() (*Conn, error) {
	if err := w.untouched(); err != nil {
		return nil, err
	}
	if w.upgrade == nil || w.upgrade.protocol == "" {
		return nil, ErrNoUpgrade
	}
	if to, ok := w.to.(*relay); ok {
		conn, err := to.Upgrade(w.header)
		if err != nil {
			return nil, err
		}
		w.upgrade.conn, w.status, w.begun, w.ended = conn, statusUpgrade, true, true
		return conn, nil
	}
	to, ok := w.to.(duplex)
	if !ok {
		return nil, ErrNoUpgrade
	}
	w.upgrade.conn = &Conn{to: to, remote: w.upgrade.remote, closed: make(chan struct{})}
	if err := w.accept(); err != nil {
		w.upgrade.conn = nil
		return nil, err
	}
	return w.upgrade.conn, nil
}

// accept answers with 101.
func (w *Response) accept() error {
	w.header.Del(contentLength)
	w.status, w.length = statusUpgrade, -1
	meta, err := w.metadata()
	if err != nil {
		w.status = 0
		return err
	}
	if err := w.to.Head(meta); err != nil {
		return err
	}
	w.begun, w.ended = true, true
	return nil
}

// upgrade is what a response knows of the upgrade that it may accept.
type upgrade struct {
	protocol string // that the caller asks to change to; empty: none
	remote   string // the caller's address and port
	conn     *Conn  // once it is accepted
}

// accepted reports whether the answer is 101. u may be nil.
func (u *upgrade) accepted() bool { return u != nil && u.conn != nil }

// Read reads what the caller sends. [io.EOF] means that the caller sends no more, and may still read.
func (c *Conn) Read(p []byte) (int, error) {
	if c.isClosed() {
		return 0, errConnClosed
	}
	n, err := c.to.Read(p)
	return n, c.failed(err)
}

// Write sends p, and waits for the credit that it needs.
func (c *Conn) Write(p []byte) (int, error) {
	if c.isClosed() {
		return 0, errConnClosed
	}
	n, err := c.to.Write(p)
	return n, c.failed(err)
}

// CloseWrite says that nothing more is sent. The caller may still send.
func (c *Conn) CloseWrite() error { return c.failed(c.to.EndWith(nil)) }

// Close ends the connection both ways. What has been written is sent before. A second Close does nothing.
func (c *Conn) Close() error {
	var err error
	c.once.Do(func() {
		err = c.to.EndWith(nil)
		close(c.closed)
		c.to.Leave()
	})
	return err
}

// Closed is closed by Close.
func (c *Conn) Closed() <-chan struct{} { return c.closed }

func (c *Conn) isClosed() bool {
	select {
	case <-c.closed:
		return true
	default:
		return false
	}
}

// failed is err as a connection has it that was closed meanwhile.
func (c *Conn) failed(err error) error {
	if err != nil && !errors.Is(err, io.EOF) && c.isClosed() {
		return errConnClosed
	}
	return err
}

// SetDeadline sets both deadlines.
func (c *Conn) SetDeadline(t time.Time) error {
	return errors.Join(c.to.SetReadDeadline(t), c.to.SetWriteDeadline(t))
}

// SetReadDeadline bounds reads, those that wait already included: they fail with [os.ErrDeadlineExceeded], and the connection
// goes on. The zero time is no bound.
func (c *Conn) SetReadDeadline(t time.Time) error { return c.to.SetReadDeadline(t) }

// SetWriteDeadline bounds writes in the same way. A Write that fails so may have sent a part.
func (c *Conn) SetWriteDeadline(t time.Time) error { return c.to.SetWriteDeadline(t) }

// LocalAddr is no address: a service has no connection of its own with the caller.
func (c *Conn) LocalAddr() net.Addr { return address("") }

// RemoteAddr is the caller's address and port, as the gateway sees it.
func (c *Conn) RemoteAddr() net.Addr { return address(c.remote) }

// address is host:port.
type address string

func (address) Network() string  { return "stella" }
func (a address) String() string { return string(a) }
