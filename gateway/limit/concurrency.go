package limit

import (
	"context"
	"sync/atomic"
	"time"
)

// What the adaptive limit goes by.
const (
	tick = 100 * time.Millisecond
	// enough calls say something of the latency of an endpoint, and of all.
	enough = 10
	// slack is what calls may take longer whatever they took before: that much comes from the machine's own doings.
	slack = 5 * time.Millisecond
	// tolerance is how many times as long as unloaded calls may take, slack included, before the limit falls; it grows only
	// below grows.
	tolerance = 2.0
	grows     = 1.6
	// A step up, as a part of the limit, and the largest step down.
	stepUp, stepDown = 0.05, 0.2
	initial          = 64 // calls, within min and max
	// stuck is for how many ticks the limit may be at its least while latency stays high: then load is not the reason.
	stuck = 30
	epoch = 100 // ticks, in which the unloaded latency is measured anew where nothing is refused
)

// gauge counts what is in flight and bounds it. On the way of a request it takes four atomics and no lock.
type gauge struct {
	inFlight atomic.Int64 // requests
	calls    atomic.Int64 // unary calls
	limit    atomic.Int64 // of calls
	shed     [classes]atomic.Uint64
	min, max atomic.Int64
	changed  chan struct{}

	// The rest is the goroutine's that runs.
	seen    uint64  // shed so far
	exact   float64 // limit
	ratio   float64 // sum over calls of how many times as long as unloaded they took
	samples float64 // calls in ratio
	demand  bool    // the limit mattered since the last step
	low     int     // ticks at the least limit with high latency
	ticks   int     // of the epoch
	busy    bool    // the limit mattered in the epoch
}

// target is what is known of the latency of an endpoint's calls.
type target struct {
	sum   atomic.Int64 // nanoseconds
	count atomic.Int64

	// The rest is the goroutine's that runs. In nanoseconds.
	gathered, calls float64
	latest          float64 // mean of the last calls that were enough
	least           float64 // such mean of the epoch
	base            float64 // unloaded; 0: not known
}

func (g *gauge) init(c Concurrency) {
	g.changed = make(chan struct{}, 1)
	g.bound(c)
	g.exact = float64(min(max(initial, c.Min), c.Max))
	g.limit.Store(int64(g.exact))
}

func (g *gauge) bound(c Concurrency) {
	g.min.Store(int64(c.Min))
	g.max.Store(int64(c.Max))
}

func (g *gauge) wake() {
	select {
	case g.changed <- struct{}{}:
	default:
	}
}

// Enter counts a request in, or says that there is no room for it. Every one that was counted in has to Leave. unary says
// that it is a call whose latency means something.
func (l *Limiter) Enter(p *Plan, unary bool) bool {
	g, s := &l.gauge, l.state.Load()
	share := s.shares[p.class]
	n := g.inFlight.Add(1)
	if s.total > 0 && n*100 > s.total*share {
		g.inFlight.Add(-1)
		g.shed[p.class].Add(1)
		return false
	}
	if !unary {
		return true
	}
	if n := g.calls.Add(1); s.adaptive && n*100 > g.limit.Load()*share {
		g.calls.Add(-1)
		g.inFlight.Add(-1)
		g.shed[p.class].Add(1)
		return false
	}
	return true
}

// Leave counts a request out that was counted in, with the same unary. took is how long its service took to answer, or to
// let the deadline pass; zero where it says nothing of that.
func (l *Limiter) Leave(p *Plan, unary bool, took time.Duration) {
	l.gauge.inFlight.Add(-1)
	if !unary {
		return
	}
	l.gauge.calls.Add(-1)
	if took > 0 {
		p.calls.sum.Add(int64(took))
		p.calls.count.Add(1)
	}
}

// run adapts the limit until ctx ends.
func (g *gauge) run(ctx context.Context, l *Limiter) {
	ticker := time.NewTicker(tick)
	defer ticker.Stop()
	for {
		s := l.state.Load()
		beat := ticker.C
		if !s.adaptive {
			beat = nil
		}
		select {
		case <-ctx.Done():
			return
		case <-g.changed:
		case <-beat:
			g.step(s)
		}
	}
}

// step is one tick: it looks at what calls took since the last one, and moves the limit.
func (g *gauge) step(s *state) {
	lowest, highest := float64(g.min.Load()), float64(g.max.Load())
	refused := uint64(0)
	for i := range g.shed {
		refused += g.shed[i].Load()
	}
	if refused != g.seen || 2*g.calls.Load() > g.limit.Load() {
		g.demand, g.busy = true, true
	}
	g.seen = refused
	for _, p := range s.plans {
		if n, ratio := p.calls.gather(); n > 0 {
			g.samples += n
			g.ratio += n * ratio
		}
	}
	if g.ticks++; g.ticks >= epoch {
		for _, p := range s.plans {
			p.calls.turn(g.busy)
		}
		g.ticks, g.busy = 0, false
	}
	if g.samples < enough {
		return
	}
	latency := g.ratio / g.samples
	switch {
	case latency > tolerance:
		g.exact *= max(tolerance/latency, 1-stepDown)
	case latency < grows && g.demand:
		g.exact += max(1, g.exact*stepUp)
	}
	g.ratio, g.samples, g.demand = 0, 0, false
	g.exact = min(max(g.exact, lowest), highest)
	g.limit.Store(int64(g.exact))
	if latency <= tolerance || g.exact > lowest {
		g.low = 0
		return
	}
	if g.low++; g.low >= stuck {
		g.low = 0
		for _, p := range s.plans {
			p.calls.accept()
		}
	}
}

// gather takes what calls took since it had enough of them: how many those are, and how many times as long as unloaded
// they took.
func (t *target) gather() (calls, ratio float64) {
	if t.count.Load() == 0 && t.calls == 0 {
		return 0, 0
	}
	t.calls += float64(t.count.Swap(0))
	t.gathered += float64(t.sum.Swap(0))
	if t.calls < enough {
		return 0, 0
	}
	calls = t.calls
	mean := t.gathered / calls
	t.calls, t.gathered = 0, 0
	if t.base == 0 || mean < t.base {
		t.base = mean
	}
	if t.least == 0 || mean < t.least {
		t.least = mean
	}
	t.latest = mean
	return calls, mean / (t.base + float64(slack))
}

// turn ends an epoch. What calls took at best in it is what they take unloaded, unless the limit mattered.
func (t *target) turn(busy bool) {
	if t.least > 0 && !busy {
		t.base = t.least
	}
	t.least = 0
}

// accept takes what calls took last for what they take unloaded: at the least limit, load is not why they take longer.
func (t *target) accept() {
	if t.latest > 0 {
		t.base = t.latest
	}
}

// shedByClass are the requests that were refused, by their class.
func (g *gauge) shedByClass() map[string]uint64 {
	return map[string]uint64{
		string(ClassCritical): g.shed[critical].Load(), string(ClassNormal): g.shed[normal].Load(),
		string(ClassBackground): g.shed[background].Load(),
	}
}
