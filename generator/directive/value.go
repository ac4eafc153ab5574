package directive

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/stella-ops/router/generator/diagnostic"
	"github.com/stella-ops/router/internal/spelling"
	"github.com/stella-ops/router/spec"
)

// Check reads a value that stands in no directive: the items of a list, or the one text of anything else. The message,
// which goes behind the key's name, is empty if it is right. The value has no position.
func (k Key) Check(items ...string) (v Value, message string) {
	a := arg{value: strings.Join(items, ",")}
	for _, text := range items {
		a.list = append(a.list, item{text: text})
		if text == "" {
			return v, "has an empty item"
		}
	}
	return k.check(a)
}

// check reads a value of the key's type. The message is empty if it is right.
func (k Key) check(a arg) (v Value, message string) {
	v = Value{Text: a.value}
	if k.Type == Flag {
		return v, "is a flag and takes no value"
	}
	if a.value == "" {
		return v, "needs " + k.Wants()
	}
	if strings.ContainsFunc(a.value, unicode.IsControl) {
		return v, fmt.Sprintf("is %q, expected no control characters", a.value)
	}
	switch k.Type {
	case Integer:
		n, err := strconv.ParseInt(a.value, 10, 64)
		if err != nil || n < k.Min || n > k.Max {
			return v, fmt.Sprintf("is %q, expected %s", a.value, k.Wants())
		}
		v.Int = n
	case Duration:
		return k.checkDuration(v)
	case Size:
		return checkSize(v)
	case Enum:
		if !slices.Contains(k.Values, a.value) {
			return v, fmt.Sprintf("is %q, expected %s%s", a.value, k.Wants(), didYouMean(a.value, k.Values))
		}
	case Version:
		if _, err := spec.ParseVersion(a.value); err != nil {
			return v, fmt.Sprintf("is %q, expected strict semver, such as 1.4.0", a.value)
		}
	case List:
		for _, it := range a.list {
			if it.text == "" {
				return v, "has an empty item"
			}
			v.List = append(v.List, it.text)
		}
	case Integers:
		return k.checkIntegers(v, a.list)
	case Pairs:
		return k.checkPairs(v, a.list)
	case Percent:
		return checkPercent(v)
	case Date:
		return v, k.checkDate(a.value)
	case Method:
		if !spec.ValidMethod(a.value) {
			return v, fmt.Sprintf("is %q, expected %s%s", a.value, k.Wants(), didYouMean(a.value, spec.Methods))
		}
	case Path:
		return v, checkPath(a.value)
	case Name:
		if !isName(a.value) {
			return v, fmt.Sprintf("is %q, expected %s", a.value, k.Wants())
		}
	case Rule:
		if !mayBeRule(diagnostic.ID(a.value)) {
			return v, fmt.Sprintf("is %q, expected %s", a.value, k.Wants())
		}
	case Flag, Text, Word:
	}
	return v, ""
}

// mayBeRule reports whether there is a rule with this id, or may be one of lint, which knows its own.
func mayBeRule(id diagnostic.ID) bool {
	_, known := diagnostic.Find(id)
	return known || id.IsLint()
}

// Wants says what a value should look like.
func (k Key) Wants() string {
	switch k.Type {
	case Integer:
		return fmt.Sprintf("a number from %d to %d", k.Min, k.Max)
	case Integers:
		return fmt.Sprintf("a number from %d to %d, or several with commas between them", k.Min, k.Max)
	case Pairs:
		return fmt.Sprintf("names with a number from %d to %d each, such as NotFound:404,Conflict:409", k.Min, k.Max)
	case Percent:
		return "a percentage between 0 and 100, such as 99.9"
	case Date:
		return "a day, such as 2027-01-31"
	case Duration:
		return "a duration with its unit, such as 30s"
	case Size:
		return "a size with its unit, such as 64KiB"
	case Enum:
		return "one of " + strings.Join(k.Values, ", ")
	case Version:
		return "a version, such as 1.4.0"
	case Method:
		return "one of " + strings.Join(spec.Methods, ", ")
	case Path:
		return "a path, such as /invoices/{id}"
	case Name:
		return "a name of letters, digits, dots, dashes and underscores"
	case Rule:
		return "the id of a rule, such as " + string(diagnostic.NearTag)
	case List:
		return "words separated by commas"
	case Flag, Text, Word:
	}
	return "a value"
}

// checkIntegers reads numbers that are all different.
func (k Key) checkIntegers(v Value, list []item) (Value, string) {
	for _, it := range list {
		n, err := strconv.ParseInt(it.text, 10, 64)
		if err != nil || n < k.Min || n > k.Max {
			return v, fmt.Sprintf("is %q, expected %s", v.Text, k.Wants())
		}
		if slices.Contains(v.Ints, n) {
			return v, fmt.Sprintf("has %d twice", n)
		}
		v.Ints = append(v.Ints, n)
	}
	return v, ""
}

// checkPairs reads words that are all different, and the number of each.
func (k Key) checkPairs(v Value, list []item) (Value, string) {
	for _, it := range list {
		word, number, _ := strings.Cut(it.text, ":")
		n, err := strconv.ParseInt(number, 10, 64)
		if err != nil || n < k.Min || n > k.Max || word == "" {
			return v, fmt.Sprintf("has %q, expected %s", it.text, k.Wants())
		}
		if slices.Contains(v.List, word) {
			return v, fmt.Sprintf("has %s twice", word)
		}
		v.List, v.Ints = append(v.List, word), append(v.Ints, n)
	}
	return v, ""
}

// checkDate says what is wrong with a day; empty if nothing is.
func (k Key) checkDate(text string) string {
	if _, err := time.Parse(time.DateOnly, text); err != nil {
		return fmt.Sprintf("is %q, expected %s", text, k.Wants())
	}
	return ""
}

