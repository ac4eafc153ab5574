package routing

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	"github.com/stella-ops/router/spec"
)

// topology is what of a snapshot changes only with what is offered: the tree of patterns, and who offers what. It is
// immutable, and most snapshots share that of the one before.
type topology struct {
	root     node
	numbers  map[string]int32 // of the endpoints, by identity
	claims   []spec.ClaimRequirement
	access   *access   // who may call what; nil: whom manifests say
	portions []portion // in the order of the registry's releases
}

// portion is what one release offers.
type portion struct {
	rel     *release
	offers  []offer
	numbers []int32 // of the offers' endpoints
}

func newTopology(releases []*release, who *access) *topology {
	t := &topology{access: who, numbers: map[string]int32{}, portions: make([]portion, len(releases))}
	claims := map[spec.ClaimRequirement]bool{}
	for i, rel := range releases {
		p := portion{rel, rel.offers, make([]int32, len(rel.offers))}
		for j := range rel.offers {
			o := &rel.offers[j]
			number, known := t.numbers[o.identity]
			if !known {
				number = int32(len(t.numbers))
				t.numbers[o.identity] = number
				t.root.insert(o.pattern, leaf{o.Method, methodBit(o.Method), number})
			}
			p.numbers[j] = number
			for _, c := range who.says(rel.service, o).Claims {
				claims[c] = true
			}
		}
		t.portions[i] = p
	}
	t.claims = slices.SortedFunc(maps.Keys(claims), func(a, b spec.ClaimRequirement) int {
		return cmp.Or(strings.Compare(a.Type, b.Type), strings.Compare(a.Value, b.Value))
	})
	return t
}

// of reports whether the topology is that of the releases, with who may call what.
func (t *topology) of(releases []*release, who *access) bool {
	return t.access == who && slices.EqualFunc(t.portions, releases, func(p portion, rel *release) bool { return p.rel == rel && same(p.offers, rel.offers) })
}

// same reports whether two slices are one.
func same(a, b []offer) bool {
	return len(a) == len(b) && (len(a) == 0 || &a[0] == &b[0])
}

// snap brings what the release is to requests up to date, and reports whether that has changed.
func (rel *release) snap(l ladder, r *Registry) (changed bool) {
	tiers, old := rel.tiers(l), rel.now
	absence := ""
	if len(tiers) == 0 {
		absence = rel.absence()
	}
	who := r.who()
	if old != nil && old.contract == rel.contract && old.policy == rel.policy && old.access == who && old.absence == absence && same(rel.routed, rel.offers) &&
		slices.EqualFunc(old.tiers, tiers, slices.Equal[[]*Instance]) {
		return false
	}
	rel.now = &Release{
		Service: rel.service, Version: rel.version.String(), Retries: rel.retries, version: rel.version, contract: rel.contract,
		access: who, tiers: tiers, absence: absence, policy: rel.policy, balancer: rel.balancer, capacity: rel.capacity, registry: r,
	}
	rel.routed, rel.routes = rel.offers, make([]*Route, len(rel.offers))
	for i := range rel.offers { // each by itself: a stream keeps its route, and nothing else of a snapshot
		rel.routes[i] = rel.offers[i].route(rel.now)
	}
	return true
}

// who is who may call what. A nil registry says nothing of it.
func (r *Registry) who() *access {
	if r == nil {
		return nil
	}
	return r.access
}

// build makes the snapshot after prev, which may be nil, of releases that do not contradict each other, for a gateway that
// tries regions in this order. r is told of failures; it may be nil. What has not changed is shared with prev.
func build(prev *Snapshot, releases []*release, l ladder, r *Registry) *Snapshot {
	changed := map[string]bool{} // services
	for _, rel := range releases {
		if rel.snap(l, r) {
			changed[rel.service] = true
		}
	}
	s := &Snapshot{}
	if prev != nil && prev.of(releases, r.who()) {
		s.topology, s.endpoints = prev.topology, slices.Clone(prev.endpoints)
	} else {
		s.topology = newTopology(releases, r.who())
		s.endpoints = make([]*Endpoint, len(s.numbers))
		for _, rel := range releases {
			changed[rel.service] = true
		}
	}
	portions := slices.DeleteFunc(slices.Clone(s.portions), func(p portion) bool { return !changed[p.rel.service] })
	slices.SortStableFunc(portions, func(a, b portion) int { return a.rel.now.order(b.rel.now) })
	for _, p := range portions {
		for _, number := range p.numbers {
			s.endpoints[number] = nil
		}
	}
	s.fill(portions)
	return s
}

// fill makes the endpoints of these portions, the best of which comes first.
func (s *Snapshot) fill(portions []portion) {
	versions := make(map[[2]string]*Release, len(portions))
	for _, p := range portions {
		versions[[2]string{p.rel.service, p.rel.now.Version}] = p.rel.now
		for i, number := range p.numbers {
			e := s.endpoints[number]
			if e == nil {
				o := &p.offers[i]
				e = &Endpoint{Service: p.rel.service, Method: o.Method, Path: o.Path}
				s.endpoints[number] = e
			}
			e.routes = append(e.routes, p.rel.routes[i])
		}
	}
	for _, p := range portions {
		known := func(version string) *Release { return versions[[2]string{p.rel.service, version}] }
		for _, number := range p.numbers {
			if e := s.endpoints[number]; e.routes[0].Release == p.rel.now { // once for each
				e.decide(p.rel.policy, known)
			}
		}
	}
}

// order puts the live before the gone, the stable before prereleases, the higher before the lower.
func (r *Release) order(other *Release) int {
	return cmp.Or(
		-compareBool(r.Live(), other.Live()),
		-compareBool(r.version.Stable(), other.version.Stable()),
		-r.version.Compare(other.version),
	)
}

// compareBool orders false before true.
func compareBool(a, b bool) int {
	switch {
	case a == b:
		return 0
	case b:
		return -1
	}
	return 1
}
