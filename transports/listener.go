package transports

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"syscall"
	"time"

	"github.com/stella-ops/router/spec"
)

const (
	// opening bounds the connections that have not yet become a link; further ones wait in the kernel's queue.
	opening = 256
	// Bounds of the wait after accepting has failed for want of file descriptors or memory.
	minPause, maxPause = 5 * time.Millisecond, time.Second
)

// StreamListener says how the connections of a [net.Listener] become links.
type StreamListener struct {
	ListenConfig

	Scheme string
	Addr   string // the URL under which the listener can be dialled
	// Prepare makes a connection fit for frames: options, a handshake. It has as long as ctx. Nil takes it as it is.
	Prepare func(ctx context.Context, conn net.Conn) (net.Conn, error)
}

// ListenStream makes links of the connections that ln accepts, and closes ln in the end.
func ListenStream(ln net.Listener, cfg StreamListener) Listener {
	l := &streamListener{ln: ln, cfg: cfg, links: make(chan Link), done: make(chan struct{})}
	l.wg.Go(l.accept)
	return l
}

type streamListener struct {
	ln    net.Listener
	cfg   StreamListener
	links chan Link
	done  chan struct{}
	once  sync.Once
	wg    sync.WaitGroup // the accepting goroutine, and one for each connection that is opening
	err   error          // why accepting ended; set before done is closed
}

func (l *streamListener) accept() {
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
func (l *streamListener) rest(pause time.Duration, why error) bool {
	if l.cfg.Rejected != nil {
		l.cfg.Rejected(l.ln.Addr().String(), fmt.Errorf(l.cfg.Scheme+": accept, again in %v: %w", pause, why))
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

func (l *streamListener) open(conn net.Conn) {
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
	link, err := l.link(conn)
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

func (l *streamListener) Accept() (Link, error) {
	select {
	case link := <-l.links:
		return link, nil
	case <-l.done:
		return nil, l.err
	}
}

// link opens a link on a connection, which it closes on errors.
func (l *streamListener) link(conn net.Conn) (Link, error) {
	if l.cfg.Prepare != nil {
		ctx, cancel := context.WithTimeout(context.Background(), spec.HelloTimeout)
		defer cancel()
		prepared, err := l.cfg.Prepare(ctx, conn)
		if err != nil {
			_ = conn.Close()
			return nil, err
		}
		conn = prepared
	}
	return OpenStream(conn, l.cfg.Scheme)
}

func (l *streamListener) Addr() string { return l.cfg.Addr }

func (l *streamListener) Close() error {
	l.end(net.ErrClosed)
	err := l.ln.Close()
	l.wg.Wait()
	return err
}

func (l *streamListener) end(err error) {
	l.once.Do(func() {
		l.err = err
		close(l.done)
	})
}
