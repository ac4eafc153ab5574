package scan

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/stella-ops/router/internal/spelling"
	"github.com/stella-ops/router/spec"
)

// maxPattern is the longest pattern that a manifest may have, in bytes.
const maxPattern = 1000

// form reads what text has to look like.
func (c *constraining) form(g tag) bool {
	if !c.isText() {
		return c.misfit(g, "text")
	}
	if g.key == keyFormat {
		if !slices.Contains(spec.Formats(), g.value) {
			guess := ""
			if s := spelling.Suggest(g.value, spec.Formats()); s != "" {
				guess = ": did you mean " + s + "?"
			}
			return c.badf(g, "format is %q, expected one of %s%s", g.value, strings.Join(spec.Formats(), ", "), guess)
		}
		c.value.Format = g.value
		return true
	}
	if _, err := regexp.Compile(g.value); err != nil || g.value == "" || len(g.value) > maxPattern {
		if err == nil {
			err = fmt.Errorf("it has %d bytes, expected 1 to %d", len(g.value), maxPattern)
		}
		return c.badf(g, "pattern is wrong: %v", err)
	}
	c.value.Pattern = g.value
	return true
}

// enum reads a list of values, separated by commas. An empty one allows all that the type does, constants or not.
func (c *constraining) enum(g tag) bool {
	number := c.isNumber()
	if !number && !c.isText() {
		return c.misfit(g, "text and numbers")
	}
	known := c.inner.Schema.Enum
	c.value.Enum = nil
	if g.value == "" {
		return true
	}
	for text := range strings.SplitSeq(g.value, ",") {
		value := text
		switch {
		case number:
			var why string
			if value, why = c.canonical(text); why != "" {
				return c.badf(g, "enum lists %q, expected %s", text, why)
			}
		case text != strings.TrimSpace(text):
			return c.badf(g, "enum lists %q, expected no spaces around a value", text)
		}
		switch {
		case slices.Contains(c.value.Enum, value):
			return c.badf(g, "enum lists %s twice", value)
		case len(known) > 0 && !slices.Contains(known, value):
			return c.badf(g, "enum lists %q, which is none of the constants of %s: %s", value, c.b.name(c.inner.Go), strings.Join(known, ", "))
		}
		c.value.Enum = append(c.value.Enum, value)
	}
	return true
}

// fallback reads a default.
func (c *constraining) fallback(g tag) bool {
	value, expected := g.value, ""
	switch {
	case !c.alone:
		return c.badf(g, "default is for one value, not for %s", c.b.name(c.f.Type.Go))
	case c.absent:
		return c.badf(g, "default has no effect: the field tells that nothing came")
	case c.isNumber():
		value, expected = c.canonical(g.value)
	case c.isText():
	case c.inner.Kind == Bool:
		if !isBool(g.value) {
			expected = "true or false"
		}
	case c.inner.Kind == Time:
		if _, err := time.Parse(time.RFC3339Nano, g.value); err != nil {
			expected = "an RFC 3339 time, such as 2026-01-31T15:04:05Z"
		}
	case c.inner.Kind == Duration:
		if _, err := time.ParseDuration(g.value); err != nil {
			expected = "a duration, such as 1m30s"
		}
	default:
		return c.misfit(g, "text, numbers, booleans, times and durations")
	}
	switch {
	case expected != "":
		return c.badf(g, "default is %q, expected %s", g.value, expected)
	case c.f.In == spec.InPath:
		return c.badf(g, "default has no effect: a path parameter always comes")
	case c.f.Required:
		return c.badf(g, "default has no effect: the field is required")
	}
	c.value.Default = &value
	return true
}

