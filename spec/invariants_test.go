package spec_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/stella-ops/router/spec"
)

// repository is where the module begins.
const repository = ".."

// file is one Go file of the repository.
type file struct {
	path string // from the repository's root, with slashes
	ast  *ast.File
	fset *token.FileSet
}

// at is a position in f, for people.
func (f *file) at(n ast.Node) string {
	return f.path + ":" + strconv.Itoa(f.fset.Position(n.Pos()).Line)
}

// goFiles parses the Go files below the given folders for which keep returns true. Folders that are not there yet
// have none. Nested modules and testdata are not looked at.
func goFiles(keep func(path string) bool, folders ...string) ([]*file, error) {
	var files []*file
	for _, folder := range folders {
		root := filepath.Join(repository, folder)
		err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
			if err != nil {
				if path == root && os.IsNotExist(err) {
					return nil
				}
				return err
			}
			if d.IsDir() {
				name := d.Name()
				_, nested := os.Stat(filepath.Join(path, "go.mod"))
				if name == "testdata" || path != root && (strings.HasPrefix(name, ".") || nested == nil) {
					return filepath.SkipDir
				}
				return nil
			}
			rel, err := filepath.Rel(repository, path)
			if err != nil {
				return err
			}
			rel = filepath.ToSlash(rel)
			if !strings.HasSuffix(rel, ".go") || !keep(rel) {
				return nil
			}
			f := &file{path: rel, fset: token.NewFileSet()}
			if f.ast, err = parser.ParseFile(f.fset, path, nil, parser.SkipObjectResolution); err != nil {
				return err
			}
			files = append(files, f)
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	return files, nil
}

func isTest(path string) bool { return strings.HasSuffix(path, "_test.go") }

// product are the files of the given folders that are not tests.
func product(folders ...string) []*file {
	GinkgoHelper()
	files, err := goFiles(func(path string) bool { return !isTest(path) }, folders...)
	Expect(err).NotTo(HaveOccurred())
	return files
}

// imports are the paths that f imports.
func (f *file) imports() []string {
	var paths []string
	for _, i := range f.ast.Imports {
		if path, err := strconv.Unquote(i.Path.Value); err == nil {
			paths = append(paths, path)
		}
	}
	return paths
}

// selects are the names behind a dot in f: methods, fields and names of packages.
func (f *file) selects() []string {
	var names []string
	ast.Inspect(f.ast, func(n ast.Node) bool {
		if s, ok := n.(*ast.SelectorExpr); ok {
			names = append(names, s.Sel.Name)
		}
		return true
	})
	return names
}

// uses are the names that f takes from package path, each with where it does.
func (f *file) uses(path string) map[string]string {
	local := ""
	for _, i := range f.ast.Imports {
		if i.Path.Value == strconv.Quote(path) {
			local = path[strings.LastIndex(path, "/")+1:]
			if i.Name != nil {
				local = i.Name.Name
			}
		}
	}
	names := map[string]string{}
	if local == "" {
		return names
	}
	ast.Inspect(f.ast, func(n ast.Node) bool {
		if s, ok := n.(*ast.SelectorExpr); ok {
			if x, ok := s.X.(*ast.Ident); ok && x.Name == local {
				names[s.Sel.Name] = f.at(n)
			}
		}
		return true
	})
	return names
}

// stringsOf calls visit with every string literal below n.
func stringsOf(n ast.Node, visit func(lit *ast.BasicLit, value string)) {
	ast.Inspect(n, func(n ast.Node) bool {
		if lit, ok := n.(*ast.BasicLit); ok && lit.Kind == token.STRING {
			if value, err := strconv.Unquote(lit.Value); err == nil {
				visit(lit, value)
			}
		}
		return true
	})
}

// TestInvariantsHaveTests fails when an invariant of INVARIANTS.md has no test with its number in the name: a test
// function, or a Ginkgo node or subtest whose text says it.
func TestInvariantsHaveTests(t *testing.T) {
	page, err := os.ReadFile("INVARIANTS.md")
	if err != nil {
		t.Fatal(err)
	}
	missing := map[string]bool{}
	for i, m := range regexp.MustCompile(`(?m)^(\d+)\. \*\*`).FindAllStringSubmatch(string(page), -1) {
		if m[1] != strconv.Itoa(i+1) {
			t.Fatalf("INVARIANTS.md: number %s follows %d", m[1], i)
		}
		missing[m[1]] = true
	}
	if len(missing) != 8 {
		t.Fatalf("INVARIANTS.md has %d invariants, expected 8", len(missing))
	}
	tests, err := goFiles(isTest, ".")
	if err != nil {
		t.Fatal(err)
	}
	inText, inName := regexp.MustCompile(`(?i)\binvariant (\d+)\b`), regexp.MustCompile(`Invariant(\d+)`)
	nodes := []string{"Describe", "Context", "When", "It", "DescribeTable", "Entry", "Run"}
	for _, f := range tests {
		ast.Inspect(f.ast, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.FuncDecl:
				for _, m := range inName.FindAllStringSubmatch(n.Name.Name, -1) {
					delete(missing, m[1])
				}
			case *ast.CallExpr:
				name := ""
				switch fun := n.Fun.(type) {
				case *ast.Ident:
					name = fun.Name
				case *ast.SelectorExpr:
					name = fun.Sel.Name
				}
				if len(n.Args) == 0 || !slices.Contains(nodes, name) {
					return true
				}
				stringsOf(n.Args[0], func(_ *ast.BasicLit, value string) {
					for _, m := range inText.FindAllStringSubmatch(value, -1) {
						delete(missing, m[1])
					}
				})
			}
			return true
		})
	}
	for number := range missing {
		t.Errorf("invariant %s has no test with \"invariant %s\" in its name", number, number)
	}
}

