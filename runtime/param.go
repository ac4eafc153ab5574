package stella

import (
	"encoding"
	"errors"
	"fmt"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/stella-ops/router/spec"
)

// Param is a path, query, header or cookie parameter, or a field of a form, of one request, with the text that came for
// it. It is its Binder's, until the next one is asked for. For generated code.
type Param struct {
	b      *Binder
	name   string
	in     string
	values []string // none: it did not come
	rule   *Rule    // of its value; nil: none

	room [1]string // room for the usual number of values
}

// begin makes the Binder's Param the one of this name, without values.
func (b *Binder) begin(in, name string) *Param {
	p := &b.param
	p.b, p.in, p.name, p.rule, p.values = b, in, name, nil, p.room[:0]
	return p
}

// What generated code calls for each parameter is not inlined there: it would be compiled again for each of them.

// Path is the path parameter of this name. It is always there.
//
//go:noinline
func (b *Binder) Path(name string) *Param {
	p := b.begin(spec.InPath, name)
	p.values = append(p.values, b.request.PathValue(name))
	return p
}

// Query is the query parameter of this name.
//
//go:noinline
func (b *Binder) Query(name string) *Param {
	p := b.begin(spec.InQuery, name)
	if b.query == nil && isPlainQuery(b.request.RawQuery) {
		p.values = appendQueryValues(p.values, b.request.RawQuery, name)
		return p
	}
	if b.query == nil {
		b.query = b.request.Query()
		if err := b.request.queryErr; err != nil {
			b.add(spec.Fault{In: spec.InQuery, Detail: "malformed query: " + cut(err.Error())})
		}
	}
	p.values = b.query[name]
	return p
}

// maxPlainQuery bounds the queries that are looked through for each parameter, in bytes.
const maxPlainQuery = 512

// isPlainQuery reports whether a query is short and has nothing to decode, so that it needs no map.
func isPlainQuery(query string) bool {
	return len(query) <= maxPlainQuery && strings.IndexByte(query, '%') < 0 && strings.IndexByte(query, '+') < 0 && strings.IndexByte(query, ';') < 0
}

// appendQueryValues appends the values that a plain query has for a name.
func appendQueryValues(values []string, query, name string) []string {
	for query != "" {
		var pair string
		pair, query, _ = strings.Cut(query, "&")
		if key, value, _ := strings.Cut(pair, "="); key == name {
			values = append(values, value)
		}
	}
	return values
}

// Header is the header field of this name.
//
//go:noinline
func (b *Binder) Header(name string) *Param {
	p := b.begin(spec.InHeader, name)
	p.values = b.request.Header.appendValues(p.values, name)
	return p
}

// Cookie is the cookie of this name; of several, the first, whose path is the longest.
//
//go:noinline
func (b *Binder) Cookie(name string) *Param {
	p := b.begin(spec.InCookie, name)
	if lines := b.request.Header.Values("Cookie"); len(lines) > 0 {
		r := http.Request{Header: http.Header{"Cookie": lines}}
		for _, c := range r.CookiesNamed(name) {
			p.values = append(p.values, c.Value)
			break
		}
	}
	return p
}

// Required reports a parameter that did not come.
func (p *Param) Required() *Param {
	if len(p.values) == 0 && (p.in != spec.InBody || !p.b.form.broken) {
		p.fault("required, but missing")
	}
	return p
}

// Default takes text where the parameter did not come. The text satisfies the rule that the parameter has.
func (p *Param) Default(text string) *Param {
	if len(p.values) == 0 {
		p.room[0] = text
		p.values, p.rule = p.room[:1], nil
	}
	return p
}

// Rule has the parameter's value checked.
func (p *Param) Rule(r *Rule) *Param {
	p.rule = r
	return p
}

func (p *Param) faultAll(details []string) {
	for _, d := range details {
		p.fault(d)
	}
}

func (p *Param) fault(detail string) {
	f := spec.Fault{Parameter: p.name, In: p.in, Detail: detail}
	if p.in == spec.InBody { // a field of a form
		f.Parameter, f.Pointer = "", "/"+pointerEscapes.Replace(p.name)
	}
	p.b.add(f)
}

// one is the text of a parameter that may come once. What is not UTF-8 is bytes, and no text of any type.
func (p *Param) one() (string, bool) {
	switch len(p.values) {
	case 0:
		return "", false
	case 1:
		if !utf8.ValidString(p.values[0]) {
			p.fault(notUTF8)
			return "", false
		}
		return p.values[0], true
	}
	p.fault(fmt.Sprintf("expected one value, got %d", len(p.values)))
	return "", false
}

// BindString takes the parameter's text, which must be UTF-8. For generated code, as are the other Bind functions. A parameter
// that did not come leaves the destination alone.
func BindString[T ~string](p *Param, dst *T) {
	if s, ok := p.one(); ok {
		*dst = T(s)
		p.faultAll(p.rule.text(s))
	}
}

// BindInt takes a decimal integer that fits T.
func BindInt[T signed](p *Param, dst *T) {
	if n, ok := bindBy(p, parseInt); ok && p.fits(int64(T(n)) == n, "integer") {
		*dst = T(n)
		p.faultAll(p.rule.int(n))
	}
}

// BindUint takes a decimal integer without sign that fits T.
func BindUint[T unsigned](p *Param, dst *T) {
	if n, ok := bindBy(p, parseUint); ok && p.fits(uint64(T(n)) == n, "integer") {
		*dst = T(n)
		p.faultAll(p.rule.uint(n))
	}
}

