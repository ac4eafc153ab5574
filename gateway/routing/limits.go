package routing

import (
	"cmp"
	"maps"

	"github.com/stella-ops/router/spec"
)

// LimitsView are the limits of an endpoint that are in force, as operators see them.
type LimitsView struct {
	spec.Limits

	// Origins are where those are said that are not the manifest's, by timeout, idle and body.
	Origins map[string]string `json:"origins,omitempty"`
	// Refused are values of overlays, and where they are said, that do not count since they are looser than the manifest's.
	Refused []string `json:"refused,omitempty"`
}

// limits are those of an endpoint that are in force: what the configuration says, else overlays, else the manifest.
func (a *access) limits(service string, o *offer) spec.Limits {
	l := o.Limits.WithDefaults()
	if a == nil {
		return l
	}
	said := a.bounds[place{service, o.identity}]
	l.MaxBodyBytes = cmp.Or(said.MaxBodyBytes, l.MaxBodyBytes)
	l.TimeoutMS = cmp.Or(said.TimeoutMS, l.TimeoutMS)
	l.IdleMS = cmp.Or(said.IdleMS, l.IdleMS)
	return l
}

// limitsView is what operators see of the limits.
func (a *access) limitsView(service string, o *offer) LimitsView {
	v := LimitsView{Limits: a.limits(service, o), Refused: o.refused, Origins: map[string]string{}}
	maps.Copy(v.Origins, o.origins)
	delete(v.Origins, spec.OverlayClaims) // of which [Access] tells
	if a != nil {
		said := a.bounds[place{service, o.identity}]
		for key, value := range map[string]int64{
			spec.OverlayTimeout: said.TimeoutMS, spec.OverlayIdle: said.IdleMS, spec.OverlayBody: said.MaxBodyBytes,
		} {
			if value != 0 {
				v.Origins[key] = said.origin
			}
		}
	}
	return v
}

// bound is what the configuration says of an endpoint's limits; zero fields say nothing.
type bound struct {
	spec.Limits

	origin string
}
