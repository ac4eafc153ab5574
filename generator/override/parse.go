package override

import (
	"fmt"
	"go/token"
	"slices"
	"strings"

	"github.com/stella-ops/router/generator/diagnostic"
	"github.com/stella-ops/router/generator/directive"
	"github.com/stella-ops/router/internal/spelling"
	"github.com/stella-ops/router/internal/strictyaml"
	"github.com/stella-ops/router/spec"
)

// Parse reads the file of a service. What is wrong with it goes to list, all at once.
func Parse(name, service string, src []byte, list *diagnostic.List) *File {
	before := list.Len()
	p := &parser{file: &File{Name: name, byIdentity: map[string]*Entry{}}, list: list}
	doc, faults := strictyaml.Parse(src)
	for _, fault := range faults {
		f := p.addf(diagnostic.YAMLSyntax, fault.Place, "%s", fault.Message)
		f.Hint = fault.Hint
		if fault.First != nil {
			f.Related = []diagnostic.Related{{Pos: p.pos(*fault.First), Message: "the first is here"}}
		}
	}
	if doc != nil {
		p.document(doc, service)
	}
	p.file.Broken = list.Len() > before
	return p.file
}

type parser struct {
	file *File
	list *diagnostic.List
}

func (p *parser) pos(at strictyaml.Place) token.Position {
	return token.Position{Filename: p.file.Name, Offset: at.Offset, Line: at.Line, Column: at.Column}
}

func (p *parser) addf(rule diagnostic.ID, at strictyaml.Place, format string, args ...any) *diagnostic.Finding {
	return p.list.Addf(rule, p.pos(at), at.Width, format, args...)
}

// mapping reports a value that should have keys and has none.
func (p *parser) mapping(n *strictyaml.Node, what string) bool {
	if n.Kind != strictyaml.Mapping {
		p.addf(diagnostic.OverrideValue, n.Place, "%s is %s, expected keys and their values", what, n.Kind)
	}
	return n.Kind == strictyaml.Mapping
}

func (p *parser) document(doc *strictyaml.Node, service string) {
	if !p.mapping(doc, FileName) {
		return
	}
	for _, m := range doc.Members {
		switch m.Key.Text {
		case keyService:
			if m.Value.Text != service || m.Value.Kind != strictyaml.Text {
				f := p.addf(diagnostic.OverrideValue, m.Value.Place, "service is %q, the package beside it is service %s", m.Value.Text, service)
				f.Hint = "write service: " + service + ", or move the file beside the package that it is about"
			}
		case keyDefaults:
			if p.mapping(m.Value, keyDefaults) {
				p.file.Defaults = p.set(m.Value, keyDefaults, true)
			}
		case keyEndpoints:
			if p.mapping(m.Value, keyEndpoints) {
				p.entries(m.Value)
			}
		default:
			p.unknown(m.Key, "", fileKeys)
		}
	}
}

// unknown reports a key that has no place where it stands.
func (p *parser) unknown(key *strictyaml.Node, in string, known []string) {
	guess := ""
	if s := spelling.Suggest(key.Text, known); s != "" {
		guess = ": did you mean " + s + "?"
	}
	f := p.addf(diagnostic.OverrideKey, key.Place, "%sunknown key %.100q%s (there are %s)", in, key.Text, guess, strings.Join(known, ", "))
	name := key.Text
	if name == "claim" {
		return
	}
	if def, is := directive.Lookup(name); is && def.Place == directive.OnFunc && name != "endpoint" && name != "with" {
		f.Hint = "it is said in the code alone: //stella:" + name
	}
	if registered(name).Name != "" && !slices.Contains(known, name) {
		if _, refinable := FindKey(name); refinable {
			f.Hint = "it is said of single endpoints"
			return
		}
		f.Hint = "it is said in the code alone: //stella:endpoint METHOD PATH " + name
	}
}

func (p *parser) entries(n *strictyaml.Node) {
	for _, m := range n.Members {
		e := p.entry(m.Key)
		what := m.Key.Text
		if e != nil {
			what = e.Method + " " + e.Path
		}
		if p.mapping(m.Value, what) {
			set := p.set(m.Value, what, false)
			if e != nil {
				e.Set = set
			}
		}
	}
}

var (
	methodKey = directive.Key{Name: "METHOD", Type: directive.Method}
	pathKey   = directive.Key{Name: "PATH", Type: directive.Path}
)

