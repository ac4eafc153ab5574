package limit

import (
	"context"
	"math"
	"sync/atomic"
	"time"
)

// What the adaptive limit goes by. Ticks are its clock.
const (
	tick = 100 * time.Millisecond
	// enough calls say something of the latency of an endpoint, and of all. During a probe there are fewer calls.
	enough, enoughOfProbe = 10, 4
	// slack is what calls may take longer whatever they take unloaded: that much is the machine's own doing.
	slack = 5 * time.Millisecond
	// tolerance is how many times as long as unloaded calls may take, slack included, before the limit falls; it grows only
	// below grows.
	tolerance, grows = 1.6, 1.3
	// A step up and the largest step down, as parts of the limit.
	stepUp, stepDown = 0.1, 0.5
	initial          = 64  // calls, within min and max
	epoch            = 100 // ticks, in which unloaded latency is measured anew where nothing is refused

	// A probe lets only a few calls at once pass, so that what those take that begin once the others have ended is what they
	// take unloaded. There is one only while calls are refused anyway: in one of the last recent ticks. It lasts longestProbe
	// ticks at most, and the next one comes after an epoch, or restOfProbe times as long as it took, if that is more.
	recent, longestProbe, restOfProbe = 3, 10, 50
	probePart                         = 4 // of min
)

// gauge counts what is in flight and bounds it. On the way of a request it takes a few atomics and no lock.
type gauge struct {
	inFlight atomic.Int64 // requests
	calls    atomic.Int64 // unary calls
	limit    atomic.Int64 // of calls
	probe    atomic.Int64 // of calls that are not critical, while a probe lasts; else 0
	since    atomic.Int64 // calls that began before this say nothing, while a probe lasts; else 0
	shed     [classes]atomic.Uint64
	tight    atomic.Uint64 // those of shed that were more than limit
	min, max atomic.Int64
	changed  chan struct{} // the state, which run looks at

	// The rest is run's.
	seen      uint64  // tight so far
	exact     float64 // limit
	ratio     float64 // sum over calls of how many times as long as unloaded they took
	samples   float64 // calls in ratio
	demand    bool    // the limit mattered since it was moved
	busy      bool    // the limit mattered in this epoch
	roomy     int     // ticks since a call was refused
	ticks     int     // of this epoch
	rest      int     // ticks until a probe may begin
	probeTook int     // ticks of the probe that lasts
}

// target is what is known of the latency of an endpoint's calls.
type target struct {
	sum   atomic.Int64 // nanoseconds
	count atomic.Int64

	// The rest is run's. In nanoseconds.
	gathered, calls float64
	least           float64 // of this epoch's means
	base            float64 // unloaded; 0: not known
}

func (g *gauge) init(c Concurrency) {
	g.changed = make(chan struct{}, 1)
	g.roomy = recent
	g.bound(c)
	g.exact = float64(min(max(initial, c.Min), c.Max))
	g.limit.Store(int64(g.exact))
}

// bound sets the bounds of the limit, which keeps to them from its next step on.
func (g *gauge) bound(c Concurrency) {
	g.min.Store(int64(c.Min))
	g.max.Store(int64(c.Max))
}

