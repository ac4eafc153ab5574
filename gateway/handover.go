package gateway

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"

	"github.com/stella-ops/router/gateway/handover"
	"github.com/stella-ops/router/transports"
)

const (
	// TakeOver is how long a process that takes another one's place waits for services that have a session with that.
	TakeOver = 10 * time.Second
	// restartTimeout bounds a handover, from the start of the new process until it serves.
	restartTimeout = 25 * time.Second
	// linger is how long a process whose place has been taken waits for clients to ask once more, on connections that it then
	// closes. To close one at another time would be to close it, now and then, under a request that is on its way.
	linger = 5 * time.Second
	// missingShown bounds the instances that a line of the log names.
	missingShown = 5
)

// entrance is a listener for services.
type entrance struct {
	transports.Listener

	url    string
	socket bool // it listens on a socket that can pass to another process
	broker bool // services come by a broker: who listens announces itself, beside others
}

// noticed tells of a listener whether it has such a socket.
type noticed struct {
	*handover.Sockets

	entrance *entrance
}

// Bound implements [transports.Sockets].
func (n noticed) Bound(ln net.Listener) {
	n.entrance.socket = true
	n.Sockets.Bound(ln)
}

// open listens for services at a URL.
func (g *Gateway) open(raw string) (*entrance, error) {
	_, t, err := transports.Parse(raw)
	if err != nil {
		return nil, fmt.Errorf("gateway: listen: %w", err)
	}
	e := &entrance{url: raw, broker: t.Gateways != nil}
	e.Listener, err = transports.Listen(context.Background(), raw, transports.ListenConfig{
		Rejected: g.rejected, Authenticated: g.cfg.Tokens.asked(), Sockets: noticed{g.cfg.Sockets, e},
	})
	if err != nil {
		return nil, fmt.Errorf("gateway: listen: %w", err)
	}
	return e, nil
}

// doors are the listeners for services as they are now.
func (g *Gateway) doors() []*entrance {
	g.mu.Lock()
	defer g.mu.Unlock()
	return slices.Clone(g.entrances)
}

// clientele counts the connections of clients.
type clientele struct {
	open *atomic.Int64
	none chan struct{} // one: there may be none
}

func newClientele() clientele { return clientele{new(atomic.Int64), make(chan struct{}, 1)} }

// changed implements what an [http.Server] tells. It is also called for every request.
func (c clientele) changed(_ net.Conn, state http.ConnState) {
	switch state {
	case http.StateNew:
		c.open.Add(1)
	case http.StateClosed, http.StateHijacked:
		if c.open.Add(-1) == 0 {
			select {
			case c.none <- struct{}{}:
			default:
			}
		}
	case http.StateActive, http.StateIdle:
	}
}

// restart is a handover that is asked for.
type restart struct {
	start func(*handover.Held) (*handover.Successor, error)
	done  chan error // one
}

// ErrHandover is what errors of [Gateway.Handover] wrap: this process goes on.
var ErrHandover = errors.New("gateway: handover")

// Handover lets another process take this one's place: start starts it and gives it the sockets. Services then open a second
// session, with that process; when it has one with every instance, or [TakeOver] has passed, it accepts requests, and Serve
// drains here, as at the end. Should the process fail before, nothing has changed: this one goes on.
func (g *Gateway) Handover(start func(*handover.Held) (*handover.Successor, error)) error {
	r := restart{start, make(chan error, 1)}
	select {
	case g.restarts <- r:
	case <-g.leaving:
		return fmt.Errorf("%w: the gateway drains and ends: start another one", ErrHandover)
	case <-g.ended:
		return fmt.Errorf("%w: the gateway ends", ErrHandover)
	case <-g.succeeded:
		return fmt.Errorf("%w: another process has this one's place", ErrHandover)
	}
	return <-r.done // also at the end of the gateway, which waits for it: the new process may serve by then
}

// handOver hands over, unless that is done already.
func (g *Gateway) handOver(ctx context.Context, accept func(*entrance), start func(*handover.Held) (*handover.Successor, error)) error {
	if !g.passing.CompareAndSwap(false, true) {
		g.log.Warn("a handover was asked for, and another one is under way")
		return fmt.Errorf("%w: another one is under way", ErrHandover)
	}
	err := g.pass(ctx, accept, start)
	if err == nil {
		g.draining.Store(true) // before whoever waits for the handover asks anything
		close(g.succeeded)
		return nil
	}
	g.passing.Store(false)
	g.log.Error("handover failed, this process goes on", "error", err)
	return fmt.Errorf("%w: %w", ErrHandover, err)
}

