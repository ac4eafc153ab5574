package migrate

import (
	"context"
	"fmt"
	"go/ast"
	"go/build"
	"go/build/constraint"
	"go/token"
	"go/types"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/tools/go/packages"

	"github.com/stella-ops/router/generator/diagnostic"
	"github.com/stella-ops/router/generator/directive"
	"github.com/stella-ops/router/generator/scan"
	"github.com/stella-ops/router/spec"
)

// Options say what is written. Endpoints need claims, or a reason for having none.
type Options struct {
	Write   bool     // directives above handlers
	Bridge  bool     // endpoints that serve whole routers
	Public  string   // why callers need no claims
	Claims  []string // TYPE, or TYPE VALUE
	Service string   // name of a service that begins; empty: that of its package
	Package string   // absolute folder of the bridge's package; empty: that of the router
	With    string   // keys of all endpoints, as the directive has them
	Drop    []string // middleware that a handler may do without, as the report has it
}

// Plan is what would be written.
type Plan struct {
	Files   []File    // that change, sorted
	Written []Planned // by a directive above the handler
	Bridged []Planned
	Left    []Left
	Keys    []KeyNote
	Needs   []Need   // of what is written
	Stale   []Stale  // endpoints of the bridge
	Fields  []string // of Handlers, and what they are to hold
}

// File is a file as it is and as it should be.
type File struct {
	Name     string // absolute
	Old, New []byte // Old is nil if there is none
}

// Planned is an endpoint that a route becomes.
type Planned struct {
	Method, Path string
	Route        *Route
}

// Need is what an endpoint lacks that its handler needs: nobody but its author knows the value.
type Need struct {
	Planned

	Why string
}

// Left is a route that becomes none.
type Left struct {
	Route *Route
	Why   string
}

// Stale is an endpoint of a bridge whose route was not found.
type Stale struct {
	Place

	Endpoint string // METHOD PATH
}

// planner makes a plan.
type planner struct {
	r       *Report
	o       Options
	plan    *Plan
	lines   []string          // of access
	with    keyList           // of all endpoints, if they may have them
	served  map[string]string // identities, and the files that serve them
	annot   map[string]bool   // handlers that have a directive, as file:line
	service *scan.Service     // that packages without one become parts of
	own     map[string]bool   // folders of packages that are of a service
	result  *scan.Result
	edits   edits
	uses    map[*types.Func]int
	having  map[string]int            // routes by identity
	fields  map[string]string         // types of receivers, by the package's folder and the field of Handlers
	need    map[*packages.Package]int // new endpoints by package
	bridges map[string]*bridgeFile    // by folder
	files   map[string]*packages.Package
}

// Plan decides what becomes of the routes. The module is as it was when the report was made.
func (r *Report) Plan(ctx context.Context, c Config, o Options) (*Plan, error) {
	p := &planner{
		r: r, o: o, plan: &Plan{}, served: map[string]string{}, annot: map[string]bool{}, own: map[string]bool{}, uses: map[*types.Func]int{},
		having: map[string]int{}, fields: map[string]string{},
		need: map[*packages.Package]int{}, bridges: map[string]*bridgeFile{}, files: map[string]*packages.Package{},
	}
	p.edits.fset = r.p.fset
	lines, err := o.access()
	if err != nil {
		return nil, err
	}
	if err := r.checkDrop(o.Drop); err != nil {
		return nil, err
	}
	p.lines = lines
	p.with, _ = parseKeys(o.With) // access has looked at them
	if err := p.existing(ctx, c); err != nil {
		return nil, err
	}
	for _, pkg := range r.p.pkgs {
		for _, f := range pkg.Syntax {
			p.files[r.p.fset.File(f.Pos()).Name()] = pkg
		}
	}
	for i := range r.Routes {
		if fn := r.Routes[i].handler.fn; fn != nil {
			p.uses[fn]++
		}
		for _, id := range identities(&r.Routes[i]) {
			p.having[id]++
		}
	}
	for i := range r.Routes {
		if err := p.route(&r.Routes[i]); err != nil {
			return nil, err
		}
	}
	if err := p.stale(); err != nil {
		return nil, err
	}
	if err := p.belong(); err != nil {
		return nil, err
	}
	return p.finish()
}

