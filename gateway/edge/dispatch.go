package edge

import (
	"errors"
	"slices"
	"time"

	"github.com/stella-ops/router/gateway/routing"
	"github.com/stella-ops/router/spec"
	"github.com/stella-ops/router/transports"
	"github.com/stella-ops/router/transports/session"
)

// dispatch sends REQUEST to an instance, and the body with it or after it, and waits for RESPONSE.
//
// A body of up to [spec.MaxInlineBody] is read whole, straight into the frame: that also lets net/http watch for the
// client's leaving. As long as the body is held whole, a call that was certainly not taken on is sent to another
// instance, and so is one of an idempotent endpoint whose session was lost before it was answered. The release's budget
// bounds how many requests are sent twice.
func (e *Edge) dispatch(x *Exchange) *problem {
	if !x.route.Release.Live() {
		return &problem{Kind: kindNoInstance, detail: x.route.Release.Absence(), retryable: true}
	}
	if x.route.Stream == spec.StreamUpgrade {
		return e.dispatchUpgrade(x)
	}
	trails := len(x.trailer()) > 0
	if trails {
		x.foretell()
	}
	f, meta, p := x.encode()
	if p != nil {
		return p
	}
	var flags spec.Flags
	if x.route.Idempotent {
		flags |= spec.FlagIdempotent
	}
	if x.streams() {
		return e.dispatchStream(x, f, meta, flags)
	}
	flags |= spec.FlagEnd
	if x.length > 0 {
		flags |= spec.FlagInlineBody
		if p := e.readInline(x, f); p != nil || x.aborted {
			f.Release()
			return p
		}
	}
	if trails {
		if p := e.readEnd(x); p != nil || x.aborted {
			f.Release()
			return p
		}
	}
	for {
		call, p := e.begin(x, &f, &meta, flags)
		if p != nil {
			f.Release()
			return p
		}
		call, head, err := e.head(x, call, &f, &meta, flags)
		if err == nil {
			f.Release()
			p = e.answer(x, call, head)
			call.Close()
			return p
		}
		call.Close()
		x.blame(err)
		if !e.again(x, err) {
			f.Release()
			return x.failure(err)
		}
		f = duplicate(f) // the first one's bytes may still be on their way
		flags |= spec.FlagRetry
	}
}

// dispatchStream is dispatch for a body that is streamed by a pump, which holds what it has read for as long as the call
// may have to be offered to another instance.
func (e *Edge) dispatchStream(x *Exchange, f *transports.Frame, meta int, flags spec.Flags) *problem {
	for {
		call, p := e.begin(x, &f, &meta, flags)
		if p != nil {
			f.Release()
			return p
		}
		if x.pump == nil {
			x.startPump(call, e.cfg.Stall)
		} else {
			x.pump.resume(call)
		}
		head, err := call.Head(x.ctx)
		if err == nil {
			f.Release()
			x.pump.settle()
			p = e.answer(x, call, head)
			call.Cancel(spec.CodeNoError) // a service that has answered needs no more of the body
			call.Close()
			return p
		}
		call.Close()
		if v := x.pump.verdict.Load(); v != nil {
			f.Release()
			if v.problem == nil {
				x.abort(statusClientGone)
			}
			return v.problem
		}
		x.blame(err)
		if !e.again(x, err) || !x.pump.rewind() {
			f.Release()
			return x.failure(err)
		}
		f = duplicate(f)
		flags |= spec.FlagRetry
	}
}

// streams reports whether the request body takes the way of a stream.
func (x *Exchange) streams() bool { return x.length < 0 || x.length > spec.MaxInlineBody }

// encode makes the frame of REQUEST: its metadata, with room for the inline body.
func (x *Exchange) encode() (f *transports.Frame, meta int, p *problem) {
	r := &x.request
	size := x.room + 96 + len(r.Path) + len(r.Query) + len(r.Authority) + len(r.Peer) + len(r.Trace.State)
	for _, v := range r.Params {
		size += len(v) + fieldOverhead
	}
	if r.Identity != nil {
		size += len(r.Identity.Subject) + len(r.Identity.Tenant) + 2*fieldOverhead
		for _, c := range r.Identity.Claims {
			size += len(c.Type) + len(c.Value) + fieldOverhead
		}
	}
	if !x.streams() {
		size += int(x.length)
	}
	f = transports.NewFrame(size)
	b := r.AppendTo(f.Bytes())
	f.SetBytes(b)
	if meta = len(b) - spec.HeaderSize; meta > spec.MaxMetadata {
		f.Release()
		return nil, 0, &problem{Kind: kindHeaders, detail: "header fields, query and path are too long to pass on"}
	}
	return f, meta, nil
}

// readInline reads the body into the frame, behind the metadata. The server's read timeout bounds it.
func (e *Edge) readInline(x *Exchange, f *transports.Frame) *problem {
	b := f.Bytes()
	start, end := len(b), len(b)+int(x.length)
	b = slices.Grow(b, int(x.length))[:end]
	for start < end {
		n, err := x.read(b[start:])
		if start += n; err != nil && start < end {
			p, _ := x.fault(err)
			if p == nil {
				x.abort(statusClientGone)
			}
			return p
		}
	}
	f.SetBytes(b)
	if x.remaining() <= 0 {
		return &problem{Kind: kindStalled, detail: "the body took longer to arrive than the endpoint's timeout"}
	}
	return nil
}

// remaining is what is left of the timeout.
func (x *Exchange) remaining() time.Duration {
	if x.length == 0 && x.tries < 2 {
		return x.timeout() // next to no time has passed
	}
	return x.timeout() - time.Since(x.start)
}

