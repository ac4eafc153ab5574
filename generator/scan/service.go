package scan

import (
	"go/ast"
	"go/types"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/stella-ops/router/generator/diagnostic"
	"github.com/stella-ops/router/generator/directive"
	"github.com/stella-ops/router/generator/override"
	"github.com/stella-ops/router/spec"
)

// packageOf makes the model of one package; nil where it has none, because what looked like a directive stands in a
// test or in a string.
func (l *loader) packageOf(ps *packageScan, over *override.File) *Package {
	if ps.service == nil && ps.part == nil && len(ps.handlers) == 0 {
		return nil
	}
	pkg := l.check(ps.src)
	p := &Package{Dir: ps.src.Dir, ImportPath: ps.src.ImportPath, Name: ps.src.Name, Declared: map[string]bool{}, Home: ps.home()}
	for _, name := range pkg.Scope().Names() {
		p.Declared[name] = true
	}
	for name := range ps.src.elsewhere {
		p.Declared[name] = true
	}
	build := &builder{l: l, src: ps.src, over: over, structs: map[string]*Struct{}, busy: map[string]bool{}}
	for _, h := range ps.handlers {
		if e := build.endpoint(h); e != nil {
			if ps.service == nil && ps.part != nil {
				e.Part = p.ImportPath
			}
			p.Endpoints = append(p.Endpoints, e)
		}
	}
	slices.SortStableFunc(p.Endpoints, compareEndpoints)
	l.checkNames(ps, p)
	return p
}

// manifestName is declared in a service's own package only.
const manifestName = "Manifest"

// fixedNames are what generated code declares under names that users write.
var fixedNames = []string{manifestName, "Handlers", "Endpoints"}

// localNames are the variables of generated functions.
var localNames = []string{"ctx", "r", "w", "b", "in", "out", "err", "h", "v", "o", "a", "e", "ok"}

// checkNames reports declarations that generated code collides with.
func (l *loader) checkNames(ps *packageScan, p *Package) {
	scope := ps.src.types.Scope()
	report := func(name, why string) {
		pos, found := ps.src.elsewhere[name]
		if obj := scope.Lookup(name); obj != nil {
			pos, found = obj.Pos(), true
		}
		if !found {
			return
		}
		f := l.list.Addf(diagnostic.Collision, l.pos(pos), len(name), "%s collides with generated code, %s", name, why)
		f.Hint = "rename it"
	}
	for _, name := range fixedNames {
		if name != manifestName || ps.service != nil {
			report(name, "which declares it too")
		}
	}
	for _, name := range types.Universe.Names() {
		report(name, "which uses the predeclared one")
	}
	for _, name := range localNames {
		if usesName(p, name) {
			report(name, "which has variables of this name")
		}
	}
	fields := map[string]string{}
	for _, e := range p.Endpoints {
		if e.Receiver == nil {
			continue
		}
		field := ExportedName(e.Receiver.Type)
		if other, taken := fields[field]; taken && other != e.Receiver.Type {
			report(e.Receiver.Type, "where "+other+" has the field "+field+" of Handlers already")
		}
		fields[field] = e.Receiver.Type
	}
}

// usesName reports whether generated functions refer to a declaration of this name.
func usesName(p *Package, name string) bool {
	for _, e := range p.Endpoints {
		if e.Receiver == nil && e.Func == name || e.Receiver != nil && e.Receiver.Type == name {
			return true
		}
		for _, s := range []*Struct{e.In, e.Out} {
			if s != nil && s.mentions(name, map[*Struct]bool{}) {
				return true
			}
		}
		if e.Item.mentions(name, map[*Struct]bool{}) {
			return true
		}
	}
	return false
}

func (s *Struct) mentions(name string, seen map[*Struct]bool) bool {
	if seen[s] {
		return false
	}
	seen[s] = true
	if s.Go.Obj().Name() == name {
		return true
	}
	for _, f := range s.Fields {
		if f.Type.mentions(name, seen) {
			return true
		}
	}
	return false
}

func (t *Type) mentions(name string, seen map[*Struct]bool) bool {
	for ; t != nil; t = t.Elem {
		if named, ok := t.Go.(*types.Named); ok && named.Obj().Name() == name {
			return true
		}
		if t.Struct != nil && t.Struct.mentions(name, seen) {
			return true
		}
	}
	return false
}

// ExportedName is a type's name with its first letter in upper case: the name of its field in Handlers.
func ExportedName(name string) string {
	first, size := utf8.DecodeRuneInString(name)
	return string(unicode.ToUpper(first)) + name[size:]
}

