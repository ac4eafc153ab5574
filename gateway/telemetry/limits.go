package telemetry

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Limits is what a gateway's limits have decided so far. Its strings are names from the configuration and from fixed sets.
type Limits struct {
	Rules     []RuleCount
	Keys      int    // that are counted in memory
	Forgotten uint64 // keys that were forgotten too early, for want of room

	Breaker  Breaker // empty: no server is asked
	Checks   *Times  // how long the server took to be asked; nil: none is asked
	Failures uint64  // of asking it

	Concurrency int64 // unary calls at once; 0: nothing adapts
	InFlight    int64
	Shed        map[string]uint64 // requests that were too many at once, by their endpoint's class

	Connections int // of clients
	Refused     map[Crowd]uint64
}

// RuleCount is what one rule has decided, and by whom.
type RuleCount struct {
	Rule, Source     string
	Allowed, Refused uint64
}

// Times are durations in buckets, cumulative, by their upper bounds in seconds.
type Times struct {
	Count   uint64
	Sum     time.Duration
	Buckets map[float64]uint64
}

// Breaker is the state of what spares requests the wait for a server that does not answer.
type Breaker string

// The states.
const (
	BreakerClosed   Breaker = "closed"
	BreakerHalfOpen Breaker = "half_open"
	BreakerOpen     Breaker = "open"
)

// Breakers lists the states.
func Breakers() []Value {
	return []Value{
		{string(BreakerClosed), "The server of the rate limits is asked."},
		{string(BreakerHalfOpen), "The next request tries whether it answers again."},
		{string(BreakerOpen), "It failed five times in a row, and is not asked for a second: the rules' failure modes decide."},
	}
}

// Crowd is of what there were too many connections.
type Crowd string

// The crowds.
const (
	CrowdTotal   Crowd = "total"
	CrowdAddress Crowd = "address"
)

// Crowds lists them.
func Crowds() []Value {
	return []Value{
		{string(CrowdTotal), "There are as many connections as the gateway takes."},
		{string(CrowdAddress), "The address has as many as one may have."},
	}
}

// RuleSources lists who decides by a rule.
func RuleSources() []Value {
	return []Value{
		{"memory", "This gateway, for itself."},
		{"valkey", "The server, for the environment."},
		{"fallback", "The rule's failure mode, since the server could not be asked within 50 ms."},
	}
}

// The results of a rule.
const (
	ruleAllowed = "allowed"
	ruleRefused = "refused"
)

// RuleResults lists the results of a rule.
func RuleResults() []Value {
	return []Value{
		{ruleAllowed, "The request may pass, as far as this rule goes."},
		{ruleRefused, "It is answered with 429; or with 503, by a rule that is closed while the server cannot be asked."},
	}
}

const (
	labelRule   = "rule"
	labelSource = "source"
	labelClass  = "class"
)

var (
	metricLimited = &Metric{
		"stella_gateway_rate_limit_decisions_total", Counter, []string{labelRule, labelSource, labelResult},
		"Decisions by rate limits. A request has one of each rule that it falls under, until one refuses it.",
	}
	metricLimitKeys = &Metric{
		"stella_gateway_rate_limit_keys", Gauge, nil,
		"Keys of rate limits that are counted in memory.",
	}
	metricLimitForgotten = &Metric{
		"stella_gateway_rate_limit_keys_forgotten_total", Counter, nil,
		"Keys that were forgotten before they had their whole burst again, since there was no room: more callers than limits.keys.",
	}
	metricLimitCheck = &Metric{
		"stella_gateway_rate_limit_check_duration_seconds", Histogram, nil,
		"How long the server of the rate limits took to be asked.",
	}
	metricLimitFailures = &Metric{
		"stella_gateway_rate_limit_check_failures_total", Counter, nil,
		"Times that it did not answer within 50 ms, or with an error.",
	}
	metricBreaker = &Metric{
		"stella_gateway_rate_limit_breaker", Gauge, []string{labelState},
		"1 for the state of the breaker before that server, 0 for the others.",
	}
	metricConcurrency = &Metric{
		"stella_gateway_concurrency_limit", Gauge, nil,
		"How many unary calls are served at once at most, by the adaptive limit.",
	}
	metricAdmitted = &Metric{
		"stella_gateway_admitted_requests", Gauge, nil,
		"Requests that have passed the limits of concurrency, and are not over. It is 0 where no limits are configured.",
	}
	metricShed = &Metric{
		"stella_gateway_requests_shed_total", Counter, []string{labelClass},
		"Requests that were answered with 503 since too many were served at once, by the class of their endpoint.",
	}
	metricConnections = &Metric{
		"stella_gateway_client_connections", Gauge, nil,
		"Connections of clients over TCP. It is 0 where they are not bounded.",
	}
	metricCrowded = &Metric{
		"stella_gateway_client_connections_refused_total", Counter, []string{labelReason},
		"Connections of clients that were closed at once.",
	}
)

// limitsTo shows the limits.
func (c collector) limitsTo(ch chan<- prometheus.Metric) {
	if c.cfg.Limits == nil {
		return
	}
	l := c.cfg.Limits()
	for _, r := range l.Rules {
		ch <- constant(metricLimited, float64(r.Allowed), r.Rule, r.Source, ruleAllowed)
		ch <- constant(metricLimited, float64(r.Refused), r.Rule, r.Source, ruleRefused)
	}
	if len(l.Rules) > 0 {
		ch <- constant(metricLimitKeys, float64(l.Keys))
		ch <- constant(metricLimitForgotten, float64(l.Forgotten))
	}
	if l.Breaker != "" {
		for _, state := range Breakers() {
			is := 0.0
			if state.Name == string(l.Breaker) {
				is = 1
			}
			ch <- constant(metricBreaker, is, state.Name)
		}
		ch <- constant(metricLimitFailures, float64(l.Failures))
	}
	if l.Checks != nil {
		m, err := prometheus.NewConstHistogram(descs[metricLimitCheck], l.Checks.Count, l.Checks.Sum.Seconds(), l.Checks.Buckets)
		ch <- checked(metricLimitCheck, m, err)
	}
	if l.Concurrency > 0 {
		ch <- constant(metricConcurrency, float64(l.Concurrency))
	}
	ch <- constant(metricAdmitted, float64(l.InFlight))
	for class, n := range l.Shed {
		ch <- constant(metricShed, float64(n), class)
	}
	ch <- constant(metricConnections, float64(l.Connections))
	for crowd, n := range l.Refused {
		ch <- constant(metricCrowded, float64(n), string(crowd))
	}
}
