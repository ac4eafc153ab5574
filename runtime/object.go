package stella

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

// maxDepth bounds how deep arrays and objects of a body nest. Go types of handlers nest a handful of levels; the
// bound keeps recursion, ours and that of encoding/json, shallow.
const maxDepth = 128

// syntaxError is where a text stops being JSON.
type syntaxError struct {
	offset int    // in bytes
	want   string // what was expected there
}

// describe tells people where the text is wrong.
func (e *syntaxError) describe(text []byte) string {
	line := 1 + bytes.Count(text[:e.offset], []byte{'\n'})
	column := e.offset - bytes.LastIndexByte(text[:e.offset], '\n')
	got := "the end"
	if e.offset < len(text) {
		r, _ := utf8.DecodeRune(text[e.offset:])
		got = fmt.Sprintf("%q", r)
	}
	return fmt.Sprintf("malformed JSON at line %d, column %d (offset %d): expected %s, got %s", line, column, e.offset, e.want, got)
}

// jsonText is a JSON text. Its methods take the offset of a part and return the offset behind it.
type jsonText []byte

// check reports the first place where the text is no JSON of at most [maxDepth] levels, or nil. A text that passes
// may be walked without looking for syntax errors.
func (t jsonText) check() *syntaxError {
	end, err := t.value(t.space(0), 0)
	if err != nil {
		return err
	}
	if end = t.space(end); end != len(t) {
		return &syntaxError{end, "nothing behind the value"}
	}
	return nil
}

// at is the byte at offset i, or 0 behind the end. (A real 0 is in no valid place of JSON either.)
func (t jsonText) at(i int) byte {
	if i < len(t) {
		return t[i]
	}
	return 0
}

func (t jsonText) space(i int) int {
	for i < len(t) && (t[i] == ' ' || t[i] == '\n' || t[i] == '\t' || t[i] == '\r') {
		i++
	}
	return i
}

func (t jsonText) value(i, depth int) (int, *syntaxError) {
	switch c := t.at(i); {
	case c == '"':
		return t.text(i)
	case c == '{' || c == '[':
		if depth == maxDepth {
			return 0, &syntaxError{i, fmt.Sprintf("at most %d levels", maxDepth)}
		}
		return t.container(i, depth+1)
	case c == '-' || c >= '0' && c <= '9':
		return t.number(i)
	case c == 't':
		return t.literal(i, "true")
	case c == 'f':
		return t.literal(i, "false")
	case c == 'n':
		return t.literal(i, "null")
	}
	return 0, &syntaxError{i, "a value"}
}

func (t jsonText) container(i, depth int) (int, *syntaxError) {
	object, end := t[i] == '{', byte(']')
	if object {
		end = '}'
	}
	if i = t.space(i + 1); t.at(i) == end {
		return i + 1, nil
	}
	for {
		var err *syntaxError
		if object {
			if t.at(i) != '"' {
				return 0, &syntaxError{i, "a member's name in quotes"}
			}
			if i, err = t.text(i); err != nil {
				return 0, err
			}
			if i = t.space(i); t.at(i) != ':' {
				return 0, &syntaxError{i, "a colon"}
			}
			i = t.space(i + 1)
		}
		if i, err = t.value(i, depth); err != nil {
			return 0, err
		}
		switch i = t.space(i); t.at(i) {
		case ',':
			i = t.space(i + 1)
		case end:
			return i + 1, nil
		default:
			return 0, &syntaxError{i, fmt.Sprintf("a comma or %q", end)}
		}
	}
}

// text passes over a string, whose first quote is at i.
func (t jsonText) text(i int) (int, *syntaxError) {
	for i++; i < len(t); i++ {
		switch c := t[i]; {
		case c == '"':
			return i + 1, nil
		case c < ' ':
			return 0, &syntaxError{i, "no bare control character within a string"}
		case c == '\\':
			i++
			if t.at(i) == 'u' {
				for range 4 {
					if i++; !isHex(t.at(i)) {
						return 0, &syntaxError{min(i, len(t)), "a hex digit"}
					}
				}
			} else if strings.IndexByte(`"\/bfnrt`, t.at(i)) < 0 {
				return 0, &syntaxError{min(i, len(t)), "an escape of JSON"}
			}
		}
	}
	return 0, &syntaxError{len(t), "the closing quote"}
}

