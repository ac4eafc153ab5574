package stella

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/stella-ops/router/spec"
	"github.com/stella-ops/router/transports"
	"github.com/stella-ops/router/transports/session"
)

const (
	// dialTimeout bounds one attempt to reach a gateway by one of its URLs.
	dialTimeout = 10 * time.Second
	// takeover bounds the wait for a gateway to say that a session has been superseded, which is when its successor is
	// called. The old one goes on until then. A gateway that restarts has the successor open in its next process for as long
	// as other services take to come (PROTOCOL.md, section 4, Renewal), and is called by its old one meanwhile.
	takeover = 30 * time.Second
	// Bounds of the wait before a better way to a gateway is tried again.
	betterAfter, betterAtMost = 5 * time.Second, 60 * time.Second
)

// connection keeps one session with one gateway, and its share of the lease while it has one. It replaces a session
// before that gets too old or runs out of stream ids, and when a better way to the gateway is there again: the new one
// is open before the old one takes its leave, so that no call is lost. A gateway that says it goes away keeps the calls
// that are open; the connection looks for its successor meanwhile.
type connection struct {
	*running
	reporter

	gateway gatewayURLs
	broker  string      // the URL of the broker where the gateway has announced itself, if it has
	gone    func() bool // whether to give the gateway up, which is asked when there is no session; nil: never

	backoff backoff
	taken   bool           // the gateway has taken the manifest: it may know it still
	secret  string         // of the last session: if it still lives for the gateway, the next one takes its place
	leaving sync.WaitGroup // sessions that drain
}

func newConnection(r *running, gateway gatewayURLs, gone func() bool) *connection {
	return &connection{running: r, gateway: gateway, gone: gone, reporter: reporter{log: r.log.With("gateway", gateway.String())}}
}

// run dials, serves and dials again until ctx ends. Then it drains, and returns when no session is left.
func (c *connection) run(ctx context.Context) {
	defer c.leaving.Wait()
	for ctx.Err() == nil {
		wait := c.backoff.next(c.attempt(ctx))
		if c.gone != nil && c.gone() {
			return
		}
		pause(ctx, wait)
	}
}

// pause waits, or until ctx ends.
func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}

// attempt opens a session and serves it, and those that replace it, to the end. It reports whether the gateway refused.
func (c *connection) attempt(ctx context.Context) (refused bool) {
	s, err := c.open(ctx, c.gateway, nil, c.secret)
	if err != nil {
		if ctx.Err() == nil {
			c.report("stella: gateway not connected", err)
		}
		return refusesAll(err)
	}
	c.reported, c.secret = "", s.Welcome().Secret
	s.lease.bind(s.SetLease)
	since := time.Now()
	refused = c.serve(ctx, s)
	c.peers.unname(c)
	if time.Since(since) >= lived {
		c.backoff.reset()
		return false
	}
	return refused
}

// refusesAll reports that of every way to a gateway: of an error that [errors.Join] has made of theirs.
func refusesAll(err error) bool {
	joined, ok := err.(interface{ Unwrap() []error }) // it is open's own
	if !ok {
		return refuses(err)
	}
	return !slices.ContainsFunc(joined.Unwrap(), func(err error) bool { return !refuses(err) })
}

// refuses reports whether it takes a person to change what a gateway has refused for.
func refuses(err error) bool {
	var e *session.Error
	if !errors.As(err, &e) || !e.Remote {
		return errors.As(err, &e) && e.Code == spec.CodeUnauthorized // it does not know our token
	}
	return e.Code != spec.CodeRefused && e.Code != spec.CodeShutdown && e.Code != spec.CodeNoError
}

// serve serves a session, and those that replace it, until there is none or ctx ends.
func (c *connection) serve(ctx context.Context, s *served) (refused bool) {
	r := newRenewal(c, s)
	dialling, stop := context.WithCancel(ctx)
	defer func() {
		stop()
		c.part(r.stop())
	}()
	for {
		select {
		case <-ctx.Done():
			s.lease.free()
			c.part(r.next)
			c.drain(s)
			return false
		case <-s.leaving:
			if r.settle() == nil {
				c.log.Info("stella: gateway drains")
				s.lease.free()
				c.part(s)
				return false
			}
			s = c.takeOver(s, r)
		case <-s.Done():
			if r.settle() == nil {
				s.lease.free()
				c.report("stella: connection lost", s.Err())
				_ = s.Close() // waits for the session's goroutines
				return refuses(s.Err())
			}
			s = c.takeOver(s, r)
		case <-r.confirm.C: // the gateway does not say so
			s = c.takeOver(s, r)
		case <-r.next.ended():
			c.log.Debug("stella: the session that was to replace another was refused", "error", r.next.Err())
			c.part(r.next)
			r.failed()
		case <-s.renew:
			r.due()
		case <-r.age.C:
			old := s
			r.dial(func() *served { return c.successor(dialling, old, c.gateway, "its age, or the end of its stream ids") })
		case <-r.better.C:
			old := s
			r.dial(func() *served { return c.successor(dialling, old, c.gateway[:old.way], "a better way to the gateway") })
		case next := <-r.dialled:
			r.begin(next)
		}
	}
}

