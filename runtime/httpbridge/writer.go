package httpbridge

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"log/slog"
	"maps"
	"net/http"
	"net/textproto"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	stella "github.com/stella-ops/router/runtime"
	"github.com/stella-ops/router/spec"
)

const (
	contentLength    = "Content-Length"
	contentType      = "Content-Type"
	trailer          = "Trailer"
	transferEncoding = "Transfer-Encoding"
)

// sniffed is how many bytes of a body [http.DetectContentType] looks at.
const sniffed = 512

// responseWriter is the handler's. As in net/http it is for one goroutine at a time.
type responseWriter struct {
	ctx      context.Context //nolint:containedctx // the request's, for what is logged
	answered func()          // ends the request's context
	answer   *stella.Response
	head     bool        // the method is HEAD: nothing of the body is sent
	header   http.Header // the handler's; what counts is copied by WriteHeader

	status   int       // 0 until WriteHeader
	length   int64     // declared by Content-Length; -1: none
	written  int64     // bytes of body
	over     bool      // there was more than declared: no more is taken, as in net/http
	sniffing bool      // the Content-Type is still to be guessed
	start    []byte    // of the body, while sniffing
	declared []string  // names of trailers
	flushed  bool      // to HEAD: the answer is whole
	late     time.Time // nothing is sent after this; zero: there is no bound
	bounded  bool      // deadlines were set
	tooLate  bool      // something was to be sent after it: the answer is broken off
	taken    bool      // with the connection: nothing more can be answered
}

var (
	_ http.Flusher    = (*responseWriter)(nil)
	_ io.ReaderFrom   = (*responseWriter)(nil)
	_ io.StringWriter = (*responseWriter)(nil)
)

// newWriter is the writer of the answer to req. answered ends the request's context.
func newWriter(ctx context.Context, answered func(), answer *stella.Response, req *http.Request) *responseWriter {
	header := http.Header{}
	for _, f := range *answer.Header() { // of interceptors
		header.Add(f.Name, f.Value)
	}
	return &responseWriter{ctx: ctx, answered: answered, answer: answer, head: req.Method == http.MethodHead, header: header, length: -1}
}

// Header is to be changed before WriteHeader, as in net/http.
func (w *responseWriter) Header() http.Header { return w.header }

// WriteHeader takes the status and the header. 1xx is ignored, and so is a second status, which is logged. It panics
// where net/http does: below 100 and above 999.
func (w *responseWriter) WriteHeader(status int) {
	switch {
	case w.status != 0 || w.taken:
		_, file, line, _ := runtime.Caller(1)
		w.warn("httpbridge: superfluous WriteHeader", slog.Int("status", status), slog.String("caller", fmt.Sprintf("%s:%d", file, line)))
		return
	case status >= 100 && status <= 199 && status != http.StatusSwitchingProtocols:
		return
	case status < 100 || status > 999:
		panic(fmt.Sprintf("httpbridge: invalid WriteHeader code %d", status)) // as net/http does
	}
	w.setStatus(status)
}

// setStatus begins the answer.
func (w *responseWriter) setStatus(status int) {
	w.status = status
	w.answer.WriteHeader(status)
	w.takeLength()
	_, typed := w.header[contentType]
	w.sniffing = bodyAllowed(status) && !typed && w.header.Get("Content-Encoding") == "" && w.header.Get(transferEncoding) == ""
	w.copyHeader()
	if values, some := w.header[trailer]; some {
		w.declared = slices.Collect(trailerNames(values))
	}
}

// trailerNames are the names in values of the header field Trailer that may be names of trailers.
func trailerNames(values []string) iter.Seq[string] {
	return func(yield func(name string) bool) {
		for _, v := range values {
			for name := range strings.SplitSeq(v, ",") {
				name = textproto.CanonicalMIMEHeaderKey(textproto.TrimString(name))
				if name != "" && !spec.IsForbiddenTrailer(name) && !yield(name) {
					return
				}
			}
		}
	}
}

