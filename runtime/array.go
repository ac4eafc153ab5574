package stella

import "fmt"

// Array walks the elements of one JSON array, for generated code, in this form:
//
//	if a := b.Array(); a.Begun() {
//		out.Lines = make([]Line, 0, a.Room())
//		for a.Next() {
//			var v Line
//			decodeLine(b, &v)
//			out.Lines = append(out.Lines, v)
//		}
//	}
//
// It does what [DecodeSlice] does. An element type of its own makes the compiler compile that function again, and this
// loop takes it a third of the time. The body of the loop must take exactly one value from the Binder each time.
type Array struct {
	b     *Binder
	rule  *Rule
	n     int // elements so far
	begun bool
}

// Array begins the value that comes next, which must be an array, or null. It is the Binder's: generated code has to walk
// it to its end if it has begun, and any array within it before it goes on.
func (b *Binder) Array() *Array {
	a := b.nextArray()
	*a = Array{b: b, rule: b.rule, begun: !b.null() && b.open('[', "array")}
	if !a.begun {
		b.arrays--
	}
	return a
}

// nextArray has room for one more array within those that are being walked.
func (b *Binder) nextArray() *Array {
	b.arrays++
	if b.arrays <= len(b.someArrays) {
		return &b.someArrays[b.arrays-1]
	}
	return new(Array)
}

// Begun reports whether there is an array, which may have no elements.
func (a *Array) Begun() bool { return a.begun }

// Room is how many elements there should be room for at first: a few, unless there are none.
func (a *Array) Room() int {
	if a.b.text.at(a.b.at) == ']' {
		return 0
	}
	return fewElements
}

// Next goes to the next element, and reports whether there is one.
func (a *Array) Next() bool {
	if a.n > 0 {
		a.b.leave()
	}
	if !a.b.more(']') {
		a.b.arrays--
		a.b.faultAll(a.rule.items(a.n))
		return false
	}
	a.b.path, a.b.rule = append(a.b.path, step{index: a.n}), a.rule.each()
	a.n++
	return true
}

// DecodeArray takes an array of as many elements as there is room for in dst, each by elem.
func DecodeArray[T any](b *Binder, dst []T, elem func(*Binder, *T)) {
	if !b.open('[', "array") {
		return
	}
	rule, n := b.rule, 0
	for b.more(']') {
		b.path, b.rule = append(b.path, step{index: n}), rule.each()
		if n < len(dst) {
			elem(b, &dst[n])
		} else {
			b.raw()
		}
		n++
		b.leave()
	}
	if n != len(dst) {
		b.fault(fmt.Sprintf("expected array of %d, got %d", len(dst), n))
	}
}
