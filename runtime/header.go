package stella

import (
	"net/textproto"

	"github.com/stella-ops/router/spec"
)

// Header is the header of a request or an answer: fields in the order they travel. Names compare without case, and
// are kept in canonical form (Content-Type). The zero value is an empty header. It is not safe for concurrent use.
type Header []spec.Field

// Get returns the first value of a name, or the empty string.
func (h Header) Get(name string) string {
	v, _ := h.lookup(name)
	return v
}

// Has reports whether there is a field of this name, be its value empty or not.
func (h Header) Has(name string) bool {
	_, ok := h.lookup(name)
	return ok
}

func (h Header) lookup(name string) (string, bool) {
	for i := range h {
		if sameName(h[i].Name, name) {
			return h[i].Value, true
		}
	}
	return "", false
}

// Values returns all values of a name, in order; nil if there is none.
func (h Header) Values(name string) []string {
	return h.appendValues(nil, name)
}

func (h Header) appendValues(values []string, name string) []string {
	for i := range h {
		if sameName(h[i].Name, name) {
			values = append(values, h[i].Value)
		}
	}
	return values
}

// Set replaces all values of a name by one.
func (h *Header) Set(name, value string) {
	for i := range *h {
		if sameName((*h)[i].Name, name) {
			(*h)[i].Value = value
			h.remove(name, i+1)
			return
		}
	}
	h.Add(name, value)
}

// Add appends a field.
func (h *Header) Add(name, value string) {
	*h = append(*h, spec.Field{Name: textproto.CanonicalMIMEHeaderKey(name), Value: value})
}

// Del removes all fields of a name.
func (h *Header) Del(name string) { h.remove(name, 0) }

// remove drops the fields of a name from index from on.
func (h *Header) remove(name string, from int) {
	kept := (*h)[:from]
	for _, f := range (*h)[from:] {
		if !sameName(f.Name, name) {
			kept = append(kept, f)
		}
	}
	clear((*h)[len(kept):])
	*h = kept
}

// sameName compares names as RFC 9110, section 5.1, asks: ASCII letters without case.
func sameName(a, b string) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range len(a) {
		if a[i] != b[i] && lower(a[i]) != lower(b[i]) {
			return false
		}
	}
	return true
}

func lower(c byte) byte {
	if c >= 'A' && c <= 'Z' {
		return c + ('a' - 'A')
	}
	return c
}
