package stella

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"log/slog"
	"net/http"
	"net/url"
	"strings"

	"github.com/stella-ops/router/spec"
	"github.com/stella-ops/router/transports/session"
)

// Request is one request as a handler sees it. The gateway has authenticated and authorised it, and has made its
// path canonical. It is for one goroutine at a time, and its body ends with the handler.
type Request struct {
	Method        string         // as the caller sent it: HEAD where an endpoint for GET answers HEAD
	Path          string         // canonical, escaped
	RawQuery      string         // without the question mark
	Host          string         // the authority that the caller asked for
	RemoteAddr    string         // the caller's address and port, as the gateway sees it
	TLS           bool           // whether the caller came by https
	Upgrade       string         // what the caller asks to change to, such as websocket; empty: nothing. See [Response.Upgrade]
	ID            string         // the request id, as in X-Request-Id
	ContentLength int64          // of the body in bytes; -1 if unknown
	Identity      *spec.Identity // who calls; nil: anonymous
	Header        Header         // without identity headers, which the gateway removes
	Body          io.Reader      // never nil; an error means that the call is over

	endpoint *spec.Endpoint
	trace    *spec.Trace
	in       *session.Incoming // whose trailers are those of the request; nil: it has none
	params   []string          // values of the path's parameters, in order

	query    url.Values // once asked for
	queried  string     // the RawQuery that it is of
	queryErr error      // what was wrong with that
	body     []byte     // once ReadBody has been called
	whole    bool       // whether body is set
	spool    io.Closer  // files of its form; nil: none
}

// Pattern returns the method and path of the endpoint as its manifest has them, such as GET /invoices/{id}; the empty
// string outside of a call.
func (r *Request) Pattern() string {
	if r.endpoint == nil {
		return ""
	}
	return r.endpoint.Method + " " + r.endpoint.Path
}

// PathValue returns the value of a parameter of the endpoint's path, decoded; the empty string where the path has no
// such parameter.
func (r *Request) PathValue(name string) string {
	for n, value := range r.PathValues() {
		if n == name {
			return value
		}
	}
	return ""
}

// PathValues returns the names of the path's parameters and their values, decoded, in the order of the path.
func (r *Request) PathValues() iter.Seq2[string, string] {
	return func(yield func(name, value string) bool) {
		if r.endpoint == nil {
			return
		}
		pattern := r.endpoint.Path
		for _, value := range r.params {
			begin := strings.IndexByte(pattern, '{')
			end := strings.IndexByte(pattern, '}')
			if begin < 0 || end < begin || !yield(strings.TrimSuffix(pattern[begin+1:end], "..."), value) {
				return
			}
			pattern = pattern[end+1:]
		}
	}
}

// Trailer returns the header fields that have followed the body, for use once Body has been read to its end; nil where there are
// none. They are without what must not follow a body, and are no part of Header: what was decided by the header was
// decided before they came. A header field Trailer may have announced them.
func (r *Request) Trailer() Header {
	if r.in == nil {
		return nil
	}
	return r.in.Trailers()
}

// Query returns the query's parameters; of a malformed query, those that could be read.
func (r *Request) Query() url.Values {
	if r.query == nil || r.queried != r.RawQuery { // an interceptor may have changed it
		r.queried = r.RawQuery
		r.query, r.queryErr = url.ParseQuery(r.RawQuery)
	}
	return r.query
}

// errTooLarge ends the reading of a body that is over its limit.
var errTooLarge = errors.New("stella: body over its limit")

// ReadBody reads what is left of the body. It is bounded by the endpoint's body limit: over it, the error is an
// *[Error] with status 413 and code payload_too_large, for a handler to return as it is. The bytes must not be
// written to, and must not be used after the handler has returned. Asked again it returns the same bytes, unless Body has
// been set meanwhile. Body is empty then: an interceptor that leaves the body to handlers which read it from there sets it to
// [bytes.NewReader] of the bytes.
func (r *Request) ReadBody() ([]byte, error) {
	if r.whole && r.Body == http.NoBody {
		return r.body, nil
	}
	limit := r.maxBody()
	body, err := r.readBody(limit)
	switch {
	case errors.Is(err, errTooLarge):
		return nil, tooLarge(limit)
	case err != nil:
		if tighter, ok := errors.AsType[*http.MaxBytesError](err); ok { // a middleware's limit
			return nil, tooLarge(tighter.Limit)
		}
		return nil, fmt.Errorf("stella: reading the body: %w", err)
	}
	r.body, r.whole, r.Body = body, true, http.NoBody
	return body, nil
}

// maxBody is the endpoint's body limit.
func (r *Request) maxBody() int64 {
	if r.endpoint == nil {
		return spec.DefaultLimits.MaxBodyBytes
	}
	return r.endpoint.Limits.MaxBodyBytes
}

func tooLarge(limit int64) *Error {
	return &Error{
		Status: http.StatusRequestEntityTooLarge, Code: "payload_too_large",
		Message: fmt.Sprintf("The body is larger than the %d bytes that this endpoint takes.", limit),
	}
}

// maxTrusted bounds the memory that a Content-Length gets before the bytes have come.
const maxTrusted = 1 << 20

func (r *Request) readBody(limit int64) ([]byte, error) {
	if in, ok := r.Body.(*session.Incoming); ok {
		if body, whole := in.Inline(); whole {
			if int64(len(body)) > limit {
				return nil, errTooLarge
			}
			return body, nil
		}
	}
	if r.Body == nil {
		return nil, nil
	}
	if r.ContentLength > limit {
		return nil, errTooLarge
	}
	size := int64(spec.MaxInlineBody)
	if r.ContentLength >= 0 {
		size = min(r.ContentLength, maxTrusted) + 1 // one more than the body, for the read that finds its end
	}
	body := make([]byte, 0, size)
	for {
		if len(body) == cap(body) {
			body = append(body, 0)[:len(body)]
		}
		n, err := r.Body.Read(body[len(body):cap(body)])
		body = body[:len(body)+n]
		switch {
		case int64(len(body)) > limit:
			return nil, errTooLarge
		case errors.Is(err, io.EOF):
			return body, nil
		case err != nil:
			return nil, err
		}
	}
}

// loggerKey is the key of a call's context under which its logger is found.
type loggerKey struct{}

// LoggerFromContext returns the service's logger for the call that ctx belongs to: what it logs has the request id and
// the endpoint. Outside of a call it is [slog.Default].
func LoggerFromContext(ctx context.Context) *slog.Logger {
	if l, ok := ctx.Value(loggerKey{}).(*slog.Logger); ok {
		return l
	}
	return slog.Default()
}

// requestKey is the key of a call's context under which it is found again.
type requestKey struct{}

// RequestFromContext returns the request that ctx belongs to, for handlers whose parameters do not include it; nil
// outside of a call.
func RequestFromContext(ctx context.Context) *Request {
	r, _ := ctx.Value(requestKey{}).(*Request)
	return r
}
