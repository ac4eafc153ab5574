package scan

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"time"
)

// listTimeout bounds one run of the go command, which may have to look at a large module.
const listTimeout = 2 * time.Minute

// listed is what the go command says of a package.
type listed struct {
	Dir            string
	ImportPath     string
	Match          []string // the patterns that name it
	Name           string
	GoFiles        []string
	CgoFiles       []string
	IgnoredGoFiles []string
	TestGoFiles    []string
	XTestGoFiles   []string
	Standard       bool
	Module         *listedModule
	Error          *listedError
}

type listedModule struct {
	Path string
	Dir  string
	Main bool // of the working directory or the workspace, not a dependency
}

type listedError struct {
	Err string
}

const listFields = "Dir,ImportPath,Match,Name,GoFiles,CgoFiles,IgnoredGoFiles,TestGoFiles,XTestGoFiles,Standard,Module,Error"

// list runs go list -find: which files belong to a package, without reading what they import, and without the build
// cache. Warnings are about patterns that match nothing.
func list(ctx context.Context, dir string, env []string, patterns []string) (pkgs []*listed, warnings []string, err error) {
	ctx, cancel := context.WithTimeout(ctx, listTimeout)
	defer cancel()
	args := append([]string{"list", "-e", "-find", "-json=" + listFields, "--"}, patterns...)
	cmd := exec.CommandContext(ctx, "go", args...) //nolint:gosec // patterns stand behind --, and are the user's own
	cmd.Dir, cmd.Env = dir, withoutIndex(env)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		if text := strings.TrimSpace(stderr.String()); text != "" {
			err = errors.New(strings.TrimPrefix(text, "go: "))
		}
		return nil, nil, fmt.Errorf("the go command cannot list packages: %w (in %s)", err, dir)
	}
	for line := range strings.Lines(stderr.String()) {
		if text, ok := strings.CutPrefix(strings.TrimSpace(line), "go: warning: "); ok && strings.HasSuffix(text, "matched no packages") {
			warnings = append(warnings, text)
		}
	}
	dec := json.NewDecoder(bytes.NewReader(out))
	for {
		p := new(listed)
		if err := dec.Decode(p); errors.Is(err, io.EOF) { //nolint:musttag // the go command's names are those of the fields
			break
		} else if err != nil {
			return nil, nil, fmt.Errorf("scan: reading what go list says: %w", err)
		}
		pkgs = append(pkgs, p)
	}
	slices.SortFunc(pkgs, func(a, b *listed) int { return strings.Compare(a.ImportPath, b.ImportPath) })
	return pkgs, warnings, nil
}

// withoutIndex keeps the go command from its index of packages. It is in the build cache, whose 256 folders the go
// command makes first where there are none: that takes longer than listing a module of fifty packages does without.
func withoutIndex(env []string) []string {
	if env == nil {
		env = os.Environ()
	}
	setting := "goindex=0"
	for _, v := range env { // the last one counts
		if own, ok := strings.CutPrefix(v, "GODEBUG="); ok {
			setting = strings.TrimPrefix(own+",goindex=0", ",")
		}
	}
	return append(slices.Clip(env), "GODEBUG="+setting)
}

// hasFiles reports whether there is anything to read, be it for this machine or not.
func (p *listed) hasFiles() bool {
	return len(p.GoFiles)+len(p.CgoFiles)+len(p.IgnoredGoFiles)+len(p.TestGoFiles)+len(p.XTestGoFiles) > 0
}

// isMain reports whether a package is the user's to write to.
func (p *listed) isMain() bool { return p.Module != nil && p.Module.Main }

func (p *listed) module() string {
	if p.Module == nil {
		return ""
	}
	return p.Module.Path
}
