package routing

import (
	"cmp"
	"math/rand/v2"
	"slices"
	"strings"
	"sync/atomic"
	"time"
)

// The gateway's own balancers.
const (
	// BalancerEWMA draws two at random and takes the one whose latency, as a peak-sensitive moving average, times its calls
	// in flight and one is lower. Latencies that are much alike make no difference.
	BalancerEWMA = "ewma"
	// BalancerPing takes the instance with the lowest average ping in whole milliseconds; of several, the one whose HEARTBEAT
	// came last; and then the first by id. It decides the same way every time, and knows no slow start.
	BalancerPing = "ping"
	// BalancerRoundRobin takes one after the other.
	BalancerRoundRobin = "round-robin"
)

// Balancer picks an instance of a tier. Every version of a service has one of its own, which lives as long as it does. It is
// called concurrently, for every request: it should take no lock and allocate nothing.
type Balancer interface {
	// Pick returns the place of one of the candidates that is [Candidates.Open], or -1 when there is none.
	Pick(c Candidates) int
}

// Candidates are the instances of a tier, among which a call has to find one. It is good until Pick returns.
type Candidates struct {
	tier  []*Instance
	tried []*Instance
	now   int64 // Unix nanoseconds
	slow  int64 // how long an instance starts slowly, in nanoseconds
}

// Len is how many there are.
func (c Candidates) Len() int { return len(c.tier) }

// At is the i-th one. Their order is that in which they came.
func (c Candidates) At(i int) *Instance { return c.tier[i] }

// Now is the time of the request.
func (c Candidates) Now() time.Time { return time.Unix(0, c.now) }

// Open reports whether the i-th one has room for a call, and has not been tried with this one.
func (c Candidates) Open(i int) bool {
	in := c.tier[i]
	return in.Session.InFlight() < in.Session.Lease() && !slices.Contains(c.tried, in)
}

// leastRamp is the share with which an instance begins.
const leastRamp = 0.01

// Ramp is the part of its share that the i-th one is to have: it grows from nearly 0 to 1 while the instance starts slowly.
func (c Candidates) Ramp(i int) float64 {
	if c.slow <= 0 {
		return 1
	}
	age := c.now - c.tier[i].vitals.warm.Load()
	if age >= c.slow || age < -c.slow { // the clock was set back
		return 1
	}
	return max(float64(age)/float64(c.slow), leastRamp)
}

// Joins reports whether the i-th one takes part this time: one that starts slowly sits requests out, at random, so that
// its share is as [Candidates.Ramp] says.
func (c Candidates) Joins(i int) bool {
	ramp := c.Ramp(i)
	return ramp >= 1 || chance(ramp)
}

// LeastBusy is the place of the open one with the fewest calls in flight, or -1.
func (c Candidates) LeastBusy() int {
	best := -1
	for i, in := range c.tier {
		if c.Open(i) && (best < 0 || in.InFlight() < c.tier[best].InFlight()) {
			best = i
		}
	}
	return best
}

// builtIn returns what makes a balancer of the gateway's own; nil for other names.
func builtIn(name string) func() Balancer {
	switch name {
	case BalancerEWMA:
		return func() Balancer { return ewma{} }
	case BalancerPing:
		return func() Balancer { return ping{} }
	case BalancerRoundRobin:
		return func() Balancer { return new(roundRobin) }
	}
	return nil
}

type ewma struct{}

// draws bounds how often a pair is drawn in vain that starts slowly.
const draws = 8

// Pick implements [Balancer].
func (ewma) Pick(c Candidates) int {
	if c.Len() > 1 {
		a, b := c.pair()
		if c.Open(a) {
			return a
		}
		if c.Open(b) {
			return b
		}
	}
	return c.LeastBusy()
}

// pair draws two at random, of which the first is to be preferred. One that starts slowly takes part as often as its
// ramp says in relation to the other's, and a pair of two such only as often as the further of them is.
func (c Candidates) pair() (first, second int) {
	for range draws {
		a, b := rand.IntN(len(c.tier)), rand.IntN(len(c.tier)-1) //nolint:gosec // spreads load, guards nothing
		if b >= a {
			b++
		}
		first, second = a, b
		mine, theirs := c.Ramp(a), c.Ramp(b)
		most := max(mine, theirs)
		switch {
		case mine < most && !chance(mine/most):
			first, second = b, a
		case theirs < most && !chance(theirs/most):
		case c.tier[b].cheaper(c.tier[a], c.now):
			first, second = b, a
		}
		if most >= 1 || chance(most) {
			break
		}
	}
	return first, second
}

// chance is true with a probability.
func chance(p float64) bool { return rand.Float64() < p } //nolint:gosec // spreads load, guards nothing

type ping struct{}

// Pick implements [Balancer].
func (ping) Pick(c Candidates) int {
	best := -1
	for i, in := range c.tier {
		if c.Open(i) && (best < 0 || in.nearer(c.tier[best])) {
			best = i
		}
	}
	return best
}

// nearer is the order of [BalancerPing]. One whose ping is not known yet comes last.
func (in *Instance) nearer(other *Instance) bool {
	return cmp.Or(
		cmp.Compare(in.whole(), other.whole()),
		cmp.Compare(other.beat.Load(), in.beat.Load()),
		strings.Compare(in.ID(), other.ID()),
	) < 0
}

// whole is the ping in whole milliseconds.
func (in *Instance) whole() int64 {
	if d := in.Ping(); d > 0 {
		return d.Milliseconds()
	}
	return 1 << 40
}

type roundRobin struct{ next atomic.Uint64 }

// Pick implements [Balancer].
func (r *roundRobin) Pick(c Candidates) int {
	n := uint64(c.Len())
	at := r.next.Add(1) - 1
	for k := range n {
		if i := int((at + k) % n); c.Open(i) && c.Joins(i) {
			return i
		}
	}
	for k := range n { // all that have room start slowly
		if i := int((at + k) % n); c.Open(i) {
			return i
		}
	}
	return -1
}
