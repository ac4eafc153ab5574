package stella

import (
	"bytes"
	"encoding/json"
)

// Optional is a member of a JSON body, or a parameter, of which it matters whether it came: it is absent, null, or there
// with a value. A PATCH takes it: absent leaves a thing as it is, null removes it, and a value sets it. The zero value is
// absent. As a member of a result it is null unless it has a value; with the json option omitzero it is left out where
// it is absent.
type Optional[T any] struct {
	value T
	state presence
}

type presence uint8

const (
	absent presence = iota
	null
	there
)

// Some is an Optional with a value.
func Some[T any](value T) Optional[T] { return Optional[T]{value, there} }

// Null is an Optional that came as null.
func Null[T any]() Optional[T] { return Optional[T]{state: null} }

// Get is the value, and whether there is one.
func (o Optional[T]) Get() (value T, ok bool) { return o.value, o.state == there }

// Or is the value, or another where there is none.
func (o Optional[T]) Or(other T) T {
	if o.state == there {
		return o.value
	}
	return other
}

// IsZero reports whether it is absent. It makes the json option omitzero work.
func (o Optional[T]) IsZero() bool { return o.state == absent }

// IsNull reports whether it came as null.
func (o Optional[T]) IsNull() bool { return o.state == null }

// MarshalJSON writes the value, or null where there is none.
func (o Optional[T]) MarshalJSON() ([]byte, error) {
	if o.state != there {
		return []byte("null"), nil
	}
	return json.Marshal(o.value) //nolint:wrapcheck // encoding/json, which has called it, says where
}

// UnmarshalJSON takes null, or a value.
func (o *Optional[T]) UnmarshalJSON(data []byte) error {
	if bytes.Equal(data, []byte("null")) {
		*o = Null[T]()
		return nil
	}
	var v T
	if err := json.Unmarshal(data, &v); err != nil {
		return err //nolint:wrapcheck // encoding/json, which has called it, says where
	}
	*o = Some(v)
	return nil
}

// DecodeOptional takes null, or a value by elem. For generated code.
func DecodeOptional[T any](b *Binder, dst *Optional[T], elem func(*Binder, *T)) {
	if b.null() {
		*dst = Null[T]()
		return
	}
	dst.state = there
	elem(b, &dst.value)
}

// BindOptional takes the parameter's value, by elem, if it came. For generated code.
func BindOptional[T any](p *Param, dst *Optional[T], elem func(*Param, *T)) {
	if len(p.values) == 0 {
		return
	}
	dst.state = there
	elem(p, &dst.value)
}
