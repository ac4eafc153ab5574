package strictyaml

import (
	"bytes"
	"sort"
	"unicode/utf8"

	"go.yaml.in/yaml/v4"
)

// starts are the offsets of the lines.
func (r *reader) starts() []int {
	if r.lines == nil {
		r.lines = []int{0}
		for i, c := range r.src {
			if c == '\n' {
				r.lines = append(r.lines, i+1)
			}
		}
	}
	return r.lines
}

// text is a line without its end, and where it begins.
func (r *reader) text(line int) (text []byte, offset int) {
	offset = r.starts()[line-1]
	text, _, _ = bytes.Cut(r.src[offset:], []byte{'\n'})
	return bytes.TrimRight(text, "\r"), offset
}

// place is a part of a line; its column is in characters, its width in bytes. What lies behind the last line, where the
// parser has the end of a file without a last line break, is the end of that line.
func (r *reader) place(line, column, width int) Place {
	line = max(line, 1)
	if last := len(r.starts()); line > last {
		line, column = last, len(r.src)+1
	}
	text, offset := r.text(line)
	at := 0
	for range min(column-1, len(text)) {
		_, size := utf8.DecodeRune(text[at:])
		at += size // 0 behind the end
	}
	return Place{Offset: offset + at, Line: line, Column: at + 1, Width: min(width, len(text)-at)}
}

// line is a whole line.
func (r *reader) line(line int) Place {
	return r.place(line, 1, len(r.src))
}

// at is a part of a line by its offset.
func (r *reader) at(offset, width int) Place {
	line := sort.SearchInts(r.starts(), offset+1)
	return Place{Offset: offset, Line: line, Column: offset - r.lines[line-1] + 1, Width: width}
}

// placeOf is where a value of the parser's begins, and as much of it as is in that line.
func (r *reader) placeOf(y *yaml.Node) Place {
	p := r.place(y.Line, y.Column, 1)
	text, _ := r.text(p.Line)
	rest := text[p.Column-1:]
	switch {
	case y.Kind == yaml.AliasNode:
		p.Width = len(y.Value) + 1
	case y.Kind != yaml.ScalarNode || y.Style&yaml.TaggedStyle != 0 || y.Anchor != "":
	case y.Style&yaml.DoubleQuotedStyle != 0:
		p.Width = quotedWidth(rest, '\\')
	case y.Style&yaml.SingleQuotedStyle != 0:
		p.Width = quotedWidth(rest, '\'')
	case y.Style&quoted == 0:
		p.Width = len(y.Value)
	}
	p.Width = min(p.Width, len(rest))
	return p
}

// quotedWidth is how far a quoted text goes in its first line. What follows escape is no end, and two quotes in
// quotes are one.
func quotedWidth(text []byte, escape byte) int {
	for i := 1; i < len(text); i++ {
		switch {
		case text[i] == escape && escape == '\\':
			i++
		case text[i] != text[0]:
		case escape == text[0] && i+1 < len(text) && text[i+1] == escape:
			i++
		default:
			return i + 1
		}
	}
	return len(text)
}
