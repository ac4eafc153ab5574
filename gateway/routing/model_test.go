package routing_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strconv"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/stella-ops/router/gateway/routing"
	"github.com/stella-ops/router/spec"
	"github.com/stella-ops/router/transports/inmemory"
	"github.com/stella-ops/router/transports/session"
)

// open opens a session that serves nothing, and ends with the test.
func open(tb testing.TB, who spec.Instance, lease int, manifest []byte) *session.Gateway {
	tb.Helper()
	near, far := inmemory.Pipe()
	type end struct {
		s   *session.Service
		err error
	}
	opened := make(chan end, 1)
	go func() {
		s, err := session.Open(context.Background(), far, session.ServiceConfig{
			Hello: spec.Hello{Instance: who, Lease: lease}, Manifest: manifest, Serve: func(in *session.Incoming) { <-in.Context().Done() },
		})
		opened <- end{s, err}
	}()
	g, err := session.Accept(context.Background(), near, session.GatewayConfig{})
	service := <-opened
	if err := errors.Join(err, service.err); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := errors.Join(g.Close(spec.CodeNoError, ""), service.s.Close()); err != nil {
			tb.Error(err)
		}
	})
	return g
}

// offered is the manifest of a version of a service with these GET endpoints.
func offered(tb testing.TB, service, version string, paths ...string) []byte {
	tb.Helper()
	m := &spec.Manifest{Service: service, Version: version}
	for _, path := range paths {
		m.Endpoints = append(m.Endpoints, spec.Endpoint{
			Method: "GET", Path: path, Handler: "Handler", Kind: spec.KindRaw, Status: 200, Stream: spec.StreamNone, Public: "a test",
			Limits: spec.DefaultLimits,
		})
	}
	b, err := m.Encode()
	if err != nil {
		tb.Fatal(err)
	}
	return b
}

// seat is a session that an instance of the model may have.
type seat struct {
	spec.Instance

	session *session.Gateway
	offer   *routing.Offer
}

// modelled is an instance as the model has it.
type modelled struct {
	seat

	in     *routing.Instance
	beat   time.Time
	status spec.Status
	leaves bool
}

// modelWorld is a registry, and what a model makes of the same events.
type modelWorld struct {
	*routing.Registry

	now    time.Time
	seats  []seat
	there  map[string]*modelled // by instance id
	known  map[string]time.Time // versions: when the last instance left
	policy routing.Policy
	near   []string
}

var modelRegions = []string{"eu", "uk", "us", "asia", ""}

func (w *modelWorld) config() routing.Config {
	return routing.Config{
		Region: "eu", Neighbours: w.near, Heartbeat: time.Second, Retain: time.Minute, Logger: slog.New(slog.DiscardHandler),
		Services: map[string]routing.Policy{"a": w.policy},
	}
}

func (m *modelled) health(now time.Time) routing.Health {
	switch silent := now.Sub(m.beat); {
	case m.leaves || m.status == spec.StatusDraining:
		return routing.Draining
	case silent > 3*time.Second:
		return routing.Unhealthy
	case silent > 2*time.Second || m.status == spec.StatusDegraded:
		return routing.Degraded
	}
	return routing.Healthy
}

func (w *modelWorld) rank(region string) int {
	if region == "eu" {
		return 0
	}
	if i := slices.Index(w.near, region); i >= 0 {
		return i + 1
	}
	return len(w.near) + 1
}

// ladder is what may be picked of a version, region by region.
func (w *modelWorld) ladder(version string, ejected map[string]bool) [][]*routing.Instance {
	known, usable := 0, 0
	for _, m := range w.there {
		if h := m.health(w.now); m.Version == version && h != routing.Draining {
			known++
			if h != routing.Unhealthy && !ejected[m.ID] {
				usable++
			}
		}
	}
	panics := usable*100 < known*max(w.policy.PanicPercent, 0)
	var tiers [][]*routing.Instance
	for rank := range len(w.near) + 2 {
		var tier []*routing.Instance
		for _, wanted := range [][]routing.Health{{routing.Healthy}, {routing.Degraded}} {
			if panics {
				wanted = []routing.Health{routing.Healthy, routing.Degraded, routing.Unhealthy}
			}
			for _, m := range w.there {
				if m.Version == version && w.rank(m.Region) == rank && slices.Contains(wanted, m.health(w.now)) && (panics || !ejected[m.ID]) {
					tier = append(tier, m.in)
				}
			}
			if len(tier) > 0 {
				break
			}
		}
		if len(tier) > 0 {
			tiers = append(tiers, tier)
		}
	}
	return tiers
}

