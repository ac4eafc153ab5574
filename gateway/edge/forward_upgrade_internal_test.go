package edge

import (
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/stella-ops/router/spec"
	"github.com/stella-ops/router/transports"
)

// encrypted is an upstream's end by TLS, and the upstream's own side of it.
func encrypted(t *testing.T) (*upstreamEnd, *tls.Conn) {
	t.Helper()
	certified := httptest.NewTLSServer(nil) // for its certificate alone
	certified.Close()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	dialled, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = dialled.Close() })
	taken, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = taken.Close() })
	if err := taken.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	transport, ok := certified.Client().Transport.(*http.Transport)
	if !ok {
		t.Fatalf("%T, expected net/http's", certified.Client().Transport)
	}
	trusting := transport.TLSClientConfig.Clone()
	trusting.ServerName = "127.0.0.1"
	upstream := tls.Server(taken, certified.TLS)
	shaken := make(chan error, 1)
	go func() { shaken <- upstream.Handshake() }()
	near := tls.Client(dialled, trusting)
	if err := errors.Join(near.Handshake(), <-shaken); err != nil {
		t.Fatal(err)
	}
	return newUpstreamEnd(near), upstream
}

// TestUpstreamEndByTLS has parts pass both ways by TLS, though reads that wait for more of a busy upstream are broken off by a deadline,
// and each way ends by an alert.
func TestUpstreamEndByTLS(t *testing.T) {
	u, upstream := encrypted(t)
	want := bytes.Repeat([]byte("0123456789abcdef"), 16<<10)
	wrote := make(chan error, 1)
	resume := make(chan struct{})
	go func() {
		for part := range [...]int{0, 1} {
			if _, err := upstream.Write(want[part*len(want)/2 : (part+1)*len(want)/2]); err != nil {
				wrote <- err
				return
			}
			<-resume
		}
		wrote <- upstream.CloseWrite()
	}()
	got, idle := []byte(nil), 0
	for {
		if len(got) == len(want)/2 {
			// What follows comes after the deadline of a busy upstream: the read that times out must not harm TLS.
			passed := func(time.Time) { u.readBy(longAgo) }
			if _, err := readPart(u.from, true, passed); !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Fatalf("%v, expected that the deadline is exceeded", err)
			}
			resume <- struct{}{}
			idle++
		}
		f, err := u.next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, f.Body()...)
		f.Release()
		if len(got) == len(want) {
			close(resume)
		}
	}
	if err := <-wrote; err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) || idle != 1 || u.failed() {
		t.Errorf("%d bytes after %d pauses, failed %v: expected %d after one, in order", len(got), idle, u.failed(), len(want))
	}
	f := transports.NewFrame(5)
	f.SetBytes(append(f.Bytes(), "hello"...))
	if err := u.send(new(watch), f, true); err != nil {
		t.Fatal(err)
	}
	if all, err := io.ReadAll(upstream); err != nil || string(all) != "hello" {
		t.Errorf("the upstream has read %q, %v, expected hello and the end", all, err)
	}
}

// TestUpstreamEndBreaksOff has an upstream see a reset, and no alert that ends TLS in order; and whoever waits is woken, with the first
// cause.
func TestUpstreamEndBreaksOff(t *testing.T) {
	u, upstream := encrypted(t)
	waits := make(chan error, 1)
	go func() {
		_, err := u.next()
		waits <- err
	}()
	u.end(errOperator)
	u.cancel(spec.CodeIdle)
	if err := <-waits; err == nil || errors.Is(err, io.EOF) {
		t.Errorf("who waits is told %v, expected an error", err)
	}
	u.rest(nil)
	if !errors.Is(u.why(), errOperator) || !u.failed() {
		t.Errorf("the cause is %v, expected the first one", u.why())
	}
	if _, err := upstream.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("the upstream is told %v, expected a reset", err)
	}
	if err := u.send(new(watch), transports.NewFrame(0), true); err != nil {
		t.Errorf("an end without octets fails: %v", err)
	}
}
