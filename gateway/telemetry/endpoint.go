package telemetry

import (
	"slices"
	"sync/atomic"
	"time"
)

// bounds are the upper bounds of the latency histogram's buckets. They begin at what a gateway beside its services
// takes, and end at the default timeout. Those of an endpoint with an objective have its Within, too.
var bounds = [...]time.Duration{
	250 * time.Microsecond, 500 * time.Microsecond,
	time.Millisecond, 2500 * time.Microsecond, 5 * time.Millisecond,
	10 * time.Millisecond, 25 * time.Millisecond, 50 * time.Millisecond,
	100 * time.Millisecond, 250 * time.Millisecond, 500 * time.Millisecond,
	time.Second, 2500 * time.Millisecond, 5 * time.Second,
	10 * time.Second, 30 * time.Second,
}

// Endpoint counts the requests to one endpoint in one version of its service. Its methods may be called concurrently;
// those of a nil one count nothing.
//
// The counters are our own and not the library's: a request changes six atomics instead of eleven, and what nobody
// has asked for takes next to no memory.
type Endpoint struct {
	labels [4]string       // service, version, method, path
	bounds []time.Duration // of the buckets, ascending

	inFlight atomic.Int64
	received atomic.Uint64 // bytes of request bodies
	sent     atomic.Uint64 // bytes of response bodies
	retried  atomic.Uint64 // requests that were sent a second time
	denied   atomic.Uint64 // requests that the budget of retries kept from that
	by       []atomic.Pointer[latencies]
}

// latencies is how long the requests with one outcome took.
type latencies struct {
	bounds      []time.Duration // of the buckets, ascending; shared
	nanoseconds atomic.Uint64
	buckets     []atomic.Uint64 // one more than there are bounds; not cumulative; the last has what is over all bounds
}

func (t *Telemetry) endpoint(r release, e endpoint) *Endpoint {
	edges := bounds[:]
	if at, there := slices.BinarySearch(edges, e.within); !there && e.within > 0 {
		edges = slices.Insert(slices.Clone(edges), at, e.within)
	}
	return &Endpoint{
		bounds: edges,
		labels: [4]string{r.service, r.version, e.method, e.path},
		by:     make([]atomic.Pointer[latencies], len(t.cfg.Outcomes)),
	}
}

// Begin counts a request that has come.
func (e *Endpoint) Begin() {
	if e != nil {
		e.inFlight.Add(1)
	}
}

// Retry counts a request that is sent to another instance, or that would be if the budget of retries were not spent.
func (e *Endpoint) Retry(allowed bool) {
	switch {
	case e == nil:
	case allowed:
		e.retried.Add(1)
	default:
		e.denied.Add(1)
	}
}

// End counts a request that has begun and is over: what became of it, how long it took, and how many bytes of the
// bodies were read from the client and written to it.
func (e *Endpoint) End(outcome Outcome, took time.Duration, received, sent int64) {
	if e == nil {
		return
	}
	e.inFlight.Add(-1)
	end(&e.by[outcome], e.bounds, took)
	if received > 0 {
		e.received.Add(uint64(received))
	}
	if sent > 0 {
		e.sent.Add(uint64(sent))
	}
}

// end counts one that took so long.
func end(p *atomic.Pointer[latencies], bounds []time.Duration, took time.Duration) {
	l := p.Load()
	if l == nil {
		p.CompareAndSwap(nil, &latencies{bounds: bounds, buckets: make([]atomic.Uint64, len(bounds)+1)})
		l = p.Load()
	}
	i := 0
	for i < len(bounds) && took > bounds[i] {
		i++
	}
	l.nanoseconds.Add(uint64(max(took, 0)))
	l.buckets[i].Add(1)
}
