package main

import (
	"context"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/stella-ops/router/generator/diagnostic"
	"github.com/stella-ops/router/generator/lint"
)

type lintCommand struct {
	Use     []string `help:"MINIMAL, STANDARD, STRICT or a category (default STANDARD). Repeatable." placeholder:"RULES"`
	Enable  []string `help:"A rule's name or id, or a category, beside those in use. Repeatable."    placeholder:"RULES"`
	Disable []string `help:"A rule's name or id, or a category, that does not count. Repeatable."    placeholder:"RULES"`
	Today   string   `help:"The day that sunsets and ignores are judged by (default today)."         placeholder:"YYYY-MM-DD"`

	packages
}

func (c *lintCommand) Run(ctx context.Context, out *output) error {
	rules, err := lint.Select(c.Use, c.Enable, c.Disable)
	if err != nil {
		return fmt.Errorf("%w: %w", errInput, err)
	}
	today := time.Now()
	if c.Today != "" {
		if today, err = time.Parse(time.DateOnly, c.Today); err != nil {
			return fmt.Errorf("%w: --today %s: expected a day such as 2027-01-31", errInput, c.Today)
		}
	}
	dir, err := os.Getwd()
	if err != nil {
		return fmt.Errorf("finding the working directory: %w", err)
	}
	found, err := lint.Run(ctx, lint.Config{Dir: dir, Patterns: c.patterns(), Rules: rules, Today: today})
	if err != nil {
		return err
	}
	if found.Nothing {
		out.errorf("no package with //stella: directives matches %s\n", strings.Join(c.patterns(), " "))
	}
	report := &diagnostic.Report{Findings: found.List, Base: dir, Source: found.Source}
	if found.Input { // the exit code is that of wrong input
		report.Tail = "lint's rules have left out the services that this is about"
		return out.report(report, exitInput)
	}
	return out.report(report, exitLint)
}
