// Package reference writes what callers of a service read: every endpoint and every type, as Markdown, or as one HTML file
// that asks the network for nothing. Both show one model of the manifest, a [page]. Start at [Markdown] and [HTML].
package reference

import (
	"go/doc"
	"maps"
	"slices"
	"strings"

	"github.com/stella-ops/router/generator/artifact/client"
	"github.com/stella-ops/router/spec"
)

// page is a manifest as it is read.
type page struct {
	Service, Version, Owner, URL string

	Doc       string
	Endpoints []*endpoint
	Types     []*namedType
	Jobs      bool // some endpoint has a queue
}

// endpoint is one of them.
type endpoint struct {
	ID, Method, Path, Name string

	Summary   string   // the first sentence of Doc
	Doc       string   // a doc comment of Go
	Marks     []string // deprecated, beta, and the like: what a reader should see first
	Facts     []fact
	Params    []row
	Request   *body
	Responses []answer
	Headers   []row // of successful answers
	Errors    []failure
}

// fact is one thing that holds for all calls of an endpoint.
type fact struct{ Name, Text string }

// row is a parameter, header field or member.
type row struct {
	Name, In    string
	Required    bool
	Type        typeText
	Constraints []string
	Doc         string
}

// body is what a request or answer carries.
type body struct {
	Media   string
	Type    typeText
	Rows    []row  // members, where the type has no name of its own
	Example string // JSON; empty: none is shown
}

// answer is one of success.
type answer struct {
	Status int
	Title  string
	Body   *body // nil: it has none
}

// failure is an error that the handler declares.
type failure struct {
	Code    string
	Status  int
	Doc     string
	Details typeText
}

// namedType is a schema of the manifest.
type namedType struct {
	ID, Name, Doc string

	Type        typeText
	Constraints []string
	Rows        []row
}

// typeText is a type in words, parts of which lead to types of the page.
type typeText []part

// part is some text, and the ID of what it leads to, if anything.
type part struct{ Text, ID string }

// newPage reads a manifest.
func newPage(m *spec.Manifest, url string) (*page, error) {
	model, err := client.NewReference(m)
	if err != nil {
		return nil, err
	}
	r := &reader{m: m, types: map[string]string{}}
	r.ids = ids{}
	for _, name := range slices.Sorted(maps.Keys(m.Schemas)) {
		r.types[name] = r.ids.take("type-" + name)
	}
	p := &page{Service: m.Service, Version: m.Version, Owner: m.Owner, URL: url, Doc: m.Doc}
	for _, c := range model.Calls {
		p.Endpoints = append(p.Endpoints, r.endpoint(c))
		p.Jobs = p.Jobs || c.Queue != nil
	}
	for _, name := range slices.Sorted(maps.Keys(m.Schemas)) {
		s := m.Schemas[name]
		p.Types = append(p.Types, &namedType{
			ID: r.types[name], Name: name, Doc: s.Doc, Type: r.typeOf(s), Constraints: constraints(s), Rows: r.members(s),
		})
	}
	return p, nil
}

// ids are the names of places in the page that are taken.
type ids map[string]bool

// take is text as the name of a place, which no other place has.
func (n ids) take(text string) string {
	var b strings.Builder
	dash := false
	for _, c := range strings.ToLower(text) {
		if c >= 'a' && c <= 'z' || c >= '0' && c <= '9' {
			if dash && b.Len() > 0 {
				b.WriteByte('-')
			}
			b.WriteRune(c)
			dash = false
		} else {
			dash = true
		}
	}
	base := b.String()
	name := base
	for i := 2; n[name]; i++ {
		name = base + "-" + itoa(i)
	}
	n[name] = true
	return name
}

// synopsis is the first sentence of a doc comment.
func synopsis(text string) string { return new(doc.Package).Synopsis(text) }
