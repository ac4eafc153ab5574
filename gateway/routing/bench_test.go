package routing_test

import (
	"fmt"
	"log/slog"
	"strconv"
	"testing"
	"time"

	"github.com/stella-ops/router/gateway/routing"
	"github.com/stella-ops/router/spec"
)

// crowd is a registry of 10,000 endpoints: 20 services of 500 each, in one version, of one instance. The first service has
// more instances, and more versions.
func crowd(b *testing.B, cfg routing.Config, instances int, versions ...string) *routing.Registry {
	b.Helper()
	cfg.Logger = slog.New(slog.DiscardHandler)
	r := routing.NewRegistry(cfg)
	now := time.Now()
	add := func(service, version string, n int, paths []string) {
		manifest := offered(b, service, version, paths...)
		for i := range n {
			g := open(b, spec.Instance{Service: service, Version: version, Region: "eu", ID: fmt.Sprintf("%s-%s-%d", service, version, i)}, 100, manifest)
			offer, err := routing.Prepare(g.Hello(), manifest)
			if err != nil {
				b.Fatal(err)
			}
			r.Add(g, offer, now.Add(-time.Minute))
		}
	}
	for s := range 20 {
		service := fmt.Sprintf("service-%d", s)
		paths := make([]string, 500)
		for i := range paths {
			paths[i] = fmt.Sprintf("/%s/things-%d/{id}/parts-%d", service, i/10, i%10)
			if i%10 == 0 {
				paths[i] = fmt.Sprintf("/%s/things-%d/{id}", service, i/10)
			}
		}
		if s > 0 {
			add(service, "1.0.0", 1, paths)
			continue
		}
		for _, version := range append([]string{"1.0.0"}, versions...) {
			add(service, version, instances, paths)
		}
	}
	if n := len(r.Endpoints()); n != 10_000+500*len(versions) {
		b.Fatalf("%d endpoints", n)
	}
	return r
}

// BenchmarkMatch finds one of 10,000 endpoints by method and path.
func BenchmarkMatch(b *testing.B) {
	s := crowd(b, routing.Config{}, 1).Snapshot()
	params := make([]string, 0, 4)
	b.ReportAllocs()
	for b.Loop() {
		if m := s.Match("GET", "/service-7/things-23/4711/parts-5", params); m.Endpoint == nil {
			b.Fatal("nothing found")
		}
	}
}

// BenchmarkRoute is all that routing does for a request: match, version, instance, and what came of the call.
func BenchmarkRoute(b *testing.B) {
	weights := routing.Policy{Version: routing.VersionPolicy{Weights: map[string]int{"1.0.0": 90, "1.1.0": 10}, Sticky: "subject"}}
	r := crowd(b, routing.Config{}, 10, "1.1.0")
	for _, bench := range []struct {
		name   string
		policy routing.Policy
		key    string
	}{
		{"capacity", routing.Policy{}, ""},
		{"weights", weights, ""},
		{"sticky", weights, "somebody@example.org"},
		{"ping", routing.Policy{Balancer: routing.BalancerPing}, ""},
		{"round-robin", routing.Policy{Balancer: routing.BalancerRoundRobin}, ""},
	} {
		b.Run(bench.name, func(b *testing.B) {
			if err := r.Configure(routing.Config{Services: map[string]routing.Policy{"service-0": bench.policy}}, time.Now()); err != nil {
				b.Fatal(err)
			}
			s := r.Snapshot()
			b.ReportAllocs()
			b.ResetTimer()
			b.RunParallel(func(pb *testing.PB) {
				params := make([]string, 0, 4)
				for pb.Next() {
					now := time.Now()
					rel := s.Match("GET", "/service-0/things-23/4711/parts-5", params).Endpoint.Default(bench.key).Release
					in := rel.Pick(now, nil)
					rel.Observe(in, routing.Answered, time.Millisecond, now)
				}
			})
		})
	}
}

// BenchmarkPick picks one of 3, and of 1,000 instances.
func BenchmarkPick(b *testing.B) {
	for _, n := range []int{3, 1000} {
		b.Run(strconv.Itoa(n), func(b *testing.B) {
			rel := crowd(b, routing.Config{}, n).Snapshot().Match("GET", "/service-0/things-1/1", nil).Endpoint.Default("").Release
			now := time.Now()
			b.ReportAllocs()
			for b.Loop() {
				if rel.Pick(now, nil) == nil {
					b.Fatal("nobody is there")
				}
			}
		})
	}
}

// BenchmarkSnapshot makes the snapshot of 10,000 endpoints: whole, after a change of policies, and after one of a service's
// 10 instances has come or gone.
func BenchmarkSnapshot(b *testing.B) {
	cfg := routing.Config{Logger: slog.New(slog.DiscardHandler)}
	r, now := crowd(b, cfg, 9), time.Now()
	b.Run("whole", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			r.Whole()
		}
	})
	b.Run("policies", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if err := r.Configure(cfg, now); err != nil {
				b.Fatal(err)
			}
		}
	})
	paths := []string{}
	for _, e := range r.Endpoints() {
		if e.Service == "service-0" {
			paths = append(paths, e.Path)
		}
	}
	manifest := offered(b, "service-0", "1.0.0", paths...)
	g := open(b, spec.Instance{Service: "service-0", Version: "1.0.0", Region: "eu", ID: "another"}, 100, manifest)
	offer, err := routing.Prepare(g.Hello(), manifest)
	if err != nil {
		b.Fatal(err)
	}
	b.Run("instance", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			r.Remove(r.Add(g, offer, now), now) // two snapshots
		}
	})
	if n := len(r.Services()); n != 20 {
		b.Fatalf("%d services", n)
	}
}
