package diff

import (
	"bytes"
	"fmt"
	"io"
	"unicode/utf8"
)

// maxShown bounds a value that is shown, in characters.
const maxShown = 72

// Print writes the plan for people.
func (p Plan) Print(w io.Writer) error {
	var out bytes.Buffer
	printFields(&out, "  ", p.Service)
	for _, item := range p.Endpoints {
		printItem(&out, "", item)
	}
	for _, item := range p.Types {
		printItem(&out, "type ", item)
	}
	if _, err := out.WriteTo(w); err != nil {
		return fmt.Errorf("diff: printing: %w", err)
	}
	return nil
}

func printItem(out *bytes.Buffer, kind string, item Item) {
	fmt.Fprintf(out, "\n  %c %s%s", item.Action, kind, item.Name)
	if item.Was != "" {
		fmt.Fprintf(out, " (was %s)", item.Was)
	}
	out.WriteByte('\n')
	printFields(out, "      ", item.Fields)
}

func printFields(out *bytes.Buffer, indent string, fields []Field) {
	for _, f := range fields {
		action := f.Action()
		fmt.Fprintf(out, "%s%c %s: ", indent, action, f.Name)
		switch action {
		case Add:
			out.WriteString(short(f.New))
		case Remove:
			out.WriteString(short(f.Old))
		case Change:
			from, to := short(f.Old), short(f.New)
			if from == to { // they differ behind
				to = "(continues otherwise)"
			}
			fmt.Fprintf(out, "%s -> %s", from, to)
		}
		out.WriteByte('\n')
	}
}

func short(s string) string {
	if utf8.RuneCountInString(s) <= maxShown {
		return s
	}
	return string([]rune(s)[:maxShown-3]) + "..."
}
