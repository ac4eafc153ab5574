package quic

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/quic-go/quic-go"

	. "github.com/onsi/gomega"

	"github.com/stella-ops/router/spec"
	"github.com/stella-ops/router/transports"
)

func TestURLs(t *testing.T) {
	for raw, want := range map[string]string{
		"quic://127.0.0.1":                        "",
		"quic://127.0.0.1:5103?ca=a&cert=b&key=c": "",
		"quic://localhost?cert=b&key=c&clients=d": "",
		"quic://":                       "expected quic://host:port",
		"quic://127.0.0.1/path":         "expected quic://host:port",
		"quic://me@127.0.0.1":           "expected quic://host:port",
		"quic://127.0.0.1#x":            "expected quic://host:port",
		"quic://127.0.0.1?":             "expected quic://host:port",
		"quic://127.0.0.1:65536":        "a port of at most 65535",
		"quic://127.0.0.1?insecure=yes": `unknown parameter "insecure"`,
		"quic://127.0.0.1?ca=":          "expected one value of ca",
		"quic://127.0.0.1?ca=a&ca=b":    "expected one value of ca",
		"quic://127.0.0.1?cert=a":       "expected cert and key",
		"quic://127.0.0.1?ca=%zz":       "invalid URL escape",
	} {
		_, _, err := transports.Parse(raw)
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, expected %q", raw, err, want)
		}
	}
}

func TestListenerBeyondLoopbackDemandsProof(t *testing.T) {
	noLeaks(t)
	ca := newAuthority(t)
	raw := "quic://0.0.0.0:0?" + ca.issue(t, "gateway")
	if _, err := transports.Listen(t.Context(), raw, transports.ListenConfig{}); err == nil || !strings.Contains(err.Error(), "loopback") {
		t.Errorf("got %v", err)
	}
	listenOn(t, raw, transports.ListenConfig{Authenticated: true})
	listenOn(t, raw+"&clients="+ca.file, transports.ListenConfig{})
}

// rejections is a listener that reports whom it has rejected.
func rejections(t *testing.T, raw string) (transports.Listener, <-chan error) {
	t.Helper()
	rejected := make(chan error, 16)
	return listenOn(t, raw, transports.ListenConfig{Rejected: func(remote string, err error) {
		if remote == "" {
			t.Error("rejected nobody")
		}
		rejected <- err
	}}), rejected
}

func TestPeersProveWhoTheyAre(t *testing.T) {
	noLeaks(t)
	ca, other := newAuthority(t), newAuthority(t)
	ln, rejected := rejections(t, "quic://127.0.0.1:0?"+ca.issue(t, "gateway")+"&clients="+ca.file)
	for name, c := range map[string]struct{ query, here, there string }{
		"a gateway of another authority": {"ca=" + other.file + "&" + ca.issue(t, "service"), "signed by nobody that this end trusts", "this gateway's certificate is"},
		"no certificate":                 {"ca=" + ca.file, "give cert=FILE and key=FILE", "has shown no certificate"},
		"one of another authority":       {"ca=" + ca.file + "&" + other.issue(t, "service"), "the certificate shown is", "signed by nobody that this end trusts"},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := transports.Dial(t.Context(), ln.Addr()+"?"+c.query); err == nil || !strings.Contains(err.Error(), c.here) {
				t.Errorf("got %v, expected %q", err, c.here)
			}
			var err error
			NewWithT(t).Eventually(rejected).WithTimeout(patience).Should(Receive(&err))
			if err == nil || !strings.Contains(err.Error(), c.there) {
				t.Errorf("rejected as %v, expected %q", err, c.there)
			}
		})
	}
	service := dialTo(t, ln.Addr()+"?ca="+ca.file+"&"+ca.issue(t, "service"))
	write(t, service, transports.NewControl(spec.TypePing, 0, 1, nil))
	expect(t, accept(t, ln), spec.TypePing, 0).Release()
	if len(rejected) > 0 {
		t.Errorf("rejected: %v", <-rejected)
	}
}

