package goclient_test

import (
	"flag"
	"os"
	"path/filepath"
	"testing"

	"github.com/stella-ops/router/generator/artifact/goclient"
	"github.com/stella-ops/router/spec"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// goldens are packages of another module, which compiles them, and makes calls with them.
var goldens = map[string]string{
	"billingclient": "../../../examples/billing/stella.manifest.json",
	"ordersclient":  "../../../spec/openapi/testdata/everything.manifest.json",
}

func TestGolden(t *testing.T) {
	for pkg, path := range goldens {
		t.Run(pkg, func(t *testing.T) {
			raw, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			m, err := spec.ParseManifest(raw)
			if err != nil {
				t.Fatal(err)
			}
			got, err := goclient.Render(m, "", "http://127.0.0.1:8080")
			if err != nil {
				t.Fatal(err)
			}
			golden := filepath.Join("../../../e2e/artifacts", pkg, "client.go")
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
				t.Errorf("%s is not what is written now; look at the change, then go test ./generator/artifact/goclient -update", golden)
			}
		})
	}
}
