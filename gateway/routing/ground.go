package routing

import (
	"cmp"
	"fmt"
	"strings"

	"github.com/stella-ops/router/spec"
)

// ground is what the known services own: a tree of the path patterns of all their endpoints, as [node] is one of those
// that are routed. It answers whether a newcomer's pattern may stand beside them.
//
// Patterns of different services may overlap only where one is a strict part of the other: the narrower one gets what
// it matches, and nobody has to guess. /x/{id} and /x/new go together; /x/{id}/log and /x/new/{name} do not, since
// both match /x/new/log.
type ground struct {
	literals map[string]*ground
	param    *ground
	here     []owned // patterns that end with this segment
	rest     []owned // patterns whose {name...} begins after this segment
}

// owned is an endpoint, and the service that owns it.
type owned struct {
	service string
	*offer
}

// claim adds what a release offers.
func (g *ground) claim(rel *release) {
	for i := range rel.offers {
		g.insert(rel.service, &rel.offers[i])
	}
}

func (g *ground) insert(service string, o *offer) {
	for _, s := range o.pattern.Segments {
		switch {
		case s.Rest:
			g.rest = append(g.rest, owned{service, o})
			return
		case s.Param != "":
			if g.param == nil {
				g.param = new(ground)
			}
			g = g.param
		default:
			next := g.literals[s.Literal]
			if next == nil {
				next = new(ground)
				if g.literals == nil {
					g.literals = map[string]*ground{}
				}
				g.literals[s.Literal] = next
			}
			g = next
		}
	}
	g.here = append(g.here, owned{service, o})
}

// contest looks for what excludes a newcomer's endpoint. Of several it finds the first by path and service, so that
// asking again gives the same answer.
type contest struct {
	service string
	method  string
	by      owned
	equal   bool // both match the same paths; else they overlap
}

// contested says why a service cannot have an endpoint, or nothing.
func (g *ground) contested(service string, o *offer) (reason string) {
	c := contest{service: service, method: o.Method}
	c.walk(g, o.pattern.Segments, false, false)
	switch {
	case c.by.offer == nil:
		return ""
	case c.equal:
		return fmt.Sprintf("%s %s belongs to service %s", c.by.Method, c.by.Path, c.by.service)
	}
	return fmt.Sprintf("%s %s overlaps %s %s of service %s, and neither is a part of the other: some paths match both",
		o.Method, o.Path, c.by.Method, c.by.Path, c.by.service)
}

// walk follows the newcomer's segments below g, along every pattern that matches a path in common with it. wider and
// narrower say whether the newcomer has matched more, and less, than the pattern so far: if neither, they are equal; if
// both, they only overlap; if one, one is a part of the other.
func (c *contest) walk(g *ground, segments []spec.Segment, wider, narrower bool) {
	if len(segments) == 0 { // "/" is a part of /{rest...}, too
		c.meet(g.here, wider, narrower)
		return
	}
	s, tail := segments[0], segments[1:]
	if s.Rest {
		c.meet(g.rest, wider, narrower)
		if narrower { // and wider than all that is below
			c.all(g)
		}
		return
	}
	c.meet(g.rest, wider, true)
	if s.Param == "" {
		if next := g.literals[s.Literal]; next != nil {
			c.walk(next, tail, wider, narrower)
		}
		if g.param != nil {
			c.walk(g.param, tail, wider, true)
		}
		return
	}
	for _, next := range g.literals {
		c.walk(next, tail, true, narrower)
	}
	if g.param != nil {
		c.walk(g.param, tail, wider, narrower)
	}
}

// all meets everything below g, which a {name...} in its place overlaps.
func (c *contest) all(g *ground) {
	below := func(g *ground) {
		c.meet(g.here, true, true)
		c.meet(g.rest, true, true)
		c.all(g)
	}
	for _, next := range g.literals {
		below(next)
	}
	if g.param != nil {
		below(g.param)
	}
}

func (c *contest) meet(found []owned, wider, narrower bool) {
	if wider != narrower {
		return
	}
	for _, o := range found {
		if o.service == c.service || o.Method != c.method {
			continue
		}
		if c.by.offer == nil || cmp.Or(strings.Compare(o.Path, c.by.Path), strings.Compare(o.service, c.by.service)) < 0 {
			c.by, c.equal = o, !wider
		}
	}
}
