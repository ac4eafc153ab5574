package edge

import (
	"errors"
	"time"

	"github.com/stella-ops/router/gateway/routing"
	"github.com/stella-ops/router/spec"
	"github.com/stella-ops/router/transports/session"
)

// observe tells routing what a try says of its instance. How long a call with a streamed body takes is the
// client's doing as much as the service's, and counts for nothing.
func (x *Exchange) observe(result routing.Result, now time.Time) {
	took := time.Duration(0)
	if x.pump == nil {
		took = now.Sub(x.began)
	}
	x.limited.latency(result, took)
	x.route.Release.Observe(x.served, result, took, now)
}

// blame tells routing of a call that ended without RESPONSE, if that is the instance's fault.
func (x *Exchange) blame(err error) {
	if x.ctx.Err() != nil { // the client's
		return
	}
	if lost(err) {
		x.observe(routing.Lost, time.Now())
		return
	}
	var e *session.Error
	if errors.Is(err, session.ErrClosed) || !errors.As(err, &e) { // this gateway's
		return
	}
	switch e.Code {
	case spec.CodeDeadline, spec.CodeIdle:
		if x.pump == nil || x.pump.ended() { // else it may have waited for the body
			x.observe(routing.Failed, time.Now())
		}
	case spec.CodeRefused, spec.CodeStale, spec.CodeLimit, spec.CodeTooLarge, spec.CodeShutdown, spec.CodeClientGone, spec.CodeStalled,
		spec.CodeSlowConsumer:
	default:
		x.observe(routing.Failed, time.Now())
	}
}
