package edge

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/stella-ops/router/gateway/routing"
	"github.com/stella-ops/router/spec"
	"github.com/stella-ops/router/transports"
	"github.com/stella-ops/router/transports/session"
)

// head waits for RESPONSE. A call that may be hedged, and has none after as long as the policy says, is sent to a second
// instance as well; the first RESPONSE of the two stands, and the other call is cancelled. head returns the call whose
// answer or failure it is; the other is closed. f and meta are then those that the endpoint's address of the last try is in.
func (e *Edge) head(x *Exchange, call *session.Call, f **transports.Frame, meta *int, flags spec.Flags) (*session.Call, *transports.Frame, error) {
	after := x.route.Release.HedgeAfter()
	if after <= 0 || !x.route.Idempotent || !x.route.Unary || x.tries == maxTries || call.Wait(x.ctx, after) {
		head, err := call.Head(x.ctx)
		return call, head, err
	}
	first := try{call: call, served: x.served, began: x.began}
	second, ok := e.hedge(x, f, meta, flags)
	if !ok {
		x.served, x.began = first.served, first.began
		head, err := call.Head(x.ctx)
		return call, head, err
	}
	var race atomic.Pointer[session.Call] // whose RESPONSE has come first
	done := make(chan struct{})
	go func() { // ends with the second call, which has a timeout of its own, and which the first cancels when it wins
		defer close(done)
		second.wait(x.ctx, &race, first.call)
	}()
	first.wait(x.ctx, &race, second.call)
	<-done
	won, lost := &first, &second
	if race.Load() == second.call {
		won, lost = &second, &first
		now := time.Now()
		x.route.Release.Observe(first.served, routing.Outrun, now.Sub(first.began), now)
	}
	lost.call.Close()
	x.served, x.began = won.served, won.began
	return won.call, won.head, won.err
}

// hedge sends the call to a second instance, if there is one and the budget of retries has one left.
func (e *Edge) hedge(x *Exchange, f **transports.Frame, meta *int, flags spec.Flags) (t try, ok bool) {
	if x.ctx.Err() != nil || e.next(x) == nil {
		return try{}, false
	}
	spent := !x.route.Release.Retries.Spend()
	x.route.Meter.Retry(!spent)
	if spent {
		return try{}, false
	}
	again, size := clone(*f), *meta // the first one's bytes may still be on their way
	call, p := e.begin(x, &again, &size, flags|spec.FlagRetry)
	(*f).Release()
	*f, *meta = again, size
	if p != nil {
		return try{}, false
	}
	return try{call: call, served: x.served, began: x.began}, true
}

// try is one of two calls for one request.
type try struct {
	call   *session.Call
	served *routing.Instance
	began  time.Time
	head   *transports.Frame
	err    error
}

// wait waits for RESPONSE, and cancels the other call if this one was first.
func (t *try) wait(ctx context.Context, race *atomic.Pointer[session.Call], other *session.Call) {
	t.head, t.err = t.call.Head(ctx)
	switch {
	case t.err != nil:
	case race.CompareAndSwap(nil, t.call):
		other.Cancel(spec.CodeClientGone)
	default:
		t.head.Release()
		t.head = nil
	}
}
