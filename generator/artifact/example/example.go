// Package example makes a value of a schema: one that its constraints take, the same in every run.
package example

import (
	"encoding/json"
	"fmt"
	"maps"
	"math/big"
	"slices"
	"strings"

	"github.com/stella-ops/router/spec"
)

// deepest is how far types within types are followed.
const deepest = 8

// Value is an example of a schema of m, for encoding/json: members that are required, and those of them that have
// some themselves. Where nothing that satisfies the constraints is found, it is the nearest try.
func Value(m *spec.Manifest, s *spec.Schema) any { return value(m, s, 0) }

// Text is an example of a parameter, as it stands in a path, a query or a header.
func Text(m *spec.Manifest, s *spec.Schema) string {
	switch v := Value(m, s).(type) {
	case string:
		return v
	case []any:
		if len(v) == 0 {
			return ""
		}
		return Text(m, s.Items)
	default:
		return fmt.Sprint(v) // a number or a boolean
	}
}

func value(m *spec.Manifest, s *spec.Schema, depth int) any {
	if s == nil || depth > deepest {
		return nil
	}
	if s.Ref != "" {
		return value(m, m.Schemas[s.Ref], depth+1)
	}
	listed := ""
	if len(s.Enum) > 0 {
		listed = s.Enum[0]
	}
	if s.Default != nil {
		listed = *s.Default
	}
	switch s.Type {
	case spec.TypeString:
		if listed != "" {
			return listed
		}
		return text(s)
	case spec.TypeInteger, spec.TypeNumber:
		if listed != "" {
			return json.Number(listed)
		}
		return json.Number(number(s))
	case spec.TypeBoolean:
		return listed != "false"
	case spec.TypeArray:
		return array(m, s, depth)
	case spec.TypeObject:
		return object(m, s, depth)
	}
	return map[string]any{} // anything will do
}

func array(m *spec.Manifest, s *spec.Schema, depth int) any {
	items := []any{}
	n := max(s.MinItems, 1)
	if s.MaxItems != nil {
		n = min(n, *s.MaxItems)
	}
	for range n {
		if item := value(m, s.Items, depth+1); item != nil {
			items = append(items, item)
		}
	}
	return items
}

func object(m *spec.Manifest, s *spec.Schema, depth int) any {
	members := map[string]any{}
	for _, name := range slices.Sorted(maps.Keys(s.Properties)) {
		if slices.Contains(s.Required, name) {
			members[name] = value(m, s.Properties[name], depth+1)
		}
	}
	if s.Values != nil {
		members["key"] = value(m, s.Values, depth+1)
	}
	return members
}

// formats are examples of the formats of text.
var formats = map[string]string{
	"date": "2026-01-31", "date-time": "2026-01-31T15:04:05Z", "time": "15:04:05Z", "email": "ada@example.org", "hostname": "example.org",
	"ipv4": "192.0.2.1", "ipv6": "2001:db8::1", "uri": "https://example.org/", "uuid": "3b241101-e2bb-4255-8caf-4136c566a962",
	"byte": "YQ==", "go-duration": "1m30s", "binary": "bytes",
}

func text(s *spec.Schema) string {
	if v, ok := formats[s.Format]; ok {
		return v
	}
	v := "text"
	if s.Pattern != "" {
		v = matching(s.Pattern)
	}
	for len(v) > 0 && len(v) < s.MinLength {
		v += v[len(v)-1:]
	}
	if s.MaxLength != nil && len(v) > *s.MaxLength {
		v = v[:*s.MaxLength]
	}
	return v
}

// number is the first of some candidates that the bounds take: 1, then whatever is at a bound, or beside it.
func number(s *spec.Schema) string {
	candidates := []*big.Rat{big.NewRat(1, 1), new(big.Rat)}
	for _, bound := range []string{s.Minimum, s.Maximum, s.Above, s.Below, s.MultipleOf} {
		if r, ok := new(big.Rat).SetString(bound); ok && bound != "" {
			for _, beside := range []*big.Rat{new(big.Rat), big.NewRat(1, 1), big.NewRat(-1, 1), big.NewRat(1, 100), big.NewRat(-1, 100)} {
				candidates = append(candidates, new(big.Rat).Add(r, beside))
			}
		}
	}
	if step, ok := new(big.Rat).SetString(s.MultipleOf); ok && s.MultipleOf != "" { // the next step above each
		for _, c := range slices.Clone(candidates) {
			steps := new(big.Rat).Quo(c, step)
			whole := new(big.Int).Quo(steps.Num(), steps.Denom())
			for _, n := range []int64{0, 1} {
				candidates = append(candidates, new(big.Rat).Mul(step, new(big.Rat).SetInt(new(big.Int).Add(whole, big.NewInt(n)))))
			}
		}
	}
	for _, c := range candidates {
		if takes(s, c) {
			return decimal(c)
		}
	}
	return decimal(candidates[0])
}

func takes(s *spec.Schema, v *big.Rat) bool {
	if s.Type == spec.TypeInteger && !v.IsInt() {
		return false
	}
	compare := func(bound string, ok func(int) bool) bool {
		r, is := new(big.Rat).SetString(bound)
		return bound == "" || !is || ok(v.Cmp(r))
	}
	step, stepped := new(big.Rat).SetString(s.MultipleOf)
	return compare(s.Minimum, func(c int) bool { return c >= 0 }) && compare(s.Maximum, func(c int) bool { return c <= 0 }) &&
		compare(s.Above, func(c int) bool { return c > 0 }) && compare(s.Below, func(c int) bool { return c < 0 }) &&
		(s.MultipleOf == "" || !stepped || new(big.Rat).Quo(v, step).IsInt())
}

func decimal(r *big.Rat) string {
	if r.IsInt() {
		return r.Num().String()
	}
	return strings.TrimRight(r.FloatString(20), "0") //nolint:mnd // more digits than an example needs
}
