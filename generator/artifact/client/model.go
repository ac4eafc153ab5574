package client

import (
	"encoding/json"
	"fmt"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/stella-ops/router/spec"
)

// Model is a manifest as clients see it.
type Model struct {
	Manifest *spec.Manifest
	Types    []*Type  // in the order of the manifest's schemas, then of the calls
	Errors   []*Error // by code
	Calls    []*Call  // in the order of the manifest's endpoints
	Names    Names    // of types, and of whatever else the language has in that scope

	named map[*spec.Schema]string // types by where they are declared
	refs  map[string]string       // types by their key in the manifest
}

// Type is a type with a name: a schema of the manifest, or an object or enumeration that stands inside of one.
type Type struct {
	Name   string
	Schema *spec.Schema
	Sent   bool // a request holds it
}

// Error is an error that handlers declare. Two that have one code and differ otherwise are two.
type Error struct {
	Name string
	spec.ErrorAnswer
}

// Call is an endpoint.
type Call struct {
	*spec.Endpoint

	Name    string       // begins with a capital, as the names of all types do
	Input   string       // the type of what the call takes; empty: it takes nothing
	Result  string       // the type of what it gives; empty: another than a decoded answer
	Parts   []Part       // of the path
	Params  []spec.Param // those of the path first, also where the manifest does not declare them
	Answers []*Error     // that the handler declares
}

// Part is a piece of a path: text, or one of the call's parameters behind a slash.
type Part struct {
	Text  string // empty: it is a parameter
	Param int    // index into the call's
	Rest  bool   // the parameter takes all that is left, slashes included
}

func parts(p spec.Pattern) []Part {
	if len(p.Segments) == 0 {
		return []Part{{Text: "/"}}
	}
	var out []Part
	n := 0
	for _, s := range p.Segments {
		switch {
		case s.Param != "":
			out = append(out, Part{Param: n, Rest: s.Rest})
			n++
		case len(out) > 0 && out[len(out)-1].Text != "":
			out[len(out)-1].Text += "/" + s.Literal
		default:
			out = append(out, Part{Text: "/" + s.Literal})
		}
	}
	return out
}

// Sends reports whether the call has a body that is not made from a schema: a raw one.
func (c *Call) Sends() bool {
	return c.Raw() && (c.Stream == spec.StreamRequest || c.Stream == spec.StreamBoth || slices.Contains([]string{"POST", "PUT", "PATCH"}, c.Method))
}

// Raw reports whether the handler reads and writes bodies itself.
func (c *Call) Raw() bool { return c.Kind == spec.KindRaw || c.Kind == spec.KindHTTP }

// Statuses are those of success.
func (c *Call) Statuses() []int { return append([]int{c.Status}, c.Endpoint.Statuses...) }

// New reads a manifest for a client. reserved are names that the language, or the client itself, needs. WebSockets are left
// out: a library for those opens them, and no client of HTTP.
func New(m *spec.Manifest, reserved ...string) (*Model, error) {
	return read(m, func(e *spec.Endpoint) bool { return e.Stream != spec.StreamUpgrade }, reserved)
}

// NewReference reads a manifest for those who describe all of it.
func NewReference(m *spec.Manifest) (*Model, error) {
	return read(m, func(*spec.Endpoint) bool { return true }, nil)
}

func read(m *spec.Manifest, calls func(*spec.Endpoint) bool, reserved []string) (*Model, error) {
	if err := m.Check(); err != nil {
		return nil, err
	}
	m, err := clone(m)
	if err != nil {
		return nil, err
	}
	c := &Model{Manifest: m, Names: Names{}, named: map[*spec.Schema]string{}, refs: map[string]string{}}
	c.Names.Reserve(reserved...)
	if err := c.readCalls(calls); err != nil {
		return nil, err
	}
	c.nameErrors()
	for _, call := range c.Calls { // what has the call's name needs no better one
		if len(call.Params) > 0 || call.Request != nil || call.Raw() || call.Queue != nil {
			call.Input = c.Names.Take(call.Name + "Input")
		}
		if call.Kind == spec.KindTyped && call.Queue == nil {
			call.Result = c.Names.Take(call.Name + "Result")
		}
	}
	c.nameSchemas()
	c.nameInline()
	c.markSent()
	return c, nil
}