// checkDrop refuses middleware that no route has: a handler would keep what it was to lose.
func (r *Report) checkDrop(drop []string) error {
	var names []string
	for i := range r.Routes {
		names = append(names, r.Routes[i].Guards...)
	}
	slices.Sort(names)
	names = slices.Compact(names)
	for _, name := range drop {
		switch {
		case slices.Contains(names, name):
		case len(names) == 0:
			return fmt.Errorf("%w: --drop %s: no route has a middleware", errInput, name)
		default:
			return fmt.Errorf("%w: --drop %s: no route has this middleware, expected one of %s", errInput, name, strings.Join(names, ", "))
		}
	}
	return nil
}

// stale lists the endpoints of bridges that no route is known for.
func (p *planner) stale() error {
	for _, pkg := range p.r.p.pkgs {
		if _, err := os.Stat(filepath.Join(pkg.Dir, BridgeFile)); err != nil {
			continue
		}
		b, err := p.bridgeIn(pkg)
		if err != nil {
			return err
		}
		for _, id := range sortedKeys(b.methods) {
			if p.having[id] == 0 {
				p.plan.Stale = append(p.plan.Stale, Stale{p.r.p.placeOf(b.where[id]), b.said[id]})
			}
		}
	}
	slices.SortFunc(p.plan.Stale, func(a, b Stale) int { return comparePlaces(a.Place, b.Place) })
	return nil
}

// Check tells what of the options is wrong, before anything is read.
func (o Options) Check() error {
	_, err := o.access()
	return err
}

// access makes the lines that say who may call, and checks them by the grammar of directives.
func (o Options) access() (lines []string, err error) {
	switch {
	case o.Public != "" && len(o.Claims) > 0:
		return nil, fmt.Errorf("%w: an endpoint has claims or is public, not both", errInput)
	case o.Public == "" && len(o.Claims) == 0:
		return nil, fmt.Errorf("%w: every endpoint has claims or says why it is public: give --claim \"TYPE VALUE\" or --public \"why\"", errInput)
	case o.Public != "":
		lines = append(lines, "//stella:public "+strconv.Quote(o.Public))
	}
	for _, claim := range o.Claims {
		lines = append(lines, "//stella:claim "+claim)
	}
	all := slices.Clone(lines)
	if list, _ := parseKeys(o.With); list.contradiction() != "" {
		return nil, fmt.Errorf("%w: --with %q: %s", errInput, o.With, list.contradiction())
	}
	if o.With != "" {
		all = append(all, "//stella:with "+o.With)
	}
	if o.Service != "" {
		all = append(all, "//stella:service "+o.Service+" version=0.1.0")
	}
	for _, line := range all {
		var list diagnostic.List
		fset := token.NewFileSet()
		file := fset.AddFile("flags", -1, len(line)+1)
		directive.Parse(fset, &ast.Comment{Slash: file.Pos(0), Text: line}, &list)
		if found := list.Sorted(); len(found) > 0 || strings.ContainsAny(line, "\n\r") {
			why := "it has several lines"
			if len(found) > 0 {
				why = found[0].Message
			}
			return nil, fmt.Errorf("%w: %s would be no directive: %s", errInput, line, why)
		}
	}
	return lines, nil
}

// existing reads the endpoints that the module has.
func (p *planner) existing(ctx context.Context, c Config) error {
	var list diagnostic.List
	result, _, err := scan.Scan(ctx, scan.Config{Dir: c.Dir, Env: c.Env, Patterns: []string{"./..."}}, &list)
	if err != nil {
		return fmt.Errorf("migrate: reading endpoints: %w", err)
	}
	found := slices.DeleteFunc(list.Sorted(), func(f diagnostic.Finding) bool {
		return f.Rule == diagnostic.NoEndpoints || // which is what this mends, and so are keys of the bridge that its methods cannot have
			p.o.Bridge && f.Rule == diagnostic.Streaming && filepath.Base(f.Pos.Filename) == BridgeFile
	})
	if len(found) > 0 {
		f := found[0]
		return fmt.Errorf("%w: the module has %d findings, the first: %s: %s: see stellagen check", errInput, len(found), p.r.p.placeOf(f.Pos), f.Message)
	}
	p.result = result
	var names []string
	for _, s := range result.Services {
		names = append(names, s.Name)
		if len(result.Services) == 1 || s.Name == p.o.Service {
			p.service = s
		}
		for _, pkg := range s.Packages() {
			p.own[pkg.Dir] = true
			for _, e := range pkg.Endpoints {
				id, err := (&spec.Endpoint{Method: e.Method, Path: e.Path}).Identity()
				if err == nil && s == p.service { // another service of the module may have the same path
					p.served[id] = e.Pos.Filename
				}
				p.annot[funcKey(pkg.ImportPath, e)] = true
				if e.Receiver != nil {
					p.fields[fieldKey(pkg.Dir, e.Receiver.Type)] = e.Receiver.Type
				}
			}
		}
	}
	if len(names) > 0 && p.service == nil || p.service != nil && p.o.Service != "" && p.o.Service != p.service.Name {
		return fmt.Errorf("%w: the module has services already: say one of %s with --service", errInput, strings.Join(names, ", "))
	}
	return nil
}

