package routing

import (
	"maps"
	"slices"
	"time"
)

// Configure puts another configuration in force with the next snapshot, which it makes. What it cannot change is as it
// was: Heartbeat, which services were told, AwaitAuthority, Logger, Telemetry and Changed. Requests that have begun keep the policies with
// which they began. An invalid configuration changes nothing; see [Config.Check].
func (r *Registry) Configure(cfg Config, now time.Time) error {
	if err := cfg.Check(); err != nil {
		return err
	}
	cfg.fill()
	r.mu.Lock()
	defer r.mu.Unlock()
	owners := !maps.Equal(r.cfg.Owners, cfg.Owners)
	r.cfg.Region, r.cfg.Neighbours, r.cfg.Owners = cfg.Region, cfg.Neighbours, cfg.Owners
	r.cfg.Default, r.cfg.Services, r.cfg.Balancers = cfg.Default, cfg.Services, cfg.Balancers
	r.cfg.Access = cfg.Access
	r.cfg.Retain, r.cfg.DegradedAfter, r.cfg.UnhealthyAfter = cfg.Retain, cfg.DegradedAfter, cfg.UnhealthyAfter
	r.adjust()
	for _, rel := range r.releases {
		r.govern(rel)
	}
	if owners {
		r.disown(now)
	}
	r.settle(now)
	return nil
}

// adjust prepares what the configuration says.
func (r *Registry) adjust() {
	r.ladder = newLadder(r.cfg.Region, r.cfg.Neighbours)
	r.base = prepare(r.cfg.Default, Policy{})
	r.policies = make(map[string]*policy, len(r.cfg.Services))
	for service, p := range r.cfg.Services {
		r.policies[service] = prepare(p, r.cfg.Default)
	}
	r.regulate()
}

// govern gives a release the policy of its service.
func (r *Registry) govern(rel *release) {
	old := rel.policy
	rel.policy = r.policies[rel.service]
	if rel.policy == nil {
		rel.policy = r.base
	}
	if old != nil && old.Balancer == rel.policy.Balancer {
		return
	}
	fresh := builtIn(rel.policy.Balancer)
	if fresh == nil {
		fresh = r.cfg.Balancers[rel.policy.Balancer]
	}
	rel.balancer = fresh()
}

// disown takes the places of those whose paths have another owner now: they are quarantined when admission looks at them
// next, which is at once.
func (r *Registry) disown(now time.Time) {
	for _, rel := range r.releases {
		if r.cfg.Owners.forbids(rel.service, rel.offers) == "" {
			continue
		}
		for _, in := range rel.standing {
			in.release = nil
		}
		rel.standing = nil
		rel.gone = now.Add(-r.cfg.Retain) // forgotten with the next settling
	}
}

// report logs which weighted versions are passed over since they have no live instance, and which no longer are. The caller
// holds mu.
func (r *Registry) report() {
	passed := map[[2]string]bool{}
	for service, p := range r.policies {
		for _, w := range p.weights {
			if !r.liveVersion(service, w.version) {
				passed[[2]string{service, w.version}] = true
			}
		}
	}
	for v := range passed {
		if !r.passed[v] {
			r.cfg.Logger.Warn("weighted version has no live instance: the others have its share", "service", v[0], "version", v[1])
		}
	}
	for v := range r.passed {
		if !passed[v] {
			r.cfg.Logger.Info("weighted version is live, or has no weight any more", "service", v[0], "version", v[1])
		}
	}
	r.passed = passed
}

func (r *Registry) liveVersion(service, version string) bool {
	for _, rel := range r.releases {
		if rel.service == service && rel.version.String() == version {
			return slices.ContainsFunc(rel.standing, rel.routable)
		}
	}
	return false
}
