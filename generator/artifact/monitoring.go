package artifact

import (
	"github.com/stella-ops/router/generator/artifact/monitoring"
	"github.com/stella-ops/router/spec"
)

func prometheus(m *spec.Manifest, _ Options) ([]byte, error) { return monitoring.Alerts(m) }

func prometheusTest(m *spec.Manifest, _ Options) ([]byte, error) { return monitoring.AlertsTest(m) }

func grafana(m *spec.Manifest, _ Options) ([]byte, error) { return monitoring.Dashboard(m) }
