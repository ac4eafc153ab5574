// Package quic is the transport over QUIC, quic://host:port: encrypted with TLS 1.3, and with a QUIC stream for each call,
// so that a lost packet delays the calls that it carried a part of, and no others. A session survives a change of the
// service's address.
//
// The service, which dials, opens one bidirectional QUIC stream at once, the control stream. Both ends send the preamble
// of byte streams on it, and then all frames of the session (stream id 0) and all CREDIT. The other frames of a call
// travel on a bidirectional QUIC stream of the call's own, which the gateway opens; the first frame on it tells the
// call's id. When both directions of a call have ended, each by END or CANCEL, both ends close their side of the call's
// QUIC stream and forget it: what is written for the call after that has crossed its end, and is dropped.
//
// [github.com/stella-ops/router/transports/trust] lists the parameters of its URLs; min is not one of them.
package quic

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/quic-go/quic-go"

	"github.com/stella-ops/router/spec"
	"github.com/stella-ops/router/transports"
	"github.com/stella-ops/router/transports/trust"
)

// Scheme is the URL scheme.
const Scheme = "quic"

// DefaultPort is taken where a URL names none.
const DefaultPort = "5103"

const (
	dialTimeout = 5 * time.Second // for all the addresses of a name together
)

// Codes with which an end closes the connection.
const (
	codeDone   quic.ApplicationErrorCode = 0 // in order
	codeFailed quic.ApplicationErrorCode = 1 // the connection did not become a link
)

// Windows, in bytes. The session's credit bounds what comes, and what comes is always read: QUIC's own windows must only
// be wide enough not to be what senders wait for. They are not memory, unless packets are lost.
const (
	streamWindow    = 2 * spec.StreamWindow // what a call begins with, and room for the frames' headers
	maxStreamWindow = 1<<20 + 128<<10       // up to 1 MiB a session's windows grow; the rest is for headers
	connWindow      = 1 << 20
	maxConnWindow   = 64 << 20 // what a session holds at most, unless told otherwise
)

// callStreams is how many calls a service lets be open at once: more than any lease that is useful, as calls that are
// about to end count too.
const callStreams = 1 << 16

// Times. The session has heartbeats of its own: these keep what stands in the way (NAT) from forgetting the connection, and
// end one that nobody watches.
const (
	keepAlive = 15 * time.Second
	maxIdle   = 30 * time.Second
)

// config is the QUIC configuration of an end that lets the peer open that many streams.
func config(streams int64) *quic.Config {
	return &quic.Config{
		HandshakeIdleTimeout:           spec.HelloTimeout / 2, // a handshake as a whole may take twice this
		MaxIdleTimeout:                 maxIdle,
		KeepAlivePeriod:                keepAlive,
		InitialStreamReceiveWindow:     streamWindow,
		MaxStreamReceiveWindow:         maxStreamWindow,
		InitialConnectionReceiveWindow: connWindow,
		MaxConnectionReceiveWindow:     maxConnWindow,
		MaxIncomingStreams:             streams,
		MaxIncomingUniStreams:          -1, // none
	}
}

func init() {
	transports.Register(transports.Transport{Scheme: Scheme, Check: check, Guard: guard, Encrypted: true, Dialer: dialer{}, Listen: listen})
}

// check says whether the URL is quic://host:port, with the parameters that this package knows and nothing else.
func check(u *url.URL) error {
	if _, err := transports.Address(u, DefaultPort, parameters...); err != nil {
		return err
	}
	return trust.Check(u)
}

// guard is an error where services need not show a certificate and other machines reach the address.
func guard(u *url.URL) error {
	if trust.Proves(u) {
		return nil
	}
	return transports.OnlyLoopback(u, DefaultPort, parameters...)
}

// resolve finds the UDP addresses of the URL's host, at least one.
func resolve(ctx context.Context, u *url.URL) ([]*net.UDPAddr, error) {
	addr, err := transports.Address(u, DefaultPort, parameters...)
	if err != nil {
		return nil, err
	}
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, fmt.Errorf("quic: %w", err)
	}
	ips, err := net.DefaultResolver.LookupNetIP(ctx, "ip", host)
	if err != nil {
		return nil, fmt.Errorf("quic: %w", err)
	}
	n, _ := strconv.Atoi(port) // address has checked it
	addrs := make([]*net.UDPAddr, 0, len(ips))
	for _, ip := range ips {
		addrs = append(addrs, net.UDPAddrFromAddrPort(netip.AddrPortFrom(ip.Unmap(), uint16(n))))
	}
	return addrs, nil
}

// socket is a UDP socket, shared by a listener and the links that it has accepted. The last of them closes it.
type socket struct {
	udp    *net.UDPConn
	tr     *quic.Transport
	shares atomic.Int32
}

// open binds a socket and returns it with one share.
func open(addr *net.UDPAddr) (*socket, error) {
	udp, err := net.ListenUDP("udp", addr)
	if err != nil {
		return nil, fmt.Errorf("quic: %w", err)
	}
	s := &socket{udp: udp, tr: &quic.Transport{Conn: udp}}
	s.shares.Store(1)
	return s, nil
}

func (s *socket) share() *socket {
	s.shares.Add(1)
	return s
}

func (s *socket) release() error {
	if s.shares.Add(-1) > 0 {
		return nil
	}
	return errors.Join(s.tr.Close(), s.udp.Close())
}

type dialer struct{}

func (dialer) Dial(ctx context.Context, u *url.URL) (transports.Link, error) {
	cfg, err := clientTLS(u)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	addrs, err := resolve(ctx, u)
	if err != nil {
		return nil, err
	}
	var failed []error
	for _, addr := range addrs {
		link, err := dial(ctx, addr, func(s *socket) (*quic.Conn, error) { return s.tr.Dial(ctx, addr, cfg, config(callStreams)) })
		if err == nil {
			return link, nil
		}
		failed = append(failed, fmt.Errorf("quic: dial %s: %w", addr, explain(err, cfg)))
		if ctx.Err() != nil {
			break
		}
	}
	return nil, errors.Join(failed...)
}

// dial dials one address, from a socket of its own.
func dial(ctx context.Context, addr *net.UDPAddr, connect func(*socket) (*quic.Conn, error)) (*link, error) {
	local := &net.UDPAddr{IP: net.IPv6unspecified}
	if addr.IP.To4() != nil {
		local.IP = net.IPv4zero
	}
	s, err := open(local)
	if err != nil {
		return nil, err
	}
	conn, err := connect(s)
	if err != nil {
		_ = s.release()
		return nil, err
	}
	control, err := conn.OpenStreamSync(ctx)
	if err == nil {
		var l *link
		if l, err = newLink(ctx, s, conn, control, false); err == nil {
			return l, nil
		}
	}
	_ = conn.CloseWithError(codeFailed, "")
	_ = s.release()
	return nil, err
}