func isHex(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'f' || c >= 'A' && c <= 'F'
}

func (t jsonText) number(i int) (int, *syntaxError) {
	if t.at(i) == '-' {
		i++
	}
	if t.at(i) == '0' {
		i++
	} else {
		var err *syntaxError
		if i, err = t.digits(i); err != nil {
			return 0, err
		}
	}
	if t.at(i) == '.' {
		var err *syntaxError
		if i, err = t.digits(i + 1); err != nil {
			return 0, err
		}
	}
	if c := t.at(i); c == 'e' || c == 'E' {
		i++
		if c = t.at(i); c == '+' || c == '-' {
			i++
		}
		return t.digits(i)
	}
	return i, nil
}

func (t jsonText) digits(i int) (int, *syntaxError) {
	from := i
	for i < len(t) && t[i] >= '0' && t[i] <= '9' {
		i++
	}
	if i == from {
		return 0, &syntaxError{i, "a digit"}
	}
	return i, nil
}

func (t jsonText) literal(i int, word string) (int, *syntaxError) {
	for k := range len(word) {
		if t.at(i+k) != word[k] {
			return 0, &syntaxError{min(i+k, len(t)), word}
		}
	}
	return i + len(word), nil
}

// Member is one member that an object may have. For generated code.
type Member struct {
	Name     string
	Required bool   // it must be there, and not be null
	Default  string // JSON that is taken where the member is not there; empty: none
	Rule     *Rule  // of its value; nil: none
}

// Object walks the members of one JSON object. It reports every member that is unknown, given twice or missing, and
// hands the others to generated code. For generated code, in this form:
//
//	for o := b.Object(members); o.Next(); {
//		switch o.Index() {
//		case 0: // amount
//			stella.DecodeInt(b, &out.Amount)
//		}
//	}
//
// The body of the loop must take exactly one value from the Binder each time.
type Object struct {
	b       *Binder
	members []Member
	seen    uint64   // a bit for each of the first 64 members
	more    []uint64 // and for the others
	current int      // index of the member that Next stopped at; -1 before the first
	over    bool     // nothing is left
	ended   bool     // the JSON object has; left are the members that did not come
	absent  int      // how many of the members absence has been looked at
	faults  int      // of the request before it
	text    jsonText // while a default takes the place of the body: the body
	at      int
}

// Object begins the value that comes next, which must be an object. It is the Binder's: generated code has to walk it to
// its end, and any object within it before it goes on.
func (b *Binder) Object(members []Member) *Object {
	o := b.nextObject()
	*o = Object{b: b, members: members, current: -1, faults: len(b.faults) + b.dropped}
	b.clean = false
	if len(members) > wordBits {
		o.more = make([]uint64, (len(members)-1)/wordBits)
	}
	if o.over = !b.open('{', "object"); o.over {
		b.objects--
	}
	return o
}

// nextObject has room for one more object within those that are being walked.
func (b *Binder) nextObject() *Object {
	b.objects++
	if b.objects <= len(b.someObjects) {
		return &b.someObjects[b.objects-1]
	}
	return new(Object)
}

// NoMembers takes an object that may have no members, for inputs whose fields all come from elsewhere.
func (b *Binder) NoMembers() {
	o := b.Object(nil)
	o.Next()
}

// wordBits is the number of members that one word has bits for.
const wordBits = 64

// word is where a member's bit is.
func (o *Object) word(i int) *uint64 {
	if i < wordBits {
		return &o.seen
	}
	return &o.more[i/wordBits-1]
}

func (o *Object) has(i int) bool { return *o.word(i)&(1<<(i%wordBits)) != 0 }

