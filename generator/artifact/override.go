package artifact

import (
	"github.com/stella-ops/router/generator/override"
	"github.com/stella-ops/router/spec"
)

func overrideSchema(m *spec.Manifest, _ Options) ([]byte, error) {
	return override.Schema(m)
}
