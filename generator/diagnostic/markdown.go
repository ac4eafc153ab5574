package diagnostic

import (
	"bytes"
	"fmt"
	"strings"
)

// markdownLimit bounds the markdown format, in bytes. GitHub refuses step summaries above 1 MiB.
const markdownLimit = 1_000_000

// markdownTail is room for the line about what was left out.
const markdownTail = 200

// markdownCell keeps text from ending a table's cell or from being anything but text.
var markdownCell = strings.NewReplacer("\\", "\\\\", "|", "\\|", "\r", "", "\n", "<br>", "<", "&lt;", ">", "&gt;", "&", "&amp;",
	"*", "\\*", "_", "\\_", "`", "\\`", "[", "\\[", "]", "\\]", "@", "&#64;")

func writeMarkdown(out *bytes.Buffer, r *Report, _ Style) error {
	c := r.Count()
	fmt.Fprintf(out, "**%s**: %s, %s, %d info, %d waived\n", toolName, count(c.Errors, "error"), count(c.Warnings, "warning"), c.Infos, c.Waived)
	omitted := r.Omitted
	for i, f := range r.Findings {
		if i == 0 {
			out.WriteString("\n| severity | rule | place | finding |\n|---|---|---|---|\n")
		}
		row := r.markdownRow(f)
		if out.Len()+len(row) > markdownLimit-markdownTail {
			omitted += len(r.Findings) - i
			break
		}
		out.WriteString(row)
	}
	if omitted > 0 {
		fmt.Fprintf(out, "\nLeft out: %s. The text, json and sarif formats have all.\n", count(omitted, "more finding"))
	}
	return nil
}

func (r *Report) markdownRow(f Finding) string {
	severity, rule, place := f.Severity.String(), string(f.Rule), ""
	if name := r.rule(f.Rule).Name; name != "" {
		rule += " " + name
	}
	if f.Pos.Filename != "" {
		place = r.place(f.Pos)
	}
	text := withHint(f)
	if f.Waiver != "" {
		severity, text = "waived", f.Message+"\nwaived: "+f.Waiver
	}
	cells := []string{severity, rule, place, text}
	for i := range cells {
		cells[i] = markdownCell.Replace(cells[i])
	}
	return "| " + strings.Join(cells, " | ") + " |\n"
}
