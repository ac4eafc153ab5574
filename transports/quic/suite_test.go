package quic

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	"github.com/onsi/gomega/gleak"

	"github.com/stella-ops/router/spec"
	"github.com/stella-ops/router/transports"
	"github.com/stella-ops/router/transports/faultproxy"
)

// patience bounds what a test waits for.
const patience = 5 * time.Second

// authority signs certificates.
type authority struct {
	dir  string
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	file string
}

func pemFile(tb testing.TB, name, kind string, der []byte) string {
	tb.Helper()
	if err := os.WriteFile(name, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
		tb.Fatal(err)
	}
	return name
}

func newAuthority(tb testing.TB) *authority {
	tb.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		tb.Fatal(err)
	}
	a := &authority{dir: tb.TempDir(), key: key}
	a.cert = &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "authority"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, a.cert, a.cert, key.Public(), key)
	if err != nil {
		tb.Fatal(err)
	}
	a.file = pemFile(tb, filepath.Join(a.dir, "ca.pem"), "CERTIFICATE", der)
	return a
}

// issue returns a certificate's parameters of a URL.
func (a *authority) issue(tb testing.TB, name string) string {
	tb.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		tb.Fatal(err)
	}
	c := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: name}, DNSNames: []string{"localhost"},
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback},
		NotBefore:   time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, c, a.cert, key.Public(), a.key)
	if err != nil {
		tb.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		tb.Fatal(err)
	}
	return "cert=" + pemFile(tb, filepath.Join(a.dir, name+".pem"), "CERTIFICATE", der) +
		"&key=" + pemFile(tb, filepath.Join(a.dir, name+"-key.pem"), "PRIVATE KEY", secret)
}

// noLeaks fails the test when goroutines survive it.
func noLeaks(tb testing.TB) {
	tb.Helper()
	before := gleak.Goroutines()
	tb.Cleanup(func() {
		NewWithT(tb).Eventually(gleak.Goroutines).WithTimeout(patience).ShouldNot(gleak.HaveLeaked(before))
	})
}

// listenOn listens, and closes the listener with the test.
func listenOn(tb testing.TB, raw string, cfg transports.ListenConfig) transports.Listener {
	tb.Helper()
	ln, err := transports.Listen(tb.Context(), raw, cfg)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := ln.Close(); err != nil {
			tb.Error(err)
		}
	})
	return ln
}

// accept takes the listener's next link, and closes it with the test.
func accept(tb testing.TB, ln transports.Listener) *link {
	tb.Helper()
	near, err := ln.Accept()
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { near.Close() })
	l, ok := near.(*link)
	if !ok {
		tb.Fatalf("got %T", near)
	}
	return l
}

// dialTo dials, and closes the link with the test.
func dialTo(tb testing.TB, raw string) *link {
	tb.Helper()
	far, err := transports.Dial(tb.Context(), raw)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { far.Close() })
	l, ok := far.(*link)
	if !ok {
		tb.Fatalf("got %T", far)
	}
	return l
}

// pair is a link's two ends before WELCOME.
func pair(tb testing.TB) (gateway, service *link) {
	tb.Helper()
	return pairBy(tb, func(host string) string { return host })
}

// pairBy is a pair whose service dials what way makes of the gateway's host:port.
func pairBy(tb testing.TB, way func(host string) string) (gateway, service *link) {
	tb.Helper()
	noLeaks(tb)
	ca := newAuthority(tb)
	ln := listenOn(tb, "quic://127.0.0.1:0?"+ca.issue(tb, "gateway"), transports.ListenConfig{
		Rejected: func(remote string, err error) { tb.Errorf("rejected %s: %v", remote, err) },
	})
	service = dialTo(tb, "quic://"+way(strings.TrimPrefix(ln.Addr(), "quic://"))+"?ca="+ca.file)
	return accept(tb, ln), service
}

// rough is a pair between which datagrams get lost, come twice, and overtake each other.
func rough(tb testing.TB) (gateway, service *link) {
	tb.Helper()
	return pairBy(tb, func(host string) string {
		p, err := faultproxy.ListenUDP(host, 1)
		if err != nil {
			tb.Fatal(err)
		}
		tb.Cleanup(func() { p.Close() })
		for _, dir := range []faultproxy.Direction{faultproxy.ToTarget, faultproxy.ToClient} {
			p.Set(dir, faultproxy.Faults{Loss: 0.02, Duplicate: 0.02, Reorder: 0.02, Jitter: time.Millisecond})
		}
		return p.Addr()
	})
}

// welcomed is a link's two ends after WELCOME.
func welcomed(tb testing.TB) (gateway, service *link) {
	tb.Helper()
	gateway, service = pair(tb)
	welcome(tb, gateway, service)
	return gateway, service
}

func welcome(tb testing.TB, gateway, service *link) {
	tb.Helper()
	write(tb, gateway, transports.NewControl(spec.TypeWelcome, 0, 0, nil))
	expect(tb, service, spec.TypeWelcome, 0).Release()
}

func write(tb testing.TB, l transports.Link, batch ...*transports.Frame) {
	tb.Helper()
	if err := l.WriteFrames(batch); err != nil {
		tb.Fatal(err)
	}
}

// expect reads the next frame, which must be of that type and stream.
func expect(tb testing.TB, l transports.Link, t spec.FrameType, id uint32) *transports.Frame {
	tb.Helper()
	f, err := l.ReadFrame()
	if err != nil {
		tb.Fatal(err)
	}
	if h := f.Header(); h.Type != t || h.Stream != id {
		tb.Fatalf("read %s on stream %d, expected %s on %d", h.Type, h.Stream, t, id)
	}
	return f
}

// frame is a frame with a body of that size, filled with the low byte of aux.
func frame(t spec.FrameType, flags spec.Flags, id, aux uint32, size int) *transports.Frame {
	f := transports.NewFrame(size)
	b := f.Bytes()
	for range size {
		b = append(b, byte(aux))
	}
	f.SetBytes(b)
	f.Seal(t, flags, id, aux, 0)
	return f
}

func request(id uint32) *transports.Frame {
	return frame(spec.TypeRequest, spec.FlagEnd, id, 0, 0)
}

func response(id uint32) *transports.Frame {
	return frame(spec.TypeResponse, spec.FlagEnd, id, 0, 0)
}

// open is how many calls the link knows.
func (l *link) open() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.calls)
}

// reading is how many streams of calls it reads.
func (l *link) reading() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.readers
}

// forgotten waits until neither end knows of a call.
func forgotten(tb testing.TB, ends ...*link) {
	tb.Helper()
	g := NewWithT(tb)
	for _, l := range ends {
		g.Eventually(l.open).WithTimeout(patience).Should(BeZero())
		g.Eventually(l.reading).WithTimeout(patience).Should(BeZero())
	}
}
