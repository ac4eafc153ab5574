package breaking

import (
	"math/big"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/stella-ops/router/generator/diagnostic"
	"github.com/stella-ops/router/spec"
)

// value compares what two schemas say of values themselves, and reports whether they are of one type. Whatever the
// direction, one side has to take all that the other may say.
func (w *walker) value(p place, was, is *spec.Schema) bool {
	said, taken := was, is
	if w.dir == response {
		said, taken = is, was
	}
	if rule := w.misfit(said, taken); rule != "" {
		w.report(rule, p, describe(was), describe(is), p.text+" was "+describe(was)+" and is "+describe(is)+w.dir.in())
		return false
	}
	if said.Type != taken.Type && taken.Type == "" {
		return false // anything will do
	}
	for _, f := range refused(said, taken) {
		w.constraint(p, f, was, is)
	}
	return true
}

// constraint reports what is not taken any more, or what may be said newly.
func (w *walker) constraint(p place, f fault, was, is *spec.Schema) {
	from, to := f.show(was), f.show(is)
	switch {
	case w.dir == request && f.rule == RequestEnumValueRemoved:
		w.report(f.rule, p, f.value, "", p.text+" takes "+quoted(f.value)+" no longer")
	case w.dir == request:
		w.report(f.rule, p, from, to, p.text+" was bounded by "+from+" and is by "+to+w.dir.in())
	case f.rule == RequestEnumValueRemoved:
		w.report(ResponseEnumValueAdded, p, "", f.value, p.text+" may be "+quoted(f.value)+", too")
	default:
		w.report(ResponseConstraintLoosened, p, from, to, p.text+" was bounded by "+from+" and is by "+to+w.dir.in())
	}
}

// timeFormats are those of text that is a time or a duration.
var timeFormats = []string{"date-time", "date", "time", "duration", "go-duration"}

// misfit is the rule that says why values of one type are not taken as another; empty if they are.
func (w *walker) misfit(said, taken *spec.Schema) diagnostic.ID {
	number := func(s *spec.Schema) bool { return s.Type == spec.TypeInteger || s.Type == spec.TypeNumber }
	isTime := func(s *spec.Schema) bool { return s.Type == spec.TypeString && slices.Contains(timeFormats, s.Format) }
	switch {
	case taken.Type == "":
		return ""
	case number(said) && number(taken):
		if fits(said, taken) {
			return ""
		}
		return NumberPrecisionChanged
	case said.Type != taken.Type:
		if isTime(said) && number(taken) || isTime(taken) && number(said) {
			return TimeFormatChanged
		}
	case said.Type == spec.TypeString:
		switch {
		case taken.Format == "" || taken.Format == "password" || said.Format == taken.Format:
			return "" // password asks for nothing
		case isTime(said) || isTime(taken):
			return TimeFormatChanged
		}
		return TextFormatChanged
	case said.Type != spec.TypeObject || (said.Values == nil) == (taken.Values == nil):
		return ""
	}
	if w.param {
		return ParamTypeChanged
	}
	return w.pick(RequestFieldTypeChanged, ResponseFieldTypeChanged)
}

// describe names the type of a schema's values.
func describe(s *spec.Schema) string {
	switch {
	case s.Type == "":
		return "any value"
	case s.Format != "":
		return s.Type + " (" + s.Format + ")"
	case s.Type == spec.TypeObject && s.Values != nil:
		return "a map"
	}
	return s.Type
}

// fits reports whether numbers of one schema are numbers of the other, by type and format.
func fits(said, taken *spec.Schema) bool {
	switch {
	case said.Type == spec.TypeNumber && taken.Type == spec.TypeInteger:
		return false
	case said.Type == spec.TypeNumber:
		return taken.Format != "float" || said.Format == "float"
	case taken.Type == spec.TypeNumber:
		return true // that an integer has no fraction is lost on nobody
	}
	low, high := formatRange(said.Format)
	least, most := formatRange(taken.Format)
	if least == nil {
		return true
	}
	return low != nil && low.Cmp(least) >= 0 && high.Cmp(most) <= 0
}

// formatRange is the range of an integer format, such as int64 and uint8; nil if it has none.
func formatRange(format string) (low, high *big.Rat) {
	digits, unsigned := strings.CutPrefix(format, "uint")
	if !unsigned {
		var signed bool
		if digits, signed = strings.CutPrefix(format, "int"); !signed {
			return nil, nil
		}
	}
	bits, err := strconv.ParseUint(digits, 10, 7)
	if err != nil || bits == 0 {
		return nil, nil
	}
	one := big.NewInt(1)
	if unsigned {
		top := new(big.Int).Lsh(one, uint(bits))
		return new(big.Rat), new(big.Rat).SetInt(top.Sub(top, one))
	}
	top := new(big.Int).Lsh(one, uint(bits)-1)
	return new(big.Rat).SetInt(new(big.Int).Neg(top)), new(big.Rat).SetInt(new(big.Int).Sub(top, one))
}

