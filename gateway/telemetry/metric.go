package telemetry

import (
	"slices"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/stella-ops/router/transports"
)

// Kind is the kind of a metric.
type Kind string

// The kinds.
const (
	Counter   Kind = "counter"
	Gauge     Kind = "gauge"
	Histogram Kind = "histogram"
)

// Metric is one metric of the gateway's own.
type Metric struct {
	Name   string
	Kind   Kind
	Labels []string
	Help   string // what it counts, in which unit
}

// Labels.
const (
	labelService  = "service"
	labelVersion  = "version"
	labelMethod   = "method"
	labelEndpoint = "endpoint"
	labelOutcome  = "outcome"
	labelState    = "state"
	labelReason   = "reason"
	labelScheme   = "transport"
	labelResult   = "result"
	labelIssuer   = "issuer"
	labelBy       = "by"
	labelCode     = "code"
	labelKind     = "kind"
)

var (
	byRelease  = []string{labelService, labelVersion}
	byEndpoint = []string{labelService, labelVersion, labelMethod, labelEndpoint}
	byOutcome  = []string{labelService, labelVersion, labelMethod, labelEndpoint, labelOutcome}
)

// The metrics.
var (
	metricRequests = &Metric{
		"stella_gateway_requests_total", Counter, byOutcome,
		"Requests that are over, by what became of them.",
	}
	metricDuration = &Metric{
		"stella_gateway_request_duration_seconds", Histogram, byOutcome,
		"From a request's header to the end of its answer; of a stream, to the stream's end. An endpoint with `within=` has a bucket " +
			"that ends there, beside those that all have: take it out (`le!~\"0.3\"`) before buckets of several endpoints are added up.",
	}
	metricInFlight = &Metric{
		"stella_gateway_requests_in_flight", Gauge, byEndpoint,
		"Requests that are being served.",
	}
	metricReceived = &Metric{
		"stella_gateway_request_body_bytes_total", Counter, byEndpoint,
		"Bytes of request bodies that were read from clients, counted when the request is over.",
	}
	metricSent = &Metric{
		"stella_gateway_response_body_bytes_total", Counter, byEndpoint,
		"Bytes of answers' bodies that were written to clients, counted when the request is over.",
	}
	metricRetried = &Metric{
		"stella_gateway_retries_total", Counter, byEndpoint,
		"Requests that were sent to another instance: the first had refused them, an idempotent one was lost with its session, or it is hedged.",
	}
	metricDenied = &Metric{
		"stella_gateway_retries_denied_total", Counter, byEndpoint,
		"Requests that were not, because the budget of retries, one for ten requests of a version, was spent.",
	}
	metricSessions = &Metric{
		"stella_gateway_sessions", Gauge, []string{labelService, labelVersion, labelState},
		"Sessions with services, by state.",
	}
	metricExpected = &Metric{
		"stella_gateway_instances_expected", Gauge, []string{labelService},
		"Instances that the service should have, where the configuration says so.",
	}
	metricBeat = &Metric{
		"stella_gateway_heartbeat_age_seconds", Gauge, byRelease,
		"Time since the last HEARTBEAT of the instance that has been silent for longest.",
	}
	metricRefused = &Metric{
		"stella_gateway_registrations_refused_total", Counter, []string{labelReason},
		"Services that came as such and were not let in.",
	}
	metricRejected = &Metric{
		"stella_gateway_connections_rejected_total", Counter, []string{labelReason},
		"Connections to an address for services that did not become a session.",
	}
	metricDropped = &Metric{
		"stella_transport_datagrams_dropped_total", Counter, []string{labelScheme, labelReason},
		"Datagrams to an address for services that were thrown away.",
	}
	metricReloads = &Metric{
		"stella_gateway_config_reloads_total", Counter, []string{labelResult},
		"Times that the configuration was read anew, by what became of it.",
	}
	metricConfigRefused = &Metric{
		"stella_gateway_config_refused", Gauge, nil,
		"1 while the configuration that was read last is refused, and an older one is in force; else 0.",
	}
	metricCancels = &Metric{
		"stella_gateway_cancels_total", Counter, []string{labelBy, labelCode},
		"Calls that were cancelled, by whom, and why: the codes of the protocol.",
	}
	metricStalls = &Metric{
		"stella_gateway_credit_stalls_total", Counter, nil,
		"Times that a request body had to wait for its service, which had given no credit for more.",
	}
	metricOpened = &Metric{
		"stella_gateway_sessions_opened_total", Counter, []string{labelKind},
		"Sessions that have begun.",
	}
	metricKeysAge = &Metric{
		"stella_gateway_issuer_keys_age_seconds", Gauge, []string{labelIssuer},
		"Time since the keys of an issuer of tokens were fetched.",
	}
	metricKeysClosed = &Metric{
		"stella_gateway_issuer_closed", Gauge, []string{labelIssuer},
		"1 while no token of the issuer is taken, since its keys were never had, were all taken away, or are too old; else 0.",
	}
	metricConfigSince = &Metric{
		"stella_gateway_config_applied_timestamp_seconds", Gauge, nil,
		"When the configuration in force was put in force, in seconds since 1970.",
	}
)

