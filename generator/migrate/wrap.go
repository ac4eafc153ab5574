package migrate

import (
	"go/types"
)

// wrap is the result of a function that takes a handler and gives one.
func (it *interp) wrap(c *invocation, obj *types.Func) (value, bool) {
	t := c.f.info.TypeOf(c.expr)
	if t == nil {
		return nil, false
	}
	if tup, ok := t.(*types.Tuple); ok && tup.Len() > 0 {
		t = tup.At(0).Type()
	}
	if !isHandler(t) || isSlice(t) {
		return nil, false
	}
	if _, isRouter := routerOf(t); isRouter {
		return nil, false
	}
	name := short(types.ExprString(c.expr.Fun))
	var inner value
	rank := 0
	for i, v := range c.args {
		if i >= len(c.expr.Args) {
			break
		}
		n := rankOf(v, c.f.info.TypeOf(c.expr.Args[i]))
		if n > rank {
			inner, rank = v, n
		}
	}
	if _, isLit := inner.(*callable); rank == 0 || isLit && obj != nil && !isHandlerParam(obj) {
		if isConcrete(t) {
			return nil, false // a struct that is a handler, and may hold a router
		}
		return opaque{short(types.ExprString(c.expr)), obj}, true
	}
	w := &wrapped{inner: inner, by: name}
	it.served(w)
	return w, true
}

func isSlice(t types.Type) bool {
	_, ok := t.Underlying().(*types.Slice)
	return ok
}

func isConcrete(t types.Type) bool { return structOf(t) != nil }

// isHandlerParam reports whether a function takes functions.
func isHandlerParam(fn *types.Func) bool {
	for v := range fn.Signature().Params().Variables() {
		t := v.Type().Underlying()
		if s, ok := t.(*types.Slice); ok {
			t = s.Elem().Underlying()
		}
		if _, ok := t.(*types.Signature); ok || isHandler(v.Type()) {
			return true
		}
		if _, ok := v.Type().(*types.TypeParam); ok || types.IsInterface(v.Type()) {
			return true
		}
	}
	return false
}

// rankOf tells how likely an argument is the handler that is wrapped; 0: it is none.
func rankOf(v value, t types.Type) int {
	switch v := v.(type) {
	case *node, *wrapped:
		return 4
	case *callable:
		if t != nil && isHandler(t) {
			return 4
		}
		if v.obj != nil {
			return 3
		}
		return 2
	case opaque:
		if t != nil && isHandler(t) {
			return 3
		}
	case *object:
		if t != nil && isHandler(t) {
			return 2
		}
	case choice:
		best := 0
		for _, a := range v {
			best = max(best, rankOf(a, t))
		}
		return best
	}
	return 0
}

// isMiddleware reports whether values of a type make handlers of handlers, or are handlers.
func isMiddleware(t types.Type) bool {
	sig, ok := t.Underlying().(*types.Signature)
	if !ok {
		return false
	}
	return isHandlerFunc(sig) || sig.Params().Len() == 1 && sig.Results().Len() == 1 && isHandler(sig.Params().At(0).Type()) && isHandler(sig.Results().At(0).Type())
}