// versions are those that requests without one may go to.
func (w *modelWorld) versions(live func(string) bool) []string {
	order := slices.SortedFunc(maps.Keys(w.known), func(a, b string) int {
		v, _ := spec.ParseVersion(a)
		u, _ := spec.ParseVersion(b)
		bit := func(b bool) int {
			if b {
				return 0
			}
			return 1
		}
		return cmp.Or(bit(live(a))-bit(live(b)), bit(v.Stable())-bit(u.Stable()), u.Compare(v))
	})
	p := w.policy.Version
	switch {
	case p.Weights != nil:
		var chosen []string
		for _, version := range order {
			if p.Weights[version] > 0 && live(version) {
				chosen = append(chosen, version)
			}
		}
		if chosen == nil {
			for _, version := range slices.Sorted(maps.Keys(w.known)) {
				if p.Weights[version] > 0 {
					return []string{version}
				}
			}
		}
		return chosen
	case p.Default == routing.Newest:
		return order[:1]
	case p.Default == "" || p.Default == routing.ByCapacity:
		chosen := order[:1]
		first, _ := spec.ParseVersion(order[0])
		for _, version := range order[1:] {
			v, _ := spec.ParseVersion(version)
			if live(order[0]) && live(version) && first.Stable() && v.Stable() && v.Major() == first.Major() {
				chosen = append(chosen, version)
			}
		}
		return chosen
	case slices.Contains(order, p.Default):
		return []string{p.Default}
	}
	return nil
}

// check compares the registry with the model.
func (w *modelWorld) check(t *rapid.T) {
	w.Refresh(w.now)
	for version, gone := range w.known {
		if !gone.IsZero() && w.now.Sub(gone) >= time.Minute {
			delete(w.known, version)
		}
	}
	ejected := map[string]bool{}
	for _, s := range w.Services() {
		for _, in := range s.Instances {
			ejected[in.ID] = in.Ejected != ""
		}
	}
	w.checkCap(t, ejected)
	e := w.Snapshot().Match("GET", "/a", nil).Endpoint
	if len(w.known) == 0 {
		if e != nil {
			t.Fatalf("/a is routed, and nobody is known")
		}
		return
	}
	ladders := map[string][][]*routing.Instance{}
	for version := range w.known {
		ladders[version] = w.ladder(version, ejected)
		w.checkLadder(t, e.Select(version).Release, ladders[version])
	}
	want := w.versions(func(version string) bool { return len(ladders[version]) > 0 })
	for i := range 6 {
		for _, key := range []string{"", strconv.Itoa(i)} {
			r := e.Default(key)
			if r == nil {
				if len(want) > 0 {
					t.Fatalf("no version, expected one of %v", want)
				}
				continue
			}
			if !slices.Contains(want, r.Release.Version) {
				t.Fatalf("version %s, expected one of %v", r.Release.Version, want)
			}
			if w.policy.Version.Weights != nil && key != "" && e.Default(key) != r {
				t.Fatalf("%q goes to another version the second time", key)
			}
		}
	}
}

// checkCap holds how many of a tier are ejected.
func (w *modelWorld) checkCap(t *rapid.T, ejected map[string]bool) {
	type tier struct {
		version string
		rank    int
	}
	all, out := map[tier]int{}, map[tier]int{}
	for _, m := range w.there {
		if h := m.health(w.now); h == routing.Healthy || h == routing.Degraded {
			at := tier{m.Version, w.rank(m.Region)}
			all[at]++
			if ejected[m.ID] {
				out[at]++
			}
		}
	}
	for at, n := range out {
		if n > all[at]/2 {
			t.Fatalf("%d of %d of version %s in region %d are ejected", n, all[at], at.version, at.rank)
		}
	}
}

// checkLadder picks one after the other until nobody is left.
func (w *modelWorld) checkLadder(t *rapid.T, r *routing.Release, want [][]*routing.Instance) {
	if r.Live() != (len(want) > 0) {
		t.Fatalf("version %s is live: %v, expected %v", r.Version, r.Live(), want)
	}
	var tried []*routing.Instance
	for i, tier := range want {
		left := slices.Clone(tier)
		for len(left) > 0 {
			in := r.Pick(w.now, tried)
			at := slices.Index(left, in)
			if at < 0 {
				t.Fatalf("version %s: picked %v of region %d, expected one of %d instances of tier %d", r.Version, in, i, len(left), i)
			}
			left, tried = slices.Delete(left, at, at+1), append(tried, in)
		}
	}
	if in := r.Pick(w.now, tried); in != nil {
		t.Fatalf("version %s: picked %s of region %q when all were tried", r.Version, in.ID(), in.Region())
	}
}

// one draws an instance that is there.
func (w *modelWorld) one(t *rapid.T) *modelled {
	if len(w.there) == 0 {
		t.Skip("nobody is there")
	}
	return w.there[rapid.SampledFrom(slices.Sorted(maps.Keys(w.there))).Draw(t, "instance")]
}

