package stella

import (
	"fmt"
	"math/big"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"unicode/utf8"

	"github.com/stella-ops/router/spec"
)

// Rule is what a value has to satisfy beyond its type: the constraints of its schema. The zero value of each field asks
// for nothing. Numbers are canonical decimals and are compared exactly. For generated code, which has checked that the
// rule fits the type; a rule must not be copied once it is in use. It is safe for concurrent use.
type Rule struct {
	Minimum, Maximum string // of a number, inclusive
	Above, Below     string // of a number, exclusive
	MultipleOf       string
	MinLength        int // of text, in Unicode code points
	MaxLength        int
	Pattern          string // RE2 syntax
	Format           string // one of spec.Formats
	Enum             []string
	MinItems         int // of an array
	MaxItems         int
	Unique           bool  // no two items of an array are equal
	Each             *Rule // of an array's items, or a map's values

	// A *readyRule. Neither a field nor a method says so: the methods of generic types would be compiled again in each
	// package that has rules.
	ready atomic.Value
}

// readyRule is a rule's text, read.
type readyRule struct {
	pattern *regexp.Regexp
	ints    limits[int64]
	uints   limits[uint64]
	floats  limits[float64]
}

// limits are the bounds of a number, in the type that the number has.
type limits[N int64 | uint64 | float64] struct {
	minimum, maximum, above, below *N
	enum                           []N
}

func newLimits[N int64 | uint64 | float64](r *Rule, parse func(string) (N, error)) limits[N] {
	read := func(text string) *N {
		n, err := parse(text)
		if text == "" || err != nil { // no bound, or a wrong use by generated code
			return nil
		}
		return &n
	}
	l := limits[N]{minimum: read(r.Minimum), maximum: read(r.Maximum), above: read(r.Above), below: read(r.Below)}
	for _, text := range r.Enum {
		if n := read(text); n != nil {
			l.enum = append(l.enum, *n)
		}
	}
	return l
}

// check tells what is wrong with a number. Most are right: nothing is written down for them.
func (l *limits[N]) check(r *Rule, n N, write func(N) string) []string {
	if len(r.Enum) == 0 && r.MultipleOf == "" && (l.minimum == nil || n >= *l.minimum) && (l.maximum == nil || n <= *l.maximum) &&
		(l.above == nil || n > *l.above) && (l.below == nil || n < *l.below) {
		return nil
	}
	return l.explain(r, n, write(n))
}

// explain tells what is wrong with a number that is written as text.
func (l *limits[N]) explain(r *Rule, n N, text string) (wrong []string) {
	if len(r.Enum) > 0 && !slices.Contains(l.enum, n) {
		return []string{notListed(r.Enum, text)}
	}
	for _, bound := range []struct {
		broken bool
		want   string
	}{
		{l.minimum != nil && n < *l.minimum, "at least " + r.Minimum},
		{l.maximum != nil && n > *l.maximum, "at most " + r.Maximum},
		{l.above != nil && n <= *l.above, "more than " + r.Above},
		{l.below != nil && n >= *l.below, "less than " + r.Below},
		{r.MultipleOf != "" && !isMultiple(text, r.MultipleOf), "a multiple of " + r.MultipleOf},
	} {
		if bound.broken {
			wrong = append(wrong, "expected "+bound.want+", got "+cut(text))
		}
	}
	return wrong
}

func notListed(values []string, text string) string {
	return fmt.Sprintf("expected one of %s, got %q", strings.Join(values, ", "), cut(text))
}

// isMultiple divides decimals exactly.
func isMultiple(text, of string) bool {
	n, ok := new(big.Rat).SetString(text)
	d, ok2 := new(big.Rat).SetString(of)
	return ok && ok2 && d.Sign() != 0 && n.Quo(n, d).IsInt()
}

