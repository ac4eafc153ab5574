package limit

import (
	"context"
	"errors"
	"hash/maphash"
	"log/slog"
	"maps"
	"sync"
	"sync/atomic"
	"time"

	"github.com/stella-ops/router/gateway/telemetry"
)

// Limiter holds the limits of a gateway. Its methods may be called concurrently. Only Connect and Run use the network or
// begin anything that has to end; without them everything is decided all the same.
type Limiter struct {
	log    *slog.Logger
	base   time.Time // the clock counts from here
	seed   maphash.Seed
	memory *memory
	gauge  gauge
	store  *store // or nil: there is none
	door   door

	state atomic.Pointer[state]
	mu    sync.Mutex // of whoever replaces the state
}

// state is a table with the plans that were made from it. Neither map nor table changes: a new plan is a new state.
type state struct {
	*table

	plans map[key]*Plan
}

// New returns a limiter, or says everything that is wrong with the configuration.
func New(c Config, log *slog.Logger) (*Limiter, error) {
	if err := c.Check(); err != nil {
		return nil, err
	}
	c = c.withDefaults()
	l := &Limiter{log: log, base: time.Now(), seed: maphash.MakeSeed(), memory: newMemory(c.Keys)}
	l.door.bounds, l.door.by = c.Connections, map[network]int{}
	if log == nil {
		l.log = slog.Default()
	}
	l.gauge.init(c.Concurrency)
	l.state.Store(&state{table: newTable(&c, l.seed, nil), plans: map[key]*Plan{}})
	if c.Store != "" {
		l.store, _ = newStore(c.Store, c.Environment, l.log) // checked
	}
	return l, nil
}

// Connect tries once to reach the store, if there is one, for as long as two budgets at most: a gateway that begins to serve
// has a server to ask then. That it cannot be reached is no error: what it is to count falls under the failure modes until it
// is there. Run has to follow.
func (l *Limiter) Connect(ctx context.Context) {
	if l.store == nil {
		return
	}
	if err := l.store.dial(ctx); err != nil {
		l.log.Warn("the server of the rate limits cannot be reached: their failure modes decide", "error", err)
	}
}

// Run keeps the store connected and the adaptive limit adapted until ctx ends. Requests that come later are decided as if
// the store could not be reached. It may be called once.
func (l *Limiter) Run(ctx context.Context) {
	var wg sync.WaitGroup
	if l.store != nil {
		wg.Go(func() { l.store.run(ctx) })
	}
	l.gauge.run(ctx, l)
	wg.Wait()
}

// Apply puts other rules, priorities, headers and bounds of concurrency in force, for the requests that come from now on, or
// says what is wrong with them. Rules keep what they have counted by their names. Store, Environment, Keys and Connections
// stay what they were.
func (l *Limiter) Apply(c Config) error {
	if err := c.Check(); err != nil {
		return err
	}
	c = c.withDefaults()
	for i := range c.Rules {
		if c.Rules[i].Scope == ScopeEnvironment && l.store == nil {
			return errors.New("limit: rule " + c.Rules[i].Name + " counts for an environment, and the gateway was started without a store: restart it")
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.gauge.bound(c.Concurrency)
	l.state.Store(&state{table: newTable(&c, l.seed, l.state.Load().table), plans: map[key]*Plan{}})
	l.gauge.wake()
	return nil
}

// Plan is what concerns an endpoint, by its service and identity; nil: nothing does. A nil limiter has none.
func (l *Limiter) Plan(service, identity string) *Plan {
	if l == nil {
		return nil
	}
	s := l.state.Load()
	if !s.active {
		return nil
	}
	if p := s.plans[key{service, identity}]; p != nil {
		return p
	}
	return l.add(key{service, identity})
}

// add makes a plan. That happens once for an endpoint.
func (l *Limiter) add(k key) *Plan {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := l.state.Load()
	if p := s.plans[k]; p != nil || !s.active {
		return p
	}
	next := &state{table: s.table, plans: map[key]*Plan{}}
	if len(s.plans) < maxPlans { // else all are made anew: rare, and cheaper than knowing which endpoints are gone
		next.plans = maps.Clone(s.plans)
	}
	p := s.plan(k)
	next.plans[k] = p
	l.state.Store(next)
	return p
}

// Take asks the rules of a plan for one request, at now. Where one refuses it, what this gateway's own rules had already
// counted is given back; what another one of the environment had counted stays so. It takes up to [Budget] where a rule
// counts for the environment, and nothing of note else.
func (l *Limiter) Take(ctx context.Context, p *Plan, c Caller, now time.Time) Decision {
	tightest := Decision{Allowed: true, Remaining: -1}
	at := int64(now.Sub(l.base))
	for i, r := range p.rules {
		who := r.of(&c)
		var d Decision
		if r.Scope == ScopeEnvironment {
			d = l.shared(ctx, r, &who, at)
		} else {
			d = r.decision(l.memory.take(who.hash(l.seed, r.salt), r.rate, at), fromMemory)
			r.count(fromMemory, d.Allowed)
		}
		if !d.Allowed {
			for _, before := range p.rules[:i] {
				if before.Scope != ScopeEnvironment {
					who := before.of(&c)
					l.memory.give(who.hash(l.seed, before.salt), before.rate)
				}
			}
			return d
		}
		if i == 0 || d.Remaining >= 0 && (tightest.Remaining < 0 || d.Remaining < tightest.Remaining) {
			tightest = d
		}
	}
	return tightest
}

func (r *rule) count(source int, allowed bool) {
	if allowed {
		r.counts[source].allowed.Add(1)
	} else {
		r.counts[source].refused.Add(1)
	}
}

// Limits is what operators see of the limits.
func (l *Limiter) Limits() telemetry.Limits {
	now := int64(time.Since(l.base))
	s := l.state.Load()
	out := telemetry.Limits{
		Rules: s.counted(), Keys: l.memory.len(), Forgotten: l.memory.forgotten.Load(),
		InFlight: l.gauge.inFlight.Load(), Shed: l.gauge.shedByClass(), Connections: l.door.open(), Refused: l.door.refusals(),
	}
	if s.adaptive {
		out.Concurrency = l.gauge.limit.Load()
	}
	if l.store != nil {
		out.Breaker, out.Checks, out.Failures = l.store.breaker.state(now), l.store.times(), l.store.failures.Load()
	}
	return out
}