var metrics = []*Metric{
	metricRequests, metricDuration, metricInFlight, metricReceived, metricSent, metricRetried,
	metricDenied, metricSessions, metricBeat, metricRefused, metricRejected,
	metricDropped, metricCancels, metricStalls, metricOpened, metricKeysAge, metricKeysClosed,
	metricReloads, metricConfigRefused, metricConfigSince, metricLimited, metricLimitKeys, metricLimitForgotten,
	metricLimitCheck, metricLimitFailures, metricBreaker, metricConcurrency, metricAdmitted, metricShed, metricConnections, metricCrowded,
	metricAuthorityUp, metricAuthorityAge, metricAuthorityRules,
	metricExpected,
	metricLegacy, metricLegacyDuration, metricLegacyWeight,
}

// Metrics lists the metrics of the gateway's own. Beside them stand go_* and process_*.
func Metrics() []Metric {
	all := make([]Metric, len(metrics))
	for i, m := range metrics {
		all[i] = *m
		all[i].Labels = slices.Clone(m.Labels)
	}
	return all
}

func (m *Metric) counters() *prometheus.CounterVec {
	return prometheus.NewCounterVec(prometheus.CounterOpts{Name: m.Name, Help: m.Help}, m.Labels)
}

func (m *Metric) gauge() prometheus.Gauge {
	return prometheus.NewGauge(prometheus.GaugeOpts{Name: m.Name, Help: m.Help})
}

func (m *Metric) desc() *prometheus.Desc { return prometheus.NewDesc(m.Name, m.Help, m.Labels, nil) }

// State is what a session counts as.
type State string

// The states.
const (
	StateLive        State = "live"
	StateUnhealthy   State = "unhealthy"
	StateEjected     State = "ejected"
	StateDraining    State = "draining"
	StateQuarantined State = "quarantined"
)

// States lists the states.
func States() []Value {
	return []Value{
		{string(StateLive), "It is routed: healthy, or degraded."},
		{string(StateUnhealthy), "No HEARTBEAT has come for three intervals: it gets no requests."},
		{string(StateEjected), "Its calls fail, and others get its requests for a while; /v1/services has the reason. In panic mode it has its share all the same."},
		{string(StateDraining), "It takes its leave, and finishes what it has begun."},
		{string(StateQuarantined), "It is not routed; /v1/services has the reason."},
	}
}

// Refusal is why a service was not let in.
type Refusal string

// The refusals.
const (
	RefusedProtocol     Refusal = "protocol"
	RefusedUnsupported  Refusal = "unsupported"
	RefusedUnauthorized Refusal = "unauthorized"
	RefusedShutdown     Refusal = "shutdown"
	RefusedRate         Refusal = "rate"
	RefusedOther        Refusal = "other"
)

// Refusals lists the refusals.
func Refusals() []Value {
	return []Value{
		{string(RefusedProtocol), "HELLO or the manifest with it breaks the protocol: the log says how."},
		{string(RefusedUnsupported), "HELLO demands a feature that this gateway does not know."},
		{string(RefusedUnauthorized), "The service does not prove its right to its name."},
		{string(RefusedShutdown), "The gateway is shutting down."},
		{string(RefusedRate), "More came at once than the gateway takes on; they come back by themselves."},
		{string(RefusedOther), "Any other reason; the log has it."},
	}
}

// Rejection is why a connection did not become a session.
type Rejection string

// The rejections.
const (
	RejectedPreamble Rejection = "preamble"
	RejectedSilent   Rejection = "silent"
	RejectedClosed   Rejection = "closed"
	RejectedOther    Rejection = "other"
)

// Rejections lists the rejections.
func Rejections() []Value {
	return []Value{
		{string(RejectedPreamble), "What came is not this protocol, or a version of it that this gateway does not speak."},
		{string(RejectedSilent), "What was expected did not come within 2 seconds."},
		{string(RejectedClosed), "The peer went before it had said HELLO."},
		{string(RejectedOther), "Any other reason; the log has it."},
	}
}

// The results of reading the configuration anew.
const (
	reloadApplied = "applied"
	reloadRefused = "refused"
)

// Reloads lists the results of reading the configuration anew.
func Reloads() []Value {
	return []Value{
		{reloadApplied, "It is in force."},
		{reloadRefused, "Something is wrong with it: what was in force stays so. The log and /v1/config have the reason."},
	}
}

// Drops lists why datagrams are thrown away.
func Drops() []Value {
	return []Value{
		{string(transports.DropMalformed), "It is not one of this transport's, or was cut off on the way."},
		{string(transports.DropNoLink), "It is of a link that this gateway does not know, or knows no more."},
		{string(transports.DropCookie), "It would open a link, and has not the cookie that was sent to its address, or an old one."},
		{string(transports.DropFull), "It would open a link, and there is no room for one."},
		{string(transports.DropMisplaced), "It is of a link, and such as no service sends: beyond the window, say."},
	}
}
