// Package static finds the files of a front end that a gateway serves beside the API: no listing of folders, no file whose name
// begins with a dot, and nothing outside the folder, whatever links lead there (os.Root). Start reading at [Dir].
package static

import (
	"errors"
	"fmt"
	"io/fs"
	"mime"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Dir is a folder whose files are served. Its methods may be called concurrently.
//
// The folder is opened for each request, so that one that is replaced, or a link that is turned to another one, counts at once.
type Dir struct {
	Path     string        // canonical, with everything below it: /app, or /
	Dir      string        // the folder
	Fallback string        // the file for pages that have none, for a front end that has paths of its own; empty: 404
	MaxAge   time.Duration // how long what is not HTML may be kept without asking; 0: everybody asks again, and gets 304
}

// ErrNotFound says that there is no file for a path.
var ErrNotFound = errors.New("static: no such file")

// File is a file that is open. Whoever has it closes it.
type File struct {
	*os.File

	Name     string      // of the file, for its type
	Info     fs.FileInfo // of a regular file
	Fallback bool        // it stands in for one that there is not
}

// Check says everything that is wrong with the folder, also on disk.
func (d *Dir) Check() error {
	root, err := os.OpenRoot(d.Dir)
	if err != nil {
		return fmt.Errorf("static: the folder of %s cannot be opened: %w", d.Path, err)
	}
	defer func() { _ = root.Close() }() // nothing has been written
	if d.Fallback == "" {
		return nil
	}
	f, err := open(root, d.Fallback)
	if err != nil {
		return fmt.Errorf("static: the fallback %s of %s, in %s: %w", d.Fallback, d.Path, d.Dir, err)
	}
	return f.Close() //nolint:wrapcheck // cannot fail: nothing has been written
}

// Open finds the file for a canonical path at or below d.Path, behind which there may be a slash. It may be the fallback where page
// says that the client asks for a page: a script that is missing is none, and neither is what a program asks for. If the path is
// that of a folder, and the slash is missing, there is a relative reference to it with one, and no file. Errors are [ErrNotFound],
// or the system's.
func (d *Dir) Open(canonical string, slash, page bool) (f *File, folder string, err error) {
	rest := strings.TrimPrefix(canonical, strings.TrimSuffix(d.Path, "/"))
	name, ok := local(rest)
	if !ok {
		return nil, "", ErrNotFound
	}
	root, err := os.OpenRoot(d.Dir)
	if err != nil {
		return nil, "", fmt.Errorf("static: %w", err)
	}
	defer func() { _ = root.Close() }() // files that it has opened stay open
	f, folder, err = find(root, name, canonical, slash)
	if errors.Is(err, ErrNotFound) && page && d.Fallback != "" {
		if f, err = open(root, d.Fallback); err == nil {
			f.Fallback = true
		}
	}
	return f, folder, err
}

// find opens the file of a name, which for a folder is its index, or says where the path has to lead.
func find(root *os.Root, name, canonical string, slash bool) (f *File, folder string, err error) {
	info, err := root.Stat(filepath.FromSlash(name))
	switch {
	case err != nil || !info.IsDir() && slash:
		return nil, "", missing(err)
	case !info.IsDir():
		f, err = open(root, name)
		return f, "", err
	}
	if f, err = open(root, path.Join(name, index)); err != nil || slash || canonical == "/" {
		return f, "", err
	}
	return nil, reference(canonical), f.Close()
}

// index is the file of a folder.
const index = "index.html"

// local is the name of a file below a folder; ok is false if the path cannot be one's. Each part is decoded by itself: an
// encoded slash is none.
func local(rest string) (name string, ok bool) {
	parts := strings.Split(strings.TrimPrefix(rest, "/"), "/")
	for i, p := range parts {
		decoded, err := url.PathUnescape(p)
		if err != nil || strings.ContainsAny(decoded, "/\\\x00") || decoded == "" && len(parts) > 1 ||
			strings.HasPrefix(decoded, ".") && decoded != wellKnown {
			return "", false
		}
		parts[i] = decoded
	}
	if name = strings.Join(parts, "/"); name == "" {
		return ".", true
	}
	return name, filepath.IsLocal(filepath.FromSlash(name))
}

// wellKnown is the one name with a dot that is meant for everybody (RFC 8615).
const wellKnown = ".well-known"

// reference leads from a folder's path without a slash to that with one. It is relative, so that whoever stands before the
// gateway may serve it elsewhere; the dot keeps a colon in the name from making it a scheme (RFC 3986, section 4.2).
func reference(canonical string) string { return "./" + path.Base(canonical) + "/" }

// open opens a regular file. What is none may block whoever opens it: a pipe.
func open(root *os.Root, name string) (*File, error) {
	info, err := root.Stat(filepath.FromSlash(name))
	if err != nil || !info.Mode().IsRegular() {
		return nil, missing(err)
	}
	f, err := root.Open(filepath.FromSlash(name))
	if err != nil {
		return nil, missing(err)
	}
	if info, err = f.Stat(); err != nil || !info.Mode().IsRegular() {
		_ = f.Close()
		return nil, missing(err)
	}
	return &File{File: f, Name: path.Base(name), Info: info}, nil
}

// missing is ErrNotFound for all that the client need not know apart: what is no file, what leads out of the folder, and what
// the gateway may not read. Only a system that has no more to give is another matter.
func missing(err error) error {
	if errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE) {
		return fmt.Errorf("static: %w", err)
	}
	return ErrNotFound
}

// Type is the media type, by the name's ending; empty if that tells nothing.
func (f *File) Type() string { return mime.TypeByExtension(path.Ext(f.Name)) }

// lastMeaningless is a day until which times of files tell nothing: what images and archives of reproducible builds have.
var lastMeaningless = time.Date(1990, time.January, 1, 0, 0, 0, 0, time.UTC)

// Modified is when the file was changed last; zero if that is not known.
func (f *File) Modified() time.Time {
	if t := f.Info.ModTime(); t.After(lastMeaningless) {
		return t
	}
	return time.Time{}
}

// Tag is the file's ETag, of its size and time; empty without a time, since a file of the same size may be another one.
func (f *File) Tag() string {
	t := f.Modified()
	if t.IsZero() {
		return ""
	}
	return `"` + strconv.FormatInt(t.UnixNano(), 36) + "-" + strconv.FormatInt(f.Info.Size(), 36) + `"`
}

// CacheControl says how long a file may be kept. A page is asked for again each time, since it names the others.
func (d *Dir) CacheControl(f *File) string {
	if d.MaxAge < time.Second || f.Fallback || strings.HasPrefix(f.Type(), "text/html") {
		return "no-cache"
	}
	return "public, max-age=" + strconv.FormatInt(int64(d.MaxAge/time.Second), 10)
}
