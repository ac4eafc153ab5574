package stella

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"runtime/debug"
	"sync/atomic"
	"time"

	"github.com/stella-ops/router/spec"
	"github.com/stella-ops/router/transports/session"
)

// generation is the manifest generation that this side serves: a session keeps the manifest of its HELLO.
const generation = 0

// dispatcher finds the endpoint of every call, has it served, and turns whatever becomes of it into an answer. It is
// safe for concurrent use.
type dispatcher struct {
	routes []route
	log    *slog.Logger
	tracer Tracer // or nil

	calls    atomic.Int64 // being served
	draining atomic.Bool
	idle     chan struct{} // one: calls has come to zero while draining
}

func newDispatcher(routes []route, log *slog.Logger) *dispatcher {
	return &dispatcher{routes: routes, log: log, idle: make(chan struct{}, 1)}
}

// tally counts the calls of one session since its last heartbeat.
type tally struct {
	served, failed atomic.Int64
}

// permille returns how many of the calls since the last time failed, in thousandths.
func (t *tally) permille() int {
	failed, served := t.failed.Swap(0), t.served.Swap(0)
	if served == 0 {
		return 0
	}
	return int(min(failed*1000/served, 1000)) // a call may end between the two swaps
}

// call is all that one call needs, in one allocation. It is the context of its handler, too.
type call struct {
	context.Context //nolint:containedctx // it is the context: see Value

	request  Request
	response Response
	in       *session.Incoming
	log      *slog.Logger // the service's
}

// Value finds the request, the logger, and what the session's context holds.
func (c *call) Value(key any) any {
	switch key.(type) {
	case requestKey:
		return &c.request
	case loggerKey:
		return slog.New(c.log.Handler().WithAttrs(c.attrs(nil)))
	}
	return c.Context.Value(key)
}

// AfterFunc lets package context derive contexts from c without starting a goroutine for each.
func (c *call) AfterFunc(f func()) (stop func() bool) { return context.AfterFunc(c.Context, f) }

// serve serves one call.
func (d *dispatcher) serve(in *session.Incoming, t *tally) {
	d.calls.Add(1)
	defer d.done()
	meta := in.Request()
	if meta.Generation != generation || int64(meta.Endpoint) >= int64(len(d.routes)) {
		in.Cancel(spec.CodeStale, "no such endpoint in this generation of the manifest")
		return
	}
	t.served.Add(1)
	rt := &d.routes[meta.Endpoint]
	if !d.run(newCall(in, meta, rt, d.log), rt.dispatch) {
		t.failed.Add(1)
	}
}

func (d *dispatcher) done() {
	if d.calls.Add(-1) == 0 && d.draining.Load() {
		select {
		case d.idle <- struct{}{}:
		default:
		}
	}
}

// drained waits until no handler runs any more, at most for d.
func (d *dispatcher) drained(limit time.Duration) {
	d.draining.Store(true)
	timer := time.NewTimer(limit)
	defer timer.Stop()
	for d.calls.Load() > 0 {
		select {
		case <-d.idle:
		case <-timer.C:
			return
		}
	}
}

func newCall(in *session.Incoming, meta *spec.Request, rt *route, log *slog.Logger) *call {
	method := meta.Method
	if method == "" {
		method = rt.endpoint.Method
	}
	c := &call{Context: in.Context(), in: in, log: log}
	c.request = Request{
		Method: method, Path: meta.Path, RawQuery: meta.Query, Host: meta.Authority, RemoteAddr: meta.Peer,
		TLS: meta.TLS, ID: meta.ID.String(), ContentLength: meta.ContentLength, Identity: meta.Identity,
		Header: meta.Header, Body: in, endpoint: rt.endpoint, params: meta.Params, trace: &meta.Trace, in: in,
	}
	if c.request.Path == "" {
		c.request.Path = rt.pattern.Fill(meta.Params)
	}
	w := &c.response
	w.to, w.length, w.fallback, w.bodiless = in, -1, rt.endpoint.Status, method == http.MethodHead
	w.header = w.fields[:0]
	if rt.endpoint.Stream == spec.StreamUpgrade {
		c.mayUpgrade(meta)
	}
	return c
}

