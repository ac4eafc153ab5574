package goclient

import (
	"strings"

	"github.com/stella-ops/router/spec"
)

// writeValue writes what adds a value as text, or each item of an array, unless it is missing. add is the call up to the text.
func (w *writer) writeValue(s *spec.Schema, value string, required, pointer bool, add string) {
	target, _ := w.Resolve(s)
	switch {
	case target.Type == spec.TypeArray && target.Items != nil:
		item := "v"
		if strings.HasPrefix(w.nilable(target.Items), "*") {
			item = "*v"
			w.linef("for _, v := range %s {\nif v == nil {\ncontinue\n}", value)
		} else {
			w.linef("for _, v := range %s {", value)
		}
		w.linef("%s%s)\n}", add, w.text(target.Items, item))
	case pointer:
		w.linef("if %s != nil {\n%s%s)\n}", value, add, w.text(s, "*"+value))
	case required:
		w.linef("%s%s)", add, w.text(s, value))
	default:
		w.linef("if %s {\n%s%s)\n}", w.notZero(s, value), add, w.text(s, value))
	}
}

// notZero is the condition under which a value is there.
func (w *writer) notZero(s *spec.Schema, value string) string {
	target, _ := w.Resolve(s)
	switch {
	case w.hasNil(s):
		return value + " != nil"
	case target.Type == spec.TypeBoolean:
		return "bool(" + value + ")"
	case target.Type == spec.TypeString && w.resolved(s) == goTime:
		return "!" + value + ".IsZero()"
	case target.Type == spec.TypeString:
		return value + ` != ""`
	}
	return value + " != 0"
}

// resolved is the type that s has behind its names.
func (w *writer) resolved(s *spec.Schema) string {
	target, _ := w.Resolve(s)
	return w.shape(target)
}

// text is a value as text.
func (w *writer) text(s *spec.Schema, value string) string {
	target, _ := w.Resolve(s)
	switch target.Type {
	case spec.TypeString:
		switch w.shape(target) {
		case goTime:
			return "formatTime(" + value + ")"
		case goBytes:
			return "formatBytes(" + value + ")"
		case goFile: // there is none outside of forms
			return "formatJSON(" + value + ")"
		}
		return "formatText(" + value + ")"
	case spec.TypeInteger:
		return "formatInt(" + value + ")"
	case spec.TypeNumber:
		return "formatFloat(" + value + ")"
	case spec.TypeBoolean:
		return "formatBool(" + value + ")"
	}
	return "formatJSON(" + value + ")"
}

// parse is the function that reads a header field.
func (w *writer) parse(s *spec.Schema) string {
	target, _ := w.Resolve(s)
	name := w.base(s)
	switch target.Type {
	case spec.TypeString:
		switch w.shape(target) {
		case goTime:
			return "parseTime"
		case goBytes, goFile:
			return "parseJSON[" + name + "]"
		}
		return "parseText[" + name + "]"
	case spec.TypeInteger:
		return "parseInt[" + name + "]"
	case spec.TypeNumber:
		return "parseFloat[" + name + "]"
	case spec.TypeBoolean:
		return "parseBool[" + name + "]"
	}
	return "parseJSON[" + name + "]"
}
