package migrate

import (
	"context"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"go/types"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/tools/go/packages"
)

// Config says what is read.
type Config struct {
	Dir      string   // absolute; patterns are relative to it
	Env      []string // of the go command; nil is the process's own
	Patterns []string // packages, as the go command takes them
}

// program is the packages that are read, and where their functions are.
type program struct {
	fset  *token.FileSet
	dir   string
	pkgs  []*packages.Package // that the patterns name, sorted by path
	funcs map[*types.Func]*function
	infos map[*types.Package]*types.Info
	gone  []Unfollowed // what of the packages is not read
}

// function is a declared function with a body.
type function struct {
	obj  *types.Func
	decl *ast.FuncDecl
	pkg  *packages.Package
	file *ast.File
}

// loadMode makes the loader type-check what packages import from source, without bodies: nothing is compiled.
const loadMode = packages.NeedName | packages.NeedFiles | packages.NeedCompiledGoFiles | packages.NeedImports | packages.NeedDeps |
	packages.NeedTypes | packages.NeedSyntax | packages.NeedTypesInfo | packages.NeedModule

func load(ctx context.Context, c Config) (*program, error) {
	env := c.Env
	if env == nil {
		env = os.Environ()
	}
	p := &program{fset: token.NewFileSet(), dir: c.Dir, funcs: map[*types.Func]*function{}, infos: map[*types.Package]*types.Info{}}
	pkgs, err := packages.Load(&packages.Config{
		Context: ctx, Mode: loadMode, Dir: c.Dir, Fset: p.fset,
		Env: append(slices.Clip(env), "CGO_ENABLED=0"), // cgo would have to be run, and routes do not depend on it
		ParseFile: func(fset *token.FileSet, name string, src []byte) (*ast.File, error) {
			return parser.ParseFile(fset, name, src, parser.ParseComments|parser.SkipObjectResolution)
		},
	}, c.Patterns...)
	if err != nil {
		return nil, fmt.Errorf("migrate: reading packages: %w", err)
	}
	for _, pkg := range pkgs {
		if len(pkg.Syntax) == 0 && len(pkg.IgnoredFiles) > 0 { // this build has none of its files
			for _, name := range pkg.IgnoredFiles {
				p.ignored(name)
			}
			continue
		}
		if pkg.Types == nil || len(pkg.Syntax) == 0 && len(pkg.Errors) > 0 {
			return nil, fmt.Errorf("%w: %s", errLoad, describe(pkg))
		}
		p.add(pkg)
	}
	slices.SortFunc(p.pkgs, func(a, b *packages.Package) int { return strings.Compare(a.PkgPath, b.PkgPath) })
	return p, nil
}

func describe(pkg *packages.Package) string {
	text := pkg.PkgPath
	if len(pkg.Errors) > 0 {
		text += ": " + pkg.Errors[0].Msg
	}
	return text
}

// add indexes a package, and notes what of it is not read.
func (p *program) add(pkg *packages.Package) {
	p.pkgs = append(p.pkgs, pkg)
	p.infos[pkg.Types] = pkg.TypesInfo
	for _, f := range pkg.Syntax {
		for _, decl := range f.Decls {
			fd, ok := decl.(*ast.FuncDecl)
			if !ok || fd.Body == nil {
				continue
			}
			if obj, ok := pkg.TypesInfo.Defs[fd.Name].(*types.Func); ok {
				p.funcs[obj] = &function{obj, fd, pkg, f}
			}
		}
	}
	if len(pkg.Errors) > 0 {
		first := pkg.Errors[0]
		u := Unfollowed{What: pkg.PkgPath, Why: fmt.Sprintf("it does not compile, so that types may be unknown (%d errors; the first: %s)", len(pkg.Errors), first.Msg),
			Todo: "mend it, and run migrate again"}
		u.Place = p.placeOf(parsePosition(first.Pos))
		p.gone = append(p.gone, u)
	}
	for _, name := range pkg.IgnoredFiles {
		p.ignored(name)
	}
	for path := range pkg.Imports {
		if other := otherRouter(path); other {
			u := Unfollowed{What: "import " + path, Why: "its routes are not read: migrate knows net/http, chi, gin and echo", Todo: "bridge its router by hand"}
			u.Place = p.importPlace(pkg, path)
			p.gone = append(p.gone, u)
		}
	}
}

// ignored notes a file that other builds have, if it may register routes.
func (p *program) ignored(name string) {
	if !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") {
		return
	}
	f, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ImportsOnly)
	if err != nil {
		return
	}
	for _, spec := range f.Imports {
		path := strings.Trim(spec.Path.Value, `"`)
		if _, ok := frameworkOf(path); ok {
			p.gone = append(p.gone, Unfollowed{
				Place: p.placeOf(token.Position{Filename: name, Line: 1, Column: 1}), What: filepath.Base(name),
				Why: "this build does not have the file, and it imports " + path, Todo: "run migrate with the GOOS, GOARCH or -tags (in GOFLAGS) that have it",
			})
			return
		}
	}
}

func (p *program) importPlace(pkg *packages.Package, path string) Place {
	for _, f := range pkg.Syntax {
		for _, spec := range f.Imports {
			if strings.Trim(spec.Path.Value, `"`) == path {
				return p.place(spec.Pos())
			}
		}
	}
	return Place{}
}

// parsePosition reads file:line:column, as the loader writes it.
func parsePosition(text string) token.Position {
	var pos token.Position
	name, column, ok := cutLast(text)
	if !ok {
		return token.Position{Filename: text}
	}
	if file, line, ok := cutLast(name); ok {
		pos.Filename = file
		_, _ = fmt.Sscan(line, &pos.Line)
		_, _ = fmt.Sscan(column, &pos.Column)
		return pos
	}
	pos.Filename = name
	_, _ = fmt.Sscan(column, &pos.Line)
	return pos
}

func cutLast(text string) (before, after string, ok bool) {
	i := strings.LastIndexByte(text, ':')
	if i < 0 {
		return text, "", false
	}
	return text[:i], text[i+1:], true
}

func (p *program) place(pos token.Pos) Place { return p.placeOf(p.fset.PositionFor(pos, false)) }

// placeOf is a position as reports have it: relative to the folder that was asked about.
func (p *program) placeOf(pos token.Position) Place {
	name := pos.Filename
	if rel, err := filepath.Rel(p.dir, name); err == nil && name != "" {
		name = filepath.ToSlash(rel)
	}
	return Place{name, pos.Line, pos.Column}
}
