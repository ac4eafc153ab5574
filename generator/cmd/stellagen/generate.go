package main

import (
	"context"
	"fmt"
	"os"
	"strings"

	"github.com/stella-ops/router/generator"
	"github.com/stella-ops/router/generator/diagnostic"
)

// nothingWritten ends the text about input that nothing could be generated from.
const nothingWritten = "nothing was written"

type generateCommand struct{ packages }

func (c *generateCommand) Run(ctx context.Context, out *output) error {
	var disk generator.Disk
	report, err := generate(ctx, out, c.patterns(), &disk)
	if err != nil {
		return err
	}
	for _, name := range disk.Written {
		out.printf("wrote %s\n", relative(report.Base, name))
	}
	for _, name := range disk.Removed {
		out.printf("removed %s\n", relative(report.Base, name))
	}
	return out.report(report, exitInput)
}

// generate reads the packages and hands their files to the target. If there is something wrong with the input, it
// reports that, and the error says so; otherwise the report is for the command to complete.
func generate(ctx context.Context, out *output, patterns []string, target generator.Target) (*diagnostic.Report, error) {
	dir, err := os.Getwd()
	if err != nil {
		return nil, fmt.Errorf("finding the working directory: %w", err)
	}
	findings, err := generator.Run(ctx, generator.Config{Dir: dir, Patterns: patterns}, target)
	if err != nil {
		return nil, err
	}
	if findings.Nothing {
		out.errorf("no package with //stella: directives matches %s\n", strings.Join(patterns, " "))
	}
	report := &diagnostic.Report{Findings: findings.List, Base: dir, Source: findings.Source}
	if len(findings.List) == 0 {
		return report, nil
	}
	report.Tail = nothingWritten
	return nil, out.report(report, exitInput)
}
