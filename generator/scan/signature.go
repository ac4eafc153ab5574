package scan

import (
	"fmt"
	"go/ast"
	"go/token"
	"go/types"
	"net/http"

	"github.com/stella-ops/router/generator/diagnostic"
	"github.com/stella-ops/router/generator/directive"
	"github.com/stella-ops/router/generator/override"
	"github.com/stella-ops/router/spec"
)

// builder makes the types of one service.
type builder struct {
	l       *loader
	src     *source
	over    *override.File     // of the service; nil without one
	structs map[string]*Struct // by the type's full name
	busy    map[string]bool    // types whose model is being made
}

// signature reads a handler's parameters and results. It reports whether they are those of a kind of handler.
func (b *builder) signature(e *Endpoint, h *handler) (known bool) {
	fn, ok := b.src.info.Defs[h.decl.Name].(*types.Func)
	if !ok {
		return false // redeclared: the compiler's business
	}
	sig := fn.Signature()
	params, results := flatten(h.decl.Type.Params), flatten(h.decl.Type.Results)
	switch {
	case isHTTP(sig):
		e.Kind = spec.KindHTTP
	case b.isRaw(sig):
		e.Kind = spec.KindRaw
	case !b.isTyped(h, sig, params, results):
		return false
	default:
		b.typed(e, sig, params, results)
	}
	return true
}

// flatten lists the type of each parameter or result.
func flatten(fields *ast.FieldList) []ast.Expr {
	if fields == nil {
		return nil
	}
	var exprs []ast.Expr
	for _, f := range fields.List {
		for range max(len(f.Names), 1) {
			exprs = append(exprs, f.Type)
		}
	}
	return exprs
}

func isNamed(t types.Type, path, name string) bool {
	named, ok := types.Unalias(t).(*types.Named)
	if !ok {
		return false
	}
	obj := named.Obj()
	return obj.Pkg() != nil && obj.Pkg().Path() == path && obj.Name() == name
}

func isPointerTo(t types.Type, path, name string) bool {
	p, ok := types.Unalias(t).(*types.Pointer)
	return ok && isNamed(p.Elem(), path, name)
}

func isError(t types.Type) bool {
	return types.Identical(t, types.Universe.Lookup("error").Type())
}

func isHTTP(sig *types.Signature) bool {
	p := sig.Params()
	return p.Len() == 2 && sig.Results().Len() == 0 && !sig.Variadic() &&
		isNamed(p.At(0).Type(), "net/http", "ResponseWriter") && isPointerTo(p.At(1).Type(), "net/http", "Request")
}

func (b *builder) isRaw(sig *types.Signature) bool {
	p, r := sig.Params(), sig.Results()
	return p.Len() == 3 && r.Len() == 1 && !sig.Variadic() &&
		isNamed(p.At(0).Type(), "context", "Context") && isError(r.At(0).Type()) &&
		isPointerTo(p.At(1).Type(), RuntimePath, "Request") && isPointerTo(p.At(2).Type(), RuntimePath, "Response")
}

const shapes = "func(context.Context, *In) (*Out, error), without In or Out if there is none; " +
	"func(context.Context, *In) (iter.Seq2[T, error], error); " +
	"func(context.Context, *stella.Request, *stella.Response) error; or func(http.ResponseWriter, *http.Request)"

func (b *builder) isTyped(h *handler, sig *types.Signature, params, results []ast.Expr) bool {
	report := func(n ast.Node, format string, args ...any) bool {
		f := b.l.list.Addf(diagnostic.HandlerShape, b.pos(n.Pos()), int(n.End()-n.Pos()), format, args...)
		f.Hint = "handlers are " + shapes
		return false
	}
	p, r := sig.Params(), sig.Results()
	switch {
	case p.Len() == 0 || !isNamed(p.At(0).Type(), "context", "Context"):
		return report(h.decl.Name, "the first parameter of %s must be context.Context", h.decl.Name.Name)
	case p.Len() > 2 || sig.Variadic():
		return report(params[min(2, p.Len()-1)], "%s takes too many parameters", h.decl.Name.Name)
	case r.Len() == 0 || r.Len() > 2:
		return report(h.decl.Name, "%s must return error, or a result and error", h.decl.Name.Name)
	case !isError(r.At(r.Len() - 1).Type()):
		return report(results[r.Len()-1], "the last result of %s must be error", h.decl.Name.Name)
	}
	return true
}

// typed reads a handler whose input is bound and whose result is encoded for it.
func (b *builder) typed(e *Endpoint, sig *types.Signature, params, results []ast.Expr) {
	if sig.Params().Len() == 2 {
		e.In = b.message(sig.Params().At(1).Type(), params[1], "input")
	}
	if sig.Results().Len() == 2 {
		if item, ok := sequence(sig.Results().At(0).Type()); ok {
			e.Kind = spec.KindStream
			e.Item, e.Events = b.item(item, results[0])
		} else {
			e.Out = b.message(sig.Results().At(0).Type(), results[0], "result")
		}
	}
	if e.In != nil {
		b.checkInput(e)
	}
	if e.Out != nil {
		b.checkResult(e)
	}
	b.checkNested(e.Item, map[*Struct]bool{})
}

