package config

import (
	"io"
	"log/slog"
	"reflect"
	"regexp"
	"slices"

	"github.com/stella-ops/router/gateway"
)

// Agree is what the JSON Schema and a check say of a text of a format.
func Agree(format, text string) (schema, check bool) {
	f := formats[format]
	return regexp.MustCompile(f.pattern).MatchString(text), f.check(text) == nil
}

// Asked is what a source asks of a gateway, as far as it can be read.
func Asked(s Source) gateway.Config { return read(s).loaded.Gateway(io.Discard, new(slog.LevelVar)) }

// Unknown lists the paths that the table or the file's structs have and the other has not, and what is wrong with texts
// of the table.
func Unknown() (wrong []string) {
	found := map[string]bool{}
	var walk func(t reflect.Type, path string)
	walk = func(t reflect.Type, path string) {
		list := settingsOf(t, path)
		for i := range list {
			s := &list[i]
			at := join(path, s.key)
			known := byPath[at]
			if known == nil || known.doc == "" {
				wrong = append(wrong, at+" has no documentation")
				continue
			}
			found[known.path] = true
			if s.unless != "" && !slices.ContainsFunc(list, func(other setting) bool { return other.key == s.unless }) {
				wrong = append(wrong, at+": there is no "+s.unless+" beside it")
			}
			if shapeOf(s.typ).flat() && s.preset != "" {
				if _, err := s.parseFlat(s.preset); err != nil {
					wrong = append(wrong, at+": default: "+err.Error())
				}
			}
			if _, ok := formats[s.format]; s.format != "" && !ok {
				wrong = append(wrong, at+": format "+s.format)
			}
			switch shapeOf(s.typ) { //nolint:exhaustive // the others have no keys below
			case section:
				walk(structOf(s.typ), at)
			case entries, named:
				walk(structOf(s.typ), at+"[]")
			}
		}
	}
	walk(reflect.TypeFor[File](), "")
	for i := range settings {
		if !found[settings[i].path] {
			wrong = append(wrong, settings[i].path+" is in no struct")
		}
	}
	slices.Sort(wrong)
	return wrong
}
