package scan

import (
	"bytes"
	"context"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"

	"github.com/stella-ops/router/generator/directive"
)

// ahead reads and parses the files of folders on all processors: those below the working directory while the go
// command is still busy finding out which of them are packages, the others once it has. It only prepares: which files
// count, and what is wrong with them, is for the loader to say, one package after the other.
type ahead struct {
	fset   *token.FileSet
	before map[string]*aheadFile // of an earlier run with the same fset; only read

	mu    sync.Mutex
	dirs  map[string]bool       // that are being read, or have been
	files map[string]*aheadFile // by name
}

// aheadFile is a Go file as it was read.
type aheadFile struct {
	src      []byte
	mentions bool      // see directive.Mentions
	file     *ast.File // nil in folders that do not mention a directive
	comments bool      // file has been parsed with comments
	err      error     // of parsing
}

// below reads the folders below root, until ctx ends. Folders that the go command leaves out are left out.
func (a *ahead) below(ctx context.Context, root string) {
	a.work(func(give func(dir string)) {
		// What cannot be read is left for the go command to find.
		_ = filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
			switch {
			case ctx.Err() != nil:
				return fs.SkipAll
			case err != nil:
				return fs.SkipDir
			case !d.IsDir():
				return nil
			case name != root && isLeftOut(name, d.Name()):
				return fs.SkipDir
			}
			give(name)
			return nil
		})
	})
}

// isLeftOut reports whether ./... does not reach a folder.
func isLeftOut(name, base string) bool {
	if base[0] == '.' || base[0] == '_' || base == "testdata" || base == "vendor" {
		return true
	}
	_, err := os.Lstat(filepath.Join(name, "go.mod"))
	return err == nil
}

// all reads the folders of packages.
func (a *ahead) all(pkgs []*listed) {
	a.work(func(give func(dir string)) {
		for _, p := range pkgs {
			give(p.Dir)
		}
	})
}

// work reads every folder that it is given, once, and returns when all have been.
func (a *ahead) work(dirs func(give func(dir string))) {
	var wg sync.WaitGroup
	queue := make(chan string)
	for range runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			for dir := range queue {
				a.readDir(dir)
			}
		})
	}
	dirs(func(dir string) {
		a.mu.Lock()
		known := a.dirs[dir]
		a.dirs[dir] = true
		a.mu.Unlock()
		if !known {
			queue <- dir
		}
	})
	close(queue)
	wg.Wait()
}

func (a *ahead) readDir(dir string) {
	defer func() { _ = recover() }() // the loader reads what is missing, and meets the panic where it can be told
	entries, err := os.ReadDir(dir)
	if err != nil {
		return
	}
	found, mentions := map[string]*aheadFile{}, false
	for _, e := range entries {
		if e.IsDir() || !strings.HasSuffix(e.Name(), ".go") {
			continue
		}
		name := filepath.Join(dir, e.Name())
		src, err := os.ReadFile(name) //nolint:gosec // a file of the user's own module
		if err != nil {
			continue
		}
		f := &aheadFile{src: src}
		found[name] = f
		if e.Name() != GeneratedFile || !isGenerated(src) {
			f.mentions = directive.Mentions(src)
			mentions = mentions || f.mentions
		}
	}
	if mentions {
		for name, f := range found {
			base := filepath.Base(name)
			if base != GeneratedFile || !isGenerated(f.src) {
				f.comments = f.mentions || !strings.HasSuffix(base, "_test.go")
				if old := a.before[name]; old != nil && old.file != nil && old.comments == f.comments && bytes.Equal(old.src, f.src) {
					f.file, f.err = old.file, old.err
					continue
				}
				f.file, f.err = parser.ParseFile(a.fset, name, f.src, parseMode(f.comments))
			}
		}
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	maps.Copy(a.files, found)
}

// parseMode is how a file is parsed: with comments and all errors where it matters what they are.
func parseMode(comments bool) parser.Mode {
	if comments {
		return parser.SkipObjectResolution | parser.ParseComments | parser.AllErrors
	}
	return parser.SkipObjectResolution
}