// successor opens a session by one of the ways that is to supersede another, which goes on meanwhile. It is nil if there
// is none to be had.
func (c *connection) successor(ctx context.Context, old *served, ways gatewayURLs, why string) *served {
	next, err := c.open(ctx, ways, old.lease, old.Welcome().Secret)
	if err != nil {
		c.log.Debug("stella: session not replaced", "because of", why, "error", err)
		return nil
	}
	c.log.Debug("stella: session to be replaced", "because of", why)
	return next
}

// takeOver lets the successor take the place of a session, which drains: the gateway has made the successor known.
func (c *connection) takeOver(old *served, r *renewal) *served {
	next := r.next
	next.lease.bind(next.SetLease)
	c.secret = next.Welcome().Secret
	r.renewed(next)
	c.log.Info("stella: session replaced", "remote", next.Remote())
	c.part(old)
	return next
}

// part drains a session, if there is one, while the connection goes on.
func (c *connection) part(s *served) {
	if s != nil {
		c.leaving.Go(func() { c.drain(s) })
	}
}

// reporter logs failures: as warnings when they are news.
type reporter struct {
	log      *slog.Logger
	reported string // the last one
}

func (r *reporter) report(msg string, err error) {
	level := slog.LevelWarn
	if err.Error() == r.reported {
		level = slog.LevelDebug
	}
	r.reported = err.Error()
	r.log.Log(context.Background(), level, msg, "error", err)
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

	lease   *lease
	way     int           // by which of the gateway's URLs
	leaving chan struct{} // closed when the gateway drains, or another session has taken this one's place
	renew   chan struct{} // one: its stream ids come to their end
}

// ended is closed when a session is dead; that of none is never.
func (s *served) ended() <-chan struct{} {
	if s == nil {
		return nil
	}
	return s.Done()
}

// open tries ways to the gateway in their order. The session takes over a lease, if there is one, and the place of the
// session whose secret is given. Its error tells what was wrong with each way.
func (c *connection) open(ctx context.Context, ways gatewayURLs, l *lease, supersedes string) (*served, error) {
	var errs []error
	for i, raw := range ways {
		s, err := c.openOne(ctx, raw, l, supersedes)
		if err == nil {
			s.way = i
			c.welcomed(s, raw)
			return s, nil
		}
		errs = append(errs, fmt.Errorf("%s: %w", transports.Redacted(raw), err))
		if ctx.Err() != nil {
			break
		}
	}
	return nil, errors.Join(errs...)
}

// welcomed notes that a session is open.
func (c *connection) welcomed(s *served, way string) {
	w := s.Welcome()
	c.taken = true
	c.peers.name(c, cmp.Or(c.broker, way), w.Gateways) // what it names is not behind that gateway, but beside the broker
	c.log.Info("stella: connected", "node", w.Node, "remote", s.Remote(), "instance", c.instance.ID, "endpoints", len(c.dispatcher.routes))
}

// hello is what the service says of itself.
func (c *connection) hello(lease int, supersedes string) spec.Hello {
	h := spec.Hello{Instance: c.instance, Lease: lease, Supersedes: supersedes, Overlay: c.overlay, Features: []spec.Feature{{Name: spec.FeatureTrailers}}}
	if len(c.overlay) > 0 {
		h.Features = append(h.Features, spec.Feature{Name: spec.FeatureOverlay, Critical: true})
	}
	return h
}

func (c *connection) openOne(ctx context.Context, raw string, l *lease, supersedes string) (*served, error) {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	link, err := transports.Dial(ctx, raw)
	if err != nil {
		return nil, err
	}
	own := l == nil
	if own { // only now, so that a gateway that cannot be reached takes nothing from the others
		l = c.leases.take()
	}
	s := &served{lease: l, leaving: make(chan struct{}), renew: make(chan struct{}, 1)}
	leave := sync.OnceFunc(func() { close(s.leaving) })
	counts := new(tally)
	var opened atomic.Pointer[session.Service] // the first heartbeat may come before Open returns
	s.Service, err = session.Open(ctx, link, session.ServiceConfig{
		Hello:    c.hello(max(l.calls(), 1), supersedes),
		Manifest: c.manifest, Slim: c.taken, Token: c.token,
		Limits: session.Limits{Shared: c.memory},
		Serve:  func(in *session.Incoming) { c.dispatcher.serve(in, counts) },
		Heartbeat: func() spec.Heartbeat {
			hb := spec.Heartbeat{Status: spec.StatusReady, ErrorPermille: counts.permille()}
			if s := opened.Load(); s != nil {
				hb.InFlight = s.InFlight()
			}
			return hb
		},
		GoAway: func(spec.Code, string) { leave() },
		Renew: func() {
			select {
			case s.renew <- struct{}{}:
			default:
			}
		},
	})
	if err != nil {
		if own {
			l.free()
		}
		return nil, err
	}
	opened.Store(s.Service)
	return s, nil
}
