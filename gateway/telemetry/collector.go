package telemetry

import (
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// collector shows what is counted outside the library's own counters.
type collector struct{ *Telemetry }

var descs = func() map[*Metric]*prometheus.Desc {
	m := make(map[*Metric]*prometheus.Desc, len(metrics))
	for _, metric := range metrics {
		m[metric] = metric.desc()
	}
	return m
}()

// ownCollectors are the metrics that collect themselves.
var ownCollectors = []*Metric{metricRefused, metricRejected, metricReloads, metricConfigRefused, metricConfigSince}

// Describe implements [prometheus.Collector].
func (c collector) Describe(ch chan<- *prometheus.Desc) {
	for _, m := range metrics {
		if !slices.Contains(ownCollectors, m) {
			ch <- descs[m]
		}
	}
}

// Collect implements [prometheus.Collector].
func (c collector) Collect(ch chan<- prometheus.Metric) {
	c.mu.Lock()
	all := []*Endpoint{c.unmatched}
	for _, endpoints := range c.releases {
		for _, e := range endpoints {
			all = append(all, e)
		}
	}
	c.mu.Unlock()
	for _, e := range all {
		c.endpointTo(ch, e)
	}
	c.legacyTo(ch)
	c.sessionsTo(ch)
	c.droppedTo(ch)
	c.limitsTo(ch)
	c.callsTo(ch)
	c.issuersTo(ch)
	c.authorityTo(ch)
}

// issuersTo leaves out the age of keys that were never had.
func (c collector) issuersTo(ch chan<- prometheus.Metric) {
	if c.cfg.Issuers == nil {
		return
	}
	for _, i := range c.cfg.Issuers() {
		closed := 0.0
		if i.Closed {
			closed = 1
		}
		ch <- constant(metricKeysClosed, closed, i.Name)
		if i.Fetched {
			ch <- constant(metricKeysAge, i.Age.Seconds(), i.Name)
		}
	}
}

// endpointTo leaves out what has never been asked for.
func (c collector) endpointTo(ch chan<- prometheus.Metric, e *Endpoint) {
	inFlight := e.inFlight.Load()
	asked := inFlight != 0
	for i := range e.by {
		l := e.by[i].Load()
		if l == nil {
			continue
		}
		labels := append(e.labels[:len(e.labels):len(e.labels)], c.cfg.Outcomes[i].Name)
		asked = true
		c.latenciesTo(ch, metricRequests, metricDuration, l, labels...)
	}
	if !asked {
		return
	}
	ch <- constant(metricInFlight, float64(inFlight), e.labels[:]...)
	ch <- constant(metricReceived, float64(e.received.Load()), e.labels[:]...)
	ch <- constant(metricSent, float64(e.sent.Load()), e.labels[:]...)
	ch <- constant(metricRetried, float64(e.retried.Load()), e.labels[:]...)
	ch <- constant(metricDenied, float64(e.denied.Load()), e.labels[:]...)
}

// latenciesTo shows how many requests there were, and how long they took.
func (c collector) latenciesTo(ch chan<- prometheus.Metric, counter, histogram *Metric, l *latencies, labels ...string) {
	buckets, count := make(map[float64]uint64, len(l.bounds)), uint64(0)
	for i := range l.buckets {
		count += l.buckets[i].Load()
		if i < len(l.bounds) {
			buckets[l.bounds[i].Seconds()] = count
		}
	}
	ch <- constant(counter, float64(count), labels...)
	m, err := prometheus.NewConstHistogram(descs[histogram], count, time.Duration(l.nanoseconds.Load()).Seconds(), buckets, labels...)
	ch <- checked(histogram, m, err)
}

func (c collector) sessionsTo(ch chan<- prometheus.Metric) {
	if c.cfg.Sessions == nil {
		return
	}
	type group struct {
		release
		state State
	}
	now := time.Now()
	counts, ages := map[group]int{}, map[release]time.Duration{}
	for _, s := range c.cfg.Sessions() {
		r := release{s.Service, s.Version}
		counts[group{r, s.State}]++
		ages[r] = max(ages[r], now.Sub(s.Beat))
	}
	if c.cfg.Expected != nil {
		for service, n := range c.cfg.Expected() {
			ch <- constant(metricExpected, float64(n), service)
		}
	}
	for g, n := range counts {
		ch <- constant(metricSessions, float64(n), g.service, g.version, string(g.state))
	}
	for r, age := range ages {
		ch <- constant(metricBeat, age.Seconds(), r.service, r.version)
	}
}

func (c collector) droppedTo(ch chan<- prometheus.Metric) {
	if c.cfg.Dropped == nil {
		return
	}
	for scheme, drops := range c.cfg.Dropped() {
		for why, n := range drops {
			ch <- constant(metricDropped, float64(n), scheme, string(why))
		}
	}
}

// constant is a metric with a value of this moment.
func constant(m *Metric, value float64, labels ...string) prometheus.Metric {
	kind := prometheus.GaugeValue
	if m.Kind == Counter {
		kind = prometheus.CounterValue
	}
	c, err := prometheus.NewConstMetric(descs[m], kind, value, labels...)
	return checked(m, c, err)
}

// checked makes an error one of the scrape's.
func checked(m *Metric, c prometheus.Metric, err error) prometheus.Metric {
	if err != nil {
		return prometheus.NewInvalidMetric(descs[m], err)
	}
	return c
}
