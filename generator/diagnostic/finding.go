package diagnostic

import (
	"cmp"
	"fmt"
	"go/token"
	"slices"
	"strings"
)

// Finding is one thing wrong with the input.
type Finding struct {
	Rule     ID
	Severity Severity       // Error unless it is said
	Pos      token.Position // invalid for a finding about no file, such as a pattern
	Width    int            // bytes of the source line that the caret underlines; 0 is 1
	Endpoint string         // METHOD /path that it is about; may be empty
	Message  string
	Hint     string    // what to do about it; may be empty
	Related  []Related // other places that belong to it
	Fixes    []Fix     // each mends it alone
	Waiver   string    // why it does not count; empty: it counts

	// Fingerprint is the same in every run that finds the same, however the message is put and wherever the line is;
	// empty for findings that nobody waives.
	Fingerprint string
}

// Severity is how much a finding matters.
type Severity int

// The severities. The zero value is the gravest.
const (
	Error Severity = iota
	Warning
	Info
)

func (s Severity) String() string { return [...]string{"error", "warning", "info"}[s] }

// Fix is a change to the source that mends a finding.
type Fix struct {
	Message string // what it does, in the imperative
	Edits   []Edit // of different places, in any order
}

// Edit replaces the bytes from Pos to End, which are in one file. Both need their offsets.
type Edit struct {
	Pos, End token.Position
	New      string
}

// Related is another place of a finding.
type Related struct {
	Pos     token.Position
	Message string
}

// List collects the findings of one run. Its zero value is empty. It is not safe for concurrent use.
type List struct{ findings []Finding }

// maxMessage bounds what a finding says, in bytes: it may cite a line of any length.
const maxMessage = 2 << 10

// Add appends a finding. Of a message that is too long for a screen only the beginning is kept.
func (l *List) Add(f Finding) {
	if len(f.Message) > maxMessage {
		f.Message = strings.ToValidUTF8(f.Message[:maxMessage], "") + "..."
	}
	l.findings = append(l.findings, f)
}

// Addf appends a finding about width bytes at pos.
func (l *List) Addf(rule ID, pos token.Position, width int, format string, args ...any) *Finding {
	l.Add(Finding{Rule: rule, Pos: pos, Width: width, Message: fmt.Sprintf(format, args...)})
	return &l.findings[len(l.findings)-1]
}

// Len is the number of findings.
func (l *List) Len() int { return len(l.findings) }

// Remove takes out the findings that drop says so of.
func (l *List) Remove(drop func(Finding) bool) { l.findings = slices.DeleteFunc(l.findings, drop) }

// Sorted returns the findings by file, line, column, rule and message, each once.
func (l *List) Sorted() []Finding {
	sorted := slices.Clone(l.findings)
	slices.SortStableFunc(sorted, compare)
	return slices.CompactFunc(sorted, func(a, b Finding) bool { return compare(a, b) == 0 })
}

func compare(a, b Finding) int {
	return cmp.Or(
		cmp.Compare(a.Pos.Filename, b.Pos.Filename),
		cmp.Compare(a.Pos.Line, b.Pos.Line),
		cmp.Compare(a.Pos.Column, b.Pos.Column),
		cmp.Compare(a.Rule, b.Rule),
		cmp.Compare(a.Message, b.Message),
	)
}
