package routing

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/stella-ops/router/gateway/telemetry"
	"github.com/stella-ops/router/spec"
)

// ServiceView is one version of a service, as operators see it.
type ServiceView struct {
	Service        string         `json:"service"`
	Version        string         `json:"version"`
	ManifestDigest string         `json:"manifestDigest"`
	ContractDigest string         `json:"contractDigest"`
	GoneSince      *time.Time     `json:"goneSince,omitempty"` // no instance since; known for the retention time
	Warning        string         `json:"warning,omitempty"`   // what operators should know of it
	Panic          bool           `json:"panic,omitempty"`     // panic mode is on: all instances are used that do not drain
	Capacity       int64          `json:"capacity"`            // the leases of all its routable instances
	Instances      []InstanceView `json:"instances"`
}

// InstanceView is one connected instance, as operators see it.
type InstanceView struct {
	ID             string    `json:"id"`
	Region         string    `json:"region"`
	Health         Health    `json:"health"`
	Status         string    `json:"status"` // what it says of itself
	InFlight       int       `json:"inFlight"`
	Lease          int       `json:"lease"`
	Remote         string    `json:"remote"`
	Since          time.Time `json:"since"`
	Heartbeat      time.Time `json:"heartbeat"`            // when it came last
	ManifestDigest string    `json:"manifestDigest"`       // its own: documentation may differ under one contract
	Cordoned       bool      `json:"cordoned,omitempty"`   // an operator has taken it out of routing
	Quarantine     string    `json:"quarantine,omitempty"` // why it is not routed
	LatencyMS      float64   `json:"latencyMs,omitempty"`  // moving average of the time to RESPONSE
	PingMS         float64   `json:"pingMs,omitempty"`     // moving average of the session's round trips

	Ejected      string     `json:"ejected,omitempty"` // why its calls go to others
	EjectedUntil *time.Time `json:"ejectedUntil,omitempty"`
}

// PolicyView is how requests to a service find a version, as operators see it.
type PolicyView struct {
	Service  string       `json:"service"`
	Balancer string       `json:"balancer"`
	Default  string       `json:"default,omitempty"` // capacity, newest or a version; empty with weights
	Sticky   string       `json:"sticky,omitempty"`
	Weights  []WeightView `json:"weights,omitempty"`
	Panic    []string     `json:"panic,omitempty"` // versions in panic mode
	Expected int          `json:"expected,omitempty"`
	Live     int          `json:"live"` // instances that can be picked, of all versions
}

// WeightView is a weighted version, as operators see it.
type WeightView struct {
	Version    string `json:"version"`
	Weight     int    `json:"weight"`
	PassedOver string `json:"passedOver,omitempty"` // why other versions have its share
}

// EndpointView is one endpoint in one version, as operators see it: what the manifest says, and what is there now.
type EndpointView struct {
	*spec.Endpoint // of the manifest, which must not be changed

	Effective      Access     `json:"effective"`     // who may call it, above what the manifest says
	InForce        LimitsView `json:"limitsInForce"` // above what the manifest says
	Service        string     `json:"service"`
	Version        string     `json:"version"`
	ManifestDigest string     `json:"manifestDigest"`
	Selected       bool       `json:"selected"`  // requests that name no version go here, or some of them
	Share          float64    `json:"share"`     // of those, from 0 to 1
	Instances      int        `json:"instances"` // that can be picked
}

// ManifestView is what a manifest says beside its endpoints. It must not be changed.
type ManifestView struct {
	Format         int                     `json:"format"`
	Service        string                  `json:"service"`
	Version        string                  `json:"version"`
	ManifestDigest string                  `json:"manifestDigest"`
	ContractDigest string                  `json:"contractDigest"`
	Doc            string                  `json:"doc,omitempty"`
	Owner          string                  `json:"owner,omitempty"`
	Schemas        map[string]*spec.Schema `json:"schemas,omitempty"` // that the endpoints refer to
}

// Services lists what is known, sorted by service and version.
func (r *Registry) Services() []ServiceView {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := time.Now()
	views := []ServiceView{}
	at := map[[3]string]int{}
	add := func(rel *release) *ServiceView {
		key := [3]string{rel.service, rel.version.String(), rel.contract}
		i, ok := at[key]
		if !ok {
			i = len(views)
			at[key] = i
			views = append(views, ServiceView{
				Service: key[0], Version: key[1], ManifestDigest: rel.digest, ContractDigest: rel.contract, Warning: rel.warning,
				Instances: []InstanceView{},
			})
		}
		return &views[i]
	}
	for _, rel := range r.releases {
		v := add(rel)
		v.Panic, v.Capacity = rel.panics, rel.capacity.Load()
		if len(rel.standing) == 0 {
			gone := rel.gone.UTC()
			v.GoneSince = &gone
		}
	}
	for _, in := range r.instances { // those in quarantine may be of a contract that is not known
		v := add(in.offered)
		v.Instances = append(v.Instances, in.view(now))
	}
	for i := range views {
		slices.SortFunc(views[i].Instances, func(a, b InstanceView) int { return strings.Compare(a.ID, b.ID) })
	}
	slices.SortStableFunc(views, func(a, b ServiceView) int {
		return cmp.Or(strings.Compare(a.Service, b.Service), strings.Compare(a.Version, b.Version),
			strings.Compare(a.ContractDigest, b.ContractDigest))
	})
	return views
}

