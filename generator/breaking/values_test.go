package breaking_test

import (
	"math/big"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/stella-ops/router/generator/breaking"
	"github.com/stella-ops/router/spec"
)

// numbers draws the schema of numbers that are bounded within -3 and 3, in steps of a half.
func numbers(t *rapid.T, kind, label string) *spec.Schema {
	s := &spec.Schema{Type: kind}
	for _, bound := range []*string{&s.Minimum, &s.Maximum, &s.Above, &s.Below} {
		if rapid.IntRange(0, 2).Draw(t, label+" is bounded") == 0 {
			*bound = decimal(big.NewRat(rapid.Int64Range(-6, 6).Draw(t, label+" bound, in halves"), 2))
		}
	}
	if rapid.IntRange(0, 3).Draw(t, label+" has a step") == 0 {
		s.MultipleOf = decimal(big.NewRat(rapid.Int64Range(1, 6).Draw(t, label+" step"), 2))
	}
	return s
}

// decimal is how a manifest writes a number.
func decimal(r *big.Rat) string {
	text := r.FloatString(2)
	return strings.TrimSuffix(strings.TrimRight(text, "0"), ".")
}

func takes(s *spec.Schema, n *big.Rat) bool {
	compare := func(bound string) int {
		b, _ := new(big.Rat).SetString(bound)
		return n.Cmp(b)
	}
	step, _ := new(big.Rat).SetString(s.MultipleOf)
	return (s.Type != spec.TypeInteger || n.IsInt()) &&
		(s.Minimum == "" || compare(s.Minimum) >= 0) && (s.Maximum == "" || compare(s.Maximum) <= 0) &&
		(s.Above == "" || compare(s.Above) > 0) && (s.Below == "" || compare(s.Below) < 0) &&
		(s.MultipleOf == "" || new(big.Rat).Quo(n, step).IsInt())
}

func inBody(s *spec.Schema) *spec.Manifest {
	return &spec.Manifest{Service: "a", Version: "1.0.0", Endpoints: []spec.Endpoint{{
		Method: "POST", Path: "/a", Handler: "A", Kind: spec.KindTyped, Status: 200, Request: s,
	}}}
}

// TestNumbersAreComparedAsTheyAreTaken tries numbers out: where one is refused that was accepted, there is a finding. The
// other way round holds as long as the range is not empty and the bounds do not bear on the steps.
func TestNumbersAreComparedAsTheyAreTaken(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		kind := rapid.SampledFrom([]string{spec.TypeInteger, spec.TypeNumber}).Draw(t, "type")
		was, is := numbers(t, kind, "before"), numbers(t, kind, "now")
		lost, takesAny := false, false
		for n := int64(-800); n <= 800; n++ { // quarters, to beyond every bound and common multiple
			v := big.NewRat(n, 4)
			if takes(was, v) {
				takesAny = true
				lost = lost || !takes(is, v)
			}
		}
		var rules []string
		for _, c := range breaking.Compare(inBody(was), inBody(is), breaking.Scope{Today: today}) {
			rule, _ := breaking.Find(string(c.Rule))
			rules = append(rules, rule.Name)
		}
		if lost && len(rules) == 0 {
			t.Fatalf("%+v takes what %+v refuses, and nothing is found", was, is)
		}
		if takesAny && !lost && was.MultipleOf == "" && slices.Contains(rules, "REQUEST_RANGE_TIGHTENED") {
			t.Fatalf("%+v takes nothing that %+v refuses, and %v are found", was, is, rules)
		}
	})
}
