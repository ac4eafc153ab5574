package e2e

import (
	"slices"
	"testing"

	"github.com/stella-ops/router/gateway/edge"
	"github.com/stella-ops/router/generator/artifact/monitoring"
)

// countedApart are the outcomes of requests to legacy upstreams: no service's series has them.
var countedApart = []string{"legacy_loop", "legacy_unreachable", "legacy_lost"}

// TestEveryOutcomeIsJudged holds that alerts know every outcome that a gateway counts: as an error, as a good answer, or as
// nothing that the service answers for.
func TestEveryOutcomeIsJudged(t *testing.T) {
	judged := slices.Concat(monitoring.Errors(), monitoring.Good(), monitoring.Uncounted(), countedApart)
	var counted []string
	for _, o := range edge.Outcomes() {
		counted = append(counted, o.Name)
	}
	slices.Sort(judged)
	slices.Sort(counted)
	if !slices.Equal(judged, counted) {
		t.Errorf("alerts judge\n%v\ngateways count\n%v\nchange Errors, Good or Uncounted in generator/artifact/monitoring", judged, counted)
	}
}
