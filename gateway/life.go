package gateway

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/stella-ops/router/spec"
)

// Serve serves until ctx ends, and then drains: /readyz turns 503, after the delay nothing new is accepted, open requests
// have the grace to end, and services are told. It does so, without the delay, when another process has taken its place. It
// returns nil after that. Any other end is an error.
func (g *Gateway) Serve(ctx context.Context) error {
	inner, stop := context.WithCancel(context.WithoutCancel(ctx))
	failed := make(chan error, 1)
	g.wg.Go(func() { g.registry.Watch(inner) })
	g.wg.Go(func() { g.verifier.Run(inner) })
	if g.authority != nil {
		g.wg.Go(func() { g.authority.Run(inner) })
	}
	g.limiter.Connect(inner)
	g.wg.Go(func() { g.limiter.Run(inner) })
	run := func(serve func() error) {
		g.wg.Go(func() {
			if err := serve(); err != nil {
				select {
				case failed <- err:
				default: // one is enough
				}
			}
		})
	}
	accept := func(e *entrance) { run(func() error { return g.accept(inner, e) }) }
	defer g.parted()
	serves, cause := g.takeOver(ctx, accept)
	if serves {
		cause = g.keepToken(inner)
	}
	switch {
	case cause != nil:
		run(func() error { return cause })
	case serves:
		run(func() error { return serve("admin", g.admin, g.adminAddr) })
		for _, l := range g.clients {
			run(func() error { return serve("http", g.http, l) })
		}
		for _, f := range g.http3 {
			run(f.serve)
		}
		g.served()
	}
	err := g.until(ctx, inner, accept, failed)
	stop()
	err = errors.Join(err, g.Close())
	g.wg.Wait()
	return err
}

// keepToken keeps the file with the token of development mode from now on, until another process does. It is for a process that
// serves: one that does not would leave a token without claims there, and the process before would not notice.
func (g *Gateway) keepToken(ctx context.Context) error {
	if g.token == nil {
		return nil
	}
	if err := g.token.write(time.Now(), g.registry.Snapshot().Claims()); err != nil {
		return err
	}
	g.wg.Go(func() { g.token.keep(ctx, g.registry, g.succeeded) })
	return nil
}

var (
	errStarting = errors.New("starting")
	errDraining = errors.New("draining")
	errAwaiting = errors.New("the authority has not been reached since the start, and nobody passes before")
)

// readiness says why this gateway is not to be sent requests. That it would refuse them all is one reason only where another
// gateway may not: what all gateways of an environment ask, issuers' keys and the server of the rate limits, they lose together,
// and what needs neither is still served.
func (g *Gateway) readiness() error {
	switch {
	case g.draining.Load() || g.closing.Load():
		return errDraining
	case !g.ready.Load():
		return errStarting
	case g.awaiting():
		return errAwaiting
	}
	return nil
}

// served says that requests are accepted.
func (g *Gateway) served() {
	g.cfg.Sockets.Own() // before the process before is told
	g.ready.Store(true)
	g.log.Info("serving", "http", g.HTTPAddrs(), "listen", g.ListenAddrs(), "admin", g.AdminAddr(), "region", g.cfg.Region, "node", g.cfg.Node)
	if g.cfg.Serving != nil {
		g.cfg.Serving()
	}
	g.tellReady()
}

// until waits for the end, and drains where it is an orderly one.
func (g *Gateway) until(ctx, inner context.Context, accept func(*entrance), failed <-chan error) error {
	passing, stop := context.WithCancel(inner)
	defer stop()
	for {
		select {
		case <-ctx.Done():
			stop()
			g.drain()
			return nil
		case <-g.ended:
			return nil
		case err := <-failed:
			return err
		case r := <-g.restarts:
			g.wg.Go(func() { r.done <- g.handOver(passing, accept, r.start) })
		case <-g.succeeded:
			g.retire(ctx)
			return nil
		}
	}
}

func serve(what string, s *http.Server, l net.Listener) error {
	if err := s.Serve(l); !errors.Is(err, http.ErrServerClosed) && !errors.Is(err, net.ErrClosed) {
		return fmt.Errorf("gateway: %s: %w", what, err)
	}
	return nil
}

// drain lets open requests end within the grace.
func (g *Gateway) drain() {
	g.ready.Store(false)
	g.draining.Store(true)
	close(g.leaving)
	g.log.Info("draining", "delay", g.cfg.DrainDelay, "grace", g.cfg.Grace)
	select {
	case <-time.After(g.cfg.DrainDelay):
	case <-g.ended:
	}
	g.finish()
}

// finish takes nothing new, and lets what is open end within the grace.
func (g *Gateway) finish() {
	g.closing.Store(true)
	for _, e := range g.doors() {
		if err := ignoreClosed(e.Close()); err != nil {
			g.log.Warn("closing a listener", "error", err)
		}
	}
	err := g.shutdown(g.cfg.Grace)
	g.goAway()
	if err == nil {
		g.log.Info("drained")
		return
	}
	g.log.Warn("requests were still open at the end of the grace", "error", err)
	g.closeSessions() // their calls fail with the sessions, and they get to say so
	g.edge.Sever()    // and so do the requests that upstreams of legacy routes have
	if err := g.shutdown(lastWords); err != nil {
		g.log.Warn("requests did not end", "error", err)
	}
}

// shutdown takes no new requests and waits for the open ones, for as long as given at most, or until Close.
func (g *Gateway) shutdown(limit time.Duration) error {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	g.wg.Go(func() {
		select {
		case <-g.ended:
			cancel()
		case <-ctx.Done():
		}
	})
	ended := make(chan error, len(g.http3))
	for _, f := range g.http3 {
		g.wg.Go(func() { ended <- f.shutdown(ctx) })
	}
	err := g.http.Shutdown(ctx)
	if err != nil {
		err = fmt.Errorf("gateway: http: %w", err)
	}
	for range g.http3 {
		err = errors.Join(err, <-ended)
	}
	if e := g.edge.Wait(ctx); e != nil {
		err = errors.Join(err, fmt.Errorf("gateway: WebSockets: %w", e))
	}
	return err
}

// goAway tells every service that this gateway takes its leave.
func (g *Gateway) goAway() {
	g.mu.Lock()
	defer g.mu.Unlock()
	for s := range g.sessions {
		s.session.Drain(spec.CodeShutdown, "the gateway is shutting down")
	}
}

// closeSessions ends every session, and waits for them.
func (g *Gateway) closeSessions() {
	g.mu.Lock()
	sessions := make([]*service, 0, len(g.sessions))
	for s := range g.sessions {
		sessions = append(sessions, s)
	}
	g.mu.Unlock()
	var wg sync.WaitGroup
	for _, s := range sessions {
		wg.Go(func() { _ = s.session.Close(spec.CodeShutdown, "the gateway is shutting down") }) // ends either way
	}
	wg.Wait()
}

// Close ends everything at once. Serve returns after it.
func (g *Gateway) Close() error {
	g.ready.Store(false)
	g.closing.Store(true)
	g.once.Do(func() { close(g.ended) })
	err := g.release()
	for _, f := range g.http3 {
		err = errors.Join(err, f.close())
	}
	g.closeSessions()
	g.edge.Sever()
	err = errors.Join(err, ignoreClosed(g.http.Close()), ignoreClosed(g.admin.Close()))
	g.closeTraces() // last: what was broken off has spans, too
	return err
}

func (g *Gateway) closeTraces() {
	if g.traces == nil {
		return
	}
	if err := g.traces.Close(); err != nil {
		g.log.Warn("the last spans are lost", "error", err)
	}
}
