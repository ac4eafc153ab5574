package stella

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/stella-ops/router/spec"
	"github.com/stella-ops/router/transports"
	"github.com/stella-ops/router/transports/session"
)

// dialTimeout bounds one attempt to reach a gateway by one of its URLs.
const dialTimeout = 10 * time.Second

// connection keeps one session with one gateway. A gateway that says it goes away keeps the calls that are open; the
// connection looks for its successor meanwhile.
type connection struct {
	*running

	gateway gatewayURLs
	lease   int
	log     *slog.Logger

	backoff  backoff
	reported string         // the last failure that was logged as a warning
	leaving  sync.WaitGroup // sessions whose gateway drains
}

func newConnection(r *running, gateway gatewayURLs, lease int) *connection {
	return &connection{running: r, gateway: gateway, lease: lease, log: r.log.With("gateway", gateway.String())}
}

// run dials, serves and dials again until ctx ends. Then it drains, and returns when no session is left.
func (c *connection) run(ctx context.Context) {
	defer c.leaving.Wait()
	for ctx.Err() == nil {
		wait := c.backoff.next(c.attempt(ctx))
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
		case <-timer.C:
		}
		timer.Stop()
	}
}

// attempt opens a session and serves it to its end. It reports whether the gateway refused it.
func (c *connection) attempt(ctx context.Context) (refused bool) {
	s, err := c.open(ctx)
	if err != nil {
		if ctx.Err() == nil {
			c.report("stella: gateway not connected", err)
		}
		var e *session.Error
		return errors.As(err, &e) && e.Remote
	}
	c.reported = ""
	w := s.Welcome()
	c.log.Info("stella: connected", "node", w.Node, "remote", s.Remote(), "instance", c.instance.ID, "endpoints", len(c.dispatcher.routes))
	since := time.Now()
	select {
	case <-ctx.Done():
		c.drain(s)
		return false
	case <-s.leaving:
		c.log.Info("stella: gateway drains")
		c.leaving.Go(func() { c.drain(s) })
	case <-s.Done():
		c.report("stella: connection lost", s.Err())
		_ = s.Close() // waits for the session's goroutines
	}
	if time.Since(since) >= lived {
		c.backoff.reset()
	}
	return false
}

// report logs a failure: as a warning when it is news.
func (c *connection) report(msg string, err error) {
	level := slog.LevelWarn
	if err.Error() == c.reported {
		level = slog.LevelDebug
	}
	c.reported = err.Error()
	c.log.Log(context.Background(), level, msg, "error", err)
}

// drain lets the open calls of a session finish, until the service's own drain cuts them off.
func (c *connection) drain(s *served) {
	ctx, cancel := context.WithCancel(c.cut)
	defer cancel()
	if err := s.Drain(ctx); err != nil {
		c.log.Warn("stella: calls were cut off", "error", err)
	}
}

// served is a session, and what the gateway has said on it.
type served struct {
	*session.Service

	leaving chan struct{} // closed when the gateway drains
}

// open tries the ways to the gateway in their order. Its error tells what was wrong with each.
func (c *connection) open(ctx context.Context) (*served, error) {
	var errs []error
	for _, raw := range c.gateway {
		s, err := c.openOne(ctx, raw)
		if err == nil {
			return s, nil
		}
		errs = append(errs, fmt.Errorf("%s: %w", raw, err))
		if ctx.Err() != nil {
			break
		}
	}
	return nil, errors.Join(errs...)
}

func (c *connection) openOne(ctx context.Context, raw string) (*served, error) {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	link, err := transports.Dial(ctx, raw)
	if err != nil {
		return nil, err
	}
	var once sync.Once
	leaving := make(chan struct{})
	counts := new(tally)
	var opened atomic.Pointer[session.Service] // the first heartbeat may come before Open returns
	s, err := session.Open(ctx, link, session.ServiceConfig{
		Hello:    spec.Hello{Instance: c.instance, Lease: c.lease},
		Manifest: c.manifest,
		Serve:    func(in *session.Incoming) { c.dispatcher.serve(in, counts) },
		Heartbeat: func() spec.Heartbeat {
			hb := spec.Heartbeat{Status: spec.StatusReady, Lease: c.lease, ErrorPermille: counts.permille()}
			if s := opened.Load(); s != nil {
				hb.InFlight = s.InFlight()
			}
			return hb
		},
		GoAway: func(spec.Code, string) { once.Do(func() { close(leaving) }) },
	})
	if err != nil {
		return nil, err
	}
	opened.Store(s)
	return &served{Service: s, leaving: leaving}, nil
}
