package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/stella-ops/router/generator/breaking"
)

// readWaivers reads the waivers of the module, if it has some.
func readWaivers(root string) (*breaking.Waivers, error) {
	name := filepath.Join(root, breaking.WaiversFile)
	source, err := os.ReadFile(name) //nolint:gosec // of the module at hand
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return breaking.NewWaivers(nil), nil
	case err != nil:
		return nil, fmt.Errorf("reading waivers: %w", err)
	}
	list, err := breaking.ParseWaivers(name, source)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errInput, err)
	}
	return breaking.NewWaivers(list), nil
}
