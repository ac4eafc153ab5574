// Package telemetry counts what a gateway does, for operators: requests, their latency and bodies, sessions, and who was
// turned away. It serves the counts in the forms that Prometheus reads.
//
// The registry is its own: nothing that another package registers by the way shows up, but the Go runtime's and the
// process's numbers do. Labels come from manifests and from fixed sets, never from a request: who sends requests cannot
// make series. A version that routing has forgotten takes its series along.
//
// On the way of a request nothing is looked up: routing resolves an [Endpoint] when a version of a service becomes
// known, and its counters are atomics. Start reading at [Telemetry], and at [Metrics] for what there is.
package telemetry

import (
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/stella-ops/router/transports"
)

// Config is what a [Telemetry] needs.
type Config struct {
	// Outcomes are what can become of a request, in the order of the [Outcome] that [Endpoint.End] takes.
	Outcomes []Value
	// Sessions lists the sessions there are now. It is called for every scrape, concurrently. Nil: none are shown.
	Sessions func() []Session
	// Dropped is how many datagrams were thrown away so far, by the scheme of the transport. It is called for every scrape,
	// concurrently. Nil: none are shown.
	Dropped func() map[string]map[transports.Drop]uint64
	// Calls is what sessions have seen so far. It is called for every scrape, concurrently. Nil: nothing is shown.
	Calls func() Calls
	// Expected are the instances that services should have, by name. It is called for every scrape, concurrently. Nil: nobody
	// expects any.
	Expected func() map[string]int
	// Issuers are those whose tokens are taken. It is called for every scrape, concurrently. Nil: there are none.
	Issuers func() []Issuer
	// Limits is what the limits have decided so far. It is called for every scrape, concurrently. Nil: nothing is shown.
	Limits func() Limits
	// Authority is what is known of who says from outside who may call what; nil: there is nobody. It is called for every scrape,
	// concurrently. A nil function: nothing is shown.
	Authority func() *Authority
}

// Outcome is what became of a request: an index into [Config.Outcomes].
type Outcome uint8

// Value is a value that a label may have.
type Value struct {
	Name    string
	Meaning string
}

// Session is one session with a service, as it is now.
type Session struct {
	Service, Version string
	State            State
	Beat             time.Time // when HEARTBEAT came last
}

// Issuer is one whose tokens are taken.
type Issuer struct {
	Name    string // as the configuration has it
	Fetched bool   // its keys have been had
	Age     time.Duration
	Closed  bool // no token of it is taken
}

// Telemetry holds a gateway's counters. Its methods may be called concurrently; those of a nil one count nothing.
type Telemetry struct {
	cfg       Config
	registry  *prometheus.Registry
	refused   *prometheus.CounterVec
	rejected  *prometheus.CounterVec
	unmatched *Endpoint

	reloads       *prometheus.CounterVec
	configRefused prometheus.Gauge
	configSince   prometheus.Gauge

	mu       sync.Mutex
	releases map[release]map[endpoint]*Endpoint
	legacy   map[string]*LegacyRoute // by name
}

// release names a version of a service, and endpoint one of its endpoints.
type (
	release  struct{ service, version string }
	endpoint struct {
		method, path string
		within       time.Duration
	}
)

// New returns a Telemetry that has counted nothing.
func New(cfg Config) (*Telemetry, error) {
	t := &Telemetry{
		cfg:      cfg,
		registry: prometheus.NewRegistry(),
		refused:  metricRefused.counters(), rejected: metricRejected.counters(),
		releases: map[release]map[endpoint]*Endpoint{},
		reloads:  metricReloads.counters(), configRefused: metricConfigRefused.gauge(), configSince: metricConfigSince.gauge(),
	}
	t.configSince.SetToCurrentTime()
	for _, v := range Reloads() {
		t.reloads.WithLabelValues(v.Name)
	}
	t.unmatched = t.endpoint(release{}, endpoint{})
	for _, v := range Refusals() {
		t.refused.WithLabelValues(v.Name)
	}
	for _, v := range Rejections() {
		t.rejected.WithLabelValues(v.Name)
	}
	for _, c := range []prometheus.Collector{
		collector{t}, t.refused, t.rejected, t.reloads, t.configRefused, t.configSince,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	} {
		if err := t.registry.Register(c); err != nil {
			return nil, fmt.Errorf("telemetry: %w", err)
		}
	}
	return t, nil
}

// Handler serves the counters to Prometheus.
func (t *Telemetry) Handler() http.Handler {
	return promhttp.HandlerFor(t.registry, promhttp.HandlerOpts{})
}

// Gatherer gives the counters to programs.
func (t *Telemetry) Gatherer() prometheus.Gatherer { return t.registry }

// Unmatched counts the requests that lead to no endpoint. Its labels are empty.
func (t *Telemetry) Unmatched() *Endpoint {
	if t == nil {
		return nil
	}
	return t.unmatched
}

// Key names an endpoint of a version of a service.
type Key struct {
	Method string
	Path   string // the pattern, as the manifest has it
	// Within is how long a request may take and still count for the endpoint's objective; 0: any time. A bucket of the
	// latency histogram ends there.
	Within time.Duration
}

// Offer returns the counters of everything that a version of a service offers, in the order of keys. Endpoints that
// the version offered before keep their counters, and those that it does not offer any more lose them: also those whose
// Within is another, since counts do not tell on which side of it a request was.
func (t *Telemetry) Offer(service, version string, keys []Key) []*Endpoint {
	found := make([]*Endpoint, len(keys))
	if t == nil {
		return found
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	name := release{service, version}
	old, now := t.releases[name], make(map[endpoint]*Endpoint, len(keys))
	for i, k := range keys {
		key := endpoint{k.Method, k.Path, k.Within}
		e := old[key]
		if e == nil {
			e = t.endpoint(name, key)
		}
		found[i], now[key] = e, e
	}
	t.releases[name] = now
	return found
}

// Forget drops the counters of a version of a service. Requests that are still on their way are not counted.
func (t *Telemetry) Forget(service, version string) {
	if t == nil {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.releases, release{service, version})
}

// Refuse counts a service that was refused its registration.
func (t *Telemetry) Refuse(why Refusal) { t.refused.WithLabelValues(string(why)).Inc() }

// Reload counts that the configuration was read anew; err says why it was refused.
func (t *Telemetry) Reload(err error) {
	if err != nil {
		t.reloads.WithLabelValues(reloadRefused).Inc()
		t.configRefused.Set(1)
		return
	}
	t.reloads.WithLabelValues(reloadApplied).Inc()
	t.configRefused.Set(0)
	t.configSince.SetToCurrentTime()
}

// Reject counts a connection that did not become a session, and said no HELLO.
func (t *Telemetry) Reject(why Rejection) { t.rejected.WithLabelValues(string(why)).Inc() }
