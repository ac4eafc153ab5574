package scan

import (
	"context"
	"go/ast"
	"go/token"
	"go/types"
	"slices"
	"strings"
	"sync"

	"github.com/stella-ops/router/generator/diagnostic"
)

// Config says what to read.
type Config struct {
	Dir      string   // absolute; patterns are relative to it
	Env      []string // of the go command; nil is the process's own
	Patterns []string // as the go command takes them
	Cache    *Cache   // nil keeps nothing between runs
}

// Scan reads the packages of the patterns. Everything wrong with them goes to findings; the error is for what is not
// the input's fault. The result is whole only if there are no findings. Sources are the files it has read, for excerpts.
func Scan(ctx context.Context, c Config, findings *diagnostic.List) (result *Result, sources map[string][]byte, err error) {
	l := &loader{
		ctx: ctx, dir: c.Dir, env: c.Env, patterns: c.Patterns, fset: token.NewFileSet(), list: findings,
		limited: map[*ast.File]string{}, sources: map[string][]byte{}, listed: map[string]*listed{}, roots: map[string]bool{},
		pkgs: map[string]*source{}, holders: map[string]*types.Package{}, cache: c.Cache,
	}
	if c.Cache != nil {
		l.fset = c.Cache.fset
	}
	l.ahead = &ahead{fset: l.fset, dirs: map[string]bool{}, files: map[string]*aheadFile{}, before: c.Cache.parsed()}
	defer func() { c.Cache.keep(l.ahead.files) }()
	pkgs, warnings, err := l.listAhead()
	if ctx.Err() != nil {
		return nil, l.sources, err
	}
	if err != nil {
		findings.Addf(diagnostic.Pattern, token.Position{}, 0, "%v", err)
		return nil, l.sources, nil
	}
	for _, text := range warnings {
		findings.Addf(diagnostic.Pattern, token.Position{}, 0, "%s", text)
	}
	result = &Result{Annotated: map[string]bool{}}
	annotated, err := l.annotated(pkgs, result)
	if err != nil {
		return nil, l.sources, err
	}
	if annotated, err = l.widen(annotated); err != nil {
		return nil, l.sources, err
	}
	var scans []*packageScan
	var queue []wanted
	for _, p := range annotated {
		ps := l.collect(l.annotatedSource(p))
		scans = append(scans, ps)
		for _, h := range ps.handlers {
			for _, field := range slices.Concat(h.decl.Type.Params.List, resultsOf(h.decl.Type)) {
				queue = append(queue, wanted{path: p.ImportPath, file: h.file, expr: field.Type})
			}
			for _, d := range h.directives {
				for _, name := range d.Keys[keyErrors].List {
					queue = append(queue, wanted{path: p.ImportPath, name: name})
				}
			}
		}
	}
	if err := l.reach(queue); err != nil {
		return nil, l.sources, err
	}
	result.Services = l.services(scans)
	for _, ps := range scans {
		ps.applyIgnores(l)
		result.Ignores = append(result.Ignores, ps.ignores...)
		result.Annotated[ps.src.Dir] = true
	}
	return result, l.sources, nil
}

// listAhead runs the go command for the patterns, and reads files meanwhile: it is as good as certain which they are.
func (l *loader) listAhead() (pkgs []*listed, warnings []string, err error) {
	reading, stop := context.WithCancel(l.ctx)
	var wg sync.WaitGroup
	if slices.Contains(l.patterns, "./...") {
		wg.Go(func() { l.ahead.below(reading, l.dir) })
	}
	pkgs, warnings, err = l.ls(l.patterns)
	stop()
	wg.Wait()
	l.ahead.all(pkgs)
	return pkgs, warnings, err
}

func resultsOf(t *ast.FuncType) []*ast.Field {
	if t.Results == nil {
		return nil
	}
	return t.Results.List
}

// note keeps what the go command says of packages.
func (l *loader) note(pkgs []*listed) {
	for _, p := range pkgs {
		l.listed[p.ImportPath] = p
		first, _, _ := strings.Cut(p.module(), "/")
		l.roots[first] = true
	}
}

// annotated finds the packages that have directives, and notes the orphans among the others.
func (l *loader) annotated(pkgs []*listed, result *Result) ([]*listed, error) {
	l.note(pkgs)
	var found []*listed
	l.checkRoot(pkgs)
	own := map[string]bool{} // patterns, and whether they name a package of a module at hand
	for _, p := range pkgs {
		for _, pattern := range p.Match {
			own[pattern] = own[pattern] || p.isMain() || p.Error != nil && !p.hasFiles()
		}
		if p.Error != nil && !p.hasFiles() {
			l.list.Addf(diagnostic.Pattern, token.Position{}, 0, "package %s: %s", p.ImportPath, strings.TrimSpace(p.Error.Err))
			continue
		}
		if !p.isMain() {
			continue
		}
		mentions, generated, err := l.survey(p)
		if err != nil {
			return nil, err
		}
		switch {
		case !mentions && generated:
			result.Orphans = append(result.Orphans, p.Dir)
			l.orphans = append(l.orphans, p)
		case mentions:
			found = append(found, p)
		}
		if !mentions {
			l.checkStray(p.Dir)
		}
	}
	for pattern, is := range own {
		if !is {
			l.list.Addf(diagnostic.Pattern, token.Position{}, 0, "%s is no package of a module at hand: name packages, not files, of your own", pattern)
		}
	}
	slices.Sort(result.Orphans)
	return found, nil
}

// annotatedSource parses a package that has directives.
func (l *loader) annotatedSource(p *listed) *source {
	s := l.parse(p, true, true)
	if p.Error != nil && !s.unreadable && len(s.files) > 0 { // two packages in a folder, say
		l.list.Addf(diagnostic.Unreadable, token.Position{Filename: p.Dir}, 0, "package %s: %s", p.ImportPath, strings.TrimSpace(p.Error.Err))
	}
	l.pkgs[p.ImportPath] = s
	return s
}
