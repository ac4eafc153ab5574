// Package httpbridge serves an unchanged net/http handler as an endpoint, so that a service can move to Stella one
// handler at a time. Generated code imports it where a handler is a func(http.ResponseWriter, *http.Request).
//
// To the handler it looks like HTTP/1.1, as net/http serves it: an implied 200, a guessed Content-Type, a checked
// Content-Length, [http.Flusher], and [http.ErrAbortHandler]. What differs:
//
//   - There is no connection. [http.Hijacker] is there only for a request that asks for an upgrade (WebSocket) of an endpoint
//     with stream=upgrade; what is written first on a connection that was taken over must be a head of status 101, unless
//     WriteHeader has said it. Deadlines of [http.ResponseController] are the call's, beside the endpoint's timeout and idle
//     time; full duplex is always on.
//   - A panic is answered with a problem as long as the answer has not begun, and so is an answer that is shorter than
//     its Content-Length; net/http would drop the connection.
//   - A handler that returns after the endpoint's timeout has not answered, whatever it wrote: the gateway says 504.
//   - Informational answers (1xx) are ignored. A status above 599 is a failure.
//   - Trailers are those of net/http, both ways, but for names that must not be trailers (spec.IsForbiddenTrailer). Those with
//     [http.TrailerPrefix] follow small answers, too, of which net/http loses them over HTTP/1.1.
//   - An answer of up to 16 KiB always has a Content-Length; net/http gives one up to 2 KiB.
//   - The request's headers are without what the gateway removes, and who calls is in [stella.RequestFromContext],
//     which has the request id, too. [http.ServerContextKey] has a server that serves nothing, and [http.LocalAddrContextKey] is
//     not set.
//   - Request.TLS is empty, but not nil, when the caller came by https.
//
// docs/bridge.md has all of it, with reasons, and a test that compares (e2e/bridge).
//
// It must never be imported by package stella: a service without such handlers does not link it.
//
// Start reading at [Dispatch].
package httpbridge

import (
	"context"
	"crypto/tls"
	"fmt"
	"net/http"
	"net/url"
	"strconv"

	stella "github.com/stella-ops/router/runtime"
)

// Dispatch returns a dispatcher that serves calls by h. A nil h gives a nil dispatcher, which a service refuses by
// name.
func Dispatch(h http.Handler) stella.Dispatch {
	if h == nil {
		return nil
	}
	return func(call context.Context, r *stella.Request, answer *stella.Response) error {
		ctx, cancel := context.WithCancel(call)
		defer cancel()
		b := &body{src: r.Body}
		defer b.end()
		req, err := newRequest(ctx, r, b)
		if err != nil {
			return err
		}
		defer removeParts(req)
		w := newWriter(ctx, cancel, answer, req)
		if r.Upgrade != "" {
			u := &upgradable{responseWriter: w, remote: r.RemoteAddr}
			h.ServeHTTP(u, req)
			if u.conn != nil {
				cancel()
				return u.conn.wait(call)
			}
		} else {
			h.ServeHTTP(w, req)
		}
		if call.Err() != nil && !w.flushed { // a handler that gives up just returns, which must not pass for an empty answer
			return context.Cause(call)
		}
		return w.finish()
	}
}

// server serves nothing. Handlers ask the context whether there is one: without, [net/http/httputil.ReverseProxy] ends an answer as
// if it were whole that has been broken off.
var server = new(http.Server)

// newRequest makes the request as a net/http server would.
func newRequest(ctx context.Context, r *stella.Request, b *body) (*http.Request, error) {
	target := r.Path
	if r.RawQuery != "" {
		target += "?" + r.RawQuery
	}
	u, err := url.ParseRequestURI(target)
	if err != nil {
		return nil, fmt.Errorf("httpbridge: the path of the request: %w", err)
	}
	header := make(http.Header, len(r.Header)+1)
	for _, f := range r.Header {
		header.Add(f.Name, f.Value)
	}
	announced := announce(header)
	req := new(http.Request)
	if p, ok := ctx.Value(passageKey{}).(*passage); ok && p.passed != nil { // with the form that a middleware has read, and the like
		req = p.passed
	}
	if ctx.Value(http.ServerContextKey) == nil {
		ctx = context.WithValue(ctx, http.ServerContextKey, server)
	}
	req = req.WithContext(ctx)
	req.Method, req.URL, req.RequestURI, req.Pattern = r.Method, u, target, r.Pattern()
	req.Proto, req.ProtoMajor, req.ProtoMinor = "HTTP/1.1", 1, 1
	req.Host, req.RemoteAddr, req.Header = r.Host, r.RemoteAddr, header
	req.ContentLength, req.TransferEncoding, req.Body = r.ContentLength, nil, b
	if announced != nil { // else they are those of the request that a middleware has passed on
		req.Trailer = announced
	}
	b.of, b.req = r, req
	switch {
	case r.ContentLength < 0:
		req.TransferEncoding = []string{"chunked"}
	case r.ContentLength == 0 && announced == nil:
		req.Body = http.NoBody
	default:
		header.Set("Content-Length", strconv.FormatInt(r.ContentLength, 10))
	}
	if r.Upgrade != "" { // what the gateway has taken for the connection's
		header.Set("Connection", "Upgrade")
		header.Set("Upgrade", r.Upgrade)
	}
	if r.TLS {
		req.TLS = new(tls.ConnectionState)
	}
	for name, value := range r.PathValues() {
		req.SetPathValue(name, value)
	}
	return req, nil
}

// announce takes the names of trailers out of the header, as net/http does; nil: none are announced.
func announce(header http.Header) http.Header {
	values, some := header[trailer]
	if !some {
		return nil
	}
	delete(header, trailer)
	announced := http.Header{}
	for name := range trailerNames(values) {
		announced[name] = nil
	}
	return announced
}

// removeParts removes the files that a multipart form has been read into.
func removeParts(req *http.Request) {
	if req.MultipartForm == nil {
		return
	}
	if err := req.MultipartForm.RemoveAll(); err != nil {
		ctx := req.Context()
		stella.LoggerFromContext(ctx).WarnContext(ctx, "httpbridge: files of a form are left behind", "error", err)
	}
}