// find is the index of a member by its name in quotes, or -1.
func (o *Object) find(quoted []byte) int {
	if bytes.IndexByte(quoted, '\\') >= 0 {
		name, detail := unquote(quoted)
		if detail != "" {
			return -1
		}
		return slices.IndexFunc(o.members, func(m Member) bool { return m.Name == name })
	}
	for i := range o.members {
		if string(quoted[1:len(quoted)-1]) == o.members[i].Name { // compared without a copy
			return i
		}
	}
	return -1
}

// Index is the member that Next stopped at: its place in the list of members. A switch over numbers takes the compiler
// less time than one over names.
func (o *Object) Index() int { return o.current }

// Next goes to the next member that generated code has to decode, and reports whether there is one. At the end it
// reports the required members that did not come, and has the defaults of others decoded.
func (o *Object) Next() bool {
	switch {
	case o.over:
		return false
	case o.current >= 0:
		o.b.leave()
	}
	for !o.ended {
		if o.inOrder() {
			return true
		}
		quoted, more := o.b.member()
		if !more {
			o.ended = true
			break
		}
		if o.meet(quoted) {
			return true
		}
	}
	return o.missing()
}

// inOrder goes to the member behind the one at hand if it is what comes, which it is in most bodies: nothing has to be
// looked for. It reports whether it has.
func (o *Object) inOrder() bool {
	i := o.current + 1
	if i >= len(o.members) || o.has(i) {
		return false
	}
	t, at := o.b.text, o.b.at
	if t.at(at) == ',' {
		at = t.space(at + 1)
	}
	m := &o.members[i]
	end := at + 1 + len(m.Name)
	if t.at(at) != '"' || t.at(end) != '"' || string(t[at+1:end]) != m.Name {
		return false
	}
	at = t.space(t.space(end+1) + 1) // over the colon
	if m.Required && t.at(at) == 'n' {
		return false
	}
	o.b.at = at
	o.b.enter(m.Name)
	*o.word(i) |= 1 << (i % wordBits)
	o.current, o.b.rule = i, m.Rule
	return true
}

// meet goes to a member that has come, and reports whether it is to be decoded. If not, it says why, and passes over it.
func (o *Object) meet(quoted []byte) bool {
	i := o.find(quoted)
	if i >= 0 {
		o.b.enter(o.members[i].Name)
	} else {
		name, detail := unquote(quoted)
		if detail != "" { // no pointer names it
			o.b.fault("a member's name: " + detail)
			o.b.raw()
			return false
		}
		o.b.enter(name)
	}
	switch {
	case i < 0 && o.b.lax:
	case i < 0:
		o.b.fault("unknown member")
	case o.has(i):
		o.b.fault("member given twice")
	default:
		*o.word(i) |= 1 << (i % wordBits)
		if o.members[i].Required && o.b.isNull() {
			o.b.fault("required: expected a value, got null")
			break
		}
		o.current, o.b.rule = i, o.members[i].Rule
		return true
	}
	o.b.raw()
	o.b.leave()
	return false
}

// missing goes to the next member that did not come and has a default, which is decoded in its place.
func (o *Object) missing() bool {
	if o.text != nil {
		o.b.text, o.b.at, o.text = o.text, o.at, nil
	}
	for o.absent < len(o.members) {
		i, m := o.absent, &o.members[o.absent]
		o.absent++
		if o.has(i) || !m.Required && m.Default == "" {
			continue
		}
		o.b.enter(m.Name)
		if m.Default != "" {
			o.current, o.b.rule = i, nil // the generator has checked the default
			o.text, o.at = o.b.text, o.b.at
			o.b.text, o.b.at = jsonText(m.Default), 0
			return true
		}
		o.b.fault("required, but missing")
		o.b.leave()
	}
	o.over = true
	o.b.objects--
	o.b.clean = len(o.b.faults)+o.b.dropped == o.faults
	return false
}
