package main

import (
	"context"
	"fmt"
	"go/token"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/stella-ops/router/generator"
	"github.com/stella-ops/router/generator/diagnostic"
	"github.com/stella-ops/router/generator/directive"
	"github.com/stella-ops/router/generator/scan"
	"github.com/stella-ops/router/spec"
)

type explainCommand struct {
	Subject []string `arg:"" help:"A rule's id or name, a directive, a key, or an endpoint: METHOD /path."`
}

func (c *explainCommand) Run(ctx context.Context, out *output) error {
	subject := strings.Join(c.Subject, " ")
	if method, path, ok := strings.Cut(subject, " "); ok && spec.ValidMethod(method) {
		return explainEndpoint(ctx, out, method, strings.TrimSpace(path))
	}
	rules := slices.DeleteFunc(ruleTables(), func(r diagnostic.Rule) bool {
		return !strings.EqualFold(subject, string(r.ID)) && (r.Name == "" || !strings.EqualFold(subject, r.Name))
	})
	for _, r := range rules {
		explainRule(out.stdout, r)
	}
	name := strings.TrimPrefix(strings.TrimPrefix(subject, "//"), "stella:")
	def, isDirective := directive.Lookup(name)
	if isDirective {
		explainDirective(out.stdout, def)
	}
	keys := keysNamed(name)
	for _, k := range keys {
		explainKey(out.stdout, k)
	}
	if len(rules) == 0 && !isDirective && len(keys) == 0 {
		return fmt.Errorf("%w: nothing is called %q: expected a rule's id or name, a directive, a key, or METHOD /path%s", errInput, subject,
			didYouMean(name, explainable()))
	}
	return nil
}

// explainable are the words that explain takes.
func explainable() []string {
	var words []string
	for _, r := range ruleTables() {
		words = append(words, string(r.ID))
		if r.Name != "" {
			words = append(words, r.Name)
		}
	}
	for _, d := range directive.Registry() {
		words = append(words, d.Name)
		for _, k := range d.Keys {
			words = append(words, k.Name)
		}
	}
	slices.Sort(words)
	return slices.Compact(words)
}

func explainRule(w io.Writer, r diagnostic.Rule) {
	name := strings.TrimSpace(string(r.ID) + " " + r.Name)
	_, _ = fmt.Fprintf(w, "%s: %s (%s, %s)\n\n%s\n", name, r.Title, categoryOf(r), r.Severity, wrapped(r.Text))
	if r.Ignorable {
		_, _ = fmt.Fprintf(w, "\nTo silence it, above the declaration: //stella:ignore %s reason\n", r.ID)
	}
}

func explainDirective(w io.Writer, d directive.Definition) {
	_, _ = fmt.Fprintf(w, "%s\n\n%s It stands in %s%s.\n", directiveUsage(d), d.Doc, d.Place, map[bool]string{true: ", as often as needed"}[d.Repeatable])
	if len(d.Args)+len(d.Keys) > 0 {
		_, _ = fmt.Fprintln(w)
	}
	for _, k := range slices.Concat(d.Args, d.Keys) {
		_, _ = fmt.Fprintf(w, "  %s\n", k.Usage())
		_, _ = fmt.Fprintf(w, "      %s\n", strings.ReplaceAll(wrapped(k.Doc), "\n", "\n      "))
	}
}

// directiveUsage is a directive with its positional arguments.
func directiveUsage(d directive.Definition) string {
	words := []string{"//stella:" + d.Name}
	for _, a := range d.Args {
		words = append(words, optional(a.Name, a.Required))
	}
	if len(d.Keys) > 0 {
		words = append(words, "[KEY=VALUE | FLAG]...")
	}
	return strings.Join(words, " ")
}

func optional(word string, required bool) string {
	if required {
		return word
	}
	return "[" + word + "]"
}

// ownedKey is a key, and the directives that take it.
type ownedKey struct {
	directive.Key

	directives []string
}

