// Package transports says what a transport is: a dumb pipe of frames between a service and a gateway. A transport
// knows nothing else. What frames mean is package session's business, the same on every transport.
//
// A transport registers its URL scheme in an init function, so that importing it is enough:
//
//	import _ "github.com/stella-ops/router/transports/tcp"
//
// Start reading at [Link].
package transports

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"
)

// Link is one connection that moves whole frames. Every Link is reliable. ReadFrame is called by one goroutine and
// WriteFrames by one at a time; the two may overlap, and Close may be called at any time, more than once.
type Link interface {
	// ReadFrame returns the next frame, which the caller must release. It checks the header and the payload
	// limit before it allocates. io.EOF is the peer's orderly end.
	ReadFrame() (*Frame, error)
	// WriteFrames writes the frames in order and takes them over: it releases each, on errors too. A write
	// without progress for [spec.WriteStall] is an error.
	WriteFrames([]*Frame) error
	// SetMaxPayload sets the limit for frames that are read from now on. Only the goroutine that reads may
	// call it.
	SetMaxPayload(uint32)
	// Close ends the link and makes pending reads and writes return.
	Close() error
	// Traits says what the link can do.
	Traits() Traits
}

// Patient is a Link that can leave a write half way whose peer makes it wait, for callers with other things to do.
type Patient interface {
	Link
	// WriteSome is WriteFrames, but waits for the peer for a [Moment] only. left tells that the rest is still to be
	// written: the next WriteFrames, which may be one of no frames, begins with it.
	WriteSome([]*Frame) (left bool, err error)
}

// Deliverer is a Link that has goroutines of its own that read, and can hand frames on without waking another.
type Deliverer interface {
	Link
	// Deliver gives every frame to take, which releases it and does not wait for anything, one at a time. It returns the
	// link's end, as ReadFrame would, or the error that take returned, after which there are no more frames. Whoever has
	// called ReadFrame calls it at most once, in its place from then on. take must not close the link.
	Deliver(take func(*Frame) error) error
}

// Moment is how long a caller waits that writes for others, too.
const Moment = 20 * time.Millisecond

// Traits are a link's properties that a session must respect.
type Traits struct {
	Order      Order
	MaxPayload uint32 // the largest payload the link can carry, in bytes
	Streams    bool   // whether calls with streamed bodies may use it
	Remote     string // the peer's address, for logs
	Scheme     string // of the URL: tcp, inmemory, ...
	// Names are what the peer's certificate proves it to be called. Empty where it has shown none.
	Names []string
	// Brokered says that frames pass through a server at which others than the peer may be able to write to this link.
	// A session that has a token signs them there.
	Brokered bool
}

// Order is how much of the writing order a link keeps.
type Order uint8

// The orders.
const (
	OrderLink   Order = iota // all frames in the order they were written
	OrderStream              // frames of one stream in order, as on QUIC
	OrderNone                // any order
)

// Dialer opens links to gateways.
type Dialer interface {
	// Dial opens one link. The context bounds the dialling, not the link.
	Dial(ctx context.Context, u *url.URL) (Link, error)
}

// Listener accepts links from services.
type Listener interface {
	// Accept returns the next link. A link that fails its opening is closed and reported to the Opening
	// function of [ListenConfig], not here: an error ends the listener.
	Accept() (Link, error)
	// Addr is the URL under which the listener can be dialled, with the port that was really taken.
	Addr() string
	// Close stops accepting. Links that were accepted stay open.
	Close() error
}

// ListenConfig goes to a transport's listen function.
type ListenConfig struct {
	// Rejected is told of every connection that did not become a link, and why. It must not block. Nil is allowed.
	Rejected func(remote string, err error)
	// Authenticated says that whoever listens has every peer prove who it is. A transport that cannot do so by itself
	// listens beyond loopback addresses only then.
	Authenticated bool
	// Sockets are those that outlive their process. Nil: there are none. Transports over packets and brokers ask nobody.
	Sockets Sockets
}

// Sockets are listening sockets of streams that one process hands to the next.
type Sockets interface {
	// Inherited is the socket of an address of network tcp or unix that this process was given, or nil: then it is to be
	// bound.
	Inherited(network, address string) (net.Listener, error)
	// Bound is told of every socket on which a transport listens from now on, inherited or not.
	Bound(net.Listener)
}

