package edge

import (
	"net/http"
	"net/textproto"
	"slices"
	"strings"

	"github.com/stella-ops/router/gateway/coding"
	"github.com/stella-ops/router/spec"
)

const (
	headerAcceptEncoding  = "Accept-Encoding"
	headerContentEncoding = "Content-Encoding"
	headerETag            = "Etag"
	headerVary            = "Vary"
)

// compress has the answer be compressed, if it may be and the caller takes it; answers of endpoints that stream are not. The
// header is filled already, and changes by that: an ETag becomes a weak one (RFC 9110, section 8.8.1), since the same octets
// are not sent to everybody. size is the answer's, or negative if it is not known.
func (x *Exchange) compress(size int64) {
	rule, status := x.policy.compression, x.response.Status
	if rule == nil || x.route != nil && !x.route.Unary || status == http.StatusPartialContent || status == http.StatusNoContent || status == http.StatusNotModified {
		return
	}
	h := x.answerHeader()
	types := h[headerContentType]
	if len(types) != 1 || !rule.Covers(types[0], size) || fixed(x.response.Header) {
		return
	}
	h[headerVary] = append(slices.Clip(h[headerVary]), headerAcceptEncoding) // also where this caller takes none: caches keep both
	if !coding.Accepted(x.header()[headerAcceptEncoding]) {
		return
	}
	if x.method != http.MethodHead {
		if x.coded = coding.NewWriter(counting{x}); x.coded == nil {
			return
		}
	}
	delete(h, headerContentLength)
	h[headerContentEncoding] = []string{coding.Gzip}
	if tag := h[headerETag]; len(tag) == 1 && strings.HasPrefix(tag[0], `"`) {
		h[headerETag] = []string{"W/" + tag[0]}
	}
}

// fixed reports whether an answer has to stay as it is: it is encoded already, is a part, has a digest, or says so
// (RFC 9111, section 5.2.2.6).
func fixed(fields []spec.Field) bool {
	return slices.ContainsFunc(fields, func(f spec.Field) bool {
		switch f.Name {
		case headerContentEncoding, "Content-Range", "Content-Digest", "Content-Md5", "Digest", "Repr-Digest":
			return true
		case headerTrailer:
			for name := range strings.SplitSeq(f.Value, ",") {
				if digests(textproto.CanonicalMIMEHeaderKey(textproto.TrimString(name))) {
					return true
				}
			}
		case "Cache-Control":
			return strings.Contains(strings.ToLower(f.Value), "no-transform")
		}
		return false
	})
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
	if x.coded == nil || x.aborted {
		return nil
	}
	return x.coded.Close()
}

// uncompress gives the compressor back.
func (x *Exchange) uncompress() {
	if x.coded != nil {
		x.coded.Release()
		x.coded = nil
	}
}
