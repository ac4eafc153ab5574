package edge

import (
	"encoding/binary"
	"math/rand/v2"
	"time"

	"github.com/stella-ops/router/spec"
)

// Flags of a trace context (W3C Trace Context, sections 3.2.2.5 and, of level 2, 3.2.2.5.2).
const (
	flagSampled = 0x01
	flagRandom  = 0x02 // the id is random
)

// Span is a request that is over, as one who traces sees it.
type Span struct {
	Record

	Trace    spec.Trace // the gateway's span is its SpanID, and its service's parent
	Parent   [8]byte    // the client's span; all zero: there is none
	Endpoint string     // METHOD /pattern; empty: the request led to none
	Route    string     // the pattern alone
	Attempts []string   // ids of the instances that it was offered to, in order; none where it went to no service
}

// trace makes the request a span of the gateway's own. A client's trace goes on, traced or not as the client has decided. Of
// requests without one, some are traced, and the others tell services not to.
func (e *Edge) trace(x *Exchange) {
	t := &x.request.Trace
	if t.TraceID == [16]byte{} {
		binary.BigEndian.PutUint64(t.TraceID[:8], rand.Uint64())   //nolint:gosec // unique, not secret
		binary.BigEndian.PutUint64(t.TraceID[8:], rand.Uint64()|1) //nolint:gosec // as above; never all zero
		t.Flags = flagRandom
		if n := e.cfg.TraceOneIn; n > 0 && rand.IntN(n) == 0 { //nolint:gosec // as above
			t.Flags |= flagSampled
		}
	} else {
		x.parent = t.SpanID
	}
	binary.BigEndian.PutUint64(t.SpanID[:], rand.Uint64()|1) //nolint:gosec // as above
}

// span is what became of the request.
func (x *Exchange) span(took time.Duration) Span {
	s := Span{Record: x.record(took), Trace: x.request.Trace, Parent: x.parent}
	if x.route != nil {
		s.Route = x.route.Path
		s.Endpoint = x.route.Method + " " + s.Route
	}
	for _, in := range x.tried[:x.tries] {
		s.Attempts = append(s.Attempts, in.ID())
	}
	return s
}
