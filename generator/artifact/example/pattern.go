package example

import (
	"regexp/syntax"
	"strings"
)

// matching is a short text that an expression matches. Assertions but for the text's ends are not looked at.
func matching(pattern string) string {
	re, err := syntax.Parse(pattern, syntax.Perl)
	if err != nil {
		return ""
	}
	var out strings.Builder
	write(&out, re)
	return out.String()
}

// most bounds the text, in bytes: patterns may repeat what repeats.
const most = 200

func write(out *strings.Builder, re *syntax.Regexp) {
	if out.Len() > most {
		return
	}
	switch re.Op { //nolint:exhaustive // the others match the empty text
	case syntax.OpLiteral:
		out.WriteString(string(re.Rune))
	case syntax.OpCharClass:
		out.WriteRune(pick(re.Rune))
	case syntax.OpAnyChar, syntax.OpAnyCharNotNL:
		out.WriteByte('a')
	case syntax.OpCapture, syntax.OpPlus:
		write(out, re.Sub[0])
	case syntax.OpRepeat:
		for range max(re.Min, min(re.Max, 1)) {
			write(out, re.Sub[0])
		}
	case syntax.OpConcat:
		for _, sub := range re.Sub {
			write(out, sub)
		}
	case syntax.OpAlternate:
		write(out, re.Sub[0])
	}
}

// pick is a rune of a class: a letter or digit if there is one.
func pick(ranges []rune) rune {
	for _, want := range "aA1" {
		for i := 0; i+1 < len(ranges); i += 2 {
			if ranges[i] <= want && want <= ranges[i+1] {
				return want
			}
		}
	}
	if len(ranges) == 0 {
		return 'a'
	}
	return ranges[0]
}
