package lint

import (
	"fmt"
	"go/token"
	"slices"
	"strconv"
	"strings"

	"github.com/stella-ops/router/generator/diagnostic"
	"github.com/stella-ops/router/generator/scan"
)

// shift is the place n bytes behind another in the same line.
func shift(pos token.Position, n int) token.Position {
	pos.Offset, pos.Column = pos.Offset+n, pos.Column+n
	return pos
}

func insertAt(pos token.Position, text string) diagnostic.Edit {
	return diagnostic.Edit{Pos: pos, End: pos, New: text}
}

// deleteComment empties a comment that has its line for itself.
func deleteComment(at scan.Span) diagnostic.Edit {
	return diagnostic.Edit{Pos: at.Pos, End: shift(at.Pos, at.Width), New: "//"}
}

// removeArg takes an argument out of a directive, with the space before it.
func removeArg(what string, at scan.Span) diagnostic.Fix {
	return diagnostic.Fix{Message: "remove " + what, Edits: []diagnostic.Edit{{Pos: shift(at.Pos, -1), End: shift(at.Pos, at.Width)}}}
}

// nameInJSON adds a JSON name to a field's struct tag, which has none. It is false where that cannot be done: one tag
// stands for several fields, or its text is not as it is in the file.
func nameInJSON(f scan.FieldSource, name string) (diagnostic.Fix, bool) {
	text := fmt.Sprintf("%s:%q", jsonKey, name)
	fix := diagnostic.Fix{Message: "tag it " + text}
	switch {
	case f.Shared:
		return fix, false
	case !f.TagAt.IsValid():
		fix.Edits = []diagnostic.Edit{insertAt(f.TypeEnd, " `"+text+"`")}
	case f.Raw:
		if f.Tag != "" {
			text += " "
		}
		fix.Edits = []diagnostic.Edit{insertAt(shift(f.TagAt, 1), text)}
	default:
		return fix, false
	}
	return fix, true
}

// jsonKey is the tag key of encoding/json.
const jsonKey = "json"

// jsonValue is the value of the json key of a struct tag, and where it stands in the tag's text, behind the quote.
func jsonValue(tag string) (value string, at int, ok bool) {
	for at = 0; ; {
		at += len(tag[at:]) - len(strings.TrimLeft(tag[at:], " "))
		name, rest, found := strings.Cut(tag[at:], ":")
		if !found {
			return "", 0, false
		}
		quoted, err := strconv.QuotedPrefix(rest)
		if err != nil {
			return "", 0, false
		}
		if name == jsonKey {
			value, err = strconv.Unquote(quoted)
			return value, at + len(jsonKey) + len(`:"`), err == nil
		}
		at += len(name) + 1 + len(quoted)
	}
}

// jsonOptions are what stands behind the name in a field's json tag.
func jsonOptions(f scan.FieldSource) []string {
	value, _, _ := jsonValue(f.Tag)
	return strings.Split(value, ",")[1:]
}

// withoutOption takes an option out of a field's json tag.
func withoutOption(f scan.FieldSource, option string) (diagnostic.Fix, bool) {
	value, at, ok := jsonValue(f.Tag)
	i := slices.Index(strings.Split(value, ",")[1:], option)
	if !ok || i < 0 || !f.Raw || strings.ContainsRune(value, '\\') {
		return diagnostic.Fix{}, false
	}
	before := strings.Join(strings.Split(value, ",")[:i+1], ",")
	from := shift(f.TagAt, 1+at+len(before))
	return diagnostic.Fix{
		Message: "remove " + option,
		Edits:   []diagnostic.Edit{{Pos: from, End: shift(from, 1+len(option))}},
	}, true
}
