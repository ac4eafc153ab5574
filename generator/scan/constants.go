package scan

import (
	"cmp"
	"go/constant"
	"go/types"
	"path/filepath"
	"slices"

	"github.com/stella-ops/router/generator/diagnostic"
	"github.com/stella-ops/router/spec"
)

// constants lists the values of a type of this module whose package declares at least two constants of it: its enum.
// Constants that are less visible than the type do not count. unread is one whose value cannot be told, because it is
// made of another package's; then there is no list.
func (b *builder) constants(t types.Type, at use) (values []string, unread string) {
	named, ok := t.(*types.Named)
	if !ok {
		return nil, ""
	}
	src := b.l.sourceOf(named.Obj().Pkg())
	if src == nil || !src.own || src.types == nil {
		return nil, ""
	}
	var found []*types.Const
	for _, name := range src.types.Scope().Names() {
		c, ok := src.types.Scope().Lookup(name).(*types.Const)
		if ok && types.Identical(c.Type(), t) && (c.Exported() || !named.Obj().Exported()) {
			found = append(found, c)
		}
	}
	if len(found) < 2 {
		return nil, ""
	}
	slices.SortFunc(found, func(x, y *types.Const) int {
		p, q := b.pos(x.Pos()), b.pos(y.Pos())
		return cmp.Or(cmp.Compare(p.Filename, q.Filename), cmp.Compare(p.Offset, q.Offset))
	})
	for _, c := range found {
		b.constantOfSomeMachines(c, src, at)
		value, ok := written(c.Val())
		if !ok {
			return nil, c.Name()
		}
		if !slices.Contains(values, value) {
			values = append(values, value)
		}
	}
	return values, ""
}

// written is a constant as a schema's enum has it.
func written(v constant.Value) (string, bool) {
	switch v.Kind() {
	case constant.String:
		return constant.StringVal(v), true
	case constant.Int:
		return v.ExactString(), true
	case constant.Unknown, constant.Bool, constant.Float, constant.Complex:
	}
	return "", false
}

// constantOfSomeMachines reports a constant that not every build has.
func (b *builder) constantOfSomeMachines(c *types.Const, src *source, at use) {
	for _, f := range src.files {
		if c.Pos() < f.FileStart || c.Pos() >= f.FileEnd {
			continue
		}
		reason := b.l.constrained(f)
		if reason == "" {
			return
		}
		pos := b.pos(c.Pos())
		report := b.l.list.Addf(diagnostic.SomeMachines, b.pos(at.node.Type.Pos()), int(at.node.Type.End()-at.node.Type.Pos()),
			"%s is one of the values of %s, and declared in %s, which %s", c.Name(), b.name(c.Type()), filepath.Base(pos.Filename), reason)
		report.Hint = hintEveryBuild
		report.Related = []diagnostic.Related{{Pos: pos, Message: "it is declared here"}}
	}
}

// unlisted is a schema without the values of its types: for what encoding/json decodes, which does not check them.
func unlisted(s *spec.Schema) *spec.Schema {
	if s == nil {
		return nil
	}
	c := *s
	c.Enum = nil
	c.Items, c.Values = unlisted(c.Items), unlisted(c.Values)
	return &c
}
