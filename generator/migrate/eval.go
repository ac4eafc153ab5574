package migrate

import (
	"go/ast"
	"go/constant"
	"go/token"
	"go/types"
	"path"
	"slices"
	"strconv"
	"strings"
)

// eval is what an expression is known to be. Calls in it are executed.
func (it *interp) eval(f *frame, e ast.Expr) value {
	if tv, ok := f.info.Types[e]; ok && tv.Value != nil {
		if tv.Value.Kind() == constant.String {
			return text(constant.StringVal(tv.Value))
		}
		return number{tv.Value}
	}
	switch e := e.(type) {
	case *ast.Ident:
		return it.ident(f, e)
	case *ast.ParenExpr:
		return it.eval(f, e.X)
	case *ast.StarExpr:
		return it.eval(f, e.X)
	case *ast.UnaryExpr:
		v := it.eval(f, e.X)
		if e.Op == token.AND {
			it.expose(f, e.X)
			return v
		}
	case *ast.BinaryExpr:
		x, y := it.eval(f, e.X), it.eval(f, e.Y)
		if e.Op == token.ADD {
			return concat(x, y)
		}
	case *ast.SelectorExpr:
		return it.selector(f, e)
	case *ast.CallExpr:
		return it.call(f, e)
	case *ast.CompositeLit:
		return it.composite(f, e)
	case *ast.FuncLit:
		c := &callable{lit: e, frame: f, expr: "func literal"}
		it.literals[e] = c
		return c
	case *ast.IndexExpr:
		return it.index(f, e)
	case *ast.IndexListExpr:
		return it.eval(f, e.X)
	case *ast.TypeAssertExpr:
		return it.eval(f, e.X)
	case *ast.SliceExpr:
		v := it.eval(f, e.X)
		if _, ok := v.(*list); ok && e.Low == nil && e.High == nil {
			return v
		}
	}
	return nil
}

// expose makes a string that others get a pointer to one that they may change.
func (it *interp) expose(f *frame, e ast.Expr) {
	switch e := ast.Unparen(e).(type) {
	case *ast.Ident:
		if c := it.variable(f, f.info.Uses[e]); c != nil {
			c.expose()
		}
	case *ast.SelectorExpr:
		sel := f.info.Selections[e]
		if sel == nil || sel.Kind() != types.FieldVal {
			return
		}
		for _, owner := range alternatives(it.path(f, it.eval(f, e.X), sel)) {
			field, _ := sel.Obj().(*types.Var)
			if o, ok := owner.(*object); ok && o.fields[field] != nil {
				o.fields[field].expose()
			}
		}
	}
}

// concat is two strings, one behind the other.
func concat(x, y value) value {
	var all value
	first := true
	for _, a := range alternatives(x) {
		for _, b := range alternatives(y) {
			var both value
			s, ok := a.(text)
			t, also := b.(text)
			if ok && also {
				both = s + t
			}
			if first {
				all, first = both, false
			} else {
				all = join(all, both)
			}
		}
	}
	return all
}

func (it *interp) ident(f *frame, e *ast.Ident) value {
	obj := f.info.Uses[e]
	if obj == nil {
		obj = f.info.Defs[e]
	}
	return it.object(f, obj)
}

func (it *interp) object(f *frame, obj types.Object) value {
	switch obj := obj.(type) {
	case *types.Nil:
		return nothing{}
	case *types.Func:
		return &callable{obj: obj.Origin()}
	case *types.Var:
		c := it.variable(f, obj)
		if c == nil {
			return nil
		}
		if _, isNil := c.v.(nothing); (isNil || c.v == nil) && obj.Parent() != nil && obj.Pkg() != nil && obj.Parent() == obj.Pkg().Scope() {
			if fw, ok := routerOf(obj.Type()); ok { // somebody stores it before it is used
				c.v = it.doubtful(fw, obj, "the router is the variable "+obj.Name()+", which nothing that was followed has set")
			}
		}
		return c.v
	}
	return nil
}

// doubtful is a router that comes from a place which nothing that was followed has filled.
func (it *interp) doubtful(fw Framework, obj types.Object, doubt string) *node {
	if it.byPlace[obj.Pos()] == nil {
		n := it.newNode(fw, obj.Pos(), nil, doubt)
		n.pkg = obj.Pkg()
		it.byPlace[obj.Pos()] = n
	}
	return it.byPlace[obj.Pos()]
}

func (it *interp) selector(f *frame, e *ast.SelectorExpr) value {
	sel := f.info.Selections[e]
	if sel == nil {
		return it.object(f, f.info.Uses[e.Sel]) // of a package
	}
	if sel.Kind() == types.MethodExpr {
		fn, _ := sel.Obj().(*types.Func)
		return &callable{obj: fn.Origin(), plain: true, site: e.Sel.Pos()}
	}
	owner := it.path(f, it.eval(f, e.X), sel)
	switch obj := sel.Obj().(type) {
	case *types.Var:
		return it.field(owner, obj)
	case *types.Func:
		return &callable{obj: obj.Origin(), recv: owner, site: e.Sel.Pos()}
	}
	return nil
}

