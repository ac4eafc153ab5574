package routing

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/stella-ops/router/spec"
)

// Explanation is where a request would go at this moment, and why, as operators see it.
type Explanation struct {
	Method   string `json:"method"`
	Path     string `json:"path"`               // in its canonical form
	Fault    string `json:"fault,omitempty"`    // why it goes nowhere
	Endpoint string `json:"endpoint,omitempty"` // METHOD /pattern
	Service  string `json:"service,omitempty"`
	Sticky   string `json:"sticky,omitempty"` // what of a request keeps it with a version, where it names none
	Balancer string `json:"balancer,omitempty"`

	Legacy *LegacyStep `json:"legacy,omitempty"` // what is decided before the version; nil: the request falls under no legacy route
	Own    string      `json:"own,omitempty"`    // what the gateway itself answers with, where no service has the path

	Versions  []VersionStep  `json:"versions,omitempty"`  // the endpoint's, the best first
	Instances []InstanceStep `json:"instances,omitempty"` // of the versions that the request may go to, in the order of their tiers
}

// LegacyStep is the legacy route that the request falls under.
type LegacyStep struct {
	Route    string  `json:"route"`
	Upstream string  `json:"upstream"`
	Weight   int     `json:"weight"` // percent
	Sticky   string  `json:"sticky,omitempty"`
	Share    float64 `json:"share"` // of such requests, from 0 to 1, that goes to the upstream; what follows is about the others
	Why      string  `json:"why"`
}

// VersionStep is a version that has the endpoint.
type VersionStep struct {
	Version string                  `json:"version"`
	Share   float64                 `json:"share"` // of such requests, from 0 to 1
	Why     string                  `json:"why"`
	Claims  []spec.ClaimRequirement `json:"claims,omitempty"`
	Public  string                  `json:"public,omitempty"`
	Timeout string                  `json:"timeout"`
}

// InstanceStep is an instance, and whether it would be picked.
type InstanceStep struct {
	Version  string  `json:"version"`
	Tier     int     `json:"tier"` // from 1, the first that has room; 0: it is not picked
	ID       string  `json:"id"`
	Region   string  `json:"region"`
	Why      string  `json:"why"`
	InFlight int     `json:"inFlight"`
	Lease    int     `json:"lease"`
	Latency  float64 `json:"latencyMs"`
}

// Explain says where a request would go. version is the exact one that it names, and key the value of what makes it
// sticky; both may be empty.
func (r *Registry) Explain(method, path, version, key string) Explanation {
	r.mu.Lock()
	defer r.mu.Unlock()
	out := Explanation{Method: method, Path: path}
	m := r.current.Load().Match(method, path, nil)
	e := m.Endpoint
	if e == nil {
		out.Fault = "no service offers this path"
		if allow := m.Allow(); allow != "" {
			out.Fault = "the path is served for " + allow
		}
		return out
	}
	out.Endpoint, out.Service = e.Method+" "+e.Path, e.Service
	var route *Route // the one that it is, where there is no choice
	switch {
	case version != "":
		if route = e.Select(version); route == nil {
			out.Fault = "the service does not offer this endpoint in version " + version
		}
	default:
		out.Sticky = e.key.String()
		if e.weighted && key != "" || len(e.choices) < 2 {
			route = e.Default(key)
		}
		if route == nil && len(e.choices) == 0 {
			out.Fault = "the policy names no version that has this endpoint: the request has to name one"
		}
	}
	for _, candidate := range e.routes {
		step := VersionStep{
			Version: candidate.Release.Version, Share: e.share(candidate), Why: e.why(candidate, version, key),
			Claims: candidate.Claims, Public: candidate.Public, Timeout: candidate.Timeout.String(),
		}
		if route != nil {
			step.Share = 0
			if candidate == route {
				step.Share = 1
			}
		}
		out.Versions = append(out.Versions, step)
		if step.Share > 0 && out.Fault == "" {
			out.Balancer = candidate.Release.policy.Balancer
			out.Instances = append(out.Instances, r.steps(candidate.Release)...)
		}
	}
	if out.Fault == "" && !slices.ContainsFunc(out.Instances, func(s InstanceStep) bool { return s.Tier > 0 && s.InFlight < s.Lease }) {
		out.Fault = "no instance can take a call now"
	}
	return out
}

// why says what speaks for a version, or against it.
func (e *Endpoint) why(r *Route, version, key string) string {
	chosen := slices.IndexFunc(e.choices, func(c choice) bool { return c.route == r })
	switch {
	case version != "" && r.Release.Version == version:
		return "the request names it"
	case version != "":
		return "the request names another"
	case !r.Release.Live():
		return "no instance of it can be picked"
	case chosen >= 0 && e.weighted && key != "":
		return fmt.Sprintf("weight %d, and the key decides", e.choices[chosen].weight)
	case chosen >= 0 && e.weighted:
		return fmt.Sprintf("weight %d", e.choices[chosen].weight)
	case chosen >= 0:
		return fmt.Sprintf("stable, and of the highest major: by capacity, which is %d", r.Release.capacity.Load())
	case e.weighted:
		return "it has no weight"
	case r == e.fallback:
		return "the policy's choice: " + r.Release.policy.Version.Default
	case !r.Release.version.Stable():
		return "it is a prerelease"
	}
	return "the policy prefers another"
}

// steps are the instances of a release. The caller holds mu.
func (r *Registry) steps(release *Release) []InstanceStep {
	var steps []InstanceStep
	for _, rel := range r.releases {
		if rel.service != release.Service || rel.version.String() != release.Version {
			continue
		}
		for _, in := range rel.standing {
			s := InstanceStep{
				Version: release.Version, ID: in.ID(), Region: in.Region(), InFlight: in.InFlight(), Lease: in.Session.Lease(),
				Tier: 1 + slices.IndexFunc(release.tiers, func(tier []*Instance) bool { return slices.Contains(tier, in) }),
			}
			s.Latency = milliseconds(in.Latency(time.Now()))
			s.Why = in.why(&s, rel.panics)
			steps = append(steps, s)
		}
	}
	slices.SortFunc(steps, func(a, b InstanceStep) int {
		return cmp.Or(cmp.Compare(uint(a.Tier-1), uint(b.Tier-1)), strings.Compare(a.ID, b.ID)) // 0 goes last
	})
	return steps
}

// why says what speaks for an instance, or against it.
func (in *Instance) why(s *InstanceStep, panics bool) string {
	switch {
	case in.cordoned.Load():
		return "an operator has taken it out of routing"
	case s.Tier > 0 && s.InFlight >= s.Lease:
		return "its lease is taken"
	case s.Tier > 0 && panics:
		return "panic mode: too few are usable, and all are used"
	case s.Tier > 0:
		return string(in.health)
	case in.vitals.ejected():
		return "ejected: " + in.vitals.why
	case in.health == Degraded:
		return "degraded, and there are healthy ones in its region"
	}
	return string(in.health)
}
