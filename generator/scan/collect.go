package scan

import (
	"cmp"
	"fmt"
	"go/ast"
	"go/token"
	"path/filepath"
	"slices"
	"strings"

	"github.com/stella-ops/router/generator/diagnostic"
	"github.com/stella-ops/router/generator/directive"
	"github.com/stella-ops/router/spec"
)

// serviceDirective makes a package a service's own.
const serviceDirective = "service"

// partDirective makes a package a part of a service.
const partDirective = "part"

// endpointDirective makes a function a handler.
const endpointDirective = "endpoint"

// hintEveryBuild goes with what some builds do not have.
const hintEveryBuild = "move the declaration to a file of every build: generated code must not depend on the machine"

// claimDirective and publicDirective say who may call.
const (
	claimDirective  = "claim"
	publicDirective = "public"
)

// firstIsHere goes with the place of what was given twice.
const firstIsHere = "the first is here"

// packageScan is a package whose directives have been read.
type packageScan struct {
	src      *source
	service  *directive.Directive
	part     *directive.Directive
	doc      string
	handlers []*handler
	ignores  []*Ignore
	orphaned bool // something like a service or part directive was there, but wrong
}

// handler is a function with directives.
type handler struct {
	file       *ast.File
	decl       *ast.FuncDecl
	directives []*directive.Directive
	broken     bool // one of its directives has findings
	keysBroken bool // one that has findings may hold keys of the endpoint
	faulty     *faultyEndpoint
}

// faultyEndpoint is an endpoint directive that has findings. What its handler takes and gives can be checked all the same.
type faultyEndpoint struct {
	pos    token.Position
	method string // as it is written; empty if it is none
}

// handlerOf is the function's handler, a new one at its first directive.
func (ps *packageScan) handlerOf(byDecl map[*ast.FuncDecl]*handler, f *ast.File, decl *ast.FuncDecl) *handler {
	h := byDecl[decl]
	if h == nil {
		h = &handler{file: f, decl: decl}
		byDecl[decl] = h
		ps.handlers = append(ps.handlers, h)
	}
	return h
}

// markBroken notes that a directive of a handler has findings.
func (l *loader) markBroken(h *handler, c *ast.Comment) {
	h.broken = true
	head, ok := ast.ParseDirective(c.Slash, c.Text)
	ok = ok && head.Tool == "stella"
	h.keysBroken = h.keysBroken || !ok || head.Name != claimDirective && head.Name != publicDirective
	if h.faulty != nil || !ok || head.Name != endpointDirective {
		return
	}
	method, _, _ := strings.Cut(head.Args, " ")
	if !spec.ValidMethod(method) {
		method = ""
	}
	h.faulty = &faultyEndpoint{pos: l.pos(c.Slash), method: method}
}

// owner is what a doc comment belongs to.
type owner struct {
	place directive.Place // OnPackage, OnFunc, or OnAny for other declarations
	decl  *ast.FuncDecl   // for OnFunc
	node  ast.Node
	what  string
}

// collect reads the directives of a package and where they stand.
func (l *loader) collect(s *source) *packageScan {
	ps := &packageScan{src: s}
	for _, f := range s.files {
		if ps.doc == "" {
			ps.doc = clean(f.Doc)
		}
		l.collectFile(ps, f)
	}
	for _, f := range s.extra {
		l.collectExtra(ps, f)
	}
	return ps
}

// collectExtra reports the directives of a file that must have none.
func (l *loader) collectExtra(ps *packageScan, f *ast.File) {
	reason := cmp.Or(l.constrained(f), "has build constraints")
	if strings.HasSuffix(l.pos(f.FileStart).Filename, "_test.go") {
		reason = "is a test"
	}
	for _, group := range f.Comments {
		for _, c := range group.List {
			if d := directive.Parse(l.fset, c, l.list); d != nil {
				l.machineDependent(d, reason)
				ps.orphaned = ps.orphaned || belongs(d)
			}
		}
	}
}

// belongs reports whether a directive says which service a package belongs to.
func belongs(d *directive.Directive) bool {
	return d.Name == serviceDirective || d.Name == partDirective
}

func (l *loader) machineDependent(d *directive.Directive, reason string) {
	f := l.list.Addf(diagnostic.Misplaced, d.Pos, d.Width, "stella:%s in %s, which %s", d.Name, filepath.Base(d.Pos.Filename), reason)
	f.Hint = hintEveryBuild
}

func (l *loader) collectFile(ps *packageScan, f *ast.File) {
	full := l.pos(f.FileStart).Filename
	if !l.mentions(full, l.sources[full]) && !hasMisspelt(f) {
		return
	}
	owners := ownersOf(f)
	byDecl := map[*ast.FuncDecl]*handler{}
	limited := l.constrained(f)
	for _, group := range f.Comments {
		own := owners[group]
		for _, c := range group.List {
			before := l.list.Len()
			d := directive.Parse(l.fset, c, l.list)
			broken := l.list.Len() > before
			if d == nil && !broken {
				continue
			}
			switch {
			case d == nil:
				ps.orphaned = ps.orphaned || group.Pos() < f.Package
			case limited != "":
				l.machineDependent(d, limited)
				ps.orphaned = ps.orphaned || belongs(d)
				continue
			case !l.inPlace(d, own, f, group):
				ps.orphaned = ps.orphaned || belongs(d)
				continue
			}
			switch {
			case own == nil:
			case own.place == directive.OnFunc:
				h := ps.handlerOf(byDecl, f, own.decl)
				if broken {
					l.markBroken(h, c)
				}
				l.addToHandler(h, d)
			case own.place == directive.OnPackage && d != nil:
				l.addToPackage(ps, d)
			}
			ps.ignores = append(ps.ignores, l.ignoresOf(d, own, f, group)...)
		}
	}
}

