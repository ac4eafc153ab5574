package main

import (
	"bytes"
	"context"
	"fmt"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"strings"

	"github.com/rogpeppe/go-internal/diff"

	"github.com/stella-ops/router/generator"
	"github.com/stella-ops/router/generator/directive"
)

type fmtCommand struct {
	packages

	Check bool `help:"Print the difference, write nothing, and exit with 20 if there is one."`
}

// goFiles makes go list print the Go files of packages, one a line.
const goFiles = `{{range .GoFiles}}{{$.Dir}}` + string(filepath.Separator) + `{{.}}{{"\n"}}{{end}}`

func (c *fmtCommand) Run(ctx context.Context, out *output) error {
	dir, err := os.Getwd()
	if err != nil {
		return fmt.Errorf("finding the working directory: %w", err)
	}
	text, err := goCommand(ctx, dir, append([]string{"list", "-e", "-find", "-f", goFiles, "--"}, c.patterns()...)...)
	if err != nil {
		return err
	}
	var disk generator.Disk
	differs := false
	for name := range strings.SplitSeq(strings.TrimSpace(text), "\n") {
		if name == "" {
			continue
		}
		old, err := os.ReadFile(name) //nolint:gosec // the go command named the file
		if err != nil {
			return fmt.Errorf("reading source: %w", err)
		}
		now := formatted(old)
		switch shown := relative(dir, name); {
		case generator.IsOutput(filepath.Base(name)) || bytes.Equal(old, now):
		case c.Check:
			differs = true
			_, change, _ := bytes.Cut(diff.Diff("a/"+shown, old, "b/"+shown, now), []byte{'\n'})
			out.printf("%s", change)
		default:
			if err := disk.Put(name, now); err != nil {
				return err
			}
			out.printf("wrote %s\n", shown)
		}
	}
	if differs {
		out.errorf("directives are not in their form; run: %s\n", strings.Join(append([]string{"go tool stellagen fmt"}, c.Patterns...), " "))
		return exitError{exitStale}
	}
	return nil
}

// formatted is a Go file with its directives in their canonical form; the same bytes if it cannot be read.
func formatted(src []byte) []byte {
	if !directive.Mentions(src) {
		return src
	}
	fset := token.NewFileSet()
	file, err := parser.ParseFile(fset, "", src, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		return src
	}
	var text bytes.Buffer
	at := 0
	for _, group := range file.Comments {
		for _, c := range group.List {
			from := fset.PositionFor(c.Slash, false).Offset
			to := from + len(c.Text)
			if to > len(src) || string(src[from:to]) != c.Text {
				continue // carriage returns, which the parser drops
			}
			text.Write(src[at:from])
			text.WriteString(directive.Format(c.Text))
			at = to
		}
	}
	text.Write(src[at:])
	return text.Bytes()
}
