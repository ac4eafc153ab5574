package directive

import (
	"go/ast"
	"go/token"
	"strconv"
	"strings"

	"github.com/stella-ops/router/generator/diagnostic"
)

// Format writes a directive in its canonical form: positional arguments first, keys in the order of the registry, one
// space between them, quotes only where they are needed or a sentence is meant. The text of a comment that is no
// directive, or has findings, stays as it is.
func Format(comment string) string {
	d := parseText(comment)
	if d == nil {
		return comment
	}
	def, _ := Lookup(d.Name)
	words := []string{"//" + prefix + def.Name}
	for i, v := range d.Args {
		words = append(words, def.Args[i].write(v, def.Rest && i == len(def.Args)-1))
	}
	for _, k := range def.Keys {
		v, given := d.Keys[k.Name]
		switch {
		case !given:
		case k.Type == Flag:
			words = append(words, k.Name)
		default:
			words = append(words, k.Name+"="+k.write(v, false))
		}
	}
	text := strings.Join(words, " ")
	if again := parseText(text); again == nil || !same(d, again) {
		return comment // it would say something else
	}
	return text
}

func parseText(comment string) *Directive {
	var list diagnostic.List
	fset := token.NewFileSet()
	fset.AddFile("", 1, len(comment)+1)
	d := Parse(fset, &ast.Comment{Slash: 1, Text: strings.TrimRight(comment, " \t\r")}, &list)
	if list.Len() > 0 {
		return nil
	}
	return d
}

// write is a value as it stands in a directive; rest is for one that takes all that is left of the line.
func (k Key) write(v Value, rest bool) string {
	switch {
	case rest:
		return v.Text
	case k.Type == List:
		items := make([]string, len(v.List))
		for i, item := range v.List {
			items[i] = quote(item, strings.Contains(item, ","))
		}
		return strings.Join(items, ",")
	}
	sentence := k.Type == Text && k.Required
	return quote(v.Text, sentence)
}

func quote(text string, always bool) string {
	if always || text == "" || strings.ContainsAny(text, " \t\"`") || strings.HasPrefix(text, "//") {
		return strconv.Quote(text)
	}
	return text
}

// same reports whether two directives say the same.
func same(a, b *Directive) bool {
	if a.Name != b.Name || len(a.Args) != len(b.Args) || len(a.Keys) != len(b.Keys) {
		return false
	}
	for i := range a.Args {
		if a.Args[i].Text != b.Args[i].Text {
			return false
		}
	}
	for name, v := range a.Keys {
		if w, ok := b.Keys[name]; !ok || v.Text != w.Text || strings.Join(v.List, "\x00") != strings.Join(w.List, "\x00") {
			return false
		}
	}
	return true
}
