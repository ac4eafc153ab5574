package gateway

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"

	"github.com/pires/go-proxyproto"

	"github.com/stella-ops/router/gateway/handover"
	"github.com/stella-ops/router/gateway/limit"
	"github.com/stella-ops/router/transports/trust"
)

// proxyHeaderTimeout bounds how long a listed peer may take to send its PROXY protocol header.
const proxyHeaderTimeout = 5 * time.Second

// Listener is one address for clients.
type Listener struct {
	Address string       // host:port
	TLS     *ListenerTLS // nil: HTTP/1.1, and HTTP/2 by prior knowledge
	// ProxyFrom are the networks whose peers say by the PROXY protocol, version 1 or 2, for whom they speak. Such a header is
	// asked of them, and taken from nobody else.
	ProxyFrom []netip.Prefix
}

// ListenerTLS is how a listener encrypts. Files are read again when they have changed; if they are broken then, what was
// read before stays good.
type ListenerTLS struct {
	Cert, Key string // PEM files
	ClientCAs string // PEM file with the roots of clients' certificates; empty: clients are not asked for any
	Required  bool   // clients without a certificate are turned away
	HTTP3     bool   // HTTP/3 is served, too, on the UDP port of the same number
}

// listeners are all addresses for clients.
func (c *Config) listeners() []Listener {
	if c.HTTP == "" {
		return c.Listeners
	}
	return append([]Listener{{Address: c.HTTP}}, c.Listeners...)
}

// check says what is wrong with a listener, without a look at its files.
func (l *Listener) check() error {
	_, err := resolve("http", l.Address)
	if l.TLS != nil && (l.TLS.Cert == "" || l.TLS.Key == "") {
		err = errors.Join(err, fmt.Errorf("%w: listener %s: expected files with a certificate and its key", ErrConfig, l.Address))
	}
	if l.TLS != nil && l.TLS.HTTP3 && len(l.ProxyFrom) > 0 {
		err = errors.Join(err, fmt.Errorf("%w: listener %s: the PROXY protocol is not for HTTP/3: whom a peer speaks for is not known there", ErrConfig, l.Address))
	}
	return err
}

// listen takes the address, and returns the settings of TLS, if any. What becomes wrong with its files is told to broken.
func (l *Listener) listen(sockets *handover.Sockets, limits *limit.Limiter, broken func(error)) (net.Listener, *tls.Config, error) {
	var cfg *tls.Config
	if l.TLS != nil {
		var err error
		if cfg, err = l.TLS.config(broken); err != nil {
			return nil, nil, fmt.Errorf("%w: listener %s: %w", ErrConfig, l.Address, err)
		}
	}
	inner, err := sockets.Listen("tcp", l.Address, func() (net.Listener, error) {
		return net.Listen("tcp", l.Address) //nolint:noctx // the address is resolved, and nothing else waits
	})
	if err != nil {
		return nil, nil, fmt.Errorf("gateway: http: %w", err)
	}
	inner = limits.LimitListener(inner, l.ProxyFrom...)
	if len(l.ProxyFrom) > 0 {
		inner = &proxyproto.Listener{Listener: inner, ConnPolicy: l.proxied, ReadHeaderTimeout: proxyHeaderTimeout}
	}
	if cfg != nil {
		inner = tls.NewListener(inner, cfg)
	}
	return inner, cfg, nil
}

// proxied says whether a peer has to send a PROXY protocol header.
func (l *Listener) proxied(o proxyproto.ConnPolicyOptions) (proxyproto.Policy, error) {
	peer, err := netip.ParseAddrPort(o.Upstream.String())
	if err != nil {
		return proxyproto.REJECT, err //nolint:wrapcheck // the library drops the connection
	}
	for _, network := range l.ProxyFrom {
		if network.Contains(peer.Addr().Unmap()) {
			return proxyproto.REQUIRE, nil
		}
	}
	return proxyproto.SKIP, nil
}

func (t *ListenerTLS) config(broken func(error)) (*tls.Config, error) {
	files := trust.Files{Cert: t.Cert, Key: t.Key, ClientCAs: t.ClientCAs, Clients: tls.VerifyClientCertIfGiven, Protocols: []string{"h2", "http/1.1"}}
	if t.Required {
		files.Clients = tls.RequireAndVerifyClientCert
	}
	return trust.ServerOf(files, broken)
}
