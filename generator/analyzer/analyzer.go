package analyzer

import (
	"context"
	"fmt"
	"go/ast"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/tools/go/analysis"

	"github.com/stella-ops/router/generator/diagnostic"
	"github.com/stella-ops/router/generator/directive"
	"github.com/stella-ops/router/generator/lint"
)

// Analyzer reports what is wrong with, or questionable about, the endpoints of a package.
var Analyzer = newAnalyzer()

const doc = `check endpoints: //stella: directives, and the handlers that they stand on

The findings are those of stellagen lint, and three more, about function bodies: a handler that waits without its context, a
stream that waits without it, and code that reads a header which the gateway takes away.`

func newAnalyzer() *analysis.Analyzer {
	var o options
	a := &analysis.Analyzer{Name: "stella", Doc: doc, Run: o.run, RunDespiteErrors: true}
	a.Flags.StringVar(&o.use, "use", "", "presets and categories of rules, separated by commas (default STANDARD)")
	a.Flags.StringVar(&o.enable, "enable", "", "rules and categories beside those, separated by commas")
	a.Flags.StringVar(&o.disable, "disable", "", "rules and categories that do not count, separated by commas")
	a.Flags.StringVar(&o.today, "today", "", "day that sunsets and ignores are judged by, YYYY-MM-DD (default today)")
	return a
}

// options are the analyzer's flags.
type options struct{ use, enable, disable, today string }

func (o *options) run(pass *analysis.Pass) (any, error) {
	p := &pack{Pass: pass, files: map[string]*ast.File{}}
	for _, f := range pass.Files {
		name := pass.Fset.PositionFor(f.FileStart, false).Filename
		p.files[name] = f
		p.dir = filepath.Dir(name)
	}
	annotated, err := p.annotated()
	if err != nil || !annotated {
		return nil, err
	}
	config, err := o.config()
	if err != nil {
		return nil, err
	}
	config.Dir, config.Patterns, config.Bodies = p.dir, []string{"."}, p.bodies()
	found, err := lint.Run(context.Background(), config)
	if err != nil {
		return nil, fmt.Errorf("analyzer: %w", err)
	}
	for _, f := range found.List {
		if f.Waiver == "" && p.reports(f, found.Homes) {
			p.report(f)
		}
	}
	return nil, nil //nolint:nilnil // no other analyzer needs a result
}

func (o *options) config() (c lint.Config, err error) {
	if c.Rules, err = lint.Select(list(o.use), list(o.enable), list(o.disable)); err != nil {
		return c, fmt.Errorf("analyzer: %w", err)
	}
	c.Today = time.Now()
	if o.today != "" {
		if c.Today, err = time.Parse(time.DateOnly, o.today); err != nil {
			return c, fmt.Errorf("analyzer: -today %s: expected a day such as 2027-01-31", o.today)
		}
	}
	return c, nil
}

func list(flag string) []string {
	return strings.FieldsFunc(flag, func(r rune) bool { return r == ',' || r == ' ' })
}

// pack is the package that a pass is about.
type pack struct {
	*analysis.Pass

	dir   string
	files map[string]*ast.File // by name, those that are compiled
}

// annotated reports whether a file may have directives.
func (p *pack) annotated() (bool, error) {
	names := p.IgnoredFiles
	for name := range p.files {
		names = append(names, name)
	}
	for _, name := range names {
		if !strings.HasSuffix(name, ".go") {
			continue
		}
		src, err := p.ReadFile(name)
		if err != nil {
			return false, fmt.Errorf("analyzer: %w", err)
		}
		if directive.Mentions(src) {
			return true, nil
		}
	}
	return false, nil
}

// reports tells whether a finding is this pass's to report.
func (p *pack) reports(f diagnostic.Finding, homes map[string]string) bool {
	name := f.Pos.Filename
	switch {
	case p.files[name] != nil:
		return true
	case strings.HasSuffix(name, "_test.go") || p.onlyTests():
		return false // another variant of the package has the file
	case name == "":
		return true // it is about the run
	}
	dir := filepath.Dir(name)
	return dir == p.dir || name == p.dir || homes[dir] == "" && homes[p.dir] == p.dir
}

// onlyTests reports whether the package is one of tests beside the package that they are of.
func (p *pack) onlyTests() bool {
	for name := range p.files {
		if !strings.HasSuffix(name, "_test.go") {
			return false
		}
	}
	return true
}