func hasMisspelt(f *ast.File) bool {
	return slices.ContainsFunc(f.Comments, func(g *ast.CommentGroup) bool { return slices.ContainsFunc(g.List, directive.Misspelt) })
}

func (l *loader) addToHandler(h *handler, d *directive.Directive) {
	if d == nil || d.Name == "ignore" {
		return
	}
	def, _ := directive.Lookup(d.Name)
	for _, other := range h.directives {
		if other.Name == d.Name && !def.Repeatable {
			l.twice(d, other)
			return
		}
	}
	h.directives = append(h.directives, d)
}

func (l *loader) addToPackage(ps *packageScan, d *directive.Directive) {
	switch {
	case d.Name == serviceDirective && ps.service != nil:
		l.twice(d, ps.service)
	case d.Name == serviceDirective:
		ps.service = d
	case d.Name == partDirective && ps.part != nil:
		l.twice(d, ps.part)
	case d.Name == partDirective:
		ps.part = d
	}
}

func (l *loader) twice(d, first *directive.Directive) {
	f := l.list.Addf(diagnostic.DuplicateDirect, d.Pos, d.Width, "stella:%s given twice", d.Name)
	f.Related = []diagnostic.Related{{Pos: first.Pos, Message: firstIsHere}}
}

// inPlace reports a directive that stands where it means nothing.
func (l *loader) inPlace(d *directive.Directive, own *owner, f *ast.File, group *ast.CommentGroup) bool {
	def, _ := directive.Lookup(d.Name)
	if own != nil && (own.place == def.Place || def.Place == directive.OnAny) {
		return true
	}
	where := l.nearest(f, group)
	if own != nil {
		where = "on " + own.what
	}
	finding := l.list.Addf(diagnostic.Misplaced, d.Pos, d.Width, "stella:%s %s has no effect", d.Name, where)
	finding.Hint = fmt.Sprintf("it belongs in %s", def.Place)
	return false
}

// nearest says where a comment stands that belongs to no declaration.
func (l *loader) nearest(f *ast.File, group *ast.CommentGroup) string {
	line := func(pos token.Pos) int { return l.pos(pos).Line }
	if group.End() < f.Package {
		return "detached from the package clause by a blank line"
	}
	for _, decl := range f.Decls {
		name := declName(decl)
		if decl.Pos() <= group.Pos() && group.End() <= decl.End() {
			return "inside " + name
		}
		start := decl.Pos()
		if fd, ok := decl.(*ast.FuncDecl); ok {
			start = fd.Pos()
		}
		if start > group.End() {
			if line(start) > line(group.End())+1 {
				return "detached from " + name + " by a blank line"
			}
			break
		}
	}
	return "outside of a doc comment"
}

func declName(decl ast.Decl) string {
	switch d := decl.(type) {
	case *ast.FuncDecl:
		return "func " + d.Name.Name
	case *ast.GenDecl:
		for _, spec := range d.Specs {
			if ts, ok := spec.(*ast.TypeSpec); ok {
				return "type " + ts.Name.Name
			}
		}
		return d.Tok.String() + " declaration"
	}
	return "declaration"
}

// ownersOf maps a file's doc comments to what they document.
func ownersOf(f *ast.File) map[*ast.CommentGroup]*owner {
	owners := map[*ast.CommentGroup]*owner{}
	add := func(o owner, groups ...*ast.CommentGroup) {
		for _, g := range groups {
			if g != nil {
				owners[g] = &o
			}
		}
	}
	ast.Inspect(f, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.GenDecl:
			add(owner{place: directive.OnAny, node: n, what: "a " + n.Tok.String() + " declaration"}, n.Doc)
		case *ast.TypeSpec:
			add(owner{place: directive.OnAny, node: n, what: "type " + n.Name.Name}, n.Doc, n.Comment)
		case *ast.ValueSpec:
			add(owner{place: directive.OnAny, node: n, what: "a variable or constant"}, n.Doc, n.Comment)
		case *ast.Field:
			what := "a field"
			if _, isFunc := n.Type.(*ast.FuncType); isFunc {
				what = "an interface's method"
			}
			add(owner{place: directive.OnAny, node: n, what: what}, n.Doc, n.Comment)
		case *ast.FuncDecl:
			add(owner{place: directive.OnFunc, decl: n, node: n, what: "func " + n.Name.Name}, n.Doc)
		}
		return true
	})
	add(owner{place: directive.OnPackage, node: f, what: "the package"}, f.Doc)
	return owners
}
