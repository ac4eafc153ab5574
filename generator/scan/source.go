package scan

import (
	"bytes"
	"errors"
	"fmt"
	"go/ast"
	"go/build"
	"go/build/constraint"
	"go/parser"
	"go/scanner"
	"go/token"
	"go/types"
	"io"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/stella-ops/router/generator/diagnostic"
	"github.com/stella-ops/router/generator/directive"
)

// source is a package that has been parsed.
type source struct {
	*listed

	files      []*ast.File
	decls      map[string]*typeDecl
	fields     map[token.Pos]*ast.Field // of structs, by the position of the name, or of an embedded type's name
	extra      []*ast.File              // tests and files for other machines, if they have directives
	elsewhere  map[string]token.Pos     // names that those files declare at package level, with directives or without
	generated  bool                     // it has our generated file
	unreadable bool                     // a file of it has syntax errors
	own        bool                     // of a module whose structs generated code walks

	types  *types.Package
	info   *types.Info
	errs   []types.Error
	state  checkState
	walked map[string]bool // types that reach has looked into
}

type typeDecl struct {
	spec *ast.TypeSpec
	file *ast.File
	doc  string
}

// readFile reads a source file once.
func (l *loader) readFile(name string) ([]byte, error) {
	if src, ok := l.sources[name]; ok {
		return src, nil
	}
	if f := l.ahead.files[name]; f != nil {
		l.sources[name] = f.src
		return f.src, nil
	}
	src, err := os.ReadFile(name) //nolint:gosec // the go command named the file
	if err != nil {
		return nil, fmt.Errorf("scan: %w", err)
	}
	l.sources[name] = src
	return src, nil
}

// survey reads a listed package's files and reports whether one mentions a directive, and whether one is ours.
func (l *loader) survey(p *listed) (mentions, generated bool, err error) {
	for _, name := range slices.Concat(p.GoFiles, p.CgoFiles, p.IgnoredGoFiles, p.TestGoFiles, p.XTestGoFiles) {
		full := filepath.Join(p.Dir, name)
		src, err := l.readFile(full)
		if err != nil {
			return false, false, err
		}
		if name == GeneratedFile && isGenerated(src) {
			generated = true
			continue
		}
		mentions = mentions || l.mentions(full, src)
	}
	return mentions, generated, nil
}

// mentions is [directive.Mentions] of a file that has been read.
func (l *loader) mentions(name string, src []byte) bool {
	if f := l.ahead.files[name]; f != nil {
		return f.mentions
	}
	return directive.Mentions(src)
}

func isGenerated(src []byte) bool {
	line, _, _ := bytes.Cut(src, []byte{'\n'})
	return string(bytes.TrimRight(line, "\r")) == GeneratedHeader
}

// parse reads a package's declarations. Comments are kept where directives or documentation matter.
func (l *loader) parse(p *listed, own, directives bool) *source {
	s := &source{
		listed: p, own: own, decls: map[string]*typeDecl{}, fields: map[token.Pos]*ast.Field{}, walked: map[string]bool{},
		elsewhere: map[string]token.Pos{},
	}
	for _, name := range slices.Concat(p.GoFiles, p.CgoFiles) {
		full := filepath.Join(p.Dir, name)
		src, err := l.readFile(full)
		if err != nil {
			l.list.Addf(diagnostic.Unreadable, token.Position{Filename: full}, 0, "%v", err)
			continue
		}
		if name == GeneratedFile {
			if isGenerated(src) {
				s.generated = true
				continue
			}
			if directives {
				f := l.list.Addf(diagnostic.ForeignFile, token.Position{Filename: full}, 0, "%s is in the way: it is not the generator's", name)
				f.Hint = "rename it, or remove it"
				if _, err := parser.ParseFile(token.NewFileSet(), full, src, parser.SkipObjectResolution); err != nil {
					s.unreadable = true // empty, or with conflict markers: that it has to go is all there is to say
					continue
				}
			}
		}
		before := l.list.Len()
		f := l.parseFile(full, src, own)
		s.unreadable = s.unreadable || l.list.Len() > before
		if f != nil {
			s.files = append(s.files, f)
			s.index(f)
		}
	}
	if directives {
		l.parseExtra(s)
	}
	return s
}