// prepared is what reading the rule's text gives. It is read when it is first needed, once or, by goroutines that come
// at the same time, a few times.
func prepared(r *Rule, bits int) *readyRule {
	if p, ok := r.ready.Load().(*readyRule); ok {
		return p
	}
	p := &readyRule{
		ints:   newLimits(r, func(s string) (int64, error) { return strconv.ParseInt(s, 10, 64) }),
		uints:  newLimits(r, func(s string) (uint64, error) { return strconv.ParseUint(s, 10, 64) }),
		floats: newLimits(r, func(s string) (float64, error) { return strconv.ParseFloat(s, bits) }),
	}
	if r.Pattern != "" {
		p.pattern, _ = regexp.Compile(r.Pattern) // nil only after a wrong use by generated code
	}
	r.ready.Store(p)
	return p
}

// text tells what is wrong with a text. A nil rule asks for nothing, here and below.
func (r *Rule) text(s string) (wrong []string) {
	if r == nil {
		return nil
	}
	if len(r.Enum) > 0 && !slices.Contains(r.Enum, s) {
		return []string{notListed(r.Enum, s)}
	}
	if !r.certainly(len(s)) {
		wrong = between(utf8.RuneCountInString(s), r.MinLength, r.MaxLength, "character")
	}
	if r.Pattern != "" {
		if p := prepared(r, wordBits).pattern; p != nil && !p.MatchString(s) {
			wrong = append(wrong, fmt.Sprintf("expected text that matches %s, got %q", r.Pattern, cut(s)))
		}
	}
	if r.Format != "" && !spec.HasFormat(r.Format, s) {
		wrong = append(wrong, fmt.Sprintf("expected text of format %s, got %q", r.Format, cut(s)))
	}
	return wrong
}

// certainly reports whether a text of n bytes has neither too few nor too many code points, whatever they are.
func (r *Rule) certainly(n int) bool {
	return (n+utf8.UTFMax-1)/utf8.UTFMax >= r.MinLength && (r.MaxLength == 0 || n <= r.MaxLength)
}

// int tells what is wrong with a number. It is not inlined, as its like are not, into packages that have rules.
//
//go:noinline
func (r *Rule) int(n int64) []string {
	if r == nil {
		return nil
	}
	return prepared(r, wordBits).ints.check(r, n, func(n int64) string { return strconv.FormatInt(n, 10) })
}

//go:noinline
func (r *Rule) uint(n uint64) []string {
	if r == nil {
		return nil
	}
	return prepared(r, wordBits).uints.check(r, n, func(n uint64) string { return strconv.FormatUint(n, 10) })
}

// float checks a number of 32 or 64 bits. A bound is taken as the nearest such number, as the number itself was.
//
//go:noinline
func (r *Rule) float(n float64, bits int) []string {
	if r == nil {
		return nil
	}
	return prepared(r, bits).floats.check(r, n, func(n float64) string { return strconv.FormatFloat(n, 'g', -1, bits) })
}

// items tells what is wrong with an array of n items.
func (r *Rule) items(n int) []string {
	if r == nil {
		return nil
	}
	return between(n, r.MinItems, r.MaxItems, "item")
}

// each is the rule of an array's items and of a map's values.
func (r *Rule) each() *Rule {
	if r == nil {
		return nil
	}
	return r.Each
}

// between tells whether n is too little or too much; most is 0 where there is no most.
func between(n, least, most int, what string) []string {
	switch {
	case n < least:
		return []string{fmt.Sprintf("expected at least %s, got %d", count(least, what), n)}
	case most > 0 && n > most:
		return []string{fmt.Sprintf("expected at most %s, got %d", count(most, what), n)}
	}
	return nil
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// repeated tells which item of an array is there twice. Generated code asks of text, numbers and booleans alone.
func repeated[T any](r *Rule, list []T) []string {
	if r == nil || !r.Unique {
		return nil
	}
	seen := make(map[any]int, len(list))
	for i, item := range list {
		if first, twice := seen[item]; twice {
			return []string{fmt.Sprintf("expected different items, got items %d and %d alike", first, i)}
		}
		seen[item] = i
	}
	return nil
}
