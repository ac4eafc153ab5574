package limit

import (
	"context"
	"time"

	"github.com/stella-ops/router/gateway/telemetry"
)

// View is what operators see of the limits.
type View struct {
	Rules         []RuleView      `json:"rules"`
	Store         *StoreView      `json:"store,omitempty"` // nil: no rule can count for an environment
	Keys          int             `json:"keys"`            // that are counted in memory now
	KeysForgotten uint64          `json:"keysForgotten"`   // too early, for want of room
	Concurrency   ConcurrencyView `json:"concurrency"`
	Connections   ConnectionsView `json:"connections"`
}

// RuleView is one rate limit, as operators see it.
type RuleView struct {
	Name     string  `json:"name"`
	Service  string  `json:"service,omitempty"`
	Endpoint string  `json:"endpoint,omitempty"`
	By       string  `json:"by"`
	Rate     int     `json:"rate"`
	Per      string  `json:"per"`
	Burst    int     `json:"burst"`
	Scope    Scope   `json:"scope"`
	Failure  Failure `json:"failure,omitempty"`
	// Counted is who decides by it now.
	Counted   Source         `json:"counted"`
	Allowed   uint64         `json:"allowed"` // by all of Decisions
	Refused   uint64         `json:"refused"`
	Decisions []DecisionView `json:"decisions"` // of the sources that have made any
}

// DecisionView is how often a source has decided by a rule.
type DecisionView struct {
	Source  Source `json:"source"`
	Allowed uint64 `json:"allowed"`
	Refused uint64 `json:"refused"`
}

// StoreView is the server that counts for an environment, as operators see it.
type StoreView struct {
	Address     string            `json:"address"`
	Environment string            `json:"environment"`
	Answers     bool              `json:"answers"`         // it was asked for this view, within [Budget]
	Error       string            `json:"error,omitempty"` // why it does not
	Breaker     telemetry.Breaker `json:"breaker"`
	Checks      uint64            `json:"checks"` // times that it was asked for requests
	Failures    uint64            `json:"failures"`
}

// ConcurrencyView is what is served at once, as operators see it. Without limits nothing is counted.
type ConcurrencyView struct {
	InFlight int64             `json:"inFlight"`
	Total    int64             `json:"total,omitempty"` // 0: no limit
	Calls    int64             `json:"calls"`           // unary ones, of InFlight
	Adaptive bool              `json:"adaptive"`        // Limit adapts
	Limit    int64             `json:"limit,omitempty"` // of Calls, now
	Min      int64             `json:"min,omitempty"`   // of Limit
	Max      int64             `json:"max,omitempty"`   // of Limit
	Shed     map[string]uint64 `json:"shed"`            // requests that were too many, by their endpoint's class
}

// ConnectionsView is the connections of clients, as operators see them. Without bounds none are counted.
type ConnectionsView struct {
	Open       int                        `json:"open"`
	Total      int                        `json:"total,omitempty"`      // 0: no bound
	PerAddress int                        `json:"perAddress,omitempty"` // 0: no bound
	Refused    map[telemetry.Crowd]uint64 `json:"refused"`
}

// View is what operators see of the limits. It asks the server that counts for an environment, if there is one, for which it
// takes up to [Budget].
func (l *Limiter) View(ctx context.Context) View {
	s, g := l.state.Load(), &l.gauge
	v := View{
		Rules: []RuleView{}, Keys: l.memory.len(), KeysForgotten: l.memory.forgotten.Load(),
		Concurrency: ConcurrencyView{InFlight: g.inFlight.Load(), Total: s.total, Calls: g.calls.Load(), Adaptive: s.adaptive, Shed: g.shedByClass()},
		Connections: ConnectionsView{Open: l.door.open(), Total: l.door.bounds.Total, PerAddress: l.door.bounds.PerAddress, Refused: l.door.refusals()},
	}
	if s.adaptive {
		v.Concurrency.Limit, v.Concurrency.Min, v.Concurrency.Max = g.limit.Load(), g.min.Load(), g.max.Load()
	}
	shared := SourceFallback
	if l.store != nil {
		v.Store = l.store.view(ctx, int64(time.Since(l.base)))
		if v.Store.Answers {
			shared = SourceValkey
		}
	}
	for _, r := range s.rules {
		v.Rules = append(v.Rules, r.view(shared))
	}
	return v
}

// view shows a rule; shared is who decides by one that counts for an environment.
func (r *rule) view(shared Source) RuleView {
	v := RuleView{
		Name: r.Name, Service: r.Service, Endpoint: r.given, By: r.by(), Rate: r.Rate, Per: r.Per.String(), Burst: r.burst(),
		Scope: ScopeInstance, Failure: r.Failure, Counted: SourceMemory, Decisions: []DecisionView{},
	}
	if r.Scope == ScopeEnvironment {
		v.Scope, v.Counted = ScopeEnvironment, shared
	}
	for source := range r.counts {
		d := DecisionView{Source: sourceNames[source], Allowed: r.counts[source].allowed.Load(), Refused: r.counts[source].refused.Load()}
		if d.Allowed+d.Refused == 0 {
			continue
		}
		v.Allowed += d.Allowed
		v.Refused += d.Refused
		v.Decisions = append(v.Decisions, d)
	}
	return v
}

// view asks the server, whatever the breaker says.
func (s *store) view(ctx context.Context, now int64) *StoreView {
	v := &StoreView{
		Address: s.options.InitAddress[0], Environment: s.environment, Breaker: s.breaker.state(now), Checks: s.times().Count, Failures: s.failures.Load(),
	}
	if err := s.ping(ctx); err != nil {
		v.Error = err.Error()
	} else {
		v.Answers = true
	}
	return v
}

func (s *store) ping(ctx context.Context) error {
	c := s.client.Load()
	if c == nil {
		return errUnreached
	}
	ctx, cancel := context.WithTimeout(ctx, Budget)
	defer cancel()
	return (*c).Do(ctx, (*c).B().Ping().Build()).Error() //nolint:wrapcheck // is shown with what it is about
}
