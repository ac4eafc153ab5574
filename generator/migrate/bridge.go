package migrate

import (
	"bytes"
	"errors"
	"fmt"
	"go/ast"
	"go/format"
	"go/parser"
	"go/token"
	"go/types"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/tools/go/packages"

	"github.com/stella-ops/router/generator/diagnostic"
	"github.com/stella-ops/router/generator/directive"
	"github.com/stella-ops/router/generator/scaffold"
	"github.com/stella-ops/router/spec"
)

// BridgeFile is the name of the file that has the endpoints of whole routers.
const BridgeFile = "stella_bridge.go"

// slashHelper is a function of the bridge.
const slashHelper = "stellaWithSlash"

// bridgeFile is the bridge of a package. What is there stays as it is.
type bridgeFile struct {
	pkg     *packages.Package
	name    string
	old     []byte            // nil if there is none
	cut     [][2]int          // ranges of old that go
	swaps   []swap            // directives of old that change
	methods map[string][2]int // by identity
	keys    map[string][]keyLine
	where   map[string]token.Position
	said    map[string]string // METHOD PATH
	names   map[string]bool   // of types, and TYPE.METHOD
	types   []string          // that are new
	docs    map[string]string // of new types
	added   map[string][]string
	order   []string
	slash   bool // the helper is needed
	fields  []string
	roots   map[*node]string
}

// keyLine is a directive that has keys of an endpoint.
type keyLine struct {
	from, to int    // in the file
	head     string // what stands before the keys
	keys     keyList
}

// swap is what takes the place of a range of a file.
type swap struct {
	from, to int
	text     string
}

// bridge makes endpoints of a route that serve the whole router.
func (p *planner) bridge(r *Route) error {
	for _, m := range r.methods {
		for _, path := range r.t.paths {
			id, err := (&spec.Endpoint{Method: m, Path: path.Path}).Identity()
			if err != nil {
				return fmt.Errorf("migrate: %s: %w", r.Pattern, err)
			}
			if p.served[id] != "" {
				if err := p.keep(r, id, m, path.Path); err != nil {
					return err
				}
				continue
			}
			b, err := p.bridgeOf(r)
			if err != nil {
				return err
			}
			if b == nil {
				p.leavef(r, "the package of its router is not one of those that are read: say one with --package")
				return nil
			}
			if why := p.collides(b.pkg); why != "" && !p.own[b.pkg.Dir] {
				p.leavef(r, "%s: say another with --package", strings.Replace(why, "its package", "package "+b.pkg.Name, 1))
				return nil
			}
			b.add(p, r, m, path)
			p.served[id] = r.rootKey()
			p.need[b.pkg]++
			p.plan.Bridged = append(p.plan.Bridged, Planned{m, path.Path, r})
		}
	}
	return nil
}

// keep is what becomes of an endpoint that is there.
func (p *planner) keep(r *Route, id, method, path string) error {
	by := p.served[id]
	switch {
	case filepath.Base(by) == BridgeFile:
		return p.rekey(by, id, r, method, path)
	case by != r.rootKey() && strings.HasPrefix(by, "root "):
		p.leavef(r, "%s %s is an endpoint of another router already", method, path)
	}
	return nil // the same router decides, or an endpoint of its own has it
}

// rootKey tells routers apart.
func (r *Route) rootKey() string { return fmt.Sprintf("root %p", r.root) }

// bridgeOf is the bridge of a route's router: in the package that was asked for, or that makes the router.
func (p *planner) bridgeOf(r *Route) (*bridgeFile, error) {
	var pkg *packages.Package
	for _, candidate := range p.r.p.pkgs {
		switch {
		case p.o.Package != "" && candidate.Dir == p.o.Package, p.o.Package == "" && r.root.pkg != nil && candidate.Types == r.root.pkg:
			pkg = candidate
		}
	}
	if p.o.Package != "" && pkg == nil {
		return nil, fmt.Errorf("%w: --package %s: no package that was read is in this folder", errInput, p.o.Package)
	}
	if pkg == nil && r.root.pkg == nil { // http.DefaultServeMux
		pkg = p.files[filepath.Join(p.r.p.dir, filepath.FromSlash(r.File))]
	}
	if pkg == nil || pkg.Module == nil || !pkg.Module.Main {
		return nil, nil //nolint:nilnil // there is none
	}
	return p.bridgeIn(pkg)
}

