package scan

import (
	"fmt"
	"math/big"
	"slices"
	"strconv"
	"strings"

	"github.com/stella-ops/router/generator/diagnostic"
	"github.com/stella-ops/router/spec"
)

// The tag keys that constrain a field: keywords of JSON Schema.
const (
	keyDefault     = "default"
	keyEnum        = "enum"
	keyMinimum     = "minimum"
	keyMaximum     = "maximum"
	keyAbove       = "exclusiveMinimum"
	keyBelow       = "exclusiveMaximum"
	keyMultipleOf  = "multipleOf"
	keyMinLength   = "minLength"
	keyMaxLength   = "maxLength"
	keyPattern     = "pattern"
	keyFormat      = "format"
	keyMinItems    = "minItems"
	keyMaxItems    = "maxItems"
	keyUniqueItems = "uniqueItems"
)

// constraining is the work of putting the constraints of a field's tag into its schema. Those of text and numbers are
// about the field's value or, of slices and maps, about what is in them; those of arrays are about the outermost one.
type constraining struct {
	b      *builder
	f      *Field
	inner  *Type // what text and numbers constrain
	alone  bool  // inner is the field's value, not one of several
	absent bool  // the field tells whether it came
	array  *Type // the outermost array; nil: there is none
	value  spec.Schema
	items  spec.Schema
	places map[string]tag // of the constraints that are right
}

// constrain puts the constraints of a field's tag into its schema, and reports those that do not fit. width is that of
// the field's name.
func (b *builder) constrain(f *Field, width int, tags fieldTags) {
	c := &constraining{b: b, f: f, inner: f.Type, alone: true, places: map[string]tag{}}
	for t := f.Type; t.Elem != nil; t = t.Elem {
		if t.Kind == Slice && c.array == nil && c.alone {
			c.array = t
		}
		c.alone = c.alone && (t.Kind == Pointer || t.Kind == Optional)
		c.absent = c.absent || t.Kind == Optional
		c.inner = t.Elem
	}
	if c.inner.Kind == Invalid {
		return // a finding says so
	}
	c.value = *c.inner.Schema
	if c.array != nil {
		c.items = *c.array.Schema
	}
	for _, g := range tags.constraints {
		if c.read(g) {
			c.places[g.key] = g
		}
	}
	if _, given := c.places[keyEnum]; !given && c.inner.Unread != "" {
		b.unreadConstant(f, width, c.inner)
	}
	if len(tags.constraints) == 0 {
		return
	}
	c.checkTogether()
	f.Type = c.rebuilt(f.Type)
}

// idle reports constraints of a field that has no use for them.
func (b *builder) idle(tags fieldTags, why string) {
	for _, g := range tags.constraints {
		b.l.list.Addf(diagnostic.BadConstraint, b.pos(g.pos), g.width, "%s has no effect: %s", g.key, why)
	}
}

func (b *builder) unreadConstant(f *Field, width int, t *Type) {
	report := b.l.list.Addf(diagnostic.BadConstraint, f.Pos, width,
		"the values of %s cannot be told: its constant %s is made of another package's", b.name(t.Go), t.Unread)
	report.Hint = "list them, enum:\"a,b\", or allow any, enum:\"\""
}

// rebuilt is a type with the constraints in its schema. The types that it was made of stay as they are: other fields
// have them, too.
func (c *constraining) rebuilt(t *Type) *Type {
	n := *t
	switch {
	case t == c.inner:
		value := c.value
		n.Schema = &value
		return &n
	case t.Kind == Pointer || t.Kind == Optional:
		n.Elem = c.rebuilt(t.Elem)
		schema := *n.Elem.Schema
		schema.Nullable = t.Schema.Nullable
		n.Schema = &schema
		return &n
	}
	n.Elem = c.rebuilt(t.Elem)
	schema := *t.Schema
	if t == c.array {
		schema = c.items
	}
	if t.Kind == Slice || t.Kind == Array {
		schema.Items = n.Elem.Schema
	} else {
		schema.Values = n.Elem.Schema
	}
	n.Schema = &schema
	return &n
}

func (c *constraining) badf(g tag, format string, args ...any) bool {
	c.b.l.list.Addf(diagnostic.BadConstraint, c.b.pos(g.pos), g.width, format, args...)
	return false
}

// misfit reports a constraint of something that the field is not.
func (c *constraining) misfit(g tag, what string) bool {
	return c.badf(g, "%s constrains %s, not %s", g.key, what, c.b.name(c.f.Type.Go))
}

func (c *constraining) isNumber() bool {
	return slices.Contains([]Kind{Int, Uint, Float}, c.inner.Kind) || c.inner.Kind == Duration && c.value.Type == spec.TypeInteger
}

// isText reports whether the value is text as it comes. Times and durations are more than that.
func (c *constraining) isText() bool {
	return c.inner.Kind == String || c.inner.Kind == Text && c.value.Type == spec.TypeString
}

