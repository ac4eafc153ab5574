package routing

import (
	"slices"
	"time"
)

// Pick chooses an instance with room for a call: of the first tier in which the balancer finds one. Those in tried are left
// out. It is nil when there is none. It takes no lock and allocates nothing.
func (r *Release) Pick(now time.Time, tried []*Instance) *Instance {
	at := now.UnixNano()
	for _, tier := range r.tiers {
		c := Candidates{tier: tier, tried: tried, now: at, slow: int64(r.policy.SlowStart)}
		if i := r.balancer.Pick(c); i >= 0 && i < len(tier) && c.Open(i) {
			return tier[i]
		}
	}
	return nil
}

// ladder is the order in which a gateway tries regions: its own, its neighbours, all others.
type ladder struct {
	own  string
	rank map[string]int // of its own and the neighbours
}

func newLadder(own string, neighbours []string) ladder {
	l := ladder{own: own, rank: map[string]int{own: 0}}
	for i, region := range neighbours {
		l.rank[region] = i + 1
	}
	return l
}

// of is the rank of a region, the nearest first. To a gateway without a region all are the same.
func (l ladder) of(region string) int {
	if l.own == "" {
		return 0
	}
	if rank, ok := l.rank[region]; ok {
		return rank
	}
	return len(l.rank)
}

// ranks are the release's instances that do not drain, by the rank of their region.
func (rel *release) ranks(l ladder) [][]*Instance {
	ranks := make([][]*Instance, len(l.rank)+1)
	for _, in := range rel.standing {
		if in.health != Draining {
			rank := l.of(in.Region())
			ranks[rank] = append(ranks[rank], in)
		}
	}
	return ranks
}

// tiers sorts the instances that may be picked: region by region, and within a region the healthy before the degraded,
// which count only as long as there is no healthy one. Those that are ejected are left out. In panic all of a region
// are equal.
func (rel *release) tiers(l ladder) [][]*Instance {
	var tiers [][]*Instance
	for _, rank := range rel.ranks(l) {
		tier := rank
		if !rel.panics {
			tier = keep(rank, Healthy)
			if len(tier) == 0 {
				tier = keep(rank, Degraded)
			}
		}
		if len(tier) > 0 {
			tiers = append(tiers, tier)
		}
	}
	return tiers
}

// keep returns those of a health that are not ejected.
func keep(all []*Instance, h Health) []*Instance {
	return slices.DeleteFunc(slices.Clone(all), func(in *Instance) bool { return in.health != h || in.vitals.ejected() })
}

// routable reports whether calls may go to an instance of the release.
func (rel *release) routable(in *Instance) bool {
	if rel.panics {
		return in.health != Draining
	}
	return in.health.usable() && !in.vitals.ejected()
}

// absence says why no instance can be picked, by the instance that is nearest to it.
func (rel *release) absence() string {
	cordoned, ejected, silent := true, false, false
	for _, in := range rel.standing {
		cordoned = cordoned && in.cordoned.Load()
		ejected = ejected || in.health.usable() && in.vitals.ejected()
		silent = silent || in.health == Unhealthy
	}
	switch of := " instance of " + rel.service + " "; {
	case len(rel.standing) == 0:
		return "no" + of + "is connected"
	case ejected:
		return "every" + of + "that is connected has failed too often, and rests"
	case silent:
		return "no" + of + "that is connected shows signs of life"
	case cordoned:
		return "an operator has taken every" + of + "that is connected out of routing"
	default:
		return "every" + of + "that is connected drains"
	}
}

// measure brings the capacity up to date, which changes with every lease.
func (rel *release) measure() {
	sum := int64(0)
	for _, in := range rel.standing {
		if rel.routable(in) {
			sum += int64(in.Session.Lease())
		}
	}
	rel.capacity.Store(sum)
}

// panicking reports whether fewer instances are usable than the policy wants, of those that do not drain.
func (rel *release) panicking() bool {
	known, usable := 0, 0
	for _, in := range rel.standing {
		if in.health == Draining {
			continue
		}
		known++
		if in.health.usable() && !in.vitals.ejected() {
			usable++
		}
	}
	return usable*100 < known*rel.policy.PanicPercent
}
