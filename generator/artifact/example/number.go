package example

import (
	"encoding/json"
	"math/big"

	"github.com/stella-ops/router/spec"
)

// variants is how many numbers are looked at beyond the first.
const variants = 2 * maxItems

func rat(decimal string) *big.Rat {
	if decimal == "" {
		return nil
	}
	r, _ := new(big.Rat).SetString(decimal)
	return r
}

// fitsNumber judges exactly: what a manifest bounds may be beyond what a float64 tells apart.
func fitsNumber(s *spec.Schema, decimal string) bool {
	v := rat(decimal)
	if v == nil {
		return false
	}
	over := func(bound string, worst int) bool {
		b := rat(bound)
		return b != nil && v.Cmp(b) >= worst
	}
	under := func(bound string, worst int) bool {
		b := rat(bound)
		return b != nil && v.Cmp(b) <= worst
	}
	if under(s.Minimum, -1) || under(s.Above, 0) || over(s.Maximum, 1) || over(s.Below, 0) {
		return false
	}
	if step := rat(s.MultipleOf); step != nil && !new(big.Rat).Quo(v, step).IsInt() {
		return false
	}
	return s.Type != spec.TypeInteger || v.IsInt()
}

// numbers yields numbers that are near the bounds, and otherwise near 1.
func numbers(s *spec.Schema, yield func(json.Number) bool) {
	step := rat(s.MultipleOf)
	switch {
	case step == nil:
		step = big.NewRat(1, 1)
	case s.Type == spec.TypeInteger: // the smallest multiple that is an integer is the numerator
		step = new(big.Rat).SetInt(step.Num())
	}
	lowest, highest := bound(1, s.Minimum, s.Above), bound(-1, s.Maximum, s.Below)
	var starts []*big.Rat
	if s.MultipleOf == "" {
		starts = append(starts, big.NewRat(1, 1))
	} else {
		starts = append(starts, step)
	}
	for _, b := range []*big.Rat{lowest, highest} {
		if b != nil {
			starts = append(starts, floor(b, step), b)
		}
	}
	if lowest != nil && highest != nil && s.Type == spec.TypeNumber {
		middle := new(big.Rat).Add(lowest, highest)
		starts = append(starts, middle.Quo(middle, big.NewRat(2, 1)))
	}
	for _, start := range starts { // one of each first: the first that fits is the example
		if !yield(decimal(start)) {
			return
		}
	}
	for _, start := range starts {
		for _, direction := range []int64{1, -1} {
			v := start
			for range variants {
				v = new(big.Rat).Add(v, new(big.Rat).Mul(step, big.NewRat(direction, 1)))
				if !yield(decimal(v)) {
					return
				}
			}
		}
	}
}

// bound is the stricter of two bounds, of which either may be missing: the larger with 1, the smaller with -1.
func bound(stricter int, a, b string) *big.Rat {
	x, y := rat(a), rat(b)
	if x == nil || y != nil && y.Cmp(x) == stricter {
		return y
	}
	return x
}

// floor is the largest multiple of step that is not above v.
func floor(v, step *big.Rat) *big.Rat {
	q := new(big.Rat).Quo(v, step)
	n := new(big.Int).Div(q.Num(), q.Denom()) // Euclidean, and the denominator is positive
	return new(big.Rat).Mul(step, new(big.Rat).SetInt(n))
}

// decimal writes a number exactly. What comes here is made of decimals, halved at most once.
func decimal(v *big.Rat) json.Number {
	digits, exact := v.FloatPrec()
	if !exact {
		digits = 6
	}
	return json.Number(v.FloatString(digits))
}