// parseExtra reads the files of a package that not every build has.
func (l *loader) parseExtra(s *source) {
	for _, name := range slices.Concat(s.IgnoredGoFiles, s.TestGoFiles, s.XTestGoFiles) {
		full := filepath.Join(s.Dir, name)
		src, err := l.readFile(full)
		if err != nil {
			continue // survey has read it before
		}
		mentions := l.mentions(full, src)
		f := l.parseFile(full, src, mentions)
		if f == nil {
			continue
		}
		if mentions {
			s.extra = append(s.extra, f)
		}
		if f.Name.Name == s.Name {
			s.declareElsewhere(f)
		}
	}
}

func (s *source) declareElsewhere(f *ast.File) {
	add := func(name *ast.Ident) {
		if _, known := s.elsewhere[name.Name]; !known && name.Name != "_" {
			s.elsewhere[name.Name] = name.Pos()
		}
	}
	for _, decl := range f.Decls {
		switch d := decl.(type) {
		case *ast.FuncDecl:
			if d.Recv == nil && d.Name.Name != "init" {
				add(d.Name)
			}
		case *ast.GenDecl:
			for _, spec := range d.Specs {
				switch spec := spec.(type) {
				case *ast.TypeSpec:
					add(spec.Name)
				case *ast.ValueSpec:
					for _, name := range spec.Names {
						add(name)
					}
				}
			}
		}
	}
}

func (l *loader) parseFile(name string, src []byte, own bool) *ast.File {
	var f *ast.File
	var err error
	if a := l.ahead.files[name]; a != nil && a.file != nil && (a.comments || !own) {
		f, err = a.file, a.err
	} else {
		l.attempt(name, "the parser", func() { f, err = parser.ParseFile(l.fset, name, src, parseMode(own)) })
	}
	if err == nil || !own { // a foreign package that is broken is the compiler's business
		return f
	}
	if line := conflict(src); line > 0 { // the parser has an error for each of its lines
		l.list.Addf(diagnostic.Unreadable, token.Position{Filename: name, Line: line, Column: 1}, len(conflictMark), "merge conflict").
			Hint = "resolve it; the generated files need no merging: remove the marks in them, or the files, and generate"
		return f
	}
	list, ok := errors.AsType[scanner.ErrorList](err)
	if !ok {
		l.list.Addf(diagnostic.Unreadable, token.Position{Filename: name}, 0, "%v", err)
		return f
	}
	for _, e := range list {
		l.list.Addf(diagnostic.Unreadable, e.Pos, 1, "%s", e.Msg)
	}
	return f
}

// conflictMark begins the first line of a merge conflict.
const conflictMark = "<<<<<<<"

// conflict is the number of the line where a merge conflict begins; 0 if there is none.
func conflict(src []byte) int {
	n := 0
	for line := range bytes.Lines(src) {
		n++
		if bytes.HasPrefix(line, []byte(conflictMark+" ")) {
			return n
		}
	}
	return 0
}

// index notes the types that a file declares, and the fields of their structs.
func (s *source) index(f *ast.File) {
	for _, decl := range f.Decls {
		gen, ok := decl.(*ast.GenDecl)
		if !ok || gen.Tok != token.TYPE {
			continue
		}
		for _, spec := range gen.Specs {
			ts, ok := spec.(*ast.TypeSpec)
			if !ok {
				continue
			}
			doc := ts.Doc
			if doc == nil && !gen.Lparen.IsValid() {
				doc = gen.Doc
			}
			s.decls[ts.Name.Name] = &typeDecl{spec: ts, file: f, doc: clean(doc)}
			if s.own {
				s.indexFields(ts.Type)
			}
		}
	}
}