// endpoint is the handler's endpoint directive, or nil.
func (h *handler) endpoint() *directive.Directive {
	i := slices.IndexFunc(h.directives, func(d *directive.Directive) bool { return d.Name == endpointDirective })
	if i < 0 {
		return nil
	}
	return h.directives[i]
}

// endpoint makes the model of one handler, or returns nil if there is none to make.
func (b *builder) endpoint(h *handler) *Endpoint {
	d := h.endpoint()
	if d == nil {
		b.orphans(h)
		b.faulty(h)
		return nil
	}
	e := &Endpoint{
		Pos: d.Pos, Width: d.Width, Func: h.decl.Name.Name, Method: d.Args[0].Text, Path: d.Args[1].Text,
		Kind: spec.KindTyped, Stream: spec.StreamNone, Limits: spec.DefaultLimits,
	}
	e.Doc, e.Deprecated = splitDeprecated(clean(h.decl.Doc))
	e.Idempotent = e.Method == http.MethodGet || e.Method == http.MethodHead
	said := b.keys(e, h)
	b.refine(e, said)
	e.Places = b.places(h, said)
	b.claims(e, h, d)
	placed := b.place(e, h)
	if placed && b.signature(e, h) {
		b.status(e, h, said)
		b.errors(e, h, said)
		b.pathFields(e, h)
		b.streaming(e, h, said)
		e.dropDefaults(said)
		b.unknown(e, h, said)
	}
	b.queueing(e, h, said)
	if !placed {
		return nil
	}
	return e
}

// faulty checks what does not depend on an endpoint directive that has findings, so that all findings come at once.
func (b *builder) faulty(h *handler) {
	if h.faulty == nil {
		return
	}
	e := &Endpoint{Pos: h.faulty.pos, Func: h.decl.Name.Name, Method: h.faulty.method, Kind: spec.KindTyped}
	if b.place(e, h) {
		b.signature(e, h)
	}
}

func (b *builder) orphans(h *handler) {
	if h.broken {
		return
	}
	for _, d := range h.directives {
		b.l.list.Addf(diagnostic.OrphanedDirective, d.Pos, d.Width, "stella:%s without stella:endpoint", d.Name)
	}
}

// keys applies the endpoint directive's keys and those of its with lines. It returns them, the first of each.
func (b *builder) keys(e *Endpoint, h *handler) map[string]directive.Value {
	said := map[string]directive.Value{}
	seen := map[string]*directive.Directive{}
	for _, d := range h.directives {
		if d.Name != endpointDirective && d.Name != "with" {
			continue
		}
		for _, name := range sortedKeys(d.Keys) {
			v := d.Keys[name]
			if first := seen[name]; first != nil {
				f := b.l.list.Addf(diagnostic.DuplicateKey, v.Pos, v.Width, "stella:%s: %s given twice", d.Name, name)
				f.Related = []diagnostic.Related{{Pos: first.Keys[name].Pos, Message: firstIsHere}}
				continue
			}
			seen[name] = d
			said[name] = v
			e.apply(name, v)
		}
	}
	return said
}