// wake has run look at the state again.
func (g *gauge) wake() {
	select {
	case g.changed <- struct{}{}:
	default: // it will
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
	if n := g.calls.Add(1); s.adaptive && g.over(n, share, p.class) {
		g.calls.Add(-1)
		g.inFlight.Add(-1)
		g.shed[p.class].Add(1)
		g.tight.Add(1)
		return false
	}
	return true
}

// over reports whether n calls are more than a class may have. A probe is not critical calls' concern.
func (g *gauge) over(n, share int64, of class) bool {
	if probe := g.probe.Load(); probe > 0 && of != critical && n > probe {
		return true
	}
	return n*100 > g.limit.Load()*share
}

// Leave counts a request out that was counted in, with the same unary. took is how long its service took to answer, or to
// let the deadline pass; zero where it says nothing of that.
func (l *Limiter) Leave(p *Plan, unary bool, took time.Duration) {
	g := &l.gauge
	g.inFlight.Add(-1)
	if !unary {
		return
	}
	g.calls.Add(-1)
	if took <= 0 {
		return
	}
	if since := g.since.Load(); since != 0 && int64(time.Since(l.base)-took) < since {
		return // from before the probe
	}
	p.calls.sum.Add(int64(took))
	p.calls.count.Add(1)
}

// run adapts the limit until ctx ends.
func (g *gauge) run(ctx context.Context, l *Limiter) {
	ticker := time.NewTicker(tick)
	defer ticker.Stop()
	for on := true; ; {
		s := l.state.Load()
		switch {
		case on && !s.adaptive:
			ticker.Stop()
		case !on && s.adaptive:
			ticker.Reset(tick)
		}
		on = s.adaptive
		select {
		case <-ctx.Done():
			return
		case <-g.changed:
		case <-ticker.C:
			g.step(l.state.Load(), int64(time.Since(l.base)))
		}
	}
}

// step is one tick: it looks at what calls took since the last one, and moves the limit.
func (g *gauge) step(s *state, now int64) {
	g.roomy++
	refused := g.tight.Load()
	if refused != g.seen {
		g.roomy = 0
	}
	if refused != g.seen || 2*g.calls.Load() > g.limit.Load() {
		g.demand, g.busy = true, true
	}
	g.seen = refused
	if g.probe.Load() > 0 {
		g.goOnProbing(s, now)
		return
	}
	for _, p := range s.plans {
		if calls, ratio := p.calls.gather(); calls > 0 {
			g.samples += calls
			g.ratio += calls * ratio
		}
	}
	if g.ticks++; g.ticks >= epoch {
		for _, p := range s.plans {
			p.calls.turn(g.busy)
		}
		g.ticks, g.busy = 0, false
	}
	if g.samples >= enough {
		g.move()
	}
	if g.rest > 0 {
		g.rest--
	} else if g.roomy < recent {
		g.beginProbe(s)
	}
}

// move moves the limit by what the last calls took.
func (g *gauge) move() {
	latency := g.ratio / g.samples
	switch {
	case latency > tolerance:
		g.exact *= max(tolerance/latency, 1-stepDown)
	case latency < grows && g.demand:
		g.exact += max(1, g.exact*stepUp)
	}
	g.ratio, g.samples, g.demand = 0, 0, false
	g.exact = min(max(g.exact, float64(g.min.Load())), float64(g.max.Load()))
	g.limit.Store(int64(g.exact))
}

// beginProbe has calls be few.
func (g *gauge) beginProbe(s *state) {
	g.probeTook = 0
	g.since.Store(math.MaxInt64)
	g.probe.Store(max(1, g.min.Load()/probePart))
	for _, p := range s.plans {
		p.calls.forget()
	}
}

// goOnProbing waits until calls are few, and then until enough of those that began since have ended.
func (g *gauge) goOnProbing(s *state, now int64) {
	g.probeTook++
	calls := int64(0)
	for _, p := range s.plans {
		calls += p.calls.count.Load()
	}
	switch {
	case g.probeTook >= longestProbe || calls >= enough:
		g.endProbe(s)
	case g.since.Load() == math.MaxInt64 && g.calls.Load() <= g.probe.Load():
		g.since.Store(now)
	}
}

// endProbe takes what calls took in the probe.
func (g *gauge) endProbe(s *state) {
	g.probe.Store(0)
	g.since.Store(0)
	for _, p := range s.plans {
		p.calls.accept()
	}
	g.ratio, g.samples, g.demand, g.roomy = 0, 0, false, recent
	g.rest = max(epoch, restOfProbe*g.probeTook)
}

// gather takes what calls took since it had enough of them: how many those are, and how many times as long as unloaded
// they took.
func (t *target) gather() (calls, ratio float64) {
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
	return calls, mean / (t.base + float64(slack))
}

// turn ends an epoch. What calls took at best in it is what they take unloaded, unless the limit mattered.
func (t *target) turn(busy bool) {
	if t.least > 0 && !busy {
		t.base = t.least
	}
	t.least = 0
}

// forget drops what calls took since it had enough of them.
func (t *target) forget() {
	t.count.Store(0)
	t.sum.Store(0)
	t.calls, t.gathered = 0, 0
}

// accept takes what calls took in a probe for what they take unloaded, if there were some.
func (t *target) accept() {
	calls, sum := float64(t.count.Swap(0)), float64(t.sum.Swap(0))
	if calls >= enoughOfProbe {
		t.base, t.least = sum/calls, 0
	}
}

// shedByClass are the requests that were refused, by their class.
func (g *gauge) shedByClass() map[string]uint64 {
	return map[string]uint64{
		string(ClassCritical): g.shed[critical].Load(), string(ClassNormal): g.shed[normal].Load(),
		string(ClassBackground): g.shed[background].Load(),
	}
}
