package artifact

import (
	"cmp"

	"github.com/stella-ops/router/generator/artifact/httpfile"
	"github.com/stella-ops/router/spec"
)

func httpFile(m *spec.Manifest, o Options) ([]byte, error) {
	return httpfile.Render(m, cmp.Or(o.URL, DefaultURL))
}
