package edge

import (
	"net/http"
	"strconv"
	"time"

	"github.com/stella-ops/router/gateway/limit"
	"github.com/stella-ops/router/gateway/routing"
)

const (
	headerRateLimit       = "Ratelimit" // as net/http writes it
	headerRateLimitPolicy = "Ratelimit-Policy"
	headerRetryAfter      = "Retry-After"
)

// limited is what limits have to do with an exchange.
type limited struct {
	plan   *limit.Plan // it was counted in, and has to be counted out; nil: it was not
	unary  bool        // as it was counted in
	took   time.Duration
	policy []string // RateLimit-Policy of the answer; nil: it has none
	state  string   // RateLimit
}

// limit refuses a body whose announced length is over the endpoint's limit, requests that are too many at once, and those
// of callers that ask more often than they may, before anything is sent to a service. A body of unknown length is counted
// while it passes, by the pump.
func (e *Edge) limit(x *Exchange) *problem {
	if most := x.maxBody(); x.length > most {
		return tooLarge(most)
	}
	plan := e.cfg.Limiter.Plan(x.route.Release.Service, x.route.Identity())
	if plan == nil {
		return nil
	}
	unary := x.route.Unary && !x.streams() && !x.away // whose latency tells nothing of services
	if !e.cfg.Limiter.Enter(plan, unary) {
		return &problem{Kind: kindOverloaded, detail: "the gateway has all the requests of this class that it takes at once", retryable: true}
	}
	x.limited.plan, x.limited.unary = plan, unary
	if plan.Limited() {
		return e.limitRate(x, plan)
	}
	return nil
}

// limitRate asks the rules that the endpoint falls under.
func (e *Edge) limitRate(x *Exchange, plan *limit.Plan) *problem {
	caller := limit.Caller{Address: x.request.Peer, Identity: x.request.Identity}
	if caller.Identity == nil && plan.Identity() { // the endpoint is public, but its caller may say who they are
		if who, p := e.whoAsks(x); p == nil {
			caller.Identity = who
		}
	}
	d := e.cfg.Limiter.Take(x.ctx, plan, caller, x.start)
	if x.limited.policy = plan.Policy(); x.limited.policy != nil {
		x.limited.state = d.Field()
	}
	switch {
	case d.Allowed:
		return nil
	case d.Unavailable:
		return &problem{
			Kind: kindLimits, detail: "the rate limit " + d.Rule + " cannot be counted now, and nobody passes uncounted", retryable: true,
			retryAfter: d.RetryAfterSeconds(),
		}
	}
	return &problem{
		Kind: kindRate, detail: "the rate limit " + d.Rule + " has passed all that it passes now: try again in " + d.RetryAfterSeconds() + " s",
		retryable: true, retryAfter: d.RetryAfterSeconds(),
	}
}

// leave counts the exchange out.
func (e *Edge) leave(x *Exchange) {
	if x.limited.plan != nil {
		e.cfg.Limiter.Leave(x.limited.plan, x.limited.unary, x.limited.took)
	}
}

// latency notes how long a try took, where its result says something of the service's load.
func (l *limited) latency(result routing.Result, took time.Duration) {
	if result != routing.Lost {
		l.took = took
	}
}

// stamp sets the header fields of answers that say what is left.
func (l *limited) stamp(h http.Header) {
	h[headerRateLimitPolicy] = l.policy
	if l.state != "" {
		h[headerRateLimit] = []string{l.state}
	}
}

func tooLarge(limit int64) *problem {
	return &problem{Kind: kindTooLarge, detail: "the endpoint takes bodies of up to " + strconv.FormatInt(limit, 10) + " bytes"}
}
