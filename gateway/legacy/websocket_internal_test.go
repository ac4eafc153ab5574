package legacy

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stella-ops/router/spec"
)

// The example of RFC 6455, section 1.3.
const exampleKey, exampleAccept = "dGhlIHNhbXBsZSBub25jZQ==", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="

// TestWebSocketByTLS has the connection of an upstream with TLS change: what came behind the header is read first, each way closes
// by an alert of TLS, and the connection beneath can be had.
func TestWebSocketByTLS(t *testing.T) {
	read := make(chan string, 1)
	s := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Connection") != "Upgrade" || r.Header.Get("Upgrade") != "websocket" {
			http.Error(w, "no upgrade", http.StatusBadRequest)
			return
		}
		conn, from, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		defer conn.Close()
		_, _ = io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: WebSocket\r\n"+
			"Sec-WebSocket-Accept: "+exampleAccept+"\r\n\r\nearly")
		all, err := io.ReadAll(from)
		if err != nil {
			all = []byte(err.Error())
		}
		read <- string(all)
	}))
	defer s.Close()
	roots := x509.NewCertPool()
	roots.AddCert(s.Certificate())
	transport := NewTransport()
	transport.http.TLSClientConfig = &tls.Config{RootCAs: roots}
	defer transport.Close()
	server, err := NewServer(&Upstream{Name: "shop", URL: s.URL})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	a, err := transport.Send(ctx, &Request{
		Server: server, Method: http.MethodGet, Path: "/", Plain: "/", WebSocket: true, Timeout: 5 * time.Second,
		Header: []spec.Field{{Name: "Sec-Websocket-Key", Value: exampleKey}},
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	if a.Status != http.StatusSwitchingProtocols || a.Conn == nil {
		t.Fatalf("status %d, expected 101 and a connection", a.Status)
	}
	if err := a.Conn.SetDeadline(time.Now().Add(5 * time.Second)); err != nil {
		t.Fatal(err)
	}
	early := make([]byte, 5)
	if _, err := io.ReadFull(a.Conn, early); err != nil || string(early) != "early" {
		t.Fatalf("%q, %v, expected what came behind the header", early, err)
	}
	if _, err := io.WriteString(a.Conn, "hello"); err != nil {
		t.Fatal(err)
	}
	inner, ok := a.Conn.(interface{ NetConn() net.Conn })
	if !ok {
		t.Fatal("the connection within cannot be had")
	}
	encrypted, ok := inner.NetConn().(*tls.Conn)
	if !ok {
		t.Fatalf("%T, expected TLS", inner.NetConn())
	}
	if beneath, ok := encrypted.NetConn().(interface{ NetConn() net.Conn }); !ok {
		t.Error("the connection beneath TLS cannot be had")
	} else if _, ok := beneath.NetConn().(*net.TCPConn); !ok {
		t.Errorf("%T, expected TCP", beneath.NetConn())
	}
	if err := encrypted.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if got := <-read; got != "hello" {
		t.Errorf("the upstream has read %q, expected hello and the end", got)
	}
	if rest, err := io.ReadAll(a.Conn); err != nil || len(rest) > 0 {
		t.Errorf("%q, %v, expected the end", rest, err)
	}
}

// TestAccepted has an upgrade be accepted only by the answer to its key.
func TestAccepted(t *testing.T) {
	for name, c := range map[string]struct {
		upgrade, accept string
		keys            []string
		want            bool
	}{
		"the example":       {"websocket", exampleAccept, []string{exampleKey}, true},
		"case":              {"WebSocket", exampleAccept, []string{exampleKey}, true},
		"the first of two":  {"websocket", exampleAccept, []string{exampleKey, "other"}, true},
		"the second of two": {"websocket", exampleAccept, []string{"other", exampleKey}, false},
		"another key":       {"websocket", exampleAccept, []string{"other"}, false},
		"no key":            {"websocket", exampleAccept, nil, false},
		"no answer":         {"websocket", "", []string{exampleKey}, false},
		"another protocol":  {"h2c", exampleAccept, []string{exampleKey}, false},
		"no protocol":       {"", exampleAccept, []string{exampleKey}, false},
	} {
		q := new(Request)
		for _, key := range c.keys {
			q.Header = append(q.Header, spec.Field{Name: "Sec-Websocket-Key", Value: key})
		}
		h := http.Header{"Upgrade": {c.upgrade}, "Sec-Websocket-Accept": {c.accept}}
		if got := q.accepted(h); got != c.want {
			t.Errorf("%s: %v, expected %v", name, got, c.want)
		}
	}
}