// stays says what cannot pass to another process.
func (g *Gateway) stays() error {
	if len(g.http3) > 0 {
		return errors.New("sockets of HTTP/3 do not pass to another process: drain this one, and start the next")
	}
	for _, e := range g.doors() {
		if !e.socket && !e.broker {
			return fmt.Errorf("the socket of %s does not pass to another process: drain this one, and start the next", e.Addr())
		}
	}
	return nil
}

func (g *Gateway) pass(serving context.Context, accept func(*entrance), start func(*handover.Held) (*handover.Successor, error)) error {
	if err := g.stays(); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(serving, restartTimeout)
	defer cancel()
	held, err := g.cfg.Sockets.Hold()
	if err != nil {
		return err
	}
	next, err := start(held)
	if err != nil {
		return errors.Join(err, held.Close())
	}
	g.log.Info("handover: a process has been started that is to take this one's place", "pid", next.PID())
	if err := next.Begun(ctx); err != nil {
		return errors.Join(err, next.Kill(), held.Close())
	}
	held.Keep(true)
	if err := g.invite(ctx, serving, next); err != nil {
		g.inviting.Store(false)
		held.Keep(false)
		return errors.Join(err, next.Kill(), g.resume(held, accept))
	}
	if err := held.Close(); err != nil {
		g.log.Warn("handover: sockets", "error", err)
	}
	g.log.Info("handover: the new process serves", "pid", next.PID())
	return nil
}

// invite takes no sessions any more, has services open another one, and waits for the new process to serve. Services that have
// not been asked until then are asked afterwards, while serving lasts: they would hear of the end of this process last of all.
func (g *Gateway) invite(ctx, serving context.Context, next *handover.Successor) error {
	for _, e := range g.doors() {
		if !e.socket {
			continue
		}
		if err := ignoreClosed(e.Close()); err != nil {
			return err
		}
	}
	g.inviting.Store(true) // not before: they would come back here. Nor later: whom renew does not find sees it
	var instances []handover.Instance
	for _, in := range g.registry.Instances() {
		if in.Session.Lease() == 0 { // it drains, or takes no calls
			continue
		}
		h := in.Session.Hello().Instance
		instances = append(instances, handover.Instance{Service: h.Service, Version: h.Version, ID: h.ID})
	}
	if err := next.Tell(ctx, instances); err != nil {
		return err
	}
	asking, stop := context.WithCancel(serving)
	g.wg.Go(func() {
		defer stop()
		g.renew(asking)
	})
	err := next.Ready(ctx)
	if err != nil {
		stop()
	}
	return err
}

// renew asks services for another session, at the rate at which this process takes them on: the new one's it does not know.
func (g *Gateway) renew(ctx context.Context) {
	g.mu.Lock()
	var sessions []*service
	for s := range g.sessions {
		if s.moves {
			sessions = append(sessions, s)
		}
	}
	g.mu.Unlock()
	var asked sync.WaitGroup
	defer asked.Wait()
	pace := rate.NewLimiter(rate.Limit(g.cfg.AcceptRate), g.cfg.AcceptRate)
	for _, s := range sessions {
		if pace.Wait(ctx) != nil {
			return
		}
		asked.Go(func() { s.session.Renew(ctx) })
	}
}

// changed has a process that waits for its turn look again.
func (g *Gateway) changed() {
	select {
	case g.joined <- struct{}{}:
	default: // it will
	}
}

// come is told that a service's session has begun.
func (g *Gateway) come(ctx context.Context, s *service) {
	g.changed()
	if s.moves && g.inviting.Load() { // it had dialled before the listener was closed
		g.wg.Go(func() { s.session.Renew(ctx) })
	}
}

// resume takes sessions again: the new process has failed.
func (g *Gateway) resume(held *handover.Held, accept func(*entrance)) error {
	err := held.Return(g.cfg.Sockets)
	g.mu.Lock()
	defer g.mu.Unlock()
	for i, e := range g.entrances {
		if !e.socket || g.closing.Load() {
			continue
		}
		again, failed := g.open(located(e.url, e.Addr()))
		if failed != nil {
			err = errors.Join(err, failed)
			continue
		}
		again.url = e.url
		g.entrances[i] = again
		accept(again)
	}
	g.cfg.Sockets.Drop()
	return err
}

