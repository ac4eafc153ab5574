package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/stella-ops/router/generator/diagnostic"
	"github.com/stella-ops/router/internal/spelling"
)

// output is where the program prints to: data to stdout, everything else to stderr. A reader that has gone away changes
// nothing about the work.
type output struct {
	stdout, stderr io.Writer

	globals globals
	formats []destination
}

// destination is a format and where it goes: a file, or else stdout, but for text, which goes to stderr.
type destination struct {
	diagnostic.Format

	file string
}

// toStdout reports whether a report of this format is what stdout has.
func (d destination) toStdout() bool { return d.file == "" && d.Name != diagnostic.TextFormat }

func (o *output) errorf(format string, args ...any) { _, _ = fmt.Fprintf(o.stderr, format, args...) }

// printf prints data, or, when a report goes to stdout, what the report does not say.
func (o *output) printf(format string, args ...any) {
	w := o.stdout
	for _, d := range o.formats {
		if d.toStdout() {
			w = o.stderr
		}
	}
	_, _ = fmt.Fprintf(w, format, args...)
}

// configure takes the flags that all commands have.
func (o *output) configure(g globals) error {
	o.globals = g
	if g.Dir != "" {
		if err := os.Chdir(g.Dir); err != nil {
			return fmt.Errorf("%w: -C: %w", errInput, err)
		}
	}
	if len(g.Format) == 0 {
		g.Format = []string{diagnostic.TextFormat}
	}
	onStdout := ""
	for _, arg := range g.Format {
		name, file, hasFile := strings.Cut(arg, ":")
		format, known := diagnostic.FindFormat(name)
		switch {
		case !known:
			return fmt.Errorf("%w: --format %s: expected one of %s, and :FILE behind it for a file%s", errInput, arg,
				strings.Join(formatNames(), ", "), didYouMean(name, formatNames()))
		case hasFile && file == "":
			return fmt.Errorf("%w: --format %s: expected a file behind the colon", errInput, arg)
		}
		d := destination{format, file}
		if d.toStdout() && onStdout != "" {
			return fmt.Errorf("%w: --format %s: standard output has %s already: name a file, as %s:FILE", errInput, arg, onStdout, name)
		}
		if d.toStdout() {
			onStdout = name
		}
		o.formats = append(o.formats, d)
	}
	return nil
}

func formatNames() []string {
	var names []string
	for _, f := range diagnostic.Formats() {
		names = append(names, f.Name)
	}
	return names
}

func didYouMean(word string, candidates []string) string {
	if s := spelling.Suggest(word, candidates); s != "" {
		return ": did you mean " + s + "?"
	}
	return ""
}

// report writes a report in every format that was asked for. The error is nil, or an exitError with the code, if a
// finding that is not waived is grave enough for the command to fail: --fail-on says how grave that is. Input that
// nothing can be made from fails whatever that says.
func (o *output) report(r *diagnostic.Report, code exitCode) error {
	failed := code == exitInput && r.Fails(diagnostic.Error)
	if least, ok := o.globals.failOn(); ok {
		failed = failed || r.Fails(least)
	}
	if err := o.write(r); err != nil {
		return err
	}
	if failed {
		return exitError{code}
	}
	return nil
}

// write writes a report in every format that was asked for.
func (o *output) write(r *diagnostic.Report) error {
	r.Version = buildVersion()
	if r.Rule == nil {
		r.Rule = findRule
	}
	r.Limit(o.globals.MaxFindings)
	var errs []error
	for _, d := range o.formats {
		errs = append(errs, o.writeTo(d, r))
	}
	return errors.Join(errs...)
}

// reportMode is that of report files: what a pipeline's next step reads.
const reportMode = 0o644

func (o *output) writeTo(d destination, r *diagnostic.Report) error {
	w := o.stderr
	if d.toStdout() {
		w = o.stdout
	}
	if d.file == "" {
		_ = d.Write(w, r, o.globals.style(w)) // a reader that has gone away changes nothing
		return nil
	}
	var text bytes.Buffer
	if err := d.Write(&text, r, diagnostic.Style{}); err != nil {
		return err
	}
	if err := os.WriteFile(d.file, text.Bytes(), reportMode); err != nil {
		return fmt.Errorf("writing %s: %w", d.Name, err)
	}
	return nil
}

func relative(dir, name string) string {
	if rel, err := filepath.Rel(dir, name); err == nil {
		return filepath.ToSlash(rel)
	}
	return name
}
