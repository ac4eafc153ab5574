package telemetry

import (
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Side is where a request went that falls under a legacy route.
type Side uint8

// The sides.
const (
	SideLegacy Side = iota
	SideService
	sides
)

// Sides lists the sides, in their order.
func Sides() []Value {
	return []Value{
		{"legacy", "It went to the route's upstream."},
		{"service", "It went to the service whose endpoint has the same method and path, or to nobody since none has."},
	}
}

const (
	labelRoute = "route"
	labelSide  = "side"
)

var bySide = []string{labelRoute, labelSide, labelOutcome}

var (
	metricLegacy = &Metric{
		"stella_gateway_legacy_requests_total", Counter, bySide,
		"Requests that are over and fall under a legacy route, by the side they went to and what became of them. Those of the service's side " +
			"count as its requests, too.",
	}
	metricLegacyDuration = &Metric{
		"stella_gateway_legacy_request_duration_seconds", Histogram, bySide,
		"From the header of such a request to the end of its answer; of a stream, to the stream's end.",
	}
	metricLegacyWeight = &Metric{
		"stella_gateway_legacy_weight_percent", Gauge, []string{labelRoute},
		"The percentage of requests that goes to the route's upstream where a service has the same method and path.",
	}
)

// LegacyRoute counts the requests that fall under a legacy route. Its methods may be called concurrently; those of a nil one count
// nothing.
type LegacyRoute struct {
	name   string
	weight atomic.Int64 // percent
	by     [sides][]atomic.Pointer[latencies]
}

// LegacyRoutes has these routes be counted from now on, with their weights in percent, and no others. Those that were counted before
// go on. Names are the configuration's.
func (t *Telemetry) LegacyRoutes(names []string, weights []int) []*LegacyRoute {
	found := make([]*LegacyRoute, len(names))
	if t == nil {
		return found
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	now := make(map[string]*LegacyRoute, len(names))
	for i, name := range names {
		r := t.legacy[name]
		if r == nil {
			r = &LegacyRoute{name: name}
			for side := range r.by {
				r.by[side] = make([]atomic.Pointer[latencies], len(t.cfg.Outcomes))
			}
		}
		r.weight.Store(int64(weights[i]))
		found[i], now[name] = r, r
	}
	t.legacy = now
	return found
}

// End counts a request that is over.
func (r *LegacyRoute) End(side Side, outcome Outcome, took time.Duration) {
	if r != nil {
		end(&r.by[side][outcome], bounds[:], took)
	}
}

// Count is how many requests with an outcome went to a side.
func (r *LegacyRoute) Count(side Side, outcome Outcome) (n uint64) {
	if r == nil {
		return 0
	}
	if l := r.by[side][outcome].Load(); l != nil {
		for i := range l.buckets {
			n += l.buckets[i].Load()
		}
	}
	return n
}

// legacyTo leaves out what has never happened.
func (c collector) legacyTo(ch chan<- prometheus.Metric) {
	c.mu.Lock()
	routes := make([]*LegacyRoute, 0, len(c.legacy))
	for _, r := range c.legacy {
		routes = append(routes, r)
	}
	c.mu.Unlock()
	names := Sides()
	for _, r := range routes {
		ch <- constant(metricLegacyWeight, float64(r.weight.Load()), r.name)
		for side := range r.by {
			for outcome := range r.by[side] {
				if l := r.by[side][outcome].Load(); l != nil {
					c.latenciesTo(ch, metricLegacy, metricLegacyDuration, l, r.name, names[side].Name, c.cfg.Outcomes[outcome].Name)
				}
			}
		}
	}
}
