package scan

import (
	"slices"
	"strings"

	"github.com/stella-ops/router/generator/diagnostic"
	"github.com/stella-ops/router/generator/directive"
	"github.com/stella-ops/router/internal/spelling"
	"github.com/stella-ops/router/spec"
)

// group is the packages of one service.
type group struct {
	member membership
	own    *packageScan   // nil if no package says that it is the service
	parts  []*packageScan // by import path
}

func (g *group) all() []*packageScan {
	if g.own == nil {
		return g.parts
	}
	return append([]*packageScan{g.own}, g.parts...)
}

// services makes the models of all services. The packages come sorted by import path.
func (l *loader) services(scans []*packageScan) []*Service {
	var services []*Service
	for _, g := range l.groups(scans) {
		var endpoints []*Endpoint
		svc := &Service{Name: g.member.service}
		over := l.overrides(g)
		for _, ps := range g.all() {
			p := l.packageOf(ps, over)
			if p == nil {
				continue
			}
			endpoints = append(endpoints, p.Endpoints...)
			if ps == g.own {
				svc.Own = p
			} else {
				svc.Parts = append(svc.Parts, p)
			}
		}
		l.checkIdentities(endpoints)
		l.checkEntries(g, over)
		l.checkEmpty(g)
		if svc.Own != nil {
			svc.Version, svc.Owner, svc.Doc = g.own.service.Keys["version"].Text, g.own.service.Keys["owner"].Text, g.own.doc
			services = append(services, svc)
		}
	}
	slices.SortFunc(services, func(a, b *Service) int { return strings.Compare(a.Own.ImportPath, b.Own.ImportPath) })
	return services
}

// groups puts packages together by the service that they belong to. One that belongs to none is alone.
func (l *loader) groups(scans []*packageScan) []*group {
	var groups []*group
	byName := map[membership]*group{}
	of := func(m membership) *group {
		g := byName[m]
		if g == nil {
			g = &group{member: m}
			byName[m] = g
			groups = append(groups, g)
		}
		return g
	}
	for _, ps := range scans {
		if ps.service != nil && ps.part != nil {
			l.clashf(ps.part, ps.service, "package %s is a service's own and part of one: it is either", ps.src.Name)
		}
		switch module := ps.src.module(); {
		case ps.service != nil:
			g := of(membership{module, ps.service.Args[0].Text})
			if g.own == nil {
				g.own = ps
				continue
			}
			l.clashf(ps.service, g.own.service, "service %s is declared by two packages, %s and %s", g.member.service, g.own.src.ImportPath, ps.src.ImportPath)
			groups = append(groups, &group{own: ps, member: g.member})
		case ps.part != nil:
			g := of(membership{module, ps.part.Keys["of"].Text})
			g.parts = append(g.parts, ps)
		default:
			l.checkBelongs(ps)
			groups = append(groups, &group{parts: []*packageScan{ps}})
		}
	}
	for _, g := range groups {
		l.checkKnown(g, groups)
	}
	return groups
}

func (l *loader) clashf(d, first *directive.Directive, format string, args ...any) {
	f := l.list.Addf(diagnostic.ServiceClash, d.Pos, d.Width, format, args...)
	f.Hint = "one package says //stella:service, the others of the service say //stella:part of=NAME"
	f.Related = []diagnostic.Related{{Pos: first.Pos, Message: "the other is here"}}
}

// checkBelongs reports a package with endpoints that belongs to no service.
func (l *loader) checkBelongs(ps *packageScan) {
	i := slices.IndexFunc(ps.handlers, func(h *handler) bool { return h.endpoint() != nil })
	if i < 0 || ps.orphaned {
		return
	}
	d := ps.handlers[i].endpoint()
	f := l.list.Addf(diagnostic.NoService, d.Pos, d.Width, "package %s has endpoints, but does not say of which service", ps.src.Name)
	f.Hint = "add to the package's doc comment: //stella:service " + ps.src.Name + " version=1.0.0, or //stella:part of=NAME"
}

// checkKnown reports the parts of a service that no package declares.
func (l *loader) checkKnown(g *group, groups []*group) {
	if g.own != nil || g.member.service == "" {
		return
	}
	var names []string
	for _, m := range l.others {
		if m.module == g.member.module {
			names = append(names, m.service)
		}
	}
	for _, other := range groups {
		for _, ps := range other.all() {
			if ps.orphaned && ps.src.module() == g.member.module {
				return // the service may be what a directive that is wrong meant
			}
		}
		if other.own != nil && other.member.module == g.member.module {
			names = append(names, other.member.service)
		}
	}
	for _, ps := range g.parts {
		of := ps.part.Keys["of"]
		f := l.list.Addf(diagnostic.UnknownService, of.Pos, of.Width, "no package of module %s is service %s", g.member.module, g.member.service)
		if guess := spelling.Suggest(g.member.service, names); guess != "" {
			f.Message += ": did you mean " + guess + "?"
		}
		f.Hint = "add to the package that is to hold the service's manifest: //stella:service " + g.member.service + " version=1.0.0"
	}
}

// checkEmpty reports a service without endpoints, and a part without.
func (l *loader) checkEmpty(g *group) {
	readable, handlers := true, 0
	for _, ps := range g.all() {
		readable = readable && !ps.src.unreadable
		handlers += len(ps.handlers)
		if ps != g.own && ps.part != nil && len(ps.handlers) == 0 && !ps.src.unreadable {
			l.list.Addf(diagnostic.NoEndpoints, ps.part.Pos, ps.part.Width, "package %s is a part of service %s, but has no endpoints", ps.src.Name, g.member.service)
		}
	}
	if g.own != nil && handlers == 0 && readable {
		d := g.own.service
		l.list.Addf(diagnostic.NoEndpoints, d.Pos, d.Width, "service %s has no endpoints", g.member.service)
	}
}

// checkIdentities reports endpoints of one service that have the same method and path.
func (l *loader) checkIdentities(endpoints []*Endpoint) {
	endpoints = slices.Clone(endpoints)
	slices.SortStableFunc(endpoints, compareEndpoints)
	seen := map[string]*Endpoint{}
	for _, e := range endpoints {
		pattern, err := spec.ParsePattern(e.Path)
		if err != nil {
			continue // the directive's parser has refused it
		}
		id := e.Method + " " + pattern.Identity()
		first := seen[id]
		if first == nil {
			seen[id] = e
			continue
		}
		a, b := first, e
		if b.Pos.Filename < a.Pos.Filename || b.Pos.Filename == a.Pos.Filename && b.Pos.Offset < a.Pos.Offset {
			a, b = b, a
		}
		f := l.list.Addf(diagnostic.SameEndpoint, b.Pos, b.Width, "%s and %s both serve %s", b.Handler(), a.Handler(), id)
		f.Related = []diagnostic.Related{{Pos: a.Pos, Message: "the other is here"}}
	}
}
