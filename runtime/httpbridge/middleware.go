package httpbridge

import (
	"context"
	"errors"
	"io"
	"maps"
	"net/http"
	"net/textproto"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	stella "github.com/stella-ops/router/runtime"
	"github.com/stella-ops/router/spec"
)

// Middleware returns an interceptor that runs net/http middleware around the dispatch of any endpoint, typed ones as well as
// bridged ones. mw is called once. The middleware sees the request and the answer as it would in front of a net/http handler:
//
//   - It may refuse, by answering without its next handler.
//   - What it changes of the request, the endpoint sees: method, path and query, Host, RemoteAddr, header fields, body, and
//     values in the context. The values of path parameters stay those that the gateway has found. A body that the middleware has
//     read is gone, unless it sets Body anew.
//   - It may wrap the writer. All of the answer passes through the wrapped one, with its real status and bytes, and so does the
//     problem that an endpoint's error becomes. Streams flow, if the wrapped writer is an [http.Flusher] or has Unwrap. The bytes
//     of an upgraded connection do not pass through it.
//   - Header fields that it has set before the endpoint's answer are part of that, which may change them.
//   - A panic passes through it: a middleware that recovers from it has to answer.
//   - It may call its next handler again, which answers again: the first status counts, and the bodies follow each other. Calls from
//     several goroutines wait for each other.
//
// The next handler needs a request whose context comes from the one that the middleware got. When the middleware returns while
// that handler still runs in another goroutine, as of [http.TimeoutHandler], the handler's context ends, and the answer waits
// for it.
//
// A nil mw gives a nil interceptor, which a service refuses.
func Middleware(mw func(http.Handler) http.Handler) stella.Interceptor {
	if mw == nil {
		return nil
	}
	h := mw(http.HandlerFunc(serveNext))
	return func(call context.Context, r *stella.Request, answer *stella.Response, next stella.Dispatch) error {
		ctx, cancel := context.WithCancel(call)
		defer cancel()
		p := &passage{request: r, answer: answer, next: next}
		b := &body{src: r.Body}
		defer b.end()
		req, err := newRequest(context.WithValue(ctx, passageKey{}, p), r, b)
		if err != nil {
			return err
		}
		defer removeParts(req)
		p.body, p.path = req.Body, req.URL.EscapedPath()
		w := newWriter(ctx, cancel, answer, req)
		p.writer = w
		var u *upgradable
		func() {
			defer p.end(cancel) // also when it panics
			if r.Upgrade == "" {
				h.ServeHTTP(w, req)
				return
			}
			u = &upgradable{responseWriter: w, remote: r.RemoteAddr}
			h.ServeHTTP(u, req)
		}()
		switch {
		case u != nil && u.conn != nil:
			return u.conn.wait(call)
		case w.flushed: // HEAD, answered early
			return nil
		case call.Err() != nil:
			return context.Cause(call)
		case p.err != nil && (p.begun || w.status == 0): // else the middleware has answered instead
			return p.err
		case w.taken:
			return nil
		}
		return w.finish()
	}
}

// passageKey is the key of the request's context under which a middleware's next handler finds its call.
type passageKey struct{}

// passage is a call on its way through a middleware.
type passage struct {
	request *stella.Request
	answer  *stella.Response
	next    stella.Dispatch
	writer  *responseWriter // the middleware's
	body    io.ReadCloser   // of the request as the middleware gets it
	path    string          // the same

	mu     sync.Mutex    // held while the endpoint is called
	over   bool          // the middleware has returned
	passed *http.Request // as the middleware has passed it on
	begun  bool          // the endpoint's answer has
	err    error         // that the call must end with
}

// end waits for the endpoint, and has it called no more.
func (p *passage) end(cancel context.CancelFunc) {
	cancel()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.over = true
}

