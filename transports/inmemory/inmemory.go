// Package inmemory is the reference transport: links between goroutines of one process, for tests and services that
// live beside their gateway. Frames are handed over, not copied, so an end may write neither to one that it has sent
// nor, as long as somebody else holds it, to one that it has received. URLs are inmemory://name; the names are the process's.
package inmemory

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/stella-ops/router/spec"
	"github.com/stella-ops/router/transports"
)

// Scheme is the URL scheme.
const Scheme = "inmemory"

// queue bounds the frames on their way in one direction.
const queue = 256

// backlog bounds the links that wait to be accepted.
const backlog = 64

func init() {
	transports.Register(transports.Transport{Scheme: Scheme, Check: check, Dialer: dialer{}, Listen: listen})
}

// ErrNoListener is what dialling a name that nobody listens on wraps.
var ErrNoListener = errors.New("nobody listens on this name")

var listeners = struct {
	sync.Mutex
	m map[string]*listener
}{m: map[string]*listener{}}

// check says whether the URL is inmemory://name and nothing else.
func check(u *url.URL) error {
	bare := url.URL{Scheme: u.Scheme, Host: u.Host}
	if u.Host == "" || u.ForceQuery || u.String() != bare.String() {
		return fmt.Errorf("inmemory: %s: expected a name, as in inmemory://name, and nothing else", u.Redacted())
	}
	return nil
}

type dialer struct{}

func (dialer) Dial(ctx context.Context, u *url.URL) (transports.Link, error) {
	listeners.Lock()
	l := listeners.m[u.Host]
	listeners.Unlock()
	if l == nil {
		return nil, fmt.Errorf("inmemory: dial %s: %w", u, ErrNoListener)
	}
	near, far := Pipe()
	select {
	case l.links <- far:
		return near, nil
	case <-l.done:
		return nil, fmt.Errorf("inmemory: dial %s: %w", u, ErrNoListener)
	case <-ctx.Done():
		return nil, fmt.Errorf("inmemory: dial %s: %w", u, context.Cause(ctx))
	}
}

func listen(_ context.Context, u *url.URL, _ transports.ListenConfig) (transports.Listener, error) {
	if err := check(u); err != nil {
		return nil, err
	}
	l := &listener{name: u.Host, links: make(chan transports.Link, backlog), done: make(chan struct{})}
	listeners.Lock()
	defer listeners.Unlock()
	if _, taken := listeners.m[l.name]; taken {
		return nil, fmt.Errorf("inmemory: listen %s: the name is taken", u)
	}
	listeners.m[l.name] = l
	return l, nil
}

type listener struct {
	name  string
	links chan transports.Link
	done  chan struct{}
	once  sync.Once
}

func (l *listener) Accept() (transports.Link, error) {
	select {
	case link := <-l.links:
		return link, nil
	case <-l.done:
		return nil, net.ErrClosed
	}
}

func (l *listener) Addr() string { return Scheme + "://" + l.name }

func (l *listener) Close() error {
	l.once.Do(func() {
		listeners.Lock()
		delete(listeners.m, l.name)
		listeners.Unlock()
		close(l.done)
		for {
			select {
			case link := <-l.links: // never accepted: the dialler must not wait for it
				_ = link.Close()
			default:
				return
			}
		}
	})
	return nil
}

// direction is one way of a link. Its writer closes ended.
type direction struct {
	frames chan *transports.Frame
	ended  chan struct{}
}

type link struct {
	in, out *direction
	left    []*transports.Frame // of a batch, still to be written
	max     uint32
	once    sync.Once
}

// Pipe returns the two ends of a new link.
func Pipe() (a, b transports.Link) {
	one := &direction{make(chan *transports.Frame, queue), make(chan struct{})}
	two := &direction{make(chan *transports.Frame, queue), make(chan struct{})}
	return &link{in: one, out: two, max: spec.MaxFrameHello}, &link{in: two, out: one, max: spec.MaxFrameHello}
}

func (l *link) ReadFrame() (*transports.Frame, error) {
	select {
	case f := <-l.in.frames:
		return l.check(f)
	default:
	}
	select {
	case f := <-l.in.frames:
		return l.check(f)
	case <-l.out.ended: // this end was closed
		return nil, net.ErrClosed
	case <-l.in.ended: // the peer was: what it wrote before still counts
		select {
		case f := <-l.in.frames:
			return l.check(f)
		default:
			return nil, io.EOF
		}
	}
}

func (l *link) check(f *transports.Frame) (*transports.Frame, error) {
	if _, err := spec.ParseHeader(f.Bytes(), l.max); err != nil {
		f.Release()
		return nil, err
	}
	return f, nil
}

func (l *link) WriteFrames(batch []*transports.Frame) error {
	if len(l.left) > 0 {
		batch = append(l.left, batch...)
		l.left = nil
	}
	for i, f := range batch {
		if err := l.write(f, spec.WriteStall); err != nil {
			release(batch[i:])
			return err
		}
	}
	return nil
}

// WriteSome implements [transports.Patient].
func (l *link) WriteSome(batch []*transports.Frame) (left bool, err error) {
	if len(l.left) > 0 {
		return false, l.WriteFrames(batch)
	}
	for i, f := range batch {
		err := l.write(f, transports.Moment)
		switch {
		case err == nil:
		case errors.Is(err, os.ErrDeadlineExceeded):
			l.left = slices.Clone(batch[i:])
			return true, nil
		default:
			release(batch[i:])
			return false, err
		}
	}
	return false, nil
}

func release(frames []*transports.Frame) {
	for _, f := range frames {
		f.Release()
	}
}

// write hands f over, for which it waits as long as patience says.
func (l *link) write(f *transports.Frame, patience time.Duration) error {
	select {
	case <-l.out.ended:
		return net.ErrClosed
	case <-l.in.ended:
		return io.ErrClosedPipe
	default:
	}
	select {
	case l.out.frames <- f:
		return nil
	default:
	}
	stall := time.NewTimer(patience)
	defer stall.Stop()
	select {
	case l.out.frames <- f:
		return nil
	case <-l.out.ended:
		return net.ErrClosed
	case <-l.in.ended:
		return io.ErrClosedPipe
	case <-stall.C:
		return fmt.Errorf("inmemory: write without progress for %v: %w", patience, os.ErrDeadlineExceeded)
	}
}

func (l *link) SetMaxPayload(n uint32) { l.max = n }

func (l *link) Close() error {
	l.once.Do(func() { close(l.out.ended) })
	return nil
}

func (l *link) Traits() transports.Traits {
	return transports.Traits{
		Order: transports.OrderLink, MaxPayload: spec.MaxFrameHard, Streams: true, Remote: "inmemory", Scheme: Scheme,
	}
}
