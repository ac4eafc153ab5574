package scan

import (
	"bytes"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"path/filepath"
	"strings"

	"github.com/stella-ops/router/generator/override"
)

// Cache keeps what an edit within a file leaves as it was: which files make which package, and the syntax of the other
// files. With it a run reads all files again, but asks the go command nothing and parses only what has changed. It is
// for one folder and environment, and one run at a time.
type Cache struct {
	fset  *token.FileSet
	files map[string]*aheadFile // by name
	lists map[string]listing    // by patterns
}

type listing struct {
	pkgs     []*listed
	warnings []string
}

// NewCache returns an empty cache.
func NewCache() *Cache {
	c := new(Cache)
	c.Forget()
	return c
}

// Forget drops everything: files have come or gone, or the module's own files have changed.
func (c *Cache) Forget() {
	c.fset, c.files, c.lists = token.NewFileSet(), map[string]*aheadFile{}, map[string]listing{}
}

// maxEdits bounds how often files are parsed again before the cache begins anew: a file set never forgets a file.
const maxEdits = 1000

// Changed says that a Go file has been written to. If the part that decides which package it belongs to, or on which
// machines, is another one now, the cache forgets everything.
func (c *Cache) Changed(name string) {
	if filepath.Base(name) == override.FileName {
		return // it is read in every run
	}
	old := c.files[name]
	now, err := os.ReadFile(name) //nolint:gosec // a file of the user's own module
	if old == nil || err != nil || !bytes.Equal(header(old.src), header(now)) || len(c.files) == 0 || c.edits() > maxEdits {
		c.Forget()
	}
}

// edits counts the files that the set holds beyond those that are there.
func (c *Cache) edits() int {
	n := -len(c.files)
	c.fset.Iterate(func(*token.File) bool { n++; return true })
	return n
}

// header is a file's text up to the end of its package clause, or all of it where there is none.
func header(src []byte) []byte {
	fset := token.NewFileSet()
	f, err := parser.ParseFile(fset, "", src, parser.PackageClauseOnly)
	if err != nil || f == nil {
		return src
	}
	return src[:fset.Position(f.Name.End()).Offset]
}

// parsed is the files of earlier runs.
func (c *Cache) parsed() map[string]*aheadFile {
	if c == nil {
		return nil
	}
	return c.files
}

// keep takes over the files of a run.
func (c *Cache) keep(files map[string]*aheadFile) {
	if c != nil {
		maps.Copy(c.files, files)
	}
}

// ls lists packages, by the cache if it has them.
func (l *loader) ls(patterns []string) (pkgs []*listed, warnings []string, err error) {
	if l.cache == nil {
		return list(l.ctx, l.dir, l.env, patterns)
	}
	key := strings.Join(patterns, "\x00")
	if known, ok := l.cache.lists[key]; ok {
		return known.pkgs, known.warnings, nil
	}
	pkgs, warnings, err = list(l.ctx, l.dir, l.env, patterns)
	if err == nil {
		l.cache.lists[key] = listing{pkgs, warnings}
	}
	return pkgs, warnings, err
}
