package stella

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"time"

	"github.com/stella-ops/router/spec"
)

// Outlet takes the answer of a call that [Response.Relay] makes, part by part. Package httpbridge has one; services need none.
type Outlet interface {
	io.Writer
	io.ReaderFrom

	// Head begins the answer. length is that of the body in bytes; -1: it is found out by what is written.
	Head(status int, length int64, h Header) error

	// Flush sends what has been written.
	Flush() error

	// Trailer has fields follow the body, after the last of it.
	Trailer(h Header)

	// Upgrade accepts the upgrade that the request asks for: see [Response.Upgrade].
	Upgrade(h Header) (*Conn, error)
}

// Relay makes a call whose answer goes to an outlet, which passes it on to w in a way of its own. It is for package httpbridge,
// which has net/http middleware in between. The answer begins with the header h. A failure is answered as that of a call is, and
// is logged then: to whoever is outside, it is an answer. What Relay returns is an error that could not be answered, since the
// answer had begun or ctx has ended: then the call must end with it.
func (w *Response) Relay(ctx context.Context, r *Request, to Outlet, h Header, next Dispatch) error {
	inner := &Response{to: &relay{to, ctx}, length: -1, fallback: w.fallback, bodiless: w.bodiless, intercepted: true}
	inner.header = append(inner.fields[:0], h...)
	if w.upgrade != nil {
		inner.upgrade = &upgrade{protocol: w.upgrade.protocol, remote: w.upgrade.remote}
	}
	defer inner.release()
	err := separate(next)(ctx, r, inner)
	if err == nil || inner.ended && errors.Is(err, http.ErrBodyNotAllowed) {
		if err = inner.finish(); err == nil {
			return nil
		}
	}
	if inner.begun || ctx.Err() != nil {
		return err
	}
	e := inner.errorOf(err)
	if level, text, telling := e.told(); telling {
		LoggerFromContext(ctx).LogAttrs(ctx, level, text, slog.Any("error", err))
	}
	return inner.replace(e, r.ID)
}

// told is how the log tells of a call that is answered with e, if it does.
func (e *Error) told() (level slog.Level, text string, telling bool) {
	if e.status() >= http.StatusInternalServerError {
		return slog.LevelError, "stella: request failed", true
	}
	return slog.LevelInfo, "stella: request refused", e.Cause != nil
}

// relay is an outlet of a response that hands the answer to an [Outlet].
type relay struct {
	Outlet

	ctx context.Context //nolint:containedctx // the call's, for as long as the call lasts
}

func (o *relay) Context() context.Context { return o.ctx }

// Head passes the head on, to which the body follows.
func (o *relay) Head(meta *spec.Response) error {
	return o.Outlet.Head(meta.Status, meta.ContentLength, meta.Header)
}

// SetReadDeadline is the outlet's, if that has deadlines.
func (o *relay) SetReadDeadline(t time.Time) error {
	if to, ok := o.Outlet.(deadlined); ok {
		return to.SetReadDeadline(t)
	}
	return errors.ErrUnsupported
}

// SetWriteDeadline is the outlet's, if that has deadlines.
func (o *relay) SetWriteDeadline(t time.Time) error {
	if to, ok := o.Outlet.(deadlined); ok {
		return to.SetWriteDeadline(t)
	}
	return errors.ErrUnsupported
}

// RespondWith passes a whole answer on. A length that w finds out itself is left to it, so that what is in between may add to the
// body.
func (o *relay) RespondWith(meta *spec.Response, body []byte, trailer []spec.Field) error {
	length := meta.ContentLength
	if length == int64(len(body)) && 0 < length && length <= spec.MaxInlineBody {
		length = -1
	}
	if err := o.Outlet.Head(meta.Status, length, meta.Header); err != nil {
		return err
	}
	if len(body) > 0 {
		if _, err := o.Write(body); err != nil {
			return err
		}
	}
	return o.EndWith(trailer)
}

// EndWith leaves the end to w.
func (o *relay) EndWith(trailer []spec.Field) error {
	if len(trailer) > 0 {
		o.Trailer(trailer)
	}
	return nil
}