// keysNamed finds a key by its name, or by directive.name. The directives that take the same key are told together.
func keysNamed(name string) []ownedKey {
	owner, key, dotted := strings.Cut(name, ".")
	if !dotted {
		owner, key = "", name
	}
	var found []ownedKey
	for _, d := range directive.Registry() {
		if owner != "" && d.Name != owner {
			continue
		}
		for _, k := range d.Keys {
			if k.Name != key {
				continue
			}
			i := slices.IndexFunc(found, func(f ownedKey) bool { return f.Doc == k.Doc })
			if i < 0 {
				found = append(found, ownedKey{Key: k})
				i = len(found) - 1
			}
			found[i].directives = append(found[i].directives, "//stella:"+d.Name)
		}
	}
	return found
}

func explainKey(w io.Writer, k ownedKey) {
	_, _ = fmt.Fprintf(w, "%s, of %s\n\n%s\n", k.Usage(), strings.Join(k.directives, " and "), wrapped(k.Doc))
}

// textWidth is how long lines of prose are.
const textWidth = 100

// wrapped breaks prose into lines.
func wrapped(text string) string {
	var lines []string
	line := ""
	for word := range strings.FieldsSeq(text) {
		if line != "" && len(line)+len(" ")+len(word) > textWidth {
			lines, line = append(lines, line), ""
		}
		line = strings.TrimSpace(line + " " + word)
	}
	return strings.Join(append(lines, line), "\n")
}

// explainEndpoint tells every effective value of an endpoint, where it is said, and what it takes the place of.
func explainEndpoint(ctx context.Context, out *output, method, path string) error {
	pattern, err := spec.ParsePattern(path)
	if err != nil {
		return fmt.Errorf("%w: %s: %w", errInput, path, err)
	}
	result, dir, err := readPackages(ctx, out, []string{allPackages})
	if err != nil {
		return err
	}
	var names []string
	for _, s := range result.Services {
		for _, e := range s.Endpoints() {
			names = append(names, e.Method+" "+e.Path)
			other, err := spec.ParsePattern(e.Path)
			if err != nil || e.Method != method || other.Identity() != pattern.Identity() {
				continue
			}
			settings := explained(dir, s, e)
			return out.data(settings, func(w io.Writer) {
				_, _ = fmt.Fprintf(w, "%s %s\n\n", e.Method, e.Path)
				table(w, []string{"KEY", "VALUE", "ORIGIN", "INSTEAD OF"}, func(row func(...string)) {
					for _, s := range settings {
						row(s.Key, s.Value, s.Origin, strings.Join(s.InsteadOf, ", "))
					}
				})
			})
		}
	}
	return fmt.Errorf("%w: no endpoint %s %s in the packages here%s", errInput, method, path, didYouMean(method+" "+path, names))
}

// explainedValue is one value of an endpoint.
type explainedValue struct {
	Key       string   `json:"key"`
	Value     string   `json:"value"`
	Origin    string   `json:"origin"` // file:line, or default
	InsteadOf []string `json:"insteadOf,omitempty"`
}

func explained(dir string, s *scan.Service, e *scan.Endpoint) []explainedValue {
	at := func(pos token.Position) string { return fmt.Sprintf("%s:%d", relative(dir, pos.Filename), pos.Line) }
	list := []explainedValue{
		{Key: "service", Value: s.Name + " " + s.Version, Origin: relative(dir, s.Own.Dir)},
		{Key: "handler", Value: e.Handler(), Origin: at(e.Pos)},
	}
	for _, set := range generator.Explain(e) {
		v := explainedValue{Key: set.Key, Value: set.Value, Origin: set.Origin.Layer.String()}
		if set.Origin.Pos.IsValid() {
			v.Origin = at(set.Origin.Pos)
		}
		for _, over := range set.Over {
			where := over.Layer.String()
			if over.Pos.IsValid() {
				where = at(over.Pos)
			}
			v.InsteadOf = append(v.InsteadOf, over.Text+" ("+where+")")
		}
		list = append(list, v)
	}
	return list
}

// readPackages reads the packages, and tells the findings if there are some.
func readPackages(ctx context.Context, out *output, patterns []string) (*scan.Result, string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return nil, "", fmt.Errorf("finding the working directory: %w", err)
	}
	result, findings, err := generator.Read(ctx, generator.Config{Dir: dir, Patterns: patterns})
	if err != nil {
		return nil, dir, err
	}
	if len(findings.List) > 0 {
		return nil, dir, out.report(&diagnostic.Report{Findings: findings.List, Base: dir, Source: findings.Source, Tail: nothingWritten}, exitInput)
	}
	return result, dir, nil
}
