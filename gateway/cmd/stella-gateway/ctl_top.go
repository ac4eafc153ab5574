package main

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"io"
	"maps"
	"math"
	"net/http"
	"os"
	"slices"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/stella-ops/router/gateway/edge"
)

type ctlTopCmd struct {
	Interval time.Duration `default:"2s" help:"Between two looks (${default}): what is shown is what was between."`

	Rows int `default:"20" help:"How many endpoints (${default})."`

	Count int `help:"End after so many looks (0: never)." placeholder:"N"`
}

// leastInterval keeps top from asking for nothing else.
const leastInterval = 100 * time.Millisecond

// Run looks at the gateway's metrics again and again.
func (t *ctlTopCmd) Run(s streams, c *cli) error {
	if t.Interval < leastInterval || t.Rows < 1 || t.Count < 0 {
		return usagef("expected an --interval of %s or more, --rows of 1 or more and no negative --count", leastInterval)
	}
	ctx, cancel := s.interruptible()
	defer cancel()
	before, at, err := c.Ctl.traffic()
	for n := 0; err == nil && (t.Count == 0 || n < t.Count); n++ {
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(t.Interval):
		}
		var now map[called]*traffic
		var then time.Time
		if now, then, err = c.Ctl.traffic(); err == nil {
			err = t.show(s, c, before, now, then.Sub(at))
		}
		before, at = now, then
	}
	return err
}

// interruptible is a context that ends with a signal. Cancel has to be called.
func (s streams) interruptible() (ctx context.Context, cancel func()) {
	ctx, cancel = context.WithCancel(context.Background())
	go func() {
		select {
		case <-s.signals:
			cancel()
		case <-ctx.Done():
		}
	}()
	return ctx, cancel
}

// called is an endpoint in one version of its service.
type called struct{ service, version, method, endpoint string }

// traffic is what a gateway has counted of an endpoint.
type traffic struct {
	requests, failed, inFlight float64
	below                      map[float64]float64 // requests that took at most so many seconds
}

// traffic asks for what has been counted so far.
func (c *ctlCmd) traffic() (map[called]*traffic, time.Time, error) {
	text, err := c.ask(http.MethodGet, "/metrics", nil)
	at := time.Now()
	if err != nil {
		return nil, at, err
	}
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(bytes.NewReader(text))
	if err != nil {
		return nil, at, fmt.Errorf("the gateway's metrics are not what this version expects: %w", err)
	}
	all := map[called]*traffic{}
	each := func(family string, take func(t *traffic, m *dto.Metric, outcome string)) {
		for _, m := range families[family].GetMetric() {
			labels := map[string]string{}
			for _, l := range m.GetLabel() {
				labels[l.GetName()] = l.GetValue()
			}
			key := called{labels["service"], labels["version"], labels["method"], labels["endpoint"]}
			if all[key] == nil {
				all[key] = &traffic{below: map[float64]float64{}}
			}
			take(all[key], m, labels["outcome"])
		}
	}
	each("stella_gateway_request_duration_seconds", func(t *traffic, m *dto.Metric, outcome string) {
		n := float64(m.GetHistogram().GetSampleCount())
		t.requests += n
		if failures[outcome] {
			t.failed += n
		}
		for _, b := range m.GetHistogram().GetBucket() {
			t.below[b.GetUpperBound()] += float64(b.GetCumulativeCount())
		}
	})
	each("stella_gateway_requests_in_flight", func(t *traffic, m *dto.Metric, _ string) { t.inFlight += m.GetGauge().GetValue() })
	return all, at, nil
}

// failures are the outcomes that are the service's or the gateway's fault.
var failures = func() map[string]bool {
	m := map[string]bool{"server_error": true, "broken_off": true}
	for _, k := range edge.Problems() {
		m[k.Code] = k.Status >= http.StatusInternalServerError
	}
	return m
}()

// show shows what came between two looks, most requests first.
func (t *ctlTopCmd) show(s streams, c *cli, before, now map[called]*traffic, between time.Duration) error {
	type row struct {
		Service       string  `json:"service"`
		Version       string  `json:"version"`
		Method        string  `json:"method"`
		Endpoint      string  `json:"endpoint"`
		PerSecond     float64 `json:"perSecond"`
		FailedPercent float64 `json:"failedPercent"`
		P50           float64 `json:"p50Seconds"`
		P99           float64 `json:"p99Seconds"`
		InFlight      float64 `json:"inFlight"`
	}
	rows := []row{}
	for key, is := range now {
		was := before[key]
		if was == nil || was.requests > is.requests { // it is new, or the gateway is
			was = &traffic{}
		}
		n := is.requests - was.requests
		if n == 0 && is.inFlight == 0 {
			continue
		}
		r := row{Service: key.service, Version: key.version, Method: key.method, Endpoint: key.endpoint, InFlight: is.inFlight}
		if n > 0 {
			r.PerSecond, r.FailedPercent = n/between.Seconds(), 100*(is.failed-was.failed)/n //nolint:mnd // percent
			r.P50, r.P99 = is.quantile(was, 0.5), is.quantile(was, 0.99)                     //nolint:mnd // as their names say
		}
		rows = append(rows, r)
	}
	slices.SortFunc(rows, func(a, b row) int {
		return cmp.Or(cmp.Compare(b.PerSecond, a.PerSecond), cmp.Compare(a.Endpoint, b.Endpoint), cmp.Compare(a.Version, b.Version))
	})
	rows = rows[:min(len(rows), t.Rows)]
	if c.Ctl.Format == formatJSON {
		return writeJSON(s, rows)
	}
	if isTerminal(s.out) {
		if err := s.printf("\x1b[H\x1b[2J"); err != nil { // to the upper left corner, and clear
			return err
		}
	}
	took := func(seconds float64) string {
		return time.Duration(seconds * float64(time.Second)).Round(10 * time.Microsecond).String() //nolint:mnd // for people
	}
	return c.Ctl.table(s, nil, "SERVICE\tVERSION\tENDPOINT\tPER SECOND\tFAILED\tP50\tP99\tIN FLIGHT", func(line func(...any)) {
		for _, r := range rows {
			service, endpoint := r.Service, r.Method+" "+r.Endpoint
			if service == "" {
				service, endpoint = "-", "(none)"
			}
			line(service, r.Version, endpoint, fmt.Sprintf("%.1f", r.PerSecond), fmt.Sprintf("%.1f %%", r.FailedPercent), took(r.P50), took(r.P99), r.InFlight)
		}
	})
}

// quantile is how many seconds a part of the requests since an earlier look took at most, evenly spread within the buckets;
// of those over all bounds, the highest bound.
func (t *traffic) quantile(before *traffic, part float64) float64 {
	wanted := part * (t.requests - before.requests)
	bound, count := 0.0, 0.0
	for _, upper := range slices.Sorted(maps.Keys(t.below)) {
		n := t.below[upper] - before.below[upper]
		if n >= wanted && n > count {
			if math.IsInf(upper, 1) {
				return bound
			}
			return bound + (upper-bound)*(wanted-count)/(n-count)
		}
		bound, count = upper, n
	}
	return bound
}

// isTerminal reports whether somebody looks on.
func isTerminal(w io.Writer) bool {
	file, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := file.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}