// maxFraction bounds the digits of a percentage.
const maxFraction = 6

// checkPercent reads a percentage. Its text becomes canonical.
func checkPercent(v Value) (Value, string) {
	whole, fraction, point := strings.Cut(v.Text, ".")
	if !isDigits(whole) || len(whole) > 2 || len(whole) == 2 && whole[0] == '0' || point && !isDigits(fraction) || len(fraction) > maxFraction {
		return v, fmt.Sprintf("is %q, expected %s", v.Text, Key{Type: Percent}.Wants())
	}
	text := whole
	if fraction = strings.TrimRight(fraction, "0"); fraction != "" {
		text += "." + fraction
	}
	if text == "0" {
		return v, fmt.Sprintf("is %q, expected %s", v.Text, Key{Type: Percent}.Wants())
	}
	v.Text = text
	return v, ""
}

// maxName is the length of a service's name that the manifest allows.
const maxName = 128

func isName(s string) bool {
	for i := range len(s) {
		c := s[i]
		letter := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
		if !letter && (i == 0 || c != '-' && c != '_' && c != '.') {
			return false
		}
	}
	return s != "" && len(s) <= maxName
}

func isDigits(s string) bool {
	return s != "" && strings.Trim(s, "0123456789") == ""
}

// checkPath says what is wrong with a path; empty if nothing is.
func checkPath(path string) string {
	p, err := spec.ParsePattern(path)
	switch {
	case err != nil:
		return "is wrong: " + err.Error()
	case p.Reserved():
		return fmt.Sprintf("is %q, which is reserved for the gateway: expected a path that does not begin with %s/", path, spec.ReservedPath)
	case len(p.Params()) > spec.MaxFields:
		return fmt.Sprintf("has %d parameters, expected at most %d", len(p.Params()), spec.MaxFields)
	}
	return ""
}

// Times that the manifest allows where a key says nothing else.
const (
	minDuration = time.Millisecond
	maxDuration = 24 * time.Hour
)

func (k Key) checkDuration(v Value) (Value, string) {
	shortest, longest := minDuration, maxDuration
	if k.Max != 0 {
		shortest, longest = time.Duration(k.Min)*time.Millisecond, time.Duration(k.Max)*time.Millisecond
	}
	if isDigits(v.Text) {
		return v, fmt.Sprintf("is %q: missing unit, did you mean %ss?", v.Text, v.Text)
	}
	d, err := time.ParseDuration(v.Text)
	switch {
	case err != nil:
		return v, fmt.Sprintf("is %q, expected a duration, such as 30s or 1m30s", v.Text)
	case d < shortest || d > longest:
		return v, fmt.Sprintf("is %q, expected %s to %s", v.Text, Spell(shortest), Spell(longest))
	case d%time.Millisecond != 0:
		return v, fmt.Sprintf("is %q, expected whole milliseconds", v.Text)
	}
	v.Duration = d
	return v, ""
}

// Spell writes a duration as authors do, without units that count nothing: 25m, not 25m0s.
func Spell(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// maxSize is the largest body that the manifest allows, in bytes: 1 TiB.
const maxSize = int64(1) << 40

func checkSize(v Value) (Value, string) {
	if isDigits(v.Text) {
		return v, fmt.Sprintf("is %q: missing unit, did you mean %sB?", v.Text, v.Text)
	}
	digits := len(v.Text) - len(strings.TrimLeft(v.Text, "0123456789"))
	units := spec.SizeUnits
	unit := v.Text[digits:]
	known := slices.Contains(units, unit)
	if digits > 0 && (unit == "TB" || unit == "TiB") {
		return v, fmt.Sprintf("is %q, expected 1B to 1024GiB, in one of %s", v.Text, strings.Join(units, ", "))
	}
	if digits == 0 || !known {
		guess := ""
		if s := spelling.Suggest(strings.TrimSpace(unit), units); s != "" && digits > 0 {
			guess = ": did you mean " + v.Text[:digits] + s + "?"
		}
		return v, fmt.Sprintf("is %q, expected a whole number and one of %s%s", v.Text, strings.Join(units, ", "), guess)
	}
	n, err := spec.ParseSize(v.Text)
	if err != nil || n > maxSize {
		return v, fmt.Sprintf("is %q, expected 1B to 1024GiB", v.Text)
	}
	v.Int = n
	return v, ""
}

// SpellSize writes a number of bytes as authors do, in the largest unit that divides it: 64KiB, 10MB, 1GiB.
func SpellSize(n int64) string {
	best, text := int64(1), fmt.Sprintf("%dB", n)
	for _, unit := range spec.SizeUnits {
		if size, err := spec.ParseSize("1" + unit); err == nil && size > best && n%size == 0 && n > 0 {
			best, text = size, fmt.Sprintf("%d%s", n/size, unit)
		}
	}
	return text
}

func didYouMean(word string, candidates []string) string {
	if s := spelling.Suggest(word, candidates); s != "" {
		return ": did you mean " + s + "?"
	}
	return ""
}

// Usage is how a key is written, and what its value looks like.
func (k Key) Usage() string {
	value := strings.ToUpper(k.Type.String())
	switch {
	case k.Type == Flag:
		return k.Name
	case k.Name == value || k.Name == strings.ToUpper(k.Name): // positional
		return k.Name
	case len(k.Values) > 0:
		value = strings.Join(k.Values, "|")
	case k.Type == Integer && k.Max > 0:
		value = fmt.Sprintf("%d..%d", k.Min, k.Max)
	}
	return k.Name + "=" + value
}
