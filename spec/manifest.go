package spec

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/textproto"
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
	Endpoints      []Endpoint         `json:"endpoints"`         // sorted by path, then method
	Schemas        map[string]*Schema `json:"schemas,omitempty"` // named types, referred to by Schema.Ref
}

// Endpoint is one Method + Path of a service.
type Endpoint struct {
	Method     string             `json:"method"`
	Path       string             `json:"path"`               // net/http pattern syntax; see [Pattern]
	Handler    string             `json:"handler"`            // the Go symbol: Service.CreateInvoice, or a function's name
	Kind       Kind               `json:"kind"`               // the handler's shape
	Status     int                `json:"status"`             // of a successful answer
	Stream     Streaming          `json:"stream"`             // which bodies may be streamed
	Idempotent bool               `json:"idempotent"`         // safe to repeat
	Public     string             `json:"public,omitempty"`   // why it needs no claims; empty where it has some
	Claims     []ClaimRequirement `json:"claims,omitempty"`   // all must be held
	Limits     Limits             `json:"limits"`             // effective, never zero
	Queue      *Queueing          `json:"queue,omitempty"`    // calls are jobs that wait in a queue; nil: they are calls
	Params     []Param            `json:"params,omitempty"`   // path, query and header parameters
	Request    *Schema            `json:"request,omitempty"`  // of a JSON request body
	Response   *Schema            `json:"response,omitempty"` // of a JSON response body
	Tags       []string           `json:"tags,omitempty"`
	Doc        string             `json:"doc,omitempty"` // the handler's doc comment
	Deprecated string             `json:"deprecated,omitempty"`
}

// Kind is the shape of a handler.
type Kind string

// The kinds.
const (
	KindTyped  Kind = "typed"  // func(ctx, *In) (*Out, error)
	KindRaw    Kind = "raw"    // func(ctx, *stella.Request, *stella.Response) error
	KindStream Kind = "stream" // func(ctx, *In) (iter.Seq2[T, error], error)
	KindHTTP   Kind = "http"   // func(http.ResponseWriter, *http.Request)
)

// Streaming says which of an endpoint's bodies may be streamed.
type Streaming string

// The ways to stream. A body that may not be streamed is held whole.
const (
	StreamNone     Streaming = "none"
	StreamRequest  Streaming = "request"
	StreamResponse Streaming = "response"
	StreamBoth     Streaming = "both"
)

// Param is one path, query or header parameter.
type Param struct {
	Name     string  `json:"name"`
	In       string  `json:"in"` // path, query or header
	Required bool    `json:"required,omitempty"`
	Doc      string  `json:"doc,omitempty"`
	Schema   *Schema `json:"schema"`
}

// Identity is the endpoint's identity: its method, and its path without parameter names (invariant 1).
func (e *Endpoint) Identity() (string, error) {
	p, err := ParsePattern(e.Path)
	if err != nil {
		return "", err
	}
	return e.Method + " " + p.Identity(), nil
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

func (e *Endpoint) check(m *Manifest) error {
	p, err := ParsePattern(e.Path)
	switch {
	case err != nil:
		return err
	case p.Reserved():
		return fmt.Errorf("path is reserved for the gateway: expected one that does not begin with %s/", ReservedPath)
	case !ValidMethod(e.Method):
		return fmt.Errorf("method is not one of %s", strings.Join(Methods, ", "))
	case e.Handler == "":
		return errors.New("no handler")
	case !slices.Contains([]Kind{KindTyped, KindRaw, KindStream, KindHTTP}, e.Kind):
		return fmt.Errorf("unknown kind %.40q", e.Kind)
	case !slices.Contains([]Streaming{StreamNone, StreamRequest, StreamResponse, StreamBoth}, e.Stream):
		return fmt.Errorf("unknown stream %.40q", e.Stream)
	case e.Status < 200 || e.Status > 599:
		return fmt.Errorf("status %d, expected 200 to 599", e.Status)
	case (e.Public == "") == (len(e.Claims) == 0):
		return errors.New("needs either claims or a reason to be public")
	case e.Limits.MaxBodyBytes < 1 || e.Limits.MaxBodyBytes > maxBodyBytes:
		return fmt.Errorf("maxBodyBytes %d, expected 1 to %d", e.Limits.MaxBodyBytes, maxBodyBytes)
	case e.Limits.TimeoutMS < 1 || e.Limits.TimeoutMS > maxTimeoutMS:
		return fmt.Errorf("timeoutMs %d, expected 1 to %d", e.Limits.TimeoutMS, maxTimeoutMS)
	case e.Limits.IdleMS < 1 || e.Limits.IdleMS > maxTimeoutMS:
		return fmt.Errorf("idleMs %d, expected 1 to %d", e.Limits.IdleMS, maxTimeoutMS)
	case len(p.Params()) > MaxFields || len(e.Claims) > MaxFields:
		return fmt.Errorf("more than %d path parameters or claims", MaxFields)
	}
	if err := e.Unqueueable(); err != nil {
		return fmt.Errorf("delivery=queue: it %w", err)
	}
	for _, c := range e.Claims {
		if err := c.check(); err != nil {
			return err
		}
	}
	if err := e.checkParams(m, p); err != nil {
		return err
	}
	if err := e.Request.check(m, 0); err != nil {
		return fmt.Errorf("request: %w", err)
	}
	if err := e.Response.check(m, 0); err != nil {
		return fmt.Errorf("response: %w", err)
	}
	return nil
}

// checkParams checks the parameters against each other and against the path's pattern.
func (e *Endpoint) checkParams(m *Manifest, p Pattern) error {
	names := p.Params()
	seen := make(map[[2]string]bool, len(e.Params))
	for _, q := range e.Params {
		if q.Name == "" || q.In != InPath && q.In != InQuery && q.In != InHeader || q.Schema == nil {
			return fmt.Errorf("parameter %q in %q is not whole: it needs a name, a schema, and to be in path, query or header", q.Name, q.In)
		}
		key := [2]string{q.In, q.Name}
		if q.In == InHeader {
			if !validName(q.Name) {
				return fmt.Errorf("parameter %q is not the name of a header", q.Name)
			}
			key[1] = textproto.CanonicalMIMEHeaderKey(q.Name)
		}
		if seen[key] {
			return fmt.Errorf("parameter %q is twice in the %s", q.Name, q.In)
		}
		seen[key] = true
		if q.In == InPath && !slices.Contains(names, q.Name) {
			return fmt.Errorf("parameter %q is not in the path", q.Name)
		}
		if err := q.Schema.check(m, 0); err != nil {
			return fmt.Errorf("parameter %q: %w", q.Name, err)
		}
	}
	return nil
}
