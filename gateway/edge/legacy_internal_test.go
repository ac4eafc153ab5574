package edge

import (
	"os"
	"regexp"
	"testing"

	"github.com/stella-ops/router/gateway/telemetry"
)

// TestLegacyFailuresAreDocumented holds that the rate of failures in docs/shift.md counts what ctl legacy ls does.
func TestLegacyFailuresAreDocumented(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../docs/shift.md")
	if err != nil {
		t.Fatal(err)
	}
	found := regexp.MustCompile(`stella_gateway_legacy_requests_total\{outcome=~"([^"]+)"\}`).FindSubmatch(text)
	if found == nil {
		t.Fatal("docs/shift.md: expected a rate of stella_gateway_legacy_requests_total by outcome=~")
	}
	rate := regexp.MustCompile("^(?:" + string(found[1]) + ")$") // as Prometheus anchors it
	var counted int
	for i, outcome := range Outcomes() {
		want := failed(telemetry.Outcome(i))
		if got := rate.MatchString(outcome.Name); got != want {
			t.Errorf("docs/shift.md: the rate counts %s: %v, expected %v as ctl legacy ls has it", outcome.Name, got, want)
		}
		if want {
			counted++
		}
	}
	if counted == 0 {
		t.Error("nothing counts as failed")
	}
}
