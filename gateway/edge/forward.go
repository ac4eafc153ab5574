package edge

import (
	"context"
	"errors"
	"io"
	"time"

	"github.com/stella-ops/router/gateway/legacy"
	"github.com/stella-ops/router/transports"
)

// Why a request that an upstream has is ended from here.
var (
	errOperator = errors.New("edge: an operator has ended the request")
	errEnding   = errors.New("edge: the gateway is shutting down")
)

// forward is dispatch for a request that goes to an upstream of legacy routes. A body of up to 16 KiB is read whole, as for services:
// net/http then watches for the client's leaving, and the connection may be tried anew. A larger one is streamed. Nothing is sent to
// a second upstream.
func (e *Edge) forward(x *Exchange) *problem {
	if e.upstreams.HasSent(x.header()) {
		return &problem{Kind: kindLoop, detail: "the legacy upstream " + x.shift.server.Name + " or one before has sent this gateway's request back to it: " +
			"its operator has to name another server"}
	}
	if x.isNominated(headerUpgrade) && offers(x.header()[headerUpgrade], webSocket) { // others may be ignored (RFC 9110, section 7.8)
		switch p := x.mayUpgrade(); {
		case p == nil:
			return e.forwardUpgrade(x)
		case p.Kind != kindUpgrade:
			return p
		} // and so may one that cannot open a WebSocket: whether the path is one is for the upstream to say
	}
	q := x.toUpstream()
	ctx, cancel := x.ctx, context.CancelCauseFunc(nil)
	switch {
	case x.streams():
		ctx, cancel = x.startFeed(e.cfg.Stall)
		q.Body, q.Length, q.Lost = x.feed, x.length, x.feed.leave
	case x.length > 0:
		q.Held = make([]byte, x.length)
		if p := e.readHeld(x, q.Held); p != nil || x.aborted {
			return p
		}
	}
	if q.Timeout = x.remaining(); q.Timeout <= 0 {
		return &problem{Kind: kindStalled, detail: "the body took longer to arrive than the timeout"}
	}
	if cancel == nil {
		ctx, cancel = context.WithCancelCause(ctx)
	}
	defer cancel(context.Canceled)
	defer e.sent.enter(x, cancel)()
	a, err := e.upstreams.Send(ctx, &q, x.response.Header)
	if err != nil {
		return x.lostAway(err)
	}
	defer a.Close()
	x.response.Header = a.Header
	e.answerAway(x, a)
	return nil
}

// toUpstream is the request without its body, as the upstream gets it.
func (x *Exchange) toUpstream() legacy.Request {
	return legacy.Request{
		Server: x.shift.server, Method: x.method, Path: x.path, Plain: decode(x.path), Query: x.request.Query, Authority: x.request.Authority,
		Peer: x.request.Peer, TLS: x.request.TLS, ID: x.request.ID, Trace: x.request.Trace, Header: x.request.Header,
	}
}

// readHeld reads a body of known length. The server's read timeout bounds it.
func (e *Edge) readHeld(x *Exchange, b []byte) *problem {
	for start := 0; start < len(b); {
		n, err := x.read(b[start:])
		if start += n; err != nil && start < len(b) {
			p, _ := x.fault(err)
			if p == nil {
				x.abort(statusClientGone)
			}
			return p
		}
	}
	return nil
}

// lostAway is the answer to a request that has none of its upstream's. It is nil when the client has left.
func (x *Exchange) lostAway(err error) *problem {
	x.cause = err
	if x.feed != nil {
		if v := x.feed.verdict.Load(); v != nil {
			if v.problem == nil {
				x.abort(statusClientGone)
			}
			return v.problem
		}
	}
	upstream := "the legacy upstream " + x.shift.server.Name
	switch {
	case errors.Is(err, errOperator):
		return &problem{Kind: kindLegacyLost, detail: "an operator has ended the request. Whether anything was done is unknown"}
	case errors.Is(err, errEnding):
		return &problem{Kind: kindLegacyLost, detail: "the gateway is shutting down, and " + upstream + " did not answer before. Whether anything was done is unknown"}
	case x.ctx.Err() != nil:
		x.abort(statusClientGone)
		return nil
	case errors.Is(err, legacy.ErrTimeout):
		return &problem{Kind: kindTimeout, detail: upstream + " did not answer within " + x.timeout().String()}
	case errors.Is(err, legacy.ErrUnreachable):
		return &problem{Kind: kindUnreachable, detail: upstream + " cannot be reached", retryable: true}
	}
	return &problem{Kind: kindLegacyLost, detail: upstream + " ended the connection, or broke HTTP, before it had answered. Whether anything was done is unknown"}
}

// answerAway passes an upstream's answer on, and breaks it off where it does not come whole. Nothing of it is held: what has come is
// sent, unless more has come already.
func (e *Edge) answerAway(x *Exchange, a *legacy.Answer) {
	r := &x.response
	r.Status, r.ContentLength = a.Status, a.Length
	some := x.mayHaveBody(r.Status)
	x.fill(some, false, 0)
	x.compress(r.ContentLength)
	defer x.uncompress()
	x.status = r.Status
	x.writeBy(time.Now().Add(e.cfg.Stall))
	x.head(r.Status)
	if some {
		e.streamAway(x, a)
	}
	if err := x.finish(); err != nil {
		x.abort(statusClientGone)
	}
}

// streamAway passes the body on.
func (e *Edge) streamAway(x *Exchange, a *legacy.Answer) {
	f := transports.NewFrame(chunk)
	defer f.Release()
	b := f.Bytes()
	b = b[len(b) : len(b)+chunk]
	left := a.Length
	idle := x.idle()
	waits := left < 0 || left > heldByNetHTTP // what was written is not to wait for more; a short body comes with its head
	for left != 0 {
		if waits {
			if err := x.push(); err != nil {
				x.abort(statusClientGone)
				return
			}
		}
		if !x.http1() { // which would reset a stream whose deadline passes, though nothing waits to be written
			x.writeBy(time.Time{})
		}
		n, err := a.Read(b, idle)
		x.writeBy(time.Now().Add(e.cfg.Stall))
		if n > 0 {
			if x.pass(b[:n]) != nil {
				x.abort(statusClientGone)
				return
			}
			left = max(left-int64(n), -1)
		}
		waits = n < len(b)
		switch {
		case err == io.EOF: //nolint:errorlint // io.Reader returns it bare
			return
		case err != nil:
			x.cause = err
			_ = x.push() // the last part may say why; a client that is gone misses nothing
			x.abort(x.status)
			return
		}
	}
}