// located is a URL with the port that was taken.
func located(raw, taken string) string {
	u, err := url.Parse(raw)
	at, failed := url.Parse(taken)
	if errors.Join(err, failed) != nil { // cannot be: it has been listened on
		return raw
	}
	u.Host = at.Host
	return u.String()
}

// retire ends when another process has taken this one's place.
func (g *Gateway) retire(ctx context.Context) {
	g.log.Info("handed over: draining", "grace", g.cfg.Grace)
	for _, l := range slices.Concat(g.clients, []net.Listener{g.adminAddr}) {
		if err := ignoreClosed(l.Close()); err != nil {
			g.log.Warn("closing a listener", "error", err)
		}
	}
	g.admin.SetKeepAlivesEnabled(false)
	timer := time.NewTimer(linger)
	defer timer.Stop()
	for waits := true; waits && g.clientele.open.Load() > 0; {
		select {
		case <-g.clientele.none:
		case <-timer.C:
			waits = false
		case <-ctx.Done():
			waits = false
		case <-g.ended:
			waits = false
		}
	}
	g.finish()
	bye, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastWords)
	defer cancel()
	if err := g.admin.Shutdown(bye); err != nil { // an operator may be told of the handover right now, or watch requests
		g.log.Debug("operators were still asking", "error", err)
	}
}

// takeOver has services come in, and waits for those that the process before has, if there is one. It reports whether this
// process is to serve: it may have been told to end meanwhile, and then the one before goes on. So it does after an error.
func (g *Gateway) takeOver(ctx context.Context, accept func(*entrance)) (serve bool, err error) {
	before := g.cfg.Predecessor
	if before == nil {
		for _, e := range g.doors() {
			accept(e)
		}
		return true, nil
	}
	ctx, cancel := context.WithTimeout(ctx, restartTimeout)
	defer cancel()
	g.wg.Go(func() {
		select {
		case <-g.ended:
			cancel()
		case <-ctx.Done():
		}
	})
	expected, err := before.Begin(ctx)
	if err != nil {
		g.log.Warn("handover: the process before has not told who its services are", "error", err)
	}
	for _, e := range g.doors() {
		accept(e)
	}
	g.log.Info("handover: waiting for services, and for the authority if there is one", "instances", len(expected), "at_most", TakeOver)
	late := time.NewTimer(TakeOver)
	defer late.Stop()
	gone := before.Gone()
	for {
		missing, governed := g.missing(expected), !g.awaiting()
		if len(missing) == 0 && governed {
			return true, nil
		}
		select {
		case <-g.joined:
			continue
		case <-late.C:
			if !governed { // the process before knows its last word
				return false, fmt.Errorf("%w: the authority cannot be reached, and nobody would pass here: the process before goes on", ErrHandover)
			}
			g.log.Warn("handover: services have not come in time, requests are accepted now", "missing", len(missing), "such_as", missing[:min(len(missing), missingShown)])
		case <-gone:
			g.log.Warn("handover: the process before has ended", "missing", len(missing))
		case <-ctx.Done():
			return false, nil
		}
		return true, nil
	}
}

// missing are the instances that have no session here.
func (g *Gateway) missing(expected []handover.Instance) []handover.Instance {
	here := map[handover.Instance]bool{}
	for _, in := range g.registry.Instances() {
		h := in.Session.Hello().Instance
		here[handover.Instance{Service: h.Service, Version: h.Version, ID: h.ID}] = true
	}
	return slices.DeleteFunc(slices.Clone(expected), func(in handover.Instance) bool { return here[in] })
}

// tellReady tells the process before that this one serves.
func (g *Gateway) tellReady() {
	if g.cfg.Predecessor == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), restartTimeout)
	defer cancel()
	if err := g.cfg.Predecessor.Ready(ctx); err != nil {
		g.log.Warn("handover: the process before is gone", "error", err)
	}
	g.parted()
}

// parted ends the conversation with the process before.
func (g *Gateway) parted() {
	if g.cfg.Predecessor != nil {
		_ = g.cfg.Predecessor.Close() // it may be closed
	}
}
