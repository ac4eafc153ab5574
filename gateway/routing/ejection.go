package routing

import (
	"slices"
	"time"
)

// deafness is how long nobody asks again for an ejection that the cap did not allow.
const deafness = time.Second

// maxPast bounds of how many instances that have left the vitals are kept.
const maxPast = 4096

// name is what an instance keeps from one session to the next.
type name struct{ service, id string }

// judge ejects those who are suspected and lets those back whose time is over, release by release, and reports whether
// that makes a difference. The caller holds mu.
func (r *Registry) judge(now time.Time) (changed bool) {
	var due time.Time
	for _, rel := range r.releases {
		for _, rank := range rel.ranks(r.ladder) {
			changed = r.judgeTier(rel, rank, now) || changed
			for _, in := range rank {
				if until := in.vitals.until; !until.IsZero() && (due.IsZero() || until.Before(due)) {
					due = until
				}
			}
		}
		if panics := rel.panicking(); panics != rel.panics {
			rel.panics, changed = panics, true
			attrs := []any{"service", rel.service, "version", rel.version.String(), "panicPercent", rel.policy.PanicPercent}
			if panics {
				r.cfg.Logger.Warn("panic mode on: too few instances are usable, so all are used that do not drain", attrs...)
			} else {
				r.cfg.Logger.Warn("panic mode off", attrs...)
			}
		}
		rel.measure()
	}
	if due.IsZero() {
		r.notice.Store(0)
	} else {
		r.notice.Store(due.UnixNano())
	}
	return changed
}

func (r *Registry) judgeTier(rel *release, rank []*Instance, now time.Time) (changed bool) {
	tier := slices.DeleteFunc(slices.Clone(rank), func(in *Instance) bool { return !in.health.usable() })
	var out []*Instance
	for _, in := range rank {
		v := in.vitals
		switch {
		case !v.ejected():
		case rel.policy.Ejection.off():
			r.readmit(rel, in, now, "ejection is off")
			changed = true
		case !now.Before(v.until):
			r.readmit(rel, in, now, "its time is over")
			changed = true
		}
		if v.ejected() && in.health.usable() {
			out = append(out, in)
		}
	}
	e := &rel.policy.Ejection
	most := min(len(tier)*e.MaxEjectedPercent/100, len(tier)-1)
	if len(out) > most { // fewer are left than there were
		slices.SortFunc(out, func(a, b *Instance) int { return a.vitals.until.Compare(b.vitals.until) })
		for len(out) > max(most, 0) {
			r.readmit(rel, out[0], now, "too few are left in its tier")
			out, changed = out[1:], true
		}
	}
	ejected := len(out)
	for _, in := range tier {
		v := in.vitals
		why := v.suspect.Load()
		if why == nil || v.ejected() {
			continue
		}
		if ejected >= most || e.off() {
			v.suspect.Store(nil)
			v.deaf.Store(now.Add(deafness).UnixNano())
			continue
		}
		r.eject(rel, in, *why, now)
		ejected, changed = ejected+1, true
	}
	return changed
}

func (r *Registry) eject(rel *release, in *Instance, why string, now time.Time) {
	v, e := in.vitals, &rel.policy.Ejection
	if !v.returned.IsZero() { // good behaviour makes up for one at a time
		v.times = max(v.times-int(now.Sub(v.returned)/e.BaseTime), 0)
	}
	v.times++
	v.until = now.Add(min(e.BaseTime*time.Duration(v.times), e.MaxTime))
	v.why = why
	v.clear()
	r.cfg.Logger.Warn("instance ejected", "service", rel.service, "version", rel.version.String(), "instance", in.ID(), "reason", why,
		"until", v.until.UTC())
}

func (r *Registry) readmit(rel *release, in *Instance, now time.Time, why string) {
	v := in.vitals
	v.until, v.why, v.returned = time.Time{}, "", now
	v.clear()
	v.average.Store(0)
	v.warm.Store(now.UnixNano())
	r.cfg.Logger.Info("instance readmitted", "service", rel.service, "version", rel.version.String(), "instance", in.ID(), "reason", why)
}

// adopt gives an instance that stands for the first time what is known of it from its last session. One that replaces it
// without a gap is as warm as that was.
func (r *Registry) adopt(in, old *Instance) {
	if in.adopted {
		return
	}
	in.adopted = true
	if old != nil {
		in.vitals = old.vitals
		return
	}
	n := name{in.Service(), in.ID()}
	if v, ok := r.past[n]; ok {
		v.warm.Store(in.vitals.warm.Load())
		in.vitals = v
		delete(r.past, n)
	}
}

// remember keeps the vitals of an instance whose session has ended: it may be back in a moment, and the loss may not have been
// noted yet.
func (r *Registry) remember(in *Instance, now time.Time) {
	v := in.vitals
	if in.release == nil || len(r.past) >= maxPast {
		return
	}
	v.left = now
	if r.past == nil {
		r.past = map[name]*vitals{}
	}
	r.past[name{in.Service(), in.ID()}] = v
}

// forget drops the vitals of those who have been away for longer than they could be ejected.
func (r *Registry) forget(now time.Time) {
	for n, v := range r.past {
		if now.Sub(v.left) > DefaultMaxTime && now.After(v.until) {
			delete(r.past, n)
		}
	}
}
