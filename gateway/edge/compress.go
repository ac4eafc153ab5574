package edge

import (
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/stella-ops/router/spec"
)

// Compression says which answers are compressed by gzip (RFC 9110, section 8.4.1.3), for callers that take it. Answers of
// endpoints that stream are not.
type Compression struct {
	Types   []string // media types, such as application/json or text/*; none: nothing is compressed
	MinSize int64    // bytes; an answer that is known to be smaller is sent as it is
}

// compressors bounds how many answers are compressed at once: each takes 800 KiB. Further ones are sent as they are.
const compressors = 64

const (
	headerAcceptEncoding  = "Accept-Encoding"
	headerContentEncoding = "Content-Encoding"
	headerETag            = "Etag"
	headerVary            = "Vary"
)

// check says what is wrong.
func (c *Compression) check() error {
	var errs []error
	for _, t := range c.Types {
		kind, sub, ok := strings.Cut(t, "/")
		if !ok || kind == "" || sub == "" || strings.ContainsAny(t, " ;,\t") || strings.Contains(kind, "*") || strings.Contains(sub, "*") && sub != "*" {
			errs = append(errs, fmt.Errorf("edge: compression: expected a media type such as application/json, or text/*, got %q", t))
		}
	}
	if c.MinSize < 0 {
		errs = append(errs, errors.New("edge: compression: the least size is negative"))
	}
	return errors.Join(errs...)
}

// covers reports whether answers of a Content-Type are compressed.
func (c *Compression) covers(contentType string) bool {
	media, _, err := mime.ParseMediaType(contentType)
	if err != nil {
		return false
	}
	kind, _, _ := strings.Cut(media, "/")
	return slices.ContainsFunc(c.Types, func(t string) bool { return strings.EqualFold(t, media) || strings.EqualFold(t, kind+"/*") })
}

// gzips are the compressors that nobody uses now, and places for those that are used.
var (
	gzips  = sync.Pool{New: func() any { w, _ := gzip.NewWriterLevel(io.Discard, gzip.BestSpeed); return w }} // the level is right
	places = make(chan struct{}, compressors)
)

// compress has the answer be compressed, if it may be and the caller takes it. The header is filled already, and changes by
// that: an ETag becomes a weak one (RFC 9110, section 8.8.1), since the same octets are not sent to everybody.
func (x *Exchange) compress(size int64) {
	c := x.policy.compression
	if c == nil || !x.route.Unary || x.response.Status == http.StatusPartialContent || !x.carriesContent() {
		return
	}
	h := x.answerHeader()
	types := h[headerContentType]
	if len(types) != 1 || !c.covers(types[0]) || size >= 0 && size < c.MinSize || fixed(x.response.Header) {
		return
	}
	h[headerVary] = append(slices.Clip(h[headerVary]), headerAcceptEncoding) // also where this caller takes none: caches keep both
	if !acceptsGzip(x.header()[headerAcceptEncoding]) {
		return
	}
	if x.method != http.MethodHead {
		select {
		case places <- struct{}{}:
		default: // there are enough
			return
		}
		x.gzip, _ = gzips.Get().(*gzip.Writer)
		x.gzip.Reset(counting{x})
	}
	delete(h, headerContentLength)
	h[headerContentEncoding] = []string{"gzip"}
	if tag := h[headerETag]; len(tag) == 1 && strings.HasPrefix(tag[0], `"`) {
		h[headerETag] = []string{"W/" + tag[0]}
	}
}

// carriesContent reports whether the status is of answers with content, which HEAD is told the header of.
func (x *Exchange) carriesContent() bool {
	return x.response.Status != http.StatusNoContent && x.response.Status != http.StatusNotModified
}

// fixed reports whether an answer has to stay as it is: it is encoded already, is a part, has a digest, or says so
// (RFC 9111, section 5.2.2.6).
func fixed(fields []spec.Field) bool {
	return slices.ContainsFunc(fields, func(f spec.Field) bool {
		switch f.Name {
		case headerContentEncoding, "Content-Range", "Content-Digest", "Content-Md5", "Digest", "Repr-Digest":
			return true
		case "Cache-Control":
			return strings.Contains(strings.ToLower(f.Value), "no-transform")
		}
		return false
	})
}

// acceptsGzip reports whether Accept-Encoding allows gzip (RFC 9110, section 12.5.3).
func acceptsGzip(fields []string) bool {
	others := false
	for _, field := range fields {
		for element := range strings.SplitSeq(field, ",") {
			name, params, _ := strings.Cut(element, ";")
			name = strings.ToLower(strings.Trim(name, " \t"))
			if name != "gzip" && name != "x-gzip" && name != "*" {
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

// counting writes to the client what has been compressed.
type counting struct{ x *Exchange }

func (c counting) Write(p []byte) (int, error) {
	n, err := c.x.write(p)
	c.x.written += int64(n)
	return n, err
}

// finish ends what is compressed. An answer that is broken off has no end.
func (x *Exchange) finish() error {
	if x.gzip == nil || x.aborted {
		return nil
	}
	return x.gzip.Close() //nolint:wrapcheck // says that the client is gone, and is shown to nobody
}

// uncompress gives the compressor back.
func (x *Exchange) uncompress() {
	if x.gzip == nil {
		return
	}
	x.gzip.Reset(io.Discard)
	gzips.Put(x.gzip)
	x.gzip = nil
	<-places
}
