package artifact

import (
	"cmp"

	"github.com/stella-ops/router/generator/artifact/goclient"
	"github.com/stella-ops/router/generator/artifact/tsclient"
	"github.com/stella-ops/router/spec"
)

func goClient(m *spec.Manifest, o Options) ([]byte, error) {
	return goclient.Render(m, o.Package, cmp.Or(o.URL, DefaultURL))
}

func tsClient(m *spec.Manifest, o Options) ([]byte, error) {
	return tsclient.Render(m, cmp.Or(o.URL, DefaultURL))
}
