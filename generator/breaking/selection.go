package breaking

import (
	"fmt"
	"slices"
	"strings"

	"github.com/stella-ops/router/generator/diagnostic"
	"github.com/stella-ops/router/internal/spelling"
)

// The presets: rules that are selected together.
const (
	Minimal  = "MINIMAL"  // what callers break on: errors of WIRE, HTTP and JSON
	Standard = "STANDARD" // everything but what is only worth knowing, and GO
	Strict   = "STRICT"   // everything, and endpoints that were experimental
)

// Presets lists the presets.
func Presets() []string { return []string{Minimal, Standard, Strict} }

// Selection is a set of rules. The zero value has none.
type Selection struct {
	rules        map[diagnostic.ID]bool
	experimental bool
}

// Select returns the rules of presets, categories, and names or ids of rules: all of them together, and those of
// [Standard] if nothing is named.
func Select(use ...string) (Selection, error) {
	if len(use) == 0 {
		use = []string{Standard}
	}
	s := Selection{rules: map[diagnostic.ID]bool{}}
	for _, word := range use {
		known := false
		for _, r := range rules {
			if selects(word, r) {
				s.rules[r.ID], known = true, true
			}
		}
		if !known {
			return Selection{}, unknown(word)
		}
		s.experimental = s.experimental || word == Strict
	}
	return s, nil
}

func unknown(word string) error {
	candidates := slices.Concat(Presets(), Categories())
	for _, r := range rules {
		candidates = append(candidates, r.Name)
	}
	meant := ""
	if near := spelling.Suggest(word, candidates); near != "" {
		meant = ": did you mean " + near + "?"
	}
	return fmt.Errorf("breaking: no preset, category or rule is called %.80q%s; there are %s, %s, and the rules by name or id",
		word, meant, strings.Join(Presets(), ", "), strings.Join(Categories(), ", "))
}

func selects(word string, r diagnostic.Rule) bool {
	switch word {
	case Minimal:
		return r.Severity == diagnostic.Error && slices.Contains([]string{Wire, HTTP, JSON}, r.Category)
	case Standard:
		return r.Severity != diagnostic.Info && r.Category != Go
	case Strict:
		return true
	}
	return word == r.Category || word == r.Name || word == string(r.ID)
}

// Has reports whether a rule is selected.
func (s Selection) Has(id diagnostic.ID) bool { return s.rules[id] }
