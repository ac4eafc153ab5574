package stella

import (
	"context"
	"encoding/hex"

	"github.com/stella-ops/router/spec"
)

// Tracer makes a span of each call; package runtime/otel has one. Its methods are called concurrently.
type Tracer interface {
	// Start begins the span of a call, as a child of [Request.Trace]. The handler gets the context that it returns, which
	// has to come from ctx. end is called once, when the call is over: with the status that was sent, 0 for none, and
	// whether the service did its part, which it did not with a status of 500 or more, an answer that was broken off, or none
	// in time.
	Start(ctx context.Context, r *Request) (handler context.Context, end func(status int, ok bool))
}

// WithTracer has a tracer make a span of each call.
func WithTracer(t Tracer) Part {
	return option(func(c *config) { c.tracer = t })
}

// Trace is the call's trace context, as the gateway has sent it: the span is the gateway's. The zero value is none.
func (r *Request) Trace() spec.Trace {
	if r.trace == nil {
		return spec.Trace{}
	}
	return *r.trace
}

// TraceFields are the trace context as the header fields traceparent and tracestate (W3C Trace Context, section 3), for
// requests that the handler itself sends. They are empty where there is none.
func (r *Request) TraceFields() (traceparent, tracestate string) {
	t := r.Trace()
	if t.TraceID == [16]byte{} {
		return "", ""
	}
	return "00-" + hex.EncodeToString(t.TraceID[:]) + "-" + hex.EncodeToString(t.SpanID[:]) + "-" + hex.EncodeToString([]byte{t.Flags}), t.State
}
