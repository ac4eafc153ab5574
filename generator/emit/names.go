package emit

import (
	"fmt"
	"go/types"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/stella-ops/router/generator/scan"
	"github.com/stella-ops/router/spec"
)

// names gives out identifiers of the generated file that nothing else has.
type names map[string]bool

func newNames(pkg *scan.Package) names {
	taken := maps.Clone(names(pkg.Declared))
	for _, name := range types.Universe.Names() {
		taken[name] = true
	}
	for _, name := range scan.LocalNames() {
		taken[name] = true
	}
	return taken
}

// take returns name, or name with the first number that makes it free.
func (n names) take(name string) string {
	free := name
	for i := 2; n[free]; i++ {
		free = fmt.Sprintf("%s%d", name, i)
	}
	n[free] = true
	return free
}

// identifier is a type's name in one word: Page[billing.Item] is PageBillingItem, and a type of another package
// begins with that package's name.
func identifier(t *types.Named, local string) string {
	text := types.TypeString(t, func(p *types.Package) string {
		if p.Path() == local {
			return ""
		}
		return p.Name()
	})
	var b strings.Builder
	for word := range strings.FieldsFuncSeq(text, func(r rune) bool { return strings.ContainsRune("[].,*{} /", r) }) {
		b.WriteString(scan.ExportedName(word))
	}
	return b.String()
}

// imports lists the packages that generated code of a package may name, by path.
func imports(pkg *scan.Package, structs []*scan.Struct) map[string]string {
	found := map[string]string{"context": "context", scan.RuntimePath: "stella"}
	var visit func(t types.Type)
	visit = func(t types.Type) {
		switch t := types.Unalias(t).(type) {
		case *types.Named:
			if p := t.Obj().Pkg(); p != nil && p.Path() != pkg.ImportPath {
				found[p.Path()] = p.Name()
			}
			for arg := range t.TypeArgs().Types() {
				visit(arg)
			}
		case *types.Pointer:
			visit(t.Elem())
		case *types.Slice:
			visit(t.Elem())
		case *types.Array:
			visit(t.Elem())
		case *types.Map:
			visit(t.Key())
			visit(t.Elem())
		}
	}
	for _, e := range pkg.Endpoints {
		if len(e.Errors) > 0 {
			found["errors"] = "errors"
		}
		switch e.Kind {
		case spec.KindHTTP:
			found["net/http"], found[scan.BridgePath] = "http", path.Base(scan.BridgePath)
		case spec.KindStream:
			found["iter"] = "iter"
			visit(e.Item.Go)
		case spec.KindTyped, spec.KindRaw:
		}
	}
	for _, s := range structs {
		visit(s.Go)
		for _, f := range s.Fields {
			visit(f.Type.Go)
		}
	}
	return found
}

// nameImports decides under which name the generated file imports each package.
func (n names) nameImports(found map[string]string) map[string]importName {
	named := map[string]importName{}
	for _, importPath := range slices.Sorted(maps.Keys(found)) {
		name := n.take(found[importPath])
		named[importPath] = importName{name, name != path.Base(importPath)}
	}
	return named
}

type importName struct {
	name  string
	alias bool
}
