// Package tls is the transport of networks that are not trusted: frames over TLS on a TCP connection, tls://host:port. TLS
// 1.3 unless the URL has min=1.2. [github.com/stella-ops/router/transports/trust] lists the parameters of its URLs.
package tls

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/url"
	"sync"

	"github.com/stella-ops/router/spec"
	"github.com/stella-ops/router/transports"
	"github.com/stella-ops/router/transports/tcp"
	"github.com/stella-ops/router/transports/trust"
)

// Scheme is the URL scheme.
const Scheme = "tls"

// DefaultPort is taken where a URL names none.
const DefaultPort = "5101"

func init() {
	transports.Register(transports.Transport{
		Scheme: Scheme, Check: check, Guard: guard, Encrypted: true, Dialer: dialer{}, Listen: listen,
	})
}

func check(u *url.URL) error {
	if _, err := transports.Address(u, DefaultPort, trust.Parameters...); err != nil {
		return err
	}
	return trust.Check(u)
}

// guard is an error where services need not show a certificate and other machines reach the address.
func guard(u *url.URL) error {
	if trust.Proves(u) {
		return nil
	}
	return transports.OnlyLoopback(u, DefaultPort, trust.Parameters...)
}

// conn is a connection whose handshake is over. It implements [transports.Sealed].
type conn struct {
	*tls.Conn

	box   *box
	cfg   *tls.Config
	names []string
}

// Seal encrypts.
func (c *conn) Seal(plain net.Buffers) ([]byte, error) {
	for _, b := range plain {
		if _, err := c.Write(b); err != nil {
			return nil, fmt.Errorf("tls: %w", err)
		}
	}
	return c.box.take(), nil
}

// Raw is the TCP connection.
func (c *conn) Raw() net.Conn { return c.box.Conn }

// Close ends the connection at once: the session's last frame has said that it ends, and an end that somebody on the way
// brought about is no frame.
func (c *conn) Close() error { return c.box.Close() }

// Names are those that the peer's certificate has proven.
func (c *conn) Names() []string { return c.names }

// Read says in words why the peer has refused this end's certificate: TLS 1.3 lets it do so after the handshake.
func (c *conn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if err != nil && err != io.EOF { //nolint:errorlint // io.Reader returns it bare
		err = trust.Explain(err, trust.Remote(err), c.cfg, "")
	}
	return n, err
}

// secure makes the handshake, and closes raw on errors.
func secure(ctx context.Context, raw net.Conn, side func(net.Conn, *tls.Config) *tls.Conn, cfg *tls.Config) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, spec.HelloTimeout)
	defer cancel()
	b := &box{Conn: raw}
	over := side(b, cfg)
	if err := trust.Handshake(ctx, over, cfg); err != nil {
		_ = raw.Close()
		return nil, fmt.Errorf("tls: %w", err)
	}
	b.shut()
	state := over.ConnectionState()
	return &conn{over, b, cfg, trust.Names(&state)}, nil
}

// maxKept is the largest buffer that a box keeps from one batch to the next, in bytes.
const maxKept = 128 << 10

// box is the connection that TLS writes to. Once it is shut it keeps what is written, for the link to write: also what
// TLS answers by itself while it reads, which leaves with the next batch.
type box struct {
	net.Conn

	mu   sync.Mutex
	kept bool
	next []byte // what TLS has written
	last []byte // what was taken last
}

func (b *box) shut() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.kept = true
}

// Write implements [net.Conn].
func (b *box) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.kept {
		return b.Conn.Write(p)
	}
	b.next = append(b.next, p...)
	return len(p), nil
}

// take returns what has been written since the last time.
func (b *box) take() []byte {
	b.mu.Lock()
	defer b.mu.Unlock()
	if cap(b.last) > maxKept {
		b.last = nil
	}
	b.last, b.next = b.next, b.last[:0]
	return b.last
}

type dialer struct{}

func (dialer) Dial(ctx context.Context, u *url.URL) (transports.Link, error) {
	addr, err := transports.Address(u, DefaultPort, trust.Parameters...)
	if err != nil {
		return nil, err
	}
	cfg, err := trust.Client(u)
	if err != nil {
		return nil, err
	}
	raw, err := tcp.Connect(ctx, addr)
	if err != nil {
		return nil, fmt.Errorf("tls: %w", err)
	}
	secured, err := secure(ctx, raw, tls.Client, cfg)
	if err != nil {
		return nil, err
	}
	return transports.OpenStream(secured, Scheme)
}

func listen(ctx context.Context, u *url.URL, cfg transports.ListenConfig) (transports.Listener, error) {
	addr, err := transports.Address(u, DefaultPort, trust.Parameters...)
	if err != nil {
		return nil, err
	}
	settings, err := trust.Server(u, func(err error) {
		if cfg.Rejected != nil {
			cfg.Rejected(u.Host, err)
		}
	})
	if err != nil {
		return nil, err
	}
	ln, err := tcp.Bind(ctx, u, addr, cfg.Authenticated || trust.Proves(u), cfg)
	if err != nil {
		return nil, err
	}
	return transports.ListenStream(ln, transports.StreamListener{
		ListenConfig: cfg, Scheme: Scheme, Addr: Scheme + "://" + ln.Addr().String(),
		Prepare: func(ctx context.Context, raw net.Conn) (net.Conn, error) {
			raw, err := tcp.Prepare(ctx, raw)
			if err != nil {
				return nil, err
			}
			return secure(ctx, raw, tls.Server, settings)
		},
	}), nil
}