// mayUpgrade prepares a call whose caller may change to another protocol. What follows the request are octets of that, hence
// its body is empty.
func (c *call) mayUpgrade(meta *spec.Request) {
	c.request.Upgrade, c.request.ContentLength, c.request.Body, c.request.in = meta.Upgrade, 0, http.NoBody, nil
	c.response.upgrade, c.response.fallback = &upgrade{protocol: meta.Upgrade, remote: meta.Peer}, http.StatusOK
}

// run calls the dispatcher of c's endpoint and sends its answer. It reports whether the service did its part: false
// is an answer of 500 and more, one that was broken off, or none in time.
func (d *dispatcher) run(c *call, dispatch Dispatch) (ok bool) {
	defer c.response.release()
	ctx := context.Context(c)
	if d.tracer != nil {
		var end func(status int, ok bool)
		ctx, end = d.tracer.Start(c, &c.request)
		defer func() {
			status := 0
			if c.response.begun {
				status = c.response.status
			}
			end(status, ok)
		}()
	}
	defer func() {
		if c.request.spool == nil {
			return
		}
		if err := c.request.spool.Close(); err != nil {
			d.log.LogAttrs(c, slog.LevelWarn, "stella: a temporary file is left", c.attrs(err)...)
		}
	}()
	defer func() {
		if v := recover(); v != nil {
			d.panicked(c, v)
			ok = false
		}
	}()
	err := dispatch(ctx, &c.request, &c.response)
	if err == nil || c.response.ended && errors.Is(err, http.ErrBodyNotAllowed) {
		if err = c.response.finish(); err == nil {
			return c.response.status < http.StatusInternalServerError
		}
	}
	return d.fail(c, err)
}

// fail answers a call whose handler returned err, or whose answer could not be sent.
func (d *dispatcher) fail(c *call, err error) bool {
	if c.Err() != nil {
		return d.over(c, err)
	}
	if c.response.begun {
		d.log.LogAttrs(c, slog.LevelError, "stella: answer broken off", c.attrs(err)...)
		c.in.Cancel(spec.CodeInternal, "the service failed within its answer")
		return false
	}
	e := c.response.errorOf(err)
	if level, text, telling := e.told(); telling {
		d.log.LogAttrs(c, level, text, c.attrs(err)...)
	}
	d.refuse(c, e)
	return e.status() < http.StatusInternalServerError
}

// over ends a call whose context has ended: there is nobody to answer, but a deadline is the gateway's to report.
func (d *dispatcher) over(c *call, err error) bool {
	late := errors.Is(c.Err(), context.DeadlineExceeded)
	if late {
		c.in.Cancel(spec.CodeDeadline, "the handler's time is up")
	}
	d.log.LogAttrs(c, slog.LevelDebug, "stella: call ended before its answer", append(c.attrs(err), slog.Any("cause", context.Cause(c)))...)
	return !late
}

// panicked answers a call whose handler panicked with v.
func (d *dispatcher) panicked(c *call, v any) {
	if v == http.ErrAbortHandler { //nolint:errorlint // the very value, as in net/http
		c.in.Cancel(spec.CodeInternal, "the handler aborted")
		return
	}
	attrs := append(c.attrs(nil), slog.Any("panic", v), slog.String("stack", string(debug.Stack())))
	d.log.LogAttrs(c, slog.LevelError, "stella: handler panicked", attrs...)
	if c.response.begun {
		c.in.Cancel(spec.CodeInternal, "the service failed within its answer")
		return
	}
	d.refuse(c, internalError(nil))
}

// refuse answers with a problem instead of whatever has been written so far.
func (d *dispatcher) refuse(c *call, e *Error) {
	err := c.response.replace(e, c.request.ID)
	if err == nil || c.Err() != nil {
		return
	}
	d.log.LogAttrs(c, slog.LevelError, "stella: problem not sent", c.attrs(err)...)
	c.in.Cancel(spec.CodeInternal, "the service failed to answer")
}

// attrs say in the log which call it is, and what failed.
func (c *call) attrs(err error) []slog.Attr {
	attrs := []slog.Attr{slog.String("request_id", c.request.ID), slog.String("endpoint", c.request.Pattern())}
	if err != nil {
		attrs = append(attrs, slog.Any("error", err))
	}
	return attrs
}
