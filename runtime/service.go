package stella

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"github.com/stella-ops/router/spec"
	"github.com/stella-ops/router/transports/session"
	_ "github.com/stella-ops/router/transports/tcp" // the default gateway's transport
	_ "github.com/stella-ops/router/transports/tls" // this and the next cost no module: no service has to be built again for them
	_ "github.com/stella-ops/router/transports/udp"
)

// farewell is how long handlers get to return once the drain has ended their calls.
const farewell = time.Second

// Service offers endpoints to gateways. Make one with [New] and let it [Service.Run].
type Service struct {
	manifest Manifest
	config   config
}

// New makes a service of a manifest, the dispatchers of its packages, and options. It never fails: whatever is wrong
// with its arguments is reported by [Service.Run], all at once.
func New(m Manifest, parts ...Part) *Service {
	s := &Service{manifest: m, config: config{defaults: map[string]string{}, variables: map[string]string{}}}
	for _, p := range parts {
		if p != nil {
			p.apply(&s.config)
		}
	}
	return s
}

// Run serves until ctx ends or the process gets SIGTERM or SIGINT. Then it drains: gateways send no new calls, open
// ones may finish within the grace, and Run returns nil. A second signal ends it at once, with an error.
//
// Before it dials it checks its configuration and reports everything that is wrong with it; of variables STELLA_* that
// nothing reads it warns in the log. Afterwards it never gives up on a gateway: one that cannot be reached, refuses or
// goes away is dialled again.
//
// Run may be called again once it has returned, and also concurrently: every Run is an instance of its own, unless
// STELLA_INSTANCE_ID gives all the same name.
func (s *Service) Run(ctx context.Context) error {
	manifest, err := spec.ParseManifest([]byte(s.manifest.JSON))
	if err != nil {
		return fmt.Errorf("stella: the manifest cannot be used, run go generate: %w", err)
	}
	routes, errRoutes := newRoutes(manifest, s.config.endpoints)
	set, errSettings := s.config.settings(manifest)
	errInterceptors := intercept(routes, manifest, s.config.interceptors)
	if err := errors.Join(errRoutes, errInterceptors, errSettings); err != nil {
		return err
	}
	applyOverlay(set.overlay, manifest)
	warnOfUnknown(set.log)
	r := &running{
		settings: set, manifest: []byte(s.manifest.JSON),
		dispatcher: newDispatcher(routes, set.log),
	}
	r.dispatcher.tracer = set.tracer
	signals := make(chan os.Signal, 2) // two: the one that drains, and the one that ends
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT)
	defer signal.Stop(signals)
	return r.run(ctx, signals)
}

// running is a service while it runs.
type running struct {
	*settings

	manifest   []byte
	dispatcher *dispatcher
	leases     *leases
	peers      *peers
	memory     *session.Memory
	cut        context.Context //nolint:containedctx // ends when open calls get no more time
}

// run connects to every gateway, waits for a reason to stop, and drains.
func (r *running) run(ctx context.Context, signals <-chan os.Signal) error {
	serving, stop := context.WithCancel(ctx)
	defer stop()
	cut, end := context.WithCancelCause(context.WithoutCancel(ctx))
	defer end(nil)
	r.cut = cut

	var wg sync.WaitGroup
	r.leases, r.memory = &leases{total: r.lease}, session.NewMemory(r.maxMemory)
	r.peers = newPeers(r.gateways, func(way string) { // called by a connection, which is one that is waited for
		wg.Go(func() { r.connect(serving, gatewayURLs{way}, true) })
	})
	for _, urls := range r.gateways {
		wg.Go(func() { r.connect(serving, urls, false) })
	}
	wg.Go(func() { r.takeJobs(serving) })
	closed := make(chan struct{})
	go func() {
		defer close(closed)
		wg.Wait()
	}()

	again := false // a signal has come before
	select {
	case <-ctx.Done():
		r.log.Info("stella: draining", "reason", context.Cause(ctx), "grace", r.grace, "in_flight", r.dispatcher.calls.Load())
	case sig := <-signals:
		again = true
		r.log.Info("stella: draining", "reason", sig.String(), "grace", r.grace, "in_flight", r.dispatcher.calls.Load())
	}
	stop()
	grace := time.AfterFunc(r.grace, func() { end(errGrace) })
	defer grace.Stop()
	for {
		select {
		case <-closed:
			r.dispatcher.drained(farewell)
			r.log.Info("stella: stopped")
			return nil
		case sig := <-signals:
			if !again { // it may be what ended ctx: a caller that takes signals itself hears the same one
				again = true
				continue
			}
			end(errSecondSignal)
			<-closed // sessions tell their calls and close, which takes no longer than a write
			return fmt.Errorf("%w (%s)", errSecondSignal, sig)
		}
	}
}

// connect keeps sessions with a gateway, or with all that are at a broker, until ctx ends and they are over; with one that
// was learned, for as long as it is named.
func (r *running) connect(ctx context.Context, urls gatewayURLs, learned bool) {
	if list := lister(urls); list != nil {
		newAnnounced(r, urls[0], list, learned).run(ctx)
		return
	}
	var gone func() bool
	if learned {
		gone = func() bool { return r.peers.forget(urls[0], r.log) }
	}
	newConnection(r, urls, gone).run(ctx)
}

var (
	errGrace        = errors.New("stella: the grace is over")
	errSecondSignal = errors.New("stella: a second signal ended the drain")
)
