package scan

import (
	"go/ast"
	"go/token"
	"go/types"
	"testing"

	"github.com/stella-ops/router/generator/diagnostic"
)

// TestTypeCheckerPanics hands the type checker a tree that no parser makes: it panics.
func TestTypeCheckerPanics(t *testing.T) {
	var list diagnostic.List
	l := &loader{
		fset: token.NewFileSet(), list: &list, pkgs: map[string]*source{}, holders: map[string]*types.Package{}, listed: map[string]*listed{},
	}
	s := &source{listed: &listed{Dir: "/src/shop", ImportPath: "example.com/shop"}, files: []*ast.File{nil}}
	if got := l.check(s); got == nil || got.Path() != "example.com/shop" {
		t.Errorf("package %v, want a placeholder", got)
	}
	found := list.Sorted()
	if len(found) != 1 || found[0].Rule != diagnostic.Unreadable || found[0].Pos.Filename != "/src/shop" {
		t.Errorf("findings %v, want one of STL0001 about /src/shop", found)
	}
}
