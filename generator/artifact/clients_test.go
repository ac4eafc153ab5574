package artifact_test

import (
	"encoding/json"
	"fmt"
	"go/ast"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"io"
	"maps"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/stella-ops/router/generator/artifact"
	"github.com/stella-ops/router/spec"
)

// words are names that a language might take for something else.
var words = []string{
	"class", "constructor", "__proto__", "a-b", "A_B", "aB", "type", "func", "String", "Error", "Unwrap", "Body", "Header", "Client", "Job", "Fake",
	"Optional", "Problem", "ünïcode", "\u65e5\u672c", "1st", "id", "ID", "Id", "_", "*/", "//", "$", "${x}", "Some", "New", "Request", "Response", "Promise",
	"in", "ctx", "r",
}

// odd draws a name.
func odd() *rapid.Generator[string] {
	return rapid.OneOf(rapid.SampledFrom(words), rapid.StringN(1, 12, -1).Filter(func(s string) bool { return strings.ToValidUTF8(s, "") == s }))
}

// tagged draws a name that encoding/json takes: all that come from Go types are such.
func tagged() *rapid.Generator[string] {
	return rapid.OneOf(rapid.SampledFrom(words), rapid.StringMatching(`[\pL\p{Nd}!#$%&()*+./:;<=>?@\[\]^_{|}~ -]{1,12}`))
}

func drawSchema(t *rapid.T, names []string, depth int) *spec.Schema {
	s := &spec.Schema{Doc: rapid.OneOf(odd(), rapid.Just("*/ alert(1) /*\n+build ignore\n//go:embed x")).Draw(t, "doc"), Nullable: rapid.Bool().Draw(t, "nullable")}
	shapes := []string{"string", "integer", "number", "boolean", "any", "enum", "ref"}
	if depth < 3 {
		shapes = append(shapes, "array", "map", "object", "object")
	}
	switch rapid.SampledFrom(shapes).Draw(t, "shape") {
	case "ref":
		s.Ref = rapid.SampledFrom(names).Draw(t, "ref")
	case "string":
		s.Type, s.Format = spec.TypeString, rapid.SampledFrom([]string{"", "date-time", "byte", "binary", "*/"}).Draw(t, "format")
		text := odd().Draw(t, "default")
		s.Default = &text
	case "integer":
		s.Type, s.Format = spec.TypeInteger, rapid.SampledFrom([]string{"", "int8", "uint64"}).Draw(t, "format")
	case "number":
		s.Type = spec.TypeNumber
	case "boolean":
		s.Type = spec.TypeBoolean
	case "enum":
		s.Type, s.Enum = spec.TypeString, rapid.SliceOfNDistinct(odd(), 1, 4, rapid.ID).Draw(t, "enum")
	case "array":
		s.Type, s.Items = spec.TypeArray, drawSchema(t, names, depth+1)
	case "map":
		s.Type, s.Values = spec.TypeObject, drawSchema(t, names, depth+1)
	case "object":
		s.Type, s.Properties = spec.TypeObject, map[string]*spec.Schema{}
		for _, name := range rapid.SliceOfNDistinct(tagged(), 1, 5, rapid.ID).Draw(t, "members") {
			s.Properties[name] = drawSchema(t, names, depth+1)
			if rapid.Bool().Draw(t, "required") {
				s.Required = append(s.Required, name)
			}
		}
		slices.Sort(s.Required)
	}
	return s
}

// drawManifest draws a manifest that passes its check, and has as few names twice as that asks for.
func drawManifest(t *rapid.T) *spec.Manifest {
	m := &spec.Manifest{Service: "odd", Version: "1.0.0", Doc: odd().Draw(t, "doc"), Schemas: map[string]*spec.Schema{}}
	names := rapid.SliceOfNDistinct(odd(), 1, 5, rapid.ID).Draw(t, "schemas")
	for _, name := range names {
		m.Schemas[name] = drawSchema(t, names, 0)
	}
	for i := range rapid.IntRange(1, 5).Draw(t, "endpoints") {
		e := spec.Endpoint{
			Method: "POST", Path: fmt.Sprintf("/e%d/{id}", i), Handler: odd().Draw(t, "handler"), Status: 200, Public: "test", Stream: spec.StreamNone,
			Kind: rapid.SampledFrom([]spec.Kind{spec.KindTyped, spec.KindRaw, spec.KindHTTP}).Draw(t, "kind"), Limits: spec.DefaultLimits,
			Idempotent: true, Doc: odd().Draw(t, "doc"), Deprecated: odd().Draw(t, "deprecated"),
		}
		switch rapid.IntRange(0, 3).Draw(t, "special") {
		case 0:
			e.Queue = &spec.DefaultQueueing
		case 1:
			e.Kind, e.Stream, e.Events = spec.KindStream, spec.StreamResponse, rapid.Bool().Draw(t, "events")
		}
		e.Response = drawSchema(t, names, 1)
		if e.Kind == spec.KindTyped {
			e.Request = drawSchema(t, names, 1)
			e.Consumes = rapid.SampledFrom([]string{"", spec.MediaForm, spec.MediaMultipart}).Draw(t, "consumes")
		}
		for _, name := range rapid.SliceOfNDistinct(odd(), 0, 4, rapid.ID).Draw(t, "params") {
			e.Params = append(e.Params, spec.Param{Name: name, In: spec.InQuery, Required: rapid.Bool().Draw(t, "required"), Schema: drawSchema(t, names, 2)})
		}
		codes := rapid.SliceOfNDistinct(odd(), 0, 3, rapid.ID).Draw(t, "codes")
		slices.Sort(codes)
		for _, code := range codes {
			e.Errors = append(e.Errors, spec.ErrorAnswer{Code: code, Status: 400 + i, Details: drawSchema(t, names, 2)})
		}
		m.Endpoints = append(m.Endpoints, e)
	}
	if _, err := m.Encode(); err != nil {
		t.Fatalf("the manifest that was drawn does not pass: %v", err)
	}
	return m
}

