package legacy

import (
	"bytes"
	"context"
	"crypto/sha1" //nolint:gosec // RFC 6455 has it
	"crypto/tls"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/stella-ops/router/spec"
)

// What the connections to upstreams may take and hold.
const (
	dialTime = 5 * time.Second // to connect, and as much again to agree on TLS
	// idleTime is how long a connection waits for the next request. Servers close theirs as well, some after 5 s (Node.js:
	// http.Server.keepAliveTimeout), and a request that crosses with that is lost unless it may be repeated.
	idleTime       = 4 * time.Second
	maxIdle        = 1024     // connections
	maxIdlePerHost = 256      // connections
	maxHeader      = 64 << 10 // bytes of an answer's header, as much as RESPONSE carries
)

// Why a request has no answer, or not the whole. An error wraps one of these.
var (
	ErrUnreachable = errors.New("legacy: the upstream cannot be reached") // nothing was sent
	ErrLost        = errors.New("legacy: the upstream was lost")          // what it has done is not known
	ErrTimeout     = errors.New("legacy: the upstream took too long")
)

// Transport sends requests to upstreams by HTTP/1.1, and keeps the connections. It follows no redirect, asks no proxy, and changes
// no body. It may be used concurrently.
type Transport struct {
	http *http.Transport
	via  string // as which it stands in Via
}

// NewTransport returns a transport without connections. It is to be closed.
func NewTransport() *Transport {
	only := new(http.Protocols)
	only.SetHTTP1(true)
	by := strconv.FormatUint(rand.Uint64()|1<<63, 16) //nolint:gosec // unique, not secret
	return &Transport{via: "1.1 " + pseudonym + by, http: &http.Transport{
		DialContext: dial, TLSHandshakeTimeout: dialTime, Protocols: only, DisableCompression: true,
		MaxIdleConns: maxIdle, MaxIdleConnsPerHost: maxIdlePerHost, IdleConnTimeout: idleTime, MaxResponseHeaderBytes: maxHeader,
	}}
}

// pseudonym begins the name by which a gateway stands in Via. What follows is random: an upstream may be another gateway, whose requests
// are not this one's that have come back.
const pseudonym = "stella-"

// HasSent reports whether a request with this header is one that the transport has sent already: the upstream has sent it back (RFC
// 9110, section 7.6.3). An upstream that takes Via away is not found out.
func (t *Transport) HasSent(h http.Header) bool {
	return slices.ContainsFunc(h[headerVia], func(field string) bool { return strings.Contains(field, t.via) })
}

// conn is a connection to an upstream, which has a context that ends when it is closed.
type conn struct {
	net.Conn

	ctx    context.Context //nolint:containedctx // it stands for the connection's life
	cancel context.CancelFunc
}

func dial(ctx context.Context, network, address string) (net.Conn, error) {
	d := net.Dialer{Timeout: dialTime}
	inner, err := d.DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	life, cancel := context.WithCancel(context.Background())
	return &conn{inner, life, cancel}, nil
}

// Close implements [net.Conn].
func (c *conn) Close() error {
	c.cancel()
	return c.Conn.Close()
}

// NetConn is the connection itself.
func (c *conn) NetConn() net.Conn { return c.Conn }

// connOf is the connection within one that may encrypt; nil: it is none of a transport's.
func connOf(outer net.Conn) *conn {
	if t, ok := outer.(*tls.Conn); ok {
		outer = t.NetConn()
	}
	c, _ := outer.(*conn)
	return c
}

// Close ends the connections that wait. Those in use end with their requests.
func (t *Transport) Close() { t.http.CloseIdleConnections() }

// Server is an upstream as requests use it.
type Server struct {
	Name         string
	scheme, host string
	asked        string // in Host; empty: what the client has asked for
}

// NewServer prepares an upstream, which has been checked.
func NewServer(u *Upstream) (*Server, error) {
	parsed, err := url.Parse(u.URL)
	if err != nil {
		return nil, fmt.Errorf("legacy: upstream %s: %w", u.Name, err)
	}
	return &Server{Name: u.Name, scheme: parsed.Scheme, host: parsed.Host, asked: u.Host}, nil
}

// URL is the upstream's, as the configuration has it.
func (s *Server) URL() string { return s.scheme + "://" + s.host }

