package migrate

import (
	"go/ast"
	"go/constant"
	"go/token"
	"go/types"
	"slices"
)

// value is what an expression is known to be; nil is unknown. The types below are all there are.
type value any

type (
	// text is a string.
	text string
	// number is a constant that is no string.
	number struct{ constant.Value }
	// nothing is nil.
	nothing struct{}
	// tuple is the results of a call that has several.
	tuple []value
	// choice is one of several, by conditions that are not known.
	choice []value
	// opaque is a handler or a middleware of which only the expression is known, and maybe the function that makes it.
	opaque struct {
		expr string
		by   *types.Func
	}
)

// callable is a function: a declared one, maybe with its receiver, or a literal with the variables around it.
type callable struct {
	obj   *types.Func
	recv  value
	lit   *ast.FuncLit
	frame *frame
	expr  string // what has made a literal, as it is written
	site  token.Pos
	plain bool // a method that takes its receiver as its first argument
}

// object is a struct, or a pointer to one: copies are taken for the same.
type object struct {
	typ    types.Type
	fields map[*types.Var]*cell
}

// expose makes strings that others get a pointer to ones that they may change, as decoders do.
func (o *object) expose() {
	for _, c := range o.fields {
		c.expose()
	}
}

func (c *cell) expose() {
	if isConstant(c.v) {
		c.v = choice{c.v, nil}
	}
}

// list is a slice, an array or a map that is known whole.
type list struct {
	keys  []value // of a map
	elems []value
	open  bool // there may be more elements
}

// wrapped is a handler within others.
type wrapped struct {
	inner   value
	by      string // the expression that wraps it; empty for one that only strips
	strip   string // prefix that the inner handler does not see
	unknown bool   // the prefix is not known
}

// cell is a variable.
type cell struct {
	v     value
	depth int // of conditions where it was declared
}

// frame is the variables of a call.
type frame struct {
	fn      *types.Func // whose body, or within whose body
	info    *types.Info
	pkg     *types.Package
	vars    map[types.Object]*cell
	parent  *frame
	results []value // what return statements have given, by result
	named   []*types.Var
	count   int // of results
}

func (f *frame) lookup(obj types.Object) *cell {
	for ; f != nil; f = f.parent {
		if c := f.vars[obj]; c != nil {
			return c
		}
	}
	return nil
}

// maxChoices bounds what a value is taken to be, by conditions; maxElements, which elements of a list.
const (
	maxChoices  = 64
	maxElements = 16
)

// join is a value that is one or the other.
func join(a, b value) value {
	if same(a, b) {
		return a
	}
	if l := longer(a, b); l != nil {
		return l
	}
	var all choice
	for _, v := range slices.Concat(alternatives(a), alternatives(b)) {
		if slices.ContainsFunc(all, func(other value) bool { return same(v, other) }) {
			continue
		}
		if all = append(all, v); len(all) == maxChoices {
			all[maxChoices-1] = nil // there are more, and they are not known
			break
		}
	}
	if slices.ContainsFunc(all, isRouterValue) { // nil and unknown are what a router was before it was made
		all = slices.DeleteFunc(all, func(v value) bool { _, isNil := v.(nothing); return isNil || v == nil })
	}
	if len(all) == 1 {
		return all[0]
	}
	return all
}

// longer is the list that begins with the other one: an append under a condition.
func longer(a, b value) value {
	x, ok := a.(*list)
	y, both := b.(*list)
	if !ok || !both {
		return nil
	}
	if len(x.elems) > len(y.elems) {
		x, y = y, x
	}
	for i, v := range x.elems {
		if !same(v, y.elems[i]) {
			return nil
		}
	}
	return y
}

func alternatives(v value) []value {
	if c, ok := v.(choice); ok {
		return c
	}
	return []value{v}
}

// same reports whether two values are one. Lists and tuples never are, unless they are unknown.
func same(a, b value) bool {
	switch a := a.(type) {
	case nil:
		return b == nil
	case text:
		t, ok := b.(text)
		return ok && a == t
	case number:
		n, ok := b.(number)
		return ok && a.Kind() == n.Kind() && constant.Compare(a.Value, token.EQL, n.Value)
	case nothing:
		_, ok := b.(nothing)
		return ok
	case opaque:
		o, ok := b.(opaque)
		return ok && a == o
	case *node:
		n, ok := b.(*node)
		return ok && a == n
	case *object:
		o, ok := b.(*object)
		return ok && a == o
	case *list:
		l, ok := b.(*list)
		return ok && a == l
	case *callable:
		c, ok := b.(*callable)
		return ok && a.obj == c.obj && a.lit == c.lit && a.frame == c.frame && same(a.recv, c.recv)
	}
	return false
}

func isConstant(v value) bool {
	switch v.(type) {
	case text, number:
		return true
	}
	return false
}

func isRouterValue(v value) bool {
	_, ok := v.(*node)
	return ok
}

// bears reports whether a router can be reached through a value.
func bears(v value, depth int) bool {
	if depth == 0 {
		return false
	}
	switch v := v.(type) {
	case *node:
		return true
	case *wrapped:
		return bears(v.inner, depth-1)
	case choice:
		return slices.ContainsFunc(v, func(v value) bool { return bears(v, depth-1) })
	case tuple:
		return slices.ContainsFunc(v, func(v value) bool { return bears(v, depth-1) })
	case *list:
		return slices.ContainsFunc(v.elems, func(v value) bool { return bears(v, depth-1) })
	case *object:
		for _, c := range v.fields {
			if bears(c.v, depth-1) {
				return true
			}
		}
	}
	return false
}

// node is a router or a group.
type node struct {
	fw       Framework
	created  token.Pos
	fn       *types.Func // that makes it
	pkg      *types.Package
	doubt    string // where it comes from, if that is not known
	guards   []string
	entries  []entry
	base     *node  // of which it is a group
	loose    string // why it is not known where it is mounted
	mounted  bool
	depth    int      // of conditions where it was made
	around   []string // what wraps the router whole, outermost first
	strip    string   // prefix that it does not see
	stripped bool     // there is one that is not known
}

// root is the router that a group is of.
func (n *node) root() *node {
	for n.base != nil {
		n = n.base
	}
	return n
}

// entry is what a router has got: a route, or a router below.
type entry struct {
	pos     token.Pos
	methods []string // none: any
	pattern string
	guards  []string // of the router, when it was registered, and its own
	conds   []string
	handler handler
	child   *node
	mode    mode
	strip   string
	host    string
	subtree bool // the handler gets all that is below, and the pattern itself
	note    string
}

// mode is how a router below sees paths.
type mode int

const (
	isRoute mode = iota
	joined       // without the pattern before it
	whole        // with it
)

// handler is what a route calls.
type handler struct {
	name string
	fn   *types.Func // nil if it is not declared under a name

	serves *types.Func  // ServeHTTP of a type of the program
	lit    *ast.FuncLit // of a handler that is a function literal
	info   *types.Info  // of lit
}
