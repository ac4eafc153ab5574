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
	here     []leaf // patterns that end with this segment
	rest     []leaf // patterns whose {name...} begins after this segment
}

// leaf is an endpoint of a pattern.
type leaf struct {
	method string
	bit    uint16
	number int32
}

func (n *node) insert(p spec.Pattern, e leaf) {
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
	slash    bool      // one follows the path: only {name...} takes it
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

// Free reports whether no endpoint has the path, for any method.
func (m *Match) Free() bool { return m.Endpoint == nil && m.methods == 0 }

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
	if number := m.find(&s.root, method, path); number >= 0 {
		m.Endpoint = s.endpoints[number]
	}
	return m
}

// find is the number for a method and a canonical path in the tree, or -1.
func (m *Match) find(root *node, method, path string) int32 {
	number := m.walk(root, method, path[1:])
	if number < 0 && path == "/" { // "/" is all that /{rest...} can match with nothing
		if number = m.at(root.rest, method); number >= 0 {
			m.Params = append(m.Params, "")
		}
	}
	return number
}

// walk follows path below n to an endpoint's number, or -1. It visits each node at most once, since a node is reached in one
// way only.
func (m *Match) walk(n *node, method, path string) int32 {
	switch {
	case path != "":
	case !m.slash:
		return m.at(n.here, method)
	default:
		e := m.at(n.rest, method)
		if e >= 0 {
			m.Params = append(m.Params, "")
		}
		return e
	}
	segment, tail, _ := strings.Cut(path, "/")
	if next := n.literals[segment]; next != nil {
		if e := m.walk(next, method, tail); e >= 0 {
			return e
		}
	}
	if n.param != nil {
		m.Params = append(m.Params, segment)
		if e := m.walk(n.param, method, tail); e >= 0 {
			return e
		}
		m.Params = m.Params[:len(m.Params)-1]
	}
	if e := m.at(n.rest, method); e >= 0 {
		m.Params = append(m.Params, path)
		return e
	}
	return -1
}

func (m *Match) at(endpoints []leaf, method string) int32 {
	get := int32(-1)
	for i := range endpoints {
		e := &endpoints[i]
		if e.method == method {
			return e.number
		}
		if e.method == http.MethodGet {
			get = e.number
		}
		m.methods |= e.bit
	}
	if method == http.MethodHead {
		return get
	}
	return -1
}

// Paths leads methods and paths to numbers of the caller's, by the same rules as endpoints are found. The zero value is empty.
// It may be read concurrently once all are added.
type Paths struct{ root node }

// Add has a method and a pattern lead to a number, which is not negative. No two may be of one identity.
func (p *Paths) Add(method string, pattern spec.Pattern, number int32) {
	p.root.insert(pattern, leaf{method: method, bit: methodBit(method), number: number})
}

// Find is the number for a method and a canonical path, or -1. A slash that follows the path is taken by patterns that end with
// {name...} alone. In the match are the methods that the path has otherwise. memory is for the parameters' values.
func (p *Paths) Find(method, path string, slash bool, memory []string) (number int32, m Match) {
	m.Params, m.slash = memory[:0], slash
	return m.find(&p.root, method, path), m
}

// Add adds to the methods that the path has those that another match has found.
func (m *Match) Add(other Match) { m.methods |= other.methods }
