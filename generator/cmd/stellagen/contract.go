package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/stella-ops/router/generator/scan"
	"github.com/stella-ops/router/spec"
)

// contract is a manifest, and where it comes from.
type contract struct {
	origin   string // as the user gave it
	path     string // of its file: relative to the module, with slashes; empty if it comes from no file
	source   []byte
	manifest *spec.Manifest // nil with err
	err      error          // why it cannot be read, if that matters only once somebody asks for it
}

// contracts are those of one origin.
type contracts struct {
	origin string // as the user gave it
	list   []contract
	whole  bool // of everything that is there: a service may be among them that nobody asked about
}

// parsed is a contract of these bytes.
func parsed(origin, path string, source []byte) contract {
	m, err := spec.ParseManifest(source)
	if err != nil {
		err = fmt.Errorf("%w: %s: %w", errInput, strings.TrimSuffix(origin+": "+path, ": "), err)
	}
	return contract{origin: origin, path: path, source: source, manifest: m, err: err}
}

// manifests is a target that keeps the manifests of a run, and writes nothing.
type manifests struct {
	names []string
	files map[string][]byte
}

func (m *manifests) Put(name string, content []byte) error {
	if filepath.Base(name) == scan.ManifestFile {
		m.names = append(m.names, name)
		m.files[name] = content
	}
	return nil
}

func (*manifests) Remove(string) error { return nil }

// current are the contracts of packages as they would be generated now, or of manifest files.
func current(ctx context.Context, out *output, root string, args []string) ([]contract, error) {
	isFile := func(arg string) bool { return strings.HasSuffix(arg, ".json") }
	switch {
	case slices.ContainsFunc(args, func(a string) bool { return !isFile(a) }):
	case len(args) > 0:
		var list []contract
		for _, name := range args {
			c, err := fromFile(root, name)
			if err != nil {
				return nil, err
			}
			list = append(list, c)
		}
		return list, nil
	}
	target := manifests{files: map[string][]byte{}}
	report, err := generate(ctx, out, packages{args}.patterns(), &target)
	if err != nil {
		return nil, err
	}
	var list []contract
	for _, name := range target.names {
		c := parsed(relative(report.Base, name), relative(root, name), target.files[name])
		if c.err != nil {
			return nil, c.err
		}
		list = append(list, c)
	}
	return list, nil
}

// fromFile reads a manifest.
func fromFile(root, name string) (contract, error) {
	source, err := os.ReadFile(name) //nolint:gosec // the user names it
	if err != nil {
		return contract{}, fmt.Errorf("reading a manifest: %w", err)
	}
	full, err := filepath.Abs(name)
	if err != nil {
		return contract{}, fmt.Errorf("finding the working directory: %w", err)
	}
	c := parsed(name, relative(root, full), source)
	return c, c.err
}

// nearestModule is the folder of the go.mod file that is nearest above the working directory; that itself if there is none.
func nearestModule() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", fmt.Errorf("finding the working directory: %w", err)
	}
	for at := dir; ; at = filepath.Dir(at) {
		switch _, err := os.Lstat(filepath.Join(at, "go.mod")); {
		case err == nil:
			return at, nil
		case !errors.Is(err, fs.ErrNotExist):
			return "", fmt.Errorf("looking for go.mod: %w", err)
		case at == filepath.Dir(at):
			return dir, nil
		}
	}
}

// origins are what contracts can be had from, beside packages and files, by what stands before the colon.
var origins = map[string]func(ctx context.Context, root, ref string) (contracts, error){
	"git": fromGit, "gateway": fromGateway,
	"file": func(_ context.Context, root, name string) (contracts, error) {
		c, err := fromFile(root, name)
		c.origin = "file:" + name
		return contracts{list: []contract{c}}, err
	},
}

// from returns the contracts of git:REF, gateway:URL or file:FILE; known is false for anything else.
func from(ctx context.Context, root, ref string) (found contracts, known bool, err error) {
	kind, rest, colon := strings.Cut(ref, ":")
	read, known := origins[kind]
	switch {
	case !colon || !known:
		return contracts{}, false, nil
	case rest == "":
		return contracts{}, true, fmt.Errorf("%w: %s names nothing: expected git:REF, file:FILE or gateway:URL", errInput, ref)
	}
	found, err = read(ctx, root, rest)
	return found, true, err
}

// at reports whether one is from the file at path.
func (cs contracts) at(path string) bool {
	return slices.ContainsFunc(cs.list, func(c contract) bool { return c.path == path })
}

// like returns the contract of the same service, or one at the same place whose service is gone; nil if there is none.
func (cs contracts) like(now contract, others []contract) (*contract, error) {
	at := slices.IndexFunc(cs.list, func(c contract) bool { return now.path != "" && c.path == now.path })
	if at >= 0 && cs.list[at].err != nil {
		return nil, cs.list[at].err
	}
	if at >= 0 && cs.list[at].manifest.Service == now.manifest.Service {
		return &cs.list[at], nil
	}
	i := slices.IndexFunc(cs.list, func(c contract) bool { return c.err == nil && c.manifest.Service == now.manifest.Service })
	if i >= 0 {
		return &cs.list[i], nil
	}
	if at < 0 && !cs.whole && len(cs.list) == 1 && len(others) == 1 {
		at = 0 // the user has named these two
	}
	if at < 0 || slices.ContainsFunc(others, func(c contract) bool { return c.manifest.Service == cs.list[at].manifest.Service }) {
		return nil, nil //nolint:nilnil // there is none
	}
	return &cs.list[at], nil
}
