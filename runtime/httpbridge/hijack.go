package httpbridge

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"time"

	stella "github.com/stella-ops/router/runtime"
)

// maxHead bounds the head that a handler writes on a connection which it has taken over, in bytes.
const maxHead = 64 << 10

var (
	errNoHead = errors.New("httpbridge: nothing comes before 101 has been written")
	errHead   = errors.New("httpbridge: a connection that was taken over must begin with a head of status 101")
)

// upgradable is the writer of a request that asks to change to another protocol. It is an [http.Hijacker].
type upgradable struct {
	*responseWriter

	remote string    // the caller's address and port
	conn   *hijacked // once it was taken over
}

var _ http.Hijacker = (*upgradable)(nil)

// Hijack takes the connection over. A handler may have said 101 by WriteHeader before; else it writes the head itself.
func (u *upgradable) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	if u.conn != nil {
		return nil, nil, http.ErrHijacked
	}
	if u.status != 0 && u.status != http.StatusSwitchingProtocols {
		return nil, nil, fmt.Errorf("httpbridge: the answer is %d already, and not an upgrade: %w", u.status, http.ErrNotSupported)
	}
	if u.bounded { // what was set was the answer's, as in net/http
		_ = u.SetReadDeadline(time.Time{}) // they have been set before
		_ = u.SetWriteDeadline(time.Time{})
	}
	c := &hijacked{w: u.responseWriter, remote: u.remote, closed: make(chan struct{})}
	if u.status == http.StatusSwitchingProtocols {
		if err := c.begin(); err != nil {
			return nil, nil, err
		}
	}
	u.conn, u.taken = c, true
	return c, bufio.NewReadWriter(bufio.NewReader(c), bufio.NewWriter(c)), nil
}

// hijacked is a connection that a handler has taken over. Until 101 has been said, what is written is the head of the answer,
// as to a real connection.
type hijacked struct {
	w      *responseWriter
	remote string

	mu     sync.Mutex
	head   []byte       // as far as it has come
	conn   *stella.Conn // once 101 has been said
	late   [2]time.Time // deadlines that were set before: of reads, of writes
	err    error        // what was written is no head of 101
	once   sync.Once
	closed chan struct{}
}

// begin says 101, with the answer's header. The caller holds mu, or nobody else has c.
func (c *hijacked) begin() error {
	conn, err := c.w.answer.Upgrade()
	if err != nil {
		return err
	}
	c.conn = conn
	return errors.Join(conn.SetReadDeadline(c.late[0]), conn.SetWriteDeadline(c.late[1]))
}

// upgraded is the connection once 101 has been said, or nil.
func (c *hijacked) upgraded() *stella.Conn {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.conn
}

// Read reads octets of the caller's.
func (c *hijacked) Read(p []byte) (int, error) {
	conn := c.upgraded()
	switch {
	case conn != nil:
		return conn.Read(p)
	case c.isClosed():
		return 0, net.ErrClosed
	}
	return 0, errNoHead
}

// Write sends octets to the caller, after the head.
func (c *hijacked) Write(p []byte) (int, error) {
	rest := p
	if c.upgraded() == nil {
		if c.isClosed() {
			return 0, net.ErrClosed
		}
		var err error
		if rest, err = c.takeHead(p); err != nil {
			return 0, err
		}
	}
	if len(rest) == 0 {
		return len(p), nil
	}
	n, err := c.upgraded().Write(rest)
	return len(p) - len(rest) + n, err
}

// takeHead adds to the head, says 101 once that is whole, and returns what follows it.
func (c *hijacked) takeHead(p []byte) (rest []byte, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.err != nil:
		return nil, c.err
	case c.isClosed(): // and the call may be over
		return nil, net.ErrClosed
	case c.conn != nil: // another goroutine has ended the head meanwhile
		return p, nil
	}
	before := len(c.head)
	c.head = append(c.head, p...)
	const end = "\r\n\r\n"
	i := bytes.Index(c.head, []byte(end))
	if i < 0 {
		if len(c.head) > maxHead {
			c.err = fmt.Errorf("%w: got more than %d bytes without its end", errHead, maxHead)
		}
		return nil, c.err
	}
	size := i + len(end)
	resp, err := http.ReadResponse(bufio.NewReader(bytes.NewReader(c.head[:size])), nil)
	if err != nil {
		c.err = fmt.Errorf("%w: %w", errHead, err)
		return nil, c.err
	}
	_ = resp.Body.Close() // of 101 it is empty, and of others of no use
	if resp.StatusCode != http.StatusSwitchingProtocols {
		c.err = fmt.Errorf("%w: got %d", errHead, resp.StatusCode)
		return nil, c.err
	}
	c.w.header = resp.Header
	c.w.setStatus(resp.StatusCode)
	c.head = nil
	if c.err = c.begin(); c.err != nil {
		return nil, c.err
	}
	return p[size-before:], nil
}

// CloseWrite says that nothing more is sent.
func (c *hijacked) CloseWrite() error {
	conn := c.upgraded()
	if conn == nil {
		return errNoHead
	}
	return conn.CloseWrite()
}

// Close ends the connection, and with it the call.
func (c *hijacked) Close() error {
	var err error
	c.once.Do(func() {
		if conn := c.upgraded(); conn != nil {
			err = conn.Close()
		}
		close(c.closed)
	})
	return err
}

func (c *hijacked) isClosed() bool {
	select {
	case <-c.closed:
		return true
	default:
		return false
	}
}

// SetDeadline sets both deadlines.
func (c *hijacked) SetDeadline(t time.Time) error {
	return errors.Join(c.SetReadDeadline(t), c.SetWriteDeadline(t))
}

// SetReadDeadline bounds reads.
func (c *hijacked) SetReadDeadline(t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.conn == nil {
		c.late[0] = t
		return nil
	}
	return c.conn.SetReadDeadline(t)
}

// SetWriteDeadline bounds writes.
func (c *hijacked) SetWriteDeadline(t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.conn == nil {
		c.late[1] = t
		return nil
	}
	return c.conn.SetWriteDeadline(t)
}

// LocalAddr is no address: a service has no connection of its own with the caller.
func (c *hijacked) LocalAddr() net.Addr { return address("") }

// RemoteAddr is the caller's address and port, as the gateway sees it.
func (c *hijacked) RemoteAddr() net.Addr { return address(c.remote) }

// address is host:port.
type address string

func (address) Network() string  { return "stella" }
func (a address) String() string { return string(a) }

// wait keeps the call when its handler has returned, as net/http keeps the connection: goroutines of the handler's may go on
// with it until they close it.
func (c *hijacked) wait(call context.Context) error {
	select {
	case <-c.closed:
	case <-call.Done():
		_ = c.Close() // whoever still uses it is to notice
		return context.Cause(call)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.conn == nil && c.err == nil {
		return fmt.Errorf("%w: it was closed before", errHead)
	}
	return c.err
}