func (p *planner) bridgeIn(pkg *packages.Package) (*bridgeFile, error) {
	if b := p.bridges[pkg.Dir]; b != nil {
		return b, nil
	}
	b := &bridgeFile{
		pkg: pkg, name: filepath.Join(pkg.Dir, BridgeFile),
		methods: map[string][2]int{}, keys: map[string][]keyLine{}, where: map[string]token.Position{}, said: map[string]string{},
		names: map[string]bool{}, docs: map[string]string{},
		added: map[string][]string{}, roots: map[*node]string{},
	}
	old, err := os.ReadFile(b.name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return nil, fmt.Errorf("migrate: reading the bridge: %w", err)
	default:
		if err := b.parse(old); err != nil {
			return nil, err
		}
	}
	p.bridges[pkg.Dir] = b
	return b, nil
}

// parse finds the endpoints of a bridge that is there.
func (b *bridgeFile) parse(old []byte) error {
	b.old = old
	fset := token.NewFileSet()
	f, err := parser.ParseFile(fset, b.name, old, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		return fmt.Errorf("%w: %w", errInput, err)
	}
	for _, decl := range f.Decls {
		switch d := decl.(type) {
		case *ast.GenDecl:
			for _, s := range d.Specs {
				if ts, ok := s.(*ast.TypeSpec); ok {
					b.names[ts.Name.Name] = true
				}
			}
		case *ast.FuncDecl:
			name := d.Name.Name
			if d.Recv != nil && len(d.Recv.List) == 1 {
				name = strings.TrimPrefix(types.ExprString(d.Recv.List[0].Type), "*") + "." + name
			}
			b.names[name] = true
			if id, said := endpointOf(d.Doc); id != "" {
				b.where[id], b.said[id] = fset.Position(d.Name.Pos()), said
				b.methods[id] = [2]int{fset.Position(d.Doc.Pos()).Offset, fset.Position(d.End()).Offset}
				b.keys[id] = keyLines(fset, d.Doc)
			}
		}
	}
	return nil
}

// endpointOf is the identity of the endpoint that a doc comment makes, and how it is said; empty if it makes none.
func endpointOf(doc *ast.CommentGroup) (id, said string) {
	if doc == nil {
		return "", ""
	}
	for _, c := range doc.List {
		head, ok := ast.ParseDirective(c.Slash, c.Text)
		if words := strings.Fields(head.Args); ok && head.Tool == "stella" && head.Name == "endpoint" && len(words) > 1 {
			if id, err := (&spec.Endpoint{Method: words[0], Path: words[1]}).Identity(); err == nil {
				return id, words[0] + " " + words[1]
			}
		}
	}
	return "", ""
}

// keyLines are the directives of a doc comment that have keys of its endpoint.
func keyLines(fset *token.FileSet, doc *ast.CommentGroup) []keyLine {
	var lines []keyLine
	for _, c := range doc.List {
		head, ok := ast.ParseDirective(c.Slash, c.Text)
		if !ok || head.Tool != "stella" || head.Name != "endpoint" && head.Name != "with" {
			continue
		}
		var findings diagnostic.List
		d := directive.ParseArgs(head.Name, head.Args, token.Position{}, &findings)
		if d == nil {
			continue // a finding of the package tells it
		}
		words := []string{"//stella:" + head.Name}
		for _, a := range d.Args {
			words = append(words, a.Text)
		}
		from := fset.Position(c.Slash).Offset
		lines = append(lines, keyLine{from, from + len(c.Text), strings.Join(words, " "), keysOf(d, head.Args)})
	}
	return lines
}

