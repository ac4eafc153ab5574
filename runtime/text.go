package stella

import (
	"bytes"
	"encoding/json"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// One rule for all text that becomes a Go string of a handler's input: it is valid UTF-8. In JSON this also asks for
// escapes that are whole surrogate pairs, since half a pair has no UTF-8 form and would silently become U+FFFD.
const (
	notUTF8  = "expected UTF-8 text, got other bytes"
	halfPair = `expected whole surrogate pairs in \u escapes, got half of one`
)

// unquote decodes a JSON string that has been checked. It tells what is wrong with it, or gives an empty detail. The
// text of a wrong one is for finding and naming things only.
func unquote(raw []byte) (text, detail string) {
	inner := raw[1 : len(raw)-1]
	valid := utf8.Valid(inner)
	if valid && bytes.IndexByte(inner, '\\') < 0 {
		return string(inner), ""
	}
	if valid && wholePairs(inner) {
		return unescape(inner), ""
	}
	detail = halfPair
	if !valid {
		detail = notUTF8
	}
	var decoded string // apart from the result, which would be allocated for plain text, too
	if err := json.Unmarshal(raw, &decoded); err != nil {
		return "", notUTF8
	}
	return decoded, detail
}

// unescape replaces the escapes (RFC 8259, section 7) of a string's inside that has been checked. No escape is shorter
// than what it stands for.
func unescape(inner []byte) string {
	var out strings.Builder
	out.Grow(len(inner))
	for {
		plain := bytes.IndexByte(inner, '\\')
		if plain < 0 {
			out.Write(inner)
			return out.String()
		}
		out.Write(inner[:plain])
		inner = inner[plain:]
		unit, isUnit := escapedUnit(inner)
		switch {
		case !isUnit:
			out.WriteByte(escaped[inner[1]])
			inner = inner[2:]
		case utf16.IsSurrogate(unit):
			second, _ := escapedUnit(inner[unitLen:])
			out.WriteRune(utf16.DecodeRune(unit, second))
			inner = inner[2*unitLen:]
		default:
			out.WriteRune(unit)
			inner = inner[unitLen:]
		}
	}
}

// escaped is what the byte after a backslash stands for.
var escaped = [256]byte{'"': '"', '\\': '\\', '/': '/', 'b': '\b', 'f': '\f', 'n': '\n', 'r': '\r', 't': '\t'}

// wholePairs reports whether every \u escape of a surrogate (RFC 8259, section 7) is half of a pair that is there.
func wholePairs(inner []byte) bool {
	for i := 0; i < len(inner); i++ {
		if inner[i] != '\\' {
			continue
		}
		unit, isUnit := escapedUnit(inner[i:])
		switch {
		case !isUnit:
			i++ // over the escaped byte, which may be a backslash
			continue
		case utf16.IsSurrogate(unit):
			second, isUnit := escapedUnit(inner[i+unitLen:])
			if !isUnit || utf16.DecodeRune(unit, second) == utf8.RuneError {
				return false
			}
			i += unitLen
		}
		i += unitLen - 1
	}
	return true
}

// unitLen is the length of an escape such as \u00e9, in bytes.
const unitLen = 6

// escapedUnit is the UTF-16 code unit whose escape text begins with, if it does.
func escapedUnit(text []byte) (rune, bool) {
	if len(text) < unitLen || text[0] != '\\' || text[1] != 'u' {
		return 0, false
	}
	n, err := strconv.ParseUint(string(text[2:unitLen]), 16, 16)
	return rune(n), err == nil
}
