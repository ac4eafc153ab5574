// Package monitoring writes what watches a service at the gateway: rules and alerts for Prometheus with their unit tests,
// and a dashboard for Grafana. It knows the metrics of the gateway by name, since the generator does not link the gateway;
// a test of the whole system holds that each of them is on /metrics (e2e). Start at [Alerts], [AlertsTest] and [Dashboard].
package monitoring

import (
	"regexp"
	"strconv"
	"strings"

	"github.com/stella-ops/router/spec"
)

// Metrics of the gateway, as docs/reference/metrics.md has them.
const (
	metricRequests  = "stella_gateway_requests_total"
	metricDuration  = "stella_gateway_request_duration_seconds"
	metricInFlight  = "stella_gateway_requests_in_flight"
	metricReceived  = "stella_gateway_request_body_bytes_total"
	metricSent      = "stella_gateway_response_body_bytes_total"
	metricRetries   = "stella_gateway_retries_total"
	metricDenied    = "stella_gateway_retries_denied_total"
	metricSessions  = "stella_gateway_sessions"
	metricHeartbeat = "stella_gateway_heartbeat_age_seconds"
)

// Errors are the outcomes of requests that the service owed a good answer, and that got none.
func Errors() []string {
	return []string{
		"server_error", "broken_off", "timeout", "service_lost", "service_failed", "bad_answer", "response_too_large", "no_instance",
		"overloaded", "refused", "transport_unfit", "queue_unavailable", "keys_unavailable", "authority_unavailable", "limits_unavailable",
	}
}

// Good are the outcomes of requests that were answered well. That a client asked for the wrong thing is a good answer.
func Good() []string { return []string{"ok", "client_error"} }

// Uncounted are the outcomes of requests that say nothing of the service: the client left or sent too much or nothing
// whole, or may not ask, or asked too often, or for nothing that there is.
func Uncounted() []string {
	return []string{
		"client_gone", "bad_path", "bad_request", "headers_too_large", "not_found", "method_not_allowed", "version_not_found",
		"unauthenticated", "forbidden", "payload_too_large", "bad_range", "rate_limited", "upgrade_required", "job_not_found", "body_stalled", "bad_body",
	}
}

// quote is a string of PromQL.
func quote(s string) string { return strconv.Quote(s) }

// selector are the labels of a service's requests with some outcomes, and what more they have to match.
func selector(m *spec.Manifest, outcomes []string, more ...string) string {
	return "{" + strings.Join(append([]string{"service=" + quote(m.Service), "outcome=~" + quote(strings.Join(outcomes, "|"))}, more...), ", ") + "}"
}

// anyOf is a regular expression of PromQL that matches some texts and nothing else.
func anyOf(texts []string) string {
	quoted := make([]string, len(texts))
	for i, t := range texts {
		quoted[i] = regexp.QuoteMeta(t)
	}
	return strings.Join(quoted, "|")
}
