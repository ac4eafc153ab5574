package main

import (
	"context"
	"fmt"
	"io"

	"github.com/stella-ops/router/spec"
)

type manifestCommand struct {
	Show   manifestShow   `cmd:"" help:"Print the manifest of a service as it would be generated now."`
	Digest manifestDigest `cmd:"" help:"Print the digests of manifests and of the contracts in them."`
}

type manifestShow struct {
	Subjects []string `arg:"" help:"Packages, as the go command takes them (default ./...), or a manifest file." optional:""`
}

func (c *manifestShow) Run(ctx context.Context, out *output) error {
	services, err := manifestsOf(ctx, out, c.Subjects)
	if err != nil {
		return err
	}
	if len(services) != 1 {
		return fmt.Errorf("%w: %d services: name the packages of one, or its manifest", errInput, len(services))
	}
	out.printf("%s", services[0].source)
	return nil
}

type manifestDigest struct {
	Subjects []string `arg:"" help:"Packages, as the go command takes them (default ./...), or manifest files." optional:""`
}

// digestEntry is a manifest's digests in JSON.
type digestEntry struct {
	Service        string `json:"service"`
	Version        string `json:"version"`
	ManifestDigest string `json:"manifestDigest"`
	ContractDigest string `json:"contractDigest"`
}

func (c *manifestDigest) Run(ctx context.Context, out *output) error {
	services, err := manifestsOf(ctx, out, c.Subjects)
	if err != nil {
		return err
	}
	entries := []digestEntry{}
	for _, s := range services {
		entries = append(entries, digestEntry{s.manifest.Service, s.manifest.Version, spec.Digest(s.source), s.manifest.ContractDigest})
	}
	return out.data(entries, func(w io.Writer) {
		table(w, []string{"SERVICE", "VERSION", "MANIFEST", "CONTRACT"}, func(row func(...string)) {
			for _, e := range entries {
				row(e.Service, e.Version, e.ManifestDigest, e.ContractDigest)
			}
		})
	})
}

func manifestsOf(ctx context.Context, out *output, subjects []string) ([]contract, error) {
	root, err := nearestModule()
	if err != nil {
		return nil, err
	}
	return current(ctx, out, root, subjects)
}
