package directive

import (
	"strconv"
	"strings"
	"unicode/utf8"
)

// arg is one argument as it is written: a bare word, a quoted text, or key=value with either as its value.
type arg struct {
	key    string // empty: positional, or a flag
	value  string // without its quotes
	at     int    // offset of the argument
	valAt  int    // offset of the value
	end    int    // offset behind the argument
	quoted bool
	list   []item // the value at its commas; a quoted part is one item
}

type item struct {
	text string
	at   int
}

// fault is a place where arguments are malformed.
type fault struct {
	at, end int
	message string
}

// scanArgs splits the text behind a directive's name. It goes on behind a fault, so that all are found at once, but not
// behind more of both than a directive may have.
//
// go/ast.Directive.ParseArgs would split key="a b" in two, and loses positions.
func scanArgs(s string) (args []arg, faults []fault) {
	for i := 0; ; {
		for i < len(s) && isSpace(s[i]) {
			i++
		}
		if i == len(s) || len(args)+len(faults) > maxArgs {
			return args, faults
		}
		a, f := scanArg(s, i)
		if f != nil {
			faults = append(faults, *f)
		} else {
			args = append(args, a)
		}
		i = a.end
	}
}

func isSpace(c byte) bool { return c == ' ' || c == '\t' || c == '\r' }

func scanArg(s string, from int) (arg, *fault) {
	a := arg{at: from, valAt: from}
	i := from
	if n := keyLength(s[i:]); n > 0 && i+n < len(s) && s[i+n] == '=' {
		a.key = s[i : i+n]
		i += n + 1
		a.valAt = i
	}
	var value strings.Builder
	for {
		text, end, quoted, f := scanAtom(s, i)
		if f != nil {
			a.end = f.end
			return a, f
		}
		a.quoted = a.quoted || quoted
		a.list = append(a.list, item{text, i})
		value.WriteString(text)
		if i = end; i == len(s) || isSpace(s[i]) {
			break
		}
		if s[i] != ',' {
			a.end = wordEnd(s, i)
			return a, &fault{i, a.end, "text behind a closing quote: separate arguments by a space, list items by a comma"}
		}
		value.WriteByte(',')
		i++
	}
	a.value, a.end = value.String(), i
	return a, nil
}

// keyLength is how many bytes at the start of s could be a key.
func keyLength(s string) int {
	for i := range len(s) {
		c := s[i]
		letter := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '_'
		if !letter && (i == 0 || c != '-' && c != '.' && (c < '0' || c > '9')) {
			return i
		}
	}
	return len(s)
}

func wordEnd(s string, i int) int {
	for i < len(s) && !isSpace(s[i]) {
		i++
	}
	return i
}

// scanAtom reads a quoted text, or a bare one up to a space or comma.
func scanAtom(s string, i int) (text string, end int, quoted bool, f *fault) {
	if i < len(s) && (s[i] == '"' || s[i] == '`') {
		prefix, err := strconv.QuotedPrefix(s[i:])
		if err != nil {
			return "", 0, true, &fault{i, len(s), "quoted text does not end, or has a wrong escape"}
		}
		text, err = strconv.Unquote(prefix)
		if err != nil || !utf8.ValidString(text) {
			return "", 0, true, &fault{i, i + len(prefix), "quoted text is not valid"}
		}
		return text, i + len(prefix), true, nil
	}
	end = i
	for end < len(s) && !isSpace(s[end]) && s[end] != ',' {
		if s[end] == '"' || s[end] == '`' {
			return "", 0, false, &fault{end, wordEnd(s, end), "quote within a word: quote the whole value"}
		}
		end++
	}
	return s[i:end], end, false, nil
}
