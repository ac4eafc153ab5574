package routing

import (
	"math/rand/v2"
	"slices"
)

// tiers sorts the instances that may be picked: the gateway's own region before others, and within a region the
// healthy before the degraded, which count only as long as there is no healthy one. A gateway without a region makes no
// difference.
func (rel *release) tiers(region string) [][]*Instance {
	var own, others struct{ healthy, degraded []*Instance }
	for _, in := range rel.standing {
		side := &others
		if region == "" || in.Session.Hello().Instance.Region == region {
			side = &own
		}
		switch in.health {
		case Healthy:
			side.healthy = append(side.healthy, in)
		case Degraded:
			side.degraded = append(side.degraded, in)
		case Unhealthy, Draining:
		}
	}
	var tiers [][]*Instance
	for _, side := range []*struct{ healthy, degraded []*Instance }{&own, &others} {
		switch {
		case len(side.healthy) > 0:
			tiers = append(tiers, side.healthy)
		case len(side.degraded) > 0:
			tiers = append(tiers, side.degraded)
		}
	}
	return tiers
}

// Pick chooses an instance with room for a call: of the first tier that has one, the less busy of two that are
// drawn at random. Those in tried are left out. It is nil when there is none.
func (r *Release) Pick(tried []*Instance) *Instance {
	for _, tier := range r.tiers {
		if in := choose(tier, tried); in != nil {
			return in
		}
	}
	return nil
}

func choose(tier, tried []*Instance) *Instance {
	n := len(tier)
	if n > 1 {
		i, j := rand.IntN(n), rand.IntN(n-1) //nolint:gosec // spreads load, guards nothing
		if j >= i {
			j++
		}
		a, b := tier[i], tier[j]
		if b.Session.InFlight() < a.Session.InFlight() {
			a, b = b, a
		}
		if a.room(tried) {
			return a
		}
		if b.room(tried) {
			return b
		}
	}
	var best *Instance
	for _, in := range tier {
		if in.room(tried) && (best == nil || in.Session.InFlight() < best.Session.InFlight()) {
			best = in
		}
	}
	return best
}

func (in *Instance) room(tried []*Instance) bool {
	return in.Session.InFlight() < in.Session.Lease() && !slices.Contains(tried, in)
}
