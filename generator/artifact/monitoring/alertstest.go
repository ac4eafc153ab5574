package monitoring

import (
	"fmt"
	"math/big"
	"slices"

	"github.com/stella-ops/router/spec"
)

// testCase is one unit test: requests of one endpoint over 6 hours, and the alerts that fire at their end.
type testCase struct {
	Name   string
	At     objective
	Series []testSeries
	Fires  []burn
	Value  string // of the alerts: the share that failed
}

// testSeries are the requests with one outcome, in the notation of promtool; with an edge, those of them that took no
// longer than it.
type testSeries struct{ Outcome, Values, Edge string }

// AlertsTest writes unit tests of what [Alerts] writes, for promtool test rules: a stream of errors fires, one error among
// few requests does not, and neither do faults of clients. They are about the first endpoint that has an objective. If one
// has a time, answers that come too late fire, and others do not.
func AlertsTest(m *spec.Manifest) ([]byte, error) {
	p, err := newPage(m)
	if err != nil {
		return nil, err
	}
	if len(p.Objectives) > 0 {
		p.Cases = testCases(p.Objectives[0])
	}
	if i := slices.IndexFunc(p.Objectives, func(o objective) bool { return o.Edges() != nil }); i >= 0 {
		p.Cases = append(p.Cases, lateCases(p.Objectives[i])...)
	}
	return p.render("alerts_test.yaml.tmpl")
}

// steady are 50 requests a minute.
const steady = "0+50x360"

func testCases(o objective) []testCase {
	failing := testCase{
		Name: "errors in every twentieth request spend the budget", At: o, Value: "5%",
		Series: []testSeries{{Outcome: "ok", Values: "0+95x360"}, {Outcome: "timeout", Values: "0+5x360"}},
		Fires:  o.fires(big.NewRat(1, 20)),
	}
	if !o.reaches(burns[0], big.NewRat(1, 20)) {
		failing = testCase{
			Name: "requests that all fail spend the budget", At: o, Value: "100%",
			Series: []testSeries{{Outcome: "no_instance", Values: steady}, {Outcome: "service_lost", Values: steady}},
			Fires:  o.fires(big.NewRat(1, 1)),
		}
	}
	return []testCase{
		failing,
		{
			Name: "one error among few requests fires nothing", At: o,
			Series: []testSeries{{Outcome: "ok", Values: "0+1x360"}, {Outcome: "server_error", Values: "0x355 1x5"}},
		},
		{
			Name: "faults of clients fire nothing", At: o,
			Series: []testSeries{
				{Outcome: "ok", Values: steady}, {Outcome: "client_error", Values: steady},
				{Outcome: "unauthenticated", Values: steady}, {Outcome: "client_gone", Values: steady},
			},
		},
	}
}

// lateCases are about good answers alone: all of them late, and all within a bucket that ends where the objective does.
func lateCases(o objective) []testCase {
	of := func(late string) []testSeries {
		return []testSeries{
			{Outcome: "ok", Values: steady}, {Outcome: "ok", Values: late, Edge: o.Edges()[0]}, {Outcome: "ok", Values: steady, Edge: "+Inf"},
		}
	}
	return []testCase{
		{
			Name: "answers that come too late spend the budget", At: o, Value: "100%",
			Series: of("0x360"), Fires: o.fires(big.NewRat(1, 1)),
		},
		{Name: "answers that come in time fire nothing", At: o, Series: of(steady)},
	}
}

// fires are the alerts that a share of errors sets off.
func (o objective) fires(errors *big.Rat) []burn {
	return slices.DeleteFunc(slices.Clone(burns), func(b burn) bool { return !o.reaches(b, errors) })
}

// Input is the name of a series of requests.
func (c testCase) Input(service string, s testSeries) string {
	metric, edge := metricRequests, ""
	if s.Edge != "" {
		metric, edge = metricDuration+"_bucket", ", le="+quote(s.Edge)
	}
	return fmt.Sprintf("%s{service=%s, version=%s, method=%s, endpoint=%s, outcome=%s%s}", metric,
		quote(service), quote("1.0.0"), quote(c.At.Method), quote(c.At.Path), quote(s.Outcome), edge)
}
