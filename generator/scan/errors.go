package scan

import (
	"go/types"
	"strings"
	"unicode"

	"github.com/stella-ops/router/generator/diagnostic"
	"github.com/stella-ops/router/generator/directive"
	"github.com/stella-ops/router/internal/spelling"
	"github.com/stella-ops/router/spec"
)

// keyErrors declares the errors that a handler answers with.
const keyErrors = "errors"

// ErrorAnswer is an error type that a handler declares, and how it is answered.
type ErrorAnswer struct {
	Go      *types.Named
	Pointer bool // only pointers to it are errors
	Code    string
	Status  int
	Doc     string
	Details *Struct // its exported fields; nil: it has none
}

// errors reads the error types that a handler declares.
func (b *builder) errors(e *Endpoint, h *handler, said map[string]directive.Value) {
	v, given := said[keyErrors]
	if !given {
		return
	}
	report := func(format string, args ...any) {
		b.l.list.Addf(diagnostic.BadErrorType, v.Pos, v.Width, format, args...)
	}
	if e.Kind == spec.KindHTTP {
		report("errors=%s has no effect: %s is a net/http handler, which answers with its errors itself", v.Text, h.decl.Name.Name)
		return
	}
	codes := map[string]string{}
	for i, name := range v.List {
		answer, wrong := b.errorAnswer(name)
		if wrong != "" {
			report("errors=%s: %s", name, wrong)
			continue
		}
		if answer == nil {
			continue // a finding says so
		}
		if first := codes[answer.Code]; first != "" {
			report("errors=%s: its code is %s, as that of %s", name, answer.Code, first)
			continue
		}
		codes[answer.Code] = name
		answer.Status = int(v.Ints[i])
		e.Errors = append(e.Errors, answer)
	}
}

// errorAnswer is the model of an error type of the handlers' package, or what is wrong with it.
func (b *builder) errorAnswer(name string) (answer *ErrorAnswer, wrong string) {
	obj := b.src.types.Scope().Lookup(name)
	if obj == nil {
		guess := ""
		if s := spelling.Suggest(name, b.src.types.Scope().Names()); s != "" {
			guess = ": did you mean " + s + "?"
		}
		return nil, "there is no such type in package " + b.src.Name + guess
	}
	tn, ok := obj.(*types.TypeName)
	if !ok {
		return nil, "that is no type"
	}
	named, ok := tn.Type().(*types.Named)
	switch {
	case !ok || tn.IsAlias():
		return nil, "that is an alias, or no declared type: write the type's own name"
	case named.TypeParams().Len() > 0:
		return nil, "the type has type parameters"
	case types.IsInterface(named):
		return nil, "that is an interface, expected a type of its own"
	case !returns(named, "Error", isString):
		return nil, "that is no error: it has no method Error() string"
	}
	decl := b.src.decls[name]
	if decl == nil || b.onSomeMachines(b.src, name, decl.spec.Name) {
		return nil, ""
	}
	answer = &ErrorAnswer{Go: named, Pointer: hasPointerMethod(named, "Error"), Code: codeOf(name), Doc: decl.doc}
	if _, isStruct := named.Underlying().(*types.Struct); !isStruct || decodesJSON(named) || decodesText(named) {
		return answer, ""
	}
	details := b.object(named)
	if len(details.Fields) == 0 {
		return answer, ""
	}
	for _, f := range details.Fields {
		b.checkDetail(f)
	}
	answer.Details = details
	return answer, ""
}

// checkDetail reports a field of an error that has no place among the details of its answer.
func (b *builder) checkDetail(f *Field) {
	b.nested(f)
	if f.Type.Kind == Opaque {
		b.l.list.Addf(diagnostic.FieldType, f.Pos, len(f.Selector[len(f.Selector)-1]),
			"field %s is an interface, and whatever it holds would be sent to callers", strings.Join(f.Selector, ".")).Hint = "tag it json:\"-\", or do not export it"
	}
}

func isString(t types.Type) bool { return types.Identical(t, types.Typ[types.String]) }

// hasPointerMethod reports whether a method is one of pointers to the type only.
func hasPointerMethod(t types.Type, name string) bool {
	obj, _, indirect := types.LookupFieldOrMethod(t, false, nil, name)
	return obj == nil || indirect
}

// codeOf is the code of an error type: its name in snake case, without Error at its end.
func codeOf(name string) string {
	if short := strings.TrimSuffix(name, "Error"); short != "" {
		name = short
	}
	return snakeCase(name)
}

// snakeCase is a Go name in lower case with underscores: HTTPNotFound is http_not_found.
func snakeCase(name string) string {
	var b strings.Builder
	letters := []rune(name)
	for i, r := range letters {
		begins := i > 0 && unicode.IsUpper(r) &&
			(!unicode.IsUpper(letters[i-1]) || i+1 < len(letters) && unicode.IsLower(letters[i+1]))
		if begins && letters[i-1] != '_' {
			b.WriteByte('_')
		}
		b.WriteRune(unicode.ToLower(r))
	}
	return b.String()
}
