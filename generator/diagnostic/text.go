package diagnostic

import (
	"bytes"
	"fmt"
	"go/token"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Colours, as terminals take them.
const (
	colorBold   = "1"
	colorRed    = "1;31"
	colorYellow = "1;33"
	colorCyan   = "1;36"
	colorGreen  = "32"
)

// text writes for people. The first line of a finding stands alone, in the form that editors and the go command have;
// whatever is not an error says so.
type text struct {
	*Report
	Style

	out *bytes.Buffer
}

func writeText(out *bytes.Buffer, r *Report, style Style) error {
	t := text{r, style, out}
	for _, f := range r.Findings {
		t.finding(f)
	}
	total := len(r.Findings) + r.Omitted
	if total == 0 {
		return nil
	}
	out.WriteString(count(total, "finding"))
	if c := r.Count(); c.Waived > 0 {
		fmt.Fprintf(out, ", %d waived", c.Waived)
	}
	if r.Omitted > 0 {
		fmt.Fprintf(out, ", %d not shown", r.Omitted)
	}
	if r.Tail != "" {
		out.WriteString("; " + r.Tail)
	}
	out.WriteByte('\n')
	return nil
}

func (t text) finding(f Finding) {
	if f.Pos.IsValid() || f.Pos.Filename != "" {
		t.out.WriteString(t.paint(colorBold, t.place(f.Pos)+":") + " ")
	}
	head := string(f.Rule) + ":"
	if f.Severity != Error {
		head = f.Severity.String() + ": " + head
	}
	t.out.WriteString(t.paint(t.severityColor(f.Severity), head) + " " + printable(f.Message))
	if name := t.rule(f.Rule).Name; name != "" {
		t.out.WriteString(" [" + name + "]")
	}
	t.out.WriteByte('\n')
	t.excerpt(f.Pos, f.Width)
	if f.Waiver != "" {
		fmt.Fprintf(t.out, "    waived: %s\n", printable(f.Waiver))
	} else if f.Hint != "" {
		fmt.Fprintf(t.out, "    hint: %s\n", printable(f.Hint))
	}
	for _, r := range f.Related {
		fmt.Fprintf(t.out, "    %s: %s\n", t.place(r.Pos), printable(r.Message))
		t.excerpt(r.Pos, 1)
	}
	if f.Fingerprint != "" && f.Waiver == "" {
		fmt.Fprintf(t.out, "    fingerprint: %s\n", f.Fingerprint)
	}
}

func (Style) severityColor(s Severity) string {
	return map[Severity]string{Error: colorRed, Warning: colorYellow, Info: colorCyan}[s]
}

func (s Style) paint(color, text string) string {
	if !s.Color {
		return text
	}
	return "\x1b[" + color + "m" + text + "\x1b[0m"
}

// Bounds of an excerpt in bytes: what of a long line is shown before and from the column on.
const (
	shownBefore = 120
	shownBehind = 200
)

// excerpt shows the source line with a caret under the column. Tabs stay tabs, so that the caret stands right.
func (t text) excerpt(pos token.Position, width int) {
	line, ok := t.line(pos)
	if !ok {
		return
	}
	from, to := span(line, pos.Column, width)
	before, marked, behind := excerptBefore(line[:from]), excerptBehind(line[from:to]), excerptBehind(line[to:])
	if to-from > shownBehind {
		behind = ""
	}
	pad := strings.Map(func(r rune) rune {
		if r == '\t' {
			return r
		}
		return ' '
	}, before)
	carets := strings.Repeat("^", max(utf8.RuneCountInString(marked), 1))
	gutter, blank := t.margin(pos.Line)
	t.out.WriteString(gutter + printable(before+marked+behind) + "\n" + blank + pad + t.paint(colorGreen, carets) + "\n")
}

func excerptBefore(text []byte) string {
	if len(text) <= shownBefore {
		return string(text)
	}
	return "..." + strings.ToValidUTF8(string(text[len(text)-shownBefore:]), "")
}

func excerptBehind(text []byte) string {
	if len(text) <= shownBehind {
		return string(text)
	}
	return strings.ToValidUTF8(string(text[:shownBehind]), "") + "..."
}

// margin is what stands before a source line, and before the line below it.
func (t text) margin(line int) (gutter, blank string) {
	bar := "|"
	switch t.Frame {
	case NoFrame:
		return "    ", "    "
	case Unicode:
		bar = "│"
	case ASCII:
	}
	number := strconv.Itoa(line)
	return " " + number + " " + bar + " ", strings.Repeat(" ", len(number)+2) + bar + " "
}

// printable keeps what a source file says from steering the terminal. Further lines are indented.
func printable(s string) string {
	return strings.ReplaceAll(strings.Map(func(r rune) rune {
		if unicode.IsControl(r) && r != '\t' && r != '\n' {
			return unicode.ReplacementChar
		}
		return r
	}, s), "\n", "\n    ")
}