// sequence returns the type arguments of an iter.Seq2, whose items a handler streams.
func sequence(t types.Type) (args *types.TypeList, ok bool) {
	if !isNamed(t, "iter", "Seq2") {
		return nil, false
	}
	args = types.Unalias(t).(*types.Named).TypeArgs() //nolint:forcetypeassert // isNamed has seen it
	return args, args.Len() == 2
}

// item is the type of what a handler streams, and whether each has an id and a name; nil if there are findings about it.
func (b *builder) item(args *types.TypeList, expr ast.Expr) (item *Type, events bool) {
	if index, ok := expr.(*ast.IndexListExpr); ok && len(index.Indices) > 0 {
		expr = index.Indices[0]
	}
	if !isError(args.At(1)) {
		f := b.l.list.Addf(diagnostic.HandlerShape, b.pos(expr.Pos()), int(expr.End()-expr.Pos()),
			"the sequence must be iter.Seq2[T, error], got iter.Seq2[%s, %s]", b.name(args.At(0)), b.name(args.At(1)))
		f.Hint = "handlers are " + shapes
		return nil, false
	}
	of := args.At(0)
	if isNamed(of, RuntimePath, "Event") {
		if data := types.Unalias(of).(*types.Named).TypeArgs(); data.Len() == 1 { //nolint:forcetypeassert // isNamed has seen it
			of, events = data.At(0), true
		}
	}
	if b.unresolved(of, expr, b.src) {
		return nil, false
	}
	at := use{node: &ast.Field{Type: expr}, pos: expr.Pos()}
	t := b.shallow(of, at)
	if t.Kind != Invalid && isUnnamed(of) {
		t = b.refuse(of, at, "has an interface without a name: declare a type for it")
	}
	if t.Kind == Invalid {
		return nil, false
	}
	return t, events
}

// isUnnamed reports whether a type is made of an interface with methods that generated code has no name for.
func isUnnamed(t types.Type) bool {
	switch t := types.Unalias(t).(type) {
	case *types.Interface:
		return !t.Empty()
	case *types.Pointer:
		return isUnnamed(t.Elem())
	case *types.Slice:
		return isUnnamed(t.Elem())
	case *types.Array:
		return isUnnamed(t.Elem())
	case *types.Map:
		return isUnnamed(t.Elem())
	}
	return false
}

// message is the struct that a handler takes or gives.
func (b *builder) message(t types.Type, expr ast.Expr, what string) *Struct {
	if b.unresolved(t, expr, b.src) {
		return nil
	}
	report := func(format string, args ...any) *Struct {
		f := b.l.list.Addf(diagnostic.HandlerShape, b.pos(expr.Pos()), int(expr.End()-expr.Pos()), format, args...)
		f.Hint = "handlers are " + shapes
		return nil
	}
	ptr, ok := types.Unalias(t).(*types.Pointer)
	if !ok {
		return report("the %s must be a pointer to a struct type, got %s", what, b.name(t))
	}
	named, ok := types.Unalias(ptr.Elem()).(*types.Named)
	if !ok {
		return report("the %s must be a pointer to a declared struct type, got %s", what, b.name(t))
	}
	if _, ok := named.Underlying().(*types.Struct); !ok {
		return report("the %s must be a pointer to a struct type; %s is %s", what, b.name(named), b.name(named.Underlying()))
	}
	if s := b.l.sourceOf(named.Obj().Pkg()); s == nil || !s.own {
		return report("the %s must be a struct of this module, got %s", what, b.name(t))
	}
	if b.onSomeMachines(b.l.sourceOf(named.Obj().Pkg()), named.Obj().Name(), expr) {
		return nil
	}
	if decodesJSON(named) || decodesText(named) {
		return report("the %s must be bound field by field, but %s decodes itself", what, b.name(named))
	}
	return b.object(named)
}