// serveNext is the handler that the middleware gets.
func serveNext(w http.ResponseWriter, req *http.Request) {
	p, ok := req.Context().Value(passageKey{}).(*passage)
	if !ok {
		panic("httpbridge: the middleware has passed a request on whose context does not come from the one that it got")
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.over {
		return
	}
	p.passed = req
	p.takeRequest(req)
	o := &outlet{to: w, control: http.NewResponseController(w), p: p}
	p.err = p.answer.Relay(req.Context(), p.request, o, o.header(), p.next)
}

// takeRequest has the endpoint see what the middleware has changed.
func (p *passage) takeRequest(req *http.Request) {
	r := p.request
	r.Method, r.Host, r.RemoteAddr = req.Method, req.Host, req.RemoteAddr
	if path := req.URL.EscapedPath(); path != p.path {
		r.Path = path
	}
	r.RawQuery = req.URL.RawQuery
	if req.Body != p.body {
		r.Body, r.ContentLength = req.Body, req.ContentLength
		if req.Body == nil {
			r.Body = http.NoBody
		}
	}
	if !isHeader(r.Header, req.Header) {
		r.Header = fieldsOf(req.Header, ofRequest)
	}
}

// ofRequest are fields that a net/http request has beside those of a [stella.Request], where other members stand for them.
var ofRequest = []string{"Connection", contentLength, transferEncoding, "Upgrade"}

// isHeader reports whether fields are those of header, but for the names of ofRequest.
func isHeader(fields stella.Header, header http.Header) bool {
	n := 0
	for name, values := range header {
		if !slices.Contains(ofRequest, name) {
			n += len(values)
		}
	}
	for i, f := range fields {
		if f.Name == trailer { // those names are in the request's Trailer
			continue
		}
		n--
		earlier := 0
		for _, g := range fields[:i] {
			if g.Name == f.Name {
				earlier++
			}
		}
		if values := header[f.Name]; earlier >= len(values) || values[earlier] != f.Value {
			return false
		}
	}
	return n == 0
}

// fieldsOf are the fields of a header, by name, but for some names and for what is no name.
func fieldsOf(header http.Header, but []string) (h stella.Header) {
	for _, name := range slices.Sorted(maps.Keys(header)) {
		if slices.Contains(but, name) || (spec.Field{Name: name}).Check() != nil {
			continue
		}
		for _, value := range header[name] {
			h.Add(name, textproto.TrimString(lineBreaks.Replace(value)))
		}
	}
	return h
}

// outlet gives the endpoint's answer to the writer that the middleware has passed on.
type outlet struct {
	to      http.ResponseWriter
	control *http.ResponseController
	p       *passage
	names   []string // of the fields that the endpoint's answer begins with, as the middleware has written them
}

var _ stella.Outlet = (*outlet)(nil)

// header are the fields that the middleware has set.
func (o *outlet) header() stella.Header {
	header := o.to.Header()
	o.names = slices.DeleteFunc(slices.Collect(maps.Keys(header)), func(name string) bool { // trailers follow, whatever the endpoint says
		return strings.HasPrefix(name, http.TrailerPrefix)
	})
	return fieldsOf(header, nil)
}

// setHeader makes h the header of the answer.
func (o *outlet) setHeader(h stella.Header) {
	header := o.to.Header()
	for _, name := range o.names {
		delete(header, name)
	}
	for _, f := range h {
		header.Add(f.Name, f.Value)
	}
}

// Head begins the answer.
func (o *outlet) Head(status int, length int64, h stella.Header) error {
	o.setHeader(h)
	header := o.to.Header()
	if length >= 0 {
		header.Set(contentLength, strconv.FormatInt(length, 10))
	}
	if _, typed := header[contentType]; !typed {
		header[contentType] = nil // an endpoint that says none wants none to be guessed
	}
	o.p.begun = true
	o.to.WriteHeader(status)
	return nil
}

// Write writes a part of the body.
func (o *outlet) Write(b []byte) (int, error) { return o.to.Write(b) } //nolint:wrapcheck // it is the writer's

// ReadFrom writes all of src as it comes: what a writer that does not read itself would keep until there is more is flushed.
func (o *outlet) ReadFrom(src io.Reader) (n int64, err error) {
	if to, ok := o.to.(io.ReaderFrom); ok {
		return to.ReadFrom(src)
	}
	part := make([]byte, spec.MaxInlineBody)
	for {
		got, errRead := src.Read(part)
		wrote, err := o.to.Write(part[:got])
		n += int64(wrote)
		if err == nil && got < len(part) {
			err = o.Flush()
		}
		switch {
		case err != nil:
			return n, err
		case errRead == io.EOF:
			return n, nil
		case errRead != nil:
			return n, errRead
		}
	}
}

// Flush sends what has been written, unless the middleware's writer holds the answer.
func (o *outlet) Flush() error {
	if err := o.control.Flush(); !errors.Is(err, http.ErrNotSupported) {
		return err //nolint:wrapcheck // the same
	}
	return nil
}

// Trailer has fields follow the body. A header field of the name, which has been sent, is not sent once more, nor are trailers
// of an earlier call of the next handler.
func (o *outlet) Trailer(h stella.Header) {
	header := o.to.Header()
	for _, f := range h {
		delete(header, f.Name)
		delete(header, http.TrailerPrefix+f.Name)
	}
	for _, f := range h {
		key := http.TrailerPrefix + f.Name
		header[key] = append(header[key], f.Value)
	}
}

// SetReadDeadline is the middleware's writer's.
func (o *outlet) SetReadDeadline(t time.Time) error {
	return o.control.SetReadDeadline(t) //nolint:wrapcheck // the same
}

// SetWriteDeadline is the middleware's writer's.
func (o *outlet) SetWriteDeadline(t time.Time) error {
	return o.control.SetWriteDeadline(t) //nolint:wrapcheck // the same
}

// Upgrade accepts the upgrade, with the header fields that the middleware has set.
func (o *outlet) Upgrade(h stella.Header) (*stella.Conn, error) {
	w := o.p.writer
	if w.status != 0 || w.taken {
		return nil, errHead
	}
	o.setHeader(h)
	w.header = o.to.Header()
	w.setStatus(http.StatusSwitchingProtocols)
	conn, err := w.answer.Upgrade()
	if err != nil {
		return nil, err
	}
	o.p.begun, w.taken = true, true
	return conn, nil
}
