// Package coding compresses answers for callers that take it (RFC 9110, section 8.4). It only writes: what a body holds is not the
// gateway's to know (invariant 6), and nothing is ever decompressed.
package coding

import (
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"mime"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// Gzip is the coding's name (RFC 9110, section 8.4.1.3).
const Gzip = "gzip"

// Rule says which answers are compressed.
type Rule struct {
	Types   []string // media types, such as application/json or text/*; none: nothing is compressed
	MinSize int64    // bytes; an answer that is known to be smaller is sent as it is
}

// Check says everything that is wrong with a rule.
func (r *Rule) Check() error {
	var errs []error
	for _, t := range r.Types {
		kind, sub, ok := strings.Cut(t, "/")
		if !ok || kind == "" || sub == "" || strings.ContainsAny(t, " ;,\t") || strings.Contains(kind, "*") || strings.Contains(sub, "*") && sub != "*" {
			errs = append(errs, fmt.Errorf("compression: expected a media type such as application/json, or text/*, got %q", t))
		}
	}
	if r.MinSize < 0 {
		errs = append(errs, errors.New("compression: the least size is negative"))
	}
	return errors.Join(errs...)
}

// Covers reports whether answers of a Content-Type are compressed. size is the answer's, or negative if it is not known.
func (r *Rule) Covers(contentType string, size int64) bool {
	media, _, err := mime.ParseMediaType(contentType)
	if err != nil || size >= 0 && size < r.MinSize {
		return false
	}
	kind, _, ok := strings.Cut(media, "/")
	return ok && slices.ContainsFunc(r.Types, func(t string) bool { return strings.EqualFold(t, media) || strings.EqualFold(t, kind+"/*") })
}

// Accepted reports whether the fields of Accept-Encoding allow gzip (RFC 9110, section 12.5.3).
func Accepted(fields []string) bool {
	others := false
	for _, field := range fields {
		for element := range strings.SplitSeq(field, ",") {
			name, params, _ := strings.Cut(element, ";")
			name = strings.ToLower(strings.Trim(name, " \t"))
			if name != Gzip && name != "x-gzip" && name != "*" {
				continue
			}
			allowed := true
			if q, ok := strings.CutPrefix(strings.ToLower(strings.ReplaceAll(params, " ", "")), "q="); ok {
				weight, err := strconv.ParseFloat(q, 64)
				allowed = err == nil && weight > 0
			}
			if name != "*" {
				return allowed
			}
			others = allowed
		}
	}
	return others
}

// writers bounds how many answers are compressed at once: each takes 800 KiB.
const writers = 64

// The compressors that nobody uses now, and places for those that are used.
var (
	idle   = sync.Pool{New: func() any { w, _ := gzip.NewWriterLevel(io.Discard, gzip.BestSpeed); return w }} // the level is right
	places = make(chan struct{}, writers)
)

// Writer compresses one answer. It is for one goroutine.
type Writer struct{ gzip *gzip.Writer }

// NewWriter returns what compresses to w, or nil while enough others do. It has to be given back by Release.
func NewWriter(w io.Writer) *Writer {
	select {
	case places <- struct{}{}:
	default:
		return nil
	}
	z, _ := idle.Get().(*gzip.Writer)
	z.Reset(w)
	return &Writer{z}
}

// Write implements [io.Writer].
func (w *Writer) Write(p []byte) (int, error) { return w.gzip.Write(p) } //nolint:wrapcheck // the error is the writer's beneath

// Flush has what was written so far go out.
func (w *Writer) Flush() error { return w.gzip.Flush() } //nolint:wrapcheck // as above

// Close ends what is compressed. An answer that is broken off is released without.
func (w *Writer) Close() error { return w.gzip.Close() } //nolint:wrapcheck // as above

// Release gives the memory back. The writer must not be used any more.
func (w *Writer) Release() {
	w.gzip.Reset(io.Discard)
	idle.Put(w.gzip)
	<-places
}
