package migrate

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/stella-ops/router/spec"
)

// errLoad is wrapped by errors about packages that cannot be read.
var errLoad = errors.New("migrate: a package cannot be read")

// IsInput reports whether an error is about what the user gave.
func IsInput(err error) bool { return errors.Is(err, errLoad) || errors.Is(err, errInput) }

// Place is where something stands: a file, relative to the folder that was asked about, a line, and a column.
type Place struct {
	File   string `json:"file"`
	Line   int    `json:"line"`
	Column int    `json:"column"`
}

func (p Place) String() string {
	if p.File == "" {
		return "-"
	}
	return fmt.Sprintf("%s:%d", p.File, p.Line)
}

// Route is a route, for one method.
type Route struct {
	Place

	Framework Framework `json:"framework"`
	Method    string    `json:"method"`         // "*": all
	Host      string    `json:"host,omitempty"` // of a pattern that names one
	Pattern   string    `json:"pattern"`        // whole, as the framework writes it
	Paths     []string  `json:"paths"`          // as Stella writes it; none if it cannot
	Handler   string    `json:"handler"`
	Guards    []string  `json:"middleware"` // outermost first
	Condition []string  `json:"condition,omitempty"`
	Notes     []string  `json:"notes,omitempty"`
	Needs     []string  `json:"needs,omitempty"` // keys of its endpoints, because of what its handler does
	Doubt     string    `json:"doubt,omitempty"` // why the pattern may not be whole

	t       translation
	handler handler
	root    *node
	methods []string // those that endpoints may have
	uses    uses
}

// Unfollowed is what may be a route, and has not become one.
type Unfollowed struct {
	Place

	What string `json:"what"`
	Why  string `json:"why"`
	Todo string `json:"todo,omitempty"`
}

// Report is what was found.
type Report struct {
	Routes     []Route      `json:"routes"`
	Unfollowed []Unfollowed `json:"notFollowed"`

	p  *program
	it *interp
}

// Read finds the routes of packages.
func Read(ctx context.Context, c Config) (*Report, error) {
	p, err := load(ctx, c)
	if err != nil {
		return nil, err
	}
	it := newInterp(p)
	it.run()
	r := &Report{Routes: []Route{}, Unfollowed: []Unfollowed{}, p: p, it: it}
	for _, f := range it.flatten() {
		r.add(f)
	}
	r.unfollowed()
	slices.SortStableFunc(r.Routes, func(a, b Route) int {
		return cmp.Or(comparePlaces(a.Place, b.Place), cmp.Compare(a.Pattern, b.Pattern), cmp.Compare(a.Method, b.Method))
	})
	slices.SortStableFunc(r.Unfollowed, func(a, b Unfollowed) int {
		return cmp.Or(comparePlaces(a.Place, b.Place), cmp.Compare(a.Why, b.Why))
	})
	r.Unfollowed = slices.Compact(r.Unfollowed)
	return r, nil
}

func comparePlaces(a, b Place) int {
	return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
}

// add adds a route, unless it is there: a router may be executed several times.
func (r *Report) add(f found) {
	t := translate(f.fw, f.pattern)
	route := Route{
		Place: r.p.place(f.entry.pos), Framework: f.fw, Method: cmp.Or(f.method, "*"), Host: f.host, Pattern: f.pattern, Paths: []string{}, Handler: f.handler.name,
		Guards: f.guards, Condition: f.conds, Notes: t.notes, Doubt: f.doubt, t: t, handler: f.handler, root: f.root,
	}
	if route.Guards == nil {
		route.Guards = []string{}
	}
	for _, p := range t.paths {
		route.Paths = append(route.Paths, p.Path)
	}
	if f.host != "" {
		route.t.exact = false
		route.Notes = append(route.Notes, "endpoints have no hosts: the bridge serves the path for every host that the router lets through")
	}
	if f.slashed {
		route.Notes = append(route.Notes, fmt.Sprintf("it is the root of a router, which chi serves at %s/, too: the gateway answers 404 there, "+
			"since no path of Stella's ends with a slash: callers have to send %s", f.pattern, f.pattern))
	}
	switch {
	case f.method == "":
		route.methods = slices.DeleteFunc(slices.Clone(spec.Methods), func(m string) bool { return m == "HEAD" }) // GET serves it
	case spec.ValidMethod(f.method):
		route.methods = []string{f.method}
	default:
		route.Notes = append(route.Notes, "endpoints have no method "+f.method)
	}
	route.uses = r.p.usesOf(f.handler)
	route.Needs = route.uses.needs(route.methods, nil)
	i := slices.IndexFunc(r.Routes, func(o Route) bool {
		return o.Place == route.Place && o.Method == route.Method && o.Pattern == route.Pattern && o.Handler == route.Handler && o.Host == route.Host &&
			o.root.created == route.root.created
	})
	switch {
	case i < 0:
		r.Routes = append(r.Routes, route)
	default:
		r.Routes[i].again(&route)
	}
}

// again is a route that was found on another way, too. What one of them does not need is no condition.
func (r *Route) again(other *Route) {
	if !slices.Equal(r.Guards, other.Guards) {
		r.differs(other.Guards)
	}
	if other.Doubt == "" {
		r.Doubt = ""
	}
	r.Condition = slices.DeleteFunc(slices.Clone(r.Condition), func(c string) bool { return !slices.Contains(other.Condition, c) })
}

// differs notes that a route has other middleware at another time: the longer list counts.
func (r *Route) differs(guards []string) {
	if len(guards) > len(r.Guards) {
		r.Guards = guards
	}
	const note = "some of its middleware is there only on a condition"
	if !slices.Contains(r.Notes, note) {
		r.Notes = append(r.Notes, note)
	}
}

// unfollowed lists the sites that have not become routes, and what else is not known.
func (r *Report) unfollowed() {
	r.Unfollowed = append(append(r.Unfollowed, r.p.gone...), r.it.extra...)
	for _, s := range r.it.order {
		for _, f := range s.failed {
			if f.weak && s.done {
				continue
			}
			r.Unfollowed = append(r.Unfollowed, Unfollowed{Place: r.p.place(s.pos), What: s.text, Why: f.why, Todo: f.todo})
		}
		if s.done || len(s.failed) > 0 {
			continue
		}
		u := Unfollowed{
			Place: r.p.place(s.pos), What: s.text, Why: "nothing that could be followed leads here",
			Todo: "look where it is called, and write its endpoints by hand",
		}
		if !strings.HasSuffix(s.text, ")") {
			u.Why = "the method is used as a value, and its calls were not followed"
		}
		r.Unfollowed = append(r.Unfollowed, u)
	}
}

// errInput is wrapped by errors about flags.
var errInput = errors.New("wrong input")
