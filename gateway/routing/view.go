package routing

import (
	"cmp"
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
}

// EndpointView is one endpoint in one version, as operators see it: what the manifest says, and what is there now.
type EndpointView struct {
	*spec.Endpoint // of the manifest, which must not be changed

	Service        string `json:"service"`
	Version        string `json:"version"`
	ManifestDigest string `json:"manifestDigest"`
	Selected       bool   `json:"selected"`  // requests that name no version go here
	Instances      int    `json:"instances"` // that can be picked
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
		if v := add(rel); len(rel.standing) == 0 {
			gone := rel.gone.UTC()
			v.GoneSince = &gone
		}
	}
	for _, in := range r.instances { // those in quarantine may be of a contract that is not known
		v := add(in.offered)
		v.Instances = append(v.Instances, in.view())
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

func (in *Instance) view() InstanceView {
	return InstanceView{
		ID: in.ID(), Region: in.Session.Hello().Instance.Region, Health: in.health, Status: string(*in.status.Load()),
		InFlight: in.Session.InFlight(), Lease: in.Session.Lease(), Remote: in.Session.Remote(), Since: in.since.UTC(),
		Heartbeat: time.Unix(0, in.beat.Load()).UTC(), ManifestDigest: in.offered.digest, Quarantine: in.quarantine,
		Cordoned: in.cordoned.Load(),
	}
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
	v := EndpointView{Endpoint: o.Endpoint, Service: rel.service, Version: rel.version.String(), ManifestDigest: rel.digest}
	for _, in := range rel.standing {
		if in.health.usable() {
			v.Instances++
		}
	}
	e := r.current.Load().endpoints[o.identity]
	v.Selected = e != nil && e.Select("").Release.Version == v.Version
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