// rekey mends the keys of an endpoint that is there: those that its method cannot have go, and those that --with says are added.
// What has another value stays, because whoever changed it has had a reason.
func (p *planner) rekey(name, id string, r *Route, method, path string) error {
	b, err := p.bridgeNamed(name)
	if err != nil {
		return err
	}
	lines, endpoint := b.keys[id], method+" "+path
	if len(lines) == 0 {
		return nil
	}
	b.keys[id] = nil // once
	var all keyList
	for _, l := range lines {
		all = append(all, l.keys...)
	}
	fits, unfits := fit(method, all)
	for _, u := range unfits {
		p.noteKeys(u.key, "mended in "+BridgeFile+": "+u.why, endpoint)
	}
	wanted, _ := fit(method, r.uses.keys(method, p.with))
	for _, k := range wanted {
		if p.with.index(k.name) < 0 {
			continue // the handler's own need: the report tells it, and who has taken it away has had a reason
		}
		switch i := fits.index(k.name); {
		case i < 0:
			fits = append(fits, k)
			p.noteKeys(k.String(), "added in "+BridgeFile, endpoint)
		case fits[i].value != k.value:
			p.noteKeys(k.String(), "not set: "+BridgeFile+" has "+fits[i].String()+", which stays: change it there, or remove it and run migrate again", endpoint)
		}
	}
	for n, l := range lines {
		keys := slices.DeleteFunc(slices.Clone(fits), func(k key) bool {
			if l.keys.index(k.name) >= 0 {
				return false
			}
			return n > 0 || all.index(k.name) >= 0 // what is new stands in the first line
		})
		if keys.String() == l.keys.String() {
			continue
		}
		text := strings.TrimSpace(l.head + " " + keys.String())
		if len(keys) == 0 && n > 0 { // a with directive without keys
			text, l.from = "", bytes.LastIndexByte(b.old[:l.from], '\n')+1
			l.to += bytes.IndexByte(b.old[l.to:], '\n') + 1
		}
		b.swaps = append(b.swaps, swap{l.from, l.to, text})
	}
	return nil
}

// unbridge takes an endpoint out of a bridge, because its handler is one now.
func (p *planner) unbridge(name, id string) error {
	b, err := p.bridgeNamed(name)
	if err != nil {
		return err
	}
	if span, ok := b.methods[id]; ok {
		b.cut = append(b.cut, span)
	}
	return nil
}

// bridgeNamed is the bridge that is a file.
func (p *planner) bridgeNamed(name string) (*bridgeFile, error) {
	for _, pkg := range p.r.p.pkgs {
		if filepath.Join(pkg.Dir, BridgeFile) == name {
			return p.bridgeIn(pkg)
		}
	}
	return nil, fmt.Errorf("%w: %s serves the endpoint already, and its package is not one of those that are read", errInput, name)
}

// add adds an endpoint.
func (b *bridgeFile) add(p *planner, r *Route, method string, path stellaPath) {
	typ := b.typeOf(p, r)
	pattern, err := spec.ParsePattern(path.Path)
	if err != nil {
		return // translate has parsed it
	}
	name := scaffold.HandlerName(method, pattern)
	for n := 2; b.names[typ+"."+name]; n++ {
		name = fmt.Sprintf("%s%d", scaffold.HandlerName(method, pattern), n)
	}
	b.names[typ+"."+name] = true
	var t strings.Builder
	fmt.Fprintf(&t, "\n// %s serves %s as the router does.\n//\n%s\n", name, oneLine(method+" "+r.Host+r.Pattern), p.endpointLine(r, method, path.Path))
	for _, line := range p.lines {
		t.WriteString(line + "\n")
	}
	request := "r"
	if path.Slash {
		request, b.slash = slashHelper+"(r)", true
	}
	by := r.Handler
	if len(r.Guards) > 0 {
		by += ", behind " + strings.Join(r.Guards, ", ")
	}
	fmt.Fprintf(&t, "func (b *%s) %s(w http.ResponseWriter, r *http.Request) {\n\tb.Router.ServeHTTP(w, %s) // %s\n}\n", typ, name, request, oneLine(by))
	if b.added[typ] == nil {
		b.order = append(b.order, typ)
	}
	b.added[typ] = append(b.added[typ], t.String())
}

// oneLine keeps what is quoted from the source within one line of a comment, which must not look like a directive.
func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }

// typeOf is the name of the type that holds a route's router. It is that of the function that makes the router, so that it
// does not depend on other routers.
func (b *bridgeFile) typeOf(p *planner, r *Route) string {
	if name := b.roots[r.root]; name != "" {
		return name
	}
	from := "router"
	switch {
	case r.root.fn != nil:
		from = r.root.fn.Name()
	case r.root == p.r.it.mux:
		from = "DefaultServeMux"
	}
	base := exportedName(strings.TrimPrefix(strings.TrimPrefix(from, "New"), "new"))
	if base == "" {
		base = "Router"
	}
	base += "Bridge"
	name := base
	taken := func(name string) bool {
		obj := b.pkg.Types.Scope().Lookup(name)
		if obj != nil && filepath.Base(p.r.p.fset.Position(obj.Pos()).Filename) != BridgeFile {
			return true
		}
		for _, other := range b.roots {
			if other == name {
				return true
			}
		}
		return false
	}
	for n := 2; taken(name); n++ {
		name = fmt.Sprintf("%s%d", base, n)
	}
	b.roots[r.root] = name
	where := "the router that " + from + " makes"
	switch {
	case r.root == p.r.it.mux:
		where = "http.DefaultServeMux"
	case r.root.fn == nil:
		where = "the router of " + p.r.p.place(r.root.created).String()
	}
	b.fields = append(b.fields, fmt.Sprintf("%s.Handlers: %s: &%s.%s{Router: /* %s, or what wraps it whole */}", b.pkg.Name, name, b.pkg.Name, name, where))
	if !b.names[name] {
		b.names[name] = true
		b.types = append(b.types, name)
		b.docs[name] = where
	}
	return name
}

func exportedName(s string) string {
	first, size := utf8.DecodeRuneInString(s)
	if size == 0 {
		return ""
	}
	return string(unicode.ToUpper(first)) + s[size:]
}

// bridgeHead begins a bridge.
const bridgeHead = `// The endpoints of this file serve routes by the router that has them, so that its middleware runs as before. stellagen
// migrate has written it; it adds to it and takes from it, and leaves the rest as it is. Give each endpoint the claims that its
// callers need. A handler with a directive of its own needs no endpoint here.

package %s

import "net/http"
`

const slashFunc = `
// stellaWithSlash is the request with a slash behind its path, as the router wants it.
func stellaWithSlash(r *http.Request) *http.Request {
	u := *r.URL
	u.Path += "/"
	if u.RawPath != "" {
		u.RawPath += "/"
	}
	with := r.WithContext(r.Context())
	with.URL = &u
	return with
}
`

// file is the bridge as it should be; nil if nothing changes.
func (b *bridgeFile) file() (*File, error) {
	var out bytes.Buffer
	changes := slices.Clone(b.swaps)
	for _, span := range b.cut {
		changes = append(changes, swap{span[0], span[1], ""})
	}
	slices.SortFunc(changes, func(x, y swap) int { return x.from - y.from })
	if b.old == nil {
		fmt.Fprintf(&out, bridgeHead, b.pkg.Name)
	} else {
		at := 0
		for _, c := range changes {
			kept := b.old[at:c.from]
			if c.text == "" { // no empty lines are left where something was
				kept = append(bytes.TrimRight(kept, "\n"), '\n')
			}
			out.Write(kept)
			out.WriteString(c.text)
			at = c.to
		}
		out.Write(b.old[at:])
	}
	for _, typ := range b.types {
		fmt.Fprintf(&out, "\n// %s serves routes of %s.\ntype %s struct {\n\tRouter http.Handler // the router, or what wraps it whole\n}\n", typ, b.docs[typ], typ)
	}
	for _, typ := range b.order {
		for _, method := range b.added[typ] {
			out.WriteString(method)
		}
	}
	if b.slash && !b.names[slashHelper] {
		out.WriteString(slashFunc)
	}
	text, err := format.Source(out.Bytes())
	if err != nil {
		return nil, fmt.Errorf("migrate: %s: %w", b.name, err)
	}
	if bytes.Equal(text, b.old) || b.old == nil && len(b.order) == 0 {
		return nil, nil //nolint:nilnil // nothing changes
	}
	if b.old != nil && len(changes) == 0 && len(b.order) == 0 {
		return nil, nil //nolint:nilnil // the user's own changes stay, formatted or not
	}
	if !directive.Mentions(text) && len(b.cut) > 0 && len(b.order) == 0 {
		return &File{b.name, b.old, nil}, nil // all handlers have moved
	}
	return &File{b.name, b.old, text}, nil
}
