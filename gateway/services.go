package gateway

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
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
	said     *spec.Hello                      // set before the session begins
	instance atomic.Pointer[routing.Instance] // nil until the session has been made known
	moves    bool                             // the socket by which it came passes to the next process; set before the session begins

	mu       sync.Mutex
	appended *routing.Offer // what it has appended before that
}

// accept takes links until the listener is closed.
func (g *Gateway) accept(ctx context.Context, e *entrance) error {
	slots := make(chan struct{}, maxOpening)
	for {
		link, err := e.Accept()
		switch {
		case err == nil:
		case g.closing.Load() || errors.Is(err, net.ErrClosed):
			return nil
		default:
			return fmt.Errorf("gateway: accept on %s: %w", e.Addr(), err)
		}
		slots <- struct{}{} // given back within spec.HelloTimeout
		g.wg.Go(func() { g.serve(ctx, link, e.socket, slots) })
	}
}

// serve opens a session on a link and keeps it known for as long as it lives.
func (g *Gateway) serve(ctx context.Context, link transports.Link, moves bool, slots <-chan struct{}) {
	traits := link.Traits()
	remote := traits.Remote
	s := &service{moves: moves}
	var offer *routing.Offer
	cfg := session.GatewayConfig{
		Welcome: spec.Welcome{Node: g.cfg.Node, Region: g.cfg.Region, HeartbeatMS: g.cfg.Heartbeat.Milliseconds(), Gateways: g.cfg.Peers},
		Limits:  session.Limits{Memory: g.cfg.SessionMemory, Shared: g.memory}, Counts: &g.counts,
		Enter: func(h *spec.Hello) error {
			if err := mayBe(h.Instance.Service, traits.Names); err != nil {
				return err
			}
			return g.door.enter(ctx)
		},
		Known: func(digest string) bool {
			offer = g.registry.Offer(digest)
			return offer != nil
		},
		Admit: func(h *spec.Hello, manifest []byte) error {
			s.said = h
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
		Ping:   true,
		Append: func(_ uint32, manifest []byte) error { return g.appended(s, manifest) },
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
	if g.cfg.Tokens.asked() && len(traits.Names) == 0 { // else its certificate says who it is
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
	if opened.Hello().Supersedes == "" {
		g.opened.Add(1)
	} else {
		g.renewed.Add(1)
	}
	in := g.registry.Add(opened, offer, time.Now())
	if err := s.known(g.registry, in); err != nil {
		_ = opened.Close(spec.CodeProtocol, err.Error()) // ends either way
	}
	h := opened.Hello().Instance
	log := g.log.With("service", h.Service, "version", h.Version, "instance", h.ID, "region", h.Region, "remote", remote)
	log.Info("service connected", "manifest", opened.Hello().ManifestDigest)
	g.come(ctx, s)
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

// appended takes endpoints over that a service has come to offer.
func (g *Gateway) appended(s *service, manifest []byte) error {
	offer, err := routing.Prepare(s.said, manifest)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	in := s.instance.Load()
	if in == nil { // it is about to be made known
		if s.appended != nil {
			return errors.New("gateway: endpoints were appended twice before the session served")
		}
		s.appended = offer
		return nil
	}
	return g.registry.Append(in, offer, time.Now())
}

// known notes under which instance the session is known.
func (s *service) known(r *routing.Registry, in *routing.Instance) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.instance.Store(in)
	if s.appended == nil {
		return nil
	}
	return r.Append(in, s.appended, time.Now())
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

// mayBe is an error if a certificate was shown which does not have the service's name.
func mayBe(service string, names []string) error {
	if len(names) == 0 || slices.Contains(names, service) {
		return nil
	}
	return &session.Error{
		Code: spec.CodeUnauthorized, Reason: fmt.Sprintf("the certificate is for %s, which does not have the service's name %s", strings.Join(names, ", "), service),
	}
}
