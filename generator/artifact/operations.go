package artifact

import (
	"cmp"

	"github.com/stella-ops/router/generator/artifact/grafana"
	"github.com/stella-ops/router/generator/artifact/httpfile"
	"github.com/stella-ops/router/generator/artifact/prometheus"
	"github.com/stella-ops/router/spec"
)

func alerts(m *spec.Manifest, _ Options) ([]byte, error) { return prometheus.Rules(m) }

func alertTests(m *spec.Manifest, _ Options) ([]byte, error) { return prometheus.Tests(m) }

func dashboard(m *spec.Manifest, _ Options) ([]byte, error) { return grafana.Dashboard(m) }

func httpFile(m *spec.Manifest, o Options) ([]byte, error) {
	return httpfile.Requests(m, cmp.Or(o.URL, DefaultURL))
}
