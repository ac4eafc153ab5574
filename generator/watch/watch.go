// Package watch tells of changes to the files that the generator reads.
package watch

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/fsnotify/fsnotify"

	"github.com/stella-ops/router/generator/override"
)

// quiet is how long nothing has to happen before a batch is complete: editors write a file in several steps.
const quiet = 15 * time.Millisecond

// longest bounds how long a batch grows while something happens all the time.
const longest = 500 * time.Millisecond

// Batch is what has changed.
type Batch struct {
	Files     []string // that hold something else, or are new or gone; sorted
	Structure bool     // files have come or gone, or a module's own files have changed
}

// Watcher watches a folder and all below it. It is for one goroutine.
type Watcher struct {
	root    string
	watcher *fsnotify.Watcher
	known   map[string]bool // files of interest
	ignored func(name string) bool
}

// New watches root, which is absolute. Files that ignored says so of do not count: those that are generated.
func New(root string, ignored func(name string) bool) (*Watcher, error) {
	w, err := fsnotify.NewWatcher()
	if err != nil {
		return nil, fmt.Errorf("watch: %w", err)
	}
	self := &Watcher{root: root, watcher: w, known: map[string]bool{}, ignored: ignored}
	if _, err := self.add(root); err != nil {
		return nil, errors.Join(err, w.Close())
	}
	return self, nil
}

// Close ends the watching.
func (w *Watcher) Close() error { return w.watcher.Close() } //nolint:wrapcheck // there is nothing to add

// add watches a folder and those below it, and returns the files of interest in them that were not known.
func (w *Watcher) add(dir string) (found []string, err error) {
	err = filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		switch {
		case errors.Is(err, fs.ErrNotExist): // gone again
			return nil
		case err != nil:
			return err
		case d.IsDir() && name != w.root && leftOut(d.Name()):
			return fs.SkipDir
		case d.IsDir():
			return w.watcher.Add(name)
		case w.interesting(name) && !w.known[name]:
			w.known[name] = true
			found = append(found, name)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("watch: %s: %w", dir, err)
	}
	return found, nil
}

// leftOut reports whether the go command leaves a folder out.
func leftOut(base string) bool {
	return base[0] == '.' || base[0] == '_' || base == "testdata" || base == "vendor" || base == "node_modules"
}

// moduleFiles decide about packages.
var moduleFiles = []string{"go.mod", "go.sum", "go.work"}

// otherFiles are read beside Go files.
var otherFiles = []string{override.FileName}

func (w *Watcher) interesting(name string) bool {
	base := filepath.Base(name)
	return (strings.HasSuffix(base, ".go") && base[0] != '.' || slices.Contains(moduleFiles, base) || slices.Contains(otherFiles, base)) &&
		!w.ignored(name)
}

// Next waits for changes, and returns them once nothing has happened for a moment. The error is the context's, or that
// of a system that cannot watch any more.
func (w *Watcher) Next(ctx context.Context) (Batch, error) {
	changed := map[string]bool{}
	structure := false
	var calm, end <-chan time.Time
	for {
		select {
		case <-ctx.Done():
			return Batch{}, ctx.Err()
		case err, ok := <-w.watcher.Errors:
			if !ok {
				return Batch{}, fmt.Errorf("watch: %w", fs.ErrClosed)
			}
			if !errors.Is(err, fsnotify.ErrEventOverflow) {
				return Batch{}, fmt.Errorf("watch: %w", err)
			}
			structure = true // which they were is lost
			calm = time.After(quiet)
		case e, ok := <-w.watcher.Events:
			if !ok {
				return Batch{}, fmt.Errorf("watch: %w", fs.ErrClosed)
			}
			is, names := w.event(e)
			if len(names) == 0 && !is {
				continue
			}
			structure = structure || is
			for _, name := range names {
				changed[name] = true
			}
			calm = time.After(quiet)
			if end == nil {
				end = time.After(longest)
			}
		case <-calm:
			return Batch{slices.Sorted(maps.Keys(changed)), structure}, nil
		case <-end:
			return Batch{slices.Sorted(maps.Keys(changed)), structure}, nil
		}
	}
}

// event is what one event of the system means.
func (w *Watcher) event(e fsnotify.Event) (structure bool, names []string) {
	if e.Op == fsnotify.Chmod {
		return false, nil
	}
	if info, err := os.Stat(e.Name); err == nil && info.IsDir() {
		if leftOut(filepath.Base(e.Name)) {
			return false, nil
		}
		found, _ := w.add(e.Name) // what cannot be read is for the next run to find
		return len(found) > 0, found
	}
	if !w.interesting(e.Name) {
		return w.gone(e.Name)
	}
	_, err := os.Stat(e.Name)
	there := err == nil
	structure = there != w.known[e.Name] || slices.Contains(moduleFiles, filepath.Base(e.Name))
	if there {
		w.known[e.Name] = true
	} else {
		delete(w.known, e.Name)
	}
	return structure, []string{e.Name}
}

// gone notes a folder that is not there any more.
func (w *Watcher) gone(dir string) (structure bool, names []string) {
	for name := range w.known {
		if strings.HasPrefix(name, dir+string(filepath.Separator)) {
			if _, err := os.Stat(name); err != nil {
				delete(w.known, name)
				names = append(names, name)
			}
		}
	}
	return len(names) > 0, names
}
