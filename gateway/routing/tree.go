package routing

import (
	"net/http"
	"slices"
	"strings"

	"github.com/stella-ops/router/spec"
)

// node is one segment of the tree of all path patterns.
type node struct {
	literals map[string]*node
	param    *node
	here     []*Endpoint // patterns that end with this segment
	rest     []*Endpoint // patterns whose {name...} begins after this segment
}

func (n *node) insert(p spec.Pattern, e *Endpoint) {
	for _, s := range p.Segments {
		switch {
		case s.Rest:
			n.rest = append(n.rest, e)
			return
		case s.Param != "":
			if n.param == nil {
				n.param = new(node)
			}
			n = n.param
		default:
			next := n.literals[s.Literal]
			if next == nil {
				next = new(node)
				if n.literals == nil {
					n.literals = map[string]*node{}
				}
				n.literals[s.Literal] = next
			}
			n = next
		}
	}
	n.here = append(n.here, e)
}

// Match is what a method and a path lead to.
type Match struct {
	Endpoint *Endpoint // nil when nothing serves the method and path
	Params   []string  // the values of the path's parameters, still percent-encoded, in order
	methods  uint16    // of the endpoints whose path matches, as bits in the order of spec.Methods
}

// Allow is the value of an Allow header for the path: empty when no pattern matches it.
func (m *Match) Allow() string {
	if m.methods == 0 {
		return ""
	}
	methods := m.methods | methodBit(http.MethodOptions)
	if methods&methodBit(http.MethodGet) != 0 {
		methods |= methodBit(http.MethodHead)
	}
	var names []string
	for i, name := range spec.Methods {
		if methods&(1<<i) != 0 {
			names = append(names, name)
		}
	}
	return strings.Join(names, ", ")
}

func methodBit(method string) uint16 {
	if i := slices.Index(spec.Methods, method); i >= 0 {
		return 1 << i
	}
	return 0
}

// Match finds the endpoint for a method and a canonical path, which begins with a slash and has no empty segment.
// Literals beat parameters, and those beat {name...}, from left to right; GET serves HEAD. params is memory for the
// result.
func (s *Snapshot) Match(method, path string, params []string) Match {
	m := Match{Params: params[:0]}
	m.Endpoint = m.walk(&s.root, method, path[1:])
	if m.Endpoint == nil && path == "/" { // "/" is all that /{rest...} can match with nothing
		if m.Endpoint = m.at(s.root.rest, method); m.Endpoint != nil {
			m.Params = append(m.Params, "")
		}
	}
	return m
}

// walk follows path below n. It visits each node at most once, since a node is reached in one way only.
func (m *Match) walk(n *node, method, path string) *Endpoint {
	if path == "" {
		return m.at(n.here, method)
	}
	segment, tail, _ := strings.Cut(path, "/")
	if next := n.literals[segment]; next != nil {
		if e := m.walk(next, method, tail); e != nil {
			return e
		}
	}
	if n.param != nil {
		m.Params = append(m.Params, segment)
		if e := m.walk(n.param, method, tail); e != nil {
			return e
		}
		m.Params = m.Params[:len(m.Params)-1]
	}
	if e := m.at(n.rest, method); e != nil {
		m.Params = append(m.Params, path)
		return e
	}
	return nil
}

func (m *Match) at(endpoints []*Endpoint, method string) *Endpoint {
	var get *Endpoint
	for _, e := range endpoints {
		if e.Method == method {
			return e
		}
		if e.Method == http.MethodGet {
			get = e
		}
		m.methods |= e.bit
	}
	if method == http.MethodHead {
		return get
	}
	return nil
}
