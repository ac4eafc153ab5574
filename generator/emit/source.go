package emit

import (
	"bytes"
	"fmt"
	"go/types"
	"maps"
	"slices"
	"strings"

	"github.com/dave/jennifer/jen"

	"github.com/stella-ops/router/generator/scan"
	"github.com/stella-ops/router/spec"
)

// source is a Go file being written. It is all that the rest of this package sees of jennifer's file: imports are
// named once, here, and declarations are appended.
type source struct {
	pkg     *scan.Package
	structs []*scan.Struct // that its endpoints' inputs and results are made of
	file    *jen.File
	names   names

	receivers map[string]bool // types that have handlers, and whether Handlers holds pointers to them

	decoders map[string]string      // names of the functions that decode structs, by the type's full name
	members  map[string]string      // names of the variables with their members
	forms    map[string]string      // names of the variables with the fields of forms, by the type's full name
	finders  map[string]string      // names of the functions that find declared errors, by these
	found    map[string]bool        // those that have been written
	nested   map[*scan.Struct]bool  // those that stand within others
	rules    map[*scan.Field]string // names of the variables with the rules of parameters
	serves   map[*scan.Endpoint]string
}

// Source is the Go file beside the handlers of a service's package, formatted.
func Source(svc *scan.Service, pkg *scan.Package) ([]byte, error) {
	s := newSource(pkg)
	s.head()
	if pkg == svc.Own {
		s.manifest()
	}
	s.handlers()
	s.guards()
	for _, e := range pkg.Endpoints {
		s.dispatcher(e)
	}
	for _, e := range pkg.Endpoints {
		s.finder(e)
	}
	s.formFields()
	s.paramRules()
	for _, st := range s.decoded() {
		s.decoder(st)
	}
	var out bytes.Buffer
	if err := s.file.Render(&out); err != nil {
		return nil, fmt.Errorf("emit: %s of %s: %w", scan.GeneratedFile, pkg.ImportPath, err)
	}
	return out.Bytes(), nil
}

func newSource(pkg *scan.Package) *source {
	s := &source{
		pkg: pkg, structs: structsOf(pkg.Endpoints), file: jen.NewFilePathName(pkg.ImportPath, pkg.Name), names: newNames(pkg), receivers: receivers(pkg),
		decoders: map[string]string{}, members: map[string]string{}, forms: map[string]string{}, finders: map[string]string{}, found: map[string]bool{},
		nested: map[*scan.Struct]bool{}, rules: map[*scan.Field]string{}, serves: map[*scan.Endpoint]string{},
	}
	for path, in := range s.names.nameImports(imports(pkg, s.structs)) {
		if in.alias {
			s.file.ImportAlias(path, in.name)
		} else {
			s.file.ImportName(path, in.name)
		}
	}
	for _, e := range pkg.Endpoints {
		name := e.Func
		if e.Receiver != nil {
			name = scan.ExportedName(e.Receiver.Type) + scan.ExportedName(e.Func)
		}
		s.serves[e] = s.names.take("stellaServe" + scan.ExportedName(name))
	}
	for _, st := range s.decoded() {
		key, id := st.Key, identifier(st.Go, pkg.ImportPath)
		s.decoders[key] = s.names.take("stellaDecode" + id)
		s.members[key] = s.names.take("stellaMembersOf" + id)
	}
	for _, e := range pkg.Endpoints {
		if isForm(e) && s.forms[e.In.Key] == "" {
			s.forms[e.In.Key] = s.names.take("stellaFieldsOf" + identifier(e.In.Go, pkg.ImportPath))
		}
		for _, f := range ruled(e) {
			if s.rules[f] == "" {
				s.rules[f] = s.names.take("stellaRuleOf" + identifier(e.In.Go, pkg.ImportPath) + strings.Join(f.Selector, ""))
			}
		}
	}
	return s
}

// modulePath is the module that the runtime is part of.
const modulePath = "github.com/stella-ops/router"

// stella names something of the runtime.
func stella(name string) *jen.Statement { return jen.Qual(scan.RuntimePath, name) }

// head writes what does not depend on the endpoints.
func (s *source) head() {
	s.file.HeaderComment(scan.GeneratedHeader)
	s.file.Comment("This file needs a runtime of at least this version: go get " + modulePath + "@latest.")
	s.file.Const().Id("_").Op("=").Add(stella("IsAtLeastVersion1"))
	s.file.Line()
}

// manifest writes what only the service's own package has.
func (s *source) manifest() {
	s.file.Anon("embed")
	text := s.names.take("stellaManifest")
	s.file.Comment("//go:embed " + scan.ManifestFile)
	s.file.Var().Id(text).String()
	s.file.Line()
	s.file.Comment("Manifest is what the service offers: " + scan.ManifestFile + ", byte for byte.")
	s.file.Var().Id("Manifest").Op("=").Add(stella("Manifest")).Values(jen.Dict{jen.Id("JSON"): jen.Id(text)})
	s.file.Line()
}

// receivers maps the types that have handlers to whether Handlers holds pointers to them.
func receivers(pkg *scan.Package) map[string]bool {
	found := map[string]bool{}
	for _, e := range pkg.Endpoints {
		if e.Receiver != nil {
			found[e.Receiver.Type] = found[e.Receiver.Type] || e.Receiver.Pointer
		}
	}
	return found
}

