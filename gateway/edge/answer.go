package edge

import (
	"errors"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/stella-ops/router/gateway/routing"
	"github.com/stella-ops/router/spec"
	"github.com/stella-ops/router/transports"
	"github.com/stella-ops/router/transports/session"
)

// heldByNetHTTP is how much of a body net/http holds until it has to begin the answer: up to there it finds the
// Content-Length itself, without a string.
const heldByNetHTTP = 2048

const (
	headerConnection    = "Connection"
	headerContentLength = "Content-Length"
	headerContentType   = "Content-Type"
	headerExpect        = "Expect"
	headerProxyStatus   = "Proxy-Status"
)

// answer passes RESPONSE on; it takes over the frame. The answer has the length that the service said, or it is
// broken off: it never ends as if it were whole. A problem is returned only as long as nothing has been sent.
func (e *Edge) answer(x *Exchange, call *session.Call, head *transports.Frame) *problem {
	now, r := time.Now(), &x.response
	if err := r.Decode(head.Meta()); err != nil || r.Status < http.StatusOK { // 101 accepts what was not asked for
		head.Release()
		x.observe(routing.Failed, now)
		call.Cancel(spec.CodeProtocol)
		return &problem{Kind: kindAnswer, detail: "the service's answer breaks the protocol"}
	}
	inline, whole := head.Body(), head.Header().Flags&spec.FlagEnd != 0
	some := x.mayHaveBody(r.Status)
	left := r.ContentLength - int64(len(inline))
	if some && r.ContentLength >= 0 && (left < 0 || whole && left > 0) {
		head.Release()
		x.observe(routing.Failed, now)
		call.Cancel(spec.CodeProtocol)
		return &problem{Kind: kindAnswer, detail: "the service's answer is not as long as it says"}
	}
	if r.Status >= http.StatusInternalServerError {
		x.observe(routing.Failed, now)
	} else {
		x.observe(routing.Answered, now)
	}
	x.fill(some, whole, int64(len(inline)))
	size := r.ContentLength
	if whole {
		size = int64(len(inline))
	}
	x.compress(size)
	defer x.uncompress()
	x.status = r.Status
	x.writeBy(now.Add(e.cfg.Stall))
	x.head(r.Status)
	if len(x.declared) > 0 {
		x.undeclare()
	}
	var err error
	if some && len(inline) > 0 {
		err = x.pass(inline)
	}
	head.Release()
	switch {
	case err != nil:
		call.Cancel(spec.CodeClientGone)
		x.abort(statusClientGone)
	case whole:
	case !some:
		call.Cancel(spec.CodeNoError)
	default:
		e.stream(x, call, max(left, -1))
	}
	if err := x.finish(); err != nil {
		x.abort(statusClientGone)
	}
	if some && !whole && !x.aborted && x.trail(call.Trailers()) != nil {
		x.abort(statusClientGone)
	}
	return nil
}

// mayHaveBody reports whether an answer with the status has a body.
func (x *Exchange) mayHaveBody(status int) bool {
	return x.method != http.MethodHead && status != http.StatusNoContent && status != http.StatusNotModified
}

// fill makes the answer's header of the service's. Values share one backing, which net/http copies from.
func (x *Exchange) fill(some, whole bool, inline int64) {
	h, fields := x.answerHeader(), x.response.Header
	x.values = slices.Grow(x.values, len(fields)+2)
	x.stamp(h)
	typed := false
	for i := range fields {
		f := &fields[i]
		if f.Name == headerTrailer {
			x.declare(f.Value)
			continue
		}
		if judgeAnswer(f.Name) != keep || x.cors != nil && strings.HasPrefix(f.Name, accessControl) {
			continue
		}
		if f.Name == headerContentType {
			typed = true
		}
		if earlier, more := h[f.Name]; more {
			h[f.Name] = append(earlier, f.Value)
		} else {
			h[f.Name] = x.value(f.Value)
		}
	}
	if some && !typed {
		h[headerContentType] = nil // keeps net/http from guessing one
	}
	if len(x.declared) > 0 {
		h[headerTrailer] = x.value(strings.Join(x.declared, ", "))
	}
	if n := x.announced(some, whole, inline); n >= 0 {
		h[headerContentLength] = x.value(strconv.FormatInt(n, 10))
	}
	if x.http1() && !x.taken() {
		// The service has begun to answer without the rest of the body. Whether anybody will ever read that is not known
		// yet, and what is left of it must not be taken for the connection's next request.
		h[headerConnection] = closing
	}
}

// taken reports whether the request's body has been read to its end, or was before anything was sent.
func (x *Exchange) taken() bool {
	switch {
	case x.pump != nil:
		return x.pump.ended()
	case x.feed != nil:
		return x.feed.whole.Load()
	}
	return true
}

// value returns a header value in a slice of its own, whose memory is the exchange's.
func (x *Exchange) value(s string) []string {
	x.values = append(x.values, s)
	n := len(x.values)
	return x.values[n-1 : n : n]
}

// announced is the Content-Length to set, or -1 for none.
func (x *Exchange) announced(some, whole bool, inline int64) int64 {
	switch length := x.response.ContentLength; {
	case some && whole && inline <= heldByNetHTTP && x.taken(): // else it is sent before net/http ends it
		return -1
	case some && whole:
		return inline
	case some:
		return length
	case x.method == http.MethodHead && length < 0 && whole && inline > 0:
		return inline
	case x.method == http.MethodHead:
		return length
	}
	return -1 // 204 and 304 say nothing of a length
}

// pass writes a part of the body to the client.
func (x *Exchange) pass(b []byte) error {
	if x.coded != nil {
		_, err := x.coded.Write(b)
		return err
	}
	n, err := x.write(b)
	x.written += int64(n)
	return err
}

// push sends what has been passed.
func (x *Exchange) push() error {
	if x.coded != nil {
		if err := x.coded.Flush(); err != nil {
			return err
		}
	}
	return x.flush()
}

// stream passes on a streamed answer; left is what is to come, or -1 if unknown. It sends what it has whenever
// nothing more is waiting, so that events do not lag.
func (e *Edge) stream(x *Exchange, call *session.Call, left int64) {
	for {
		if !call.Ready() {
			if err := x.push(); err != nil {
				call.Cancel(spec.CodeClientGone)
				x.abort(statusClientGone)
				return
			}
			if !x.http1() { // which would reset a stream whose deadline passes, though nothing waits to be written
				x.writeBy(time.Time{})
			}
		}
		idle := x.route.Idle
		if x.route.Unary { // its timeout bounds the call whole
			idle = max(min(idle, x.route.Timeout-time.Since(x.start)), 1)
		}
		f, err := call.Next(x.ctx, idle)
		x.writeBy(time.Now().Add(e.cfg.Stall)) // for the end, too: it may have taken longer than the stall to come
		switch {
		case errors.Is(err, io.EOF):
			if left > 0 {
				x.abort(x.status)
			}
			return
		case err != nil:
			_ = x.push() // the last part may say why; a client that is gone misses nothing
			x.abort(x.status)
			return
		}
		n := len(f.Body())
		if left >= 0 {
			if left -= int64(n); left < 0 {
				f.Release()
				call.Cancel(spec.CodeProtocol)
				x.abort(x.status)
				return
			}
		}
		err = x.pass(f.Body())
		f.Release()
		if err != nil {
			call.Cancel(spec.CodeClientGone)
			x.abort(statusClientGone)
			return
		}
		call.Consumed(n)
	}
}
