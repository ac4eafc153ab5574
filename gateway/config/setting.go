package config

import (
	"reflect"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode"
)

// setting is one key of the file: a field of [File], or of a struct in it.
type setting struct {
	path     string // in the file: [] stands for any item of a list
	doc      string // what it means
	preset   string // what counts if nobody says anything; empty: the zero value
	unless   string // the key beside it that leaves no need for the preset
	unsaid   string // in words, what counts if nobody says anything, where that is neither one value nor none
	env      string // the variable, where it is not STELLA_ and the path
	format   string // that its text, or the texts of its list or map, have to have: see formats; empty: any
	keys     string // the format of a map's keys
	like     string // the section of the table whose settings its items have, too
	oneOf    []string
	min, max string // of a number, time or size
	required bool
	with     string // the setting that this one is about: while that waits for a restart, so does this one
	restart  bool   // it cannot change while the gateway runs, nor can what is below it
	secret   bool   // it is not shown

	key   string
	base  string // the section that says what counts if nobody says anything; empty: there is none
	index int    // of the field
	typ   reflect.Type
}

// byPath finds a setting in the table.
var byPath = func() map[string]*setting {
	m := make(map[string]*setting, len(settings))
	for i := range settings {
		m[strings.TrimSuffix(settings[i].path, "[]")] = &settings[i]
		for j := range settings {
			below, ok := strings.CutPrefix(settings[j].path, settings[i].like+".")
			if ok && settings[i].like != "" {
				own := settings[j]
				if own.preset != "" {
					own.preset, own.unless, own.base = "", "", settings[i].like
				}
				m[strings.TrimSuffix(join(settings[i].path, below), "[]")] = &own
			}
		}
	}
	return m
}()

// settingsOf are the settings of a section, in their order.
func settingsOf(t reflect.Type, path string) []setting {
	pattern := patternOf(path)
	list := make([]setting, 0, t.NumField())
	for i := range t.NumField() {
		f := t.Field(i)
		key := f.Tag.Get("key")
		s := setting{}
		if known := byPath[join(pattern, key)]; known != nil { // a test holds that all are
			s = *known
		}
		s.key, s.index, s.typ = key, i, f.Type
		list = append(list, s)
	}
	return list
}

// items are what stands in the paths of a list's items and of a map's values.
var items = regexp.MustCompile(`\[[^\]]*\]`)

// patternOf is a path as the table has it.
func patternOf(path string) string { return items.ReplaceAllString(path, "[]") }

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
	b.WriteString(variablePrefix)
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
		settings := settingsOf(t, at)
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
