// Package udp is a transport for small messages: frames in datagrams, udp://host:port. It is reliable, keeps no order,
// and carries neither streams nor calls that do not fit a datagram. It has no encryption and no authentication of its
// own, so it listens beyond loopback addresses only where the listener's owner authenticates peers.
//
// What is lost is sent again, and what comes twice is dropped, so that a frame arrives exactly once or the link ends. A
// frame of the session, on stream 0, may be larger than a datagram and goes in fragments. No frame overtakes a session
// frame that was written before it; everything else comes in any order.
//
// A listener keeps nothing of a source that has not shown the cookie which was sent to its address, and sends it less than
// it got. Its owner may ask it how many datagrams it has thrown away, and why: it is a [transports.Datagrams]. Start reading
// at the list of datagrams in envelope.go.
package udp

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"os"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/stella-ops/router/spec"
	"github.com/stella-ops/router/transports"
)

// Scheme is the URL scheme.
const Scheme = "udp"

// DefaultPort is taken where a URL names none.
const DefaultPort = "5102"

const (
	dialTimeout = 5 * time.Second
	// Bounds of the wait for an answer to one datagram of the opening.
	minRetry, maxRetry = 200 * time.Millisecond, time.Second
	// socketBuffer is asked of the kernel for datagrams that have come, in bytes; it may give less.
	socketBuffer = 4 << 20
)

// Errors that callers may want to tell apart.
var (
	// ErrTooLarge is what the error of a write wraps that was given a call's frame which does not fit a datagram.
	ErrTooLarge = errors.New("udp: the frame of a call does not fit a datagram")
	// ErrReset is that the peer knows the link no more: it was started anew, or has closed the link unheard.
	ErrReset = errors.New("udp: the peer does not know this link")
	// ErrLate is what the error wraps of a link whose datagrams no answer came to.
	ErrLate = errors.New("udp: no datagram was confirmed in time")
)

func init() {
	transports.Register(transports.Transport{Scheme: Scheme, Check: check, Guard: guard, Dialer: dialer{}, Listen: listen})
}

// check says whether the URL is udp://host:port and nothing else.
func check(u *url.URL) error {
	_, _, err := address(u)
	return err
}

// address checks the URL and returns its host and port.
func address(u *url.URL) (string, uint16, error) {
	addr, err := transports.Address(u, DefaultPort)
	if err != nil {
		return "", 0, err
	}
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return "", 0, fmt.Errorf("udp: %w", err)
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return "", 0, fmt.Errorf("udp: %w", err)
	}
	return host, uint16(n), nil
}

// guard is an error where other machines reach the address.
func guard(u *url.URL) error {
	return transports.OnlyLoopback(u, DefaultPort)
}

type dialer struct{}

func (dialer) Dial(ctx context.Context, u *url.URL) (transports.Link, error) {
	host, port, err := address(u)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	ips, err := net.DefaultResolver.LookupNetIP(ctx, "ip", host)
	if err != nil {
		return nil, fmt.Errorf("udp: %w", err)
	}
	var errs []error
	for i, ip := range ips {
		l, err := dialOne(ctx, netip.AddrPortFrom(ip.Unmap(), port), len(ips)-i)
		if err == nil {
			return l, nil
		}
		errs = append(errs, err)
	}
	return nil, errors.Join(errs...)
}

// dialOne opens a link to one address, in its part of the time that is left for so many.
func dialOne(ctx context.Context, to netip.AddrPort, among int) (*link, error) {
	if limit, ok := ctx.Deadline(); ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, time.Until(limit)/time.Duration(among))
		defer cancel()
	}
	var d net.Dialer
	c, err := d.DialContext(ctx, "udp", to.String())
	if err != nil {
		return nil, fmt.Errorf("udp: %w", err)
	}
	conn, ok := c.(*net.UDPConn)
	if !ok {
		_ = c.Close()
		return nil, fmt.Errorf("udp: dial %s: not a UDP socket: %T", to, c)
	}
	_ = conn.SetReadBuffer(socketBuffer) // the kernel gives what it may
	var seed [8]byte
	_, _ = rand.Read(seed[:]) // never fails
	o := opener{conn: conn, nonce: binary.BigEndian.Uint64(seed[:]), low: spec.ProtocolVersion, high: spec.ProtocolVersion}
	rtt, err := o.open(ctx)
	if err != nil {
		// For a listener that has made the link, whose ACCEPT did not come in time.
		_, _ = conn.Write(appendHead(make([]byte, 0, closeSize), kindClose, o.nonce)[:closeSize])
		_ = conn.Close()
		return nil, fmt.Errorf("udp: dial %s: %w", to, err)
	}
	s := &dialled{conn: conn}
	l := newLink(s, o.nonce, to.String())
	l.sample(rtt)
	go l.pump() // until Close, and a second more at most; it closes the socket, which ends the other
	go s.read(l)
	return l, nil
}

