package stella

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"

	"github.com/stella-ops/router/spec"
	"github.com/stella-ops/router/transports/session"
)

const (
	contentLength = "Content-Length"
	contentType   = "Content-Type"
	jsonType      = "application/json"
)

// Response is the answer that a handler gives. Up to 16 KiB of body are held, so that a small answer travels whole,
// and so that an error which the handler returns can still take its place; more body, or Flush, begins the answer.
// From then on header and status stand, and an error breaks the answer off. What is written after that is gathered,
// too, into parts of up to 16 KiB: a handler that means a part to be seen at once says so with Flush.
//
// A Response is for one goroutine at a time, and ends when the handler returns.
type Response struct {
	to      outlet
	header  Header
	trailer *Header // nil: nobody has asked for it
	status  int
	length  int64   // declared by Content-Length; -1: none
	sent    int64   // bytes of body taken, held or not
	held    *answer // body that has not left
	begun   bool    // the head has left
	ended   bool    // nothing may be written any more

	measured    bool // length is not the handler's word, but that of JSON
	bodiless    bool // HEAD: the body is counted, and left out
	intercepted bool // header has what interceptors have set, and stays where the handler fails
	answered    bool // behind interceptors: the handler has answered, and is not called again

	fields [4]spec.Field // where header begins, so that a few fields need no allocation
	meta   spec.Response // what travels, once it does

	fallback int // the status, unless the handler says another

	upgrade *upgrade // of an endpoint that may change to another protocol; nil: it is none

	declared func(error) *Error // finds the errors that the endpoint declares; nil: it declares none
}

// outlet takes an answer: the service's end of a call, a [session.Incoming]. It is an interface for the sake of packages
// with endpoints, which would be compiled with all that a session is made of.
type outlet interface {
	io.Writer
	io.ReaderFrom
	Context() context.Context
	Head(meta *spec.Response) error
	RespondWith(meta *spec.Response, body []byte, trailer []spec.Field) error
	EndWith(trailer []spec.Field) error
}

var (
	errAnswered  = errors.New("stella: the answer is given already")
	errEnded     = errors.New("stella: the answer has ended with its handler")
	errTooLong   = fmt.Errorf("stella: more body than Content-Length says: %w", http.ErrContentLength)
	errTooShort  = errors.New("stella: less body than Content-Length says")
	errBadLength = errors.New("stella: Content-Length is not one number of bytes")
)

// DeclareErrors has the errors that the endpoint declares answered as it declares: find gives the answer to one of
// them, and nil to another. For generated code.
func (w *Response) DeclareErrors(find func(error) *Error) { w.declared = find }

// errorOf is how an error is answered: as it is declared, as the *Error in it, or by one that tells nothing.
func (w *Response) errorOf(err error) *Error {
	if w.declared != nil {
		if e := w.declared(err); e != nil {
			return e
		}
	}
	return errorOf(err)
}

// Header is the answer's header, to be changed before the answer begins.
func (w *Response) Header() *Header { return &w.header }

// Trailer is the header fields that follow the body, to be changed until the handler returns: a digest, say, that is known
// only then. A header field Trailer may announce their names. They must be none that a reader needs before the body, such as
// Content-Type or Set-Cookie (RFC 9110, section 6.5.1; [spec.IsForbiddenTrailer]). Where they cannot be had they are dropped: with
// an answer that has no body, with a Content-Length towards HTTP/1.1, and at a gateway that takes none.
func (w *Response) Trailer() *Header {
	if w.trailer == nil {
		w.trailer = new(Header)
	}
	return w.trailer
}

// trails reports whether fields follow the body.
func (w *Response) trails() bool { return w.trailer != nil && len(*w.trailer) > 0 }

// trailers are the fields that follow the body, checked.
func (w *Response) trailers() ([]spec.Field, error) {
	if !w.trails() {
		return nil, nil
	}
	for _, f := range *w.trailer {
		if err := f.Check(); err != nil {
			return nil, fmt.Errorf("stella: trailer: %w", err)
		}
		if spec.IsForbiddenTrailer(f.Name) {
			return nil, fmt.Errorf("stella: %s must not be a trailer: readers need it before the body, set it in Header", f.Name)
		}
	}
	if w.bodiless || !bodyAllowed(w.status) {
		return nil, nil
	}
	return *w.trailer, nil
}

