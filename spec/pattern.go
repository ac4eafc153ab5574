package spec

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

const methodGet = "GET"

// Methods are the methods an endpoint may have.
var Methods = []string{methodGet, "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}

// ValidMethod reports whether m is one of [Methods].
func ValidMethod(m string) bool { return slices.Contains(Methods, m) }

// Segment is one part of a path pattern between slashes.
type Segment struct {
	Literal string // the text of a literal segment, or the empty string
	Param   string // the parameter's name, or the empty string
	Rest    bool   // the parameter takes all that is left: {name...}
}

// Pattern is a parsed path pattern in net/http syntax: literals, {name}, and a last {name...}. The subtree forms
// (a trailing slash, and {$}) are refused: a path means one thing.
type Pattern struct {
	text     string
	params   int       // how many Segments are parameters
	Segments []Segment // none for "/"
}

// ParsePattern parses a path pattern.
func ParsePattern(s string) (Pattern, error) {
	p := Pattern{text: s}
	if !strings.HasPrefix(s, "/") {
		return Pattern{}, fmt.Errorf("path %q does not begin with a slash", s)
	}
	if s == "/" {
		return p, nil
	}
	if strings.HasSuffix(s, "/") {
		return Pattern{}, fmt.Errorf("path %q ends with a slash: name the last segment, or take the rest with {name...}", s)
	}
	seen := map[string]bool{}
	parts := strings.Split(s[1:], "/")
	for i, part := range parts {
		seg, err := parseSegment(part)
		if err != nil {
			return Pattern{}, fmt.Errorf("path %q: %w", s, err)
		}
		if seg.Rest && i != len(parts)-1 {
			return Pattern{}, fmt.Errorf("path %q: {%s...} must be the last segment", s, seg.Param)
		}
		if seg.Param != "" {
			if seen[seg.Param] {
				return Pattern{}, fmt.Errorf("path %q names parameter %q twice", s, seg.Param)
			}
			seen[seg.Param] = true
			p.params++
		}
		p.Segments = append(p.Segments, seg)
	}
	return p, nil
}

func parseSegment(s string) (Segment, error) {
	switch {
	case s == "":
		return Segment{}, errors.New("empty segment")
	case s == "." || s == "..":
		return Segment{}, fmt.Errorf("segment %q would be resolved away", s)
	case s == "{$}":
		return Segment{}, errors.New("{$} is not needed: a path never matches a subtree")
	case s[0] == '{' && s[len(s)-1] == '}':
		name, rest := strings.CutSuffix(s[1:len(s)-1], "...")
		if !identifier(name) {
			return Segment{}, fmt.Errorf("parameter %q is not an identifier", name)
		}
		return Segment{Param: name, Rest: rest}, nil
	case strings.ContainsAny(s, "{}"):
		return Segment{}, fmt.Errorf("segment %q: a parameter must be a whole segment", s)
	}
	for _, r := range s {
		if r >= utf8.RuneSelf || !pathByte[r] {
			return Segment{}, fmt.Errorf("segment %q: character %q must not stand in a path", s, r)
		}
	}
	if name, ok := strings.CutPrefix(s, ":"); ok {
		if !identifier(name) {
			name = "id"
		}
		return Segment{}, fmt.Errorf("segment %q begins with a colon: write {%s} for a parameter", s, name)
	}
	if name, ok := strings.CutPrefix(s, "*"); ok { // what other routers take for the rest: as a literal it would silently match nothing
		if !identifier(name) {
			name = "rest"
		}
		return Segment{}, fmt.Errorf("segment %q begins with an asterisk: write {%s...}, as the last segment, for the rest of the path", s, name)
	}
	return Segment{Literal: s}, nil
}

func identifier(s string) bool {
	for i := range len(s) {
		c := s[i]
		letter := c == '_' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
		if !letter && (i == 0 || c < '0' || c > '9') {
			return false
		}
	}
	return s != ""
}

// pathByte has the characters of a path segment that need no percent-encoding (RFC 3986, section 3.3, pchar).
var pathByte = func() (t [256]bool) {
	for _, c := range []byte("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~!$&'()*+,;=:@") {
		t[c] = true
	}
	return t
}()

func (p Pattern) String() string { return p.text }

// Params are the parameters' names, in order.
func (p Pattern) Params() []string {
	names := make([]string, 0, p.params)
	for _, s := range p.Segments {
		if s.Param != "" {
			names = append(names, s.Param)
		}
	}
	return names
}

// HasRest reports whether the last segment takes the rest of the path.
func (p Pattern) HasRest() bool { return len(p.Segments) > 0 && p.Segments[len(p.Segments)-1].Rest }

// ReservedPath is where a gateway answers itself, there and below: no endpoint may have such a path.
const ReservedPath = "/" + reservedSegment

const reservedSegment = "_stella"

// Reserved reports whether the path is [ReservedPath] or below it. A pattern that begins with a parameter is not: it
// matches such paths among others, and the gateway takes those first.
func (p Pattern) Reserved() bool {
	return len(p.Segments) > 0 && p.Segments[0].Literal == reservedSegment
}

// Identity is the pattern without its parameters' names, which do not tell endpoints apart (invariant 1):
// /x/{id} and /x/{key} have the same.
func (p Pattern) Identity() string {
	if len(p.Segments) == 0 {
		return "/"
	}
	var b strings.Builder
	for _, s := range p.Segments {
		b.WriteByte('/')
		switch {
		case s.Rest:
			b.WriteString("{...}")
		case s.Param != "":
			b.WriteString("{}")
		default:
			b.WriteString(s.Literal)
		}
	}
	return b.String()
}

// Fill is the canonical path that p matches with these parameter values, which are not escaped. Values that are
// missing count as empty.
func (p Pattern) Fill(values []string) string {
	if p.params == 0 {
		return p.text
	}
	var b strings.Builder
	b.Grow(len(p.text) + 16*len(values))
	for _, s := range p.Segments {
		b.WriteByte('/')
		switch {
		case s.Param == "":
			b.WriteString(s.Literal)
		case len(values) > 0:
			escape(&b, values[0], s.Rest)
			values = values[1:]
		}
	}
	return b.String()
}

// escape writes a parameter's value as it stands in a canonical path.
func escape(b *strings.Builder, s string, slashes bool) {
	const hexDigits = "0123456789ABCDEF"
	for i := range len(s) {
		c := s[i]
		if pathByte[c] || slashes && c == '/' {
			b.WriteByte(c)
			continue
		}
		b.WriteByte('%')
		b.WriteByte(hexDigits[c>>4])
		b.WriteByte(hexDigits[c&15])
	}
}
