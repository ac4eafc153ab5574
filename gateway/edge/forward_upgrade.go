package edge

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"time"

	"github.com/stella-ops/router/spec"
	"github.com/stella-ops/router/transports"
	"github.com/stella-ops/router/transports/session"
)

// forwardUpgrade is forward for a request that opens a WebSocket. The upstream accepts it by 101; any other answer is an ordinary one.
func (e *Edge) forwardUpgrade(x *Exchange) *problem {
	q := x.toUpstream()
	q.WebSocket, q.Timeout = true, x.timeout()
	client := x.ctx // which counts until the connection is taken over: see change
	ctx, cancel := context.WithCancelCause(context.WithoutCancel(client))
	defer cancel(context.Canceled)
	heard := context.AfterFunc(client, func() { cancel(context.Cause(client)) })
	defer heard()
	defer e.sent.enter(x, cancel)()
	a, err := e.upstreams.Send(ctx, &q, x.response.Header)
	if err != nil {
		return x.lostAway(err)
	}
	defer a.Close()
	x.response.Header = a.Header
	if a.Conn == nil {
		e.answerAway(x, a)
		return nil
	}
	heard()
	x.response.Status, x.response.ContentLength = a.Status, -1
	far := newUpstreamEnd(a.Conn)
	defer context.AfterFunc(ctx, func() { far.end(context.Cause(ctx)) })()
	if e.change(x, far); !x.gone {
		x.cause = far.why()
	}
	return nil
}

// upstreamEnd is a connection to an upstream of legacy routes, which has accepted an upgrade. TCP bounds what is on its way.
type upstreamEnd struct {
	conn  net.Conn
	from  *bufio.Reader
	busy  bool          // as in [tunnel.up]
	gone  chan struct{} // closed when it takes no more
	leave func()        // closes it

	mu    sync.Mutex
	cause error // why it has ended before both ways had
}

func newUpstreamEnd(conn net.Conn) *upstreamEnd {
	u := &upstreamEnd{conn: conn, from: bufio.NewReader(conn), gone: make(chan struct{})}
	u.leave = sync.OnceFunc(func() { close(u.gone) })
	return u
}

func (u *upstreamEnd) next() (*transports.Frame, error) {
	for {
		f, err := readPart(u.from, u.busy, u.readBy)
		switch {
		case f != nil: // an error beside it comes again
			u.busy = len(f.Payload()) >= u.from.Size()
			f.Seal(spec.TypeResponseStreamData, 0, 0, 0, 0)
			return f, nil
		case u.busy && errors.Is(err, os.ErrDeadlineExceeded):
			u.busy = false
		case errors.Is(err, io.EOF):
			return nil, io.EOF
		default:
			u.end(err)
			return nil, err
		}
	}
}

func (u *upstreamEnd) readBy(at time.Time) {
	_ = u.conn.SetReadDeadline(at) // fails on a connection that is gone, as the read does
}

func (u *upstreamEnd) consumed(int) {}

func (u *upstreamEnd) send(w *watch, f *transports.Frame, end bool) error {
	defer f.Release()
	if b := f.Payload(); len(b) > 0 {
		w.begin()
		_, err := u.conn.Write(b)
		w.over()
		if err != nil { // it is for next to say whether that was in order
			u.leave()
			return err
		}
	}
	if end {
		closeWrite(u.conn)
	}
	return nil
}

func (u *upstreamEnd) rest(done <-chan struct{}) {
	select {
	case <-done:
	case <-u.gone:
	}
}

func (u *upstreamEnd) failed() bool { return u.why() != nil }

func (u *upstreamEnd) cancel(code spec.Code) { u.end(&session.Error{Code: code}) }

// end breaks the connection off. The first cause counts.
func (u *upstreamEnd) end(cause error) {
	u.mu.Lock()
	if u.cause == nil {
		u.cause = cause
	}
	u.mu.Unlock()
	u.leave()
	reset(u.conn)
}

func (u *upstreamEnd) why() error {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.cause
}
