package telemetry

import "github.com/prometheus/client_golang/prometheus"

// Calls is what sessions have seen so far.
type Calls struct {
	Cancelled map[string]uint64 // calls that the gateway cancelled, by the protocol's codes
	GivenUp   map[string]uint64 // calls that services cancelled
	Stalls    uint64            // of request bodies for want of credit
	Opened    uint64            // sessions, beside those that took another one's place
	Renewed   uint64            // those
}

// Who cancels calls.
const (
	byGateway = "gateway"
	byService = "service"
)

// Cancellers lists who cancels calls.
func Cancellers() []Value {
	return []Value{
		{byGateway, "The gateway, mostly since the client has left (CLIENT_GONE), or time was up (DEADLINE)."},
		{byService, "The service: it gave the call up (INTERNAL), did not take it on (REFUSED, STALE), or only needed no more of the request (NO_ERROR)."},
	}
}

// The kinds of sessions that begin.
const (
	openedNew     = "new"
	openedRenewed = "renewed"
)

// Openings lists the kinds of sessions that begin.
func Openings() []Value {
	return []Value{
		{openedNew, "An instance has come, or come back: a reconnect."},
		{openedRenewed, "It took the place of a live one of the same instance, without a gap."},
	}
}

func (c collector) callsTo(ch chan<- prometheus.Metric) {
	if c.cfg.Calls == nil {
		return
	}
	all := c.cfg.Calls()
	for by, codes := range map[string]map[string]uint64{byGateway: all.Cancelled, byService: all.GivenUp} {
		for code, n := range codes {
			ch <- constant(metricCancels, float64(n), by, code)
		}
	}
	ch <- constant(metricStalls, float64(all.Stalls))
	ch <- constant(metricOpened, float64(all.Opened), openedNew)
	ch <- constant(metricOpened, float64(all.Renewed), openedRenewed)
}
