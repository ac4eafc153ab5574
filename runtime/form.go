package stella

import (
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/stella-ops/router/spec"
)

// FormField is one field that a form may have. For generated code.
type FormField struct {
	Name string
	File bool
}

// form is a form that has been read.
type form struct {
	values url.Values
	files  map[string][]File
	broken bool // it could not be read to its end: what it has not may have come
}

// Form reads the body as a form: the fields are those that it may have. A form with files is multipart/form-data, one
// without is application/x-www-form-urlencoded, and another media type is refused with 415. No body is a form without
// fields. For generated code, before Field and the functions for files.
func (b *Binder) Form(fields []FormField) {
	b.form = &form{values: url.Values{}, files: map[string][]File{}}
	for _, f := range fields {
		if f.File {
			b.readMultipart(fields)
			return
		}
	}
	b.readURLEncoded(fields)
}

// Field is the field of this name.
//
//go:noinline
func (b *Binder) Field(name string) *Param {
	p := b.begin(spec.InBody, name)
	p.values = b.form.values[name]
	return p
}

func (b *Binder) readURLEncoded(fields []FormField) {
	data, err := b.request.ReadBody()
	if err != nil {
		b.failure = bodyFailure(err)
		return
	}
	if len(data) == 0 {
		return
	}
	if _, err := b.formMedia(spec.MediaForm); err != nil {
		b.failure = err
		return
	}
	values, err := url.ParseQuery(string(data))
	if err != nil {
		b.brokenForm("malformed form: " + cut(err.Error()))
	}
	for name, list := range values {
		if fieldOf(fields, name) == nil {
			b.unknownFields = append(b.unknownFields, name)
			continue
		}
		b.form.values[name] = list
	}
	b.reportUnknown()
}

func (b *Binder) brokenForm(detail string) {
	b.form.broken = true
	b.fault(detail)
}

// formMedia checks the body's media type, and returns its parameters.
func (b *Binder) formMedia(want string) (params map[string]string, failure error) {
	h := b.request.Header
	if coding := h.Get("Content-Encoding"); coding != "" && !strings.EqualFold(coding, "identity") {
		return nil, unsupportedMedia(fmt.Sprintf("Send the body without Content-Encoding, got %.40q.", coding))
	}
	value := h.Get(contentType)
	media, params, err := mime.ParseMediaType(value)
	if err != nil || media != want {
		return nil, unsupportedMedia(fmt.Sprintf("Send the body as %s, got %.80q.", want, value))
	}
	return params, nil
}

func fieldOf(fields []FormField, name string) *FormField {
	for i := range fields {
		if fields[i].Name == name {
			return &fields[i]
		}
	}
	return nil
}

var errFieldsTooLarge = errors.New("stella: fields of a form over their limit")

// maxParts bounds how many parts a multipart form has.
const maxParts = 1000

func (b *Binder) readMultipart(fields []FormField) {
	limit := b.request.maxBody()
	if b.request.ContentLength > limit {
		b.failure = tooLarge(limit)
		return
	}
	body := &limited{src: b.request.Body, left: limit}
	if b.request.Header.Get(contentType) == "" { // no body has no type
		if n, err := body.Read(make([]byte, 1)); n == 0 {
			if body.err != nil {
				b.multipartFailure(body, err)
			}
			return
		}
	}
	params, err := b.formMedia(spec.MediaMultipart)
	if err == nil && params["boundary"] == "" {
		err = unsupportedMedia("Send multipart/form-data with its boundary.")
	}
	if err != nil {
		b.failure = err
		return
	}
	spool := &spool{left: maxFormMemory}
	b.request.spool = spool
	parts := multipart.NewReader(body, params["boundary"])
	for n := 0; ; n++ {
		part, err := parts.NextRawPart()
		switch {
		case errors.Is(err, io.EOF):
			b.reportUnknown()
			return
		case err == nil && n == maxParts:
			b.brokenForm(fmt.Sprintf("expected at most %d parts", maxParts))
			return
		case err == nil:
			err = readPart(b, fields, part, spool)
		}
		if err != nil {
			b.multipartFailure(body, err)
			return
		}
	}
}

// reportUnknown reports the fields that the form does not have.
func (b *Binder) reportUnknown() {
	slices.Sort(b.unknownFields)
	for _, name := range slices.Compact(b.unknownFields) {
		if !b.lax {
			b.Field(name).fault("unknown field")
		}
	}
}

// readPart takes one part: a file, or the text of another field.
func readPart(b *Binder, fields []FormField, part *multipart.Part, spool *spool) error {
	name := part.FormName()
	switch f := fieldOf(fields, name); {
	case f == nil:
		b.unknownFields = append(b.unknownFields, name)
		_, err := io.Copy(io.Discard, part)
		return err
	case f.File:
		file := File{Name: fileName(part), ContentType: part.Header.Get(contentType)}
		if file.ContentType == "" {
			file.ContentType = "application/octet-stream"
		}
		if err := spool.read(&file, part); err != nil {
			return err
		}
		b.form.files[name] = append(b.form.files[name], file)
		return nil
	}
	text, err := io.ReadAll(io.LimitReader(part, spool.left+1))
	if err != nil {
		return err
	}
	if int64(len(text)) > spool.left {
		return errFieldsTooLarge
	}
	spool.left -= int64(len(text))
	b.form.values[name] = append(b.form.values[name], string(text))
	return nil
}

// fileName is the last element of the name that the caller gave, as systems with either slash write it.
func fileName(part *multipart.Part) string {
	name := part.FileName() // without directories, as this system writes them
	if i := strings.LastIndexAny(name, `/\`); i >= 0 {
		name = name[i+1:]
	}
	if name == "." || name == ".." {
		return ""
	}
	return name
}

// multipartFailure ends binding: the body is over a limit, malformed, or has broken off.
func (b *Binder) multipartFailure(body *limited, err error) {
	switch {
	case body.over:
		b.failure = tooLarge(b.request.maxBody())
	case errors.Is(err, errFieldsTooLarge):
		b.failure = &Error{
			Status: http.StatusRequestEntityTooLarge, Code: "payload_too_large",
			Message: fmt.Sprintf("The form's fields without its files are larger than %d bytes.", maxFormMemory),
		}
	case body.err != nil:
		b.failure = fmt.Errorf("stella: reading the request body: %w", body.err)
	case isSpoolError(err):
		b.failure = fmt.Errorf("stella: keeping a file of a form: %w", err)
	default:
		b.brokenForm("malformed multipart/form-data: " + cut(err.Error()))
	}
}

func isSpoolError(err error) bool {
	_, ok := errors.AsType[*spoolError](err)
	return ok
}

// limited reads a body up to its limit.
type limited struct {
	src  io.Reader
	left int64
	over bool  // there was more
	err  error // of src
}

func (l *limited) Read(p []byte) (int, error) {
	if l.src == nil {
		return 0, io.EOF
	}
	if int64(len(p)) > l.left+1 {
		p = p[:l.left+1]
	}
	n, err := l.src.Read(p)
	if int64(n) > l.left {
		l.over = true
		return int(l.left), errTooLarge
	}
	l.left -= int64(n)
	if err != nil && !errors.Is(err, io.EOF) {
		l.err = err
	}
	return n, err
}
