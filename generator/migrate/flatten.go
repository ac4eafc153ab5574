package migrate

import (
	"path"
	"slices"
	"strings"
)

// found is a route as its router has it: once for each method.
type found struct {
	fw      Framework
	method  string // empty: any
	host    string
	pattern string // whole, as the router's framework writes it
	handler handler
	guards  []string
	conds   []string
	doubt   string
	entry   *entry
	root    *node
	slashed bool // the router answers the path with a slash behind it, too
}

// above is what the routers above a router add to its routes.
type above struct {
	root    *node
	prefix  string // of the path that routers match
	strip   string // of the request's own path, by http.StripPrefix
	filter  string // what has to be in front
	host    string
	methods []string
	guards  []string
	conds   []string
	doubt   string
	depth   int
}

// maxMounts bounds routers within routers.
const maxMounts = 40

// flatten makes the routes of all routers that are mounted on no other.
func (it *interp) flatten() []found {
	var all []found
	for _, n := range it.nodes {
		if n.base == nil && !n.mounted {
			up := above{root: n, prefix: n.strip, strip: n.strip, guards: slices.Clone(n.around)}
			switch {
			case n.loose != "":
				up.doubt = n.loose
			case n.stripped:
				up.doubt = stripDoubt
			}
			it.flattenNode(n, up, &all)
		}
	}
	for _, u := range it.unreached {
		if !slices.ContainsFunc(all, func(f found) bool { return f.entry == u.entry }) {
			it.note(u.entry.pos, u.pattern, u.why, "")
		}
	}
	return all
}

// unreached is a route that no request gets to, by one of the ways to its router.
type unreached struct {
	entry        *entry
	pattern, why string
}

func (it *interp) flattenNode(n *node, up above, all *[]found) {
	if up.depth++; up.depth > maxMounts {
		it.note(n.created, string(n.fw)+" router", "routers are mounted within each other too deeply", "write its endpoints by hand")
		return
	}
	if up.doubt == "" {
		up.doubt = n.doubt
	}
	if n.fw == Echo && n.base == nil {
		up.guards = append(slices.Clone(up.guards), n.guards...)
	}
	for i := range n.entries {
		e := &n.entries[i]
		methods, ok := both(up.methods, e.methods)
		if !ok {
			it.unreached = append(it.unreached, unreached{e, e.pattern, "its method is none of those that the router above lets through"})
			continue
		}
		host, pattern := up.host, e.pattern
		if n.fw == ServeMux {
			if j := strings.IndexByte(pattern, '/'); j > 0 {
				host, pattern = pattern[:j], pattern[j:]
			}
		}
		if e.host != "" {
			host = e.host
		}
		below := above{
			root: up.root, prefix: up.prefix, strip: up.strip, filter: up.filter, host: host, methods: methods,
			guards: append(slices.Clone(up.guards), e.guards...), conds: merge(up.conds, e.conds), doubt: up.doubt, depth: up.depth,
		}
		if e.note != "" && below.doubt == "" {
			below.doubt = e.note
		}
		full := joinPath(n.fw, up.prefix, pattern)
		if e.child == nil {
			it.emit(n, e, full, below, all)
			continue
		}
		it.descend(n, e, full, below, all)
	}
}

// descend goes on with a router below.
func (it *interp) descend(n *node, e *entry, full string, below above, all *[]found) {
	switch e.mode {
	case joined:
		below.prefix = full
		if n.fw == Chi && e.child.base == nil {
			below.prefix = strings.TrimSuffix(full, "/")
		}
	case whole:
		below.strip += e.strip
		below.prefix, below.filter = below.strip, subtreeOf(n.fw, full, e.subtree)
	case isRoute:
	}
	before := len(*all)
	it.flattenNode(e.child, below, all)
	if len(*all) == before && e.child.base == nil && e.mode != joined {
		it.note(e.pos, full, "no routes of the router that is mounted here are known", "look what it serves, and write those endpoints by hand")
	}
}

// subtreeOf is the prefix that paths below a mount begin with; empty if it is not literal, or everything.
func subtreeOf(fw Framework, pattern string, subtree bool) string {
	switch fw {
	case Chi, Echo, Gin:
		if i := strings.IndexAny(pattern, "*{:"); i >= 0 {
			pattern = pattern[:i]
		} else if subtree {
			pattern = strings.TrimSuffix(pattern, "/") + "/"
		}
	case ServeMux:
		if i := strings.IndexByte(pattern, '{'); i >= 0 {
			pattern = pattern[:i]
		}
	}
	return pattern
}

// emit adds a route, once for each method.
func (it *interp) emit(n *node, e *entry, full string, up above, all *[]found) {
	if up.filter != "" && !strings.HasPrefix(full, up.filter) && !strings.HasPrefix(full+"/", up.filter) && !strings.ContainsAny(full, "{:*") {
		it.unreached = append(it.unreached, unreached{e, full, "it cannot be reached: its router is mounted at " + up.filter + " and sees the whole path"})
		return
	}
	methods := up.methods
	if len(methods) == 0 {
		methods = []string{""}
	}
	patterns := []string{full}
	if e.subtree {
		below := strings.TrimSuffix(full, "/") + "/*"
		if patterns = []string{full, below}; full == "/" {
			patterns = []string{below}
		}
	}
	slashed := n.fw == Chi && e.pattern == "/" && full != "/" // the root of a router that is mounted
	for _, m := range methods {
		for _, p := range patterns {
			*all = append(*all, found{n.fw, m, up.host, p, e.handler, up.guards, up.conds, up.doubt, e, up.root, slashed})
		}
	}
}

// both are the methods that are in two sets, of which an empty one has all.
func both(a, b []string) (methods []string, ok bool) {
	if len(a) == 0 {
		return b, true
	}
	if len(b) == 0 {
		return a, true
	}
	for _, m := range b {
		if slices.Contains(a, m) {
			methods = append(methods, m)
		}
	}
	return methods, len(methods) > 0
}

// merge is both, each once.
func merge(a, b []string) []string {
	all := slices.Clone(a)
	for _, s := range b {
		if !slices.Contains(all, s) {
			all = append(all, s)
		}
	}
	return all
}

// joinPath is a pattern below a prefix, as the framework joins them.
func joinPath(fw Framework, prefix, pattern string) string {
	switch fw {
	case ServeMux, Echo:
		return prefix + pattern
	case Gin:
		if pattern == "" {
			return orSlash(prefix)
		}
		joined := path.Join(orSlash(prefix), pattern)
		if strings.HasSuffix(pattern, "/") && !strings.HasSuffix(joined, "/") {
			joined += "/"
		}
		return joined
	case Chi:
		prefix = strings.TrimSuffix(strings.TrimSuffix(prefix, "*"), "/")
		if pattern == "/" && prefix != "" {
			return prefix // chi serves a mounted router's root with and without the slash: emit notes it
		}
		return prefix + pattern
	}
	return prefix + pattern
}

func orSlash(s string) string {
	if s == "" {
		return "/"
	}
	return s
}
