package billing

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
)

// Modes of what is made on disk: attachments are nobody else's business.
const (
	dirMode  = 0o700
	fileMode = 0o600
)

// files keeps attachments: one directory for each invoice, in it one file for each attachment. It holds the directory
// as an [os.Root], so that no name can lead out of it, not even by a symbolic link.
type files struct{ root *os.Root }

func openFiles(dir string) (*files, error) {
	if err := os.MkdirAll(dir, dirMode); err != nil {
		return nil, fmt.Errorf("billing: data directory: %w", err)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("billing: data directory: %w", err)
	}
	return &files{root}, nil
}

func (f *files) close() error {
	if err := f.root.Close(); err != nil {
		return fmt.Errorf("billing: data directory: %w", err)
	}
	return nil
}

func (f *files) open(invoice, name string) (*os.File, error) {
	file, err := f.root.Open(path.Join(invoice, name))
	if err != nil {
		return nil, fmt.Errorf("billing: attachment: %w", err)
	}
	return file, nil
}

// upload is a file that is being written, under a name that no attachment has.
type upload struct {
	root    *os.Root
	invoice string
	temp    string
	file    *os.File
	done    bool // closed, and renamed or removed
}

// begin makes a file for an attachment of an invoice. It must be committed or discarded.
func (f *files) begin(invoice string) (*upload, error) {
	if err := f.root.Mkdir(invoice, dirMode); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, fmt.Errorf("billing: attachment: %w", err)
	}
	temp := path.Join(invoice, ".upload-"+rand.Text())
	file, err := f.root.OpenFile(temp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, fileMode)
	if err != nil {
		return nil, fmt.Errorf("billing: attachment: %w", err)
	}
	return &upload{root: f.root, invoice: invoice, temp: temp, file: file}, nil
}

// Write implements [io.Writer].
func (u *upload) Write(p []byte) (int, error) {
	n, err := u.file.Write(p)
	if err != nil {
		return n, fmt.Errorf("billing: attachment: %w", err)
	}
	return n, nil
}

// sync makes sure that what was written is on disk: a name must not appear before its bytes.
func (u *upload) sync() error {
	if err := u.file.Sync(); err != nil {
		return fmt.Errorf("billing: attachment: %w", err)
	}
	return nil
}

// commit gives the file its name, in the place of whatever had it.
func (u *upload) commit(name string) error {
	u.done = true
	err := u.file.Close()
	if err == nil {
		err = u.root.Rename(u.temp, path.Join(u.invoice, name))
	}
	if err != nil {
		return fmt.Errorf("billing: attachment: %w", errors.Join(err, u.root.Remove(u.temp)))
	}
	return nil
}

// discard removes the file unless it was committed.
func (u *upload) discard() error {
	if u.done {
		return nil
	}
	u.done = true
	if err := errors.Join(u.file.Close(), u.root.Remove(u.temp)); err != nil {
		return fmt.Errorf("billing: attachment: %w", err)
	}
	return nil
}
