package lint

import (
	"slices"

	"github.com/stella-ops/router/generator/diagnostic"
	"github.com/stella-ops/router/generator/override"
	"github.com/stella-ops/router/generator/scan"
)

func overrideRepeats(r *reporter, e *endpoint) {
	report := func(o scan.Origin, what string) {
		f := r.at(scan.Span{Pos: o.Pos, Width: o.Width}, "%s of %s is what the code says", what, e.name())
		f.Hint = "remove it"
		f.Related = []diagnostic.Related{{Pos: o.Over.Pos, Message: "the code says it here"}}
	}
	for _, name := range sortedKeys(e.Origins.Keys) {
		o := e.Origins.Keys[name]
		if k, known := override.FindKey(name); known && isOverride(o) && k.Same(o.Text, o.Over.Text) {
			report(o, name)
		}
	}
	claims := e.Origins.Claims // the list covers the code's, so it is the same if each of it is one of the code's
	if len(claims) > 0 && !slices.ContainsFunc(claims, func(o scan.Origin) bool { return !isOverride(o) || o.Over.Text != o.Text }) {
		report(claims[0], "the list of claims")
	}
}

// isOverride reports whether stella.yaml takes the place of what the code says.
func isOverride(o scan.Origin) bool { return o.Layer == scan.InOverride && o.Over != nil }