// streaming settles which bodies are streamed, and reports what the handler, or the method, rules out.
func (b *builder) streaming(e *Endpoint, h *handler, keys map[string]directive.Value) {
	if e.Kind == spec.KindStream {
		e.Stream = spec.StreamResponse
	}
	files := e.Kind == spec.KindTyped && e.In != nil && e.HasBody() && e.In.HasFiles() && keys[keyDelivery].Text != deliveryQueue
	if files {
		e.Stream = spec.StreamRequest // files go to disk as they come
	}
	said, given := keys[keyStream]
	if !given {
		return
	}
	name, want := h.decl.Name.Name, spec.Streaming(said.Text)
	report := func(hint, format string, args ...any) {
		f := b.l.list.Addf(diagnostic.Streaming, said.Pos, said.Width, "stream=%s: %s", want, fmt.Sprintf(format, args...))
		f.Hint = hint
	}
	raw := "only handlers that take *stella.Request and *stella.Response, and net/http handlers, choose what they stream"
	switch {
	case e.Kind == spec.KindStream && want != spec.StreamResponse:
		report(raw, "%s returns a sequence: it streams its response, and its input is held whole", name)
		e.Stream = spec.StreamResponse // what else is wrong with the endpoint does not hang on this
	case files && want == spec.StreamRequest:
	case e.Kind == spec.KindTyped && want == spec.StreamUpgrade:
		report("only handlers that take *stella.Request and *stella.Response, and net/http handlers, can accept an upgrade", "%s is a typed handler", name)
		e.Stream = spec.StreamNone
	case want == spec.StreamUpgrade && e.Method != http.MethodGet:
		report("", "a WebSocket is opened by GET, and not by %s", e.Method)
		e.Stream = spec.StreamNone
	case e.Kind == spec.KindTyped && want != spec.StreamNone:
		report(raw, "%s is a typed handler, whose bodies are held whole", name)
		e.Stream = spec.StreamNone // what else is wrong with the endpoint does not hang on this
	case !e.HasBody() && (want == spec.StreamRequest || want == spec.StreamBoth):
		report("", "a %s request has no body", e.Method)
	case e.Method == http.MethodHead && want == spec.StreamResponse:
		report("", "the answer to HEAD has no body")
	}
	if status, given := keys[keyStatus]; e.Stream == spec.StreamUpgrade {
		e.Status, e.Statuses = http.StatusSwitchingProtocols, nil
		if given {
			f := b.l.list.Addf(diagnostic.BadValue, status.Pos, status.Width, "status=%s has no effect: what accepts an upgrade is 101", status.Text)
			f.Hint = "remove status="
		}
	}
}

// pathFields compares the path's parameters with the fields tagged path.
func (b *builder) pathFields(e *Endpoint, h *handler) {
	pattern, err := spec.ParsePattern(e.Path)
	if err != nil || e.Kind == spec.KindRaw || e.Kind == spec.KindHTTP {
		return
	}
	d := h.endpoint()
	missing := map[string]bool{}
	for _, name := range pattern.Params() {
		missing[name] = true
	}
	for _, f := range fieldsIn(e.In, spec.InPath) {
		if !missing[f.Name] {
			report := b.l.list.Addf(diagnostic.PathField, f.Pos, len(f.Selector[len(f.Selector)-1]), "field is tagged path:%q, which %s does not have", f.Name, e.Path)
			report.Related = []diagnostic.Related{{Pos: e.Pos, Message: endpointIsHere}}
		}
		delete(missing, f.Name)
	}
	for _, name := range pattern.Params() {
		if missing[name] {
			f := b.l.list.Addf(diagnostic.PathField, d.Args[1].Pos, d.Args[1].Width, "path parameter {%s} has no field", name)
			f.Hint = fmt.Sprintf("add to the input of %s: a field tagged `path:%q`", h.decl.Name.Name, name)
		}
	}
}

func fieldsIn(s *Struct, in string) []*Field {
	if s == nil {
		return nil
	}
	var found []*Field
	for _, f := range s.Fields {
		if f.In == in {
			found = append(found, f)
		}
	}
	return found
}

func (b *builder) pos(p token.Pos) token.Position { return b.l.pos(p) }

// name is a type as the service's author writes it.
func (b *builder) name(t types.Type) string {
	return types.TypeString(t, func(p *types.Package) string {
		if p == b.src.types {
			return ""
		}
		return p.Name()
	})
}

// unresolved reports a type that the type checker could not make out, with what it or the go command said.
func (b *builder) unresolved(t types.Type, expr ast.Expr, s *source) bool {
	if !hasInvalid(t) {
		return false
	}
	if e, ok := s.errorAt(expr.Pos(), expr.End()); ok {
		b.l.list.Addf(diagnostic.UnresolvedType, b.pos(e.Pos), 1, "%s", e.Msg)
		return true
	}
	f := b.l.list.Addf(diagnostic.UnresolvedType, b.pos(expr.Pos()), int(expr.End()-expr.Pos()), "type cannot be resolved")
	if reason := b.l.whyUnresolved(s, expr); reason != "" {
		f.Message += ": " + reason
	}
	return true
}

func hasInvalid(t types.Type) bool {
	switch t := types.Unalias(t).(type) {
	case *types.Basic:
		return t.Kind() == types.Invalid
	case *types.Pointer:
		return hasInvalid(t.Elem())
	case *types.Slice:
		return hasInvalid(t.Elem())
	case *types.Array:
		return hasInvalid(t.Elem())
	case *types.Map:
		return hasInvalid(t.Key()) || hasInvalid(t.Elem())
	case *types.Named:
		for arg := range t.TypeArgs().Types() {
			if hasInvalid(arg) {
				return true
			}
		}
		return t.Underlying() == types.Typ[types.Invalid]
	}
	return false
}
