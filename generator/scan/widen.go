package scan

import (
	"bytes"
	"go/parser"
	"go/token"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"github.com/stella-ops/router/generator/diagnostic"
	"github.com/stella-ops/router/generator/directive"
)

// membership is a service of a module. Modules of a workspace do not share services.
type membership struct{ module, service string }

// claim is what a package's doc comment says about the service that it belongs to.
type claim struct {
	*listed

	owns, joins []membership
	broken      bool // something is wrong with what it says
}

// widen adds the packages that belong to the same services as those that the patterns name: a part is never generated
// without the manifest that lists its endpoints. Packages of other services are left alone, and so is what is wrong
// with them.
func (l *loader) widen(found []*listed) ([]*listed, error) {
	modules := map[string]bool{}
	for _, p := range slices.Concat(found, l.orphans) {
		if !l.isWhole(p) {
			modules[p.module()] = true
		}
	}
	if len(modules) == 0 {
		return found, nil
	}
	var patterns []string
	for _, path := range slices.Sorted(maps.Keys(modules)) {
		patterns = append(patterns, path+"/...")
	}
	all, _, err := l.ls(patterns)
	if err != nil {
		return nil, err
	}
	l.ahead.all(all)
	var others []*claim
	for _, p := range all {
		if l.listed[p.ImportPath] != nil || !p.isMain() || !modules[p.module()] {
			continue
		}
		l.note([]*listed{p})
		mentions, _, err := l.survey(p)
		if err != nil {
			return nil, err
		}
		if mentions {
			others = append(others, l.claimOf(p))
		}
	}
	for _, c := range others {
		l.others = append(l.others, c.owns...)
	}
	found = append(found, l.related(found, others)...)
	slices.SortFunc(found, func(a, b *listed) int { return strings.Compare(a.ImportPath, b.ImportPath) })
	return found, nil
}

// isWhole reports whether the patterns name all packages of a package's module for certain.
func (l *loader) isWhole(p *listed) bool {
	return p.Module != nil && p.Module.Dir == l.dir && slices.Contains(l.patterns, "./...")
}

// related are the packages that share a service with one that the patterns name.
func (l *loader) related(named []*listed, others []*claim) []*listed {
	touched, owned := map[membership]bool{}, map[membership]bool{}
	for _, p := range named {
		c := l.claimOf(p)
		for _, m := range slices.Concat(c.owns, c.joins) {
			touched[m] = true
		}
		for _, m := range c.owns {
			owned[m] = true
		}
	}
	for _, c := range others {
		for _, m := range c.owns {
			touched[m] = touched[m] || l.listsOrphan(c.listed)
		}
	}
	var found []*listed
	for _, c := range others {
		if slices.ContainsFunc(slices.Concat(c.owns, c.joins), func(m membership) bool { return touched[m] }) {
			found = append(found, c.listed)
		}
		for _, m := range c.owns {
			owned[m] = true
		}
	}
	for m := range touched {
		if owned[m] {
			continue
		}
		for _, c := range others { // the service may be there, with a directive that cannot be read: that is to be said
			if c.broken && c.module() == m.module && !slices.Contains(found, c.listed) {
				found = append(found, c.listed)
			}
		}
	}
	return found
}

// listsOrphan reports whether the manifest that a package had so far lists an endpoint of a package that has lost its
// directives.
func (l *loader) listsOrphan(p *listed) bool {
	for _, orphan := range l.orphans {
		if orphan.module() != p.module() {
			continue
		}
		old, err := l.readFile(filepath.Join(p.Dir, ManifestFile))
		if err == nil && bytes.Contains(old, []byte(`"`+orphan.ImportPath+`.`)) {
			return true
		}
	}
	return false
}

// claimOf reads a package's doc comments, and nothing else.
func (l *loader) claimOf(p *listed) *claim {
	c := &claim{listed: p}
	fset := token.NewFileSet()
	for _, name := range slices.Concat(p.GoFiles, p.CgoFiles) {
		full := filepath.Join(p.Dir, name)
		src, err := l.readFile(full)
		if err != nil || !l.mentions(full, src) {
			continue
		}
		f, err := parser.ParseFile(fset, full, src, parser.PackageClauseOnly|parser.ParseComments)
		if f == nil || err != nil {
			c.broken = true
			continue
		}
		var faults diagnostic.List
		for _, group := range f.Comments {
			if group.Pos() > f.Package {
				break
			}
			for _, comment := range group.List {
				d := directive.Parse(fset, comment, &faults)
				switch {
				case d == nil:
				case group != f.Doc:
					c.broken = true // detached
				case d.Name == serviceDirective:
					c.owns = append(c.owns, membership{p.module(), d.Args[0].Text})
				case d.Name == partDirective:
					c.joins = append(c.joins, membership{p.module(), d.Keys["of"].Text})
				}
			}
		}
		c.broken = c.broken || faults.Len() > 0
	}
	return c
}
