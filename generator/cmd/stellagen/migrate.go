package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/rogpeppe/go-internal/diff"

	"github.com/stella-ops/router/generator"
	"github.com/stella-ops/router/generator/migrate"
)

type migrateCommand struct {
	packages

	Write  bool `help:"Put directives above the handlers that can do without their router."`
	Bridge bool `help:"Make endpoints of the other routes that serve their whole router, in stella_bridge.go."`
	Diff   bool `help:"Print what --write and --bridge would change, and write nothing."`

	Public  string   `help:"Why callers need no claims."                                                          placeholder:"WHY"`
	Claim   []string `help:"A claim that callers must hold: TYPE or TYPE VALUE; repeatable."                      placeholder:"CLAIM" sep:"none"`
	Service string   `help:"Name of the service, where none is yet (of the package, or of the module)."           placeholder:"NAME"`
	Package string   `help:"Folder of the package that gets the bridge (that which makes the router)."            placeholder:"DIR"`
	With    string   `help:"Keys of every endpoint that is written, such as 'stream=both body=8MiB'."             placeholder:"KEYS"`
	Drop    []string `help:"A middleware that handlers may do without, named as the report names it; repeatable." placeholder:"NAME"  sep:"none"`
}

func (c *migrateCommand) Run(ctx context.Context, out *output) error {
	dir, err := os.Getwd()
	if err != nil {
		return fmt.Errorf("finding the working directory: %w", err)
	}
	if !c.Write && !c.Bridge {
		if flag := c.needsWrite(); flag != "" {
			return fmt.Errorf("%w: %s goes with --write or --bridge", errInput, flag)
		}
	}
	options := migrate.Options{
		Write: c.Write, Bridge: c.Bridge, Public: c.Public, Claims: c.Claim, Service: c.Service, Package: c.Package, With: c.With, Drop: c.Drop,
	}
	if c.Package != "" {
		if options.Package, err = filepath.Abs(c.Package); err != nil {
			return fmt.Errorf("finding %s: %w", c.Package, err)
		}
	}
	if c.Write || c.Bridge {
		if err := options.Check(); err != nil {
			return migrateError(err)
		}
	}
	config := migrate.Config{Dir: dir, Patterns: c.patterns()}
	report, err := migrate.Read(ctx, config)
	if err != nil {
		return migrateError(err)
	}
	if !c.Write && !c.Bridge {
		return out.data(report, func(w io.Writer) { printRoutes(w, report) })
	}
	plan, err := report.Plan(ctx, config, options)
	if err != nil {
		return migrateError(err)
	}
	if c.Diff {
		for _, f := range plan.Files {
			shown := relative(dir, f.Name)
			_, change, _ := bytes.Cut(diff.Diff("a/"+shown, f.Old, "b/"+shown, f.New), []byte{'\n'})
			out.printf("%s", change)
		}
	} else if err := apply(out, dir, plan); err != nil {
		return err
	}
	summarize(out, report, plan, c.Diff)
	return nil
}

// needsWrite is the first flag that says nothing without --write or --bridge.
func (c *migrateCommand) needsWrite() string {
	for _, f := range []struct {
		name string
		said bool
	}{
		{"--diff", c.Diff},
		{"--public", c.Public != ""},
		{"--claim", len(c.Claim) > 0},
		{"--service", c.Service != ""},
		{"--package", c.Package != ""},
		{"--with", c.With != ""},
		{"--drop", len(c.Drop) > 0},
	} {
		if f.said {
			return f.name
		}
	}
	return ""
}

func migrateError(err error) error {
	if migrate.IsInput(err) {
		return fmt.Errorf("%w: %s", errInput, strings.TrimPrefix(err.Error(), errInput.Error()+": "))
	}
	return err
}

// apply writes the files of a plan.
func apply(out *output, dir string, plan *migrate.Plan) error {
	var disk generator.Disk
	for _, f := range plan.Files {
		if f.New == nil {
			if err := disk.Remove(f.Name); err != nil {
				return err
			}
			continue
		}
		if err := disk.Put(f.Name, f.New); err != nil {
			return err
		}
	}
	for _, name := range disk.Written {
		out.printf("wrote %s\n", relative(dir, name))
	}
	for _, name := range disk.Removed {
		out.printf("removed %s\n", relative(dir, name))
	}
	return nil
}

// summarize says what has become of the routes, and what is next.
func summarize(out *output, r *migrate.Report, plan *migrate.Plan, dry bool) {
	for _, l := range plan.Left {
		out.errorf("%s: %s %s is left: %s\n", l.Route.Place, l.Route.Method, l.Route.Host+l.Route.Pattern, l.Why)
	}
	for _, n := range plan.Needs {
		out.errorf("%s: note: %s %s: %s\n", n.Route.Place, n.Method, n.Path, n.Why)
	}
	for _, s := range plan.Stale {
		out.errorf("%s: %s has no route that was found: remove the endpoint if its route is gone\n", s.Place, s.Endpoint)
	}
	for _, k := range plan.Keys {
		out.errorf("%s: %s: %s\n", k.Keys, k.What, strings.Join(k.Endpoints, ", "))
	}
	for _, u := range r.Unfollowed {
		out.errorf("%s: not followed: %s: %s\n", u.Place, u.What, u.Why)
	}
	out.errorf("endpoints: %d by directives, %d by the bridge; routes left: %d; not followed: %d\n",
		len(plan.Written), len(plan.Bridged), len(plan.Left), len(r.Unfollowed))
	if dry || len(plan.Files) == 0 {
		return
	}
	out.errorf("next: stellagen generate, and give stella.New the endpoints")
	for _, f := range plan.Fields {
		out.errorf("\n    %s", f)
	}
	out.errorf("\n")
}

// printRoutes prints a report for people.
func printRoutes(w io.Writer, r *migrate.Report) {
	if len(r.Routes) > 0 {
		table(w, []string{"METHOD", "PATTERN", "HANDLER", "MIDDLEWARE", "WHERE"}, func(row func(...string)) {
			for _, route := range r.Routes {
				row(route.Method, route.Host+route.Pattern, route.Handler, strings.Join(route.Guards, ", "), route.String())
			}
		})
	}
	printf := func(format string, args ...any) { _, _ = fmt.Fprintf(w, format, args...) }
	for _, route := range r.Routes {
		notes := slices.Concat(route.Notes, route.Needs)
		if route.Doubt != "" {
			notes = append([]string{route.Doubt}, notes...)
		}
		if len(route.Condition) > 0 {
			notes = append(notes, "it is there only "+strings.Join(route.Condition, ", "))
		}
		for _, note := range notes {
			printf("\n%s: note: %s %s: %s", route.Place, route.Method, route.Host+route.Pattern, note)
		}
	}
	for _, u := range r.Unfollowed {
		printf("\n%s: not followed: %s: %s", u.Place, u.What, u.Why)
		if u.Todo != "" {
			printf("\n    hint: %s", u.Todo)
		}
	}
	printf("\nroutes: %d; not followed: %d\n", len(r.Routes), len(r.Unfollowed))
}
