package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/stella-ops/router/generator/breaking"
	"github.com/stella-ops/router/generator/diagnostic"
)

type breakingCommand struct {
	Against []string `help:"What callers rely on: git:REF, file:FILE or gateway:URL, the admin address. Repeatable." placeholder:"BASELINE" required:"" sep:"none"`

	Use []string `help:"MINIMAL, STANDARD, STRICT, a category, or a rule's name or id (default STANDARD). Repeatable." placeholder:"RULES"`

	Subjects []string `arg:"" help:"Packages, as the go command takes them (default ./...), or manifest files." optional:""`
}

func (c *breakingCommand) Run(ctx context.Context, out *output) error {
	rules, err := breaking.Select(c.Use...)
	if err != nil {
		return fmt.Errorf("%w: %w", errInput, err)
	}
	root, err := nearestModule()
	if err != nil {
		return err
	}
	waivers, err := readWaivers(root)
	if err != nil {
		return err
	}
	now, err := current(ctx, out, root, c.Subjects)
	if err != nil {
		return err
	}
	baselines, err := c.baselines(ctx, root)
	if err != nil {
		return err
	}
	cfg := breaking.Config{Rules: rules, Waivers: waivers, Today: time.Now()}
	var findings []diagnostic.Finding
	for _, subject := range now {
		found, err := review(out, root, subject, now, baselines, cfg)
		if err != nil {
			return err
		}
		findings = append(findings, found...)
	}
	findings = append(findings, waivers.Findings(cfg)...)
	dir, err := os.Getwd()
	if err != nil {
		return fmt.Errorf("finding the working directory: %w", err)
	}
	return out.report(&diagnostic.Report{Findings: findings, Base: dir}, exitBreaking)
}

func (c *breakingCommand) baselines(ctx context.Context, root string) ([]contracts, error) {
	var all []contracts
	for _, ref := range c.Against {
		found, known, err := from(ctx, root, ref)
		if !known {
			err = fmt.Errorf("%w: --against %s: expected git:REF, file:FILE or gateway:URL", errInput, ref)
		}
		if err != nil {
			return nil, err
		}
		found.origin = ref
		all = append(all, found)
	}
	return all, nil
}

// review compares a contract with what the baselines have of it, and says what its version should be.
func review(out *output, root string, now contract, all []contract, from []contracts, cfg breaking.Config) ([]diagnostic.Finding, error) {
	var baselines []breaking.Baseline
	for _, b := range from {
		old, err := b.like(now, all)
		switch {
		case err != nil:
			return nil, err
		case old == nil:
			out.errorf("%s has no service %s: it is new, and breaks nothing\n", b.origin, now.manifest.Service)
		default:
			baselines = append(baselines, breaking.Baseline{Name: b.origin, Manifest: old.manifest})
		}
	}
	subject := breaking.Subject{Manifest: now.manifest, File: filepath.Join(root, filepath.FromSlash(now.path)), Source: now.source}
	result := breaking.Review(subject, baselines, cfg)
	for _, a := range result.Advice {
		if a.Suggested != a.Was {
			out.errorf("%s has %s %s, this is %s; suggested: %s\n", a.Baseline, a.Service, a.Was, a.Is, a.Suggested)
		}
	}
	return result.Findings, nil
}
