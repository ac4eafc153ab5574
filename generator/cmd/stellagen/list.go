package main

import (
	"context"
	"io"
	"strings"

	"github.com/stella-ops/router/spec"
)

type listCommand struct {
	Subjects []string `arg:"" help:"Packages, as the go command takes them (default ./...), or manifest files." optional:""`
}

// listEntry is an endpoint in JSON: what the manifest has of it, and whose it is.
type listEntry struct {
	Service string `json:"service"`
	Version string `json:"version"`

	spec.Endpoint
}

func (c *listCommand) Run(ctx context.Context, out *output) error {
	root, err := nearestModule()
	if err != nil {
		return err
	}
	services, err := current(ctx, out, root, c.Subjects)
	if err != nil {
		return err
	}
	entries := []listEntry{}
	for _, s := range services {
		for _, e := range s.manifest.Endpoints {
			entries = append(entries, listEntry{s.manifest.Service, s.manifest.Version, e})
		}
	}
	return out.data(entries, func(w io.Writer) {
		table(w, []string{"METHOD", "PATH", "SERVICE", "VERSION", "CALLERS", "HANDLER"}, func(row func(...string)) {
			for _, e := range entries {
				row(e.Method, e.Path, e.Service, e.Version, callers(&e.Endpoint), e.Handler)
			}
		})
	})
}

// callers are who may call an endpoint.
func callers(e *spec.Endpoint) string {
	if e.Public != "" {
		return "public"
	}
	var claims []string
	for _, claim := range e.Claims {
		claims = append(claims, claim.String())
	}
	return strings.Join(claims, ", ")
}