// WriteHeader sets the status, 200 to 599. Without it the first Write implies the endpoint's own, which is 200
// unless its directive says otherwise. As in net/http the first status counts.
func (w *Response) WriteHeader(status int) {
	if w.status == 0 {
		w.status = status
	}
}

// Status is the answer's status as it stands: the one that was set, else the endpoint's own.
func (w *Response) Status() int { return cmp.Or(w.status, w.fallback) }

// StatusOf is the status that the caller gets when the call ends with err, which may be nil: for interceptors that count and
// log. It is 0 where there is none: the answer has begun and is broken off, or the call is over.
func (w *Response) StatusOf(err error) int {
	switch {
	case err == nil, w.ended && errors.Is(err, http.ErrBodyNotAllowed):
		return w.Status()
	case w.begun, w.to != nil && w.to.Context().Err() != nil:
		return 0
	}
	return w.errorOf(err).status()
}

// Written is how many bytes of body have been written so far; to HEAD, those that GET would have got.
func (w *Response) Written() int64 { return w.sent }

// JSON answers with v as JSON. It must be the whole answer. Where v cannot be encoded, nothing has been answered.
func (w *Response) JSON(status int, v any) error {
	if err := w.untouched(); err != nil {
		return err
	}
	body := newAnswer()
	if err := body.encode(v); err != nil {
		body.release()
		return err
	}
	if !w.header.Has(contentType) {
		w.header.Add(contentType, jsonType)
	}
	w.header.Del(contentLength)
	w.status, w.held, w.sent = status, body, int64(body.Len())
	w.length, w.measured = w.sent, true
	return nil
}

// Empty answers without a body.
//
//go:noinline
func (w *Response) Empty(status int) error {
	if err := w.untouched(); err != nil {
		return err
	}
	w.status = status
	return nil
}

func (w *Response) untouched() error {
	switch {
	case w.ended:
		return errEnded
	case w.begun || w.sent > 0:
		return errAnswered
	}
	return nil
}

// Write answers with a part of the body. Once the answer has begun it waits until the caller takes the bytes, and
// fails when the call is over. More bytes than a Content-Length header promised are an error, and so is a body where
// the status or the method allows none: then it is [http.ErrBodyNotAllowed].
func (w *Response) Write(p []byte) (int, error) {
	if err := w.admit(int64(len(p))); err != nil {
		return 0, err
	}
	if w.holds()+len(p) <= spec.MaxInlineBody {
		w.hold(p)
		return len(p), nil
	}
	if err := w.pass(); err != nil {
		return 0, err
	}
	if len(p) <= spec.MaxInlineBody/2 { // not worth a frame of its own
		w.hold(p)
		return len(p), nil
	}
	n, err := w.to.Write(p)
	w.sent += int64(n)
	return n, err
}

// ReadFrom answers with all of src, without copying it on the way. It makes [io.Copy] fast.
func (w *Response) ReadFrom(src io.Reader) (int64, error) {
	var held int64
	for !w.begun { // until src ends, or is known to be more than is held
		n, err := w.fill(src)
		held += n
		if errors.Is(err, io.EOF) {
			return held, nil
		}
		if err != nil {
			return held, err
		}
	}
	if err := w.Flush(); err != nil {
		return held, err
	}
	over := false
	if w.length >= 0 { // one byte more than promised, so that a longer source is noticed and not sent
		src = &promised{src: src, left: w.length - w.sent, over: &over}
	}
	n, err := w.to.ReadFrom(src)
	w.sent += n
	if over {
		err = errTooLong
	}
	return held + n, err
}

// fill reads once from src into what is held, and begins the answer when that is more than a small one. io.EOF is the
// end of src.
func (w *Response) fill(src io.Reader) (int64, error) {
	if err := w.admit(0); err != nil {
		return 0, err
	}
	w.hold(nil)
	n, err := src.Read(w.held.AvailableBuffer()[:answerRoom-w.holds()])
	if n > 0 {
		if err := w.admit(int64(n)); err != nil {
			return 0, err
		}
		w.hold(w.held.AvailableBuffer()[:n])
	}
	if w.holds() > spec.MaxInlineBody {
		if err := w.pass(); err != nil {
			return int64(n), err
		}
	}
	return int64(n), err
}

