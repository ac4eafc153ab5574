package main

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/stella-ops/router/generator/diagnostic"
)

type rulesCommand struct {
	Category string `help:"Only the rules of this category." placeholder:"CATEGORY"`
}

// inputCategory is the category of rules about input that nothing can be generated from.
const inputCategory = "INPUT"

// ruleEntry is a rule in JSON.
type ruleEntry struct {
	ID        diagnostic.ID `json:"id"`
	Name      string        `json:"name,omitempty"`
	Category  string        `json:"category"`
	Severity  string        `json:"severity"`
	Title     string        `json:"title"`
	Text      string        `json:"text"`
	Ignorable bool          `json:"ignorable,omitempty"`
}

func (c *rulesCommand) Run(out *output) error {
	entries := []ruleEntry{}
	var categories []string
	for _, r := range ruleTables() {
		category := categoryOf(r)
		if !slices.Contains(categories, category) {
			categories = append(categories, category)
		}
		if c.Category == "" || strings.EqualFold(c.Category, category) {
			entries = append(entries, ruleEntry{r.ID, r.Name, category, r.Severity.String(), r.Title, r.Text, r.Ignorable})
		}
	}
	if len(entries) == 0 {
		return fmt.Errorf("%w: no category %q: expected one of %s%s", errInput, c.Category, strings.Join(categories, ", "),
			didYouMean(c.Category, categories))
	}
	return out.data(entries, func(w io.Writer) {
		table(w, []string{"ID", "CATEGORY", "SEVERITY", "NAME", "TITLE"}, func(row func(...string)) {
			for _, e := range entries {
				row(string(e.ID), e.Category, e.Severity, cmp.Or(e.Name, "-"), e.Title)
			}
		})
	})
}

func categoryOf(r diagnostic.Rule) string { return cmp.Or(r.Category, inputCategory) }

// tableGap is the space between columns.
const tableGap = 2

// table prints rows under their heads, in columns.
func table(w io.Writer, heads []string, rows func(row func(cells ...string))) {
	tab := tabwriter.NewWriter(w, 0, 0, tableGap, ' ', 0)
	row := func(cells ...string) { _, _ = fmt.Fprintln(tab, strings.Join(cells, "\t")) }
	row(heads...)
	rows(row)
	_ = tab.Flush() // a reader that has gone away changes nothing
}
