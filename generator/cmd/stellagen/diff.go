package main

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"

	"github.com/stella-ops/router/generator/diff"
	"github.com/stella-ops/router/spec"
)

type diffCommand struct {
	ExitCode bool `help:"Exit with 20 if something differs."`

	Before string `arg:"" help:"git:REF, gateway:URL, a manifest file, or packages." name:"a"`

	Now string `arg:"" help:"The same." name:"b"`
}

func (c *diffCommand) Run(ctx context.Context, out *output) error {
	root, err := nearestModule()
	if err != nil {
		return err
	}
	before, err := side(ctx, out, root, c.Before)
	if err != nil {
		return err
	}
	now, err := side(ctx, out, root, c.Now)
	if err != nil {
		return err
	}
	pairs, err := sameServices(before, now)
	if err != nil {
		return err
	}
	differs := false
	for _, name := range slices.Sorted(maps.Keys(pairs)) {
		plan := diff.Compare(pairs[name][0], pairs[name][1])
		if plan.Empty() {
			out.printf("%s: nothing differs.\n", name)
			continue
		}
		differs = true
		var text strings.Builder
		if err := plan.Print(&text); err != nil {
			return err
		}
		out.printf("%s:\n%s", name, text.String())
		added, changed, removed := plan.Count()
		out.printf("\n%s: %d to add, %d to change, %d to remove; %d types differ.\n", name, added, changed, removed, len(plan.Types))
	}
	if differs && c.ExitCode {
		return exitError{exitStale}
	}
	return nil
}

// side are the contracts that an argument names.
func side(ctx context.Context, out *output, root, arg string) (contracts, error) {
	found, known, err := from(ctx, root, arg)
	if known || err != nil {
		return found, err
	}
	list, err := current(ctx, out, root, []string{arg})
	return contracts{list: list}, err
}

// sameServices pairs contracts by the names of their services. Who has named a file or packages asks about their
// services alone, whatever else a commit or a gateway has.
func sameServices(before, now contracts) (map[string][2]*spec.Manifest, error) {
	pairs := map[string][2]*spec.Manifest{}
	if len(before.list) == 1 && len(now.list) == 1 {
		a, b := before.list[0], now.list[0]
		if err := errors.Join(a.err, b.err); err != nil {
			return nil, err
		}
		pairs[b.manifest.Service] = [2]*spec.Manifest{a.manifest, b.manifest}
		return pairs, nil
	}
	sides := []contracts{before, now}
	for i, cs := range sides {
		for _, c := range cs.list {
			if c.err != nil {
				if !sides[1-i].whole && !sides[1-i].at(c.path) {
					continue // nobody asks about it
				}
				return nil, c.err
			}
			pair := pairs[c.manifest.Service]
			pair[i] = c.manifest
			pairs[c.manifest.Service] = pair
		}
	}
	maps.DeleteFunc(pairs, func(_ string, pair [2]*spec.Manifest) bool {
		return before.whole && !now.whole && pair[1] == nil || now.whole && !before.whole && pair[0] == nil
	})
	return pairs, nil
}