// Request is what is sent. All of it has been checked: who calls may, and the header fields are those that go on.
type Request struct {
	Server    *Server
	Method    string
	Path      string // canonical, with its escapes
	Plain     string // the same without escapes
	Query     string
	Authority string // that the client has asked for
	Peer      string // the client's address, with or without its port
	TLS       bool   // it came by TLS
	ID        spec.RequestID
	Trace     spec.Trace
	Header    []spec.Field
	WebSocket bool // the connection is to change to that protocol; there is no body

	Held   []byte        // the body where it has come whole; it must not be changed any more
	Body   io.ReadCloser // else; nil: there is none
	Length int64         // of Body in bytes; -1 if unknown
	// Lost is called when the connection is lost by which Body is sent: the error is told only once nobody waits for more of it. It
	// must not block, and may be called after the answer has come. May be nil.
	Lost func()

	Timeout time.Duration // until the answer's header
}

// Answer is an answer whose header has come. It has to be closed.
type Answer struct {
	Status int
	Length int64 // of the body in bytes; -1 if unknown
	// Header has the fields that are not hop-by-hop.
	Header []spec.Field
	// Conn is the connection to the upstream after 101: octets of the other protocol. Closing the answer closes it, and the request's
	// context does not. Else nil.
	Conn net.Conn

	body   io.ReadCloser
	ctx    context.Context //nolint:containedctx // of the request, whose end says why
	cancel context.CancelCauseFunc
	timer  *time.Timer // cancels

	unheard func() bool // the connection's end is heard of no more; nil: it never was
}

// Send sends a request and waits for the header of its answer. When ctx ends before the answer is closed, the request is broken off,
// and errors wrap the cause. The request's body may be read until it is closed. fields is memory for the answer's header.
func (t *Transport) Send(ctx context.Context, q *Request, fields []spec.Field) (*Answer, error) {
	inner, cancel := context.WithCancelCause(ctx)
	a := &Answer{cancel: cancel, ctx: inner}
	var connected atomic.Bool
	var last net.Conn // the one by which the answer comes
	trace := &httptrace.ClientTrace{GotConn: func(info httptrace.GotConnInfo) {
		connected.Store(true)
		last = info.Conn
		if c := connOf(info.Conn); c != nil && q.Lost != nil {
			a.unheard = context.AfterFunc(c.ctx, q.Lost)
		}
	}}
	a.timer = time.AfterFunc(max(q.Timeout, 1), func() { cancel(ErrTimeout) })
	if q.Lost != nil {
		defer context.AfterFunc(inner, q.Lost)() // so that the request's end is told at once
	}
	resp, err := t.http.RoundTrip(q.make(t.via).WithContext(httptrace.WithClientTrace(inner, trace))) //nolint:bodyclose // Close closes it
	if err != nil {
		var op *net.OpError
		kind := ErrLost
		if !connected.Load() || errors.As(err, &op) && op.Op == "dial" {
			kind = ErrUnreachable
		}
		err = a.explain(kind, err)
		a.Close()
		return nil, err
	}
	a.timer.Stop()
	a.body, a.Status, a.Length = resp.Body, resp.StatusCode, resp.ContentLength
	if a.Status < http.StatusOK { // 101
		if !q.WebSocket || !q.accepted(resp.Header) {
			a.Close()
			return nil, fmt.Errorf("%w: it changes the protocol unasked, or not to that which was asked for, with status %d", ErrLost, a.Status)
		}
		a.Conn = &changed{last, resp.Body}
	}
	a.Header = passed(resp.Header, fields)
	return a, nil
}

// explain says why the request ended: its context's cause, or what has happened to the connection.
func (a *Answer) explain(kind, err error) error {
	if cause := context.Cause(a.ctx); cause != nil {
		return cause
	}
	return fmt.Errorf("%w: %w", kind, err)
}

// Read reads from the body, and waits for as long as idle. io.EOF is the end of a body that has come whole.
func (a *Answer) Read(p []byte, idle time.Duration) (int, error) {
	a.timer.Reset(idle)
	n, err := a.body.Read(p)
	a.timer.Stop()
	if err == nil || err == io.EOF { // which io.Reader returns bare
		return n, err
	}
	return n, a.explain(ErrLost, err)
}

// Close breaks the request off if it is not over.
func (a *Answer) Close() {
	a.timer.Stop()
	if a.unheard != nil {
		a.unheard()
	}
	if a.cancel(context.Canceled); a.body != nil {
		_ = a.body.Close() // nobody reads on
	}
}

// changed is a connection to an upstream that is used for another protocol.
type changed struct {
	net.Conn

	body io.Reader // has what came behind the header
}

// Read implements [io.Reader].
func (c *changed) Read(p []byte) (int, error) { return c.body.Read(p) }

// NetConn is the connection, by which nothing must be read.
func (c *changed) NetConn() net.Conn { return c.Conn }