// BindFloat takes a decimal number within T's range.
func BindFloat[T float](p *Param, dst *T) {
	if n, ok := bindBy(p, parseFloat); ok && p.fits(!math.IsInf(float64(T(n)), 0), kindNumber) {
		*dst = T(n)
		p.faultAll(p.rule.float(float64(*dst), bitsOf[T]()))
	}
}

// BindBool takes true or false.
func BindBool[T ~bool](p *Param, dst *T) {
	if v, ok := bindBy(p, parseBool); ok {
		*dst = T(v)
	}
}

// BindTime takes an RFC 3339 time.
func BindTime(p *Param, dst *time.Time) {
	if t, ok := bindBy(p, parseTime); ok {
		*dst = t
	}
}

// BindDuration takes a duration in Go's form, such as 1m30s.
func BindDuration[T ~int64](p *Param, dst *T) {
	if d, ok := bindBy(p, parseDuration); ok {
		*dst = T(d)
	}
}

// fits reports a number that its Go type has no room for, unless it has.
func (p *Param) fits(does bool, kind string) bool {
	if !does {
		p.fault(outOfRange(kind, p.values[0]))
	}
	return does
}

// BindText hands the text to a type that decodes itself.
func BindText[T any, P interface {
	*T
	encoding.TextUnmarshaler
}](p *Param, dst *T) {
	s, ok := p.one()
	if !ok {
		return
	}
	if err := P(dst).UnmarshalText([]byte(s)); err != nil {
		p.fault("not a valid value: " + err.Error())
		return
	}
	p.faultAll(p.rule.text(s))
}

// BindPointer points the destination at the parameter's value, by elem, if it came.
func BindPointer[T any](p *Param, dst **T, elem func(*Param, *T)) {
	if len(p.values) == 0 {
		return
	}
	v := new(T)
	elem(p, v)
	*dst = v
}

// BindSlice takes a parameter that may come several times, each value by elem. A header field is also split at its
// commas (RFC 9110, section 5.6.1).
func BindSlice[S ~[]T, T any](p *Param, dst *S, elem func(*Param, *T)) {
	if len(p.values) == 0 {
		return
	}
	for _, value := range p.values {
		if p.in != spec.InHeader {
			*dst = bindElement(p, value, *dst, elem)
			continue
		}
		for part := range strings.SplitSeq(value, ",") {
			if part = strings.Trim(part, " \t"); part != "" {
				*dst = bindElement(p, part, *dst, elem)
			}
		}
	}
	p.faultAll(p.rule.items(len(*dst)))
	p.faultAll(repeated(p.rule, *dst))
}

func bindElement[S ~[]T, T any](p *Param, value string, list S, elem func(*Param, *T)) S {
	var v T
	list = append(list, v)
	e := &p.b.element
	e.b, e.in, e.name, e.rule, e.room[0] = p.b, p.in, p.name, p.rule.each(), value
	e.values = e.room[:1]
	elem(e, &list[len(list)-1])
	return list
}

// bindBy takes one value by a function that tells what is wrong with it, or an empty string. It reports whether it has
// taken one.
func bindBy[V any](p *Param, parse func(string) (V, string)) (v V, ok bool) {
	s, ok := p.one()
	if !ok {
		return v, false
	}
	v, detail := parse(s)
	if detail != "" {
		p.fault(detail)
	}
	return v, detail == ""
}

func parseInt(s string) (int64, string) {
	n, err := strconv.ParseInt(s, 10, 64)
	if errors.Is(err, strconv.ErrSyntax) || strings.HasPrefix(s, "+") {
		return 0, expected("integer", s)
	}
	if err != nil {
		return 0, outOfRange("integer", s)
	}
	return n, ""
}

func parseUint(s string) (uint64, string) {
	n, err := strconv.ParseUint(s, 10, 64)
	if errors.Is(err, strconv.ErrSyntax) {
		return 0, expected("integer without sign", s)
	}
	if err != nil {
		return 0, outOfRange("integer", s)
	}
	return n, ""
}

func parseFloat(s string) (float64, string) {
	// ParseFloat also takes inf, nan, hexadecimal and underscores: none is a decimal number.
	if strings.ContainsFunc(s, func(c rune) bool { return !strings.ContainsRune("0123456789+-.eE", c) }) {
		return 0, expected("number", s)
	}
	n, err := strconv.ParseFloat(s, 64)
	if errors.Is(err, strconv.ErrSyntax) {
		return 0, expected("number", s)
	}
	if err != nil {
		return 0, outOfRange(kindNumber, s)
	}
	return n, ""
}

func parseBool(s string) (bool, string) {
	if s != "true" && s != "false" {
		return false, expected("true or false", s)
	}
	return s == "true", ""
}

func parseTime(s string) (time.Time, string) {
	t, err := time.Parse(time.RFC3339Nano, s)
	if err != nil {
		return time.Time{}, expected("RFC 3339 time, such as 2026-01-31T15:04:05Z", s)
	}
	return t, ""
}

func parseDuration(s string) (time.Duration, string) {
	d, err := time.ParseDuration(s)
	if err != nil {
		return 0, expected("duration, such as 1m30s", s)
	}
	return d, ""
}

func expected(want, got string) string { return fmt.Sprintf("expected %s, got %q", want, cut(got)) }

func outOfRange(kind, got string) string { return kind + " " + cut(got) + " is out of range" }

// cut shortens a caller's text for an answer.
func cut(s string) string {
	if len(s) <= maxQuoted {
		return s
	}
	return strings.ToValidUTF8(s[:maxQuoted], "") + "..."
}
