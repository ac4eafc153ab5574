package diagnostic

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// githubLimit is how many errors, and how many warnings, GitHub shows of one step.
const githubLimit = 10

// githubData escapes what stands behind the two colons of a workflow command, githubProperty what stands before them.
var (
	githubData     = strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A")
	githubProperty = strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A", ":", "%3A", ",", "%2C")
)

// writeGitHub writes workflow commands: the gravest findings, up to GitHub's limits, and a notice about all others.
// Findings of no consequence are only counted.
func writeGitHub(out *bytes.Buffer, r *Report, _ Style) error {
	hidden := map[Severity]int{}
	for _, s := range []Severity{Error, Warning} {
		shown := 0
		for _, f := range r.Findings {
			switch {
			case f.Severity != s || f.Waiver != "":
			case shown == githubLimit:
				hidden[s]++
			default:
				shown++
				r.github(out, f)
			}
		}
	}
	hidden[Info] = r.Count().Infos
	var parts []string
	for _, s := range []Severity{Error, Warning, Info} {
		switch n := hidden[s]; {
		case n > 0 && s == Info:
			parts = append(parts, fmt.Sprintf("%d info", n))
		case n > 0:
			parts = append(parts, count(n, s.String()))
		}
	}
	if r.Omitted > 0 {
		parts = append(parts, fmt.Sprintf("%d not listed", r.Omitted))
	}
	if len(parts) > 0 {
		more := hidden[Error] + hidden[Warning] + hidden[Info] + r.Omitted
		fmt.Fprintf(out, "::notice title=%s::%s: %s. The text, json and sarif formats have all.\n", toolName, count(more, "more finding"),
			strings.Join(parts, ", "))
	}
	return nil
}

func (r *Report) github(out *bytes.Buffer, f Finding) {
	fmt.Fprintf(out, "::%s ", f.Severity)
	property := func(name, value string) { fmt.Fprintf(out, "%s=%s,", name, githubProperty.Replace(value)) }
	if f.Pos.Filename != "" {
		property("file", r.file(f.Pos.Filename))
	}
	if f.Pos.IsValid() {
		line, _ := r.line(f.Pos)
		from, to := span(line, f.Pos.Column, f.Width)
		column := utf8.RuneCount(line[:from]) + 1
		property("line", strconv.Itoa(f.Pos.Line))
		property("col", strconv.Itoa(column))
		property("endColumn", strconv.Itoa(column+max(utf8.RuneCount(line[from:to]), 1)))
	}
	rule := r.rule(f.Rule)
	fmt.Fprintf(out, "title=%s::%s\n", githubProperty.Replace(string(f.Rule)+" "+rule.Title), githubData.Replace(withHint(f)))
}

// withHint is a finding's message and what to do about it.
func withHint(f Finding) string {
	if f.Hint == "" {
		return f.Message
	}
	return f.Message + "\nhint: " + f.Hint
}