// entry reads the name of an endpoint, and notes it; nil if there is a finding about it.
func (p *parser) entry(key *strictyaml.Node) *Entry {
	method, path, _ := strings.Cut(key.Text, " ")
	if path == "" {
		f := p.addf(diagnostic.OverrideKey, key.Place, "%.100q names no endpoint: expected a method, a space and a path", key.Text)
		f.Hint = `write them as the directive does: "POST /invoices"`
		return nil
	}
	ok := true
	for _, part := range []struct {
		key  directive.Key
		text string
	}{{methodKey, method}, {pathKey, path}} {
		if _, message := part.key.Check(part.text); message != "" {
			p.addf(diagnostic.OverrideKey, key.Place, "%s %s", part.key.Name, message)
			ok = false
		}
	}
	if !ok {
		return nil
	}
	if first := p.file.Entry(method, path); first != nil {
		f := p.addf(diagnostic.OverrideKey, key.Place, "%s is the same endpoint as %s %s", key.Text, first.Method, first.Path)
		f.Related = []diagnostic.Related{{Pos: first.Pos, Message: "the other is here"}}
		return nil
	}
	e := &Entry{Method: method, Path: path, Identity: identity(method, path), Pos: p.pos(key.Place), Width: key.Width}
	p.file.Entries = append(p.file.Entries, e)
	p.file.byIdentity[e.Identity] = e
	return e
}

func (p *parser) set(n *strictyaml.Node, what string, defaults bool) Set {
	s := Set{Values: map[string]directive.Value{}}
	if len(n.Members) == 0 {
		p.addf(diagnostic.OverrideValue, n.Place, "%s says nothing: expected one of %s", what, strings.Join(names(defaults), ", "))
	}
	for _, m := range n.Members {
		if m.Key.Text == keyClaims {
			s.Claims = p.claims(m.Value, what)
			continue
		}
		k, known := FindKey(m.Key.Text)
		if !known || defaults && !k.Defaults {
			p.unknown(m.Key, what+": ", names(defaults))
			continue
		}
		if v, ok := p.value(k, m.Value, what); ok {
			s.Values[k.Name] = v
		}
	}
	return s
}

// value reads the value of a key.
func (p *parser) value(k Key, n *strictyaml.Node, what string) (v directive.Value, ok bool) {
	wrong := func(at strictyaml.Place, format string, args ...any) (directive.Value, bool) {
		p.addf(diagnostic.OverrideValue, at, "%s: %s %s", what, k.Name, fmt.Sprintf(format, args...))
		return v, false
	}
	items := []string{n.Text}
	switch {
	case k.Type == directive.List:
		if n.Kind != strictyaml.List || len(n.Items) == 0 {
			return wrong(n.Place, "is %s, expected a list such as [a, b]", kindOf(n))
		}
		items = nil
		for _, it := range n.Items {
			if it.Kind != strictyaml.Text {
				return wrong(it.Place, "has %s as an item, expected text", it.Kind)
			}
			items = append(items, it.Text)
		}
	case n.Kind != strictyaml.Text:
		return wrong(n.Place, "is %s, expected %s", n.Kind, k.Wants())
	case n.Quoted && (k.Type == directive.Integer || k.Type == directive.Percent):
		return wrong(n.Place, "is text, expected %s without quotes", k.Wants())
	}
	v, message := k.Check(items...)
	if message != "" {
		return wrong(n.Place, "%s", message)
	}
	v.Pos, v.Width = p.pos(n.Place), n.Width
	return v, true
}

func kindOf(n *strictyaml.Node) string {
	if n.Kind == strictyaml.List {
		return "an empty list"
	}
	return n.Kind.String()
}

// claims reads a list of claims, each of which is written as behind //stella:claim.
func (p *parser) claims(n *strictyaml.Node, what string) []Claim {
	if n.Kind != strictyaml.List || len(n.Items) == 0 {
		f := p.addf(diagnostic.OverrideValue, n.Place, "%s: claims is %s, expected a list such as [scope billing:read]", what, kindOf(n))
		f.Hint = `that an endpoint needs none is said in the code alone: //stella:public "why"`
		return nil
	}
	var list []Claim
	for _, it := range n.Items {
		if it.Kind != strictyaml.Text {
			f := p.addf(diagnostic.OverrideValue, it.Place, "%s: a claim is %s, expected text", what, it.Kind)
			f.Hint = "write TYPE or TYPE VALUE, as in the directive: scope billing:read"
			continue
		}
		c, ok := p.claim(it)
		if !ok {
			continue
		}
		if slices.ContainsFunc(list, func(other Claim) bool { return other.ClaimRequirement == c.ClaimRequirement }) {
			p.addf(diagnostic.OverrideValue, it.Place, "%s: claim %s given twice", what, c.Text())
			continue
		}
		list = append(list, c)
	}
	if len(list) > spec.MaxFields {
		p.addf(diagnostic.OverrideValue, n.Place, "%s has %d claims, expected at most %d", what, len(list), spec.MaxFields)
	}
	return list
}

func (p *parser) claim(n *strictyaml.Node) (Claim, bool) {
	pos := p.pos(n.Place)
	if n.Quoted {
		pos.Offset, pos.Column = pos.Offset+1, pos.Column+1
	}
	d := directive.ParseArgs("claim", n.Text, pos, p.list)
	if d == nil {
		return Claim{}, false
	}
	c := Claim{ClaimRequirement: spec.ClaimRequirement{Type: d.Args[0].Text}, Pos: p.pos(n.Place), Width: n.Width}
	if len(d.Args) > 1 {
		c.Value = d.Args[1].Text
	}
	return c, true
}
