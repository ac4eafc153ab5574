package lint

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// words are those that a name is made of, in lower case: customerID and customer_id are both customer and id.
func words(name string) []string {
	var found []string
	start := 0
	cut := func(end int) {
		if end > start {
			found = append(found, strings.ToLower(name[start:end]))
		}
		start = end
	}
	runes := []rune(name)
	at := 0
	for i, r := range runes {
		switch {
		case !unicode.IsLetter(r) && !unicode.IsDigit(r):
			cut(at)
			start = at + utf8.RuneLen(r)
		case i > 0 && unicode.IsUpper(r) && (unicode.IsLower(runes[i-1]) || i+1 < len(runes) && unicode.IsLower(runes[i+1])):
			cut(at)
		}
		at += utf8.RuneLen(r)
	}
	cut(at)
	return found
}

// camel joins words as lowerCamelCase.
func camel(list []string) string {
	var b strings.Builder
	for i, w := range list {
		if first, size := utf8.DecodeRuneInString(w); i > 0 {
			b.WriteRune(unicode.ToUpper(first))
			w = w[size:]
		}
		b.WriteString(w)
	}
	return b.String()
}

func isCamel(s string) bool {
	return s != "" && s[0] >= 'a' && s[0] <= 'z' && !strings.ContainsFunc(s, func(r rune) bool { return !isAlphanumeric(r) })
}

func isAlphanumeric(r rune) bool {
	return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9'
}

// isKebab reports whether s is words of lower-case letters and digits with a dash between them.
func isKebab(s string) bool {
	for word := range strings.SplitSeq(s, "-") {
		if word == "" || strings.Trim(word, "abcdefghijklmnopqrstuvwxyz0123456789") != "" {
			return false
		}
	}
	return true
}

// among reports whether one of list is in set.
func among(list []string, set ...string) bool {
	return slices.ContainsFunc(list, func(w string) bool { return slices.Contains(set, w) })
}

func sortedKeys[K cmp.Ordered, V any](m map[K]V) []K { return slices.Sorted(maps.Keys(m)) }
