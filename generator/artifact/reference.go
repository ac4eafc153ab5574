package artifact

import (
	"cmp"

	"github.com/stella-ops/router/generator/artifact/reference"
	"github.com/stella-ops/router/spec"
)

func markdown(m *spec.Manifest, o Options) ([]byte, error) {
	return reference.Markdown(m, cmp.Or(o.URL, DefaultURL))
}

func html(m *spec.Manifest, o Options) ([]byte, error) {
	return reference.HTML(m, cmp.Or(o.URL, DefaultURL))
}
