package main

import (
	"context"
	"strings"

	"github.com/stella-ops/router/generator"
)

type checkCommand struct{ packages }

func (c *checkCommand) Run(ctx context.Context, out *output) error {
	var target generator.Check
	report, err := generate(ctx, out, c.patterns(), &target)
	if err != nil {
		return err
	}
	if len(target.Stale) == 0 {
		return out.report(report, exitStale)
	}
	for _, s := range target.Stale {
		out.printf("%s: %s\n", relative(report.Base, s.Name), s.State)
	}
	out.errorf("generated files are not current; run: %s\n", strings.Join(append([]string{"go tool stellagen generate"}, c.Patterns...), " "))
	return exitError{exitStale}
}
