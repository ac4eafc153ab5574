package diagnostic

import (
	"bytes"
	"fmt"
	"io"
	"slices"
)

// Format is one way to write a report.
type Format struct {
	Name  string
	Doc   string // one sentence
	write func(*bytes.Buffer, *Report, Style) error
}

// Style is how text looks; the other formats look the same everywhere.
type Style struct {
	Color bool
	Frame Frame
}

// Frame is what stands beside source lines.
type Frame int

// The frames.
const (
	NoFrame Frame = iota // source lines are indented: for files and pipes
	ASCII                // a margin with the line's number
	Unicode              // the same, with box drawing
)

// TextFormat is the name of the format for people.
const TextFormat = "text"

// Formats returns all formats, in the order of their documentation.
func Formats() []Format { return slices.Clone(formats) }

// FindFormat returns the format of this name.
func FindFormat(name string) (Format, bool) {
	i := slices.IndexFunc(formats, func(f Format) bool { return f.Name == name })
	if i < 0 {
		return Format{}, false
	}
	return formats[i], true
}

var formats = []Format{
	{TextFormat, "for people: place, message, source line, what to do", writeText},
	{"json", "one object with all findings and their number", writeJSON},
	{"ndjson", "one JSON object a line for each finding", writeNDJSON},
	{"sarif", "SARIF 2.1.0, for code scanning and editors", writeSARIF},
	{"github", "workflow commands of GitHub Actions: at most 10 errors and 10 warnings, and how many more", writeGitHub},
	{"gitlab", "GitLab's code quality report", writeGitLab},
	{"junit", "JUnit XML: a failed test for each finding", writeJUnit},
	{"markdown", "a table for summaries and comments, below 1 MB", writeMarkdown},
}

// Write writes a report whole or, if it cannot be made, not at all.
func (f Format) Write(w io.Writer, r *Report, style Style) error {
	var out bytes.Buffer
	if err := f.write(&out, r, style); err != nil {
		return fmt.Errorf("diagnostic: writing %s: %w", f.Name, err)
	}
	if _, err := out.WriteTo(w); err != nil {
		return fmt.Errorf("diagnostic: writing %s: %w", f.Name, err)
	}
	return nil
}
