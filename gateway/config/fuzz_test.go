package config_test

import (
	"testing"

	"github.com/stella-ops/router/gateway/config"
)

// FuzzLoad holds the loader to its word: it never panics, a configuration is right or has faults with places within the
// file, and what is right is the same when it is given by its own values again.
func FuzzLoad(f *testing.F) {
	for _, seed := range []string{
		whole, "node: {}\n", "transports: {owners: {/a: b}, listen: []}\n", "listeners: [{}]\n", "log: {level: DEBUG}\n", "http: [\n",
		"a: &b c\nnode: *b\n",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		if text == nil {
			text = []byte{}
		}
		_ = config.Asked(config.Source{Name: "x.yaml", Text: text}) // with faults, too: the parts of a gateway check the rest
		l, err := config.Load(config.Source{Name: "x.yaml", Text: text})
		if err != nil {
			faults, ok := err.(config.Faults) //nolint:errorlint // it is this very type
			if !ok || len(faults) == 0 || l != nil {
				t.Fatalf("%T %v", err, err)
			}
			for _, fault := range faults {
				if fault.Origin.Kind == config.FromFile && (fault.Origin.Line < 1 || fault.Origin.Col < 1) {
					t.Fatalf("no place: %v", fault)
				}
			}
			return
		}
		if changes := l.Diff(l); len(changes) > 0 {
			t.Fatalf("differs from itself: %v", changes)
		}
	})
}