// fieldKey is the field of a package's Handlers that a type of receivers has.
func fieldKey(dir, typ string) string { return dir + "\n" + scan.ExportedName(typ) }

func funcKey(path string, e *scan.Endpoint) string {
	if e.Receiver != nil {
		return path + "." + e.Receiver.Type + "." + e.Func
	}
	return path + "." + e.Func
}

// keyOf is the same of a function that the type checker knows.
func keyOf(fn *types.Func) string {
	return strings.TrimSuffix(fn.Pkg().Path(), "/") + strings.TrimPrefix(funcName(fn), fn.Pkg().Name())
}

func (p *planner) leavef(r *Route, format string, args ...any) {
	p.plan.Left = append(p.plan.Left, Left{r, fmt.Sprintf(format, args...)})
}

// route decides what becomes of one route.
func (p *planner) route(r *Route) error {
	switch {
	case len(r.methods) == 0 || len(r.Paths) == 0:
		p.leavef(r, "%s", strings.Join(r.Notes, "; "))
		return nil
	case r.Doubt != "":
		p.leavef(r, "%s", r.Doubt)
		return nil
	}
	why := "--write was not given"
	if p.o.Write {
		if why = p.unsure(r); why == "" {
			return p.write(r)
		}
	}
	if p.o.Bridge {
		return p.bridge(r)
	}
	for _, id := range identities(r) {
		if p.served[id] == "" {
			p.leavef(r, "%s: --bridge makes an endpoint of it", why)
			return nil
		}
	}
	return nil
}

// identities are those of the endpoints that a route becomes.
func identities(r *Route) []string {
	var ids []string
	for _, m := range r.methods {
		for _, path := range r.Paths {
			if id, err := (&spec.Endpoint{Method: m, Path: path}).Identity(); err == nil {
				ids = append(ids, id)
			}
		}
	}
	return ids
}

// unsure says why a route's handler cannot do without the router; empty if it can.
func (p *planner) unsure(r *Route) string {
	fn := r.handler.fn
	lost := slices.DeleteFunc(slices.Clone(r.Guards), func(g string) bool { return slices.Contains(p.o.Drop, g) })
	switch {
	case fn == nil || p.r.p.funcs[fn] == nil:
		return "its handler is no function or method that is declared here"
	case !isHTTPSignature(fn.Signature()):
		return "its handler is no func(http.ResponseWriter, *http.Request)"
	case fn.Signature().TypeParams().Len() > 0 || fn.Signature().RecvTypeParams().Len() > 0:
		return "its handler is generic"
	case len(lost) > 0:
		return "it would lose its middleware " + strings.Join(lost, ", ") + ", unless --drop says that it may"
	case r.Method == "*":
		return "it takes any method, and an endpoint takes one"
	case !r.t.exact || len(r.Paths) != 1 || len(r.methods) != 1:
		return "its pattern says more than a path of Stella's: " + strings.Join(r.Notes, "; ")
	case p.uses[fn] > 1:
		return "its handler has several routes"
	case p.having[identities(r)[0]] > 1:
		return "its path has several routes"
	case p.annot[keyOf(fn)] && (p.served[identities(r)[0]] == "" || filepath.Base(p.served[identities(r)[0]]) == BridgeFile):
		return "its handler is another endpoint already"
	case len(r.Condition) > 0:
		return "it is there only " + strings.Join(r.Condition, ", ")
	}
	decl := p.r.p.funcs[fn]
	if pkg := p.reaches(fn); pkg != "" {
		return "its handler calls " + pkg + ", which needs the router: use r.PathValue and the like"
	}
	if why := p.unwritable(decl); why != "" {
		return why
	}
	return p.collides(decl.pkg)
}