// raw dials as something that is no service.
func raw(t *testing.T, addr string, ca *authority, change func(*tls.Config)) (*quic.Conn, error) {
	t.Helper()
	u, err := url.Parse(addr + "?ca=" + ca.file)
	if err != nil {
		t.Fatal(err)
	}
	cfg, err := clientTLS(u)
	if err != nil {
		t.Fatal(err)
	}
	change(cfg)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	conn, err := quic.DialAddr(ctx, u.Host, cfg, nil)
	if err == nil {
		t.Cleanup(func() { conn.CloseWithError(0, "") })
	}
	return conn, err
}

func TestWhatIsNoServiceIsTurnedAway(t *testing.T) {
	noLeaks(t)
	ca := newAuthority(t)
	ln, rejected := rejections(t, "quic://127.0.0.1:0?"+ca.issue(t, "gateway"))
	g := NewWithT(t)
	var err error
	if _, err := raw(t, ln.Addr(), ca, func(c *tls.Config) { c.NextProtos = []string{"h3"} }); err == nil {
		t.Error("another protocol was taken on")
	}
	g.Eventually(rejected).WithTimeout(patience).Should(Receive(&err))

	conn, err := raw(t, ln.Addr(), ca, func(*tls.Config) {})
	g.Expect(err).NotTo(HaveOccurred())
	s, err := conn.OpenStream()
	g.Expect(err).NotTo(HaveOccurred())
	began := time.Now()
	_, err = s.Write([]byte("GET"))
	g.Expect(err).NotTo(HaveOccurred())
	g.Eventually(rejected).WithTimeout(patience).Should(Receive(&err))
	g.Expect(err).To(MatchError(transports.ErrPreamble))
	g.Expect(time.Since(began)).To(BeNumerically("<", spec.HelloTimeout/2))
	g.Eventually(conn.Context().Done()).WithTimeout(patience).Should(BeClosed())

	conn, err = raw(t, ln.Addr(), ca, func(*tls.Config) {}) // silent
	g.Expect(err).NotTo(HaveOccurred())
	g.Eventually(rejected).WithTimeout(patience).Should(Receive(&err))
	g.Expect(time.Since(began)).To(BeNumerically(">", spec.HelloTimeout/2))
	g.Eventually(conn.Context().Done()).WithTimeout(patience).Should(BeClosed())

	conn, err = raw(t, ln.Addr(), ca, func(*tls.Config) {}) // of the future
	g.Expect(err).NotTo(HaveOccurred())
	s, err = conn.OpenStream()
	g.Expect(err).NotTo(HaveOccurred())
	_, err = s.Write([]byte("\x00STELA\r\n" + "\x00\x02\x00\x09"))
	g.Expect(err).NotTo(HaveOccurred())
	g.Eventually(rejected).WithTimeout(patience).Should(Receive(&err))
	g.Expect(err).To(MatchError(ContainSubstring("versions 2 to 9")))
}

