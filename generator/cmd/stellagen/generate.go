package main

import (
	"context"
	"fmt"
	"os"
	"strings"

	"github.com/stella-ops/router/generator"
	"github.com/stella-ops/router/generator/diagnostic"
)

type generateCommand struct{ packages }

func (c *generateCommand) Run(ctx context.Context, out *output) error {
	var disk generator.Disk
	dir, err := generate(ctx, out, c.patterns(), &disk)
	if err != nil {
		return err
	}
	for _, name := range disk.Written {
		out.printf("wrote %s\n", relative(dir, name))
	}
	for _, name := range disk.Removed {
		out.printf("removed %s\n", relative(dir, name))
	}
	return nil
}

// generate reads the packages, hands their files to the target and prints the findings.
func generate(ctx context.Context, out *output, patterns []string, target generator.Target) (dir string, err error) {
	dir, err = os.Getwd()
	if err != nil {
		return "", fmt.Errorf("finding the working directory: %w", err)
	}
	findings, err := generator.Run(ctx, generator.Config{Dir: dir, Patterns: patterns}, target)
	if err != nil {
		return dir, err
	}
	if findings.Nothing {
		out.errorf("no package with //stella: directives matches %s\n", strings.Join(patterns, " "))
	}
	if len(findings.List) == 0 {
		return dir, nil
	}
	printer := diagnostic.Printer{Base: dir, Source: findings.Source}
	if err := printer.Print(out.stderr, findings.List); err != nil {
		return dir, err
	}
	return dir, exitError{exitInput}
}
