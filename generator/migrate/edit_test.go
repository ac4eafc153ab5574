package migrate

import (
	"go/ast"
	"go/format"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestDocument holds that what is inserted is where gofmt wants it, with the line ends of the file.
func TestDocument(t *testing.T) {
	for name, c := range map[string]struct{ src, want string }{
		"nothing is there": {"package p\n\nfunc F() {}\n", "package p\n\n//stella:x\n//stella:y\nfunc F() {}\n"},
		"prose":            {"package p\n\n// F is.\nfunc F() {}\n", "package p\n\n// F is.\n//\n//stella:x\n//stella:y\nfunc F() {}\n"},
		"prose and a directive": {
			"package p\n\n// F is.\n//\n//go:noinline\nfunc F() {}\n",
			"package p\n\n// F is.\n//\n//go:noinline\n//stella:x\n//stella:y\nfunc F() {}\n",
		},
		"a block":                {"package p\n\n/* F is. */\nfunc F() {}\n", "package p\n\n/* F is. */\n//stella:x\n//stella:y\nfunc F() {}\n"},
		"a comment that is none": {"package p\n\n// Other.\n\nfunc F() {}\n", "package p\n\n// Other.\n\n//stella:x\n//stella:y\nfunc F() {}\n"},
		"an empty last line":     {"package p\n\n// F is.\n//\nfunc F() {}\n", "package p\n\n// F is.\n//\n//stella:x\n//stella:y\nfunc F() {}\n"},
		"carriage returns":       {"package p\r\n\r\n// F is.\r\nfunc F() {}\r\n", "package p\r\n\r\n// F is.\r\n//\r\n//stella:x\r\n//stella:y\r\nfunc F() {}\r\n"},
		"a block of several lines with carriage returns": {
			"package p\r\n\r\n/*\r\nF is.\r\n\r\nIt is.\r\n*/\r\nfunc F() {}\r\n",
			"package p\r\n\r\n/*\r\nF is.\r\n\r\nIt is.\r\n*/\r\n//stella:x\r\n//stella:y\r\nfunc F() {}\r\n",
		},
		"lines and a block with carriage returns": {
			"package p\r\n\r\n// F is.\r\n/* It\r\nis. */\r\nfunc F() {}\r\n\r\n// G is.\r\nfunc G() {}\r\n",
			"package p\r\n\r\n// F is.\r\n/* It\r\nis. */\r\n//stella:x\r\n//stella:y\r\nfunc F() {}\r\n\r\n// G is.\r\n//\r\n//stella:x\r\n//stella:y\r\nfunc G() {}\r\n",
		},
		"a block on the line of its function": {
			"package p\n\n/* F is. */ func F() {}\n",
			"package p\n\n/* F is. */\n//stella:x\n//stella:y\nfunc F() {}\n",
		},
		"the end of a block on the line of its function": {
			"package p\r\n\r\n/* F\r\nis. */ func F() {}\r\n",
			"package p\r\n\r\n/* F\r\nis. */\r\n//stella:x\r\n//stella:y\r\nfunc F() {}\r\n",
		},
	} {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "p.go")
			if err := os.WriteFile(file, []byte(c.src), 0o600); err != nil {
				t.Fatal(err)
			}
			e := edits{fset: token.NewFileSet()}
			f, err := parser.ParseFile(e.fset, file, nil, parser.ParseComments)
			if err != nil {
				t.Fatal(err)
			}
			for _, decl := range f.Decls {
				if fn, ok := decl.(*ast.FuncDecl); ok {
					e.document(fn.Doc, fn.Pos(), []string{"//stella:x", "//stella:y"})
				}
			}
			files, err := e.files()
			if err != nil || len(files) != 1 {
				t.Fatal(len(files), err)
			}
			if diff := cmp.Diff(c.want, string(files[0].New)); diff != "" {
				t.Error(diff)
			}
			lines := strings.ReplaceAll(string(files[0].New), "\r\n", "\n")
			if formatted, err := format.Source([]byte(lines)); err != nil || string(formatted) != lines {
				t.Errorf("gofmt would change it: %v\n%s", err, formatted)
			}
			after, err := parser.ParseFile(token.NewFileSet(), file, files[0].New, parser.ParseComments)
			if err != nil {
				t.Fatal(err)
			}
			for _, decl := range after.Decls {
				if fn, ok := decl.(*ast.FuncDecl); ok && (fn.Doc == nil || !isDirective(fn.Doc.List[len(fn.Doc.List)-1].Text)) {
					t.Errorf("%s has no directive", fn.Name.Name)
				}
			}
		})
	}
}
