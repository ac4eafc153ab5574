package routing

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/stella-ops/router/spec"
)

// ServiceView is one version of a service, as operators see it.
type ServiceView struct {
	Service        string         `json:"service"`
	Version        string         `json:"version"`
	ManifestDigest string         `json:"manifestDigest"`
	ContractDigest string         `json:"contractDigest"`
	GoneSince      *time.Time     `json:"goneSince,omitempty"` // no instance since; known for the retention time
	Instances      []InstanceView `json:"instances"`
}

// InstanceView is one connected instance, as operators see it.
type InstanceView struct {
	ID         string    `json:"id"`
	Region     string    `json:"region"`
	Health     Health    `json:"health"`
	Status     string    `json:"status"` // what it says of itself
	InFlight   int       `json:"inFlight"`
	Lease      int       `json:"lease"`
	Remote     string    `json:"remote"`
	Since      time.Time `json:"since"`
	Heartbeat  time.Time `json:"heartbeat"` // when it came last
	Quarantine string    `json:"quarantine,omitempty"`
}

// EndpointView is one endpoint in one version, as operators see it. All but the service and the number of live
// instances is the manifest's.
type EndpointView struct {
	Method    string                  `json:"method"`
	Path      string                  `json:"path"`
	Service   string                  `json:"service"`
	Version   string                  `json:"version"`
	Selected  bool                    `json:"selected"` // requests that name no version go here
	Claims    []spec.ClaimRequirement `json:"claims"`
	Public    string                  `json:"public,omitempty"`
	Stream    spec.Streaming          `json:"stream"`
	Limits    spec.Limits             `json:"limits"`
	Instances int                     `json:"instances"` // that can be picked
}

// Services lists what is known, sorted by service and version.
func (r *Registry) Services() []ServiceView {
	r.mu.Lock()
	defer r.mu.Unlock()
	views := []ServiceView{}
	at := map[*release]int{}
	add := func(rel *release) int {
		i, ok := at[rel]
		if !ok {
			i = len(views)
			at[rel] = i
			views = append(views, ServiceView{
				Service: rel.service, Version: rel.version.String(), ManifestDigest: rel.manifest, ContractDigest: rel.contract,
				Instances: []InstanceView{},
			})
		}
		return i
	}
	for _, rel := range r.releases {
		if i := add(rel); len(rel.standing) == 0 {
			gone := rel.gone.UTC()
			views[i].GoneSince = &gone
		}
	}
	for _, in := range r.instances {
		v := &views[add(in.release)]
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
		Heartbeat: time.Unix(0, in.beat.Load()).UTC(), Quarantine: in.quarantine,
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
	v := EndpointView{
		Method: o.Method, Path: o.Path, Service: rel.service, Version: rel.version.String(),
		Claims: append([]spec.ClaimRequirement{}, o.Claims...), Public: o.Public, Stream: o.Stream, Limits: o.Limits,
	}
	for _, in := range rel.standing {
		if in.health.usable() {
			v.Instances++
		}
	}
	e := r.current.Load().endpoints[o.identity]
	v.Selected = e != nil && e.Select("").Release.Version == v.Version
	return v
}
