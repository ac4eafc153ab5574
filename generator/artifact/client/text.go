package client

import (
	"fmt"
	"strings"
	"unicode"

	"github.com/stella-ops/router/spec"
)

// Lines is documentation as lines without anything that ends one, or that source code cannot hold.
func Lines(doc string) []string {
	doc = strings.TrimSpace(strings.NewReplacer("\u2028", "\n", "\u2029", "\n").Replace(doc))
	if doc == "" {
		return nil
	}
	lines := strings.Split(doc, "\n")
	for i := range lines {
		lines[i] = Line(lines[i])
	}
	return lines
}

// Line is text in one line that source code can hold.
func Line(text string) string {
	text = strings.Map(func(r rune) rune {
		switch {
		case r == '\t':
			return r
		case r == '\n' || r == '\u2028' || r == '\u2029':
			return ' '
		case unicode.IsControl(r) || r == '\ufeff' || r == unicode.ReplacementChar:
			return -1
		}
		return r
	}, text)
	return strings.TrimRightFunc(text, unicode.IsSpace)
}

// Constraints are what a schema asks for beside its type, by the keywords of JSON Schema; empty where it asks for nothing.
func Constraints(s *spec.Schema) string {
	var parts []string
	add := func(is bool, format string, args ...any) {
		if is {
			parts = append(parts, fmt.Sprintf(format, args...))
		}
	}
	add(s.Format != "", "format %s", s.Format)
	add(s.Minimum != "", "minimum %s", s.Minimum)
	add(s.Maximum != "", "maximum %s", s.Maximum)
	add(s.Above != "", "exclusiveMinimum %s", s.Above)
	add(s.Below != "", "exclusiveMaximum %s", s.Below)
	add(s.MultipleOf != "", "multipleOf %s", s.MultipleOf)
	add(s.MinLength > 0, "minLength %d", s.MinLength)
	if s.MaxLength != nil {
		add(true, "maxLength %d", *s.MaxLength)
	}
	add(s.Pattern != "", "pattern %s", s.Pattern)
	add(s.MinItems > 0, "minItems %d", s.MinItems)
	if s.MaxItems != nil {
		add(true, "maxItems %d", *s.MaxItems)
	}
	add(s.Unique, "uniqueItems")
	if s.Default != nil {
		add(true, "default %q", *s.Default)
	}
	return strings.Join(parts, ", ")
}

// Deprecation says how long an endpoint lasts; empty where nothing is known of its end.
func Deprecation(e *spec.Endpoint) string {
	switch {
	case e.Deprecated != "" && e.Sunset != "":
		return e.Deprecated + " (it may go after " + e.Sunset + ")"
	case e.Sunset != "":
		return "it may go after " + e.Sunset
	}
	return e.Deprecated
}
