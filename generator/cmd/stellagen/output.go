package main

import (
	"fmt"
	"io"
	"path/filepath"
)

// output is where the program prints to: data to stdout, everything else to stderr. A reader that has gone away changes
// nothing about the work.
type output struct{ stdout, stderr io.Writer }

func (o *output) printf(format string, args ...any) { _, _ = fmt.Fprintf(o.stdout, format, args...) }
func (o *output) errorf(format string, args ...any) { _, _ = fmt.Fprintf(o.stderr, format, args...) }

func relative(dir, name string) string {
	if rel, err := filepath.Rel(dir, name); err == nil {
		return filepath.ToSlash(rel)
	}
	return name
}
