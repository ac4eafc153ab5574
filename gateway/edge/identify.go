package edge

import (
	"encoding/binary"
	"math/rand/v2"
	"time"

	"github.com/stella-ops/router/spec"
)

const (
	headerRequestID   = "X-Request-Id"
	headerTraceparent = "Traceparent"
	headerTracestate  = "Tracestate"
	maxTracestate     = 512 // bytes (W3C Trace Context, section 3.3.1.5, asks for at least as much)
)

// identify gives the request its id and takes its trace context over. The id is always the gateway's own; a client's
// is only logged. A traceparent that breaks the grammar is no trace context.
func (e *Edge) identify(x *Exchange) {
	x.request.ID = newRequestID(x.start)
	h := x.header()
	if parent := h[headerTraceparent]; len(parent) == 1 {
		if t, ok := parseTraceparent(parent[0]); ok {
			x.request.Trace = t
			if state := h[headerTracestate]; len(state) == 1 && len(state[0]) <= maxTracestate {
				x.request.Trace.State = state[0]
			}
		}
	}
	if e.cfg.Trace != nil {
		e.trace(x)
	}
}

// newRequestID makes a UUID version 7 (RFC 9562, section 5.7). The random part comes from the runtime's generator,
// ChaCha8 with a random seed for each thread: no lock and no system call.
func newRequestID(now time.Time) (id spec.RequestID) {
	binary.BigEndian.PutUint64(id[:8], uint64(now.UnixMilli())<<16|rand.Uint64()&0xfff|0x7000) //nolint:gosec // unique, not secret
	binary.BigEndian.PutUint64(id[8:], rand.Uint64()&(1<<62-1)|1<<63)                          //nolint:gosec // unique, not secret
	return id
}

// Of a traceparent of version 00: 00-<32 digits>-<16 digits>-<2 digits>.
const (
	traceEnd         = 35
	spanEnd          = 52
	traceparentBytes = 55
)

// parseTraceparent reads version 00, and of later versions the part that 00 knows (W3C Trace Context, section 3.2).
func parseTraceparent(s string) (t spec.Trace, ok bool) {
	if len(s) < traceparentBytes || s[2] != '-' || s[traceEnd] != '-' || s[spanEnd] != '-' {
		return t, false
	}
	var version, flags [1]byte
	if !lowerHex(version[:], s[:2]) || !lowerHex(t.TraceID[:], s[3:traceEnd]) ||
		!lowerHex(t.SpanID[:], s[traceEnd+1:spanEnd]) || !lowerHex(flags[:], s[spanEnd+1:traceparentBytes]) {
		return spec.Trace{}, false
	}
	longer := len(s) > traceparentBytes
	switch {
	case version[0] == 0xff, version[0] == 0 && longer, longer && s[traceparentBytes] != '-':
		return spec.Trace{}, false
	case t.TraceID == [16]byte{}, t.SpanID == [8]byte{}:
		return spec.Trace{}, false
	}
	t.Flags = flags[0]
	return t, true
}

// lowerHex decodes lower-case digits only, as the grammar demands.
func lowerHex(dst []byte, s string) bool {
	for i := range dst {
		high, low := s[2*i], s[2*i+1]
		if high >= 'A' && high <= 'F' || low >= 'A' && low <= 'F' {
			return false
		}
		h, l := unhex(high), unhex(low)
		if h < 0 || l < 0 {
			return false
		}
		dst[i] = byte(h<<4 | l)
	}
	return true
}
