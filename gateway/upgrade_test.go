package gateway_test

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/stella-ops/router/gateway"
	"github.com/stella-ops/router/gateway/limit"
	"github.com/stella-ops/router/spec"
	"github.com/stella-ops/router/transports/session"
	"github.com/stella-ops/router/transports/trust"
)

const openSocket = "GET /socket HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"

// offerSocket connects a service with a WebSocket, which says whether its client came encrypted, and then again what it hears.
func (r *running) offerSocket() {
	GinkgoHelper()
	r.offering(func(in *session.Incoming) {
		if in.Head(&spec.Response{Status: http.StatusSwitchingProtocols, ContentLength: -1}) != nil {
			return
		}
		hello := "plain "
		if in.Request().TLS {
			hello = "secret "
		}
		if _, err := in.Write([]byte(hello)); err != nil {
			return
		}
		if _, err := in.ReadFrom(in); err == nil {
			_ = in.End() // fails when the client has left
		}
	}, spec.Endpoint{
		Method: "GET", Path: "/socket", Handler: "Handler", Kind: spec.KindRaw, Status: 101, Stream: spec.StreamUpgrade, Public: "a test",
		Limits: spec.DefaultLimits,
	})
}

// opened sends text that opens the WebSocket, and reads up to what follows 101.
func opened(conn net.Conn, text string) *bufio.Reader {
	GinkgoHelper()
	Expect(conn.SetDeadline(time.Now().Add(patience))).To(Succeed())
	_, err := io.WriteString(conn, text)
	Expect(err).NotTo(HaveOccurred())
	from := bufio.NewReader(conn)
	resp, err := http.ReadResponse(from, nil)
	Expect(err).NotTo(HaveOccurred())
	Expect(resp.Body.Close()).To(Succeed())
	Expect(resp.StatusCode).To(Equal(http.StatusSwitchingProtocols))
	return from
}

// talk sends text, closes its half, and reads all that comes.
func talk(conn net.Conn, from io.Reader) string {
	GinkgoHelper()
	_, err := io.WriteString(conn, "hello")
	Expect(err).NotTo(HaveOccurred())
	half, ok := conn.(interface{ CloseWrite() error })
	Expect(ok).To(BeTrue())
	Expect(half.CloseWrite()).To(Succeed())
	all, err := io.ReadAll(from)
	Expect(err).NotTo(HaveOccurred())
	return string(all)
}

var _ = Describe("a WebSocket", func() {
	It("is opened over TLS, whose own end is half-close, at a listener that offers HTTP/2 as well", func() {
		dir := GinkgoT().TempDir()
		authority, err := trust.OpenAuthority(dir)
		Expect(err).NotTo(HaveOccurred())
		cert, key, err := authority.IssueFiles(dir, "front", "127.0.0.1")
		Expect(err).NotTo(HaveOccurred())
		ca, err := os.ReadFile(filepath.Join(dir, "ca.pem"))
		Expect(err).NotTo(HaveOccurred())
		roots := x509.NewCertPool()
		Expect(roots.AppendCertsFromPEM(ca)).To(BeTrue())
		cfg := config(GinkgoWriter)
		cfg.HTTP, cfg.Listeners = "", []gateway.Listener{{Address: "127.0.0.1:0", TLS: &gateway.ListenerTLS{Cert: cert, Key: key}}}
		r := run(cfg)
		r.offerSocket()
		for _, protocols := range [][]string{nil, {"http/1.1"}} {
			conn, err := tls.Dial("tcp", r.HTTPAddr(), &tls.Config{RootCAs: roots, NextProtos: protocols})
			Expect(err).NotTo(HaveOccurred())
			DeferCleanup(conn.Close)
			Expect(talk(conn, opened(conn, openSocket))).To(Equal("secret hello"))
		}
	})

	It("is opened through a proxy that says whom it speaks for, and half-closed", func() {
		cfg := config(GinkgoWriter)
		cfg.HTTP = ""
		cfg.Listeners = []gateway.Listener{{Address: "127.0.0.1:0", ProxyFrom: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}}}
		r := run(cfg)
		r.offerSocket()
		conn, err := net.Dial("tcp", r.HTTPAddr())
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(conn.Close)
		Expect(talk(conn, opened(conn, "PROXY TCP4 192.0.2.7 127.0.0.1 7 8080\r\n"+openSocket))).To(Equal("plain hello"))
	})

	It("counts as a connection of its address as long as it lives, and its octets when it is over", func() {
		cfg := config(GinkgoWriter)
		cfg.Limits.Connections = limit.Connections{PerAddress: 1}
		r := run(cfg)
		r.offerSocket()
		conn, err := net.Dial("tcp", r.HTTPAddr())
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(conn.Close)
		from := opened(conn, openSocket)
		second, err := net.Dial("tcp", r.HTTPAddr())
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(second.Close)
		Expect(second.SetDeadline(time.Now().Add(patience))).To(Succeed())
		_, err = second.Read(make([]byte, 1))
		Expect(err).To(HaveOccurred())
		Expect(err).NotTo(MatchError(os.ErrDeadlineExceeded), "it has been closed")
		Expect(talk(conn, from)).To(Equal("plain hello"))
		labels := `{endpoint="/socket",method="GET",service="test",version="1.0.0"}`
		r.counts("stella_gateway_request_body_bytes_total" + labels + " 5")
		r.counts("stella_gateway_response_body_bytes_total" + labels + " 11")
		r.counts(`stella_gateway_requests_total{endpoint="/socket",method="GET",outcome="ok",service="test",version="1.0.0"} 1`)
		Eventually(func() error { // its place is free again
			third, err := net.Dial("tcp", r.HTTPAddr())
			if err != nil {
				return err
			}
			defer third.Close()
			if err := third.SetDeadline(time.Now().Add(patience)); err != nil {
				return err
			}
			if _, err := io.WriteString(third, openSocket); err != nil {
				return err
			}
			_, err = io.ReadFull(third, make([]byte, 12))
			return err
		}).WithTimeout(patience).Should(Succeed())
	})
})
