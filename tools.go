//go:build tools

// Package router is the root of the module. It holds no code: start at README.md.
//
// The development tools that this module pins are listed here and in go.mod's tool lines; go run them as
// `go tool stellagen` and `go tool ginkgo`. Heavier ones, which users of the module must not inherit, are pinned by
// the nested module in tools.
package router

import (
	_ "github.com/onsi/ginkgo/v2/ginkgo"
	_ "github.com/stella-ops/router/generator/cmd/stellagen"
)