// clone copies a manifest, so that no two places of the copy share a schema: where a type stands tells its name.
func clone(m *spec.Manifest) (*spec.Manifest, error) {
	raw, err := json.Marshal(m)
	if err != nil {
		return nil, fmt.Errorf("client: manifest: %w", err)
	}
	out := new(spec.Manifest)
	if err := json.Unmarshal(raw, out); err != nil {
		return nil, fmt.Errorf("client: manifest: %w", err)
	}
	return out, nil
}

// readCalls reads the endpoints. A call is named as its handler; handlers of one name also by their type, and by their
// package if need be. Those that are no calls are passed over.
func (m *Model) readCalls(calls func(*spec.Endpoint) bool) error {
	symbols := map[string]int{}
	for i := range m.Manifest.Endpoints {
		if e := &m.Manifest.Endpoints[i]; calls(e) {
			symbols[Exported(lastWord(e.Handler))]++
		}
	}
	taken := Names{}
	for i := range m.Manifest.Endpoints {
		e := &m.Manifest.Endpoints[i]
		if !calls(e) {
			continue
		}
		p, err := spec.ParsePattern(e.Path)
		if err != nil {
			return err
		}
		names := []string{Exported(lastWord(e.Handler))}
		if symbols[names[0]] > 1 {
			receiver := lastWord(strings.TrimSuffix(e.Handler, "."+lastWord(e.Handler)))
			names = []string{Exported(receiver) + names[0], Exported(path.Base(e.Handler))}
		}
		call := &Call{Endpoint: e, Name: taken.TakeWith([]string{"Func"}, names...), Parts: parts(p), Params: params(e, p)} // a fake's field is called so
		m.Calls = append(m.Calls, call)
	}
	return nil
}

// lastWord is what follows the last dot.
func lastWord(symbol string) string { return symbol[strings.LastIndexByte(symbol, '.')+1:] }

func params(e *spec.Endpoint, p spec.Pattern) []spec.Param {
	var out []spec.Param
	for _, name := range p.Params() {
		q := spec.Param{Name: name, In: spec.InPath, Schema: &spec.Schema{Type: spec.TypeString}}
		if i := slices.IndexFunc(e.Params, func(q spec.Param) bool { return q.In == spec.InPath && q.Name == name }); i >= 0 {
			q = e.Params[i]
		}
		q.Required = true
		out = append(out, q)
	}
	for _, q := range e.Params {
		if q.In != spec.InPath {
			out = append(out, q)
		}
	}
	return out
}

// nameErrors gathers the errors of all calls. One that differs between calls has the name of the first of them before its own.
func (m *Model) nameErrors() {
	type variant struct {
		call *Call
		err  *Error
	}
	byCode := map[string][]variant{}
	for _, call := range m.Calls {
		for _, a := range call.Errors {
			i := slices.IndexFunc(byCode[a.Code], func(v variant) bool { return sameError(v.err.ErrorAnswer, a) })
			if i < 0 {
				i = len(byCode[a.Code])
				byCode[a.Code] = append(byCode[a.Code], variant{call, &Error{ErrorAnswer: a}})
			}
			call.Answers = append(call.Answers, byCode[a.Code][i].err)
		}
	}
	for _, code := range slices.Sorted(maps.Keys(byCode)) {
		variants := byCode[code]
		for _, v := range variants {
			name := strings.TrimSuffix(Exported(code), "Error") + "Error"
			if len(variants) > 1 {
				name = v.call.Name + name
			}
			v.err.Name = m.Names.Take(name)
			m.Errors = append(m.Errors, v.err)
		}
	}
}

func sameError(a, b spec.ErrorAnswer) bool {
	if a.Status != b.Status {
		return false
	}
	x, errX := json.Marshal(a.Details)
	y, errY := json.Marshal(b.Details)
	return errX == nil && errY == nil && string(x) == string(y)
}

func decimal(i int) string { return strconv.Itoa(i) }
