package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path"
	"strings"

	"github.com/stella-ops/router/generator/scan"
)

// fromGit reads the manifests of a module as they are in a commit.
func fromGit(ctx context.Context, root, ref string) (contracts, error) {
	origin := "git:" + ref
	if strings.HasPrefix(ref, "-") || strings.ContainsAny(ref, ": \t\n") {
		return contracts{}, fmt.Errorf("%w: %s: expected a branch, a tag or a commit", errInput, origin)
	}
	if _, err := git(ctx, root, "rev-parse", "--git-dir"); err != nil {
		return contracts{}, fmt.Errorf("%w: %s: %w", errInput, origin, err)
	}
	if _, err := git(ctx, root, "rev-parse", "--verify", "--quiet", "--end-of-options", ref+"^{commit}"); err != nil {
		return contracts{}, noCommit(ctx, root, ref)
	}
	names, err := git(ctx, root, "ls-tree", "-r", "-z", "--name-only", ref) // below the module, relative to it
	if err != nil {
		return contracts{}, fmt.Errorf("%w: %s: %w", errInput, origin, err)
	}
	found := contracts{whole: true}
	for name := range strings.SplitSeq(strings.TrimRight(string(names), "\x00"), "\x00") {
		if path.Base(name) != scan.ManifestFile {
			continue
		}
		source, err := git(ctx, root, "show", "--end-of-options", ref+":./"+name)
		if err != nil {
			return contracts{}, fmt.Errorf("%w: %s: %w", errInput, origin, err)
		}
		found.list = append(found.list, parsed(origin, name, source))
	}
	return found, nil
}

// noCommit says why a commit cannot be found, and what helps.
func noCommit(ctx context.Context, root, ref string) error {
	hint := "git fetch origin " + ref + ", or name a branch, tag or commit that git log knows"
	if shallow, err := git(ctx, root, "rev-parse", "--is-shallow-repository"); err == nil && strings.TrimSpace(string(shallow)) == "true" {
		hint = "this clone is shallow and has a part of the history only: git fetch --unshallow; in a pipeline, check out with full " +
			"history (fetch-depth: 0)"
	}
	return fmt.Errorf("%w: git:%s: there is no such commit here\nhint: %s", errInput, ref, hint)
}

// git runs it in a folder and returns what it prints.
func git(ctx context.Context, dir string, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, "git", args...) //nolint:gosec // the arguments are ours, but for a ref that is no flag
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "LC_ALL=C")
	var complaint bytes.Buffer
	cmd.Stderr = &complaint
	printed, err := cmd.Output()
	switch {
	case err == nil:
		return printed, nil
	case errors.Is(err, exec.ErrNotFound):
		return nil, errors.New("git is not installed")
	case ctx.Err() != nil:
		return nil, ctx.Err()
	}
	return nil, fmt.Errorf("git %s: %s", args[0], strings.TrimSpace(complaint.String()))
}
