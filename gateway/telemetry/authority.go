package telemetry

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Authority is what is known of who says from outside of the gateway who may call what.
type Authority struct {
	Up      bool // it answered when it was last asked
	Reached bool // it has answered at all
	Age     time.Duration
	Rules   int
}

var (
	metricAuthorityUp = &Metric{
		"stella_gateway_authority_up", Gauge, nil,
		"1 if the authority over who may call what answered when it was last asked, else 0: its last word counts then. Only where there is one.",
	}
	metricAuthorityAge = &Metric{
		"stella_gateway_authority_age_seconds", Gauge, nil,
		"How long ago the authority last answered. Nothing is shown before it has.",
	}
	metricAuthorityRules = &Metric{
		"stella_gateway_authority_rules", Gauge, nil,
		"Endpoints of which the authority says who may call them.",
	}
)

// authorityTo shows the authority.
func (c collector) authorityTo(ch chan<- prometheus.Metric) {
	if c.cfg.Authority == nil {
		return
	}
	a := c.cfg.Authority()
	if a == nil {
		return
	}
	up := 0.0
	if a.Up {
		up = 1
	}
	ch <- constant(metricAuthorityUp, up)
	ch <- constant(metricAuthorityRules, float64(a.Rules))
	if a.Reached {
		ch <- constant(metricAuthorityAge, a.Age.Seconds())
	}
}