// ListenSocket listens on the socket that the process was given for an address, or else on the one that bind makes.
func (c *ListenConfig) ListenSocket(network, address string, bind func() (net.Listener, error)) (net.Listener, error) {
	if c.Sockets == nil {
		return bind()
	}
	ln, err := c.Sockets.Inherited(network, address)
	if ln == nil && err == nil {
		ln, err = bind()
	}
	if err != nil {
		return nil, err
	}
	c.Sockets.Bound(ln)
	return ln, nil
}

// Transport is what a transport registers.
type Transport struct {
	Scheme string
	// Check says what is wrong with a URL of this scheme, without a look at the network. [Parse] calls it, so that
	// whoever configures a service or gateway hears of it before anything is dialled. Nil takes every URL.
	Check func(u *url.URL) error
	// Guard is an error where others than this machine's users could reach a listener on the URL and would not have to
	// prove who they are. Nil says that nobody can.
	Guard func(u *url.URL) error
	// Encrypted says that nobody on the way can read or change frames.
	Encrypted bool
	Dialer    Dialer
	// Gateways lists the gateways that a URL stands for at the moment, where that may be several: those that have announced
	// themselves at a broker. Each is a URL that Dial opens a link with to that gateway and to no other, and that stays the
	// same for as long as the gateway listens. It has the login and the parameters of u, and stands for itself when it is
	// listed in turn. None is no error; an error says that it cannot be known now. Services hold a session with each gateway:
	// they ask every few seconds, and whenever a session has ended, until ctx does. Nil: every URL is one gateway.
	Gateways func(ctx context.Context, u *url.URL) ([]string, error)
	Listen   func(ctx context.Context, u *url.URL, cfg ListenConfig) (Listener, error)
	// Queue opens the queues at the broker that the URL names. Nil: the transport has no broker.
	Queue func(u *url.URL) (Queue, error)
}

var registry struct {
	sync.RWMutex
	m map[string]Transport
}

// Register makes a transport known by its scheme. It is for init functions, and panics on a second registration.
func Register(t Transport) {
	registry.Lock()
	defer registry.Unlock()
	if registry.m == nil {
		registry.m = map[string]Transport{}
	}
	if _, dup := registry.m[t.Scheme]; dup {
		panic("transports: scheme " + t.Scheme + " registered twice")
	}
	registry.m[t.Scheme] = t
}

// ErrScheme is what errors about a URL whose scheme nothing has registered wrap.
var ErrScheme = errors.New("no transport of this name is linked in")

// Parse reads a transport URL, finds its transport, and has that check the URL.
func Parse(raw string) (*url.URL, Transport, error) {
	u, err := url.Parse(raw)
	if err != nil || u.Scheme == "" {
		return nil, Transport{}, fmt.Errorf("transports: %q is not a URL such as tcp://127.0.0.1:5100", Redacted(raw))
	}
	if u.Opaque != "" {
		return nil, Transport{}, fmt.Errorf("transports: %q has no //, expected a URL such as tcp://127.0.0.1:5100", Redacted(raw))
	}
	t, err := find(u.Scheme)
	if err != nil {
		return nil, Transport{}, fmt.Errorf("transports: %s: %w", Redacted(raw), err)
	}
	if t.Check != nil {
		if err := t.Check(u); err != nil {
			return nil, Transport{}, err
		}
	}
	return u, t, nil
}

func find(scheme string) (Transport, error) {
	registry.RLock()
	defer registry.RUnlock()
	t, ok := registry.m[scheme]
	if !ok {
		return Transport{}, fmt.Errorf("scheme %q: %w; linked in are %s", scheme, ErrScheme, strings.Join(schemes(), ", "))
	}
	return t, nil
}

// Dial opens a link to a transport URL.
func Dial(ctx context.Context, raw string) (Link, error) {
	u, t, err := Parse(raw)
	if err != nil {
		return nil, err
	}
	return t.Dialer.Dial(ctx, u)
}

// Listen listens on a transport URL.
func Listen(ctx context.Context, raw string, cfg ListenConfig) (Listener, error) {
	u, t, err := Parse(raw)
	if err != nil {
		return nil, err
	}
	return t.Listen(ctx, u, cfg)
}

func schemes() []string {
	var s []string
	for name := range registry.m {
		s = append(s, name)
	}
	slices.Sort(s)
	return s
}