// opener is a link that is being dialled.
type opener struct {
	conn      *net.UDPConn
	nonce     uint64
	low, high uint16 // protocol versions
	buf       [datagram + 1]byte
}

// open asks for a cookie, shows it, and is accepted. It returns how long the last answer took; 0 is unknown.
func (o *opener) open(ctx context.Context) (rtt time.Duration, err error) {
	stop := context.AfterFunc(ctx, func() { _ = o.conn.SetReadDeadline(time.Now()) })
	defer func() {
		if !stop() && err == nil {
			err = context.Cause(ctx)
		}
		if err == nil {
			err = o.conn.SetReadDeadline(time.Time{})
		}
	}()
	out := appendVersions(appendHead(make([]byte, 0, datagram), kindInit, o.nonce), o.low, o.high)
	out = out[:datagram]
	sent := 0 // times of this datagram
	for retry := minRetry; ; retry = min(2*retry, maxRetry) {
		at := time.Now()
		if err := o.conn.SetDeadline(at.Add(retry)); err != nil {
			return 0, err
		}
		if ctx.Err() != nil { // after the deadline is set, which would outlast what AfterFunc has set
			return 0, fmt.Errorf("no answer: %w", context.Cause(ctx))
		}
		if _, err := o.conn.Write(out); err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
			return 0, err
		}
		sent++
		e, err := o.read()
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded):
			continue
		case err != nil:
			return 0, err
		}
		switch e.kind {
		case kindCookie:
			out = appendVersions(appendHead(out[:0], kindOpen, o.nonce), o.low, o.high)
			out = append(out, e.cookie[:]...)
			sent, retry = 0, minRetry/2
		case kindRefuse:
			return 0, refusal(e.low, e.high)
		case kindReset:
			return 0, ErrReset
		default: // ACCEPT
			if e.low > spec.ProtocolVersion || e.high < spec.ProtocolVersion {
				return 0, refusal(e.low, e.high)
			}
			if sent == 1 {
				rtt = time.Since(at)
			}
			return rtt, nil
		}
	}
}

// read returns the next datagram that has a meaning for an opening.
func (o *opener) read() (envelope, error) {
	for {
		n, err := o.conn.Read(o.buf[:])
		if err != nil {
			return envelope{}, err
		}
		e, ok := decode(o.buf[:n])
		if !ok || e.nonce != o.nonce {
			continue
		}
		switch e.kind {
		case kindCookie, kindAccept, kindRefuse, kindReset:
			return e, nil
		default: // of a link whose ACCEPT was lost: it will be sent again
		}
	}
}

// refusal is why a peer with these versions cannot be talked to.
func refusal(low, high uint16) error {
	return fmt.Errorf("%w: peer speaks versions %d to %d, this side speaks %d", transports.ErrPreamble, low, high, spec.ProtocolVersion)
}

// dialled is the socket of a link that was dialled.
type dialled struct {
	conn *net.UDPConn
	gate gate
}

func (s *dialled) write(b []byte) {
	s.gate.open(s.conn)
	_, _ = s.conn.Write(b) // what does not leave is lost, as on the way
}

func (*dialled) dropped() {} // nobody asks the socket: the link counts its own

func (s *dialled) ended(*link) { _ = s.conn.Close() }

// read gives the link what comes, until the socket is closed.
func (s *dialled) read(l *link) {
	buf := make([]byte, datagram+1)
	for {
		n, err := s.conn.Read(buf)
		switch {
		case err == nil:
		case errors.Is(err, net.ErrClosed):
			return
		case oversized(err):
			l.drop()
			continue
		default: // the peer's port is closed
			l.fail(fmt.Errorf("udp: %w", err))
			<-l.gone
			return
		}
		if e, ok := decode(buf[:n]); ok && e.nonce == l.nonce {
			l.receive(&e)
		} else {
			l.drop()
		}
	}
}

// gate keeps a write from waiting without end: it sets the deadline of a socket's writes, but once a second only.
type gate struct{ until atomic.Int64 }

const (
	gateEvery = time.Second
	gateWait  = 3 * time.Second
)

var started = time.Now()

func (g *gate) open(conn *net.UDPConn) {
	now := int64(time.Since(started))
	if until := g.until.Load(); now >= until && g.until.CompareAndSwap(until, now+int64(gateEvery)) {
		_ = conn.SetWriteDeadline(time.Now().Add(gateWait)) // a closed socket: the write says so
	}
}
