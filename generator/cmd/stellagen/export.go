package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/stella-ops/router/generator"
	"github.com/stella-ops/router/generator/artifact"
	"github.com/stella-ops/router/generator/diagnostic"
)

type exportCommand struct {
	Kinds string `arg:"" help:"What to make, separated by commas, or all: ${artifacts}." name:"kind"`

	Subjects []string `arg:"" help:"Packages, as the go command takes them (default ./...), or manifest files." optional:""`

	Out string `help:"Folder to write to; several services get folders in it (standard output, of one artifact)." placeholder:"DIR" short:"o"`

	Check bool `help:"Tell which files in the folder are not current; write nothing."`

	URL string `help:"Where callers reach the gateway (${url})." placeholder:"URL"`

	Package string `help:"Name of the Go client's package (the service's name and client)." placeholder:"NAME"`
}

// allKinds names every artifact.
const allKinds = "all"

func artifactNames() []string {
	var names []string
	for _, k := range artifact.Kinds() {
		names = append(names, k.Name)
	}
	return names
}

func (c *exportCommand) Run(ctx context.Context, out *output) error {
	kinds, err := c.kinds()
	if err != nil {
		return err
	}
	root, err := nearestModule()
	if err != nil {
		return err
	}
	services, err := current(ctx, out, root, c.Subjects)
	if err != nil {
		return err
	}
	switch {
	case len(services) == 0:
		return fmt.Errorf("%w: there is no service to export: name its packages, or its manifest", errInput)
	case c.Out == "" && (len(kinds) > 1 || len(services) > 1 || c.Check):
		return fmt.Errorf("%w: %d artifacts of %d services: say with --out where they are", errInput, len(kinds), len(services))
	}
	if c.Check {
		return c.check(out, kinds, services)
	}
	var disk generator.Disk
	if err := c.render(kinds, services, &disk, out); err != nil {
		return err
	}
	for _, name := range disk.Written {
		out.printf("wrote %s\n", filepath.ToSlash(name))
	}
	return nil
}

// kinds are those that the user named.
func (c *exportCommand) kinds() ([]artifact.Kind, error) {
	if c.Kinds == allKinds {
		return artifact.Kinds(), nil
	}
	var kinds []artifact.Kind
	for name := range strings.SplitSeq(c.Kinds, ",") {
		k, known := artifact.Find(name)
		if !known {
			return nil, fmt.Errorf("%w: no artifact %q: expected %s or some of %s%s", errInput, name, allKinds, strings.Join(artifactNames(), ", "),
				didYouMean(name, artifactNames()))
		}
		kinds = append(kinds, k)
	}
	return kinds, nil
}

// render hands each artifact to the target, or, where there is no folder, prints the only one.
func (c *exportCommand) render(kinds []artifact.Kind, services []contract, target generator.Target, out *output) error {
	for _, s := range services {
		for _, k := range kinds {
			content, err := k.Render(s.manifest, artifact.Options{URL: c.URL, Package: c.Package})
			if err != nil {
				return fmt.Errorf("%s of %s: %w", k.Name, s.manifest.Service, err)
			}
			if c.Out == "" {
				out.printf("%s", content)
				continue
			}
			folder := c.Out
			if len(services) > 1 {
				folder = filepath.Join(folder, s.manifest.Service)
			}
			if _, checks := target.(*generator.Check); !checks {
				if err := os.MkdirAll(folder, 0o755); err != nil { //nolint:gosec // a folder of source, as git makes it
					return fmt.Errorf("making a folder: %w", err)
				}
			}
			if err := target.Put(filepath.Join(folder, k.File), content); err != nil {
				return err
			}
		}
	}
	return nil
}

func (c *exportCommand) check(out *output, kinds []artifact.Kind, services []contract) error {
	var target generator.Check
	if err := c.render(kinds, services, &target, out); err != nil {
		return err
	}
	again := slices.Concat([]string{"go tool stellagen export", c.Kinds}, c.Subjects, []string{"--out", c.Out})
	report := &diagnostic.Report{Findings: target.Findings(), Tail: "run: " + strings.Join(again, " ")}
	return out.report(report, exitStale)
}