var _ = Describe("Invariant 3: a gateway's region comes from its own configuration alone", func() {
	It("cannot come with a request or an answer, which have no region", func() {
		for _, v := range []any{spec.Request{}, spec.Response{}, spec.Identity{}, spec.Trace{}, spec.Header{}} {
			for _, f := range reflect.VisibleFields(reflect.TypeOf(v)) {
				Expect(strings.ToLower(f.Name)).NotTo(ContainSubstring("region"), "%T", v)
			}
		}
	})

	It("is set from no header and no host name in the gateway's code", func() {
		files := product("gateway")
		Expect(files).NotTo(BeEmpty())
		source := regexp.MustCompile(`^(Hostname|Host|Header|Headers|Authority|SNI|ServerName|TLS)$`)
		for _, f := range files {
			ast.Inspect(f.ast, func(n ast.Node) bool {
				switch n.(type) {
				case *ast.AssignStmt, *ast.KeyValueExpr, *ast.ValueSpec, *ast.ReturnStmt:
					region, from := mentions(n, source)
					Expect(region && from != "").To(BeFalse(), "%s: a region beside %s", f.at(n), from)
				}
				return true
			})
		}
	})
})

// mentions reports whether code speaks of a region, as a name or within a string, and which name that matches source
// it uses.
func mentions(n ast.Node, source *regexp.Regexp) (region bool, from string) {
	stringsOf(n, func(_ *ast.BasicLit, value string) {
		region = region || strings.Contains(strings.ToLower(value), "region")
	})
	ast.Inspect(n, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.FuncLit, *ast.BlockStmt:
			return false // its statements are looked at one by one
		case *ast.Ident:
			region = region || strings.Contains(strings.ToLower(n.Name), "region")
			if source.MatchString(n.Name) {
				from = n.Name
			}
		}
		return true
	})
	return region, from
}

var _ = Describe("Invariant 4: there is no HTTP between gateway and service", func() {
	It("is nothing that a transport or the session imports", func() {
		files := product("transports")
		Expect(files).NotTo(BeEmpty())
		for _, f := range files {
			for _, path := range f.imports() {
				Expect(path).NotTo(Or(HavePrefix("net/http"), HavePrefix("golang.org/x/net/http"), HavePrefix("golang.org/x/net/websocket")), f.path)
			}
		}
	})

	It("is called neither by the gateway nor by a service", func() {
		for _, f := range product("gateway", "runtime") {
			if strings.HasPrefix(f.path, "gateway/auth/") {
				continue // an identity provider's keys come by HTTP; it is no service behind the gateway
			}
			if strings.HasPrefix(f.path, "gateway/legacy/") {
				continue // what has not become a service yet; see below
			}
			if f.path == "gateway/cmd/stella-gateway/ctl.go" {
				continue // it asks a gateway's own address for operators, from a shell
			}
			Expect(f.imports()).NotTo(ContainElement("net/http/httputil"), f.path)
			names := f.uses("net/http")
			for _, client := range []string{
				"Client", "DefaultClient", "Transport", "DefaultTransport", "Get", "Head", "Post", "PostForm", "NewRequest", "NewRequestWithContext",
			} {
				Expect(names).NotTo(HaveKey(client), f.path)
			}
		}
	})

	It("is for what has not become a service yet alone, which no session, instance or catalogue knows of", func() {
		const legacy = "github.com/stella-ops/router/gateway/legacy"
		for _, f := range product("gateway", "runtime", "transports") {
			if f.path == "gateway/edge/legacy.go" || f.path == "gateway/edge/forward.go" || f.path == "gateway/edge/edge.go" ||
				f.path == "gateway/edge/policy.go" || f.path == "gateway/config/gateway.go" {
				continue // the configuration of such routes, and the stage that takes them out before an instance is looked for
			}
			Expect(f.imports()).NotTo(ContainElement(legacy), f.path)
		}
		for _, f := range product("gateway/legacy") {
			for _, path := range f.imports() {
				Expect(path).NotTo(Or(HavePrefix("github.com/stella-ops/router/transports"), HavePrefix("github.com/stella-ops/router/gateway/catalog")), f.path)
			}
		}
	})

	It("is not served by a service", func() {
		for _, f := range product("runtime") {
			names := f.uses("net/http")
			for _, server := range []string{"Server", "ListenAndServe", "ListenAndServeTLS", "Serve", "ServeTLS"} {
				if server == "Server" && f.path == "runtime/httpbridge/httpbridge.go" {
					continue // a value that handlers may look for in the context: it never listens
				}
				Expect(names).NotTo(HaveKey(server), f.path)
			}
			Expect(f.selects()).NotTo(ContainElement(BeElementOf("ListenAndServe", "ListenAndServeTLS", "ServeTLS")), f.path)
		}
	})
})

