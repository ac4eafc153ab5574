package spec

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
)

// Index is which number means which endpoint on a session: that of a manifest's place in generation 0, and of appended
// ones after that. An index is never changed; [Index.Append] makes the next one. Source: PROTOCOL.md, section "The
// manifest".
type Index struct {
	Generation uint32
	manifest   *Manifest
	numbers    map[string]uint32 // by the endpoint's identity
}

// NewIndex is the index of generation 0.
func NewIndex(m *Manifest) (*Index, error) {
	x := &Index{manifest: m, numbers: make(map[string]uint32, len(m.Endpoints))}
	for i := range m.Endpoints {
		id, err := m.Endpoints[i].Identity()
		if err != nil {
			return nil, err
		}
		x.numbers[id] = uint32(i)
	}
	return x, nil
}

// Number is the number of an endpoint, by its identity.
func (x *Index) Number(identity string) (n uint32, ok bool) {
	n, ok = x.numbers[identity]
	return n, ok
}

// Append returns the index of the next generation, whose manifest holds all that was there before, unchanged, and more.
func (x *Index) Append(m *Manifest) (*Index, error) {
	old := x.manifest
	if m.Service != old.Service || m.Version != old.Version {
		return nil, fmt.Errorf("%w: endpoints of %s %s are appended to those of %s %s", ErrManifest, m.Service, m.Version, old.Service, old.Version)
	}
	now, err := NewIndex(m)
	if err != nil {
		return nil, err
	}
	for i := range old.Endpoints {
		e := &old.Endpoints[i]
		id, err := e.Identity()
		if err != nil {
			return nil, err
		}
		n, there := now.numbers[id]
		if !there || !same(e, &m.Endpoints[n]) {
			return nil, fmt.Errorf("%w: %s %s has changed or is gone, where endpoints may be appended only", ErrManifest, e.Method, e.Path)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(old.Schemas)) {
		if s, there := m.Schemas[name]; !there || !same(old.Schemas[name], s) {
			return nil, fmt.Errorf("%w: schema %q has changed or is gone, where endpoints may be appended only", ErrManifest, name)
		}
	}
	next := &Index{Generation: x.Generation + 1, manifest: m, numbers: maps.Clone(x.numbers)}
	for i := range m.Endpoints {
		id, err := m.Endpoints[i].Identity()
		if err != nil {
			return nil, err
		}
		if _, there := next.numbers[id]; !there {
			next.numbers[id] = uint32(len(next.numbers))
		}
	}
	return next, nil
}

// same compares what two values are in canonical JSON.
func same(a, b any) bool {
	x, err := Canonical(a)
	if err != nil {
		return false
	}
	y, err := Canonical(b)
	return err == nil && bytes.Equal(x, y)
}
