package diagnostic

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"go/token"
	"path/filepath"
	"strconv"
	"strings"
)

// Report is what one run has found, and what is needed to write it.
type Report struct {
	Findings []Finding
	Base     string                            // the folder that file names are shown relative to; empty shows them as they are
	Source   func(file string) ([]byte, error) // a file's bytes, for excerpts; nil shows none
	Rule     func(ID) (Rule, bool)             // nil is [Find]
	Tail     string                            // what follows the number of findings in the last line of text; may be empty
	Version  string                            // of the tool; may be empty
	Omitted  int                               // findings that were left out of Findings
}

// Counts are the findings of a report by what they mean. Those that were left out do not count.
type Counts struct {
	Errors   int `json:"errors"`
	Warnings int `json:"warnings"`
	Infos    int `json:"infos"`
	Waived   int `json:"waived"`
}

// Count counts the findings. One that is waived counts as nothing else.
func (r *Report) Count() (c Counts) {
	for _, f := range r.Findings {
		switch {
		case f.Waiver != "":
			c.Waived++
		case f.Severity == Error:
			c.Errors++
		case f.Severity == Warning:
			c.Warnings++
		default:
			c.Infos++
		}
	}
	return c
}

// Fails reports whether a finding that is not waived is at least as grave as the given severity.
func (r *Report) Fails(least Severity) bool {
	for _, f := range r.Findings {
		if f.Waiver == "" && f.Severity <= least {
			return true
		}
	}
	return false
}

// Limit leaves out the findings behind the first n; 0 leaves out none.
func (r *Report) Limit(n int) {
	if n > 0 && len(r.Findings) > n {
		r.Omitted += len(r.Findings) - n
		r.Findings = r.Findings[:n]
	}
}

// rule is what the tables say of an id; its ID alone if they say nothing.
func (r *Report) rule(id ID) Rule {
	find := r.Rule
	if find == nil {
		find = Find
	}
	if rule, ok := find(id); ok {
		return rule
	}
	return Rule{ID: id, Title: string(id)}
}

// file is a file's name as it is shown: with slashes, and relative to the base.
func (r *Report) file(name string) string {
	if r.Base == "" || name == "" {
		return filepath.ToSlash(name)
	}
	if rel, err := filepath.Rel(r.Base, name); err == nil {
		name = rel
	}
	return filepath.ToSlash(name)
}

func (r *Report) place(pos token.Position) string {
	pos.Filename = r.file(pos.Filename)
	return pos.String()
}

// line is the source line at a place, without its end, and whether it is known.
func (r *Report) line(pos token.Position) ([]byte, bool) {
	if r.Source == nil || !pos.IsValid() {
		return nil, false
	}
	src, err := r.Source(pos.Filename)
	if err != nil {
		return nil, false // the place is known, only its text is not
	}
	for n := 1; n < pos.Line; n++ {
		i := bytes.IndexByte(src, '\n')
		if i < 0 {
			return nil, false
		}
		src = src[i+1:]
	}
	src, _, _ = bytes.Cut(src, []byte{'\n'})
	return bytes.TrimRight(src, "\r"), true
}

// span is where a finding's text begins and ends in its line, in bytes from 0.
func span(line []byte, column, width int) (from, to int) {
	from = min(max(column, 1)-1, len(line))
	return from, min(from+max(width, 1), len(line))
}

// fingerprints are one for each finding, all different. None depends on the wording of a message, on the number of a
// line, or on the folder that the module is in: unless a finding brings its own, it is made from the rule, the file, the
// endpoint, the source line and the part of it that is meant.
func (r *Report) fingerprints() []string {
	prints, seen := make([]string, len(r.Findings)), map[string]int{}
	for i, f := range r.Findings {
		id := cmp.Or(f.Fingerprint, r.fingerprint(f))
		seen[id]++
		if n := seen[id]; n > 1 {
			id += "-" + strconv.Itoa(n)
		}
		prints[i] = id
	}
	return prints
}

// fingerprintBytes are those of a SHA-256 sum that a fingerprint shows.
const fingerprintBytes = 8

func (r *Report) fingerprint(f Finding) string {
	line, _ := r.line(f.Pos)
	from, to := span(line, f.Pos.Column, f.Width)
	parts := []string{string(f.Rule), r.file(f.Pos.Filename), f.Endpoint, strings.TrimSpace(string(line)), string(line[from:to])}
	sum := sha256.Sum256([]byte(strings.Join(parts, "\x00")))
	return hex.EncodeToString(sum[:fingerprintBytes])
}

// count is a number and its noun.
func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