// reaches is the package of a router that a handler calls, itself or by functions of the program.
func (p *planner) reaches(fn *types.Func) string {
	seen := map[*types.Func]bool{}
	var visit func(fn *types.Func) string
	visit = func(fn *types.Func) string {
		if seen[fn] {
			return ""
		}
		seen[fn] = true
		for _, c := range p.r.it.callees[fn] {
			if c.Pkg() == nil {
				continue
			}
			if fw, ok := frameworkOf(c.Pkg().Path()); ok && fw != ServeMux {
				return c.Pkg().Name() + "." + c.Name()
			}
			if found := visit(c); found != "" {
				return found
			}
		}
		return ""
	}
	return visit(fn)
}

// unwritable says why no directive can stand on a declaration.
func (p *planner) unwritable(fn *function) string {
	name := p.r.p.fset.File(fn.file.Pos()).Name()
	switch {
	case fn.pkg.Module == nil || !fn.pkg.Module.Main:
		return "its handler is declared in another module"
	case ast.IsGenerated(fn.file):
		return "its handler is in a generated file"
	case limited(name, fn.file):
		return "its handler is in a file that only some builds have"
	}
	return p.unnameable(fn)
}

// unnameable says why generated code cannot name a handler.
func (p *planner) unnameable(fn *function) string {
	recv := fn.obj.Signature().Recv()
	if recv == nil {
		if slices.Contains(append(scan.LocalNames(), "main", "init", "_"), fn.obj.Name()) {
			return "generated code cannot call a function that is called " + fn.obj.Name() + ": rename it"
		}
		return ""
	}
	named := namedOf(recv.Type())
	if named == nil {
		return "its receiver is no type of its package"
	}
	typ := named.Obj()
	at := p.r.p.fset.File(typ.Pos())
	switch {
	case slices.Contains(scan.LocalNames(), typ.Name()):
		return "generated code has variables that are called like its type, " + typ.Name() + ": rename it"
	case at != nil && p.files[at.Name()] != nil && slices.ContainsFunc(p.files[at.Name()].Syntax, func(f *ast.File) bool {
		return p.r.p.fset.File(f.Pos()) == at && limited(at.Name(), f)
	}):
		return "its type is declared in a file that only some builds have"
	}
	if other := p.fields[fieldKey(fn.pkg.Dir, typ.Name())]; other != "" && other != typ.Name() {
		return "its type " + typ.Name() + " would be the field of Handlers that " + other + " is: rename one of both"
	}
	return ""
}

// limited reports whether a file depends on the build.
func limited(name string, f *ast.File) bool {
	for _, group := range f.Comments {
		for _, c := range group.List {
			if group.Pos() < f.Package && (constraint.IsGoBuild(c.Text) || constraint.IsPlusBuild(c.Text)) {
				return true
			}
		}
	}
	nowhere := build.Default
	nowhere.GOOS, nowhere.GOARCH = "nowhere", "nowhere"
	ok, err := nowhere.MatchFile(filepath.Dir(name), filepath.Base(name))
	return err != nil || !ok
}

// collides says which declaration of a package generated code would collide with.
func (p *planner) collides(pkg *packages.Package) string {
	for _, name := range []string{"Handlers", "Endpoints", "Manifest"} {
		if obj := pkg.Types.Scope().Lookup(name); obj != nil && filepath.Base(p.r.p.fset.Position(obj.Pos()).Filename) != scan.GeneratedFile {
			return fmt.Sprintf("its package declares %s, which generated code would, too", name)
		}
	}
	for _, name := range types.Universe.Names() {
		if pkg.Types.Scope().Lookup(name) != nil {
			return fmt.Sprintf("its package declares %s, which generated code takes for Go's own", name)
		}
	}
	return ""
}

