package main

import (
	"slices"

	"github.com/stella-ops/router/generator/breaking"
	"github.com/stella-ops/router/generator/diagnostic"
	"github.com/stella-ops/router/generator/lint"
)

// ruleTables are all rules, by what finds them. A table that is not here is unknown to rules, explain, and the formats.
func ruleTables() []diagnostic.Rule {
	return slices.Concat(diagnostic.Rules(), lint.Rules(), breaking.Rules())
}

// findRule returns the rule with this id, of whichever table.
func findRule(id diagnostic.ID) (diagnostic.Rule, bool) {
	for _, r := range ruleTables() {
		if r.ID == id {
			return r, true
		}
	}
	return diagnostic.Rule{}, false
}
