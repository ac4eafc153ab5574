package routing

import (
	"fmt"
	"slices"
	"time"

	"github.com/stella-ops/router/spec"
)

// Append notes that an instance offers more than before: o is its whole new manifest. It is an error if that takes
// anything back. Endpoints that all instances of a version have come to offer are routed, unless another service has them;
// as long as only some offer them, they are not, and a warning says so.
func (r *Registry) Append(in *Instance, o *Offer, now time.Time) error {
	index := in.index.Load()
	if index == nil {
		first, err := spec.NewIndex(in.offer.manifest)
		if err != nil {
			return err
		}
		index = first
	}
	next, err := index.Append(o.manifest)
	if err != nil {
		return err
	}
	in.index.Store(next) // before anybody calls the new ones
	r.change(now, func() {
		in.offer, in.offered = o, o.release()
		r.cfg.Logger.Info("endpoints appended", "service", in.Service(), "version", o.version.String(), "instance", in.ID(),
			"generation", next.Generation, "endpoints", len(o.offers))
	})
	return nil
}

// Address is what a call to an endpoint names on the session with this instance: a generation of its manifest, and the
// number of the endpoint in it.
func (in *Instance) Address(r *Route) (generation, number uint32) {
	index := in.index.Load()
	if index == nil {
		return 0, r.Index
	}
	number, _ = index.Number(r.identity) // it is routed here, so it is there
	return index.Generation, number
}

// extend lets releases have what all their instances have come to offer.
func (a *admission) extend() {
	for _, rel := range a.releases {
		if len(rel.standing) == 0 {
			continue
		}
		offered := rel.standing[0].offered
		some := slices.ContainsFunc(rel.standing, func(in *Instance) bool { return in.offered.contract != rel.contract })
		all := !slices.ContainsFunc(rel.standing, func(in *Instance) bool { return in.offered.contract != offered.contract })
		switch {
		case !some:
		case !all:
			rel.warning = "some instances have appended endpoints that others lack: these are not routed until all have them"
		default:
			a.extendTo(rel, offered)
		}
	}
}

func (a *admission) extendTo(rel, offered *release) {
	if reason := a.cfg.Owners.forbids(offered.service, offered.offers); reason != "" {
		rel.warning = "endpoints were appended that are not routed: " + reason
		return
	}
	if reason := a.contested(offered); reason != "" {
		rel.warning = "endpoints were appended that are not routed: " + reason
		return
	}
	rel.warning = fmt.Sprintf("at %s endpoints were appended without a new version", a.now.UTC().Format(time.RFC3339))
	rel.contract = offered.contract
	rel.take(offered, a.cfg.Telemetry)
	a.ground = nil
}
