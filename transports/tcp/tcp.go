// Package tcp is the baseline transport: frames over a TCP connection, tcp://host:port, or over a socket of this machine,
// unix:///path. It has no encryption and no authentication of its own, so tcp listens beyond loopback addresses only
// where the listener's owner authenticates peers. Who may use a socket is up to its file's permissions.
package tcp

import (
	"context"
	"fmt"
	"net"
	"net/url"
	"time"

	"github.com/stella-ops/router/transports"
)

// Scheme is the URL scheme.
const Scheme = "tcp"

// DefaultPort is taken where a URL names none.
const DefaultPort = "5100"

const dialTimeout = 5 * time.Second

var keepAlive = net.KeepAliveConfig{Enable: true, Idle: 15 * time.Second, Interval: 15 * time.Second, Count: 3}

func init() {
	transports.Register(transports.Transport{Scheme: Scheme, Check: check, Guard: guard, Dialer: dialer{}, Listen: listen})
}

// check says whether the URL is tcp://host:port and nothing else.
func check(u *url.URL) error {
	_, err := transports.Address(u, DefaultPort)
	return err
}

func guard(u *url.URL) error {
	return transports.OnlyLoopback(u, DefaultPort)
}

// Connect dials a TCP address, host:port, for a link.
func Connect(ctx context.Context, addr string) (net.Conn, error) {
	d := net.Dialer{Timeout: dialTimeout, KeepAliveConfig: keepAlive}
	conn, err := d.DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, err // it names the address, and the caller the scheme
	}
	keepQueueShort(conn)
	return conn, nil
}

// Bind listens on the address of a URL. It must be a loopback address unless others are allowed: it is checked before it
// is bound, so that not even for a moment is the port open to others. A socket that the process was given is taken instead.
func Bind(ctx context.Context, u *url.URL, addr string, others bool, cfg transports.ListenConfig) (net.Listener, error) {
	bound, err := transports.Loopback(u, addr)
	if err != nil && (bound == nil || !others) {
		return nil, err
	}
	ln, err := cfg.ListenSocket("tcp", bound.String(), func() (net.Listener, error) {
		lc := net.ListenConfig{KeepAliveConfig: keepAlive}
		return lc.Listen(ctx, "tcp", bound.String())
	})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", u.Scheme, err)
	}
	return ln, nil
}

// Prepare sets the options of an accepted connection.
func Prepare(_ context.Context, conn net.Conn) (net.Conn, error) {
	if c, ok := conn.(*net.TCPConn); ok { // one of a socket that was inherited has others
		_ = c.SetKeepAliveConfig(keepAlive) // where it cannot, the session's own PING finds out as much
	}
	keepQueueShort(conn)
	return conn, nil
}

type dialer struct{}

func (dialer) Dial(ctx context.Context, u *url.URL) (transports.Link, error) {
	addr, err := transports.Address(u, DefaultPort)
	if err != nil {
		return nil, err
	}
	conn, err := Connect(ctx, addr)
	if err != nil {
		return nil, fmt.Errorf("tcp: %w", err)
	}
	return transports.OpenStream(conn, Scheme)
}

func listen(ctx context.Context, u *url.URL, cfg transports.ListenConfig) (transports.Listener, error) {
	addr, err := transports.Address(u, DefaultPort)
	if err != nil {
		return nil, err
	}
	ln, err := Bind(ctx, u, addr, cfg.Authenticated, cfg)
	if err != nil {
		return nil, err
	}
	return transports.ListenStream(ln, transports.StreamListener{
		ListenConfig: cfg, Scheme: Scheme, Addr: Scheme + "://" + ln.Addr().String(), Prepare: Prepare,
	}), nil
}
