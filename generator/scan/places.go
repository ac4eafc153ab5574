package scan

import (
	"go/ast"
	"go/token"

	"github.com/stella-ops/router/generator/directive"
)

// Span is a part of one source line.
type Span struct {
	Pos   token.Position
	Width int // in bytes
}

// Places are where an endpoint's author says what, be it in the code or in stella.yaml. A span whose position is not valid is of something that was not said.
type Places struct {
	Func         Span            // the handler's name
	Method, Path Span            // of the endpoint directive
	Keys         map[string]Span // the values of its keys, and its flags
	Claims       []Span          // the claim directives
	Public       Span            // the public directive
}

// Home is where a package says which service it belongs to.
type Home struct {
	Directive Span            // //stella:service or //stella:part
	Keys      map[string]Span // the values of its keys
}

// FieldSource is a field as its author wrote it.
type FieldSource struct {
	Name     Span           // of the field, or of the type that is embedded
	Tag      string         // the struct tag without its quotes; empty without one
	TagAt    token.Position // of the quote that begins the tag; not valid without one
	Raw      bool           // the tag stands in back quotes, so that offsets into Tag are those of the file
	TypeEnd  token.Position // behind the field's type: where a tag would stand
	Shared   bool           // the same declaration names further fields, so that a tag is one for all
	Embedded bool
}

func spanOf(d *directive.Directive) Span { return Span{d.Pos, d.Width} }

func spansOf(values map[string]directive.Value) map[string]Span {
	spans := make(map[string]Span, len(values))
	for name, v := range values {
		spans[name] = Span{v.Pos, v.Width}
	}
	return spans
}

// places are where the parts of the handler's endpoint stand; said are its keys.
func (b *builder) places(h *handler, said map[string]directive.Value) Places {
	name := h.decl.Name
	p := Places{Func: Span{b.pos(name.Pos()), len(name.Name)}, Keys: spansOf(said)}
	for _, d := range h.directives {
		switch d.Name {
		case endpointDirective:
			p.Method, p.Path = Span{d.Args[0].Pos, d.Args[0].Width}, Span{d.Args[1].Pos, d.Args[1].Width}
		case claimDirective:
			p.Claims = append(p.Claims, spanOf(d))
		case publicDirective:
			p.Public = spanOf(d)
		}
	}
	return p
}

// home is where the package says which service it belongs to.
func (ps *packageScan) home() Home {
	d := ps.service
	if d == nil {
		d = ps.part
	}
	if d == nil {
		return Home{}
	}
	return Home{Directive: spanOf(d), Keys: spansOf(d.Keys)}
}

// sourceOfField is how a field is written: node is its declaration, and name stands at pos.
func (b *builder) sourceOfField(node *ast.Field, pos token.Pos, name, tag string) FieldSource {
	s := FieldSource{
		Name: Span{b.pos(pos), len(name)}, Tag: tag, TypeEnd: b.pos(node.Type.End()),
		Shared: len(node.Names) > 1, Embedded: len(node.Names) == 0,
	}
	if node.Tag != nil {
		s.TagAt, s.Raw = b.pos(node.Tag.Pos()), node.Tag.Value[0] == '`'
	}
	return s
}
