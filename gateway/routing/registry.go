package routing

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/stella-ops/router/gateway/telemetry"
	"github.com/stella-ops/router/spec"
	"github.com/stella-ops/router/transports/session"
)

// DefaultRetain is how long the endpoints of a version without any instance stay known.
const DefaultRetain = 10 * time.Minute

// Config is what a [Registry] needs. Zero fields mean the defaults.
type Config struct {
	Region     string        // the gateway's own, from its configuration and nothing else (invariant 3)
	Neighbours []string      // regions to try after its own and before all others, the nearest first
	Heartbeat  time.Duration // how often services send HEARTBEAT; [spec.HeartbeatInterval]
	// DegradedAfter and UnhealthyAfter are how many intervals an instance may be without a HEARTBEAT until it is picked only where
	// no other one is as near, and until it is not picked; [DefaultDegradedAfter] and [DefaultUnhealthyAfter].
	DegradedAfter, UnhealthyAfter int

	Retain   time.Duration // [DefaultRetain]
	Owners   Owners        // of paths, by configuration
	Default  Policy        // of services, for what their own leaves open
	Services map[string]Policy
	// Access replaces who may call endpoints, as their manifests say it.
	Access []AccessRule
	// AwaitAuthority lets nobody pass before [Registry.Decree] has been called for the first time.
	AwaitAuthority bool
	// Balancers are the embedding program's, by the name that policies have for them. Each version of a service gets one of
	// its own.
	Balancers map[string]func() Balancer
	Logger    *slog.Logger // [slog.Default]
	// Telemetry counts what the routes lead to. May be nil.
	Telemetry *telemetry.Telemetry
	// Changed is told of every new snapshot. It must not block. May be nil.
	Changed func()
}

// Registry keeps the snapshot up to date. Its methods may be called concurrently.
type Registry struct {
	cfg     Config
	current atomic.Pointer[Snapshot]
	wake    chan struct{} // an instance's status has changed
	waiting atomic.Int32  // changes that wait for mu: only the last of them builds a snapshot

	notice atomic.Int64 // when the next ejection ends, in Unix nanoseconds; 0: there is none

	mu        sync.Mutex
	releases  []*release  // known ones, in the order of their first instance
	instances []*Instance // in the order of their arrival
	replaced  []*Instance // superseded since the last snapshot
	ladder    ladder
	base      *policy            // of services without one of their own
	policies  map[string]*policy // of the others
	access    *access            // who may call what
	decreed   []AccessRule       // by the authority
	reached   bool               // the authority has said something
	past      map[name]*vitals   // of instances that have left
	passed    map[[2]string]bool // versions that have weight and no live instance, by service
}

// release is a version of a service that is known: it has instances, or had some not long ago.
type release struct {
	service  string
	version  spec.Version
	contract string         // digest
	digest   string         // of the manifest
	manifest *spec.Manifest // of the first that stood
	offer    *Offer         // the same
	base     []offer        // of the manifest
	offers   []offer        // with what overlays say
	under    under          // of what they were made
	standing []*Instance    // not quarantined
	retries  *Retries
	policy   *policy
	balancer Balancer
	capacity *atomic.Int64 // the leases of its routable instances
	panics   bool          // all its instances are used that do not drain
	now      *Release      // what it is to requests, by the last snapshot
	routes   []*Route      // of that
	routed   []offer       // what they are of
	gone     time.Time     // since when nobody is standing
	warning  string        // what operators should know of it
}

// live reports whether any instance can be picked.
func (rel *release) live() bool {
	return slices.ContainsFunc(rel.standing, func(in *Instance) bool { return in.health.usable() })
}

// fill fills in the defaults of what can change.
func (cfg *Config) fill() {
	cfg.Retain = cmp.Or(cfg.Retain, DefaultRetain)
	cfg.DegradedAfter, cfg.UnhealthyAfter = cmp.Or(cfg.DegradedAfter, DefaultDegradedAfter), cmp.Or(cfg.UnhealthyAfter, DefaultUnhealthyAfter)
}

