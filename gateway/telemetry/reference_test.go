package telemetry_test

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/stella-ops/router/gateway/edge"
	"github.com/stella-ops/router/gateway/telemetry"
)

var update = flag.Bool("update", false, "write docs/reference/metrics.md")

const referenceFile = "../../docs/reference/metrics.md"

const referenceHead = `<!-- Generated from gateway/telemetry and gateway/edge: go test ./gateway/telemetry -run Reference -update -->

# Metrics

` + "`GET /metrics`" + ` on the admin address answers in the forms that Prometheus reads. Beside the metrics below stand
those of the Go runtime (` + "`go_*`" + `) and of the process (` + "`process_*`" + `).

Labels come from manifests and from the fixed sets below, never from a request. ` + "`method` and `endpoint`" + ` are the
manifest's: ` + "`endpoint`" + ` is the path's pattern, and HEAD counts as the GET that serves it. They and the service are empty
for requests that lead to no endpoint. A series begins with its first request. It ends when its version is forgotten,
which is 10 minutes after the version's last instance by default; an endpoint that the version gave up takes its series
along at once.

`

// TestReferenceIsCurrent compares docs/reference/metrics.md with the tables.
func TestReferenceIsCurrent(t *testing.T) {
	var b strings.Builder
	b.WriteString(referenceHead)
	b.WriteString("| metric | kind | labels | what it counts |\n|---|---|---|---|\n")
	for _, m := range telemetry.Metrics() {
		fmt.Fprintf(&b, "| `%s` | %s | `%s` | %s |\n", m.Name, m.Kind, strings.Join(m.Labels, "`, `"), m.Help)
	}
	for _, table := range []struct {
		title  string
		values []telemetry.Value
	}{
		{"`outcome` of a request", edge.Outcomes()},
		{"`side` of a request under a legacy route, whose `route` is the configuration's path, with the methods before it if it has not all of them", telemetry.Sides()},
		{"`state` of a session", telemetry.States()},
		{"`kind` of a session that begins", telemetry.Openings()},
		{"`by` of a cancelled call", telemetry.Cancellers()},
		{"`reason` of `stella_gateway_registrations_refused_total`", telemetry.Refusals()},
		{"`reason` of `stella_gateway_connections_rejected_total`", telemetry.Rejections()},
		{"`result` of `stella_gateway_config_reloads_total`", telemetry.Reloads()},
		{"`source` of `stella_gateway_rate_limit_decisions_total`, whose `rule` is the configuration's name for it", telemetry.RuleSources()},
		{"`result` of `stella_gateway_rate_limit_decisions_total`", telemetry.RuleResults()},
		{"`state` of `stella_gateway_rate_limit_breaker`", telemetry.Breakers()},
		{"`reason` of `stella_gateway_client_connections_refused_total`", telemetry.Crowds()},
		{"`reason` of `stella_transport_datagrams_dropped_total`, whose `transport` is `udp`", telemetry.Drops()},
	} {
		fmt.Fprintf(&b, "\n## %s\n\n| value | meaning |\n|---|---|\n", table.title)
		for _, v := range table.values {
			fmt.Fprintf(&b, "| `%s` | %s |\n", v.Name, v.Meaning)
		}
	}
	if *update {
		if err := os.WriteFile(referenceFile, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	old, err := os.ReadFile(referenceFile)
	if err != nil {
		t.Fatal(err)
	}
	if string(old) != b.String() {
		t.Error("docs/reference/metrics.md differs from the tables: run go test ./gateway/telemetry -run Reference -update, and look at what changed")
	}
}