func (in *Instance) view(now time.Time) InstanceView {
	v := InstanceView{
		ID: in.ID(), Region: in.Session.Hello().Instance.Region, Health: in.health, Status: string(*in.status.Load()),
		InFlight: in.Session.InFlight(), Lease: in.Session.Lease(), Remote: in.Session.Remote(), Since: in.since.UTC(),
		Heartbeat: time.Unix(0, in.beat.Load()).UTC(), ManifestDigest: in.offered.digest, Quarantine: in.quarantine,
		LatencyMS: milliseconds(in.Latency(now)), PingMS: milliseconds(in.Ping()),
		Cordoned: in.cordoned.Load(),
	}
	if in.vitals.ejected() {
		until := in.vitals.until.UTC()
		v.Ejected, v.EjectedUntil = in.vitals.why, &until
	}
	return v
}

// milliseconds has three digits after the point.
func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// Policies lists the services that are known or have a policy, sorted.
func (r *Registry) Policies() []PolicyView {
	r.mu.Lock()
	defer r.mu.Unlock()
	all := map[string]*PolicyView{}
	add := func(service string, p *policy) *PolicyView {
		v := all[service]
		if v == nil {
			v = &PolicyView{Service: service, Balancer: p.Balancer, Default: p.Version.Default, Sticky: p.Version.Sticky, Expected: p.Instances}
			for _, w := range p.weights {
				view := WeightView{Version: w.version, Weight: w.weight}
				if r.passed[[2]string{service, w.version}] {
					view.PassedOver = "no live instance"
				}
				v.Weights = append(v.Weights, view)
			}
			all[service] = v
		}
		return v
	}
	for service, p := range r.policies {
		add(service, p)
	}
	for _, rel := range r.releases {
		v := add(rel.service, rel.policy)
		if rel.panics {
			v.Panic = append(v.Panic, rel.version.String())
		}
		for _, in := range rel.standing {
			if rel.routable(in) {
				v.Live++
			}
		}
	}
	views := make([]PolicyView, 0, len(all))
	for _, service := range slices.Sorted(maps.Keys(all)) {
		slices.Sort(all[service].Panic)
		views = append(views, *all[service])
	}
	return views
}

// Expected are the instances that services should have, by name, where the configuration says so.
func (r *Registry) Expected() map[string]int {
	all := map[string]int{}
	for _, p := range r.Policies() {
		if p.Expected > 0 {
			all[p.Service] = p.Expected
		}
	}
	return all
}

// Endpoints lists what is routed, sorted by path, method, service and version.
func (r *Registry) Endpoints() []EndpointView {
	r.mu.Lock()
	defer r.mu.Unlock()
	views := []EndpointView{}
	for _, rel := range r.releases {
		for i := range rel.offers {
			views = append(views, r.endpointView(rel, &rel.offers[i]))
		}
	}
	slices.SortFunc(views, func(a, b EndpointView) int {
		return cmp.Or(strings.Compare(a.Path, b.Path), strings.Compare(a.Method, b.Method), strings.Compare(a.Service, b.Service),
			strings.Compare(a.Version, b.Version))
	})
	return views
}

func (r *Registry) endpointView(rel *release, o *offer) EndpointView {
	v := EndpointView{
		Endpoint: o.reviewed(), Effective: r.access.of(rel.service, o, rel.policy), InForce: r.access.limitsView(rel.service, o),
		Service: rel.service, Version: rel.version.String(), ManifestDigest: rel.digest,
	}
	for _, in := range rel.standing {
		if rel.routable(in) {
			v.Instances++
		}
	}
	if e := r.current.Load().endpoint(o.identity); e != nil && e.Service == rel.service {
		v.Share = e.share(e.Select(v.Version))
		v.Selected = v.Share > 0
	}
	return v
}

// Manifests lists the manifests whose endpoints are routed, sorted by service and version.
func (r *Registry) Manifests() []ManifestView {
	r.mu.Lock()
	defer r.mu.Unlock()
	views := []ManifestView{}
	for _, rel := range r.releases {
		m := rel.manifest
		views = append(views, ManifestView{
			Format: m.Format, Service: m.Service, Version: m.Version, ManifestDigest: rel.digest, ContractDigest: m.ContractDigest,
			Doc: m.Doc, Owner: m.Owner, Schemas: m.Schemas,
		})
	}
	slices.SortFunc(views, func(a, b ManifestView) int {
		return cmp.Or(strings.Compare(a.Service, b.Service), strings.Compare(a.Version, b.Version))
	})
	return views
}

// Sessions lists what every session counts as.
func (r *Registry) Sessions() []telemetry.Session {
	r.mu.Lock()
	defer r.mu.Unlock()
	all := make([]telemetry.Session, len(r.instances))
	for i, in := range r.instances {
		all[i] = telemetry.Session{
			Service: in.Service(), Version: in.offered.version.String(), State: in.state(), Beat: time.Unix(0, in.beat.Load()),
		}
	}
	return all
}

func (in *Instance) state() telemetry.State {
	switch {
	case in.health == Draining:
		return telemetry.StateDraining
	case in.quarantine != "":
		return telemetry.StateQuarantined
	case in.health == Unhealthy:
		return telemetry.StateUnhealthy
	case in.vitals.ejected():
		return telemetry.StateEjected
	}
	return telemetry.StateLive
}

// Offered are the manifests of the versions that have an instance which is routed, in no particular order; they must not be
// changed. Key is the same as long as the manifests are.
func (r *Registry) Offered() (manifests []*spec.Manifest, key string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	var digests []string
	for _, rel := range r.releases {
		if len(rel.standing) > 0 {
			manifests = append(manifests, rel.manifest)
			digests = append(digests, rel.digest)
		}
	}
	slices.Sort(digests)
	return manifests, strings.Join(digests, " ")
}