// trail has the answer end with the trailers that the handler has set: under the names that it declared before, or with
// http.TrailerPrefix.
func (w *responseWriter) trail() {
	for _, name := range w.declared {
		w.addTrailer(name, w.header[name])
	}
	var late []string
	for key := range w.header {
		if strings.HasPrefix(key, http.TrailerPrefix) {
			late = append(late, key)
		}
	}
	slices.Sort(late)
	for _, key := range late {
		w.addTrailer(textproto.CanonicalMIMEHeaderKey(strings.TrimPrefix(key, http.TrailerPrefix)), w.header[key])
	}
}

func (w *responseWriter) addTrailer(name string, values []string) {
	if spec.IsForbiddenTrailer(name) || (spec.Field{Name: name}).Check() != nil {
		return
	}
	for _, value := range values {
		w.answer.Trailer().Add(name, textproto.TrimString(lineBreaks.Replace(value)))
	}
}

func (w *responseWriter) warn(msg string, attrs ...slog.Attr) {
	stella.LoggerFromContext(w.ctx).LogAttrs(w.ctx, slog.LevelWarn, msg, attrs...)
}

// takeLength reads Content-Length, and drops one that is not a length.
func (w *responseWriter) takeLength() {
	value := w.header.Get(contentLength)
	if value == "" {
		return
	}
	n, err := strconv.ParseInt(value, 10, 64)
	if err != nil || n < 0 {
		w.warn("httpbridge: invalid Content-Length", slog.String("value", value))
		return
	}
	if bodyAllowed(w.status) {
		w.length = n
	}
}

// copyHeader gives the answer the header that net/http would send: with line breaks in values as spaces, and without
// names that are none, late trailers, and what does not go with the status.
func (w *responseWriter) copyHeader() {
	h := w.answer.Header()
	*h = (*h)[:0]
	if w.length >= 0 {
		h.Set(contentLength, strconv.FormatInt(w.length, 10))
	}
	dropped := []string{contentLength, transferEncoding}
	if w.status == http.StatusNotModified {
		dropped = append(dropped, contentType)
	}
	for _, name := range slices.Sorted(maps.Keys(w.header)) {
		if strings.HasPrefix(name, http.TrailerPrefix) || slices.Contains(dropped, name) || (spec.Field{Name: name}).Check() != nil {
			continue
		}
		for _, value := range w.header[name] {
			h.Add(name, textproto.TrimString(lineBreaks.Replace(value)))
		}
	}
}

var lineBreaks = strings.NewReplacer("\n", " ", "\r", " ")

// bodyAllowed is RFC 9110, section 6.4.1.
func bodyAllowed(status int) bool {
	return status >= 200 && status != http.StatusNoContent && status != http.StatusNotModified
}

// Write writes a part of the body, after WriteHeader(200) unless there was one. Errors are [http.ErrBodyNotAllowed] and
// [http.ErrContentLength], or mean that the call is over. A HEAD request's body is counted, and otherwise left out.
func (w *responseWriter) Write(p []byte) (int, error) {
	if w.taken {
		return 0, http.ErrHijacked
	}
	w.begin()
	if len(p) == 0 {
		return 0, nil
	}
	if !bodyAllowed(w.status) {
		return 0, http.ErrBodyNotAllowed
	}
	if w.over = w.over || w.length >= 0 && w.written+int64(len(p)) > w.length; w.over {
		return 0, http.ErrContentLength
	}
	if w.sniffing {
		if w.start = append(w.start, p[:min(len(p), sniffed-len(w.start))]...); len(w.start) == sniffed {
			w.sniff()
		}
	}
	if err := w.inTime(); err != nil {
		return 0, err
	}
	n := len(p)
	var err error
	if !w.head {
		n, err = w.answer.Write(p)
	}
	w.written += int64(n)
	return n, w.sent(err)
}

// WriteString is Write.
func (w *responseWriter) WriteString(s string) (int, error) { return w.Write([]byte(s)) }