func (s *source) indexFields(expr ast.Expr) {
	ast.Inspect(expr, func(n ast.Node) bool {
		st, ok := n.(*ast.StructType)
		if !ok {
			return true
		}
		for _, field := range st.Fields.List {
			for _, name := range field.Names {
				s.fields[name.Pos()] = field
			}
			if name := embeddedName(field.Type); len(field.Names) == 0 && name != nil {
				s.fields[name.Pos()] = field
			}
		}
		return true
	})
}

// embeddedName is the identifier that gives an embedded field its name.
func embeddedName(expr ast.Expr) *ast.Ident {
	switch e := expr.(type) {
	case *ast.Ident:
		return e
	case *ast.StarExpr:
		return embeddedName(e.X)
	case *ast.SelectorExpr:
		return e.Sel
	case *ast.IndexExpr:
		return embeddedName(e.X)
	case *ast.IndexListExpr:
		return embeddedName(e.X)
	case *ast.ParenExpr:
		return embeddedName(e.X)
	}
	return nil
}

// clean is a doc comment's text; directives are not part of it.
func clean(doc *ast.CommentGroup) string { return strings.TrimSpace(doc.Text()) }

// importName is the name by which a file knows an import that has no name of its own.
func (l *loader) importName(importPath string) (name string, known bool) {
	if importPath == RuntimePath {
		return "stella", true
	}
	if p := l.listed[importPath]; p != nil && p.Name != "" {
		return p.Name, true
	}
	base := path.Base(importPath)
	if v, isVersion := strings.CutPrefix(base, "v"); isVersion && v != "" && strings.Trim(v, "0123456789") == "" {
		base = path.Base(path.Dir(importPath))
	}
	return base, l.listed[importPath] != nil || l.isStandard(importPath)
}

// isStandard guesses whether an import is of the standard library, whose packages are named as their paths end.
func (l *loader) isStandard(importPath string) bool {
	first, _, _ := strings.Cut(importPath, "/")
	return !strings.Contains(first, ".") && !l.roots[first]
}

// imports maps the names of a file's imports to their paths. The second result lists those whose name is not known
// before the go command has been asked.
func (l *loader) imports(f *ast.File) (map[string]string, []string) {
	names, unknown := map[string]string{}, []string(nil)
	for _, spec := range f.Imports {
		importPath, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			continue
		}
		if spec.Name != nil {
			names[spec.Name.Name] = importPath
			continue
		}
		name, known := l.importName(importPath)
		if !known {
			unknown = append(unknown, importPath)
		}
		names[name] = importPath
	}
	return names, unknown
}

// constrained says why a file, whose comments have been parsed, belongs to its package on some machines only; it is
// empty for a file that always does.
func (l *loader) constrained(f *ast.File) string {
	reason, known := l.limited[f]
	if !known {
		reason = l.limits(f)
		l.limited[f] = reason
	}
	return reason
}

func (l *loader) limits(f *ast.File) string {
	for _, group := range f.Comments {
		if group.Pos() > f.Package {
			break
		}
		for _, c := range group.List {
			if constraint.IsGoBuild(c.Text) || constraint.IsPlusBuild(c.Text) {
				return "has build constraints"
			}
		}
	}
	for _, spec := range f.Imports {
		if spec.Path.Value == `"C"` {
			return "uses cgo"
		}
	}
	full := l.pos(f.FileStart).Filename
	if !strings.Contains(filepath.Base(full), "_") {
		return ""
	}
	// A name such as x_linux.go matches no machine that does not exist.
	nowhere := build.Default
	nowhere.GOOS, nowhere.GOARCH = "nowhere", "nothing"
	nowhere.OpenFile = func(string) (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(l.sources[full])), nil }
	if match, err := nowhere.MatchFile(filepath.Dir(full), filepath.Base(full)); err == nil && !match {
		return "has build constraints"
	}
	return ""
}
