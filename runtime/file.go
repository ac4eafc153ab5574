package stella

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
)

// File is one file of a multipart form. What callers say of it, its name and type, is not to be trusted. Its bytes are
// there until the handler returns.
type File struct {
	Name        string // as the caller calls it, without directories; may be empty
	ContentType string // as the caller says; application/octet-stream if it does not
	Size        int64  // in bytes

	data []byte // of a small one
	temp kept   // of another
}

// kept is a temporary file. It is an interface for the sake of packages with endpoints, which would be compiled with all
// that an *os.File is made of.
type kept interface {
	io.ReaderAt
	Stat() (os.FileInfo, error)
}

// Open begins to read the file. It may be opened several times, and by several goroutines.
func (f File) Open() (io.ReadCloser, error) {
	if f.temp == nil {
		return io.NopCloser(bytes.NewReader(f.data)), nil
	}
	if _, err := f.temp.Stat(); err != nil {
		return nil, fmt.Errorf("stella: file %.100q of a form, which is there until its handler returns: %w", f.Name, err)
	}
	return io.NopCloser(io.NewSectionReader(f.temp, 0, f.Size)), nil
}

// maxFormMemory is how much of one form is held in memory, in bytes. What files have beyond it goes to temporary files.
const maxFormMemory = 1 << 20

// spool holds what files of one request do not keep in memory.
type spool struct {
	left  int64 // room in memory, in bytes
	temps []*os.File
}

// read takes all of src. It goes to a temporary file if memory has no room for it.
func (s *spool) read(f *File, src io.Reader) error {
	data, err := io.ReadAll(io.LimitReader(src, s.left+1))
	if err != nil {
		return err
	}
	if int64(len(data)) <= s.left {
		s.left -= int64(len(data))
		f.data, f.Size = data, int64(len(data))
		return nil
	}
	temp, err := os.CreateTemp("", "stella-form-*")
	if err != nil {
		return &spoolError{err}
	}
	s.temps = append(s.temps, temp)
	_ = os.Remove(temp.Name()) // where an open file can be removed, nothing is left of it if the process dies
	for _, part := range []io.Reader{bytes.NewReader(data), src} {
		n, err := io.Copy(onDisk{temp}, part)
		f.Size += n
		if err != nil {
			return err
		}
	}
	f.temp = temp
	return nil
}

// Close removes the temporary files.
func (s *spool) Close() error {
	var errs []error
	for _, f := range s.temps {
		errs = append(errs, f.Close())
		if err := os.Remove(f.Name()); !errors.Is(err, os.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	s.temps = nil
	return errors.Join(errs...)
}

// spoolError says that a temporary file cannot be written. It is not the caller's fault.
type spoolError struct{ error }

func (e *spoolError) Unwrap() error { return e.error }

// onDisk tells errors of writing from those of reading.
type onDisk struct{ file *os.File }

func (d onDisk) Write(p []byte) (int, error) {
	n, err := d.file.Write(p)
	if err != nil {
		err = &spoolError{err}
	}
	return n, err
}

// File takes the file of this name, if it came. For generated code, as are the other functions for files.
func (b *Binder) File(name string, required bool, dst *File) {
	if list := b.filesOf(name, required); len(list) == 1 {
		*dst = list[0]
	} else if len(list) > 1 {
		b.Field(name).fault(fmt.Sprintf("expected one file, got %d", len(list)))
	}
}

// FilePointer points the destination at the file of this name, if it came.
func (b *Binder) FilePointer(name string, required bool, dst **File) {
	var f File
	if b.File(name, required, &f); len(b.form.files[name]) == 1 {
		*dst = &f
	}
}

// Files takes all files of this name.
func (b *Binder) Files(name string, required bool, rule *Rule, dst *[]File) {
	if list := b.filesOf(name, required); len(list) > 0 {
		*dst = list
		b.Field(name).faultAll(rule.items(len(list)))
	}
}

func (b *Binder) filesOf(name string, required bool) []File {
	list := b.form.files[name]
	if required && len(list) == 0 && !b.form.broken {
		b.Field(name).fault("required, but missing")
	}
	return list
}
