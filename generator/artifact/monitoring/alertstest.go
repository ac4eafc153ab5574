package monitoring

import (
	"fmt"
	"math/big"

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

// testSeries are the requests with one outcome, in the notation of promtool.
type testSeries struct{ Outcome, Values string }

// AlertsTest writes unit tests of what [Alerts] writes, for promtool test rules: a stream of errors fires, one error among
// few requests does not, and neither do faults of clients. They are about the first endpoint that has an objective.
func AlertsTest(m *spec.Manifest) ([]byte, error) {
	p, err := newPage(m)
	if err != nil {
		return nil, err
	}
	if len(p.Objectives) > 0 {
		p.Cases = testCases(p.Objectives[0])
	}
	return p.render("alerts_test.yaml.tmpl")
}

// steady are 50 requests a minute.
const steady = "0+50x360"

func testCases(o objective) []testCase {
	failing := testCase{
		Name: "errors in every twentieth request spend the budget", At: o, Value: "5%",
		Series: []testSeries{{"ok", "0+95x360"}, {"timeout", "0+5x360"}},
	}
	share := big.NewRat(1, 20)
	if !o.reaches(burns[0], share) {
		share = big.NewRat(1, 1)
		failing = testCase{
			Name: "requests that all fail spend the budget", At: o, Value: "100%",
			Series: []testSeries{{"no_instance", steady}, {"service_lost", steady}},
		}
	}
	for _, b := range burns {
		if o.reaches(b, share) {
			failing.Fires = append(failing.Fires, b)
		}
	}
	return []testCase{
		failing,
		{
			Name: "one error among few requests fires nothing", At: o,
			Series: []testSeries{{"ok", "0+1x360"}, {"server_error", "0x355 1x5"}},
		},
		{
			Name: "faults of clients fire nothing", At: o,
			Series: []testSeries{{"ok", steady}, {"client_error", steady}, {"unauthenticated", steady}, {"client_gone", steady}},
		},
	}
}

// Input is the name of a series of requests.
func (c testCase) Input(service string, s testSeries) string {
	return fmt.Sprintf("%s{service=%s, version=%s, method=%s, endpoint=%s, outcome=%s}", metricRequests,
		quote(service), quote("1.0.0"), quote(c.At.Method), quote(c.At.Path), quote(s.Outcome))
}
