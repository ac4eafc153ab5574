package generator

import (
	"context"
	"fmt"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/stella-ops/router/generator/diagnostic"
	"github.com/stella-ops/router/generator/emit"
	"github.com/stella-ops/router/generator/scan"
)

// Config says what a run reads.
type Config struct {
	Dir      string   // absolute; patterns are relative to it
	Env      []string // of the go command; nil is the process's own
	Patterns []string // packages, as the go command takes them
	Cache    *Cache   // nil keeps nothing between runs
}

// Cache keeps between runs what an edit within a file leaves as it was.
type Cache = scan.Cache

// NewCache returns an empty cache.
func NewCache() *Cache { return scan.NewCache() }

// Findings are what is wrong with the input, and the files that they are about.
type Findings struct {
	List    []diagnostic.Finding // sorted
	Nothing bool                 // no package has directives, nor has one lost them: nothing has been checked
	sources map[string][]byte
}

// Source returns a file as it was read.
func (f Findings) Source(name string) ([]byte, error) {
	src, ok := f.sources[name]
	if !ok {
		return nil, fmt.Errorf("generator: %s has not been read", name)
	}
	return src, nil
}

// Run reads the packages, and those that belong to the same services, and hands the files that they should have to the
// target. If there are findings, the target gets nothing.
func Run(ctx context.Context, c Config, target Target) (Findings, error) {
	result, findings, err := Read(ctx, c)
	if err != nil || len(findings.List) > 0 {
		return findings, err
	}
	files, err := render(result)
	if err != nil {
		return Findings{}, err
	}
	for _, f := range files {
		if err := target.Put(f.name, f.content); err != nil {
			return Findings{}, err
		}
	}
	for _, name := range orphans(result) {
		if err := target.Remove(name); err != nil {
			return Findings{}, err
		}
	}
	return findings, nil
}

// Read reads the packages, and those that belong to the same services. The result is whole only if there are no findings.
func Read(ctx context.Context, c Config) (*scan.Result, Findings, error) {
	var list diagnostic.List
	result, sources, err := scan.Scan(ctx, scan.Config(c), &list)
	if err != nil {
		return nil, Findings{}, fmt.Errorf("generator: %w", err)
	}
	if list.Len() > 0 {
		return result, Findings{List: list.Sorted(), sources: sources}, nil
	}
	return result, Findings{Nothing: len(result.Services) == 0 && len(result.Orphans) == 0, sources: sources}, nil
}

// IsOutput reports whether a file of this name, without its folder, is one that the generator writes.
func IsOutput(base string) bool { return base == scan.GeneratedFile || base == scan.ManifestFile }

type file struct {
	name    string
	content []byte
}

// render makes all files before the first is written: a failure leaves the module as it was. It takes most of a run's
// time, so it uses all processors; the order of the files, and of the error that counts, is that of the services.
func render(result *scan.Result) ([]file, error) {
	type job struct {
		name string
		emit func() ([]byte, error)
	}
	var jobs []job
	for _, svc := range result.Services {
		jobs = append(jobs, job{ // first: the Go file embeds it
			filepath.Join(svc.Own.Dir, scan.ManifestFile), func() ([]byte, error) { return emit.Manifest(svc) },
		})
		for _, pkg := range svc.Packages() {
			jobs = append(jobs, job{
				filepath.Join(pkg.Dir, scan.GeneratedFile), func() ([]byte, error) { return emit.Source(svc, pkg) },
			})
		}
	}
	files, errs := make([]file, len(jobs)), make([]error, len(jobs))
	var next atomic.Int64
	var wg sync.WaitGroup
	for range min(runtime.GOMAXPROCS(0), len(jobs)) {
		wg.Go(func() {
			for i := next.Add(1) - 1; i < int64(len(jobs)); i = next.Add(1) - 1 {
				content, err := attempt(jobs[i].emit)
				files[i], errs[i] = file{jobs[i].name, content}, err
			}
		})
	}
	wg.Wait()
	for _, err := range errs {
		if err != nil {
			return nil, fmt.Errorf("generator: %w", err)
		}
	}
	return files, nil
}

// PanicError is a bug of the generator's own. A panic that ended the process would take its exit code along.
type PanicError struct {
	Value any
	Stack []byte
}

func (e *PanicError) Error() string { return fmt.Sprintf("panic: %v", e.Value) }

func attempt(emit func() ([]byte, error)) (content []byte, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = &PanicError{r, debug.Stack()}
		}
	}()
	return emit()
}

// orphans lists the files of packages that no longer have directives, and manifests of packages that are now parts.
// The manifest of a package without directives goes only with its Go file.
func orphans(result *scan.Result) []string {
	var names []string
	for _, svc := range result.Services {
		for _, part := range svc.Parts {
			names = append(names, filepath.Join(part.Dir, scan.ManifestFile))
		}
	}
	for _, dir := range result.Orphans {
		names = append(names, filepath.Join(dir, scan.GeneratedFile), filepath.Join(dir, scan.ManifestFile))
	}
	slices.Sort(names)
	return names
}
