package config

import (
	"fmt"
	"reflect"
	"strings"
)

// Reference is the table of all settings as Markdown, a section for each section of the file.
func Reference() string {
	var b strings.Builder
	referSection(&b, reflect.TypeFor[File](), "", "", false)
	return b.String()
}

// referSection writes one section, and those below it behind it.
func referSection(b *strings.Builder, t reflect.Type, path, doc string, restart bool) {
	settings := settingsOf(t, path)
	if path != "" {
		fmt.Fprintf(b, "\n## %s\n\n%s\n", path, doc)
	}
	var below []func()
	rows := 0
	for i := range settings {
		s := &settings[i]
		at := join(path, s.key)
		switch shapeOf(s.typ) { //nolint:exhaustive // the others are rows
		case section:
			below = append(below, func() { referSection(b, structOf(s.typ), at, s.doc, restart || s.restart) })
			continue
		case entries:
			below = append(below, func() {
				referSection(b, structOf(s.typ), at+"[]", s.doc+" Each has:", restart || s.restart)
			})
			continue
		case named:
			below = append(below, func() {
				referSection(b, structOf(s.typ), at+"[name]", s.doc+" Each has:", restart || s.restart)
			})
			continue
		}
		if rows++; rows == 1 {
			b.WriteString("\n| key | what | form | default | variable |\n|---|---|---|---|---|\n")
		}
		variable := ""
		if !strings.Contains(path, "[") {
			variable = "`" + s.variable(at) + "`"
		}
		preset := s.unsaid
		switch {
		case s.required:
			preset = "required"
		case s.base != "":
			preset = "that of `" + s.base + "`"
		case s.unless != "":
			preset = "`" + s.preset + "`; none with `" + s.unless + "`"
		case s.preset != "":
			preset = "`" + s.preset + "`"
		}
		note := s.doc
		if restart || s.restart {
			note += " *Restart.*"
		}
		fmt.Fprintf(b, "| `%s` | %s | %s | %s | %s |\n", s.key, escape(note), escape(s.form()), preset, variable)
	}
	for _, f := range below {
		f()
	}
}

func escape(text string) string { return strings.ReplaceAll(text, "|", `\|`) }

// form is what people may write.
func (s *setting) form() string {
	one := s.oneForm(s.typ)
	switch shapeOf(s.typ) { //nolint:exhaustive // sections have no form
	case list:
		one = "list of: " + s.oneForm(s.typ.Elem())
	case table:
		one = "by " + formats[s.keys].want + ": " + s.oneForm(s.typ.Elem())
	}
	if s.min != "" {
		one += ", at least " + s.min
	}
	if s.max != "" {
		one += ", at most " + s.max
	}
	return one
}

func (s *setting) oneForm(t reflect.Type) string {
	switch {
	case t == durationType:
		return "time"
	case t == sizeType:
		return "size"
	case t.Kind() == reflect.Int:
		return "number"
	case t.Kind() == reflect.Bool:
		return "true or false"
	case len(s.oneOf) > 0:
		return strings.Join(s.oneOf, ", ")
	case s.format != "":
		return formats[s.format].want
	}
	return "text"
}
