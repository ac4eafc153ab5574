package tsclient_test

import (
	"flag"
	"os"
	"path/filepath"
	"testing"

	"github.com/stella-ops/router/generator/artifact/tsclient"
	"github.com/stella-ops/router/spec"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// goldens are in another module, which has them compiled, and makes calls with them.
var goldens = map[string]string{
	"billing": "../../../examples/billing/stella.manifest.json",
	"orders":  "../../../spec/openapi/testdata/everything.manifest.json",
}

func TestGolden(t *testing.T) {
	for name, path := range goldens {
		t.Run(name, func(t *testing.T) {
			raw, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			m, err := spec.ParseManifest(raw)
			if err != nil {
				t.Fatal(err)
			}
			got, err := tsclient.Render(m, "http://127.0.0.1:8080")
			if err != nil {
				t.Fatal(err)
			}
			golden := filepath.Join("../../../e2e/artifacts/tsclient", name+".ts")
			if *update {
				if err := os.MkdirAll(filepath.Dir(golden), 0o750); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(golden, got, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if string(got) != string(want) {
				t.Errorf("%s is not what is written now; look at the change, then go test ./generator/artifact/tsclient -update", golden)
			}
		})
	}
}
