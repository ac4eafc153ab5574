package spec

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// ManifestFormat is the version of the manifest's form.
const ManifestFormat = 1

// MaxManifest bounds a manifest's bytes.
const MaxManifest = 16 << 20

// Manifest is everything a service offers. Its canonical JSON (see [Canonical]) is reviewed in the repository,
// embedded in the service, and sent in HELLO, byte for byte.
type Manifest struct {
	Format         int                `json:"format"`         // ManifestFormat
	ContractDigest string             `json:"contractDigest"` // over what callers see; PROTOCOL.md, section "Manifest"
	Service        string             `json:"service"`
	Version        string             `json:"version"`
	Doc            string             `json:"doc,omitempty"`
	Owner          string             `json:"owner,omitempty"`   // who answers for the service
	Endpoints      []Endpoint         `json:"endpoints"`         // sorted by path, then method
	Schemas        map[string]*Schema `json:"schemas,omitempty"` // named types, referred to by Schema.Ref
}

// Encode sorts the endpoints, checks m, sets its format and contract digest, and returns the canonical JSON.
func (m *Manifest) Encode() ([]byte, error) {
	m.Format = ManifestFormat
	slices.SortFunc(m.Endpoints, compareEndpoints)
	if err := m.Check(); err != nil {
		return nil, err
	}
	digest, err := m.contract()
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrManifest, err)
	}
	m.ContractDigest = digest
	return m.canonical()
}

// canonical is m's canonical JSON.
func (m *Manifest) canonical() ([]byte, error) {
	if m.Endpoints == nil {
		m.Endpoints = []Endpoint{}
	}
	b, err := Canonical(m)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrManifest, err)
	}
	if len(b) > MaxManifest {
		return nil, fmt.Errorf("%w: %d bytes, the limit is %d", ErrManifest, len(b), MaxManifest)
	}
	return b, nil
}

func compareEndpoints(a, b Endpoint) int {
	if c := strings.Compare(a.Path, b.Path); c != 0 {
		return c
	}
	return strings.Compare(a.Method, b.Method)
}

// ErrManifest is what every error about a manifest wraps.
var ErrManifest = errors.New("spec: manifest")

// ParseManifest reads a manifest and checks it whole: its form, every endpoint, that it is canonical, and that its
// contract digest is right, so that a contract that passes is the one that was generated and reviewed. Documentation
// that was edited by hand passes: the contract digest leaves it out.
func ParseManifest(b []byte) (*Manifest, error) {
	if len(b) > MaxManifest {
		return nil, fmt.Errorf("%w: %d bytes, the limit is %d", ErrManifest, len(b), MaxManifest)
	}
	var format struct { // of a newer format nothing else is known
		Format int `json:"format"`
	}
	if err := json.Unmarshal(b, &format); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrManifest, err)
	}
	if format.Format != ManifestFormat {
		return nil, fmt.Errorf("%w: format %d, this version reads %d", ErrManifest, format.Format, ManifestFormat)
	}
	m := new(Manifest)
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.DisallowUnknownFields()
	if err := dec.Decode(m); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrManifest, err)
	}
	if err := m.Check(); err != nil {
		return nil, err
	}
	want, err := m.contract()
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrManifest, err)
	}
	if m.ContractDigest != want {
		return nil, fmt.Errorf("%w: contractDigest is %.80q, its contents give %s: was it edited by hand? run stellagen generate", ErrManifest, m.ContractDigest, want)
	}
	again, err := m.canonical()
	if err != nil {
		return nil, err
	}
	if !bytes.Equal(again, b) {
		return nil, fmt.Errorf("%w: not in canonical form: was it edited by hand? run stellagen generate", ErrManifest)
	}
	return m, nil
}

// Check reports the first thing that is wrong with m. It does not look at digests.
func (m *Manifest) Check() error {
	if err := checkName("service", m.Service); err != nil {
		return fmt.Errorf("%w: %w", ErrManifest, err)
	}
	if _, err := ParseVersion(m.Version); err != nil {
		return fmt.Errorf("%w: %w", ErrManifest, err)
	}
	if !slices.IsSortedFunc(m.Endpoints, compareEndpoints) {
		return fmt.Errorf("%w: endpoints are not sorted by path and method", ErrManifest)
	}
	seen := make(map[string]string, len(m.Endpoints))
	for i := range m.Endpoints {
		e := &m.Endpoints[i]
		if err := e.check(m); err != nil {
			return fmt.Errorf("%w: %s %s: %w", ErrManifest, e.Method, e.Path, err)
		}
		id, err := e.Identity()
		if err != nil {
			return fmt.Errorf("%w: %w", ErrManifest, err)
		}
		if other, dup := seen[id]; dup {
			return fmt.Errorf("%w: %s %s and %s are one endpoint (%s)", ErrManifest, e.Method, e.Path, other, id)
		}
		seen[id] = e.Method + " " + e.Path
	}
	for _, name := range slices.Sorted(maps.Keys(m.Schemas)) {
		if name == "" || m.Schemas[name] == nil {
			return fmt.Errorf("%w: schema %q is not whole", ErrManifest, name)
		}
		if err := m.Schemas[name].check(m, 0); err != nil {
			return fmt.Errorf("%w: schema %q: %w", ErrManifest, name, err)
		}
	}
	return nil
}