func receiver(name string, pointer bool) *jen.Statement {
	if pointer {
		return jen.Op("*").Id(name)
	}
	return jen.Id(name)
}

// handlers writes the struct that the service's main function fills in, and the list of dispatchers.
func (s *source) handlers() {
	sorted := slices.Sorted(maps.Keys(s.receivers))
	s.file.Comment("Handlers are the values whose methods serve the endpoints of this package.")
	s.file.Type().Id("Handlers").StructFunc(func(g *jen.Group) {
		for _, name := range sorted {
			g.Id(scan.ExportedName(name)).Add(receiver(name, s.receivers[name]))
		}
	})
	s.file.Line()
	s.file.Comment("Endpoints are the dispatchers of this package's endpoints, for stella.New.")
	s.file.Func().Id("Endpoints").Params(jen.Id("h").Id("Handlers")).Add(stella("Endpoints")).BlockFunc(func(g *jen.Group) {
		g.Id("out").Op(":=").Add(stella("Endpoints")).Values(jen.Dict{
			jen.Id("Package"): jen.Lit(s.pkg.ImportPath),
			jen.Id("List"):    jen.Index().Add(stella("Endpoint")).ValuesFunc(s.list),
		})
		for _, name := range sorted {
			if s.receivers[name] {
				field := scan.ExportedName(name)
				g.If(jen.Id("h").Dot(field).Op("==").Nil()).Block(
					jen.Id("out").Dot("Missing").Op("=").Append(jen.Id("out").Dot("Missing"), jen.Lit(field)))
			}
		}
		g.Return(jen.Id("out"))
	})
	s.file.Line()
}

func (s *source) list(g *jen.Group) {
	for _, e := range s.pkg.Endpoints {
		arg := jen.Null()
		if e.Receiver != nil {
			arg = jen.Id("h").Dot(scan.ExportedName(e.Receiver.Type))
		}
		g.Line().Values(
			jen.Id("Method").Op(":").Lit(e.Method),
			jen.Id("Path").Op(":").Lit(e.Path),
			jen.Id("Dispatch").Op(":").Id(s.serves[e]).Call(arg),
		)
	}
	g.Line()
}

// guards writes a variable for each handler that no longer compiles when the handler's signature has changed.
func (s *source) guards() {
	if len(s.pkg.Endpoints) == 0 {
		return
	}
	s.file.Comment("The handlers as they were when this file was written: if one no longer fits, run go generate.")
	s.file.Var().DefsFunc(func(g *jen.Group) {
		for _, e := range s.pkg.Endpoints {
			g.Id("_").Func().Params(params(e)...).Add(results(e)).Op("=").Add(handlerExpr(e))
		}
	})
	s.file.Line()
}

func params(e *scan.Endpoint) []jen.Code {
	var list []jen.Code
	if e.Receiver != nil {
		list = append(list, receiver(e.Receiver.Type, e.Receiver.Pointer))
	}
	if e.Kind == spec.KindHTTP {
		return append(list, jen.Qual("net/http", "ResponseWriter"), jen.Op("*").Qual("net/http", "Request"))
	}
	list = append(list, jen.Qual("context", "Context"))
	switch {
	case e.Kind == spec.KindRaw:
		list = append(list, jen.Op("*").Add(stella("Request")), jen.Op("*").Add(stella("Response")))
	case e.In != nil:
		list = append(list, jen.Op("*").Add(typeExpr(e.In.Go)))
	}
	return list
}

func results(e *scan.Endpoint) *jen.Statement {
	switch {
	case e.Kind == spec.KindHTTP:
		return jen.Null()
	case e.Item != nil:
		item := typeExpr(e.Item.Go)
		if e.Events {
			item = stella("Event").Types(item)
		}
		return jen.Params(jen.Qual("iter", "Seq2").Types(item, jen.Error()), jen.Error())
	case e.Out != nil:
		return jen.Params(jen.Op("*").Add(typeExpr(e.Out.Go)), jen.Error())
	}
	return jen.Error()
}

func handlerExpr(e *scan.Endpoint) *jen.Statement {
	switch {
	case e.Receiver == nil:
		return jen.Id(e.Func)
	case e.Receiver.Pointer:
		return jen.Parens(jen.Op("*").Id(e.Receiver.Type)).Dot(e.Func)
	}
	return jen.Id(e.Receiver.Type).Dot(e.Func)
}

// typeExpr is a type as the generated file writes it.
func typeExpr(t types.Type) *jen.Statement {
	switch t := types.Unalias(t).(type) {
	case *types.Named:
		name := jen.Id(t.Obj().Name())
		if p := t.Obj().Pkg(); p != nil {
			name = jen.Qual(p.Path(), t.Obj().Name())
		}
		if t.TypeArgs().Len() == 0 {
			return name
		}
		var args []jen.Code
		for arg := range t.TypeArgs().Types() {
			args = append(args, typeExpr(arg))
		}
		return name.Types(args...)
	case *types.Pointer:
		return jen.Op("*").Add(typeExpr(t.Elem()))
	case *types.Slice:
		return jen.Index().Add(typeExpr(t.Elem()))
	case *types.Array:
		return jen.Index(jen.Lit(int(t.Len()))).Add(typeExpr(t.Elem()))
	case *types.Map:
		return jen.Map(typeExpr(t.Key())).Add(typeExpr(t.Elem()))
	case *types.Interface:
		return jen.Any()
	}
	return jen.Id(t.String())
}
