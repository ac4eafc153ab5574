package gateway

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"time"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"
)

// Bounds of one client's connection by HTTP/3, beside those that the other versions have, too.
const (
	http3Streams      = 100     // requests at once, as the other versions have
	http3StreamWindow = 1 << 20 // bytes of one request's body on their way
	http3ConnWindow   = 4 << 20 // bytes of all of them
	http3Handshake    = 5 * time.Second
	altSvcAge         = 3600 // seconds that clients may remember it
)

// http3Front serves HTTP/3 on the UDP port whose number a listener for TCP has. Data that is sent before the handshake has
// ended (0-RTT), which anybody may have repeated, is not taken.
type http3Front struct {
	server *http3.Server
	conn   net.PacketConn
	altSvc []string // what answers by the other versions say of it
}

// listenHTTP3 takes the port for UDP that a listener has taken for TCP.
func listenHTTP3(taken net.Listener, cfg *tls.Config, front *http.Server) (*http3Front, error) {
	address, ok := taken.Addr().(*net.TCPAddr)
	if !ok { // cannot be
		return nil, errors.New("gateway: http3: no TCP address")
	}
	conn, err := net.ListenUDP("udp", &net.UDPAddr{IP: address.IP, Port: address.Port, Zone: address.Zone})
	if err != nil {
		return nil, fmt.Errorf("gateway: http3: %w", err)
	}
	return &http3Front{
		conn:   conn,
		altSvc: []string{fmt.Sprintf(`h3=":%d"; ma=%d`, address.Port, altSvcAge)},
		server: &http3.Server{
			Handler: front.Handler, TLSConfig: http3.ConfigureTLSConfig(cfg), MaxHeaderBytes: front.MaxHeaderBytes, IdleTimeout: front.IdleTimeout,
			QUICConfig: &quic.Config{
				MaxIncomingStreams: http3Streams, HandshakeIdleTimeout: http3Handshake, MaxIdleTimeout: front.IdleTimeout,
				MaxStreamReceiveWindow: http3StreamWindow, MaxConnectionReceiveWindow: http3ConnWindow,
			},
		},
	}, nil
}

func (f *http3Front) serve() error {
	if err := f.server.Serve(f.conn); !errors.Is(err, http.ErrServerClosed) && !errors.Is(err, net.ErrClosed) && !errors.Is(err, quic.ErrServerClosed) {
		return fmt.Errorf("gateway: http3: %w", err)
	}
	return nil
}

func (f *http3Front) shutdown(ctx context.Context) error {
	if err := f.server.Shutdown(ctx); err != nil {
		return fmt.Errorf("gateway: http3: %w", err)
	}
	return nil
}

func (f *http3Front) close() error {
	return errors.Join(f.server.Close(), ignoreClosed(f.conn.Close()))
}

// announce has answers over TLS say where HTTP/3 is to be had, by the port that they were asked at.
func announce(front http.Handler, byPort map[string][]string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if address, ok := r.Context().Value(http.LocalAddrContextKey).(*net.TCPAddr); ok && r.TLS != nil {
			if value := byPort[strconv.Itoa(address.Port)]; value != nil {
				w.Header()["Alt-Svc"] = value
			}
		}
		front.ServeHTTP(w, r)
	})
}
