// Package overlay lets a deployment change what the gateway does about a service's endpoints, without another build: a file
// that STELLA_OVERLAY or stella.WithOverlay names says timeouts, body limits and claims. The manifest that was reviewed goes to
// the gateway unchanged, and the overlay beside it with file and line of each value. It may tighten; whether it may loosen is
// for the gateway's operator to say (routing.overlays.loosen of gateway.yaml).
//
//	import _ "github.com/stella-ops/router/runtime/overlay"
//
// A service that does not import it links no YAML parser. docs/overlays.md describes the file.
package overlay

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/stella-ops/router/internal/spelling"
	"github.com/stella-ops/router/internal/strictyaml"
	stella "github.com/stella-ops/router/runtime"
	"github.com/stella-ops/router/spec"
)

func init() { stella.RegisterOverlay(Parse) }

// The keys of the file.
const (
	keyService   = "service"
	keyEndpoints = "endpoints"
)

// Parse reads the text of an overlay of a service with this manifest. The name is for errors, of which there are as many as
// there are things wrong, joined, each with line and column; its last element begins the origins.
func Parse(name string, text []byte, m *spec.Manifest) ([]spec.OverlayEndpoint, error) {
	p := &parser{name: name, base: filepath.Base(name), manifest: m, seen: map[string]strictyaml.Place{}}
	doc, faults := strictyaml.Parse(text)
	for _, f := range faults {
		p.faultf(f.Place, "%s%s", f.Message, hint(f.Hint))
	}
	if doc != nil {
		p.document(doc)
	}
	return p.overlay, errors.Join(p.errs...)
}

func hint(text string) string {
	if text == "" {
		return ""
	}
	return ": " + text
}

type parser struct {
	name, base string
	manifest   *spec.Manifest
	overlay    []spec.OverlayEndpoint
	seen       map[string]strictyaml.Place // endpoints, by identity
	errs       []error
}

func (p *parser) faultf(at strictyaml.Place, format string, args ...any) {
	p.errs = append(p.errs, fmt.Errorf("%s:%d:%d: %s", p.name, at.Line, at.Column, fmt.Sprintf(format, args...)))
}

// mapping reports a value that should have keys and has none.
func (p *parser) mapping(n *strictyaml.Node, what string) bool {
	if n.Kind != strictyaml.Mapping {
		p.faultf(n.Place, "%s is %s, expected keys and their values", what, n.Kind)
	}
	return n.Kind == strictyaml.Mapping
}

func (p *parser) unknown(key *strictyaml.Node, known []string) {
	guess := ""
	if s := spelling.Suggest(key.Text, known); s != "" {
		guess = ": did you mean " + s + "?"
	}
	p.faultf(key.Place, "unknown key %.100q%s (there are %s)", key.Text, guess, strings.Join(known, ", "))
}

func (p *parser) document(doc *strictyaml.Node) {
	if !p.mapping(doc, "the file") {
		return
	}
	for _, m := range doc.Members {
		switch m.Key.Text {
		case keyService:
			if m.Value.Kind != strictyaml.Text || m.Value.Text != p.manifest.Service {
				p.faultf(m.Value.Place, "service is %.100q, this is service %s", m.Value.Text, p.manifest.Service)
			}
		case keyEndpoints:
			if p.mapping(m.Value, keyEndpoints) {
				for _, e := range m.Value.Members {
					p.endpoint(e.Key, e.Value)
				}
			}
		default:
			p.unknown(m.Key, []string{keyService, keyEndpoints})
		}
	}
}

