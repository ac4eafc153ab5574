package udp

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/stella-ops/router/spec"
	"github.com/stella-ops/router/transports"
)

const (
	maxLinks = 4096 // of one listener
	backlog  = 256  // links that wait to be accepted; who comes when there are more tries again
	// deadFor is how long a listener remembers a link that has ended: as long as a cookie may be good, for a late OPEN
	// would make it again.
	deadFor = 2 * cookieLife
	pause   = 5 * time.Millisecond // after a failure to read
)

func listen(ctx context.Context, u *url.URL, cfg transports.ListenConfig) (transports.Listener, error) {
	host, port, err := address(u)
	if err != nil {
		return nil, err
	}
	// The address is checked before it is bound: not even for a moment is the port open to others.
	bound, err := net.ResolveUDPAddr("udp", net.JoinHostPort(host, strconv.Itoa(int(port))))
	if err != nil {
		return nil, fmt.Errorf("udp: listen %s: %w", u, err)
	}
	if !bound.IP.IsLoopback() && !cfg.Authenticated {
		return nil, fmt.Errorf("udp: listen %s: not a loopback address: nobody there would have to prove who it is", u)
	}
	var lc net.ListenConfig
	c, err := lc.ListenPacket(ctx, "udp", bound.String())
	if err != nil {
		return nil, fmt.Errorf("udp: %w", err)
	}
	conn, ok := c.(*net.UDPConn)
	if !ok {
		_ = c.Close()
		return nil, fmt.Errorf("udp: listen %s: not a UDP socket: %T", u, c)
	}
	_ = conn.SetReadBuffer(socketBuffer) // the kernel gives what it may
	return newListener(conn, cfg), nil
}

func newListener(conn *net.UDPConn, cfg transports.ListenConfig) *listener {
	l := &listener{
		conn: conn, cfg: cfg, baker: newBaker(), out: make([]byte, 0, datagram),
		links: make(chan *link, backlog), done: make(chan struct{}), table: map[key]*link{}, dead: map[key]time.Time{},
	}
	l.wg.Go(l.read)
	return l
}

// key is what tells links apart. A datagram from another address is not of the link.
type key struct {
	addr  netip.AddrPort
	nonce uint64
}

// listener has one socket for all its links. The socket outlives the listener's Close as long as a link needs it.
type listener struct {
	conn    *net.UDPConn
	cfg     transports.ListenConfig
	gate    gate
	baker   *baker
	dropped drops
	links   chan *link
	done    chan struct{}
	wg      sync.WaitGroup // the reading goroutine, and one for each link
	out     []byte         // the reading goroutine's

	mu     sync.Mutex
	closed bool
	table  map[key]*link
	dead   map[key]time.Time // links that have ended, and until when that is remembered
}

// drops counts the datagrams that were thrown away, by reason.
type drops struct{ malformed, noLink, cookie, full, misplaced atomic.Uint64 }

// Dropped implements [transports.Datagrams]. Those of the listener's links are among them.
func (l *listener) Dropped() map[transports.Drop]uint64 {
	d := &l.dropped
	return map[transports.Drop]uint64{
		transports.DropMalformed: d.malformed.Load(), transports.DropNoLink: d.noLink.Load(), transports.DropCookie: d.cookie.Load(),
		transports.DropFull: d.full.Load(), transports.DropMisplaced: d.misplaced.Load(),
	}
}

// read takes every datagram of the socket, until that is closed.
func (l *listener) read() {
	buf := make([]byte, datagram+1)
	for {
		n, addr, err := l.conn.ReadFromUDPAddrPort(buf)
		switch {
		case err == nil:
			l.take(buf[:n], netip.AddrPortFrom(addr.Addr().Unmap(), addr.Port()))
		case errors.Is(err, net.ErrClosed):
			return
		case oversized(err):
			l.dropped.malformed.Add(1)
		default: // short of memory, say, or a peer's port is closed; of a broken socket, links hear by silence
			l.rest()
		}
	}
}

// oversized reports whether a datagram was larger than the buffer: Windows says so (WSAEMSGSIZE), others cut it.
func oversized(err error) bool { return errors.Is(err, syscall.Errno(10040)) }

func (l *listener) rest() {
	timer := time.NewTimer(pause)
	defer timer.Stop()
	<-timer.C
}

// take gives a datagram to its link. Of other sources it keeps nothing.
func (l *listener) take(b []byte, from netip.AddrPort) {
	e, ok := decode(b)
	if !ok {
		l.dropped.malformed.Add(1)
		return
	}
	k := key{from, e.nonce}
	l.mu.Lock()
	of, closed := l.table[k], l.closed
	l.mu.Unlock()
	switch {
	case of != nil && e.kind == kindOpen:
		l.answer(kindAccept, k)
	case of != nil:
		of.receive(&e)
	case e.kind == kindInit && !closed:
		l.sendCookie(k)
	case e.kind == kindOpen && !closed:
		l.open(k, &e)
	case e.kind == kindData || e.kind == kindFragment || e.kind == kindAck:
		l.dropped.noLink.Add(1)
		l.answer(kindReset, k) // no longer than what it answers
	default:
		l.dropped.noLink.Add(1)
	}
}