var _ = Describe("Invariant 6: bodies are opaque to the router", func() {
	It("has no parser of bodies in a transport, the session or the gateway's edge", func() {
		parsers := Or(HavePrefix("compress/"), HavePrefix("mime"), Equal("encoding/xml"), Equal("encoding/csv"), Equal("encoding/gob"))
		files := product("transports", "gateway/edge")
		Expect(files).NotTo(BeEmpty())
		for _, f := range files {
			for _, path := range f.imports() {
				Expect(path).NotTo(parsers, f.path)
			}
			names := f.uses("encoding/json") // the gateway's own problems are encoded; nothing is decoded
			for _, decoder := range []string{"Unmarshal", "NewDecoder", "Decoder", "Valid", "Compact", "Indent"} {
				Expect(names).NotTo(HaveKey(decoder), f.path)
			}
		}
	})
})

var _ = Describe("Invariant 7: authorization is by claims that the endpoint requires", func() {
	It("makes every endpoint of a manifest either name claims or say why it is public", func() {
		for _, change := range []func(*spec.Endpoint){
			func(e *spec.Endpoint) { e.Claims, e.Public = nil, "" },
			func(e *spec.Endpoint) { e.Claims, e.Public = []spec.ClaimRequirement{{Type: "scope"}}, "open to all" },
		} {
			m := billing()
			change(&m.Endpoints[0])
			_, err := m.Encode()
			Expect(err).To(MatchError(ContainSubstring("needs either claims or a reason to be public")))
		}
	})

	It("knows no allowed roles, under no name, in no file", func() {
		notion := regexp.MustCompile(`(?i)\b(allowed|permitted|required?|requiring)[-_ ]?roles?\b`)
		own := []string{"spec/INVARIANTS.md", "spec/invariants_test.go"}
		kinds := []string{".go", ".json", ".yaml", ".yml", ".tmpl", ".md"}
		seen := 0
		Expect(filepath.WalkDir(repository, func(path string, d fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			rel, err := filepath.Rel(repository, path)
			if err != nil {
				return err
			}
			rel = filepath.ToSlash(rel)
			switch {
			case d.IsDir() && rel != "." && (strings.HasPrefix(d.Name(), ".") || rel == "tools" || rel == "bin"):
				return filepath.SkipDir
			case d.IsDir() || !slices.Contains(kinds, filepath.Ext(rel)) || slices.Contains(own, rel):
				return nil
			}
			b, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			seen++
			Expect(notion.Find(b)).To(BeNil(), rel)
			return nil
		})).To(Succeed())
		Expect(seen).To(BeNumerically(">", 10))
	})
})

var _ = Describe("Invariant 8: a transport moves frames and knows nothing else", func() {
	const (
		module  = "github.com/stella-ops/router"
		session = "transports/session/"
	)

	It("takes from the contract only what a frame's form needs", func() {
		form := []string{
			"Header", "HeaderSize", "ParseHeader", "GetHeader", "FrameError", "FrameType", "Flags", "ProtocolVersion",
			"MaxFrameHello", "MaxFrameDefault", "MaxFrameHard", "MaxMetadata", "HelloTimeout", "WriteStall",
		}
		// On QUIC a call has a stream of its own, so that link has to see where a call begins and ends.
		calls := []string{"TypeWelcome", "TypeRequest", "TypeCancel", "TypeCredit", "FlagEnd", "StreamWindow", "CancelHold"}
		jobs := []string{"MaxJobBody", "MaxAttempts", "MaxLeaseMS"} // whose bounds the generator has to know, too
		checked := 0
		for _, f := range product("transports") {
			if strings.HasPrefix(f.path, session) || strings.HasPrefix(f.path, "transports/conformance/") { // which drives sessions
				continue
			}
			checked++
			Expect(f.imports()).NotTo(ContainElement(HavePrefix(module+"/"+strings.TrimSuffix(session, "/"))), f.path)
			for name, at := range f.uses(module + "/spec") {
				seen := strings.HasPrefix(f.path, "transports/quic/") && slices.Contains(calls, name) || f.path == "transports/job.go" && slices.Contains(jobs, name)
				if !seen {
					Expect(form).To(ContainElement(name), at)
				}
			}
		}
		Expect(checked).To(BeNumerically(">", 3))
	})

	It("is not asked for its name by the session", func() {
		files := product(session)
		Expect(files).NotTo(BeEmpty())
		for _, f := range files {
			Expect(f.imports()).NotTo(ContainElement(HavePrefix(module+"/transports/")), f.path)
			ast.Inspect(f.ast, func(n ast.Node) bool {
				if s, ok := n.(*ast.SelectorExpr); ok {
					Expect(s.Sel.Name).NotTo(Equal("Scheme"), f.at(n))
				}
				return true
			})
		}
	})
})