// path goes through the embedded fields that a selection leaves out.
func (it *interp) path(_ *frame, v value, sel *types.Selection) value {
	t := sel.Recv()
	index := sel.Index()
	for _, i := range index[:len(index)-1] {
		s := structOf(t)
		if s == nil {
			return nil
		}
		v = it.field(v, s.Field(i))
		t = s.Field(i).Type()
	}
	return v
}

// field is what a struct's field holds. One that is not known is what was ever stored in the field; a struct in it is made.
func (it *interp) field(owner value, field *types.Var) value {
	field = field.Origin()
	if n, ok := owner.(*node); ok {
		if _, isRouter := routerOf(field.Type()); isRouter {
			return n // an Engine's RouterGroup
		}
		return nil
	}
	var all value
	first := true
	for _, o := range alternatives(owner) {
		v := it.fieldOf(o, field)
		if first {
			all, first = v, false
		} else {
			all = joinResults(all, v)
		}
	}
	return all
}

func (it *interp) fieldOf(owner value, field *types.Var) value {
	o, known := owner.(*object)
	if known && o.fields[field] != nil {
		if _, isNil := o.fields[field].v.(nothing); !isNil && o.fields[field].v != nil {
			return o.fields[field].v
		}
	}
	var v value
	if c := it.fields[field]; c != nil {
		v = c.v
		if isString(field.Type()) {
			v = join(v, nil) // this one may hold another
		}
	}
	if _, isNil := v.(nothing); v != nil && !isNil {
		return v
	}
	if fw, ok := routerOf(field.Type()); ok {
		_, isPtr := types.Unalias(field.Type()).(*types.Pointer)
		doubt := ""
		if isPtr || types.IsInterface(field.Type()) {
			doubt = "the router is the field " + field.Name() + ", which nothing that was followed has set"
		}
		if doubt == "" && known {
			n := it.newNode(fw, field.Pos(), nil, "")
			n.pkg = field.Pkg()
			v = n
		} else {
			v = it.doubtful(fw, field, doubt)
		}
	} else if structOf(field.Type()) != nil && known {
		v = &object{typ: field.Type(), fields: map[*types.Var]*cell{}}
	}
	if known && v != nil {
		o.fields[field] = &cell{v: v}
	}
	return v
}

func (it *interp) composite(f *frame, e *ast.CompositeLit) value {
	t := f.info.TypeOf(e)
	if t == nil {
		return nil
	}
	if fw, ok := routerOf(t); ok {
		return it.newNode(fw, e.Pos(), f, "")
	}
	under := t.Underlying()
	if ptr, ok := under.(*types.Pointer); ok { // elements of []*T{{...}}
		under = ptr.Elem().Underlying()
	}
	switch u := under.(type) {
	case *types.Struct:
		return it.structLit(f, e, t, u)
	case *types.Slice, *types.Array, *types.Map:
		return it.listLit(f, e, isMap(under))
	}
	return nil
}

func (it *interp) structLit(f *frame, e *ast.CompositeLit, t types.Type, u *types.Struct) value {
	o := &object{typ: t, fields: map[*types.Var]*cell{}}
	for i, elt := range e.Elts {
		expr := elt
		var field *types.Var
		if kv, ok := elt.(*ast.KeyValueExpr); ok {
			expr = kv.Value
			if id, ok := kv.Key.(*ast.Ident); ok {
				field, _ = f.info.Uses[id].(*types.Var)
			}
		} else if i < u.NumFields() {
			field = u.Field(i)
		}
		v := it.eval(f, expr)
		if field == nil {
			continue
		}
		if v == nil && isHandler(field.Type()) {
			v = opaque{expr: short(types.ExprString(expr))}
		}
		it.storeField(o, field.Origin(), v)
	}
	it.serves(o, t)
	return o
}

func (it *interp) listLit(f *frame, e *ast.CompositeLit, keyed bool) value {
	l := &list{}
	for _, elt := range e.Elts {
		expr := elt
		if kv, ok := elt.(*ast.KeyValueExpr); ok {
			expr = kv.Value
			if keyed {
				l.keys = append(l.keys, it.eval(f, kv.Key))
			}
		}
		v := it.eval(f, expr)
		if v == nil {
			v = opaqueOf(f, expr)
		}
		l.elems = append(l.elems, v)
	}
	return l
}

// opaqueOf is an expression that is unknown, if it may be a handler or a middleware: a function, or an interface.
func opaqueOf(f *frame, e ast.Expr) value {
	t := f.info.TypeOf(e)
	if t == nil {
		return nil
	}
	if _, ok := t.Underlying().(*types.Signature); ok || isHandler(t) {
		return opaque{expr: short(types.ExprString(e))}
	}
	return nil
}

// serves notes what an http.Server is given.
func (it *interp) serves(o *object, t types.Type) {
	if types.TypeString(t, nil) != "net/http.Server" {
		return
	}
	for field, c := range o.fields {
		if field.Name() == "Handler" {
			it.served(c.v)
		}
	}
}

// served notes what wraps a router that is served whole. If it is mounted after all, that does not count.
func (it *interp) served(v value) {
	for _, alt := range alternatives(v) {
		it.servedOne(alt)
	}
}