// checkTogether reports constraints that leave nothing, and values that break them.
func (c *constraining) checkTogether() {
	low, lowKey, openLow := highest(c.value.Minimum, c.value.Above)
	high, highKey, openHigh := lowest(c.value.Maximum, c.value.Below)
	if low != "" && high != "" {
		if order := rat(low).Cmp(rat(high)); order > 0 || order == 0 && (openLow || openHigh) {
			c.contradictionf(lowKey, highKey, "%s %s and %s %s leave no number between them", lowKey, low, highKey, high)
		}
	}
	if most := c.value.MaxLength; most != nil && *most < c.value.MinLength {
		c.contradictionf(keyMinLength, keyMaxLength, "minLength %d and maxLength %d leave no text between them", c.value.MinLength, *most)
	}
	if most := c.items.MaxItems; most != nil && *most < c.items.MinItems {
		c.contradictionf(keyMinItems, keyMaxItems, "minItems %d and maxItems %d leave no number of items between them", c.items.MinItems, *most)
	}
	if g, given := c.places[keyEnum]; given {
		for _, v := range c.value.Enum {
			if why := c.breaks(v); why != "" {
				c.badf(g, "enum lists %q, %s", v, why)
			}
		}
	}
	if g, given := c.places[keyDefault]; given {
		v := *c.value.Default
		why := c.breaks(v)
		if len(c.value.Enum) > 0 && !slices.Contains(c.value.Enum, v) {
			why = "expected one of " + strings.Join(c.value.Enum, ", ")
		}
		if why != "" {
			c.badf(g, "default is %q, %s", v, why)
		}
	}
}

// contradiction reports two constraints at the later one.
func (c *constraining) contradictionf(first, second, format string, args ...any) {
	at, given := c.places[second]
	if other, ok := c.places[first]; !given || ok && other.pos > at.pos {
		at = other
	}
	c.badf(at, format, args...)
}

// highest is the lower bound that counts, its key, and whether it is exclusive.
func highest(minimum, above string) (bound, key string, exclusive bool) {
	if minimum == "" || above != "" && rat(above).Cmp(rat(minimum)) >= 0 {
		return above, keyAbove, true
	}
	return minimum, keyMinimum, false
}

// lowest is the upper bound that counts, its key, and whether it is exclusive.
func lowest(maximum, below string) (bound, key string, exclusive bool) {
	if maximum == "" || below != "" && rat(below).Cmp(rat(maximum)) <= 0 {
		return below, keyBelow, true
	}
	return maximum, keyMaximum, false
}

// breaks says which constraint a value of enum or default breaks.
func (c *constraining) breaks(v string) string {
	if c.isNumber() {
		return breaksNumber(&c.value, v)
	}
	if !c.isText() {
		return ""
	}
	n := utf8.RuneCountInString(v)
	switch {
	case n < c.value.MinLength:
		return fmt.Sprintf("shorter than minLength %d", c.value.MinLength)
	case c.value.MaxLength != nil && n > *c.value.MaxLength:
		return fmt.Sprintf("longer than maxLength %d", *c.value.MaxLength)
	case !regexp.MustCompile(c.value.Pattern).MatchString(v): // form has compiled it
		return "which pattern " + c.value.Pattern + " does not match"
	case !spec.HasFormat(c.value.Format, v):
		return "which is not of format " + c.value.Format
	}
	return ""
}

func breaksNumber(s *spec.Schema, v string) string {
	n := rat(v)
	broken := func(bound string, wrong func(order int) bool) bool { return bound != "" && wrong(n.Cmp(rat(bound))) }
	switch {
	case broken(s.Minimum, func(o int) bool { return o < 0 }):
		return "less than minimum " + s.Minimum
	case broken(s.Maximum, func(o int) bool { return o > 0 }):
		return "more than maximum " + s.Maximum
	case broken(s.Above, func(o int) bool { return o <= 0 }):
		return "not more than exclusiveMinimum " + s.Above
	case broken(s.Below, func(o int) bool { return o >= 0 }):
		return "not less than exclusiveMaximum " + s.Below
	case s.MultipleOf != "" && !n.Quo(n, rat(s.MultipleOf)).IsInt():
		return "no multiple of multipleOf " + s.MultipleOf
	}
	return ""
}