// read reads one constraint, and reports whether it is right.
func (c *constraining) read(g tag) bool {
	switch g.key {
	case keyMinimum:
		return c.number(g, &c.value.Minimum)
	case keyMaximum:
		return c.number(g, &c.value.Maximum)
	case keyAbove:
		return c.number(g, &c.value.Above)
	case keyBelow:
		return c.number(g, &c.value.Below)
	case keyMultipleOf:
		return c.number(g, &c.value.MultipleOf) && (rat(c.value.MultipleOf).Sign() > 0 || c.badf(g, "multipleOf is %s, expected more than 0", g.value))
	case keyMinLength, keyMaxLength:
		if !c.isText() {
			return c.misfit(g, "text")
		}
		return c.size(g, keyMinLength, &c.value.MinLength, &c.value.MaxLength)
	case keyMinItems, keyMaxItems:
		if c.array == nil {
			return c.misfit(g, "slices")
		}
		return c.size(g, keyMinItems, &c.items.MinItems, &c.items.MaxItems)
	case keyUniqueItems:
		return c.unique(g)
	case keyPattern, keyFormat:
		return c.form(g)
	case keyEnum:
		return c.enum(g)
	}
	return c.fallback(g)
}

// number reads a number that the field's type can hold.
func (c *constraining) number(g tag, to *string) bool {
	if !c.isNumber() {
		return c.misfit(g, "numbers")
	}
	text, why := c.canonical(g.value)
	if why != "" {
		return c.badf(g, "%s is %q, expected %s", g.key, g.value, why)
	}
	*to = text
	return true
}

// canonical is the canonical decimal of a number that the field's type can hold, or what was expected instead.
func (c *constraining) canonical(text string) (number, expected string) {
	number, ok := decimal(text)
	if !ok {
		return "", "a decimal number such as -0.5"
	}
	if c.inner.Kind == Float {
		bits := 64
		if c.value.Format == "float" {
			bits = 32
		}
		if _, err := strconv.ParseFloat(number, bits); err != nil {
			return "", "a number within the range of " + c.b.name(c.inner.Go)
		}
		return number, ""
	}
	low, high := intRange(c.value.Format)
	n := rat(number)
	switch {
	case !n.IsInt():
		return "", "a whole number"
	case n.Num().Cmp(low) < 0 || n.Num().Cmp(high) > 0:
		return "", fmt.Sprintf("a number from %d to %d", low, high)
	}
	return number, ""
}

// decimal is the canonical form of a decimal number without exponent.
func decimal(text string) (string, bool) {
	sign, digits := "", text
	if strings.HasPrefix(text, "-") {
		sign, digits = "-", text[1:]
	}
	whole, fraction, point := strings.Cut(digits, ".")
	isDigits := func(s string) bool { return s != "" && strings.Trim(s, "0123456789") == "" }
	if !isDigits(whole) || len(whole) > 1 && whole[0] == '0' || point && !isDigits(fraction) {
		return "", false
	}
	if fraction = strings.TrimRight(fraction, "0"); fraction != "" {
		whole += "." + fraction
	}
	if whole == "0" {
		sign = ""
	}
	return sign + whole, true
}

// rat is a canonical decimal, exactly.
func rat(number string) *big.Rat {
	r, _ := new(big.Rat).SetString(number)
	return r
}

// intRange is what an integer of this format can hold.
func intRange(format string) (low, high *big.Int) {
	digits := strings.TrimLeft(format, "uint")
	bits, err := strconv.ParseUint(digits, 10, 8)
	if err != nil {
		bits = 64
	}
	one := big.NewInt(1)
	if strings.HasPrefix(format, "u") {
		return big.NewInt(0), new(big.Int).Sub(new(big.Int).Lsh(one, uint(bits)), one)
	}
	half := new(big.Int).Lsh(one, uint(bits-1))
	return new(big.Int).Neg(half), new(big.Int).Sub(half, one)
}

// size reads a number of characters or items.
func (c *constraining) size(g tag, least string, low *int, high **int) bool {
	n, err := strconv.ParseUint(g.value, 10, 31)
	if err != nil || strconv.FormatUint(n, 10) != g.value || n == 0 && g.key != least {
		return c.badf(g, "%s is %q, expected a number of at least %d", g.key, g.value, map[bool]int{true: 0, false: 1}[g.key == least])
	}
	if g.key == least {
		*low = int(n)
		return true
	}
	most := int(n)
	*high = &most
	return true
}

func (c *constraining) unique(g tag) bool {
	switch {
	case c.array == nil:
		return c.misfit(g, "slices")
	case !slices.Contains([]Kind{String, Bool, Int, Uint, Float}, c.array.Elem.Kind):
		return c.badf(g, "uniqueItems compares text, numbers and booleans, not %s", c.b.name(c.array.Elem.Go))
	case !isBool(g.value):
		return c.badf(g, "uniqueItems is %q, expected true or false", g.value)
	}
	c.items.Unique = g.value == yes
	return true
}
