package lint

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"time"

	"github.com/stella-ops/router/generator/diagnostic"
	"github.com/stella-ops/router/generator/scan"
)

// Config says what a run reads, and which rules it knows.
type Config struct {
	Dir      string    // absolute; patterns are relative to it
	Env      []string  // of the go command; nil is the process's own
	Patterns []string  // packages, as the go command takes them
	Rules    Selection // those that run
	Today    time.Time // sunsets and ignores are judged by this day
	Limits   Limits    // a zero field means the default

	// Bodies are what a look at function bodies has found, by the rules of category CODE. Nil: nobody has looked.
	Bodies []diagnostic.Finding
}

// Findings are what a run has found.
type Findings struct {
	List    []diagnostic.Finding // sorted; one with a Waiver is ignored, and does not count
	Input   bool                 // there are findings of input that nothing can be generated from: lint's rules left out those services
	Nothing bool                 // no package has directives: nothing has been checked
	Homes   map[string]string    // by folder of each package of a service, that of the service's own package
	sources map[string][]byte
}

// Source returns a file as it was read.
func (f Findings) Source(name string) ([]byte, error) {
	src, ok := f.sources[name]
	if !ok {
		return nil, fmt.Errorf("lint: %s has not been read", name)
	}
	return src, nil
}

// Run reads the packages, and those that belong to the same services, and applies the rules. The error is for what is
// not the input's fault.
func Run(ctx context.Context, c Config) (Findings, error) {
	var list diagnostic.List
	result, sources, err := scan.Scan(ctx, scan.Config{Dir: c.Dir, Env: c.Env, Patterns: c.Patterns}, &list)
	if err != nil {
		return Findings{}, fmt.Errorf("lint: %w", err)
	}
	input := list.Sorted()
	for _, svc := range clean(result, input) {
		s := newService(svc, c)
		for i := range rules {
			if c.Rules.has(rules[i].ID) {
				s.apply(&rules[i], &list)
			}
		}
	}
	findings := list.Sorted()
	for _, b := range c.Bodies {
		if c.Rules.has(b.Rule) {
			findings = append(findings, b)
		}
	}
	list = diagnostic.List{}
	for _, f := range c.ignore(ignores(result, input), findings) {
		list.Add(f)
	}
	return Findings{
		List: list.Sorted(), Input: len(input) > 0, Homes: homes(result), sources: sources,
		Nothing: len(input) == 0 && len(result.Services) == 0 && len(result.Orphans) == 0,
	}, nil
}

// clean are the services that nothing is wrong with: of others the model is not whole. A finding that is in none of the
// services' own folders, as one about a type of a further package, may be about any.
func clean(result *scan.Result, input []diagnostic.Finding) []*scan.Service {
	if result == nil {
		return nil
	}
	all, faulty := homes(result), map[string]bool{}
	for _, f := range input {
		home := all[filepath.Dir(f.Pos.Filename)]
		if home == "" && !result.Annotated[filepath.Dir(f.Pos.Filename)] {
			return nil
		}
		faulty[home] = true
	}
	return slices.DeleteFunc(slices.Clone(result.Services), func(s *scan.Service) bool { return faulty[s.Own.Dir] })
}

// ignores are those of packages that nothing is wrong with.
func ignores(result *scan.Result, input []diagnostic.Finding) []*scan.Ignore {
	if result == nil {
		return nil
	}
	all, checked := homes(result), map[string]bool{}
	for _, s := range clean(result, input) {
		checked[s.Own.Dir] = true
	}
	return slices.DeleteFunc(slices.Clone(result.Ignores), func(ig *scan.Ignore) bool {
		home := all[filepath.Dir(ig.Pos.Filename)]
		return !checked[home] && (home != "" || len(input) > 0)
	})
}

func homes(result *scan.Result) map[string]string {
	found := map[string]string{}
	if result == nil {
		return found
	}
	for _, svc := range result.Services {
		for _, p := range svc.Packages() {
			found[p.Dir] = svc.Own.Dir
		}
	}
	return found
}

// ignore marks the findings that ignores silence, and adds what is wrong with the ignores.
func (c Config) ignore(ignores []*scan.Ignore, findings []diagnostic.Finding) []diagnostic.Finding {
	var added []diagnostic.Finding
	for _, ig := range ignores {
		expired := ig.Expired(c.Today)
		if expired && c.Rules.has(ignoreExpired) {
			added = append(added, expiredIgnore(ig))
		}
		if !ig.Rule.IsLint() {
			continue // package scan has applied it
		}
		r := find(string(ig.Rule))
		switch {
		case r == nil:
			added = append(added, badIgnore(ig.RuleAt, "there is no rule %s", ig.Rule))
			continue
		case !r.Ignorable:
			added = append(added, badIgnore(ig.RuleAt, "%s (%s) cannot be ignored", ig.Rule, r.Title))
			continue
		}
		silenced := false
		for i := range findings {
			if ig.Covers(&findings[i]) {
				silenced = true
				if !expired {
					findings[i].Waiver = ig.Reason
				}
			}
		}
		if ran := c.Rules.has(ig.Rule) && (!r.needsBodies() || c.Bodies != nil); ran && !silenced {
			f := badIgnore(ig.Span, "stella:ignore %s silences nothing: remove it", ig.Rule)
			f.Fixes = []diagnostic.Fix{{Message: "remove the ignore", Edits: []diagnostic.Edit{deleteComment(ig.Span)}}}
			added = append(added, f)
		}
	}
	return slices.Concat(findings, added)
}

func badIgnore(at scan.Span, format string, args ...any) diagnostic.Finding {
	return diagnostic.Finding{Rule: diagnostic.BadIgnore, Pos: at.Pos, Width: at.Width, Message: fmt.Sprintf(format, args...)}
}

func expiredIgnore(ig *scan.Ignore) diagnostic.Finding {
	f := diagnostic.Finding{
		Rule: ignoreExpired, Pos: ig.Pos, Width: ig.Width,
		Message: fmt.Sprintf("the ignore of %s ended with %s: it silences nothing any more", ig.Rule, ig.Until.Format(time.DateOnly)),
		Hint:    "mend what it speaks of, or give it a new day after asking again why",
	}
	if ig.Owner != "" {
		f.Message += "; " + ig.Owner + " answers for it"
	}
	return f
}
