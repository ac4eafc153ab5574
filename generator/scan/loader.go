package scan

import (
	"context"
	"go/ast"
	"go/parser"
	"go/token"
	"go/types"
	"maps"
	"slices"
	"strings"

	"github.com/stella-ops/router/generator/diagnostic"
)

// loader finds the packages that endpoints' types need, and type-checks their declarations. Every other import is a
// placeholder without declarations.
type loader struct {
	ctx  context.Context //nolint:containedctx // of the one run that the loader serves
	dir  string
	env  []string
	fset *token.FileSet
	list *diagnostic.List

	cache    *Cache // nil: none
	ahead    *ahead
	patterns []string
	orphans  []*listed    // with our generated file and without directives
	others   []membership // services of packages that the patterns leave out

	limited map[*ast.File]string      // what constrained has found
	sources map[string][]byte         // files by name
	listed  map[string]*listed        // by import path
	roots   map[string]bool           // first path elements of the modules at hand
	pkgs    map[string]*source        // parsed packages by import path
	holders map[string]*types.Package // placeholders and known packages by import path
}

type checkState int

const (
	unchecked checkState = iota
	checking
	checked
)

// wanted is a type that has to be looked into: a declared one by its name, or an expression of a file.
type wanted struct {
	path string // of the package
	name string
	file *ast.File
	expr ast.Expr
}

// reach parses the packages of all types that the given ones are made of. It works on syntax alone, so that it knows
// what to parse before types are checked. It asks the go command once a round, for all packages that are new.
func (l *loader) reach(queue []wanted) error {
	for len(queue) > 0 {
		var next []wanted
		ask := map[string]bool{}
		for len(queue) > 0 {
			w := queue[0]
			queue = queue[1:]
			found, missing := l.look(w)
			queue = append(queue, found...)
			if len(missing) > 0 {
				next = append(next, w)
				for _, path := range missing {
					ask[path] = true
				}
			}
		}
		if err := l.ask(slices.Sorted(maps.Keys(ask))); err != nil {
			return err
		}
		queue = next
	}
	return nil
}

// ask lists packages that have not been listed. One that the go command does not know is noted without a name, so
// that it is asked for only once.
func (l *loader) ask(paths []string) error {
	if len(paths) == 0 {
		return nil
	}
	found, _, err := l.ls(paths)
	if err != nil {
		return err
	}
	for _, p := range found {
		l.listed[p.ImportPath] = p
	}
	for _, path := range paths {
		if l.listed[path] == nil {
			l.listed[path] = &listed{ImportPath: path}
		}
	}
	return nil
}

// look notes one type's parts. missing are packages that have to be listed first.
func (l *loader) look(w wanted) (found []wanted, missing []string) {
	s := l.pkgs[w.path]
	if s == nil {
		if l.isKnown(w) {
			return nil, nil
		}
		p := l.listed[w.path]
		if p == nil {
			return nil, []string{w.path}
		}
		s = l.parse(p, l.isOwn(p), false)
		l.pkgs[w.path] = s
	}
	if w.expr != nil {
		return l.parts(s, w.file, w.expr, true)
	}
	decl := s.decls[w.name]
	if decl == nil || s.walked[w.name] {
		return nil, nil
	}
	found, missing = l.parts(s, decl.file, decl.spec.Type, s.own)
	if len(missing) > 0 {
		return nil, missing // look again when imports have names
	}
	s.walked[w.name] = true
	return found, nil
}

// isOwn reports whether generated code walks a package's structs: it is of a module that the patterns name.
func (l *loader) isOwn(p *listed) bool {
	if p.Standard || p.Module == nil {
		return false
	}
	for _, s := range l.pkgs {
		if s.own && s.module() == p.module() {
			return true
		}
	}
	return false
}

func (l *loader) isKnown(w wanted) bool {
	text, ok := known[w.path]
	return ok && strings.Contains(text, "type "+w.name)
}

// parts collects the types that a type expression names. Of foreign structs only the embedded fields count: they may
// bring methods.
func (l *loader) parts(s *source, f *ast.File, expr ast.Expr, all bool) (found []wanted, missing []string) {
	names, unknown := l.imports(f)
	ast.Inspect(expr, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.FuncType, *ast.InterfaceType:
			return false // neither is decoded
		case *ast.Field:
			for _, name := range n.Names {
				if all && name.IsExported() {
					return true
				}
			}
			return len(n.Names) == 0
		case *ast.SelectorExpr:
			pkg, ok := n.X.(*ast.Ident)
			if !ok {
				return false
			}
			if path, ok := names[pkg.Name]; ok {
				found = append(found, wanted{path: path, name: n.Sel.Name})
			}
			missing = unknown
			return false
		case *ast.Ident:
			found = append(found, wanted{path: s.ImportPath, name: n.Name})
		}
		return true
	})
	return found, missing
}

