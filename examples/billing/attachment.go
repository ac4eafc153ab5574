package billing

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"os"
	"strconv"

	stella "github.com/stella-ops/router/runtime"
	"github.com/stella-ops/router/spec"
)

// Attach stores a file with an invoice, or replaces it. The body is the file; its Content-Type is kept. It goes to disk
// as it comes, and takes its place only once it is whole.
//
//stella:endpoint PUT /invoices/{id}/attachments/{name} stream=request body=1GiB timeout=10m idle=60s idempotent
//stella:with errors=UnknownInvoiceError:404
//stella:claim scope billing:write
func (s *Service) Attach(_ context.Context, r *stella.Request, w *stella.Response) (err error) {
	id, name := r.PathValue("id"), r.PathValue("name")
	if err := checkName(name); err != nil {
		return err
	}
	if _, ok := s.invoices.get(id); !ok { // before the body is taken
		return UnknownInvoiceError{id}
	}
	up, err := s.files.begin(id)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, up.discard()) }()
	size, err := io.CopyBuffer(up, r.Body, make([]byte, spec.MaxChunk))
	if err != nil {
		return fmt.Errorf("billing: attachment: %w", err)
	}
	a := Attachment{Name: name, Type: cmp.Or(r.Header.Get("Content-Type"), "application/octet-stream"), Size: size}
	if err := up.sync(); err != nil {
		return err
	}
	added, err := s.invoices.attach(id, a, func() error { return up.commit(name) })
	if err != nil {
		return err
	}
	status := http.StatusOK
	if added {
		status = http.StatusCreated
	}
	return w.JSON(status, a)
}

// Attachment answers a file that belongs to an invoice.
//
//stella:endpoint GET /invoices/{id}/attachments/{name} stream=response idle=60s errors=UnknownInvoiceError:404,UnknownAttachmentError:404
//stella:claim scope billing:read
func (s *Service) Attachment(_ context.Context, r *stella.Request, w *stella.Response) (err error) {
	id, name := r.PathValue("id"), r.PathValue("name")
	if err := checkName(name); err != nil {
		return err
	}
	var f *os.File
	a, err := s.invoices.attachment(id, name, func() (err error) {
		f, err = s.files.open(id, name)
		return err
	})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	h := w.Header()
	h.Set("Content-Type", a.Type)
	h.Set("Content-Length", strconv.FormatInt(a.Size, 10))
	// The type is the uploader's word: a browser must neither guess another nor show the file as a page of ours.
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Content-Disposition", mime.FormatMediaType("attachment", map[string]string{"filename": name}))
	_, err = io.Copy(w, f)
	return err
}

// maxName bounds an attachment's name, in bytes.
const maxName = 128

// checkName allows names that are a plain file name on every system.
func checkName(name string) error {
	ok := name != "" && len(name) <= maxName
	for i := 0; ok && i < len(name); i++ {
		c := name[i]
		letter := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
		ok = letter || i > 0 && (c == '.' || c == '-' || c == '_')
	}
	if ok {
		return nil
	}
	return invalid(spec.Fault{
		In: spec.InPath, Parameter: "name",
		Detail: fmt.Sprintf("expected up to %d letters, digits, dots, dashes and underscores, the first a letter or digit; got %.60q", maxName, name),
	})
}

// UnknownAttachmentError says that an invoice has no such file.
type UnknownAttachmentError struct {
	Invoice string `json:"invoice"`
	Name    string `json:"name"`
}

func (e UnknownAttachmentError) Error() string {
	return fmt.Sprintf("Invoice %s has no attachment %q.", e.Invoice, e.Name)
}