func (p *parser) endpoint(key, value *strictyaml.Node) {
	identity, err := spec.ParseIdentity(key.Text)
	if err != nil {
		p.faultf(key.Place, "%.100q names no endpoint: expected a method, a space and a path, such as POST /invoices", key.Text)
		return
	}
	if first, twice := p.seen[identity]; twice {
		p.faultf(key.Place, "%.100s is there twice: the first is on line %d", key.Text, first.Line)
		return
	}
	p.seen[identity] = key.Place
	e := spec.OverlayEndpoint{Endpoint: key.Text, Origins: map[string]string{}}
	if err := spec.CheckOverlay([]spec.OverlayEndpoint{e}, p.manifest); err != nil {
		p.faultf(key.Place, "%s %s offers no %.100s%s", p.manifest.Service, p.manifest.Version, key.Text, p.nearest(key.Text))
		return
	}
	if !p.mapping(value, key.Text) {
		return
	}
	for _, m := range value.Members {
		p.value(&e, m.Key, m.Value)
	}
	if len(e.Origins) > 0 {
		p.overlay = append(p.overlay, e)
	}
}

// nearest is the endpoint that was probably meant.
func (p *parser) nearest(name string) string {
	all := make([]string, len(p.manifest.Endpoints))
	for i, e := range p.manifest.Endpoints {
		all[i] = e.Method + " " + e.Path
	}
	if s := spelling.Suggest(name, all); s != "" {
		return ": did you mean " + s + "?"
	}
	return ""
}

// value reads one value of an endpoint.
func (p *parser) value(e *spec.OverlayEndpoint, key, n *strictyaml.Node) {
	before := len(p.errs)
	switch key.Text {
	case spec.OverlayTimeout:
		e.TimeoutMS = p.duration(key.Text, n)
	case spec.OverlayIdle:
		e.IdleMS = p.duration(key.Text, n)
	case spec.OverlayBody:
		e.MaxBodyBytes = p.size(key.Text, n)
	case spec.OverlayClaims:
		e.Claims = p.claims(n)
	default:
		p.unknown(key, spec.OverlayKeys)
	}
	if len(p.errs) == before {
		e.Origins[key.Text] = fmt.Sprintf("%s:%d:%d", p.base, n.Line, n.Column)
	}
}

func (p *parser) text(what string, n *strictyaml.Node) (string, bool) {
	if n.Kind != strictyaml.Text {
		p.faultf(n.Place, "%s is %s, expected text", what, n.Kind)
	}
	return n.Text, n.Kind == strictyaml.Text
}

func (p *parser) duration(what string, n *strictyaml.Node) int64 {
	text, ok := p.text(what, n)
	if !ok {
		return 0
	}
	d, err := time.ParseDuration(text)
	ms := d.Milliseconds()
	if err != nil || ms < 1 || d%time.Millisecond != 0 || (spec.Limits{TimeoutMS: ms}).Check() != nil {
		p.faultf(n.Place, "%s %.100q, expected a time of 1ms to 24h in whole milliseconds, such as 5s", what, text)
		return 0
	}
	return ms
}

func (p *parser) size(what string, n *strictyaml.Node) int64 {
	text, ok := p.text(what, n)
	if !ok {
		return 0
	}
	size, err := spec.ParseSize(text)
	if err == nil {
		err = (spec.Limits{MaxBodyBytes: size}).Check()
	}
	if err != nil {
		p.faultf(n.Place, "%s: %s", what, strings.TrimPrefix(err.Error(), "spec: "))
		return 0
	}
	return size
}

func (p *parser) claims(n *strictyaml.Node) []spec.ClaimRequirement {
	const want = "expected a list of at least one claim, such as - scope billing:read"
	switch {
	case n.Kind != strictyaml.List:
		p.faultf(n.Place, "claims is %s, %s", n.Kind, want)
		return nil
	case len(n.Items) == 0:
		p.faultf(n.Place, "claims is empty, %s", want)
		return nil
	}
	var list []spec.ClaimRequirement
	for _, item := range n.Items {
		text, ok := p.text("a claim", item)
		if !ok {
			continue
		}
		c, err := spec.ParseClaimRequirement(text)
		if err != nil {
			p.faultf(item.Place, "%s", strings.TrimPrefix(err.Error(), "spec: "))
			continue
		}
		list = append(list, c)
	}
	if len(list) > spec.MaxFields {
		p.faultf(n.Place, "%d claims, the limit is %d", len(list), spec.MaxFields)
	}
	return list
}
