// Package tcp is the baseline transport: frames over a TCP connection, tcp://host:port. It has no encryption and no
// authentication of its own, so it listens beyond loopback addresses only where the listener's owner authenticates peers.
package tcp

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/stella-ops/router/transports"
)

// Scheme is the URL scheme.
const Scheme = "tcp"

// DefaultPort is taken where a URL names none.
const DefaultPort = "5100"

const (
	dialTimeout = 5 * time.Second
	// opening bounds the connections that have not yet become a link; further ones wait in the kernel's queue.
	opening = 256
	// Bounds of the wait after accepting has failed for want of file descriptors or memory.
	minPause, maxPause = 5 * time.Millisecond, time.Second
)

var keepAlive = net.KeepAliveConfig{Enable: true, Idle: 15 * time.Second, Interval: 15 * time.Second, Count: 3}

func init() {
	transports.Register(transports.Transport{Scheme: Scheme, Check: check, Dialer: dialer{}, Listen: listen})
}

// check says whether the URL is tcp://host:port and nothing else.
func check(u *url.URL) error {
	_, err := address(u)
	return err
}

// maxPort is the highest port there is.
const maxPort = 1<<16 - 1

// address checks the URL and returns its host and port.
func address(u *url.URL) (string, error) {
	host, port := u.Hostname(), u.Port()
	bare := url.URL{Scheme: u.Scheme, Host: u.Host}
	if host == "" || u.ForceQuery || u.String() != bare.String() {
		return "", fmt.Errorf("tcp: %s: expected tcp://host:port and nothing else", u.Redacted())
	}
	if port == "" {
		port = DefaultPort
	}
	if n, err := strconv.Atoi(port); err != nil || n > maxPort {
		return "", fmt.Errorf("tcp: %s: expected a port of at most %d, got %s", u.Redacted(), maxPort, port)
	}
	return net.JoinHostPort(host, port), nil
}

type dialer struct{}

func (dialer) Dial(ctx context.Context, u *url.URL) (transports.Link, error) {
	addr, err := address(u)
	if err != nil {
		return nil, err
	}
	d := net.Dialer{Timeout: dialTimeout, KeepAliveConfig: keepAlive}
	conn, err := d.DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("tcp: %w", err)
	}
	keepQueueShort(conn)
	return transports.OpenStream(conn, Scheme)
}

func listen(ctx context.Context, u *url.URL, cfg transports.ListenConfig) (transports.Listener, error) {
	addr, err := address(u)
	if err != nil {
		return nil, err
	}
	// The address is checked before it is bound: not even for a moment is the port open to others.
	bound, err := net.ResolveTCPAddr("tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("tcp: listen %s: %w", u, err)
	}
	if !bound.IP.IsLoopback() && !cfg.Authenticated {
		return nil, fmt.Errorf("tcp: listen %s: not a loopback address: nobody there would have to prove who it is", u)
	}
	lc := net.ListenConfig{KeepAliveConfig: keepAlive}
	ln, err := lc.Listen(ctx, "tcp", bound.String())
	if err != nil {
		return nil, fmt.Errorf("tcp: %w", err)
	}
	return newListener(ln, cfg), nil
}

func newListener(ln net.Listener, cfg transports.ListenConfig) *listener {
	l := &listener{ln: ln, cfg: cfg, links: make(chan transports.Link), done: make(chan struct{})}
	l.wg.Go(l.accept)
	return l
}

type listener struct {
	ln    net.Listener
	cfg   transports.ListenConfig
	links chan transports.Link
	done  chan struct{}
	once  sync.Once
	wg    sync.WaitGroup // the accepting goroutine, and one for each connection that is opening
	err   error          // why accepting ended; set before done is closed
}

func (l *listener) accept() {
	slots := make(chan struct{}, opening)
	pause := time.Duration(0)
	for {
		conn, err := l.ln.Accept()
		if err != nil {
			if pause = min(max(2*pause, minPause), maxPause); exhausted(err) && l.rest(pause, err) {
				continue
			}
			l.end(err)
			return
		}
		pause = 0
		select {
		case slots <- struct{}{}:
		case <-l.done:
			_ = conn.Close()
			return
		}
		l.wg.Go(func() {
			defer func() { <-slots }()
			l.open(conn)
		})
	}
}

// exhausted reports whether accepting failed because the machine is out of something, for now.
func exhausted(err error) bool {
	for _, e := range []error{syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM, syscall.ECONNABORTED} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// rest waits before the next attempt to accept. It is false when the listener has been closed.
func (l *listener) rest(pause time.Duration, why error) bool {
	if l.cfg.Rejected != nil {
		l.cfg.Rejected(l.ln.Addr().String(), fmt.Errorf("tcp: accept, again in %v: %w", pause, why))
	}
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-l.done:
		return false
	}
}

func (l *listener) open(conn net.Conn) {
	opened := make(chan struct{})
	l.wg.Go(func() {
		select {
		case <-l.done:
			select {
			case <-opened: // and handed over, perhaps: it is not the listener's any more
			default:
				_ = conn.Close() // do not make Close wait for a silent peer
			}
		case <-opened:
		}
	})
	keepQueueShort(conn)
	link, err := transports.OpenStream(conn, Scheme)
	close(opened)
	if err != nil {
		if l.cfg.Rejected != nil {
			l.cfg.Rejected(conn.RemoteAddr().String(), err)
		}
		return
	}
	select {
	case l.links <- link:
	case <-l.done:
		_ = link.Close()
	}
}

func (l *listener) Accept() (transports.Link, error) {
	select {
	case link := <-l.links:
		return link, nil
	case <-l.done:
		return nil, l.err
	}
}

func (l *listener) Addr() string { return Scheme + "://" + l.ln.Addr().String() }

func (l *listener) Close() error {
	l.end(net.ErrClosed)
	err := l.ln.Close()
	l.wg.Wait()
	return err
}

func (l *listener) end(err error) {
	l.once.Do(func() {
		l.err = err
		close(l.done)
	})
}