// promised reads no more than was promised, and notes when there would have been more.
type promised struct {
	src  io.Reader
	left int64
	over *bool
}

func (p *promised) Read(b []byte) (int, error) {
	if p.left == 0 {
		var extra [1]byte
		n, err := p.src.Read(extra[:])
		if n > 0 {
			*p.over = true
			return 0, errTooLong
		}
		return 0, err
	}
	if int64(len(b)) > p.left {
		b = b[:p.left]
	}
	n, err := p.src.Read(b)
	p.left -= int64(n)
	return n, err
}

// Flush sends what is held, and so begins the answer. Only streams need it: a handler that has written all it has to
// say returns instead.
func (w *Response) Flush() error {
	if err := w.admit(0); err != nil {
		return err
	}
	if err := w.pass(); err != nil {
		return err
	}
	if to, ok := w.to.(*relay); ok {
		return to.Flush()
	}
	return nil
}

// deadlined is an outlet whose calls have deadlines of their own.
type deadlined interface {
	SetReadDeadline(t time.Time) error
	SetWriteDeadline(t time.Time) error
}

// SetReadDeadline bounds reads of the request's body, those that wait already included: they fail with
// [os.ErrDeadlineExceeded], and the call goes on. The zero time is no bound; the endpoint's own bounds hold beside it. It fails
// with [errors.ErrUnsupported] where the answer passes through net/http middleware whose writer has no deadlines.
func (w *Response) SetReadDeadline(t time.Time) error {
	if to, ok := w.to.(deadlined); ok {
		return to.SetReadDeadline(t)
	}
	return errors.ErrUnsupported
}

// SetWriteDeadline bounds writes of the answer, which wait for a caller that reads slowly, in the same way. A Write that fails
// so may have sent a part: the handler should return the error, so that the answer is broken off.
func (w *Response) SetWriteDeadline(t time.Time) error {
	if to, ok := w.to.(deadlined); ok {
		return to.SetWriteDeadline(t)
	}
	return errors.ErrUnsupported
}

// admit checks whether n more bytes of body may be written.
func (w *Response) admit(n int64) error {
	if w.ended {
		return errEnded
	}
	if w.begun {
		if w.length >= 0 && w.sent+n > w.length {
			return errTooLong
		}
		return nil
	}
	if w.status == 0 {
		w.status = w.fallback
	}
	if err := w.takeLength(); err != nil {
		return err
	}
	switch {
	case n > 0 && !bodyAllowed(w.status):
		return http.ErrBodyNotAllowed
	case w.length >= 0 && w.sent+n > w.length:
		return errTooLong
	}
	return nil
}

// bodyAllowed is RFC 9110, section 6.4.1.
func bodyAllowed(status int) bool {
	return status != http.StatusNoContent && status != http.StatusNotModified
}

// takeLength moves Content-Length from the header, where the wire does not have it, to its own field.
func (w *Response) takeLength() error {
	v, ok := w.header.lookup(contentLength)
	if !ok {
		return nil
	}
	n, err := strconv.ParseInt(v, 10, 64)
	if err != nil || n < 0 || len(w.header.Values(contentLength)) > 1 {
		return fmt.Errorf("%w: %.40q", errBadLength, w.header.Values(contentLength))
	}
	w.header.Del(contentLength)
	w.length = n
	return nil
}

// holds is how many bytes are held.
func (w *Response) holds() int {
	if w.held == nil {
		return 0
	}
	return w.held.Len()
}

// hold keeps p for later.
func (w *Response) hold(p []byte) {
	if w.held == nil {
		w.held = newAnswer()
	}
	_, _ = w.held.Write(p) // never fails
	w.sent += int64(len(p))
}

