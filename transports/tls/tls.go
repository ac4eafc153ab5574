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
	addr, err := transports.Address(u, DefaultPort, trust.Parameters...)
	if err == nil && !trust.Proves(u) {
		_, err = transports.Loopback(u, addr)
	}
	return err
}

// conn is a connection whose handshake is over.
type conn struct {
	*tls.Conn

	cfg   *tls.Config
	names []string
}

// Names are those that the peer's certificate has proven.
func (c *conn) Names() []string { return c.names }

// Read says in words why the peer has refused this end's certificate: TLS 1.3 lets it do so after the handshake.
func (c *conn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if err != nil && err != io.EOF { //nolint:errorlint // io.Reader returns it bare
		err = trust.Explain(err, c.cfg, "")
	}
	return n, err
}

// secure makes the handshake, and closes raw on errors.
func secure(ctx context.Context, raw net.Conn, over *tls.Conn, cfg *tls.Config) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, spec.HelloTimeout)
	defer cancel()
	if err := trust.Handshake(ctx, over, cfg); err != nil {
		_ = raw.Close()
		return nil, fmt.Errorf("tls: %w", err)
	}
	state := over.ConnectionState()
	return &conn{over, cfg, trust.Names(&state)}, nil
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
	secured, err := secure(ctx, raw, tls.Client(raw, cfg), cfg)
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
	ln, err := tcp.Bind(ctx, u, addr, cfg.Authenticated || trust.Proves(u))
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
			return secure(ctx, raw, tls.Server(raw, settings), settings)
		},
	}), nil
}
