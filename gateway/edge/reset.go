package edge

import (
	"context"
	"net"
	"sync/atomic"
	"time"
)

// A request of HTTP/2 that its client resets costs the client one frame, and the gateway and the service a call that is begun
// and cancelled. net/http bounds how many are served at once and not how many are begun; so a connection has a budget of
// requests that end this way soon after they began, and is closed when it is spent (CVE-2023-44487, and CVE-2025-8671 where
// the client makes the server reset). Those that live longer, such as streams of events, and those that are answered, cost
// nothing; an answer pays for one reset.
const (
	// resetBurst is how many there may be at once: more than a browser has open when its user leaves the page.
	resetBurst = 200
	// resetEvery is how often there may be one for ever.
	resetEvery = 50 * time.Millisecond
	// resetAge is the age beyond which a reset costs nothing.
	resetAge = time.Second
)

// client is a client's connection. It is found in its requests' contexts.
type client struct {
	net.Conn

	spent atomic.Int64 // when the budget will be whole again, in nanoseconds since 1970
}

type clientKey struct{}

// withConn is for [net/http.Server.ConnContext].
func withConn(ctx context.Context, conn net.Conn) context.Context {
	return context.WithValue(ctx, clientKey{}, &client{Conn: conn})
}

// clientOf is the connection by which a request came, or nil where no connection is known, as in tests.
func clientOf(ctx context.Context) *client {
	c, _ := ctx.Value(clientKey{}).(*client)
	return c
}

// reset takes one reset from the budget, and reports whether it was spent already.
func (c *client) reset(now time.Time) (over bool) {
	at := now.UnixNano()
	for {
		old := c.spent.Load()
		next := max(old, at) + int64(resetEvery)
		if c.spent.CompareAndSwap(old, next) {
			return next-at > resetBurst*int64(resetEvery)
		}
	}
}

// answered gives one back.
func (c *client) answered() { c.spent.Add(-int64(resetEvery)) }

// weigh counts a request of HTTP/2 that is over, and closes its connection when too many were reset.
func (e *Edge) weigh(x *Exchange) {
	c := clientOf(x.context())
	if c == nil {
		return
	}
	gone := x.gone
	if x.blamed != nil {
		gone = x.blamed.problem == nil
	}
	switch now := time.Now(); {
	case !gone:
		c.answered()
	case now.Sub(x.start) < resetAge && c.reset(now):
		_ = c.Close() // the connection is gone, or goes now
		e.log.InfoContext(x.context(), "a client's connection was closed: it keeps resetting its requests", "peer", x.request.Peer)
	}
}