// What is sent before the handshake has ended could be sent again by others: the gateway takes none of it.
func TestNoEarlyData(t *testing.T) {
	noLeaks(t)
	ca := newAuthority(t)
	ln := listenOn(t, "quic://127.0.0.1:0?"+ca.issue(t, "gateway"), transports.ListenConfig{})
	u, err := url.Parse(ln.Addr() + "?ca=" + ca.file)
	if err != nil {
		t.Fatal(err)
	}
	cfg, err := clientTLS(u)
	if err != nil {
		t.Fatal(err)
	}
	tickets := tls.NewLRUClientSessionCache(1)
	cfg.ClientSessionCache = tickets
	tokens := quic.NewLRUTokenStore(1, 1)
	for range 2 {
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		conn, err := quic.DialAddrEarly(ctx, u.Host, cfg, &quic.Config{TokenStore: tokens})
		if err != nil {
			t.Fatal(err)
		}
		s, err := conn.OpenStreamSync(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.Write(transports.Preamble()); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Read(make([]byte, 1)); err != nil { // a ticket would have come before
			t.Fatal(err)
		}
		if state := conn.ConnectionState(); state.Used0RTT || state.TLS.DidResume {
			t.Errorf("early data %t, resumed %t", state.Used0RTT, state.TLS.DidResume)
		}
		cancel()
		conn.CloseWithError(0, "")
		_ = accept(t, ln).Close()
	}
}

func TestGarbageDoesNoHarm(t *testing.T) {
	noLeaks(t)
	ca := newAuthority(t)
	ln, _ := rejections(t, "quic://127.0.0.1:0?"+ca.issue(t, "gateway"))
	conn, err := net.Dial("udp", strings.TrimPrefix(ln.Addr(), "quic://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	for i := range 500 {
		b := make([]byte, 1+i*3%1400)
		for j := range b {
			b[j] = byte(i * (j + 7))
		}
		if i%2 == 0 {
			b[0] |= 0xc0 // looks like an Initial
		}
		conn.Write(b)
	}
	service := dialTo(t, ln.Addr()+"?ca="+ca.file)
	write(t, service, transports.NewControl(spec.TypePing, 0, 1, nil))
	expect(t, accept(t, ln), spec.TypePing, 0).Release()
}

func TestNobodyListens(t *testing.T) {
	noLeaks(t)
	ca := newAuthority(t)
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if _, err := transports.Dial(ctx, "quic://"+conn.LocalAddr().String()+"?ca="+ca.file); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
}

func TestLinksOutliveTheirListener(t *testing.T) {
	noLeaks(t)
	ca := newAuthority(t)
	ln, err := transports.Listen(t.Context(), "quic://localhost:0?"+ca.issue(t, "gateway"), transports.ListenConfig{})
	if err != nil {
		t.Fatal(err)
	}
	service := dialTo(t, ln.Addr()+"?ca="+ca.file)
	gateway := accept(t, ln)
	for range 2 {
		if err := ln.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := ln.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("a closed listener accepted: %v", err)
	}
	write(t, service, transports.NewControl(spec.TypePing, 0, 1, nil))
	expect(t, gateway, spec.TypePing, 0).Release()
	if err := gateway.Close(); err != nil {
		t.Error(err)
	}
	if _, err := service.ReadFrame(); !errors.Is(err, io.EOF) {
		t.Errorf("got %v", err)
	}
}

// Many that begin to shake hands and do not go on keep nobody out.
func TestFloodOfHandshakes(t *testing.T) {
	noLeaks(t)
	ca := newAuthority(t)
	ln, _ := rejections(t, "quic://127.0.0.1:0?"+ca.issue(t, "gateway"))
	l, ok := ln.(*listener)
	if !ok {
		t.Fatalf("got %T", ln)
	}
	l.shaking.Store(opening + 1) // whoever comes now has to prove its address
	service := dialTo(t, ln.Addr()+"?ca="+ca.file)
	write(t, service, transports.NewControl(spec.TypePing, 0, 1, nil))
	expect(t, accept(t, ln), spec.TypePing, 0).Release()
	if n := l.shaking.Load(); n != opening+1 {
		t.Errorf("%d shake hands, expected %d", n, opening+1)
	}
	l.shaking.Store(shaking)
	if _, err := transports.Dial(t.Context(), ln.Addr()+"?ca="+ca.file); err == nil {
		t.Error("a handshake began that is one too many")
	}
}

// A link that nobody has accepted when the listener is closed is closed, too.
func TestClosedListenerClosesWhatWaits(t *testing.T) {
	noLeaks(t)
	ca := newAuthority(t)
	ln, err := transports.Listen(t.Context(), "quic://127.0.0.1:0?"+ca.issue(t, "gateway"), transports.ListenConfig{})
	if err != nil {
		t.Fatal(err)
	}
	service := dialTo(t, ln.Addr()+"?ca="+ca.file)
	if err := ln.Close(); err != nil {
		t.Fatal(err)
	}
	if f, err := service.ReadFrame(); err == nil {
		t.Errorf("read %v", f.Header())
	}
}
