package migrate

import (
	"context"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"go/types"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"golang.org/x/tools/go/packages"

	"github.com/stella-ops/router/generator/scan"
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

// loadTimeout bounds reading packages. The go command may have to download what they import.
const loadTimeout = 10 * time.Minute

func load(ctx context.Context, c Config) (*program, error) {
	ctx, cancel := context.WithTimeout(ctx, loadTimeout)
	defer cancel()
	env := c.Env
	if env == nil {
		env = os.Environ()
	}
	p := &program{fset: token.NewFileSet(), dir: c.Dir, funcs: map[*types.Func]*function{}, infos: map[*types.Package]*types.Info{}}
	config := packages.Config{
		Context: ctx, Mode: packages.NeedName | packages.NeedFiles | packages.NeedModule, Dir: c.Dir, Fset: p.fset,
		Env: append(slices.Clip(env), "CGO_ENABLED=0"), // cgo would have to be run, and routes do not depend on it
	}
	named, err := packages.Load(&config, c.Patterns...)
	if err != nil {
		return nil, loadError(ctx, err)
	}
	whole, roots := map[string]bool{}, map[string]bool{}
	for _, pkg := range named {
		for _, name := range pkg.GoFiles {
			whole[name] = true
		}
		if isMain(pkg) {
			roots[pkg.Module.Dir+string(filepath.Separator)] = true
		}
	}
	config.Mode = loadMode
	config.ParseFile = func(fset *token.FileSet, name string, src []byte) (*ast.File, error) {
		if whole[name] || within(roots, name) {
			return parser.ParseFile(fset, name, src, parser.ParseComments|parser.SkipObjectResolution)
		}
		return parseDeclarations(fset, name, src)
	}
	pkgs, err := packages.Load(&config, c.Patterns...)
	if err != nil {
		return nil, loadError(ctx, err)
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
	packages.Visit(pkgs, nil, func(pkg *packages.Package) {
		if isMain(pkg) && pkg.Types != nil && p.infos[pkg.Types] == nil && len(pkg.Syntax) > 0 {
			p.add(pkg) // a program is more than the package that begins it
		}
	})
	p.unbuilt(c.Patterns)
	slices.SortFunc(p.pkgs, func(a, b *packages.Package) int { return strings.Compare(a.PkgPath, b.PkgPath) })
	return p, nil
}

// isMain reports whether a package is of a module that is worked on.
func isMain(pkg *packages.Package) bool { return pkg.Module != nil && pkg.Module.Main }

// within reports whether a file is below one of the folders, and not of a module that is vendored there.
func within(roots map[string]bool, name string) bool {
	vendor := string(filepath.Separator) + "vendor" + string(filepath.Separator)
	for root := range roots {
		if rest, ok := strings.CutPrefix(name, root); ok && !strings.Contains(string(filepath.Separator)+rest, vendor) {
			return true
		}
	}
	return false
}

// parseDeclarations reads a file that is only imported, without the bodies of its functions: they are most of what
// would be kept in memory.
func parseDeclarations(fset *token.FileSet, name string, src []byte) (*ast.File, error) {
	f, err := parser.ParseFile(fset, name, src, parser.SkipObjectResolution)
	if f == nil {
		return nil, err //nolint:wrapcheck // the loader tells it
	}
	for _, decl := range f.Decls {
		if fd, ok := decl.(*ast.FuncDecl); ok {
			fd.Body = nil
		}
	}
	return f, err //nolint:wrapcheck // the loader tells it
}

// loadError is what the go command says, unless it was interrupted.
func loadError(ctx context.Context, err error) error {
	switch {
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return fmt.Errorf("%w: the go command has not listed them within %v: run go mod download, and again", errLoad, loadTimeout)
	case ctx.Err() != nil:
		return ctx.Err()
	}
	return fmt.Errorf("%w: %s", errLoad, strings.TrimSpace(strings.TrimPrefix(err.Error(), "err: ")))
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
	errs := slices.DeleteFunc(slices.Clone(pkg.Errors), func(err packages.Error) bool {
		return filepath.Base(parsePosition(err.Pos).Filename) == scan.GeneratedFile // it may be old, and registers nothing
	})
	if len(errs) > 0 {
		p.gone = append(p.gone, Unfollowed{
			Place: p.placeOf(parsePosition(errs[0].Pos)), What: pkg.PkgPath,
			Why:  fmt.Sprintf("it does not compile, so that types may be unknown (%d errors; the first: %s)", len(errs), errs[0].Msg),
			Todo: "mend it, and run migrate again",
		})
	}
	for _, name := range pkg.IgnoredFiles {
		p.ignored(name)
	}
	for path := range pkg.Imports {
		if registered := importRegisters[path]; registered != "" {
			p.gone = append(p.gone, Unfollowed{
				Place: p.importPlace(pkg, path), What: "import " + path, Why: "it registers " + registered + " on http.DefaultServeMux",
				Todo: "nothing, unless that mux is served: then write endpoints for what callers need",
			})
		}
		if other := otherRouter(path); other {
			u := Unfollowed{What: "import " + path, Why: "its routes are not read: migrate knows net/http, chi, gin and echo", Todo: "bridge its router by hand"}
			u.Place = p.importPlace(pkg, path)
			p.gone = append(p.gone, u)
		}
	}
}

// unbuilt notes the files of folders that patterns name and that have no package in this build: the go command is silent
// about them.
func (p *program) unbuilt(patterns []string) {
	built := map[string]bool{}
	for _, pkg := range p.pkgs {
		built[pkg.Dir] = true
	}
	for _, pattern := range patterns {
		base, ok := strings.CutSuffix(pattern, "...")
		if !ok || base != "" && !strings.HasPrefix(base, ".") && !filepath.IsAbs(base) {
			continue
		}
		if !filepath.IsAbs(base) {
			base = filepath.Join(p.dir, base)
		}
		_ = filepath.WalkDir(base, func(name string, d fs.DirEntry, err error) error {
			switch {
			case err != nil:
				return nil //nolint:nilerr // what cannot be read has no routes, and the go command has said so
			case d.IsDir() && name != base && (isOutside(d.Name()) || hasModule(name)):
				return filepath.SkipDir
			case !d.IsDir() && !built[filepath.Dir(name)]:
				p.ignored(name)
			}
			return nil
		})
	}
}

// isOutside reports whether patterns leave out a folder of this name.
func isOutside(name string) bool {
	return name == "testdata" || name == "vendor" || strings.HasPrefix(name, "_") || strings.HasPrefix(name, ".")
}

func hasModule(dir string) bool {
	_, err := os.Stat(filepath.Join(dir, "go.mod"))
	return err == nil
}

// registers finds calls that may register routes.
var registers = regexp.MustCompile(`\.(Handle|HandleFunc|Get|Post|Put|Patch|Delete|Head|Options|Method|MethodFunc|Mount|Route|` +
	`GET|POST|PUT|PATCH|DELETE|HEAD|OPTIONS|Any|Add|Match|Static)\(`)

// importRegisters has what packages register on http.DefaultServeMux when they are imported.
var importRegisters = map[string]string{"net/http/pprof": "/debug/pprof/", "expvar": "/debug/vars", "golang.org/x/net/trace": "/debug/requests and /debug/events"}

// ignored notes a file that this build does not have, if it may register routes.
func (p *program) ignored(name string) {
	if !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") {
		return
	}
	src, err := os.ReadFile(name) //nolint:gosec // a source file of the module
	if err != nil || !registers.Match(src) {
		return
	}
	f, err := parser.ParseFile(token.NewFileSet(), name, src, parser.ImportsOnly)
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