// part holds v as JSON between two texts, or nothing where it cannot be encoded.
func (w *Response) part(before string, v any, after string) error {
	if err := w.admit(1); err != nil {
		return err
	}
	w.hold(nil)
	size := w.held.Len()
	_, _ = w.held.WriteString(before) // never fails
	if err := w.held.encode(v); err != nil {
		w.held.Truncate(size)
		return err
	}
	_, _ = w.held.WriteString(after) // never fails
	w.sent += int64(w.held.Len() - size)
	return nil
}

// metadata is the answer's, checked: what the gateway would refuse fails here, where it can be logged.
func (w *Response) metadata() (*spec.Response, error) {
	if (w.status < 200 || w.status > 599) && (w.status != statusUpgrade || !w.upgrade.accepted()) {
		return nil, fmt.Errorf("stella: status %d, expected 200 to 599", w.status)
	}
	for _, f := range w.header {
		if err := f.Check(); err != nil {
			return nil, fmt.Errorf("stella: answer: %w", err)
		}
	}
	w.meta = spec.Response{Status: w.status, ContentLength: w.length, Header: w.header}
	return &w.meta, nil
}

// pass sends what is held, after the head.
func (w *Response) pass() error {
	if !w.begun {
		if err := w.begin(); err != nil {
			return err
		}
	}
	if w.holds() == 0 {
		return nil
	}
	_, err := w.to.Write(w.held.Bytes())
	w.held.Reset()
	return err
}

// begin sends the head. A caller who wants no body has all of the answer then.
func (w *Response) begin() error {
	meta, err := w.metadata()
	if err != nil {
		return err
	}
	if err := w.to.Head(meta); err != nil {
		return err
	}
	w.begun = true
	if !w.bodiless {
		return nil
	}
	w.ended = true
	if err := w.to.EndWith(nil); err != nil && !unwanted(err) {
		return err
	}
	return http.ErrBodyNotAllowed
}

// unwanted reports whether a call has ended because the gateway, which has the head, wants nothing more.
func unwanted(err error) bool {
	e, ok := errors.AsType[*session.Error](err)
	return ok && e.Remote && e.Code == spec.CodeNoError
}

// finish sends what is left once the handler has returned without an error.
func (w *Response) finish() error {
	if w.upgrade.accepted() {
		return w.upgrade.conn.Close()
	}
	if w.ended { // HEAD, answered early
		return nil
	}
	if err := w.admit(0); err != nil {
		return err
	}
	w.ended = true
	if w.length >= 0 && w.sent < w.length && !w.bodiless {
		return fmt.Errorf("%w: %d of %d bytes", errTooShort, w.sent, w.length)
	}
	trailer, err := w.trailers()
	if err != nil {
		return err
	}
	if w.begun {
		if err := w.pass(); err != nil {
			return err
		}
		return w.to.EndWith(trailer)
	}
	switch follows := w.trails() && !w.bodiless; { // for which a length leaves HTTP/1.1 no room
	case follows && w.measured:
		w.length = -1
	case w.length < 0 && bodyAllowed(w.status) && !follows:
		w.length = w.sent
	}
	meta, err := w.metadata()
	if err != nil {
		return err
	}
	var body []byte
	if w.holds() > 0 && !w.bodiless {
		body = w.held.Bytes()
	}
	if err := w.to.RespondWith(meta, body, trailer); err != nil {
		return err
	}
	w.begun = true
	return nil
}

// replace drops what has been written so far, and answers with e. It must not have begun.
func (w *Response) replace(e *Error, requestID string) error {
	if !w.intercepted {
		w.header = w.fields[:0]
	}
	w.reset(w.header)
	for _, f := range e.Header {
		w.header.Del(f.Name)
	}
	w.header = append(w.header, e.Header...)
	w.header.Set(contentType, spec.ProblemType)
	if err := w.JSON(e.status(), e.problem(requestID)); err != nil {
		return err
	}
	return w.finish()
}

// reset drops what has been written so far, and all of the header but h. The answer must not have begun.
func (w *Response) reset(h Header) {
	w.held.release()
	w.held, w.sent, w.length, w.status, w.ended, w.header, w.trailer, w.measured = nil, 0, -1, 0, false, h, nil, false
}

// release gives back what is held.
func (w *Response) release() {
	w.ended = true
	w.held.release()
	w.held = nil
}
