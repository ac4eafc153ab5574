// Command stellavet makes go vet check endpoints:
//
//	go vet -vettool=$(which stellavet) ./...
//
// The findings are those of stellagen lint, and three more that need types and function bodies; see package analyzer. The
// flags -stella.use, -stella.enable and -stella.disable choose rules as those of stellagen lint do. -fix applies the fixes.
package main

import (
	"golang.org/x/tools/go/analysis/unitchecker"

	"github.com/stella-ops/router/generator/analyzer"
)

func main() { unitchecker.Main(analyzer.Analyzer) }
