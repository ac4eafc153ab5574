package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"

	"github.com/stella-ops/router/generator"
	"github.com/stella-ops/router/generator/scaffold"
	"github.com/stella-ops/router/spec"
)

// routerModule is the module that this program is part of.
const routerModule = scaffold.RouterModule

type initCommand struct {
	Dir string `arg:"" default:"." help:"Folder of the new module; made if it is missing." optional:""`

	Module string `help:"The module's path (the folder's name)." placeholder:"PATH"`

	Service string `help:"The service's name (the folder's name)." placeholder:"NAME"`

	Router string `help:"A clone of the router that the module uses instead of a version; found by itself if stellagen was built in one." placeholder:"DIR"`
}

func (c *initCommand) Run(ctx context.Context, out *output) error {
	dir, err := filepath.Abs(c.Dir)
	if err != nil {
		return fmt.Errorf("finding %s: %w", c.Dir, err)
	}
	s := scaffold.Service{Name: c.Service, Module: c.Module}
	if s.Name == "" {
		s.Name = strings.ToLower(filepath.Base(dir))
	}
	if s.Module == "" {
		s.Module = filepath.Base(dir)
	}
	if _, err := (&spec.Manifest{Service: s.Name, Version: "0.1.0"}).Encode(); err != nil {
		return fmt.Errorf("%w: %q is no name for a service: say another with --service", errInput, s.Name)
	}
	version, clone, err := c.source()
	if err != nil {
		return err
	}
	if err := writeNew(out, dir, s); err != nil {
		return err
	}
	if err := module(ctx, out, dir, s.Module, version, clone); err != nil {
		return err
	}
	var disk generator.Disk
	findings, err := generator.Run(ctx, generator.Config{Dir: dir, Patterns: []string{allPackages}}, &disk)
	if err != nil {
		return err
	}
	if len(findings.List) > 0 {
		return fmt.Errorf("generating for the new module: %s: %s", findings.List[0].Rule, findings.List[0].Message)
	}
	for _, name := range disk.Written {
		out.printf("wrote %s\n", relative(dir, name))
	}
	if c.Dir != "." {
		out.errorf("cd %s\n", c.Dir)
	}
	out.errorf("go test ./...            # its test\ngo tool stellagen dev    # the service beside a gateway, built again at every change\n" +
		"go run .                 # the service alone; its gateway is at STELLA_GATEWAYS, or tcp://127.0.0.1:5100\n")
	return nil
}

// source is where the module gets the router from: a version, or a clone.
func (c *initCommand) source() (version, clone string, err error) {
	if c.Router != "" {
		if clone, err = filepath.Abs(c.Router); err != nil || !isRouter(clone) {
			return "", "", fmt.Errorf("%w: %s is no clone of %s: expected its go.mod there", errInput, c.Router, routerModule)
		}
		return "v0.0.0", clone, nil
	}
	if info, ok := debug.ReadBuildInfo(); ok && strings.HasPrefix(info.Main.Version, "v") && info.Main.Path == routerModule && info.Main.Sum != "" {
		return info.Main.Version, "", nil // it was built from a published version
	}
	if self, err := os.Executable(); err == nil {
		for dir := filepath.Dir(self); dir != filepath.Dir(dir); dir = filepath.Dir(dir) {
			if isRouter(dir) {
				return "v0.0.0", dir, nil
			}
		}
	}
	return "", "", fmt.Errorf("%w: this stellagen is of no published version, and lies in no clone of %s: name a clone with --router", errInput, routerModule)
}

func isRouter(dir string) bool {
	text, err := os.ReadFile(filepath.Join(dir, "go.mod")) //nolint:gosec // only looked at
	return err == nil && slices.Contains(strings.Split(string(text), "\n"), "module "+routerModule)
}

// writeNew writes the service's files, none of which may be there.
func writeNew(out *output, dir string, s scaffold.Service) error {
	files, err := s.Files()
	if err != nil {
		return err
	}
	names := make([]string, 0, len(files))
	for name := range files {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		if _, err := os.Lstat(filepath.Join(dir, name)); err == nil {
			return fmt.Errorf("%w: %s is there already: init begins a new service; stellagen new adds an endpoint to one", errInput, filepath.Join(dir, name))
		}
	}
	for _, name := range names {
		if err := create(filepath.Join(dir, filepath.FromSlash(name)), files[name]); err != nil {
			return err
		}
		out.printf("wrote %s\n", name)
	}
	return nil
}

// create writes a file that is not there yet, and makes its folder.
func create(name string, content []byte) (err error) {
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil { //nolint:gosec // a folder of source, as git makes it
		return fmt.Errorf("writing %s: %w", name, err)
	}
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644) //nolint:gosec // a source file, as git makes it
	if err != nil {
		return fmt.Errorf("writing %s: %w", name, err)
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if _, err = f.Write(content); err != nil {
		return fmt.Errorf("writing %s: %w", name, err)
	}
	return nil
}

// module makes go.mod, unless there is one, and lets it require the router and its generator.
func module(ctx context.Context, out *output, dir, path, version, clone string) error {
	if _, err := os.Stat(filepath.Join(dir, "go.mod")); errors.Is(err, fs.ErrNotExist) {
		if _, err := goCommand(ctx, dir, "mod", "init", path); err != nil {
			return err
		}
		out.printf("wrote go.mod\n")
	}
	edit := []string{"mod", "edit", "-require", routerModule + "@" + version, "-tool", routerModule + "/generator/cmd/stellagen"}
	if clone != "" {
		edit = append(edit, "-replace", routerModule+"="+clone)
	}
	if _, err := goCommand(ctx, dir, edit...); err != nil {
		return err
	}
	if _, err := goCommand(ctx, dir, "mod", "tidy"); err != nil {
		if _, ok := errors.AsType[*exec.ExitError](err); ok || errors.Is(err, errInput) {
			return fmt.Errorf("%w\nthe files are written; run go mod tidy once the modules can be had", err)
		}
		return err
	}
	return nil
}