// answer sends a datagram that has no content but this side's versions.
func (l *listener) answer(what kind, k key) {
	l.out = appendHead(l.out[:0], what, k.nonce)
	if what != kindReset {
		l.out = appendVersions(l.out, spec.ProtocolVersion, spec.ProtocolVersion)
	}
	l.send(l.out, k.addr)
}

func (l *listener) sendCookie(k key) {
	cookie := l.baker.bake(k.addr, k.nonce, time.Now())
	l.out = append(appendHead(l.out[:0], kindCookie, k.nonce), cookie[:]...)
	l.send(l.out, k.addr)
}

func (l *listener) send(b []byte, to netip.AddrPort) {
	l.gate.open(l.conn)
	_, _ = l.conn.WriteToUDPAddrPort(b, to) // what does not leave is lost, as on the way
}

// open makes a link for a source that shows the cookie of its address.
func (l *listener) open(k key, e *envelope) {
	if !l.baker.good(e.cookie, k.addr, k.nonce, time.Now()) {
		l.dropped.cookie.Add(1)
		l.sendCookie(k) // this one is good, if it was too old; and shorter than what it answers
		return
	}
	if e.low > spec.ProtocolVersion || e.high < spec.ProtocolVersion {
		l.answer(kindRefuse, k)
		l.reject(k, refusal(e.low, e.high))
		return
	}
	switch l.enter(k) {
	case entered:
		l.answer(kindAccept, k)
	case over:
		l.answer(kindReset, k)
	case full: // it will try again
		l.dropped.full.Add(1)
	}
}

func (l *listener) reject(k key, err error) {
	if l.cfg.Rejected != nil {
		l.cfg.Rejected(k.addr.String(), err)
	}
}

// outcome is what became of an OPEN.
type outcome uint8

const (
	entered outcome = iota
	full
	over // the link was there, and has ended
)

// enter makes a link, if there is room for one.
func (l *listener) enter(k key) outcome {
	l.mu.Lock()
	defer l.mu.Unlock()
	if until, ok := l.dead[k]; ok && time.Now().Before(until) {
		return over
	}
	if l.closed || len(l.table) >= maxLinks {
		return full
	}
	of := newLink(&shared{l, k}, k.nonce, k.addr.String())
	select {
	case l.links <- of:
	default:
		return full
	}
	l.table[k] = of
	l.wg.Go(of.pump)
	return entered
}

// shared is the listener's socket as one of its links has it.
type shared struct {
	l *listener
	k key
}

func (s *shared) write(b []byte) { s.l.send(b, s.k.addr) }

func (s *shared) dropped() { s.l.dropped.misplaced.Add(1) }

func (s *shared) ended(*link) {
	l := s.l
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.table, s.k)
	l.bury(s.k, time.Now())
	l.closeUnused()
}

// bury remembers a link that has ended, for as many of them as there may be links.
func (l *listener) bury(k key, now time.Time) {
	if len(l.dead) >= maxLinks {
		for k, until := range l.dead {
			if !now.Before(until) {
				delete(l.dead, k)
			}
		}
	}
	if len(l.dead) < maxLinks {
		l.dead[k] = now.Add(deadFor)
	}
}

// closeUnused closes the socket of a closed listener that has no link any more. The caller holds mu.
func (l *listener) closeUnused() {
	if l.closed && len(l.table) == 0 {
		_ = l.conn.Close()
	}
}

func (l *listener) Accept() (transports.Link, error) {
	select {
	case <-l.done: // what waits is being closed
		return nil, net.ErrClosed
	default:
	}
	select {
	case of := <-l.links:
		return of, nil
	case <-l.done:
		return nil, net.ErrClosed
	}
}

func (l *listener) Addr() string { return Scheme + "://" + l.conn.LocalAddr().String() }

// Close stops accepting. The socket stays open until the last link that was accepted has ended; where there is none,
// Close waits for the end of all that the listener has started.
func (l *listener) Close() error {
	l.mu.Lock()
	first := !l.closed
	l.closed = true
	if first {
		close(l.done)
	}
	l.closeUnused()
	unused := len(l.table) == 0
	l.mu.Unlock()
	if unused {
		l.wg.Wait()
		return nil
	}
	for {
		select {
		case of := <-l.links: // never accepted
			_ = of.Close()
		default:
			return nil
		}
	}
}