// ReadFrom writes all of src. It makes [io.Copy] fast.
func (w *responseWriter) ReadFrom(src io.Reader) (int64, error) {
	if w.taken {
		return 0, http.ErrHijacked
	}
	var first int64
	if w.status == 0 || w.sniffing { // a source without a byte begins no answer
		want := int64(sniffed - len(w.start))
		n, err := io.Copy(onlyWriter{w}, io.LimitReader(src, want))
		if err != nil || n < want {
			return n, err
		}
		first = n
	}
	if w.head || w.over || !bodyAllowed(w.status) {
		n, err := io.Copy(onlyWriter{w}, src)
		return first + n, err
	}
	if err := w.inTime(); err != nil {
		return first, err
	}
	n, err := w.answer.ReadFrom(src)
	w.written += n
	w.over = errors.Is(err, http.ErrContentLength)
	return first + n, w.sent(err)
}

// onlyWriter hides ReadFrom from io.Copy.
type onlyWriter struct{ io.Writer }

func (w *responseWriter) begin() {
	if w.status == 0 {
		w.WriteHeader(http.StatusOK)
	}
}

// sniff guesses the Content-Type by what has been written. It is called before the answer begins, or never.
func (w *responseWriter) sniff() {
	if w.sniffing && len(w.start) > 0 {
		w.answer.Header().Add(contentType, http.DetectContentType(w.start))
	}
	w.sniffing = false
}

// Flush sends what has been written.
func (w *responseWriter) Flush() { _ = w.FlushError() }

// FlushError sends what has been written, and tells when the call is over. It is what [http.ResponseController] calls.
// To HEAD it is the whole answer, hence the request's context ends: a handler that would stream until then returns.
func (w *responseWriter) FlushError() error {
	if w.taken {
		return http.ErrHijacked
	}
	if w.flushed { // to HEAD
		return nil
	}
	if err := w.inTime(); err != nil {
		return err
	}
	w.begin()
	w.sniff()
	err := w.sent(w.answer.Flush())
	if w.head && errors.Is(err, http.ErrBodyNotAllowed) {
		w.flushed, err = true, nil
		w.answered()
	}
	return err
}

// SetReadDeadline bounds reads of the request's body: see [http.ResponseController].
func (w *responseWriter) SetReadDeadline(t time.Time) error {
	if w.taken {
		return http.ErrHijacked
	}
	w.bounded = true
	return w.answer.SetReadDeadline(t)
}

// SetWriteDeadline bounds writes. As in net/http, one that was too late fails all that follow, and the answer.
func (w *responseWriter) SetWriteDeadline(t time.Time) error {
	if w.taken {
		return http.ErrHijacked
	}
	if err := w.answer.SetWriteDeadline(t); err != nil {
		return err
	}
	w.late, w.bounded = t, true
	return nil
}

// inTime fails once the time for writing is over.
func (w *responseWriter) inTime() error {
	if w.tooLate = w.tooLate || !w.late.IsZero() && !time.Now().Before(w.late); w.tooLate {
		return fmt.Errorf("httpbridge: the answer is not sent in time: %w", os.ErrDeadlineExceeded)
	}
	return nil
}

// sent is err of sending something, which is noted if that was too late.
func (w *responseWriter) sent(err error) error {
	if errors.Is(err, os.ErrDeadlineExceeded) { // or the source's
		_ = w.inTime()
	}
	return err
}

// EnableFullDuplex succeeds: body and answer never wait for each other.
func (w *responseWriter) EnableFullDuplex() error { return nil }

// finish completes the answer when the handler has returned. The length of GET's answer is known to HEAD where the
// handler wrote it, and where GET would have it.
func (w *responseWriter) finish() error {
	if !w.flushed { // to HEAD
		if err := w.inTime(); err != nil {
			return err
		}
	}
	w.begin()
	w.sniff()
	w.trail()
	switch {
	case !w.head || w.flushed || w.length >= 0:
		return nil
	case w.written == 0 || w.written > spec.MaxInlineBody:
		return w.FlushError()
	}
	w.answer.Header().Set(contentLength, strconv.FormatInt(w.written, 10))
	return nil
}
