// Package stellatest lets a service's own tests call its endpoints: through the real session, the in-memory transport
// and the real dispatchers, in one process and without a port.
//
//	s := stellatest.Serve(t, billing.Manifest, billing.Endpoints(h))
//	answer := s.Do("GET /invoices?limit=5", stellatest.As("ann", "scope billing:read"))
//
// [Start], [Service.Call] and [Service.Open] are the same without a testing.TB, for other frameworks and for answers
// that are to be seen while they come. Time is fake where the test wants it: see [Serve].
//
// It does with a request what a gateway does once all its checks have passed: it checks neither claims nor limits, and
// a test says as whom it calls. It is for tests only.
//
// Start reading at [Serve].
package stellatest

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	stella "github.com/stella-ops/router/runtime"
	"github.com/stella-ops/router/spec"
	"github.com/stella-ops/router/transports"
	"github.com/stella-ops/router/transports/inmemory"
	"github.com/stella-ops/router/transports/session"
)

// Service is a service that runs for a test. Its methods may be called concurrently.
type Service struct {
	manifest *spec.Manifest
	gateway  *session.Gateway
	stop     context.CancelFunc
	done     chan struct{}
	err      error      // of Run; set before done is closed
	tb       testing.TB // nil unless Serve has started it
}

// Start runs a service of a manifest and what else [stella.New] takes. Its context bounds the starting, not the
// service. The environment's STELLA_GATEWAYS and STELLA_TOKEN do not matter.
func Start(ctx context.Context, m stella.Manifest, parts ...stella.Part) (*Service, error) {
	ln, err := transports.Listen(ctx, inmemory.Scheme+"://stellatest-"+strings.ToLower(rand.Text()), transports.ListenConfig{})
	if err != nil {
		return nil, fmt.Errorf("stellatest: %w", err)
	}
	running, stop := context.WithCancel(context.WithoutCancel(ctx))
	s := &Service{stop: stop, done: make(chan struct{})}
	token := rand.Text() // whatever the service has been given for its real gateways
	svc := stella.New(m, append(slices.Clip(parts),
		stella.WithVariable(stella.EnvGateways, ln.Addr()), stella.WithVariable(stella.EnvToken, token))...)
	go func() {
		defer close(s.done)
		s.err = svc.Run(running)
		_ = ln.Close() // what waits for the service to connect need not wait any more
	}()
	s.gateway, err = accept(ctx, ln, token)
	if err == nil {
		s.manifest, err = spec.ParseManifest(s.gateway.Manifest())
	}
	if err != nil {
		return nil, fmt.Errorf("stellatest: the service did not start: %w", errors.Join(err, s.Close()))
	}
	return s, ln.Close()
}

func accept(ctx context.Context, ln transports.Listener, token string) (*session.Gateway, error) {
	stop := context.AfterFunc(ctx, func() { _ = ln.Close() })
	defer stop()
	link, err := ln.Accept()
	if err != nil {
		return nil, errors.Join(err, context.Cause(ctx))
	}
	return session.Accept(ctx, link, session.GatewayConfig{
		Welcome: spec.Welcome{Node: "stellatest"}, Tokens: func(string) []string { return []string{token} },
	})
}

// Close drains the service, waits for it, and returns what Run returned.
func (s *Service) Close() error {
	s.stop()
	<-s.done
	err := s.err
	if s.gateway != nil {
		err = errors.Join(err, s.gateway.Close(spec.CodeShutdown, "the test is over"))
	}
	return err
}