// NewRegistry returns a registry that knows nobody. The configuration has passed [Config.Check].
func NewRegistry(cfg Config) *Registry {
	if cfg.Heartbeat == 0 {
		cfg.Heartbeat = spec.HeartbeatInterval
	}
	cfg.fill()
	if cfg.Logger == nil {
		cfg.Logger = slog.Default()
	}
	r := &Registry{cfg: cfg, wake: make(chan struct{}, 1)}
	r.adjust()
	r.current.Store(&Snapshot{topology: new(topology)})
	return r
}

// Snapshot is the state in force.
func (r *Registry) Snapshot() *Snapshot { return r.current.Load() }

// Watch looks after health and expiry until ctx ends.
func (r *Registry) Watch(ctx context.Context) {
	ticker := time.NewTicker(r.cfg.Heartbeat / 2)
	defer ticker.Stop()
	due := time.NewTimer(r.cfg.Heartbeat)
	defer due.Stop()
	for {
		due.Stop()
		if at := r.notice.Load(); at != 0 {
			due.Reset(time.Until(time.Unix(0, at)))
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		case <-due.C:
		case <-r.wake:
		}
		r.Refresh(time.Now())
	}
}

// Offer is a manifest that has been checked and prepared for [Registry.Add]. It is never changed, so that all instances
// that offer the same share one.
type Offer struct {
	manifest *spec.Manifest
	digest   string
	version  spec.Version
	offers   []offer
}

// Offer is what is known under a manifest's digest: from an instance, or from a version that was there not long ago. It
// is nil for a manifest that has to be sent.
func (r *Registry) Offer(digest string) *Offer {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, in := range r.instances {
		if in.offer.digest == digest {
			return in.offer
		}
	}
	for _, rel := range r.releases {
		if rel.offer != nil && rel.offer.digest == digest {
			return rel.offer
		}
	}
	return nil
}

// Of checks that the offer is one of the service and version that HELLO names, and has the endpoints of its overlay.
func (o *Offer) Of(h *spec.Hello) error {
	if m := o.manifest; m.Service != h.Instance.Service || m.Version != h.Instance.Version {
		return fmt.Errorf("routing: HELLO says %s %s, its manifest says %s %s",
			h.Instance.Service, h.Instance.Version, m.Service, m.Version)
	}
	return spec.CheckOverlay(h.Overlay, o.manifest)
}

// release is what an instance offers, kept beside the known releases until it may stand.
func (o *Offer) release() *release {
	return &release{
		service: o.manifest.Service, version: o.version, contract: o.manifest.ContractDigest,
		manifest: o.manifest, digest: o.digest, offer: o, offers: o.offers,
	}
}

// Prepare checks a manifest as it came, and that it is the manifest of the service and version that HELLO names.
func Prepare(h *spec.Hello, manifest []byte) (*Offer, error) {
	m, err := spec.ParseManifest(manifest)
	if err != nil {
		return nil, err
	}
	o := &Offer{manifest: m, digest: spec.Digest(manifest)}
	if err := o.Of(h); err != nil {
		return nil, err
	}
	if o.version, err = spec.ParseVersion(m.Version); err != nil {
		return nil, err
	}
	for i := range m.Endpoints {
		e := &m.Endpoints[i]
		p, err := spec.ParsePattern(e.Path)
		if err != nil {
			return nil, err
		}
		o.offers = append(o.offers, offer{Endpoint: e, pattern: p, identity: e.Method + " " + p.Identity(), index: uint32(i)})
	}
	return o, nil
}

// Add makes an instance known and, unless it has to be quarantined, routable. The caller removes it when its
// session has ended.
func (r *Registry) Add(s *session.Gateway, o *Offer, now time.Time) *Instance {
	in := &Instance{Session: s, since: now, health: Healthy, offer: o, overlay: newOverlay(s.Hello().Overlay), vitals: newVitals(now)}
	in.beat.Store(now.UnixNano())
	ready := spec.StatusReady
	in.status.Store(&ready)
	in.offered = o.release()
	r.change(now, func() { r.instances = append(r.instances, in) })
	return in
}

