// Package example makes a value of a schema: the same one each time, and one that keeps to what the schema asks for.
package example

import (
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"maps"
	"slices"

	"github.com/stella-ops/router/spec"
)

// Bounds of a value, so that no schema makes one that nobody would read.
const (
	maxNodes = 5000 // values in it, itself included
	maxDepth = 4    // below which members are left out that are not required
	maxText  = 4096 // code points of a text
	maxItems = 100  // of an array
	maxTries = 2000 // candidates that are looked at for one value
)

var errSize = fmt.Errorf("example: the smallest value has more than %d parts", maxNodes)

// Of makes a value of a schema of m: nil, bool, string, [encoding/json.Number], []any or map[string]any. Defaults and
// listed values come first, and members that are not required are there, too, as far as a value stays small. The error
// names what no value was found for: a pattern, say, that nothing simple matches.
func Of(m *spec.Manifest, s *spec.Schema) (any, error) {
	w := &maker{schemas: m.Schemas}
	return w.value(s, 0)
}

type maker struct {
	schemas map[string]*spec.Schema
	within  []string // references that lead to where we are
	nodes   int
}

func (w *maker) value(s *spec.Schema, depth int) (any, error) {
	if w.nodes++; w.nodes > maxNodes {
		return nil, errSize
	}
	if s == nil {
		return nil, nil //nolint:nilnil // null is a value
	}
	if s.Ref != "" {
		return w.named(s, depth)
	}
	v, err := w.typed(s, depth)
	if err != nil && s.Nullable && !errors.Is(err, errSize) {
		return nil, nil //nolint:nilnil // null is a value
	}
	return v, err
}

// named follows a reference. One that leads back into itself has no value but null.
func (w *maker) named(s *spec.Schema, depth int) (any, error) {
	if slices.Contains(w.within, s.Ref) {
		if s.Nullable {
			return nil, nil //nolint:nilnil // null is a value
		}
		return nil, fmt.Errorf("example: a %s holds another one, without end", s.Ref)
	}
	w.within = append(w.within, s.Ref)
	defer func() { w.within = w.within[:len(w.within)-1] }()
	return w.value(w.schemas[s.Ref], depth)
}

func (w *maker) typed(s *spec.Schema, depth int) (any, error) {
	switch s.Type {
	case spec.TypeObject:
		return w.object(s, depth)
	case spec.TypeArray:
		return w.array(s, depth)
	}
	for v := range scalars(s) {
		return v, nil
	}
	return nil, fmt.Errorf("example: found no %s for %s", s.Type, describe(s))
}

func (w *maker) object(s *spec.Schema, depth int) (any, error) {
	object := map[string]any{}
	for _, name := range slices.Sorted(maps.Keys(s.Properties)) {
		required := slices.Contains(s.Required, name)
		if !required && depth >= maxDepth {
			continue
		}
		v, err := w.value(s.Properties[name], depth+1)
		switch {
		case err == nil:
			object[name] = v
		case required || errors.Is(err, errSize):
			return nil, err
		}
	}
	if s.Values == nil || depth >= maxDepth {
		return object, nil
	}
	v, err := w.value(s.Values, depth+1)
	if errors.Is(err, errSize) {
		return nil, err
	}
	if err == nil {
		object["key"] = v
	}
	return object, nil
}

func (w *maker) array(s *spec.Schema, depth int) (any, error) {
	n := max(1, s.MinItems)
	if s.MaxItems != nil {
		n = min(n, *s.MaxItems)
	}
	if n > maxItems {
		return nil, fmt.Errorf("example: an array needs %d items, which is too long to read", n)
	}
	items := make([]any, 0, n)
	if s.Unique && n > 1 {
		return w.unique(s, n)
	}
	for range n {
		v, err := w.value(s.Items, depth+1)
		if err != nil {
			if s.MinItems == 0 && !errors.Is(err, errSize) {
				return items, nil
			}
			return nil, err
		}
		items = append(items, v)
	}
	return items, nil
}

// unique is an array of n different items. Objects and arrays are not varied.
func (w *maker) unique(s *spec.Schema, n int) (any, error) {
	var items []any
	of := s.Items
	for range len(w.schemas) {
		if of != nil && of.Ref != "" {
			of = w.schemas[of.Ref]
		}
	}
	if of == nil {
		of = &spec.Schema{}
	}
	for v := range scalars(of) {
		if !slices.Contains(items, v) {
			items = append(items, v)
		}
		if len(items) == n {
			return items, nil
		}
	}
	return nil, fmt.Errorf("example: found no %d different items of type %q", n, of.Type)
}

// scalars yields values of a schema that is no object and no array, the best first.
func scalars(s *spec.Schema) iter.Seq[any] {
	return func(yield func(any) bool) {
		tries := 0
		for v := range candidates(s) {
			if tries++; tries > maxTries {
				return
			}
			if fits(s, v) && !yield(v) {
				return
			}
		}
	}
}

// candidates yields values that may be of s.
func candidates(s *spec.Schema) iter.Seq[any] {
	return func(yield func(any) bool) {
		if s.Default != nil && !yield(parse(s, *s.Default)) {
			return
		}
		for _, v := range s.Enum {
			if !yield(parse(s, v)) {
				return
			}
		}
		if len(s.Enum) > 0 {
			return
		}
		switch s.Type {
		case spec.TypeBoolean:
			_ = yield(true) && yield(false)
		case spec.TypeInteger, spec.TypeNumber:
			numbers(s, func(v json.Number) bool { return yield(v) })
		case spec.TypeString, "":
			texts(s, func(v string) bool { return yield(v) })
		}
	}
}

// parse reads a value as [spec.Schema] writes it in Enum and Default.
func parse(s *spec.Schema, v string) any {
	switch s.Type {
	case spec.TypeInteger, spec.TypeNumber:
		return json.Number(v)
	case spec.TypeBoolean:
		return v == "true"
	}
	return v
}

// fits reports whether a candidate keeps to the constraints.
func fits(s *spec.Schema, v any) bool {
	switch v := v.(type) {
	case json.Number:
		return fitsNumber(s, string(v))
	case string:
		return s.Type != spec.TypeString || fitsText(s, v)
	}
	return true
}