// check type-checks a parsed package's declarations, once.
func (l *loader) check(s *source) *types.Package {
	switch s.state {
	case checked:
		return s.types
	case checking: // an import cycle: the compiler's business
		return l.placeholder(s.ImportPath)
	case unchecked:
	}
	s.state = checking
	s.info = &types.Info{Defs: map[*ast.Ident]types.Object{}}
	conf := types.Config{
		IgnoreFuncBodies: true,
		FakeImportC:      true,
		Importer:         l,
		Error: func(err error) {
			if e, ok := err.(types.Error); ok { //nolint:errorlint // go/types hands over this type itself
				s.errs = append(s.errs, e)
			}
		},
	}
	// The error is the first of those collected; whether one matters depends on where it is.
	l.attempt(s.Dir, "the type checker", func() { s.types, _ = conf.Check(s.ImportPath, l.fset, s.files, s.info) })
	if s.types == nil {
		s.types = l.placeholder(s.ImportPath)
	}
	s.state = checked
	return s.types
}

// attempt runs a part of Go's own tools on source that may be anything. If it panics, that is a finding about the source.
func (l *loader) attempt(name, what string, run func()) {
	defer func() {
		if r := recover(); r != nil {
			l.list.Addf(diagnostic.Unreadable, token.Position{Filename: name}, 0, "%s fails on this: %v", what, r)
		}
	}()
	run()
}

// Import gives the type checker a package: a parsed one, one of the known, or a placeholder.
func (l *loader) Import(path string) (*types.Package, error) {
	if path == "unsafe" {
		return types.Unsafe, nil
	}
	if s := l.pkgs[path]; s != nil {
		return l.check(s), nil
	}
	return l.placeholder(path), nil
}

func (l *loader) placeholder(path string) *types.Package {
	if p := l.holders[path]; p != nil {
		return p
	}
	p := l.knownPackage(path)
	if p == nil {
		name, _ := l.importName(path)
		p = types.NewPackage(path, name)
		p.MarkComplete()
	}
	l.holders[path] = p
	return p
}

func (l *loader) knownPackage(path string) *types.Package {
	text, ok := known[path]
	if !ok {
		return nil
	}
	fset := token.NewFileSet()
	f, err := parser.ParseFile(fset, path, text, parser.SkipObjectResolution)
	if err != nil {
		return nil // a test reads all of known
	}
	conf := types.Config{IgnoreFuncBodies: true, Error: func(error) {}}
	p, _ := conf.Check(path, fset, []*ast.File{f}, nil) // methods without bodies: the checker minds, we do not
	return p
}

// errorAt is what the type checker said about a part of a package's source.
func (s *source) errorAt(from, to token.Pos) (types.Error, bool) {
	for _, e := range s.errs {
		if e.Pos >= from && e.Pos < to {
			return e, true
		}
	}
	return types.Error{}, false
}

func (l *loader) sourceOf(p *types.Package) *source {
	if p == nil {
		return nil
	}
	return l.pkgs[p.Path()]
}

// whyUnresolved is what the go command said about a package that a type expression names.
func (l *loader) whyUnresolved(s *source, expr ast.Expr) string {
	i := slices.IndexFunc(s.files, func(f *ast.File) bool { return f.FileStart <= expr.Pos() && expr.Pos() < f.FileEnd })
	if i < 0 {
		return ""
	}
	names, _ := l.imports(s.files[i])
	reason := ""
	ast.Inspect(expr, func(n ast.Node) bool {
		sel, ok := n.(*ast.SelectorExpr)
		if !ok {
			return true
		}
		if pkg, ok := sel.X.(*ast.Ident); ok {
			if p := l.listed[names[pkg.Name]]; p != nil && p.Error != nil {
				reason, _, _ = strings.Cut(strings.TrimSpace(p.Error.Err), "\n")
				reason = strings.TrimSuffix(reason, "; to add it:")
			}
		}
		return false
	})
	return reason
}

// pos is a place in a file as it is on disk: line comments of other generators do not count.
func (l *loader) pos(p token.Pos) token.Position { return l.fset.PositionFor(p, false) }
