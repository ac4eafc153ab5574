package artifacts

import (
	"bytes"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	_ "github.com/owenrumney/go-sarif/v3/pkg/report/v210/sarif" // its source holds the schema that OASIS publishes
	"github.com/rogpeppe/go-internal/txtar"
	"github.com/santhosh-tekuri/jsonschema/v6"
)

// sarifSchema compiles the schema of SARIF 2.1.0.
func sarifSchema(t *testing.T) *jsonschema.Schema {
	t.Helper()
	dir, err := exec.CommandContext(t.Context(), "go", "list", "-f", "{{.Dir}}", "github.com/owenrumney/go-sarif/v3/pkg/report/v210/sarif").Output()
	if err != nil {
		t.Fatal(err)
	}
	file, err := parser.ParseFile(token.NewFileSet(), filepath.Join(strings.TrimSpace(string(dir)), "schema.go"), nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	text := ""
	ast.Inspect(file, func(n ast.Node) bool {
		if lit, ok := n.(*ast.BasicLit); ok && lit.Kind == token.STRING {
			text, err = strconv.Unquote(lit.Value)
			if err != nil {
				t.Fatal(err)
			}
		}
		return true
	})
	schema, err := jsonschema.UnmarshalJSON(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	const name = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
	compiler := jsonschema.NewCompiler()
	compiler.AssertFormat()
	if err := compiler.AddResource(name, schema); err != nil {
		t.Fatal(err)
	}
	compiled, err := compiler.Compile(name)
	if err != nil {
		t.Fatal(err)
	}
	return compiled
}

func validate(t *testing.T, schema *jsonschema.Schema, document []byte) error {
	t.Helper()
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(document))
	if err != nil {
		t.Fatal(err)
	}
	return schema.Validate(value)
}

// TestSARIF validates the reports of generator/diagnostic against the schema, and a wrong one, which has to fail.
func TestSARIF(t *testing.T) {
	schema := sarifSchema(t)
	archive, err := txtar.ParseFile("../../generator/diagnostic/testdata/formats.txtar")
	if err != nil {
		t.Fatal(err)
	}
	judged := 0
	for _, f := range archive.Files {
		if !strings.HasPrefix(f.Name, "sarif") {
			continue
		}
		judged++
		if err := validate(t, schema, f.Data); err != nil {
			t.Errorf("%s: %v", f.Name, err)
		}
	}
	if judged != 2 {
		t.Fatalf("%d reports, want one with findings and one without", judged)
	}
	for old, wrong := range map[string]string{`"ruleId"`: `"rule"`, `"level": "note"`: `"level": "info"`, `"uri": "shop/a%20b.go"`: `"uri": "shop/a b%.go"`} {
		for _, f := range archive.Files {
			if f.Name != "sarif" {
				continue
			}
			document := bytes.Replace(f.Data, []byte(old), []byte(wrong), 1)
			if bytes.Equal(document, f.Data) {
				t.Fatalf("the report has no %s", old)
			}
			err := validate(t, schema, document)
			if invalid := new(jsonschema.ValidationError); !errors.As(err, &invalid) {
				t.Errorf("with %s: %v, want an error of validation", wrong, err)
			}
		}
	}
}
