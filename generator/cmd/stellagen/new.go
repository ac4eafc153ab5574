package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"unicode"

	"github.com/stella-ops/router/generator"
	"github.com/stella-ops/router/generator/scaffold"
	"github.com/stella-ops/router/generator/scan"
	"github.com/stella-ops/router/spec"
)

type newCommand struct {
	Method string `arg:"" help:"GET, HEAD, POST, PUT, PATCH, DELETE or OPTIONS."`

	Path string `arg:"" help:"net/http pattern, such as /invoices/{id}."`

	Package string `help:"Folder of the handlers' package; needed where a module has several." placeholder:"DIR"`

	Handler string `help:"Name of the handler (of the method and the path)." placeholder:"NAME"`

	Claim []string `help:"A claim that callers must hold: TYPE or TYPE VALUE (scope SERVICE:read, or SERVICE:write); repeatable." placeholder:"CLAIM" sep:"none"`

	Public string `help:"Why callers need no claims." placeholder:"WHY" xor:"who"`
}

func (c *newCommand) Run(ctx context.Context, out *output) error {
	c.Method = strings.ToUpper(c.Method)
	p, err := spec.ParsePattern(c.Path)
	switch {
	case err != nil:
		return fmt.Errorf("%w: %w", errInput, err)
	case !spec.ValidMethod(c.Method):
		return fmt.Errorf("%w: method %s, expected one of %s", errInput, c.Method, strings.Join(spec.Methods, ", "))
	case c.Public != "" && len(c.Claim) > 0:
		return fmt.Errorf("%w: an endpoint has claims or is public, not both", errInput)
	}
	dir, err := os.Getwd()
	if err != nil {
		return fmt.Errorf("finding the working directory: %w", err)
	}
	service, pkg, err := c.home(ctx, dir)
	if err != nil {
		return err
	}
	e := scaffold.Endpoint{
		Method: c.Method, Path: c.Path, Package: pkg.Name, Receiver: receiverOf(pkg), Name: c.Handler, Claims: c.Claim, Public: c.Public,
	}
	if e.Name == "" {
		e.Name = scaffold.HandlerName(c.Method, p)
	}
	if e.Public == "" && len(e.Claims) == 0 {
		e.Claims = []string{"scope " + service.Name + ":" + access(c.Method)}
	}
	if err := isNew(service, pkg, e); err != nil {
		return err
	}
	content, err := e.File()
	if err != nil {
		return err
	}
	file := filepath.Join(pkg.Dir, fileName(e.Name))
	if err := create(file, content); err != nil {
		return err
	}
	out.printf("wrote %s\n", relative(dir, file))
	g := generateCommand{packages{Patterns: []string{pkg.ImportPath}}}
	return g.Run(ctx, out)
}

// isNew refuses an endpoint that the service has, and names that its package has.
func isNew(service *scan.Service, pkg *scan.Package, e scaffold.Endpoint) error {
	identity, err := (&spec.Endpoint{Method: e.Method, Path: e.Path}).Identity()
	if err != nil {
		return fmt.Errorf("%w: %w", errInput, err)
	}
	for _, other := range service.Endpoints() {
		if id, err := (&spec.Endpoint{Method: other.Method, Path: other.Path}).Identity(); err == nil && id == identity {
			return fmt.Errorf("%w: %s %s is served by %s already", errInput, other.Method, other.Path, other.Handler())
		}
	}
	taken := func(name string) bool {
		return pkg.Declared[name] || slices.ContainsFunc(pkg.Endpoints, func(other *scan.Endpoint) bool { return other.Func == name })
	}
	for _, name := range []string{e.Name, e.Name + "Request", e.Name + "Response"} {
		if taken(name) {
			return fmt.Errorf("%w: %s declares %s already: say another name with --handler", errInput, pkg.ImportPath, name)
		}
	}
	return nil
}

// access is the usual name of what a method does.
func access(method string) string {
	if method == "GET" || method == "HEAD" || method == "OPTIONS" {
		return "read"
	}
	return "write"
}

// fileName is a handler's file: get_invoices_by_id_endpoint.go of GetInvoicesByID. What the go command reads in a file's
// name, such as _test and _linux, cannot be there by chance.
func fileName(handler string) string {
	var name strings.Builder
	letters := []rune(handler)
	for i, r := range letters {
		begins := unicode.IsUpper(r) && i > 0 && (!unicode.IsUpper(letters[i-1]) || i+1 < len(letters) && unicode.IsLower(letters[i+1]))
		if begins {
			name.WriteByte('_')
		}
		name.WriteRune(unicode.ToLower(r))
	}
	return name.String() + "_endpoint.go"
}

// home is the service and the package that the endpoint goes to.
func (c *newCommand) home(ctx context.Context, dir string) (*scan.Service, *scan.Package, error) {
	result, findings, err := generator.Read(ctx, generator.Config{Dir: dir, Patterns: []string{allPackages}})
	if err != nil {
		return nil, nil, err
	}
	if len(findings.List) > 0 {
		return nil, nil, fmt.Errorf("%w: the packages have %d findings: see stellagen check", errInput, len(findings.List))
	}
	want, err := filepath.Abs(c.Package)
	if err != nil {
		return nil, nil, fmt.Errorf("finding %s: %w", c.Package, err)
	}
	type place struct {
		service *scan.Service
		pkg     *scan.Package
	}
	var places []place
	var names []string
	for _, s := range result.Services {
		for _, p := range s.Packages() {
			if p.Dir == want {
				return s, p, nil
			}
			places, names = append(places, place{s, p}), append(names, relative(dir, p.Dir))
		}
	}
	slices.Sort(names)
	switch {
	case c.Package != "":
		return nil, nil, fmt.Errorf("%w: %s has no service: expected one of %s", errInput, c.Package, strings.Join(names, ", "))
	case len(places) == 0:
		return nil, nil, fmt.Errorf("%w: no package here says //stella:service: stellagen init begins a service", errInput)
	case len(places) > 1:
		return nil, nil, fmt.Errorf("%w: several packages have endpoints: say which with --package: %s", errInput, strings.Join(names, ", "))
	}
	return places[0].service, places[0].pkg, nil
}

// receiverOf is the receiver that most handlers of a package have, as Go writes it; empty where they are functions.
func receiverOf(p *scan.Package) string {
	count := map[string]int{}
	best := ""
	for _, e := range p.Endpoints {
		name := ""
		if e.Receiver != nil {
			name = e.Receiver.Type
			if e.Receiver.Pointer {
				name = "*" + name
			}
		}
		count[name]++
		if count[name] > count[best] {
			best = name
		}
	}
	return best
}
