package edge

import (
	"bufio"
	"context"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/stella-ops/router/gateway/routing"
	"github.com/stella-ops/router/spec"
	"github.com/stella-ops/router/transports"
	"github.com/stella-ops/router/transports/session"
)

const (
	headerUpgrade = "Upgrade"
	// webSocket is the one protocol that clients may change to. Others would be a way past the gateway: h2c, say, is HTTP
	// of which the gateway would see nothing.
	webSocket = "websocket"
)

// Values of fields of 101 and 426. Shared: never changed.
var (
	upgrading   = []string{headerUpgrade}
	toWebSocket = []string{webSocket}
)

// dispatchUpgrade is dispatch for an endpoint that changes to another protocol. As nothing but the header is sent before
// the service has accepted, the call can be offered to another instance until then.
func (e *Edge) dispatchUpgrade(x *Exchange) *problem {
	x.request.Upgrade, x.request.ContentLength = webSocket, -1
	f, meta, p := x.encode()
	if p != nil {
		return p
	}
	var flags spec.Flags
	if x.route.Idempotent {
		flags |= spec.FlagIdempotent
	}
	for {
		call, p := e.begin(x, &f, &meta, flags)
		if p != nil {
			f.Release()
			return p
		}
		head, err := call.Head(x.ctx)
		if err == nil {
			f.Release()
			p = e.decide(x, call, head)
			call.Close()
			return p
		}
		call.Close()
		x.blame(err)
		if !e.again(x, err) {
			f.Release()
			return x.failure(err)
		}
		f = duplicate(f)
		flags |= spec.FlagRetry
	}
}

// mayUpgrade says why the request does not open a WebSocket; nil if it does. What it asks of the service beyond that, such as
// Sec-WebSocket-Key, the service checks.
func (x *Exchange) mayUpgrade() *problem {
	var why string
	switch {
	case !x.http1():
		why = "a WebSocket is opened by HTTP/1.1 here: RFC 8441 is not offered"
	case x.r.ProtoMinor == 0: // whose Upgrade counts for nothing (RFC 9110, section 7.8)
		why = "a WebSocket is opened by HTTP/1.1"
	case x.method != http.MethodGet:
		why = "a WebSocket is opened by GET"
	case !x.isNominated(headerUpgrade) || !offers(x.header()[headerUpgrade], webSocket):
		why = "the endpoint is a WebSocket: send Connection: Upgrade and Upgrade: websocket"
	case x.length != 0:
		return &problem{Kind: kindRequest, detail: "a request that opens a WebSocket has no body"}
	default:
		return nil
	}
	return &problem{Kind: kindUpgrade, detail: why}
}

// offers reports whether a list of protocols has this one. Their names compare without case.
func offers(values []string, protocol string) bool {
	for _, v := range values {
		for name := range strings.SplitSeq(v, ",") {
			if strings.EqualFold(strings.TrimSpace(name), protocol) {
				return true
			}
		}
	}
	return false
}

// decide does what the service has decided: 101 changes the protocol, and every other status is an answer. It takes over the
// frame.
func (e *Edge) decide(x *Exchange, call *session.Call, head *transports.Frame) *problem {
	r := &x.response
	if err := r.Decode(head.Meta()); err != nil || r.Status != http.StatusSwitchingProtocols {
		_ = call.Send(transports.NewFrame(0), 0, true) // nothing follows. Fails if the service has said first that it wants nothing
		return e.answer(x, call, head)
	}
	body := len(head.Body())
	head.Release()
	if body > 0 {
		x.observe(routing.Failed, time.Now())
		call.Cancel(spec.CodeProtocol)
		return &problem{Kind: kindAnswer, detail: "the service's answer of 101 has a body"}
	}
	x.observe(routing.Answered, time.Now())
	far := new(serviceEnd)
	far.call.Store(call)
	e.change(x, far)
	return nil
}

// change accepts the upgrade, as the far end has, and has the connection be used for the other protocol until that ends.
func (e *Edge) change(x *Exchange, far farEnd) {
	e.open.enter()
	x.tunnelled = true
	x.fill(false, false, 0)
	conn, buffered, err := x.hijack()
	if err != nil {
		far.cancel(spec.CodeClientGone)
		x.abort(statusClientGone)
		return
	}
	x.status = x.response.Status
	x.ctx = context.WithoutCancel(x.ctx) // which net/http ends with the first read that fails, and be it by a deadline
	t := &tunnel{x: x, conn: conn, start: x.start, far: far, stall: e.cfg.Stall, idle: x.idle()}
	t.run(buffered)
}

// hijack takes the connection over. Buffered has what the client has sent behind its request.
func (x *Exchange) hijack() (net.Conn, *bufio.Reader, error) {
	h := x.answerHeader()
	h[headerConnection], h[headerUpgrade] = upgrading, toWebSocket
	delete(h, headerTrailer) // nothing follows octets
	conn, buffered, err := http.NewResponseController(x.w).Hijack()
	if err != nil {
		return nil, nil, err //nolint:wrapcheck // says that the client is gone, and is shown to nobody
	}
	return conn, buffered.Reader, nil
}

// switched is the head that accepts the upgrade. net/http writes none on a connection that was taken over.
func (x *Exchange) switched() []byte {
	b := append(make([]byte, 0, 512), "HTTP/1.1 101 Switching Protocols\r\n"...)
	h := x.answerHeader()
	names := make([]string, 0, len(h))
	for name := range h {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		for _, v := range h[name] { // both have been checked when the answer was decoded, or are the gateway's own
			b = append(append(append(append(b, name...), ": "...), v...), "\r\n"...)
		}
	}
	return append(b, "\r\n"...)
}
