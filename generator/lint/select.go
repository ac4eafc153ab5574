package lint

import (
	"fmt"
	"slices"
	"strings"

	"github.com/stella-ops/router/generator/diagnostic"
	"github.com/stella-ops/router/internal/spelling"
)

// Preset is a set of rules. Each has the rules of those before it.
type Preset int

// The presets.
const (
	Off      Preset = iota // in none: such a rule runs only if it or its category is named
	Minimal                // what is wrong whatever the house's style
	Standard               // what most services should keep to; the default
	Strict                 // everything
)

var presetNames = []string{"OFF", "MINIMAL", "STANDARD", "STRICT"}

func (p Preset) String() string { return presetNames[p] }

// Selection is the rules that run. Its zero value has none; see [Select].
type Selection struct{ ids map[diagnostic.ID]bool }

func (s Selection) has(id diagnostic.ID) bool { return s.ids[id] }

// Select is the rules of the presets and categories in use, or those of STANDARD if there are none, with the enabled and
// without the disabled ones. Those are ids, names and categories. Letter case does not count.
func Select(use, enable, disable []string) (Selection, error) {
	s := Selection{ids: map[diagnostic.ID]bool{}}
	if len(use) == 0 {
		use = []string{Standard.String()}
	}
	for _, word := range use {
		if err := s.use(strings.ToUpper(word)); err != nil {
			return s, err
		}
	}
	for _, word := range enable {
		if err := s.set(strings.ToUpper(word), true); err != nil {
			return s, err
		}
	}
	for _, word := range disable {
		if err := s.set(strings.ToUpper(word), false); err != nil {
			return s, err
		}
	}
	return s, nil
}

func (s Selection) use(word string) error {
	preset := slices.Index(presetNames[1:], word) + 1
	switch {
	case preset > 0:
		for _, r := range rules {
			if r.preset != Off && int(r.preset) <= preset {
				s.ids[r.ID] = true
			}
		}
		return nil
	case slices.Contains(Categories(), word):
		return s.set(word, true)
	}
	return unknown(word, "preset or category", slices.Concat(presetNames[1:], Categories()))
}

func (s Selection) set(word string, on bool) error {
	if r, ok := Find(word); ok {
		s.ids[r.ID] = on
		return nil
	}
	if !slices.Contains(Categories(), word) {
		names := Categories()
		for _, r := range rules {
			names = append(names, string(r.ID), r.Name)
		}
		return unknown(word, "rule or category", names)
	}
	for _, r := range rules {
		if r.Category == word {
			s.ids[r.ID] = on
		}
	}
	return nil
}

func unknown(word, what string, names []string) error {
	if guess := spelling.Suggest(word, names); guess != "" {
		return fmt.Errorf("lint: there is no %s %q: did you mean %s?", what, word, guess)
	}
	if len(names) > 12 {
		return fmt.Errorf("lint: there is no %s %q; stellagen rules lists them", what, word)
	}
	return fmt.Errorf("lint: there is no %s %q: expected %s", what, word, strings.Join(names, ", "))
}
