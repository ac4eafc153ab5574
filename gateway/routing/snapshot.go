package routing

import (
	"cmp"
	"sync/atomic"
	"time"

	"github.com/stella-ops/router/gateway/telemetry"
	"github.com/stella-ops/router/spec"
)

// Snapshot is everything a request has to know about the services, at one moment. It is immutable. It shares with others
// what is the same in them.
type Snapshot struct {
	*topology

	endpoints []*Endpoint // by the numbers that the topology has for them
}

// Claims are the requirements of all endpoints that are routed, each once, sorted.
func (s *Snapshot) Claims() []spec.ClaimRequirement { return s.claims }

// endpoint finds one by identity.
func (s *Snapshot) endpoint(identity string) *Endpoint {
	if i, ok := s.numbers[identity]; ok {
		return s.endpoints[i]
	}
	return nil
}

// Endpoint is one Method + Path, over all versions of the service that owns it.
type Endpoint struct {
	Service string
	Method  string
	Path    string   // the pattern, with the parameter names of the version that is selected by default
	routes  []*Route // best first: live before gone, stable before prerelease, higher before lower

	// Of the default version; see Default.
	key      Key
	choices  []choice // live ones; none: the fallback, which may be nil
	fallback *Route
	weighted bool // else the choices count by capacity
	awaited  bool // what the policy names has not come yet
}

// Select returns the route for exactly this version. It is nil when the endpoint has no such version.
func (e *Endpoint) Select(version string) *Route {
	for _, r := range e.routes {
		if r.Release.Version == version {
			return r
		}
	}
	return nil
}

// Best is the route of its best version: a live one, if there is any. There always is one.
func (e *Endpoint) Best() *Route { return e.routes[0] }

// Route is an endpoint in one version of its service.
type Route struct {
	*spec.Endpoint

	Access    Access // who may call it: what the endpoint itself says of that may have been replaced
	Index     uint32 // of the endpoint in the manifest
	NeedsPath bool   // the service cannot tell the path from the parameters
	Unary     bool   // neither body may be streamed: the timeout bounds the call whole
	MaxBody   int64  // bytes of the request body, inclusive
	Timeout   time.Duration
	Idle      time.Duration
	Release   *Release
	Meter     *telemetry.Endpoint // counts its requests; nil: nobody does

	identity string // of the endpoint
}

// Identity is the endpoint's: its method, and its path without parameter names.
func (r *Route) Identity() string { return r.identity }

// Foreign is a route to something that is no service's, and that nothing of this package leads to: whoever passes requests on to it
// holds them to who may call it, and to the limits.
func Foreign(method string, pattern spec.Pattern, access Access, limits spec.Limits) *Route {
	return &Route{
		Endpoint: &spec.Endpoint{Method: method, Path: pattern.String()}, Access: access, Release: new(Release), identity: method + " " + pattern.Identity(),
		MaxBody: limits.MaxBodyBytes, Timeout: limits.Timeout(), Idle: limits.Idle(),
	}
}

// Again is the same endpoint in the same version as a route of an older snapshot, if it is still what was checked then: of
// the same contract. Else it is nil.
func (s *Snapshot) Again(old *Route) *Route {
	e := s.endpoint(old.identity)
	if e == nil || e.Service != old.Release.Service {
		return nil
	}
	r := e.Select(old.Release.Version)
	if r == nil || r.Release.contract != old.Release.contract {
		return nil
	}
	return r
}

// Release is one version of one service, with the instances that serve it.
type Release struct {
	Service string
	Version string

	Retries *Retries

	version  spec.Version
	contract string        // digest
	access   *access       // who may call what
	tiers    [][]*Instance // in order of preference
	absence  string        // why there are none
	policy   *policy
	balancer Balancer
	capacity *atomic.Int64 // the release's, which changes between snapshots
	registry *Registry     // is told of failures; may be nil
}

// Live reports whether any instance can be picked.
func (r *Release) Live() bool { return len(r.tiers) > 0 }

// Absence says for a caller why no instance can be picked; empty where one can.
func (r *Release) Absence() string { return r.absence }

// HedgeAfter is how long an idempotent call waits for RESPONSE before it is sent to a second instance as well; 0 is for
// ever.
func (r *Release) HedgeAfter() time.Duration { return r.policy.Hedge.After }

// offer is an endpoint of a manifest, prepared once for all snapshots.
type offer struct {
	*spec.Endpoint

	pattern  spec.Pattern
	identity string
	index    uint32
	meter    *telemetry.Endpoint

	// Where overlays say something: the manifest's own endpoint, where the values are said that are not its, and those that do
	// not count.
	manifest *spec.Endpoint
	origins  map[string]string
	refused  []string
}

// reviewed is the endpoint as the manifest has it.
func (o *offer) reviewed() *spec.Endpoint { return cmp.Or(o.manifest, o.Endpoint) }

func (o *offer) route(r *Release) *Route {
	limits := r.access.limits(r.Service, o)
	return &Route{
		Endpoint: o.Endpoint, Access: r.access.of(r.Service, o, r.policy), Index: o.index, Release: r, Meter: o.meter, identity: o.identity,
		NeedsPath: o.pattern.HasRest() || o.Kind == spec.KindHTTP,
		Unary:     o.Stream == spec.StreamNone || o.Stream == "",
		MaxBody:   limits.MaxBodyBytes, Timeout: limits.Timeout(), Idle: limits.Idle(),
	}
}
