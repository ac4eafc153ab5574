package monitoring_test

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/stella-ops/router/generator/artifact/monitoring"
	"github.com/stella-ops/router/spec"
)

// service has one endpoint for each objective.
func service(name string, objectives ...string) *spec.Manifest {
	m := &spec.Manifest{Service: name, Version: "1.0.0"}
	for i, slo := range objectives {
		m.Endpoints = append(m.Endpoints, spec.Endpoint{Method: "GET", Path: fmt.Sprintf("/x%d", i), SLO: slo})
	}
	return m
}

func text(t *testing.T, write func(*spec.Manifest) ([]byte, error), m *spec.Manifest) string {
	t.Helper()
	got, err := write(m)
	if err != nil {
		t.Fatal(err)
	}
	return string(got)
}

func TestRulesAreAsManyForOneEndpointAsForMany(t *testing.T) {
	rules := regexp.MustCompile(`(?m)^ +- (record|alert): `)
	one := rules.FindAllString(text(t, monitoring.Alerts, service("x", "99.9")), -1)
	many := rules.FindAllString(text(t, monitoring.Alerts, service("x", strings.Split(strings.Repeat("99.9 ", 50), " ")...)), -1)
	if len(one) != 12 || len(many) != len(one) {
		t.Errorf("one endpoint has %d rules, 50 have %d, expected 12", len(one), len(many))
	}
}

func TestObjectivesAreExact(t *testing.T) {
	for slo, want := range map[string]string{"99.9": "0.999", "99.95": "0.9995", "100": "1", "0": "0", "12.3456789": "0.123456789"} {
		if got := text(t, monitoring.Alerts, service("x", slo)); !strings.Contains(got, "vector("+want+")") {
			t.Errorf("%s %% is not %s in %s", slo, want, got)
		}
	}
	for _, slo := range []string{"100.1", "-1", "x"} {
		if _, err := monitoring.Alerts(service("x", slo)); err == nil || !strings.Contains(err.Error(), "GET /x0") {
			t.Errorf("an objective of %s %% gives %v, expected an error that names the endpoint", slo, err)
		}
	}
}

func TestDollarsInPathsAreNoGroups(t *testing.T) {
	m := service("x", "99.9")
	m.Endpoints[0].Path = "/a$1"
	if got := text(t, monitoring.Alerts, m); !strings.Contains(got, `"endpoint", "/a$$1"`) {
		t.Error(got)
	}
}

// TestUnitTestsExpectWhatCanFire holds that the tests of the rules ask for errors that the objective can see.
func TestUnitTestsExpectWhatCanFire(t *testing.T) {
	for slo, want := range map[string]int{
		"99.95": 4, // 5 % is 100 times the budget
		"99":    4, // 5 % is 5 times the budget, so all requests fail
		"90":    3, // no more than 10 times the budget can be spent: 14.4 is out of reach
		"0":     0,
	} {
		if got := strings.Count(text(t, monitoring.AlertsTest, service("x", slo)), "exp_labels"); got != want {
			t.Errorf("with %s %% there are %d alerts, expected %d", slo, got, want)
		}
	}
}

func TestUID(t *testing.T) {
	seen := map[string]string{}
	for _, name := range []string{"billing", "a.b", "a-b", strings.Repeat("x", 33), strings.Repeat("x", 34), strings.Repeat("x", 60), strings.Repeat("x", 60) + "y"} {
		var d struct {
			ID  any    `json:"id"`
			UID string `json:"uid"`
		}
		if err := json.Unmarshal([]byte(text(t, monitoring.Dashboard, service(name))), &d); err != nil {
			t.Fatal(err)
		}
		if d.ID != nil || len(d.UID) > 40 || !regexp.MustCompile(`^[a-zA-Z0-9_-]+$`).MatchString(d.UID) {
			t.Errorf("%s has the id %v and the uid %q", name, d.ID, d.UID)
		}
		if other, taken := seen[d.UID]; taken {
			t.Errorf("%s and %s have the uid %s", name, other, d.UID)
		}
		seen[d.UID] = name
	}
}

func TestQueuesHaveAPanel(t *testing.T) {
	m := service("x", "99.9")
	if strings.Contains(text(t, monitoring.Dashboard, m), `"Jobs"`) {
		t.Error("a service without queues has a panel of jobs")
	}
	m.Endpoints[0].Queue = &spec.Queueing{Attempts: 1, LeaseMS: 1000}
	if got := text(t, monitoring.Dashboard, m); !strings.Contains(got, `"Jobs"`) || !strings.Contains(got, "queue_unavailable") {
		t.Error("a service with queues has no panel of jobs")
	}
}