// accepted reports whether an answer of 101 accepts this request's upgrade (RFC 6455, section 4.1): one that is for another
// request, or that a cache has, does not.
func (q *Request) accepted(h http.Header) bool {
	key := ""
	if i := slices.IndexFunc(q.Header, func(f spec.Field) bool { return f.Name == headerWebSocketKey }); i >= 0 {
		key = q.Header[i].Value
	}
	sum := sha1.Sum([]byte(key + webSocketGUID)) //nolint:gosec // it proves no more than that the key was read
	return strings.EqualFold(h.Get(headerUpgrade), webSocket) && h.Get(headerWebSocketAccept) == base64.StdEncoding.EncodeToString(sum[:])
}

// Fields and values of a WebSocket's handshake (RFC 6455, section 1.3). Names are canonical.
const (
	headerUpgrade         = "Upgrade"
	headerWebSocketKey    = "Sec-Websocket-Key"
	headerWebSocketAccept = "Sec-Websocket-Accept"
	webSocket             = "websocket"
	webSocketGUID         = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
)

// Fields that the gateway sets. Names are canonical.
const (
	headerForwardedFor   = "X-Forwarded-For"
	headerForwardedProto = "X-Forwarded-Proto"
	headerForwardedHost  = "X-Forwarded-Host"
	headerRequestID      = "X-Request-Id"
	headerTraceparent    = "Traceparent"
	headerTracestate     = "Tracestate"
	headerUserAgent      = "User-Agent"
	headerVia            = "Via"
	headerConnection     = "Connection"
)

// ownFields is how many of them there are.
const ownFields = 8 // and two more for an upgrade

// make makes the request of net/http.
func (q *Request) make(via string) *http.Request {
	r := &http.Request{
		Method: q.Method, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Host: q.Server.asked,
		URL: &url.URL{Scheme: q.Server.scheme, Host: q.Server.host, Path: q.Plain, RawPath: q.Path, RawQuery: q.Query},
	}
	if r.Host == "" {
		r.Host = q.Authority
	}
	switch {
	case len(q.Held) > 0:
		r.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(q.Held)), nil }
		r.Body, _ = r.GetBody() // never fails
		r.ContentLength = int64(len(q.Held))
	case q.Body != nil:
		r.Body, r.ContentLength = q.Body, q.Length
	}
	r.Header = make(http.Header, len(q.Header)+ownFields)
	for _, f := range q.Header {
		r.Header[f.Name] = append(r.Header[f.Name], f.Value)
	}
	set := func(name, value string) { r.Header[name] = []string{value} }
	if _, said := r.Header[headerUserAgent]; !said {
		set(headerUserAgent, "") // keeps net/http from naming itself
	}
	address := q.Peer
	if host, _, err := net.SplitHostPort(q.Peer); err == nil {
		address = host
	}
	set(headerForwardedFor, address)
	set(headerForwardedProto, schemeHTTP)
	if q.TLS {
		set(headerForwardedProto, schemeHTTPS)
	}
	set(headerForwardedHost, q.Authority)
	set(headerRequestID, q.ID.String())
	r.Header[headerVia] = append(r.Header[headerVia], via)
	if q.WebSocket {
		set(headerConnection, headerUpgrade)
		set(headerUpgrade, webSocket)
	}
	if q.Trace.TraceID != [16]byte{} {
		set(headerTraceparent, traceparent(&q.Trace))
		if q.Trace.State != "" {
			set(headerTracestate, q.Trace.State)
		}
	}
	return r
}

// traceparent is version 00 (W3C Trace Context, section 3.2).
func traceparent(t *spec.Trace) string {
	return "00-" + hex.EncodeToString(t.TraceID[:]) + "-" + hex.EncodeToString(t.SpanID[:]) + "-" + hex.EncodeToString([]byte{t.Flags})
}

// hopByHop are the fields that end at the next hop whether Connection names them or not (RFC 9110, section 7.6.1).
var hopByHop = map[string]bool{
	headerConnection: true, "Proxy-Connection": true, "Keep-Alive": true, "Te": true, "Trailer": true, "Transfer-Encoding": true,
	headerUpgrade: true,
}

// passed are the fields of an answer's header that go on.
func passed(h http.Header, fields []spec.Field) []spec.Field {
	var named map[string]bool
	for _, v := range h[headerConnection] {
		for name := range strings.SplitSeq(v, ",") {
			if named == nil {
				named = map[string]bool{}
			}
			named[textproto.CanonicalMIMEHeaderKey(textproto.TrimString(name))] = true
		}
	}
	fields = fields[:0]
	for name, values := range h {
		if hopByHop[name] || named[name] {
			continue
		}
		for _, v := range values {
			fields = append(fields, spec.Field{Name: name, Value: v})
		}
	}
	return fields
}
