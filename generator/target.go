package generator

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// Target takes the files of a run.
type Target interface {
	// Put says what a file should hold.
	Put(name string, content []byte) error
	// Remove says that a file should not be there.
	Remove(name string) error
}

// Disk writes. It leaves files alone that are right already, so that build caches stay warm. The zero value is ready.
type Disk struct {
	Written []string
	Removed []string
}

// fileMode is that of source files: readable by all, as git checks them out.
const fileMode = 0o644

// Put writes a file whole or not at all.
func (d *Disk) Put(name string, content []byte) error {
	old, err := os.ReadFile(name) //nolint:gosec // a file of the package that is generated for
	if err == nil && bytes.Equal(old, content) {
		return nil
	}
	if info, err := os.Lstat(name); err == nil && info.IsDir() {
		return fmt.Errorf("generator: writing: %w", &fs.PathError{Op: "replace", Path: name, Err: syscall.EISDIR})
	}
	if err := replace(name, content); err != nil {
		return fmt.Errorf("generator: writing %s: %w", name, err)
	}
	d.Written = append(d.Written, name)
	return nil
}

func replace(name string, content []byte) (err error) {
	temp, err := os.CreateTemp(filepath.Dir(name), ".stellagen-*") // the go command ignores names with a dot first
	if err != nil {
		return err //nolint:wrapcheck // Put wraps it
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, ignoreMissing(os.Remove(temp.Name())))
		}
	}()
	_, err = temp.Write(content)
	err = errors.Join(err, temp.Chmod(fileMode), temp.Close())
	if err != nil {
		return err
	}
	return os.Rename(temp.Name(), name) //nolint:wrapcheck // Put wraps it
}

func ignoreMissing(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// Remove deletes a file, if it is there.
func (d *Disk) Remove(name string) error {
	switch err := os.Remove(name); {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return fmt.Errorf("generator: removing %s: %w", name, err)
	}
	d.Removed = append(d.Removed, name)
	return nil
}
