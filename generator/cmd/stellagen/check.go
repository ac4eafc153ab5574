package main

import (
	"context"
	"strings"

	"github.com/stella-ops/router/generator"
)

type checkCommand struct{ packages }

func (c *checkCommand) Run(ctx context.Context, out *output) error {
	var target generator.Check
	dir, err := generate(ctx, out, c.patterns(), &target)
	if err != nil || len(target.Stale) == 0 {
		return err
	}
	for _, s := range target.Stale {
		out.printf("%s: %s\n", relative(dir, s.Name), s.State)
	}
	out.errorf("generated files are not current; run: %s\n", strings.Join(append([]string{"go tool stellagen generate"}, c.Patterns...), " "))
	return exitError{exitStale}
}
