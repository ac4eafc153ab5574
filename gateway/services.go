package gateway

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync/atomic"
	"time"

	"github.com/stella-ops/router/gateway/routing"
	"github.com/stella-ops/router/gateway/telemetry"
	"github.com/stella-ops/router/spec"
	"github.com/stella-ops/router/transports"
	"github.com/stella-ops/router/transports/session"
)

// maxOpening bounds the links that have not said HELLO yet. Further ones wait to be accepted.
const maxOpening = 256

// service is one session with a service.
type service struct {
	session  *session.Gateway
	instance atomic.Pointer[routing.Instance] // nil until the session has been made known
}

// accept takes links until the listener is closed.
func (g *Gateway) accept(ctx context.Context, l transports.Listener) error {
	slots := make(chan struct{}, maxOpening)
	for {
		link, err := l.Accept()
		switch {
		case err == nil:
		case g.closing.Load() || errors.Is(err, net.ErrClosed):
			return nil
		default:
			return fmt.Errorf("gateway: accept on %s: %w", l.Addr(), err)
		}
		slots <- struct{}{} // given back within spec.HelloTimeout
		g.wg.Go(func() { g.serve(ctx, link, slots) })
	}
}

// serve opens a session on a link and keeps it known for as long as it lives.
func (g *Gateway) serve(ctx context.Context, link transports.Link, slots <-chan struct{}) {
	remote := link.Traits().Remote
	s := new(service)
	var offer *routing.Offer
	cfg := session.GatewayConfig{
		Welcome: spec.Welcome{Node: g.cfg.Node, Region: g.cfg.Region, HeartbeatMS: g.cfg.Heartbeat.Milliseconds(), Gateways: g.cfg.Peers},
		Limits:  session.Limits{Shared: g.memory},
		Enter:   func(*spec.Hello) error { return g.door.enter(ctx) },
		Known: func(digest string) bool {
			offer = g.registry.Offer(digest)
			return offer != nil
		},
		Admit: func(h *spec.Hello, manifest []byte) error {
			var err error
			if offer != nil { // it is known, and was not sent
				err = offer.Of(h)
			} else {
				offer, err = routing.Prepare(h, manifest)
			}
			if err != nil {
				return &session.Error{Code: spec.CodeProtocol, Reason: err.Error()}
			}
			return nil
		},
		Heartbeat: func(hb spec.Heartbeat) {
			if in := s.instance.Load(); in != nil {
				g.registry.Beat(in, hb, time.Now())
			}
		},
		GoAway: func(spec.Code, string) {
			if in := s.instance.Load(); in != nil {
				g.registry.Leave(in)
			}
		},
	}
	if g.tokens != nil {
		cfg.Tokens = g.tokens.of
	}
	opened, err := session.Accept(ctx, link, cfg)
	<-slots
	if err != nil {
		g.rejected(remote, err)
		return
	}
	s.session = opened
	if !g.enter(s) {
		g.telemetry.Refuse(telemetry.RefusedShutdown)
		_ = opened.Close(spec.CodeShutdown, "the gateway is shutting down") // ends either way
		return
	}
	in := g.registry.Add(opened, offer, time.Now())
	s.instance.Store(in)
	h := opened.Hello().Instance
	log := g.log.With("service", h.Service, "version", h.Version, "instance", h.ID, "region", h.Region, "remote", remote)
	log.Info("service connected", "manifest", opened.Hello().ManifestDigest)
	<-opened.Done()
	g.registry.Remove(in, time.Now())
	g.leave(s)
	if err := opened.Err(); errors.Is(err, session.ErrDrained) {
		log.Info("service drained")
	} else {
		log.Info("service gone", "reason", err)
	}
	_ = opened.Close(spec.CodeNoError, "") // waits for its goroutines
}

func (g *Gateway) enter(s *service) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closing.Load() {
		return false
	}
	g.sessions[s] = struct{}{}
	return true
}

func (g *Gateway) leave(s *service) {
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.sessions, s)
}
