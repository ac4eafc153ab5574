package breaking

import (
	"math/big"
	"strings"

	"github.com/stella-ops/router/spec"
)

// bound is one end of a range; the zero value is none.
type bound struct {
	at   *big.Rat
	open bool // the number itself is not in it
}

// inRange reports whether all numbers of one schema are within the bounds that the other writes. What follows from a
// format's width, or from the list of values, bounds them, too.
func inRange(said, taken *spec.Schema) bool {
	low, high := lower(taken), upper(taken)
	if low.at == nil && high.at == nil {
		return true
	}
	for _, v := range said.Enum {
		if n := decimal(v); n == nil || low.beyond(bound{at: n}, 1) || high.beyond(bound{at: n}, -1) {
			return false
		}
	}
	if len(said.Enum) > 0 {
		return true
	}
	from, to := lower(said), upper(said)
	if said.Type == spec.TypeInteger {
		least, most := formatRange(said.Format)
		from, to = tighter(from, bound{at: least}, 1), tighter(to, bound{at: most}, -1)
	}
	return !low.beyond(from, 1) && !high.beyond(to, -1)
}

// beyond reports whether b cuts off some of what begins (sign 1) or ends (sign -1) at other.
func (b bound) beyond(other bound, sign int) bool {
	switch {
	case b.at == nil:
		return false
	case other.at == nil:
		return true
	}
	if c := sign * b.at.Cmp(other.at); c != 0 {
		return c > 0
	}
	return b.open && !other.open
}

// tighter is the one of two bounds that cuts off more.
func tighter(a, b bound, sign int) bound {
	if b.beyond(a, sign) {
		return b
	}
	return a
}

func lower(s *spec.Schema) bound {
	return whole(s, tighter(bound{at: decimal(s.Minimum)}, bound{at: decimal(s.Above), open: true}, 1), 1)
}

func upper(s *spec.Schema) bound {
	return whole(s, tighter(bound{at: decimal(s.Maximum)}, bound{at: decimal(s.Below), open: true}, -1), -1)
}

// whole moves the bound of integers to the first integer in the range, so that more than 0 is at least 1.
func whole(s *spec.Schema, b bound, sign int) bound {
	if s.Type != spec.TypeInteger || b.at == nil {
		return b
	}
	n := new(big.Int)
	if b.at.IsInt() {
		n.Set(b.at.Num())
		if b.open {
			n.Add(n, big.NewInt(int64(sign)))
		}
	} else {
		n.Div(b.at.Num(), b.at.Denom()) // rounds down: the denominator is positive
		if sign > 0 {
			n.Add(n, big.NewInt(1))
		}
	}
	return bound{at: new(big.Rat).SetInt(n)}
}

func showRange(s *spec.Schema) string {
	var words []string
	for _, b := range []struct{ name, value string }{
		{"minimum", s.Minimum}, {"exclusiveMinimum", s.Above}, {"maximum", s.Maximum}, {"exclusiveMaximum", s.Below},
	} {
		if b.value != "" {
			words = append(words, b.name+" "+b.value)
		}
	}
	return or(strings.Join(words, ", "))
}
