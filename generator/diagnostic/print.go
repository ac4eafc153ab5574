package diagnostic

import (
	"bytes"
	"fmt"
	"go/token"
	"io"
	"path/filepath"
	"strings"
	"unicode/utf8"
)

// Printer writes findings for people.
type Printer struct {
	// Base is the folder that file names are shown relative to.
	Base string
	// Source returns a file's bytes, for the line that the caret stands under. Nil shows no source lines.
	Source func(file string) ([]byte, error)
}

// Print writes findings in the order they come, and their number.
func (p Printer) Print(w io.Writer, findings []Finding) error {
	var out bytes.Buffer
	for _, f := range findings {
		p.finding(&out, f)
	}
	switch len(findings) {
	case 0:
	case 1:
		out.WriteString("1 finding; nothing was written\n")
	default:
		fmt.Fprintf(&out, "%d findings; nothing was written\n", len(findings))
	}
	if _, err := out.WriteTo(w); err != nil {
		return fmt.Errorf("diagnostic: printing findings: %w", err)
	}
	return nil
}

func (p Printer) finding(out *bytes.Buffer, f Finding) {
	if f.Pos.IsValid() || f.Pos.Filename != "" {
		fmt.Fprintf(out, "%s: ", p.place(f.Pos))
	}
	fmt.Fprintf(out, "%s: %s\n", f.Rule, f.Message)
	p.excerpt(out, f.Pos, f.Width)
	if f.Hint != "" {
		fmt.Fprintf(out, "    hint: %s\n", f.Hint)
	}
	for _, r := range f.Related {
		fmt.Fprintf(out, "    %s: %s\n", p.place(r.Pos), r.Message)
		p.excerpt(out, r.Pos, 1)
	}
}

func (p Printer) place(pos token.Position) string {
	if rel, err := filepath.Rel(p.Base, pos.Filename); err == nil && p.Base != "" {
		pos.Filename = filepath.ToSlash(rel)
	}
	return pos.String()
}

// excerpt shows the source line with a caret under the column. Tabs stay tabs, so that the caret stands right.
func (p Printer) excerpt(out *bytes.Buffer, pos token.Position, width int) {
	if p.Source == nil || !pos.IsValid() {
		return
	}
	src, err := p.Source(pos.Filename)
	if err != nil {
		return // the place is known, only its text is not
	}
	lines := bytes.SplitN(src, []byte{'\n'}, pos.Line+1)
	if pos.Line > len(lines) {
		return
	}
	line := strings.TrimRight(string(lines[pos.Line-1]), "\r")
	at := min(pos.Column-1, len(line))
	end := min(at+max(width, 1), len(line))
	pad := strings.Map(func(r rune) rune {
		if r == '\t' {
			return r
		}
		return ' '
	}, line[:at])
	fmt.Fprintf(out, "    %s\n    %s%s\n", line, pad, strings.Repeat("^", max(utf8.RuneCountInString(line[at:end]), 1)))
}
