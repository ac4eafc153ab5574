package example

import (
	"encoding/base64"
	"fmt"
	"regexp"
	"regexp/syntax"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/stella-ops/router/spec"
)

// word is what a text is where nothing is asked of it.
const word = "example"

// formats has an example of each format. A test holds that there is one for each of [spec.Formats].
var formats = map[string]string{
	"date":        "2026-01-31",
	"date-time":   "2026-01-31T12:00:00Z",
	"time":        "12:00:00Z",
	"email":       "somebody@example.com",
	"hostname":    "host.example.com",
	"ipv4":        "192.0.2.1",
	"ipv6":        "2001:db8::1",
	"password":    word,
	"uri":         "https://example.com/",
	"uuid":        "0198c0de-0000-7000-8000-000000000001",
	"go-duration": "1s",
	"byte":        base64.StdEncoding.EncodeToString([]byte(word)),
}

func fitsText(s *spec.Schema, v string) bool {
	n := utf8.RuneCountInString(v)
	if n < s.MinLength || s.MaxLength != nil && n > *s.MaxLength || !spec.HasFormat(s.Format, v) {
		return false
	}
	if s.Format == "byte" && !isBase64(v) {
		return false
	}
	if s.Pattern == "" {
		return true
	}
	matches, err := regexp.MatchString(s.Pattern, v)
	return err == nil && matches
}

func isBase64(v string) bool {
	_, err := base64.StdEncoding.DecodeString(v)
	return err == nil
}

// texts yields an example of the format, then texts that the pattern describes, then words of a length that is asked for.
func texts(s *spec.Schema, yield func(string) bool) {
	if s.MinLength > maxText {
		return
	}
	if v, known := formats[s.Format]; known && !yield(v) {
		return
	}
	if s.Pattern != "" {
		matching(s, yield)
		return
	}
	plain := word
	if s.MaxLength != nil && *s.MaxLength < len(plain) {
		plain = plain[:*s.MaxLength]
	}
	plain = pad(plain, s.MinLength)
	if !yield(plain) {
		return
	}
	for i := 2; i < maxTries; i++ { // others, for arrays of different items
		suffix := strconv.Itoa(i)
		v := plain + suffix
		if s.MaxLength != nil && len(v) > *s.MaxLength {
			v = plain[:max(0, *s.MaxLength-len(suffix))] + suffix
		}
		if !yield(v) {
			return
		}
	}
}

// pad makes a text of ASCII at least so long.
func pad(v string, length int) string {
	if len(v) >= length {
		return v
	}
	return v + strings.Repeat("a", length-len(v))
}

// matching yields texts that a pattern describes: with few repetitions first, then with more, and of alternatives the first
// ones first. What the pattern's assertions make of them is left to the judge.
func matching(s *spec.Schema, yield func(string) bool) {
	tree, err := syntax.Parse(s.Pattern, syntax.Perl)
	if err != nil {
		return
	}
	for _, more := range []int{0, 1, 2, 3, 4, 6, 8, 12, 16, 32, s.MinLength} {
		for choice := range 8 {
			g := &generator{more: more, choice: choice}
			g.write(tree)
			v := g.out.String()
			if g.runes > maxText {
				continue
			}
			for _, v := range []string{v, pad(v, s.MinLength), strings.Repeat("a", max(0, s.MinLength-g.runes)) + v} {
				if !yield(v) {
					return
				}
			}
		}
	}
}

// generator writes a text that a pattern describes.
type generator struct {
	more   int // how often what may be repeated is, beyond what it has to be
	choice int // which of several alternatives and characters is taken
	out    strings.Builder
	runes  int
}

func (g *generator) rune(r rune) {
	if g.runes++; g.runes <= maxText {
		g.out.WriteRune(r)
	}
}

func (g *generator) write(re *syntax.Regexp) {
	switch re.Op {
	case syntax.OpLiteral:
		for _, r := range re.Rune {
			g.rune(r)
		}
	case syntax.OpCharClass:
		g.rune(pick(re.Rune, g.choice))
	case syntax.OpAnyChar, syntax.OpAnyCharNotNL:
		g.rune(rune('a' + g.choice))
	case syntax.OpCapture, syntax.OpConcat:
		for _, sub := range re.Sub {
			g.write(sub)
		}
	case syntax.OpAlternate:
		g.write(re.Sub[g.choice%len(re.Sub)])
	case syntax.OpStar:
		g.repeat(re.Sub[0], g.more)
	case syntax.OpPlus:
		g.repeat(re.Sub[0], 1+g.more)
	case syntax.OpQuest:
		g.repeat(re.Sub[0], min(1, g.more))
	case syntax.OpRepeat:
		n := re.Min + g.more
		if re.Max >= 0 {
			n = min(n, re.Max)
		}
		g.repeat(re.Sub[0], n)
	default: // assertions and what matches nothing
	}
}

func (g *generator) repeat(re *syntax.Regexp, n int) {
	for range n {
		if g.runes > maxText {
			return
		}
		g.write(re)
	}
}

// preferred are characters that are easy to read, in this order.
const preferred = "abcdefghABCDEFGH01234567 -_.,:/"

// pick is a character of a class, given as pairs of the first and the last of each range.
func pick(ranges []rune, choice int) rune {
	in := func(r rune) bool {
		for i := 0; i+1 < len(ranges); i += 2 {
			if r >= ranges[i] && r <= ranges[i+1] {
				return true
			}
		}
		return false
	}
	if allowed := slices.DeleteFunc([]rune(preferred), func(r rune) bool { return !in(r) }); len(allowed) > 0 {
		return allowed[choice%len(allowed)]
	}
	for i := 0; i+1 < len(ranges); i += 2 {
		for r := ranges[i]; r <= ranges[i+1] && r-ranges[i] < 256; r++ {
			if unicode.IsPrint(r) {
				return r
			}
		}
	}
	if len(ranges) == 0 {
		return utf8.RuneError
	}
	return ranges[0]
}

// describe names what a schema asks for, for errors.
func describe(s *spec.Schema) string {
	switch {
	case s.Pattern != "":
		return fmt.Sprintf("the pattern %q and the other constraints", s.Pattern)
	case s.Format != "":
		return "the format " + s.Format + " and the other constraints"
	}
	return "the constraints"
}
