package goclient

import (
	"strings"

	"github.com/stella-ops/router/spec"
)

// writeFake writes the client that tests take.
func (w *writer) writeFake() {
	w.comment("Fake is a [Client] for tests: each method calls the function of its name, and returns an error if there is none.")
	w.linef("type Fake struct {")
	for _, c := range w.Calls {
		w.linef("%sFunc func%s", c.Name, w.method(c))
	}
	w.linef("}\n\nvar _ Client = (*Fake)(nil)\n")
	w.linef("func unset(name string) error {\nreturn fmt.Errorf(packageName+\": Fake.%%s was called, and Fake.%%sFunc is not set\", name, name)\n}\n")
	for _, c := range w.Calls {
		args := "ctx"
		if c.Input != "" {
			args += ", in"
		}
		w.linef("// %s implements [Client].\nfunc (f *Fake) %s%s {\nif f.%sFunc == nil {", c.Name, c.Name, w.method(c), c.Name)
		if c.Kind == spec.KindStream {
			item := strings.TrimSuffix(strings.TrimPrefix(w.results(c), "iter.Seq2["), ", error]")
			w.linef("return func(yield func(%s, error) bool) {\nvar none %s\nyield(none, unset(%q))\n}", item, item, c.Name)
		} else {
			w.linef("return nil, unset(%q)", c.Name)
		}
		w.linef("}\nreturn f.%sFunc(%s)\n}\n", c.Name, args)
	}
}
