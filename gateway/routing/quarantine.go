package routing

import (
	"crypto/subtle"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"github.com/stella-ops/router/gateway/telemetry"
)

// admission decides which instances may stand, and which have to be quarantined. The caller holds the registry's mutex.
//
// Whoever stands keeps standing: an instance never loses its place to a newcomer as long as it can be picked. A service
// without instances still owns its paths as long as it is known. Those who wait get their turn in the order in which
// they came.
type admission struct {
	*Registry

	now    time.Time
	ground *ground // what the known releases own; nil until it is asked for
}

// run lets those stand who may.
func (a *admission) run() {
	// A contract that has been replaced may have given paths up that somebody before it waits for. That ends: whoever
	// replaces one can be picked, and is not replaced in turn.
	for again := true; again; {
		again = false
		for _, in := range a.instances {
			if in.release != nil || in.superseded {
				continue
			}
			reason, replaced := a.admit(in)
			again = again || replaced
			a.quarantined(in, reason)
		}
	}
}

// quarantined notes and reports why an instance does not stand; no reason is that it does.
func (a *admission) quarantined(in *Instance, reason string) {
	if reason == in.quarantine {
		return
	}
	in.quarantine = reason
	attrs := []any{"service", in.Service(), "version", in.offered.version.String(), "instance", in.ID()}
	if reason == "" {
		a.cfg.Logger.Info("instance promoted from quarantine", attrs...)
	} else {
		a.cfg.Logger.Warn("instance quarantined", append(attrs, "reason", reason)...)
	}
}

// admit lets an instance stand, or says why it has to be quarantined; and whether its contract has replaced another.
func (a *admission) admit(in *Instance) (reason string, replaced bool) {
	old, reason := a.predecessor(in)
	if reason == "" {
		reason = a.cfg.Owners.forbids(in.Service(), in.offered.offers)
	}
	if reason != "" {
		return reason, false
	}
	offered, known := in.offered, a.find(in.offered)
	same := known != nil && known.contract == offered.contract
	switch {
	case known != nil && !same && known.live():
		return known.differs(offered), false
	case !in.health.usable(): // it takes no place that it could not fill
		if in.quarantine != "" {
			return in.quarantine, false
		}
		return "the instance is " + string(in.health), false
	}
	if !same {
		if reason := a.contested(offered); reason != "" {
			return reason, false
		}
	}
	var displaced []*Instance
	if known == nil {
		known = a.known(offered)
		a.releases = append(a.releases, known)
		a.ground.claim(offered)
	} else if !same {
		displaced, replaced = a.replace(known, in), true
	}
	if len(known.standing) == 0 {
		known.take(offered, a.cfg.Telemetry)
	}
	known.standing = append(known.standing, in)
	in.release = known
	a.adopt(in, old)
	if old != nil {
		a.supersede(old)
	}
	for _, other := range displaced {
		other.release = nil
		a.quarantined(other, known.differs(other.offered))
	}
	return "", replaced
}

// known makes what is offered a release that nobody stands in yet.
func (r *Registry) known(offered *release) *release {
	rel := &release{
		service: offered.service, version: offered.version, contract: offered.contract, retries: newRetries(), capacity: new(atomic.Int64),
	}
	r.govern(rel)
	return rel
}

// predecessor is the session of the same instance that a newcomer supersedes, because it knows that one's secret. A session
// of the instance that it does not supersede keeps it out for as long as it is there.
func (a *admission) predecessor(in *Instance) (old *Instance, reason string) {
	for _, other := range a.instances {
		if other == in || other.superseded || other.quarantine != "" || other.Service() != in.Service() || other.ID() != in.ID() {
			continue
		}
		if other.release == nil { // it has come later, or its turn comes later
			continue
		}
		if subtle.ConstantTimeCompare([]byte(in.Session.Hello().Supersedes), []byte(other.Session.Secret())) != 1 {
			return nil, fmt.Sprintf("instance %s of service %s has a live session already, from %s: instance ids have to differ",
				in.ID(), in.Service(), other.Session.Remote())
		}
		old = other
	}
	return old, ""
}

// supersede takes a session's place away: what it has begun goes on.
func (a *admission) supersede(old *Instance) {
	rel := old.release
	rel.standing = slices.DeleteFunc(rel.standing, func(in *Instance) bool { return in == old })
	old.release, old.superseded = nil, true
	old.leaves.Store(true)
	old.health = Draining
	a.replaced = append(a.replaced, old)
	a.quarantined(old, "superseded by a newer session of the same instance: it drains")
}

// replace gives a release, of which no instance can be picked, the contract of an instance that is about to stand. It
// returns the instances of the old contract, which drain or are silent: they keep their calls and lose their place,
// since a call could not tell them from those of the new one.
func (a *admission) replace(known *release, by *Instance) (displaced []*Instance) {
	offered := by.offered
	a.cfg.Logger.Warn("contract replaced without a new version", "service", known.service, "version", known.version.String(),
		"from", known.contract, "to", offered.contract, "instance", by.ID())
	known.warning = fmt.Sprintf("at %s the contract %s was replaced by %s without a new version: callers that were built for the old one may fail",
		a.now.UTC().Format(time.RFC3339), known.contract, offered.contract)
	displaced = known.standing
	known.contract, known.standing, known.offers, known.base = offered.contract, nil, nil, nil
	a.ground = nil
	return displaced
}

// take makes what an instance offers the release's.
func (rel *release) take(offered *release, t *telemetry.Telemetry) {
	rel.offers, rel.manifest, rel.digest, rel.offer = slices.Clone(offered.offers), offered.manifest, offered.digest, offered.offer
	keys := make([]telemetry.Key, len(rel.offers))
	for i := range rel.offers {
		keys[i] = telemetry.Key{
			Method: rel.offers[i].Method, Path: rel.offers[i].Path,
			Within: time.Duration(rel.offers[i].WithinMS) * time.Millisecond,
		}
	}
	for i, meter := range t.Offer(rel.service, rel.version.String(), keys) {
		rel.offers[i].meter = meter
	}
	rel.base = rel.offers
}

func (rel *release) differs(offered *release) string {
	i := slices.IndexFunc(rel.standing, func(in *Instance) bool { return in.health.usable() })
	return fmt.Sprintf("contract %s differs from %s of the live instance %s of %s %s: a changed contract needs a new version",
		offered.contract, rel.contract, rel.standing[i].ID(), rel.service, rel.version)
}

func (r *Registry) find(offered *release) *release {
	for _, rel := range r.releases {
		if rel.service == offered.service && rel.version.String() == offered.version.String() {
			return rel
		}
	}
	return nil
}

// contested names the first endpoint that another known service excludes.
func (a *admission) contested(offered *release) (reason string) {
	if a.ground == nil {
		a.ground = new(ground)
		for _, rel := range a.releases {
			a.ground.claim(rel)
		}
	}
	for i := range offered.offers {
		if reason := a.ground.contested(offered.service, &offered.offers[i]); reason != "" {
			return reason
		}
	}
	return ""
}
