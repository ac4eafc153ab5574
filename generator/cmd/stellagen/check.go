package main

import (
	"bytes"
	"context"
	"strings"

	"github.com/rogpeppe/go-internal/diff"

	"github.com/stella-ops/router/generator"
)

type checkCommand struct {
	packages

	Diff bool `help:"Print what generate would change, as a unified diff."`
}

func (c *checkCommand) Run(ctx context.Context, out *output) error {
	var target generator.Check
	report, err := generate(ctx, out, c.patterns(), &target)
	if err != nil {
		return err
	}
	report.Findings = target.Findings()
	report.Tail = "run: " + strings.Join(append([]string{"go tool stellagen generate"}, c.Patterns...), " ")
	if c.Diff {
		for _, s := range target.Stale {
			out.printf("%s", unified(relative(report.Base, s.Name), s))
		}
	}
	return out.report(report, exitStale)
}

// devNull is what stands in a diff for a file that is not there.
const devNull = "/dev/null"

// unified is the change to one file in the form that patch and git apply read.
func unified(name string, s generator.Stale) []byte {
	before, after := "a/"+name, "b/"+name
	switch s.State {
	case generator.Missing:
		before = devNull
	case generator.Orphaned:
		after = devNull
	case generator.Outdated:
	}
	_, text, _ := bytes.Cut(diff.Diff(before, s.Old, after, s.New), []byte{'\n'}) // its first line is not of the form
	return text
}
