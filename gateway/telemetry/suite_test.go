package telemetry_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/stella-ops/router/gateway/telemetry"
	"github.com/stella-ops/router/transports"
)

func TestTelemetry(t *testing.T) {
	RegisterFailHandler(Fail)
	RunSpecs(t, "Telemetry")
}

// The outcomes of these specs.
const (
	ok telemetry.Outcome = iota
	failed
)

// limits are what the limits of these specs have decided.
var limits = telemetry.Limits{
	Rules: []telemetry.RuleCount{{Rule: "invoices", Source: "valkey", Allowed: 7, Refused: 2}}, Keys: 5, Forgotten: 1,
	Breaker: telemetry.BreakerOpen, Failures: 6, Checks: &telemetry.Times{Count: 9, Sum: 18 * time.Millisecond, Buckets: map[float64]uint64{0.001: 4, 0.05: 8}},
	Concurrency: 64, InFlight: 3, Shed: map[string]uint64{"background": 4, "normal": 0}, Connections: 11,
	Refused: map[telemetry.Crowd]uint64{telemetry.CrowdTotal: 0, telemetry.CrowdAddress: 2},
}

// authority is the one of these specs.
var authority = telemetry.Authority{Up: true, Reached: true, Age: 90 * time.Second, Rules: 3}

func start(sessions ...telemetry.Session) *telemetry.Telemetry {
	GinkgoHelper()
	t, err := telemetry.New(telemetry.Config{
		Outcomes: []telemetry.Value{ok: {Name: "ok"}, failed: {Name: "failed"}},
		Sessions: func() []telemetry.Session { return sessions },
		Dropped: func() map[string]map[transports.Drop]uint64 {
			return map[string]map[transports.Drop]uint64{"udp": {transports.DropMalformed: 3, transports.DropFull: 0}}
		},
		Calls: func() telemetry.Calls {
			return telemetry.Calls{
				Cancelled: map[string]uint64{"CLIENT_GONE": 3}, GivenUp: map[string]uint64{"INTERNAL": 1}, Stalls: 5, Opened: 7, Renewed: 2,
			}
		},
		Expected: func() map[string]int { return map[string]int{"billing": 2} },
		Issuers: func() []telemetry.Issuer {
			return []telemetry.Issuer{{Name: "https://a", Fetched: true, Age: time.Minute}, {Name: "https://b", Closed: true}}
		},
		Limits:    func() telemetry.Limits { return limits },
		Authority: func() *telemetry.Authority { return &authority },
	})
	Expect(err).NotTo(HaveOccurred())
	return t
}

// values are the samples of a metric, by their labels: a histogram's count and, as name_sum, its sum.
func values(t *telemetry.Telemetry, metric string) map[string]float64 {
	GinkgoHelper()
	families, err := t.Gatherer().Gather()
	Expect(err).NotTo(HaveOccurred())
	found := map[string]float64{}
	for _, f := range families {
		if f.GetName() != metric {
			continue
		}
		for _, m := range f.GetMetric() {
			var b strings.Builder
			for _, l := range m.GetLabel() {
				fmt.Fprintf(&b, "%s=%s ", l.GetName(), l.GetValue())
			}
			labels := b.String()
			switch {
			case m.GetHistogram() != nil:
				found[labels+"count"] = float64(m.GetHistogram().GetSampleCount())
				found[labels+"sum"] = m.GetHistogram().GetSampleSum()
				for _, b := range m.GetHistogram().GetBucket() {
					found[fmt.Sprintf("%sle=%v", labels, b.GetUpperBound())] = float64(b.GetCumulativeCount())
				}
			case m.GetCounter() != nil:
				found[labels] = m.GetCounter().GetValue()
			default:
				found[labels] = m.GetGauge().GetValue()
			}
		}
	}
	return found
}
