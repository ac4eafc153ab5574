// Package prometheus makes recording rules and alerts of a manifest: how fast the error budgets of its endpoints burn, by
// what the gateway counts. The number of rules is the same for every service, but for one objective an endpoint.
package prometheus

import (
	"bytes"
	"fmt"
	"math/big"
	"strconv"
	"strings"
	"text/template"

	"github.com/stella-ops/router/spec"
	"github.com/stella-ops/router/templates"
)

// Failed are the outcomes of requests that count as failed: the gateway, or the service, had no good answer. They are
// those of docs/reference/metrics.md; what callers get wrong is not among them.
var Failed = []string{
	"server_error", "broken_off", "no_instance", "overloaded", "refused", "transport_unfit", "queue_unavailable", "timeout",
	"service_lost", "service_failed", "bad_answer", "response_too_large",
}

// leastRequests is how many requests an endpoint has within an hour before its alerts mean something.
const leastRequests = 20

// burn is one pair of windows. The factors are those at which a share of a budget of 30 days is spent within the long
// window: 2 % within an hour, 5 % within 6, 10 % within a day and within 3 (Google's SRE workbook, chapter 5).
type burn struct {
	Alert, Severity, Long, Short, Factor, For string
}

var burns = []burn{
	{"StellaErrorBudgetBurnsFast", "page", "1h", "5m", "14.4", "2m"},
	{"StellaErrorBudgetBurns", "page", "6h", "30m", "6", "15m"},
	{"StellaErrorBudgetBurnsSlowly", "ticket", "1d", "2h", "3", "1h"},
	{"StellaErrorBudgetDrains", "ticket", "3d", "6h", "1", "3h"},
}

// objective is what an endpoint promises.
type objective struct {
	Method, Path string // quoted
	Series       string // both, as a selector within a quoted YAML text
	Ratio        string // decimal, below 1
	method, path string
	budget       *big.Rat
}

// sample is a test of the first objective that a page can be raised for.
type sample struct {
	objective

	Alert, Summary, Description string
	Good, Bad                   int // requests a minute
}

// data is what the templates read.
type data struct {
	Service, ServiceText, Version, Group string
	Failed, FailedMatch                  string
	Least                                int
	Windows                              []string
	Objectives                           []objective
	Burns                                []burn
	Sample                               *sample
}

// Rules are the rules of a service.
func Rules(m *spec.Manifest) ([]byte, error) { return render("alerts.yaml.tmpl", m) }

// Tests are unit tests of the rules, for promtool.
func Tests(m *spec.Manifest) ([]byte, error) { return render("alerts_test.yaml.tmpl", m) }

func render(name string, m *spec.Manifest) ([]byte, error) {
	t, err := template.ParseFS(templates.FS, "prometheus/"+name)
	if err != nil {
		return nil, fmt.Errorf("prometheus: %w", err)
	}
	d := &data{
		Service: m.Service, ServiceText: quoted(m.Service), Version: quoted(m.Version), Group: quoted("stella-" + m.Service),
		Failed: strings.Join(Failed, ", "), FailedMatch: strings.Join(Failed, "|"), Least: leastRequests,
		Windows: []string{"5m", "30m", "1h", "2h", "6h", "1d", "3d"}, Burns: burns,
	}
	for i := range m.Endpoints {
		if o, ok := objectiveOf(&m.Endpoints[i]); ok {
			d.Objectives = append(d.Objectives, o)
		}
	}
	d.Sample = sampleOf(d)
	var out bytes.Buffer
	if err := t.Execute(&out, d); err != nil {
		return nil, fmt.Errorf("prometheus: %w", err)
	}
	return out.Bytes(), nil
}

// quoted is a text as both YAML and PromQL read it: JSON's form, of which services, methods and paths need nothing more.
func quoted(s string) string { return strconv.Quote(s) }

// hundred percent.
const hundred = 100

func objectiveOf(e *spec.Endpoint) (objective, bool) {
	percent, ok := new(big.Rat).SetString(e.SLO)
	if e.SLO == "" || !ok {
		return objective{}, false
	}
	ratio := percent.Quo(percent, big.NewRat(hundred, 1))
	text := strings.TrimRight(strings.TrimRight(ratio.FloatString(12), "0"), ".") //nolint:mnd // more digits than a budget has
	series := strings.ReplaceAll("method="+quoted(e.Method)+", endpoint="+quoted(e.Path), "'", "''")
	return objective{
		Method: quoted(e.Method), Path: quoted(e.Path), Series: series, Ratio: text, method: e.Method, path: e.Path,
		budget: new(big.Rat).Sub(big.NewRat(1, 1), ratio),
	}, true
}

// sampleOf is of 600 requests a minute, of which so many fail that the fast alert has to fire; nil if none can.
func sampleOf(d *data) *sample {
	const (
		requests = 600
		worse    = 18 // times the budget: more than the fast alert's 14.4
	)
	for _, o := range d.Objectives {
		bad := new(big.Rat).Mul(o.budget, big.NewRat(worse*requests, 1))
		n, _ := bad.Float64()
		if n < 1 || n > requests {
			continue
		}
		fast := d.Burns[0]
		return &sample{
			objective: o, Alert: fast.Alert, Good: requests - int(n), Bad: int(n),
			Summary: quoted(fmt.Sprintf("%s %s of %s fails too often", o.method, o.path, d.Service)),
			Description: quoted(fmt.Sprintf("Over %s and over %s its error budget burns at %s times the rate that would last for 30 days.",
				fast.Long, fast.Short, fast.Factor)),
		}
	}
	return nil
}