// steps are what may happen.
func (w *modelWorld) steps() map[string]func(*rapid.T) {
	return map[string]func(*rapid.T){
		"": w.check,
		"join": func(t *rapid.T) {
			s := rapid.SampledFrom(w.seats).Draw(t, "seat")
			if w.there[s.ID] != nil {
				t.Skip("it is there")
			}
			w.there[s.ID] = &modelled{seat: s, in: w.Add(s.session, s.offer, w.now), beat: w.now, status: spec.StatusReady}
			w.known[s.Version] = time.Time{}
		},
		"leave": func(t *rapid.T) {
			m := w.one(t)
			w.Remove(m.in, w.now)
			delete(w.there, m.ID)
			for _, other := range w.there {
				if other.Version == m.Version {
					return
				}
			}
			w.known[m.Version] = w.now
		},
		"beat": func(t *rapid.T) {
			m := w.one(t)
			m.status = rapid.SampledFrom([]spec.Status{spec.StatusReady, spec.StatusReady, spec.StatusDegraded, spec.StatusDraining}).Draw(t, "status")
			m.beat = w.now
			w.Beat(m.in, spec.Heartbeat{Status: m.status, Lease: 5}, w.now)
		},
		"beat all": func(*rapid.T) {
			for _, m := range w.there {
				m.beat, m.status = w.now, spec.StatusReady
				w.Beat(m.in, spec.Heartbeat{Status: m.status, Lease: 5}, w.now)
			}
		},
		"drain": func(t *rapid.T) {
			m := w.one(t)
			m.leaves = true
			w.Leave(m.in)
		},
		"pass time": func(t *rapid.T) {
			w.now = w.now.Add(time.Duration(rapid.IntRange(1, 2500).Draw(t, "ms")) * time.Millisecond)
		},
		"pass much time": func(t *rapid.T) {
			w.now = w.now.Add(time.Duration(rapid.IntRange(1, 90).Draw(t, "seconds")) * time.Second)
		},
		"fail": func(t *rapid.T) {
			m := w.one(t)
			e := w.Snapshot().Match("GET", "/a", nil).Endpoint
			for range rapid.IntRange(1, 8).Draw(t, "calls") {
				e.Select(m.Version).Release.Observe(m.in, routing.Failed, time.Millisecond, w.now)
			}
		},
		"succeed": func(t *rapid.T) {
			m := w.one(t)
			w.Snapshot().Match("GET", "/a", nil).Endpoint.Select(m.Version).Release.Observe(m.in, routing.Answered,
				time.Duration(rapid.IntRange(1, 1000).Draw(t, "ms"))*time.Millisecond, w.now)
		},
		"configure": func(t *rapid.T) {
			w.policy = routing.Policy{
				Balancer:     rapid.SampledFrom([]string{"", routing.BalancerPing, routing.BalancerRoundRobin}).Draw(t, "balancer"),
				PanicPercent: rapid.SampledFrom([]int{0, 30, 100}).Draw(t, "panic"),
				SlowStart:    rapid.SampledFrom([]time.Duration{0, routing.Off, time.Hour}).Draw(t, "slow start"),
			}
			v := &w.policy.Version
			switch v.Default = rapid.SampledFrom([]string{"", routing.ByCapacity, routing.Newest, "1.0.0", "1.1.0", "weights"}).Draw(t, "version"); v.Default {
			case "weights":
				v.Default, v.Weights = "", map[string]int{"1.0.0": 1}
				for _, s := range w.seats {
					v.Weights[s.Version] = rapid.IntRange(0, 3).Draw(t, s.Version)
				}
				v.Weights["1.0.0"]++
			default:
			}
			w.near = rapid.SampledFrom([][]string{{"uk", "us"}, {"us", "uk"}, {"asia"}, nil}).Draw(t, "neighbours")
			if err := w.Configure(w.config(), w.now); err != nil {
				t.Fatal(err)
			}
		},
	}
}

// TestRegistryAgreesWithAModel holds, for whatever happens to instances of 4 versions in 5 regions, that the versions and
// instances that requests go to are those of a model of a few lines: region, version, health, weights, panic; that sticky
// requests stay; and that no more are ejected than may be.
func TestRegistryAgreesWithAModel(t *testing.T) {
	var seats []seat
	for _, version := range []string{"0.9.0", "1.0.0", "1.1.0", "2.0.0-rc.1"} {
		manifest := offered(t, "a", version, "/a")
		for _, region := range modelRegions {
			for n := range 3 {
				who := spec.Instance{Service: "a", Version: version, Region: region, ID: fmt.Sprintf("i-%s-%s-%d", version, region, n)}
				g := open(t, who, 5, manifest)
				offer, err := routing.Prepare(g.Hello(), manifest)
				if err != nil {
					t.Fatal(err)
				}
				seats = append(seats, seat{who, g, offer})
			}
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		w := &modelWorld{now: epoch, seats: seats, there: map[string]*modelled{}, known: map[string]time.Time{}, near: []string{"uk", "us"}}
		w.Registry = routing.NewRegistry(w.config())
		t.Repeat(w.steps())
	})
}
