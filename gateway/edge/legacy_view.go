package edge

import (
	"net/http"
	"slices"
	"strings"

	"github.com/stella-ops/router/gateway/routing"
	"github.com/stella-ops/router/gateway/telemetry"
	"github.com/stella-ops/router/spec"
)

// LegacyView is a legacy route, as operators see it.
type LegacyView struct {
	Route    string                  `json:"route"` // as in metrics: the path, with the methods before it if it has not all of them
	Upstream string                  `json:"upstream"`
	URL      string                  `json:"url"` // of the upstream
	Weight   int                     `json:"weight"`
	Sticky   string                  `json:"sticky,omitempty"`
	Claims   []spec.ClaimRequirement `json:"claims,omitempty"`
	Public   string                  `json:"public,omitempty"`
	Legacy   LegacySide              `json:"legacy"`
	Service  LegacySide              `json:"service"`
}

// LegacySide is what one side of a legacy route has been asked since the gateway's start, or since the route is there.
type LegacySide struct {
	Requests uint64            `json:"requests"`
	Failed   uint64            `json:"failed"` // the side's failures; what the gateway has refused before it asked is none
	Outcomes map[string]uint64 `json:"outcomes,omitempty"`
}

// Legacy lists the legacy routes, in the order of the configuration.
func (e *Edge) Legacy() []LegacyView {
	list := []LegacyView{}
	t := e.policy.Load().legacy
	if t == nil {
		return list
	}
	for _, r := range t.routes {
		list = append(list, LegacyView{
			Route: r.name, Upstream: r.Upstream, URL: r.server.URL(), Weight: r.Weight, Sticky: r.Sticky, Claims: r.Claims, Public: r.Public,
			Legacy: r.side(telemetry.SideLegacy), Service: r.side(telemetry.SideService),
		})
	}
	return list
}

func (r *legacyRoute) side(which telemetry.Side) LegacySide {
	side := LegacySide{}
	for i, name := range outcomeNames {
		outcome := telemetry.Outcome(i) // there are few
		n := r.meter.Count(which, outcome)
		if n == 0 {
			continue
		}
		if side.Outcomes == nil {
			side.Outcomes = map[string]uint64{}
		}
		side.Outcomes[name] = n
		if side.Requests += n; failed(outcome) {
			side.Failed += n
		}
	}
	return side
}

// failed reports whether an outcome is the failure of the side that the request went to: a status of 500 or more, or an answer that was
// broken off. What the gateway could not do itself, before it asked anybody, tells nothing of a side. The rate in docs/shift.md counts
// the same, which a test holds.
func failed(outcome telemetry.Outcome) bool {
	if outcome >= outcomeProblem {
		kind := kinds[outcome-outcomeProblem]
		return kind.Status >= http.StatusInternalServerError && !slices.Contains(gatewayAlone, kind)
	}
	return outcome == outcomeServerError || outcome == outcomeBrokenOff
}

// explainSlash explains a request whose path has a slash at its end beside the canonical one.
func (e *Edge) explainSlash(method, path, version string) routing.Explanation {
	x := routing.Explanation{Method: method, Path: strings.TrimSuffix(path, "/") + "/", Fault: faultTrailing}
	p := e.policy.Load()
	if p.legacy == nil {
		return x
	}
	if place, _ := p.upstreamAt(method, path, true, true, nil); place != nil && version == "" {
		r := place.route
		x.Legacy = &routing.LegacyStep{
			Route: r.name, Upstream: r.Upstream, Weight: r.Weight, Sticky: r.Sticky, Share: 1, Why: "the path ends with a slash, and no endpoint's does",
		}
		x.Fault = ""
	}
	return x
}

// explainLegacy adds to an explanation what legacy routes have to do with the request.
func (e *Edge) explainLegacy(x *routing.Explanation, version, key string) {
	p := e.policy.Load()
	if p.legacy == nil {
		return
	}
	m := e.cfg.Registry.Snapshot().Match(x.Method, x.Path, nil)
	place, _ := p.upstreamAt(x.Method, x.Path, false, m.Free(), nil)
	if place == nil {
		return
	}
	r := place.route
	step := &routing.LegacyStep{Route: r.name, Upstream: r.Upstream, Weight: r.Weight, Sticky: r.Sticky}
	switch {
	case version != "":
		step.Why = "the request names a version, which is a service's"
	case x.Endpoint == "":
		step.Share, step.Why = 1, "no service has the method and path"
	case r.Weight == 0:
		step.Why = "the weight is 0: the service has it alone"
	case r.Sticky != "" && key != "":
		step.Why = "the key is at or above the weight"
		if routing.Percentile(key) < r.Weight {
			step.Share, step.Why = 1, "the key is below the weight"
		}
	default:
		step.Share, step.Why = float64(r.Weight)/percent, "by the weight"
	}
	if x.Legacy = step; step.Share == 1 {
		x.Fault, x.Instances = "", nil
	}
}
