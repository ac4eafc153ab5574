package migrate

import (
	"fmt"
	"slices"
	"strings"

	"github.com/stella-ops/router/spec"
)

// path is what a framework's pattern becomes.
type stellaPath struct {
	Path  string
	Slash bool // the router wants a slash behind it
}

// translation is a pattern in Stella's syntax.
type translation struct {
	paths []stellaPath // none: it cannot be said
	notes []string     // what is different, and what to do
	exact bool         // it matches what the framework's does, so that a handler can do without the router
}

// widened is what to do where a pattern says more than Stella's can.
const widened = "the bridge takes any text there and lets the router decide; a handler of its own has to check it"

// translate makes a path of Stella's of a framework's pattern.
func translate(fw Framework, pattern string) translation {
	t := translation{exact: true}
	if pattern == "" {
		pattern = "/"
	}
	if !strings.HasPrefix(pattern, "/") {
		pattern = "/" + pattern
	}
	if fw == ServeMux {
		if base, ok := strings.CutSuffix(pattern, "/{$}"); ok {
			return t.finish(split(base), true)
		}
		if base, ok := strings.CutSuffix(pattern, "/"); ok { // a subtree
			t.exact = false
			parts := split(base)
			for i, p := range parts {
				parts[i] = t.segment(fw, p, i == len(parts)-1, parts)
			}
			t.add(append(slices.Clone(parts), "{rest...}"), false)
			if base == "" {
				t.note("it takes every path that no other pattern matches")
				return t
			}
			t.note("it takes all below " + pattern)
			t.add(parts, true)
			return t
		}
	}
	slash := strings.HasSuffix(pattern, "/") && pattern != "/"
	return t.finish(t.segments(fw, split(strings.TrimSuffix(pattern, "/"))), slash)
}

// split is a path's segments; of "/" none.
func split(pattern string) []string {
	pattern = strings.TrimPrefix(pattern, "/")
	if pattern == "" {
		return nil
	}
	var parts []string
	depth, from := 0, 0
	for i := range len(pattern) { // chi's regular expressions may have slashes
		switch pattern[i] {
		case '{':
			depth++
		case '}':
			depth--
		case '/':
			if depth <= 0 {
				parts = append(parts, pattern[from:i])
				from = i + 1
			}
		}
	}
	return append(parts, pattern[from:])
}

func (t *translation) segments(fw Framework, parts []string) []string {
	for i, p := range parts {
		parts[i] = t.segment(fw, p, i == len(parts)-1, parts[:i])
	}
	return parts
}

func (t *translation) finish(parts []string, slash bool) translation {
	if slash && len(parts) > 0 {
		t.exact = false
	}
	t.add(parts, slash && len(parts) > 0)
	return *t
}

// add adds a path, if it is one.
func (t *translation) add(parts []string, slash bool) {
	p := "/" + strings.Join(parts, "/")
	parsed, err := spec.ParsePattern(p)
	switch {
	case err != nil:
		t.exact = false
		t.note(fmt.Sprintf("Stella has no such path (%v): rename it", err))
		return
	case parsed.Reserved():
		t.exact = false
		t.note("the gateway answers itself below " + spec.ReservedPath + ": rename it")
		return
	}
	if slash {
		t.note(fmt.Sprintf("no path of Stella's ends with a slash: callers have to send %s, and the bridge adds the slash", p))
	}
	t.paths = append(t.paths, stellaPath{p, slash})
}

func (t *translation) note(text string) {
	if !slices.Contains(t.notes, text) {
		t.notes = append(t.notes, text)
	}
}

// segment is one segment of a framework's pattern.
func (t *translation) segment(fw Framework, s string, last bool, before []string) string {
	switch fw {
	case ServeMux:
		return s
	case Chi:
		return t.chiSegment(s, last, before)
	case Gin, Echo:
		return t.colonSegment(fw, s, last, before)
	}
	return s
}

func (t *translation) chiSegment(s string, last bool, before []string) string {
	switch {
	case s == "*" && last:
		t.rest("rest", before)
		return "{" + unique("rest", before) + "...}"
	case strings.HasPrefix(s, "{") && strings.HasSuffix(s, "}") && strings.Count(s, "{") == depthOne(s):
		name, expr, has := strings.Cut(s[1:len(s)-1], ":")
		if has {
			t.exact = false
			t.note(fmt.Sprintf("the regular expression %s is not a part of the path: %s", expr, widened))
		}
		return "{" + t.name(name, before) + "}"
	case strings.ContainsAny(s, "{*"):
		return t.partial(s, last, before)
	}
	return s
}

// depthOne counts the braces of a segment that is one parameter: those of its regular expression are within.
func depthOne(s string) int {
	depth := 0
	for i := range len(s) {
		switch s[i] {
		case '{':
			depth++
		case '}':
			if depth--; depth == 0 && i < len(s)-1 {
				return -1
			}
		}
	}
	return strings.Count(s, "{")
}

func (t *translation) colonSegment(fw Framework, s string, last bool, before []string) string {
	star := strings.IndexByte(s, '*')
	colon := strings.IndexByte(s, ':')
	switch {
	case star == 0 && last:
		name := s[1:]
		if name == "" {
			name = "rest"
		}
		t.rest(name, before)
		return "{" + unique(identifierOf(name), before) + "...}"
	case colon == 0 && star < 0 && strings.Count(s, ":") == 1 && (fw != Echo || !strings.Contains(s, `\:`)):
		return "{" + t.name(s[1:], before) + "}"
	case star >= 0 || colon >= 0:
		return t.partial(s, last, before)
	}
	return s
}

// rest notes how {name...} differs from a framework's wildcard.
func (t *translation) rest(_ string, _ []string) {
	t.exact = false
	t.note("the path of the wildcard without anything in its place ends with a slash, which no path of Stella's does")
}

// partial is a segment that is not one parameter or literal.
func (t *translation) partial(s string, last bool, before []string) string {
	t.exact = false
	t.note(fmt.Sprintf("a parameter is a whole segment, which %s is not: %s", s, widened))
	name := unique(identifierOf(s), before)
	if last && strings.HasSuffix(s, "*") {
		return "{" + name + "...}"
	}
	return "{" + name + "}"
}

func (t *translation) name(name string, before []string) string {
	id := unique(identifierOf(name), before)
	if id != name {
		t.exact = false
		t.note(fmt.Sprintf("the parameter %s is called %s", name, id))
	}
	return id
}

// identifierOf is a name that a parameter may have.
func identifierOf(s string) string {
	var b strings.Builder
	for _, r := range s {
		if r == '_' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' {
			b.WriteRune(r)
		} else if b.Len() > 0 && !strings.HasSuffix(b.String(), "_") {
			b.WriteByte('_')
		}
	}
	name := strings.Trim(b.String(), "_")
	if name == "" || name[0] >= '0' && name[0] <= '9' {
		name = "p" + name
	}
	return name
}

// unique is a name that no parameter before has.
func unique(name string, before []string) string {
	has := func(n string) bool {
		return slices.Contains(before, "{"+n+"}") || slices.Contains(before, "{"+n+"...}")
	}
	for n := 2; has(name); n++ {
		if next := fmt.Sprintf("%s%d", name, n); !has(next) {
			return next
		}
	}
	return name
}