// begin offers the call to one instance after the other until one takes it. The frame is held on success and on
// failure, and nobody else holds it after a failure. It is another one when the instance counts its endpoints otherwise.
func (e *Edge) begin(x *Exchange, f **transports.Frame, meta *int, flags spec.Flags) (*session.Call, *problem) {
	kind, unfit := kindOverloaded, (*problem)(nil)
	for x.tries < maxTries {
		x.began = time.Now()
		in := e.next(x)
		if in == nil {
			break
		}
		x.tried[x.tries], x.served = in, in
		x.tries++
		left := x.remaining()
		if left <= 0 {
			return nil, &problem{Kind: kindTimeout, detail: "no instance took the call on within the endpoint's timeout", retryable: true}
		}
		if p := x.address(in, f, meta); p != nil {
			return nil, p
		}
		if p := x.fits(in, *f, *meta); p != nil {
			unfit = p
			continue
		}
		(*f).Retain()
		call, err := in.Session.StartAbout(x, *f, *meta, x.begins(in.Session, flags), left)
		if err == nil {
			if len(x.ending) > 0 && in.Session.Trailers() {
				_ = call.EndWith(x.ending) // fails with the call
			}
			if flags&spec.FlagRetry == 0 {
				x.route.Release.Retries.Earn()
			}
			return call, nil
		}
		if errors.Is(err, session.ErrClosed) {
			kind = kindNoInstance
		}
	}
	if unfit != nil && kind == kindOverloaded {
		return nil, unfit
	}
	if flags&spec.FlagRetry != 0 {
		kind = kindRefused
	}
	return nil, &problem{Kind: kind, detail: "no instance of " + x.route.Release.Service + " takes the call on now", retryable: true}
}

// address makes REQUEST name the endpoint as the instance counts it: one that has appended endpoints to its session may
// count otherwise than its fellows.
func (x *Exchange) address(in *routing.Instance, f **transports.Frame, meta *int) *problem {
	generation, number := in.Address(x.route)
	if generation == x.request.Generation && number == x.request.Endpoint {
		return nil
	}
	x.request.Generation, x.request.Endpoint = generation, number
	again, n, p := x.encode()
	if p != nil {
		return p
	}
	again.SetBytes(append(again.Bytes(), (*f).Payload()[*meta:]...))
	(*f).Release()
	*f, *meta = again, n
	return nil
}

// next is an instance that has not been tried, or nil. When the release has none, the newest snapshot is asked once: sessions
// come and go, and one that is superseded has its successor there.
func (e *Edge) next(x *Exchange) *routing.Instance {
	in := x.route.Release.Pick(x.began, x.tried[:x.tries])
	if in != nil {
		return in
	}
	r := e.cfg.Registry.Snapshot().Again(x.route)
	if r == nil || r == x.route {
		return nil
	}
	x.route = r
	return r.Release.Pick(x.began, x.tried[:x.tries])
}

// again reports whether a call that has failed may be sent to another instance, of which there is one, and takes that from
// the budget.
func (e *Edge) again(x *Exchange, err error) bool {
	safe := refused(err) || x.route.Idempotent && lost(err)
	if !safe || x.tries == maxTries || x.ctx.Err() != nil || e.next(x) == nil {
		return false
	}
	spent := !x.route.Release.Retries.Spend()
	x.route.Meter.Retry(!spent)
	return !spent
}

// lost reports whether a call failed with its session, of which this gateway was not the end: whether the service did
// anything for it is not known.
func lost(err error) bool {
	var e *session.Error
	own := errors.As(err, &e) && !e.Remote && e.Code == spec.CodeShutdown
	return errors.Is(err, session.ErrClosed) && !own
}

// refused reports whether the service certainly did not take the call on.
func refused(err error) bool {
	var e *session.Error
	return errors.As(err, &e) && e.Remote && e.Code.Retryable() && !errors.Is(err, session.ErrClosed)
}

// duplicate replaces a frame whose bytes somebody else may still read by a copy.
func duplicate(f *transports.Frame) *transports.Frame {
	c := clone(f)
	f.Release()
	return c
}

func clone(f *transports.Frame) *transports.Frame {
	c := transports.NewFrame(len(f.Payload()))
	c.SetBytes(append(c.Bytes(), f.Payload()...))
	return c
}

// failure is the answer to a call that ended without RESPONSE. It is nil when the client has left.
func (x *Exchange) failure(err error) *problem {
	var e *session.Error
	switch {
	case x.ctx.Err() != nil:
		x.abort(statusClientGone)
		return nil
	case errors.Is(err, session.ErrClosed):
		if errors.As(err, &e) && !e.Remote && e.Code == spec.CodeShutdown {
			return &problem{Kind: kindLost, detail: "the gateway is shutting down, and the service did not answer before. Whether the call was done is unknown"}
		}
		return &problem{Kind: kindLost, detail: "the connection to the service was lost"}
	case !errors.As(err, &e):
		return &problem{Kind: kindFailed, detail: "the call failed"}
	}
	switch e.Code {
	case spec.CodeDeadline, spec.CodeIdle:
		return &problem{Kind: kindTimeout, detail: "the service did not answer within " + x.route.Timeout.String()}
	case spec.CodeRefused, spec.CodeStale:
		return &problem{Kind: kindRefused, detail: "the service did not take the call on", retryable: true}
	case spec.CodeLimit:
		return tooLarge(x.route.MaxBody)
	case spec.CodeTooLarge:
		return &problem{Kind: kindAnswerSize, detail: e.Reason}
	case spec.CodeOperator:
		return &problem{Kind: kindLost, detail: "an operator has ended the call. Whether it was done is unknown"}
	case spec.CodeShutdown:
		return &problem{Kind: kindLost, detail: "the service shut down before it answered"}
	default:
		return &problem{Kind: kindFailed, detail: "the service gave the call up: " + e.Code.String()}
	}
}
