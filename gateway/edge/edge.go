package edge

import (
	"context"
	"log/slog"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"

	"github.com/stella-ops/router/gateway/auth"
	"github.com/stella-ops/router/gateway/catalog"
	"github.com/stella-ops/router/gateway/legacy"
	"github.com/stella-ops/router/gateway/limit"
	"github.com/stella-ops/router/gateway/queue"
	"github.com/stella-ops/router/gateway/routing"
	"github.com/stella-ops/router/gateway/telemetry"
	"github.com/stella-ops/router/spec"
)

// DefaultStall is how long a body, either way, may make no progress.
const DefaultStall = 10 * time.Second

// Config is what an [Edge] needs.
type Config struct {
	Registry *routing.Registry
	Verifier *auth.Verifier // of tokens; nil: none is taken
	Logger   *slog.Logger   // nil: [slog.Default]
	Stall    time.Duration  // zero: [DefaultStall]
	Requests Requests
	// Telemetry counts the requests that lead to no endpoint; the others' counters are their routes'. May be nil.
	Telemetry *telemetry.Telemetry
	// Queue takes the requests to endpoints with delivery=queue. Nil: they are answered with 503.
	Queue *queue.Desk
	// Catalog has the documents that the gateway serves itself. Nil: it serves none.
	Catalog *catalog.Catalog
	// Limiter has the limits of rates and concurrency. Nil: there are none.
	Limiter *limit.Limiter
	// Trace is given a span of each request that is traced, once that is over. It must not block, nor keep what Span says of
	// the route. Nil: the gateway makes no spans, and passes on what trace context clients send.
	Trace func(Span)
	// TraceOneIn is how many of the requests without a trace context there are to one that is traced; 0: none is.
	TraceOneIn int
	// Draining says that clients' connections are to end with their next answer. Nil: they are not.
	Draining func() bool
}

// Edge is the HTTP side of a gateway. It may be used concurrently.
type Edge struct {
	cfg    Config
	log    *slog.Logger
	policy atomic.Pointer[prepared]
	tails  tails
	warns  loud
	open   crowd // exchanges that have changed to another protocol

	upstreams *legacy.Transport
	sent      sent // what upstreams have
}

// New returns an edge.
func New(cfg Config) *Edge {
	if cfg.Logger == nil {
		cfg.Logger = slog.Default()
	}
	if cfg.Stall == 0 {
		cfg.Stall = DefaultStall
	}
	e := &Edge{cfg: cfg, log: cfg.Logger, warns: loud{pace: rate.NewLimiter(warnings, warnings)}, upstreams: legacy.NewTransport()}
	e.policy.Store(new(prepared))
	return e
}

// Wait waits until no client's connection is used for another protocol any more, which an HTTP server knows nothing of, or
// until ctx ends.
func (e *Edge) Wait(ctx context.Context) error { return e.open.wait(ctx) }

// ServeHTTP implements [http.Handler].
func (e *Edge) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	x := acquire(w, r)
	x.policy = e.policy.Load()
	x.last = e.cfg.Draining != nil && e.cfg.Draining()
	if p := e.serve(x); p != nil {
		e.refuse(x, p)
	}
	if x.pump != nil {
		x.join()
	} else if x.feed != nil {
		x.feed.join()
	}
	e.leave(x)
	e.account(x)
	if x.tunnelled {
		e.open.leave()
	}
	if !x.http1() {
		e.weigh(x)
	}
	aborted := x.aborted
	x.release()
	if aborted { // breaks the connection or the stream off: nobody must take what was sent for the whole
		panic(http.ErrAbortHandler)
	}
}

// serve passes the exchange through the stages. What it returns is the gateway's own answer.
func (e *Edge) serve(x *Exchange) *problem {
	e.identify(x)
	if p := normalise(x); p != nil || x.answered() { // OPTIONS *, which has no path
		return p
	}
	if len(x.policy.cors) > 0 {
		x.share()
	}
	if p := scrub(x); p != nil {
		return p
	}
	if e.preflight(x) {
		return nil
	}
	if e.cfg.Queue != nil && !x.slash && strings.HasPrefix(x.path, jobsPath) {
		return e.job(x)
	}
	if p := e.resolve(x); p != nil || x.answered() {
		return p
	}
	if !x.away {
		x.route.Meter.Begin()
	}
	if p := e.authorise(x); p != nil {
		return p
	}
	if p := e.limit(x); p != nil {
		return p
	}
	if x.away {
		return e.forward(x)
	}
	if p := x.seal(); p != nil {
		return p
	}
	if x.route.Queue != nil {
		return e.enqueue(x)
	}
	if x.route.Stream == spec.StreamUpgrade {
		if p := x.mayUpgrade(); p != nil {
			return p
		}
	}
	return e.dispatch(x)
}

// account counts the request, and tells those who listen of it: by the log, by traces, and as it is.
func (e *Edge) account(x *Exchange) {
	took := time.Since(x.start)
	if x.shift != nil {
		x.shift.count(x, took)
	}
	switch {
	case x.away:
	case x.route != nil:
		x.route.Meter.End(x.outcome(), took, x.received, x.written)
	default:
		none := e.cfg.Telemetry.Unmatched()
		none.Begin()
		none.End(x.outcome(), took, x.received, x.written)
	}
	e.report(x, took)
	if x.request.Trace.Flags&flagSampled != 0 && e.cfg.Trace != nil {
		e.cfg.Trace(x.span(took))
	}
	e.logRequest(x, took)
}
