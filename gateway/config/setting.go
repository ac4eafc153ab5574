package config

import (
	"reflect"
	"slices"
	"strings"
	"time"
	"unicode"
)

// setting is one field of [File], or of a struct in it: what its tags say.
type setting struct {
	key      string
	doc      string
	preset   string // what counts if nobody says anything; empty: the zero value
	env      string // empty: it has no variable
	format   string // that its text, or the texts of its list or map, have to have; empty: any
	keys     string // the format of a map's keys
	oneOf    []string
	min, max string
	required bool
	restart  bool
	secret   bool

	index int
	typ   reflect.Type
}

// settingsOf are the settings of a struct, in their order. inherited are what the section around it says.
func settingsOf(t reflect.Type) []setting {
	list := make([]setting, 0, t.NumField())
	for i := range t.NumField() {
		f := t.Field(i)
		s := setting{
			key: f.Tag.Get("key"), doc: f.Tag.Get("doc"), preset: f.Tag.Get("default"), env: f.Tag.Get("env"), format: f.Tag.Get("is"),
			keys: f.Tag.Get("keys"), oneOf: strings.Fields(f.Tag.Get("oneof")), min: f.Tag.Get("min"), max: f.Tag.Get("max"),
			required: f.Tag.Get("required") == yes, restart: f.Tag.Get("restart") == yes, secret: f.Tag.Get("secret") == yes,
			index: i, typ: f.Type,
		}
		list = append(list, s)
	}
	return list
}

const yes = "yes"

// shape is how a setting is written.
type shape int

const (
	scalar  shape = iota // one text
	list                 // texts
	table                // texts by text
	section              // keys
	entries              // sections in a list
	named                // sections by text
)

var (
	durationType = reflect.TypeFor[time.Duration]()
	sizeType     = reflect.TypeFor[Size]()
)

func shapeOf(t reflect.Type) shape {
	switch {
	case t.Kind() == reflect.Pointer, t.Kind() == reflect.Struct:
		return section
	case t.Kind() == reflect.Slice && shapeOf(t.Elem()) == section:
		return entries
	case t.Kind() == reflect.Slice:
		return list
	case t.Kind() == reflect.Map && shapeOf(t.Elem()) == section:
		return named
	case t.Kind() == reflect.Map:
		return table
	}
	return scalar
}

// flat reports whether a setting can be given as one text: by a variable or a flag.
func (s shape) flat() bool { return s == scalar || s == list || s == table }

// structOf is the struct of a section.
func structOf(t reflect.Type) reflect.Type {
	switch t.Kind() { //nolint:exhaustive // a section is one of these
	case reflect.Pointer, reflect.Slice, reflect.Map:
		return structOf(t.Elem())
	}
	return t
}

// variable is the name of the variable for the setting at a path.
func (s *setting) variable(path string) string {
	if s.env != "" {
		return s.env
	}
	var b strings.Builder
	b.WriteString("STELLA_")
	for _, r := range path {
		switch {
		case r == '.':
			b.WriteByte('_')
			continue
		case unicode.IsUpper(r):
			b.WriteByte('_')
		}
		b.WriteRune(unicode.ToUpper(r))
	}
	return b.String()
}

// join is the path of a setting in a section.
func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}

// Help is a setting's documentation for a flag: what it means, its default and its variable. It is empty for a path that
// no setting has.
func Help(path string) string {
	t := reflect.TypeFor[File]()
	rest, at := path, ""
	for {
		key, below, more := strings.Cut(rest, ".")
		settings := settingsOf(t)
		i := slices.IndexFunc(settings, func(s setting) bool { return s.key == key })
		if i < 0 {
			return ""
		}
		s := &settings[i]
		at = join(at, key)
		if !more {
			notes := "$" + s.variable(at)
			if s.preset != "" {
				notes = s.preset + ", " + notes
			}
			return strings.TrimSuffix(s.doc, ".") + " (" + notes + ")."
		}
		t, rest = s.typ, below
	}
}