func sortedKeys(m map[string]directive.Value) []string {
	var names []string
	for name := range m {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

func (e *Endpoint) apply(key string, v directive.Value) {
	switch key {
	case keyStatus:
		e.takeStatuses(v.Ints)
	case keyUnknown:
		e.Unknown = unless(v.Text, "reject")
	case "slo":
		e.SLO = v.Text
	case keyWithin:
		e.WithinMS = v.Duration.Milliseconds()
	case "stability":
		e.Stability = unless(v.Text, "stable")
	case "sunset":
		e.Sunset = v.Text
	case keyTimeout:
		e.Limits.TimeoutMS = v.Duration.Milliseconds()
	case keyIdle:
		e.Limits.IdleMS = v.Duration.Milliseconds()
	case keyBody:
		e.Limits.MaxBodyBytes = v.Int
	case keyStream:
		e.Stream = spec.Streaming(v.Text)
	case "idempotent":
		e.Idempotent = true
	case "tags":
		e.Tags = v.List
	}
}

// unless is empty for the value that the manifest leaves out.
func unless(text, standard string) string {
	if text == standard {
		return ""
	}
	return text
}

func (b *builder) claims(e *Endpoint, h *handler, d *directive.Directive) {
	for _, c := range h.directives {
		switch c.Name {
		case claimDirective:
			r := spec.ClaimRequirement{Type: c.Args[0].Text}
			if len(c.Args) > 1 {
				r.Value = c.Args[1].Text
			}
			if slices.Contains(e.Claims, r) {
				b.l.list.Addf(diagnostic.DuplicateDirect, c.Pos, c.Width, "stella:claim %s given twice", r)
			}
			e.Claims = append(e.Claims, r)
			e.Origins.Claims = append(e.Origins.Claims, Origin{Layer: InCode, Text: override.SpellClaim(r), Pos: c.Pos, Width: c.Width})
		case publicDirective:
			e.Public = c.Args[0].Text
			e.Origins.Public = Origin{Layer: InCode, Text: e.Public, Pos: c.Pos, Width: c.Width}
		}
	}
	if !h.broken && (len(e.Claims) == 0 || e.Public == "") { // else the code contradicts itself
		b.refineClaims(e)
	}
	if len(e.Claims) > spec.MaxFields {
		b.l.list.Addf(diagnostic.BadValue, d.Pos, d.Width, "%s has %d claims, expected at most %d", h.decl.Name.Name, len(e.Claims), spec.MaxFields)
	}
	if h.broken || b.over.IsBroken() {
		return // the claims may be among what is wrong
	}
	hint := "add //stella:claim TYPE VALUE, or //stella:public \"why\""
	switch {
	case len(e.Claims) == 0 && e.Public == "":
		b.l.list.Addf(diagnostic.Authorization, d.Pos, d.Width, "%s has neither claims nor a reason to be public", h.decl.Name.Name).Hint = hint
	case len(e.Claims) > 0 && e.Public != "":
		b.l.list.Addf(diagnostic.Authorization, d.Pos, d.Width, "%s has claims and says that it is public", h.decl.Name.Name).Hint = "remove one of both"
	}
}

// place checks what the handler is a function of.
func (b *builder) place(e *Endpoint, h *handler) bool {
	report := func(n ast.Node, format string, args ...any) bool {
		f := b.l.list.Addf(diagnostic.HandlerPlace, b.l.pos(n.Pos()), int(n.End()-n.Pos()), format, args...)
		f.Related = []diagnostic.Related{{Pos: e.Pos, Message: "the directive is here"}}
		return false
	}
	name := h.decl.Name.Name
	if h.decl.Type.TypeParams != nil {
		return report(h.decl.Type.TypeParams, "%s has type parameters: a handler has none", name)
	}
	if name == "_" || name == "init" || name == "main" && h.decl.Recv == nil {
		return report(h.decl.Name, "%s cannot be called, so it cannot be a handler", name)
	}
	if h.decl.Recv == nil {
		return true
	}
	expr := h.decl.Recv.List[0].Type
	e.Receiver = &Receiver{}
	if star, ok := expr.(*ast.StarExpr); ok {
		e.Receiver.Pointer = true
		expr = star.X
	}
	switch x := expr.(type) {
	case *ast.Ident:
		e.Receiver.Type = x.Name
		obj := b.src.types.Scope().Lookup(x.Name)
		if named, ok := obj.(*types.TypeName); ok && named.IsAlias() {
			return report(x, "receiver %s is an alias: write the type's own name", x.Name)
		}
		if obj == nil {
			return report(x, "receiver %s is no type of this package", x.Name)
		}
		return !b.onSomeMachines(b.src, x.Name, x)
	case *ast.IndexExpr, *ast.IndexListExpr:
		return report(expr, "%s is a method of a generic type: a handler's receiver has no type parameters", name)
	}
	return report(expr, "receiver of %s is no type of this package", name)
}

// onSomeMachines reports a type that is declared in a file that not every build has.
func (b *builder) onSomeMachines(s *source, name string, at ast.Expr) bool {
	if s == nil || !s.own || s.decls[name] == nil {
		return false
	}
	decl := s.decls[name]
	reason := b.l.constrained(decl.file)
	if reason == "" {
		return false
	}
	pos := b.pos(decl.spec.Name.Pos())
	f := b.l.list.Addf(diagnostic.SomeMachines, b.pos(at.Pos()), int(at.End()-at.Pos()), "%s is declared in %s, which %s", name, filepath.Base(pos.Filename), reason)
	f.Hint = hintEveryBuild
	f.Related = []diagnostic.Related{{Pos: pos, Message: "it is declared here"}}
	return true
}

// splitDeprecated takes the paragraph that begins with "Deprecated: " out of a doc comment.
func splitDeprecated(doc string) (rest, deprecated string) {
	var kept []string
	for para := range strings.SplitSeq(doc, "\n\n") {
		if text, ok := strings.CutPrefix(para, "Deprecated: "); ok && deprecated == "" {
			deprecated = strings.TrimSpace(text)
			continue
		}
		kept = append(kept, para)
	}
	return strings.Join(kept, "\n\n"), deprecated
}

// LocalNames are the variables of generated functions. Imports are not named like them.
func LocalNames() []string { return slices.Clone(localNames) }
