package edge

import (
	"context"
	"crypto/x509"
	"net/http"
	"slices"
	"time"
)

// front is the HTTP side of an exchange: net/http's. Another engine would have another front with the same methods.
type front struct {
	w http.ResponseWriter
	r *http.Request

	received int64 // bytes of the body; its reader's
}

// attach takes the request's facts over into the exchange.
func (x *Exchange) attach(w http.ResponseWriter, r *http.Request) {
	x.w, x.r, x.ctx = w, r, r.Context()
	x.method, x.length = r.Method, r.ContentLength
	x.request.Authority, x.request.Peer, x.request.TLS = r.Host, r.RemoteAddr, r.TLS != nil
	x.request.ContentLength = r.ContentLength
}

// target is the request target as it came.
func (f *front) target() string { return f.r.RequestURI }

// header is the request's header, its names in canonical form. It must not be changed.
func (f *front) header() http.Header { return f.r.Header }

// trailer is what follows the body: before its end has been read, the names that the client has announced, without values. It
// must not be changed, and only who reads the body may look at it meanwhile.
func (f *front) trailer() http.Header { return f.r.Trailer }

// context is net/http's. It ends when the client has left, which net/http notices only once the body has been read to
// its end, and when reading from the client has failed.
func (f *front) context() context.Context { return f.r.Context() }

// http1 reports whether the connection carries one exchange at a time.
func (f *front) http1() bool { return f.r.ProtoMajor == 1 }

// protocol is how the request has come: HTTP/1.1, HTTP/2.0, HTTP/3.0.
func (f *front) protocol() string { return f.r.Proto }

// certificate is the client's, which the handshake has verified, for clients and up to a root of the listener's; nil: it has
// shown none.
func (f *front) certificate() *x509.Certificate {
	if f.r.TLS == nil || len(f.r.TLS.VerifiedChains) == 0 {
		return nil
	}
	return f.r.TLS.VerifiedChains[0][0]
}

// ambiguous reports whether the end of the request in the byte stream depends on who reads it: the body is chunked,
// and net/http hides a Content-Length that stood beside that; or HTTP/1.0, where it hides a Transfer-Encoding; or framed
// has the name of such a field.
func (f *front) ambiguous() bool {
	return len(f.r.TransferEncoding) > 0 || f.http1() && (f.r.ProtoMinor == 0 || f.framed() != "")
}

// framed is the name of a field that frames the body for readers who take an underscore for a dash; empty if there is none.
// Names are canonical: letters behind an underscore are small.
func (f *front) framed() string {
	for _, name := range [...]string{"Content_length", "Transfer_encoding"} {
		if _, ok := f.r.Header[name]; ok {
			return name
		}
	}
	return ""
}

// read reads from the request body. io.EOF is its end.
func (f *front) read(p []byte) (int, error) {
	n, err := f.r.Body.Read(p)
	f.received += int64(n)
	return n, err
}

// deadlines is what net/http's writers implement.
type deadlines interface {
	SetReadDeadline(time.Time) error
	SetWriteDeadline(time.Time) error
}

// readBy bounds the reads from the client, those that wait already included.
func (f *front) readBy(t time.Time) {
	if d, ok := f.w.(deadlines); ok {
		_ = d.SetReadDeadline(t) // fails on a connection that is gone, as the read does
	}
}

// writeBy bounds the writes to the client.
func (f *front) writeBy(t time.Time) {
	if d, ok := f.w.(deadlines); ok {
		_ = d.SetWriteDeadline(t) // fails on a connection that is gone, as the write does
	}
}

// duplex allows to answer before the body has been read. Without it net/http reads on before it answers.
func (f *front) duplex() {
	if d, ok := f.w.(interface{ EnableFullDuplex() error }); ok && f.http1() {
		_ = d.EnableFullDuplex() // fails for HTTP/2, which needs none
	}
}

// answerHeader is the header of the answer, to be filled before head.
func (f *front) answerHeader() http.Header { return f.w.Header() }

// head begins the answer. net/http copies the header; for HTTP/3 it is kept until the answer is sent, which may be after
// the exchange has ended, whose memory the values are.
func (f *front) head(status int) {
	if f.r.ProtoMajor == http3Major {
		h := f.w.Header()
		for name, values := range h {
			h[name] = slices.Clone(values)
		}
	}
	f.w.WriteHeader(status)
}

const http3Major = 3

// write writes a part of the answer's body.
func (f *front) write(p []byte) (int, error) {
	return f.w.Write(p) //nolint:wrapcheck // says that the client is gone, and is shown to nobody
}

// flush sends what has been written.
func (f *front) flush() error {
	if w, ok := f.w.(interface{ FlushError() error }); ok {
		return w.FlushError()
	}
	return nil
}