// write puts directives above a route's handler, unless they are there. An endpoint of the bridge gives way.
func (p *planner) write(r *Route) error {
	decl := p.r.p.funcs[r.handler.fn]
	id := identities(r)[0]
	if by := p.served[id]; by != "" {
		if filepath.Base(by) != BridgeFile {
			return nil
		}
		if err := p.unbridge(by, id); err != nil {
			return err
		}
	}
	p.served[id] = p.r.p.fset.File(decl.file.Pos()).Name()
	p.annot[keyOf(decl.obj)] = true
	lines := append([]string{p.endpointLine(r, r.methods[0], r.Paths[0])}, p.lines...)
	p.edits.document(decl.decl.Doc, decl.decl.Pos(), lines)
	if recv := decl.obj.Signature().Recv(); recv != nil {
		typ := namedOf(recv.Type()).Obj().Name() // unnameable has looked
		p.fields[fieldKey(decl.pkg.Dir, typ)] = typ
	}
	p.need[decl.pkg]++
	p.plan.Written = append(p.plan.Written, Planned{r.methods[0], r.Paths[0], r})
	return nil
}

// endpointLine is the directive of a new endpoint.
func (p *planner) endpointLine(r *Route, method, path string) string {
	return strings.TrimSpace("//stella:endpoint " + method + " " + path + " " + p.keysFor(r, method, path).String())
}

// belong makes the packages of new endpoints belong to a service.
func (p *planner) belong() error {
	var pkgs []*packages.Package
	for pkg := range p.need {
		if !p.own[pkg.Dir] {
			pkgs = append(pkgs, pkg)
		}
	}
	slices.SortFunc(pkgs, func(a, b *packages.Package) int { return strings.Compare(a.PkgPath, b.PkgPath) })
	if len(pkgs) == 0 {
		return nil
	}
	name := p.o.Service
	var first *packages.Package
	if p.service != nil {
		name = p.service.Name
	} else {
		first = slices.MaxFunc(pkgs, func(a, b *packages.Package) int { return p.weight(a) - p.weight(b) })
		if name == "" {
			name = serviceName(first)
		}
		if _, err := (&spec.Manifest{Service: name, Version: "0.1.0"}).Encode(); err != nil {
			return fmt.Errorf("%w: %q is no name for a service: say another with --service", errInput, name)
		}
	}
	for _, pkg := range pkgs {
		line := "//stella:part of=" + name
		if pkg == first {
			line = "//stella:service " + name + " version=0.1.0"
		}
		if err := p.documentPackage(pkg, line); err != nil {
			return err
		}
	}
	return nil
}

// weight tells how well a package is suited as the service's own: that with the bridge, then that with most endpoints.
func (p *planner) weight(pkg *packages.Package) int {
	const most = 1 << 20
	if p.bridges[pkg.Dir] != nil {
		return most + p.need[pkg]
	}
	return p.need[pkg]
}

// serviceName is the name of a package, or of the module, where that says nothing.
func serviceName(pkg *packages.Package) string {
	name := pkg.Name
	if slices.Contains([]string{"main", "api", "http", "server", "handlers", "handler", "web", "app", "internal", "routes", "router"}, name) && pkg.Module != nil {
		name = versionSuffix.ReplaceAllString(pkg.Module.Path, "")
		name = name[strings.LastIndexByte(name, '/')+1:]
	}
	return strings.ToLower(strings.NewReplacer("_", "-", ".", "-").Replace(name))
}

// documentPackage puts a directive into a package's doc comment.
func (p *planner) documentPackage(pkg *packages.Package, line string) error {
	var best *ast.File
	for _, f := range pkg.Syntax {
		name := p.r.p.fset.File(f.Pos()).Name()
		if ast.IsGenerated(f) || limited(name, f) || filepath.Base(name) == BridgeFile {
			continue
		}
		if best == nil || best.Doc == nil && f.Doc != nil {
			best = f
		}
	}
	if best == nil {
		return fmt.Errorf("%w: no file of %s can say %s: add one that every build has", errInput, pkg.PkgPath, line)
	}
	p.edits.document(best.Doc, best.Package, []string{line})
	return nil
}

// finish makes the files.
func (p *planner) finish() (*Plan, error) {
	files, err := p.edits.files()
	if err != nil {
		return nil, err
	}
	for _, dir := range sortedKeys(p.bridges) {
		f, err := p.bridges[dir].file()
		if err != nil {
			return nil, err
		}
		if f != nil {
			files = append(files, *f)
		}
		p.plan.Fields = append(p.plan.Fields, p.bridges[dir].fields...)
	}
	slices.SortFunc(files, func(a, b File) int { return strings.Compare(a.Name, b.Name) })
	p.plan.Files = files
	return p.plan, nil
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