func (it *interp) servedOne(v value) {
	inner, by, strip, unknown := unwrap(v)
	for _, alt := range alternatives(inner) {
		if _, again := alt.(*wrapped); again {
			it.served(alt)
			continue
		}
		n, ok := alt.(*node)
		if !ok {
			continue
		}
		n = n.root()
		if len(by) > len(n.around) {
			n.around = by
		}
		if strip != "" {
			n.strip = strip
		}
		n.stripped = n.stripped || unknown
	}
}

// stripDoubt is why the paths of a router are not known whole.
const stripDoubt = "http.StripPrefix takes away what is not a constant"

// unwrap is what is within wrapping handlers; by has their expressions, outermost first.
func unwrap(v value) (inner value, by []string, strip string, unknown bool) {
	for {
		w, ok := v.(*wrapped)
		if !ok {
			return v, by, strip, unknown
		}
		if w.by != "" {
			by = append(by, w.by)
		}
		strip, unknown = strip+w.strip, unknown || w.unknown
		v = w.inner
	}
}

func (it *interp) index(f *frame, e *ast.IndexExpr) value {
	if tv, ok := f.info.Types[e.Index]; ok && tv.IsType() {
		return it.eval(f, e.X) // an instance of a generic function
	}
	x, key := it.eval(f, e.X), it.eval(f, e.Index)
	l, ok := x.(*list)
	if !ok {
		return nil
	}
	if tv, ok := f.info.Types[e.Index]; ok && tv.Value != nil && tv.Value.Kind() == constant.Int && len(l.keys) == 0 {
		if i, exact := constant.Int64Val(tv.Value); exact && i >= 0 && int(i) < len(l.elems) {
			return l.elems[i]
		}
		return nil
	}
	if key != nil {
		for i, k := range l.keys {
			if same(k, key) {
				return l.elems[i]
			}
		}
	}
	if len(l.elems) > maxElements {
		return nil
	}
	var all value
	for i, v := range l.elems {
		if i == 0 {
			all = v
		} else {
			all = join(all, v)
		}
	}
	return all
}

// strings that functions of the standard library make of others.
func pureText(name string, args []value) (value, bool) {
	var all []string
	for _, a := range args {
		if l, ok := a.(*list); ok {
			for _, e := range l.elems {
				s, ok := e.(text)
				if !ok {
					return nil, true
				}
				all = append(all, string(s))
			}
			continue
		}
		if n, isNumber := a.(number); isNumber && strings.HasPrefix(name, "fmt.") {
			a = text(n.ExactString())
		}
		s, ok := a.(text)
		if !ok {
			return nil, isPure(name)
		}
		all = append(all, string(s))
	}
	switch {
	case !isPure(name):
		return nil, false
	case name == "path.Join":
		return text(path.Join(all...)), true
	case name == "fmt.Sprint":
		return text(strings.Join(all, "")), true
	case name == "fmt.Sprintf" && len(all) > 0:
		return sprintf(all[0], all[1:]), true
	case name == "strings.Join" && len(all) > 0:
		return text(strings.Join(all[:len(all)-1], all[len(all)-1])), true
	case len(all) == 1 && name == "strings.ToLower":
		return text(strings.ToLower(all[0])), true
	case len(all) == 1 && name == "strings.ToUpper":
		return text(strings.ToUpper(all[0])), true
	case len(all) == 1 && name == "strings.TrimSpace":
		return text(strings.TrimSpace(all[0])), true
	case len(all) == 2:
		trims := map[string]func(string, string) string{
			"strings.TrimSuffix": strings.TrimSuffix, "strings.TrimPrefix": strings.TrimPrefix, "strings.TrimRight": strings.TrimRight,
			"strings.TrimLeft": strings.TrimLeft, "strings.Trim": strings.Trim,
		}
		if trim := trims[name]; trim != nil {
			return text(trim(all[0], all[1])), true
		}
	}
	return nil, true
}

func isPure(name string) bool {
	return slices.Contains([]string{
		"path.Join", "fmt.Sprint", "fmt.Sprintf", "strings.Join", "strings.ToLower", "strings.ToUpper", "strings.TrimSpace", "strings.TrimSuffix",
		"strings.TrimPrefix", "strings.TrimRight", "strings.TrimLeft", "strings.Trim",
	}, name)
}

// sprintf knows %s, %v, %d and %q.
func sprintf(format string, args []string) value {
	var b strings.Builder
	for {
		before, after, found := strings.Cut(format, "%")
		b.WriteString(before)
		if !found {
			break
		}
		if after == "" {
			return nil
		}
		switch {
		case after[0] == '%':
			b.WriteByte('%')
		case len(args) == 0:
			return nil
		case after[0] == 's' || after[0] == 'v' || after[0] == 'd':
			b.WriteString(args[0])
			args = args[1:]
		case after[0] == 'q':
			b.WriteString(strconv.Quote(args[0]))
			args = args[1:]
		default:
			return nil
		}
		format = after[1:]
	}
	if len(args) > 0 {
		return nil
	}
	return text(b.String())
}