// Remove forgets an instance whose session has ended.
func (r *Registry) Remove(in *Instance, now time.Time) {
	r.change(now, func() {
		i := slices.Index(r.instances, in)
		if i < 0 {
			return
		}
		r.instances = slices.Delete(r.instances, i, i+1)
		r.remember(in, now)
		if rel := in.release; rel != nil {
			rel.standing = slices.DeleteFunc(rel.standing, func(other *Instance) bool { return other == in })
			rel.gone = now
		}
	})
}

// change makes a change and publishes what comes of it. When a thousand services come back at once, those that wait
// for each other share a snapshot.
func (r *Registry) change(now time.Time, do func()) {
	r.waiting.Add(1)
	r.mu.Lock()
	defer r.mu.Unlock()
	do()
	if r.waiting.Add(-1) == 0 {
		r.settle(now)
	}
}

// Beat notes a HEARTBEAT. It does not block.
func (r *Registry) Beat(in *Instance, hb spec.Heartbeat, now time.Time) {
	in.beat.Store(now.UnixNano())
	if *in.status.Load() != hb.Status {
		in.status.Store(&hb.Status)
		r.kick()
	}
}

// Leave notes that an instance drains. It does not block.
func (r *Registry) Leave(in *Instance) {
	in.leaves.Store(true)
	r.kick()
}

// Cordon takes an instance out of routing, or lets it in again. What it has begun goes on; a new session of the same process
// is another instance. It reports whether there is such an instance.
func (r *Registry) Cordon(service, id string, out bool) bool {
	found := false
	for _, in := range r.Instances() {
		if in.Service() == service && in.ID() == id {
			in.cordoned.Store(out)
			found = true
		}
	}
	if found {
		r.Refresh(time.Now())
	}
	return found
}

// Instances are those that are connected, in the order of their arrival.
func (r *Registry) Instances() []*Instance {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.instances)
}

func (r *Registry) kick() {
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// Refresh brings health and expiry up to date.
func (r *Registry) Refresh(now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	changed := false
	for _, in := range r.instances {
		if h := in.assess(now, &r.cfg); h != in.health {
			r.cfg.Logger.Info("instance health", "service", in.Service(), "instance", in.ID(), "from", in.health, "to", h)
			in.health, changed = h, true
		}
	}
	for _, rel := range r.releases {
		changed = changed || r.expired(rel, now)
	}
	r.forget(now)
	if r.judge(now) || changed {
		r.settle(now)
	}
}

func (r *Registry) expired(rel *release, now time.Time) bool {
	return len(rel.standing) == 0 && now.Sub(rel.gone) >= r.cfg.Retain
}

// settle drops what has expired, lets those stand who may, and publishes the next snapshot. The caller holds mu.
func (r *Registry) settle(now time.Time) {
	r.releases = slices.DeleteFunc(r.releases, func(rel *release) bool {
		gone := r.expired(rel, now)
		if gone {
			r.cfg.Logger.Info("service forgotten", "service", rel.service, "version", rel.version.String())
			r.cfg.Telemetry.Forget(rel.service, rel.version.String())
		}
		return gone
	})
	a := &admission{Registry: r, now: now}
	a.run()
	a.extend()
	for _, rel := range r.releases {
		r.overlay(rel)
	}
	r.judge(now)
	r.current.Store(build(r.current.Load(), r.releases, r.ladder, r))
	r.report()
	for _, in := range r.replaced { // from now on nobody begins a call on them
		in.Session.Drain(spec.CodeNoError, "superseded by a newer session of the same instance")
	}
	r.replaced = nil
	if r.cfg.Changed != nil {
		r.cfg.Changed()
	}
}
