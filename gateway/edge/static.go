package edge

import (
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/stella-ops/router/gateway/static"
)

// file answers a request for a file of a front end, which stands where neither a service nor the gateway itself has anything. It
// reports whether there is one. Whoever asks may have it: files have no claims, and are no calls.
func (e *Edge) file(x *Exchange) (found bool, p *problem) {
	d := x.policy.folder(x.path)
	if d == nil {
		return false, nil
	}
	reads := x.method == http.MethodGet || x.method == http.MethodHead
	f, folder, err := d.Open(x.path, x.slash, reads && x.wantsPage())
	switch {
	case errors.Is(err, static.ErrNotFound):
		return false, nil
	case err != nil:
		e.log.ErrorContext(x.ctx, "a file cannot be opened", "path", x.path, "error", err)
		return true, &problem{Kind: kindOverloaded, detail: "the file cannot be opened now", retryable: true}
	}
	if f != nil {
		defer func() { _ = f.Close() }() // nothing has been written
	}
	switch {
	case x.method == http.MethodOptions:
		x.options(readers)
	case !reads:
		return true, &problem{Kind: kindMethod, detail: "the path is served for " + readers, allow: readers}
	case folder != "":
		if x.request.Query != "" {
			folder += "?" + x.request.Query
		}
		x.answerHeader()["Location"] = []string{folder}
		e.send(x, http.StatusPermanentRedirect, "", nil)
	default:
		return true, e.sendFile(x, d, f)
	}
	return true, nil
}

// readers are the methods of what can only be read.
const readers = "GET, HEAD"

// wantsPage reports whether the client asks for a page, as browsers do when they go to another one; scripts and programs take
// anything.
func (x *Exchange) wantsPage() bool {
	for _, field := range x.header()["Accept"] {
		if strings.Contains(field, "text/html") {
			return true
		}
	}
	return false
}

// sendFile answers with a file, or the part of it that is asked for, if what the client has is not current (RFC 9110, sections 13
// and 14).
func (e *Edge) sendFile(x *Exchange, d *static.Dir, f *static.File) *problem {
	h := x.answerHeader()
	x.stamp(h)
	x.spare(h)
	h["Cache-Control"] = []string{d.CacheControl(f)}
	h["X-Content-Type-Options"] = []string{"nosniff"}
	if tag := f.Tag(); tag != "" {
		h[headerETag] = []string{tag}
	}
	if f.Fallback {
		h[headerVary] = append(h[headerVary], "Accept")
	}
	w := &fileWriter{e: e, x: x, left: f.Info.Size()}
	defer x.uncompress()
	http.ServeContent(w, x.r, f.Name, f.Modified(), f)
	switch {
	case w.unfit:
		for _, name := range []string{"Accept-Ranges", "Cache-Control", headerETag, "Last-Modified"} {
			delete(h, name)
		}
		return &problem{Kind: kindRange, detail: "the file has no such part; Content-Range has its size"}
	case w.err != nil || x.finish() != nil:
		x.abort(statusClientGone)
	case w.left > 0: // it has become shorter
		x.abort(x.status)
	}
	return nil
}

// fileWriter is what net/http writes a file to.
type fileWriter struct {
	e *Edge
	x *Exchange

	left  int64 // bytes of the body to come
	unfit bool  // there is no such part of the file
	err   error
}

// Header implements [http.ResponseWriter].
func (w *fileWriter) Header() http.Header { return w.x.answerHeader() }

// WriteHeader implements [http.ResponseWriter].
func (w *fileWriter) WriteHeader(status int) {
	x := w.x
	if status == http.StatusRequestedRangeNotSatisfiable {
		w.unfit = true
		return
	}
	x.status, x.response.Status = status, status
	if !x.mayHaveBody(status) || status >= http.StatusBadRequest {
		w.left = 0
	} else if n, err := strconv.ParseInt(w.Header().Get(headerContentLength), 10, 64); err == nil {
		w.left = n
	}
	if x.compress(w.left); x.coded != nil {
		delete(w.Header(), "Accept-Ranges") // parts are those of the file as it is
	}
	x.writeBy(time.Now().Add(w.e.cfg.Stall))
	x.head(status)
}

// Write implements [http.ResponseWriter].
func (w *fileWriter) Write(p []byte) (int, error) {
	if w.unfit { // what net/http would say of it
		return len(p), nil
	}
	w.x.writeBy(time.Now().Add(w.e.cfg.Stall))
	if w.err = w.x.pass(p); w.err != nil {
		return 0, w.err
	}
	w.left -= int64(len(p))
	return len(p), nil
}