// fault is one way in which a schema refuses what another allows.
type fault struct {
	rule  diagnostic.ID // for requests
	value string        // of an enumeration
	show  func(*spec.Schema) string
}

// refused lists why taken does not take all that said allows. Both are of types that fit.
func refused(said, taken *spec.Schema) []fault {
	var faults []fault
	if len(taken.Enum) > 0 {
		if len(said.Enum) == 0 {
			return []fault{{rule: RequestEnumAdded, show: func(s *spec.Schema) string { return "enum " + or(strings.Join(s.Enum, ", ")) }}}
		}
		for _, v := range said.Enum {
			if !slices.Contains(taken.Enum, v) {
				faults = append(faults, fault{rule: RequestEnumValueRemoved, value: v, show: func(*spec.Schema) string { return v }})
			}
		}
		return faults // what is in both lists is taken, or is not, as before
	}
	for _, r := range []struct {
		fault

		holds func(said, taken *spec.Schema) bool
	}{
		{fault{rule: RequestRangeTightened, show: showRange}, inRange},
		{fault{rule: RequestLengthTightened, show: showLength}, lengthHolds},
		{fault{rule: RequestItemsTightened, show: showItems}, itemsHold},
		{fault{rule: RequestPatternChanged, show: func(s *spec.Schema) string { return "pattern " + or(s.Pattern) }}, patternHolds},
		{fault{rule: RequestMultipleOfTightened, show: func(s *spec.Schema) string { return "multipleOf " + or(s.MultipleOf) }}, multipleHolds},
		{
			fault{rule: RequestUniqueItems, show: func(s *spec.Schema) string { return "uniqueItems " + strconv.FormatBool(s.Unique) }},
			func(a, b *spec.Schema) bool { return a.Unique || !b.Unique },
		},
	} {
		if !r.holds(said, taken) {
			faults = append(faults, r.fault)
		}
	}
	return faults
}

func or(s string) string {
	if s == "" {
		return "none"
	}
	return s
}

func lengthHolds(said, taken *spec.Schema) bool {
	if len(said.Enum) > 0 {
		return !slices.ContainsFunc(said.Enum, func(v string) bool {
			n := utf8.RuneCountInString(v)
			return n < taken.MinLength || taken.MaxLength != nil && n > *taken.MaxLength
		})
	}
	return said.MinLength >= taken.MinLength && atMost(said.MaxLength, taken.MaxLength)
}

func itemsHold(said, taken *spec.Schema) bool {
	return said.MinItems >= taken.MinItems && atMost(said.MaxItems, taken.MaxItems)
}

// atMost compares upper bounds; nil is none.
func atMost(a, b *int) bool { return b == nil || a != nil && *a <= *b }

func patternHolds(said, taken *spec.Schema) bool {
	if taken.Pattern == "" || said.Pattern == taken.Pattern {
		return true
	}
	expr, err := regexp.Compile(taken.Pattern)
	if err != nil || len(said.Enum) == 0 {
		return false
	}
	return !slices.ContainsFunc(said.Enum, func(v string) bool { return !expr.MatchString(v) })
}

func multipleHolds(said, taken *spec.Schema) bool {
	of := decimal(taken.MultipleOf)
	if of == nil {
		return true
	}
	multiple := func(v string) bool {
		n := decimal(v)
		return n != nil && n.Quo(n, of).IsInt()
	}
	if len(said.Enum) > 0 {
		return !slices.ContainsFunc(said.Enum, func(v string) bool { return !multiple(v) })
	}
	return multiple(said.MultipleOf) || said.MultipleOf == "" && said.Type == spec.TypeInteger && multiple("1")
}

func showLength(s *spec.Schema) string {
	return showCount("minLength", s.MinLength, "maxLength", s.MaxLength)
}
func showItems(s *spec.Schema) string {
	return showCount("minItems", s.MinItems, "maxItems", s.MaxItems)
}

func showCount(least string, n int, most string, top *int) string {
	text := least + " " + strconv.Itoa(n) + ", " + most + " "
	if top == nil {
		return text + "none"
	}
	return text + strconv.Itoa(*top)
}
