package artifact_test

import (
	"flag"
	"os"
	"path/filepath"
	"testing"

	"github.com/stella-ops/router/generator/artifact"
	"github.com/stella-ops/router/spec"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// manifests are those whose artifacts are goldens. The second one has whatever a manifest can have.
var manifests = map[string]string{
	"billing":    "../../examples/billing/stella.manifest.json",
	"everything": "../../spec/openapi/testdata/everything.manifest.json",
}

// elsewhere are the kinds whose goldens stand with the package that writes them.
var elsewhere = map[string]bool{"openapi": true, "openapi30": true, "jsonschema": true, "overrideschema": true, "goclient": true, "tsclient": true}

func manifest(t *testing.T, path string) *spec.Manifest {
	t.Helper()
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	m, err := spec.ParseManifest(raw)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestGolden(t *testing.T) {
	for name, path := range manifests {
		for _, k := range artifact.Kinds() {
			if elsewhere[k.Name] {
				continue
			}
			t.Run(name+"."+k.Name, func(t *testing.T) {
				m := manifest(t, path)
				got, err := k.Render(m, artifact.Options{})
				if err != nil {
					t.Fatal(err)
				}
				golden := filepath.Join("testdata", name, k.File)
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
					t.Errorf("%s is not what is written now; look at the change, then go test ./generator/artifact -update", golden)
				}
				again, err := k.Render(m, artifact.Options{})
				if err != nil || string(again) != string(got) {
					t.Errorf("written twice, it differs, or fails: %v", err)
				}
				if bare, err := k.Render(&spec.Manifest{Service: "x", Version: "1.0.0"}, artifact.Options{}); err != nil || len(bare) == 0 {
					t.Errorf("of a service without endpoints there is %q, %v", bare, err)
				}
			})
		}
	}
}
