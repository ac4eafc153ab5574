package httpbridge

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"

	stella "github.com/stella-ops/router/runtime"
	"github.com/stella-ops/router/spec"
	"github.com/stella-ops/router/transports/session"
)

// body is the request's. A net/http handler may leave a goroutine behind that still reads, as its transport does where
// it passes requests on: reading then fails, and must not touch the frame of the request, which is given back when the
// handler returns.
type body struct {
	src io.Reader
	of  *stella.Request // whose trailers follow it
	req *http.Request   // which gets them

	mu      sync.Mutex
	ended   bool
	trailed bool
}

// Read reads on until the body is closed or the handler has returned.
func (b *body) Read(p []byte) (int, error) {
	b.mu.Lock()
	if b.ended {
		b.mu.Unlock()
		return 0, http.ErrBodyReadAfterClose
	}
	if in, ok := b.src.(*session.Incoming); ok {
		if inline, _ := in.Inline(); len(inline) > 0 { // these bytes are the frame's, and reading them does not wait
			defer b.mu.Unlock()
			return in.Read(p)
		}
	}
	b.mu.Unlock()
	n, err := b.src.Read(p) // may wait, and ends with the call
	if errors.Is(err, io.EOF) {
		b.trail()
	}
	if e, ok := errors.AsType[*session.Error](err); ok && e.Code == spec.CodeClientGone {
		err = fmt.Errorf("%w: %w", io.ErrUnexpectedEOF, err) // which handlers know from net/http
	}
	return n, err
}

// trail gives the request what has followed the body, as net/http does: beside the names that were announced.
func (b *body) trail() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.ended || b.trailed {
		return
	}
	b.trailed = true
	fields := b.of.Trailer()
	if len(fields) > 0 && b.req.Trailer == nil {
		b.req.Trailer = make(http.Header, len(fields))
	}
	for _, f := range fields {
		b.req.Trailer.Add(f.Name, f.Value)
	}
}

// Close makes every further Read fail.
func (b *body) Close() error {
	b.end()
	return nil
}

func (b *body) end() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.ended = true
}
