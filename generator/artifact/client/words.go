package client

import (
	"strings"
	"unicode"
)

// initialisms are words that Go writes in capitals.
var initialisms = map[string]bool{
	"api": true, "html": true, "http": true, "https": true, "id": true, "ip": true, "json": true, "sql": true,
	"ttl": true, "uri": true, "url": true, "uuid": true, "xml": true,
}

// verticalTilde is a letter that is no part of identifiers in TypeScript (UAX #31).
const verticalTilde = '\u2e2f'

// words splits text where its letters turn to capitals, and at whatever is neither a letter nor a digit.
func words(text string) []string {
	var out []string
	var word []rune
	end := func() {
		if len(word) > 0 {
			out, word = append(out, string(word)), nil
		}
	}
	runes := []rune(text)
	for i, r := range runes {
		switch {
		case !unicode.IsLetter(r) && !unicode.IsDigit(r) || r == verticalTilde:
			end()
			continue
		case unicode.IsUpper(r) && i > 0:
			ahead := i+1 < len(runes) && unicode.IsLower(runes[i+1])
			if unicode.IsLower(runes[i-1]) || unicode.IsDigit(runes[i-1]) || unicode.IsUpper(runes[i-1]) && ahead {
				end()
			}
		}
		word = append(word, r)
	}
	end()
	return out
}

// Exported is text as an identifier that begins with a capital: what Go exports, and what TypeScript calls types. Text
// without a letter or digit is Empty; what cannot begin with a capital gets an X before it.
func Exported(text string) string {
	var b strings.Builder
	for _, w := range words(text) {
		if lower := strings.ToLower(w); initialisms[lower] {
			b.WriteString(strings.ToUpper(lower))
			continue
		}
		r := []rune(w)
		b.WriteString(string(unicode.ToUpper(r[0])) + string(r[1:]))
	}
	switch name := b.String(); {
	case name == "":
		return "Empty"
	case !unicode.IsUpper([]rune(name)[0]):
		return "X" + name
	default:
		return name
	}
}

// Camel is text as an identifier that begins with a small letter.
func Camel(text string) string {
	list := words(text)
	if len(list) == 0 {
		return "empty"
	}
	name := strings.ToLower(list[0])
	if len(list) > 1 {
		rest := Exported(strings.Join(list[1:], " "))
		name += rest
	}
	if first := []rune(name)[0]; !unicode.IsLetter(first) {
		return "x" + name
	}
	return name
}

// Names are those that are taken in one scope.
type Names map[string]bool

// Reserve takes names.
func (n Names) Reserve(names ...string) {
	for _, name := range names {
		n[name] = true
	}
}

// Take takes the first of the names that is free, or the last with the lowest number from 2 that makes it so.
func (n Names) Take(names ...string) string { return n.TakeWith(nil, names...) }

// TakeWith takes a name as [Names.Take] does, of which the variants with these suffixes are free, too, and takes those.
func (n Names) TakeWith(suffixes []string, names ...string) string {
	take := func(name string) bool {
		if n[name] {
			return false
		}
		for _, s := range suffixes {
			if n[name+s] {
				return false
			}
		}
		n[name] = true
		for _, s := range suffixes {
			n[name+s] = true
		}
		return true
	}
	for _, name := range names {
		if take(name) {
			return name
		}
	}
	last := names[len(names)-1]
	for i := 2; ; i++ {
		if name := last + decimal(i); take(name) {
			return name
		}
	}
}