func render(t *rapid.T, kind string, m *spec.Manifest) string {
	k, known := artifact.Find(kind)
	if !known {
		t.Fatalf("there is no kind %s", kind)
	}
	source, err := k.Render(m, artifact.Options{})
	if err != nil {
		t.Fatalf("%s: %v", kind, err)
	}
	return string(source)
}

// exported opens what the compiler exports of the standard library's packages that clients may import.
func exported(t *testing.T) importer.Lookup {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", "list", "-trimpath", "-export", "-deps", "-f", "{{.ImportPath}} {{.Export}}",
		"net/http", "encoding/json", "mime/multipart", "math/rand/v2", "iter", "maps")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0") // as make builds, so that nothing is compiled for this
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	paths := map[string]string{}
	for line := range strings.Lines(string(out)) {
		pkg, file, _ := strings.Cut(strings.TrimSpace(line), " ")
		paths[pkg] = file
	}
	return func(pkg string) (io.ReadCloser, error) { return os.Open(paths[pkg]) }
}

// TestGoClientOfOddNames holds that whatever things are called, the Go client compiles.
func TestGoClientOfOddNames(t *testing.T) {
	files := token.NewFileSet()
	config := types.Config{Importer: importer.ForCompiler(files, "gc", exported(t))}
	rapid.Check(t, func(t *rapid.T) {
		source := render(t, "goclient", drawManifest(t))
		file, err := parser.ParseFile(files, "client.go", source, parser.SkipObjectResolution)
		if err == nil {
			_, err = config.Check("client", files, []*ast.File{file}, nil)
		}
		if err != nil {
			t.Fatalf("%v\n%s", err, source)
		}
	})
}

// TestTypeScriptClientOfOddNames holds that no name ends a comment or a literal, and that members are called as on the wire.
func TestTypeScriptClientOfOddNames(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := drawManifest(t)
		source := render(t, "tsclient", m)
		code, err := uncomment(source)
		if err != nil {
			t.Fatalf("%v\n%s", err, source)
		}
		for _, name := range slices.Sorted(maps.Keys(m.Schemas)) {
			for member := range m.Schemas[name].Properties {
				quoted, err := json.Marshal(member)
				if err != nil {
					t.Fatal(err)
				}
				is := func(key string) bool {
					return strings.Contains(code, "\n  "+key+": ") || strings.Contains(code, "\n  "+key+"?: ")
				}
				if !is(string(quoted)) && (!identifier.MatchString(member) || !is(member)) {
					t.Fatalf("%q is no member\n%s", member, code)
				}
			}
		}
	})
}

var identifier = regexp.MustCompile(`^[A-Za-z_$][A-Za-z0-9_$]*$`)

// uncomment is TypeScript without its comments and with its literals as they are; an error where it has a comment or a literal
// without an end, or brackets that do not match.
func uncomment(source string) (string, error) {
	var out strings.Builder
	var open []byte
	pairs := map[byte]byte{')': '(', ']': '[', '}': '{'}
	for i := 0; i < len(source); i++ {
		rest := source[i:]
		switch c := source[i]; {
		case strings.HasPrefix(rest, "/**"):
			end := strings.Index(rest, "*/")
			if end < 0 {
				return "", fmt.Errorf("a comment has no end: %.100s", rest)
			}
			i += end + 1
			continue
		case strings.HasPrefix(rest, "// "):
			i += strings.IndexByte(rest, '\n') - 1
			continue
		case c == '"' || c == '\'' || c == '`':
			end := literal(rest)
			if end < 0 {
				return "", fmt.Errorf("a literal has no end: %.100s", rest)
			}
			out.WriteString(rest[:end])
			i += end - 1
			continue
		case strings.HasPrefix(rest, "/[^") || strings.HasPrefix(rest, `/\`):
			end := strings.IndexByte(rest[1:], '/')
			i += end + 1
			continue
		case strings.IndexByte("([{", c) >= 0:
			open = append(open, c)
		case pairs[c] != 0:
			if len(open) == 0 || open[len(open)-1] != pairs[c] {
				return "", fmt.Errorf("%c closes nothing: %.100s", c, rest)
			}
			open = open[:len(open)-1]
		}
		out.WriteByte(source[i])
	}
	if len(open) > 0 {
		return "", fmt.Errorf("%s is not closed", open)
	}
	return out.String(), nil
}

// literal is where a literal that text begins with ends, or -1.
func literal(text string) int {
	for i := 1; i < len(text); i++ {
		switch {
		case text[i] == '\\':
			i++
		case text[i] == text[0]:
			return i + 1
		case text[i] == '\n' && text[0] != '`':
			return -1
		}
	}
	return -1
}
