// Package gateway is the HTTP ingress: it takes sessions from services, knows from their manifests what they offer, and
// passes requests on to them. Between it and services there is no HTTP; what has not become a service yet it may front (package legacy).
//
// The command stella-gateway runs one; programs and tests may run one inside themselves. The package only joins the
// parts: HTTP is package edge's, who is connected and what they offer is package routing's, identity is package
// auth's, and what operators see is package admin's and package telemetry's. It never looks into bodies, and never configures an endpoint: that
// is what manifests are for.
//
// Start reading at [New].
package gateway

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/stella-ops/router/gateway/admin"
	"github.com/stella-ops/router/gateway/auth"
	"github.com/stella-ops/router/gateway/catalog"
	"github.com/stella-ops/router/gateway/edge"
	"github.com/stella-ops/router/gateway/handover"
	"github.com/stella-ops/router/gateway/limit"
	"github.com/stella-ops/router/gateway/queue"
	"github.com/stella-ops/router/gateway/routing"
	"github.com/stella-ops/router/gateway/telemetry"
	"github.com/stella-ops/router/gateway/telemetry/otlp"
	"github.com/stella-ops/router/spec"
	"github.com/stella-ops/router/transports"
	"github.com/stella-ops/router/transports/session"
)

// lastWords is how long ending requests have to send what they end with, after the grace.
const lastWords = time.Second

// Gateway is one gateway. Serve may be called once; the other methods may be called concurrently and at any time.
type Gateway struct {
	cfg       Config
	log       *slog.Logger
	telemetry *telemetry.Telemetry
	registry  *routing.Registry

	http, admin *http.Server
	clients     []net.Listener // at least one
	http3       []*http3Front
	adminAddr   net.Listener
	token       *tokenFile // nil outside development mode
	audit       *admin.Audit
	tokens      *tokens          // nil where services need none
	queue       transports.Queue // or nil
	catalog     *catalog.Catalog // or nil
	edge        *edge.Edge
	verifier    *auth.Verifier
	authority   *auth.Authority // or nil
	limiter     *limit.Limiter
	traces      *otlp.Exporter // or nil
	door        *door
	memory      *session.Memory
	counts      session.Counts
	opened      atomic.Uint64 // sessions
	renewed     atomic.Uint64 // those that took another one's place

	ready    atomic.Bool
	draining atomic.Bool   // connections of clients are closed after their next answer
	closing  atomic.Bool   // services that come now are turned away
	passing  atomic.Bool   // a handover is under way
	inviting atomic.Bool   // services that come now are asked to come again: the next process takes them
	leaving  chan struct{} // closed when it begins to drain by itself
	ended    chan struct{} // closed by Close
	once     sync.Once
	wg       sync.WaitGroup // every goroutine but those of the HTTP servers

	applying   sync.Mutex // held by who puts a configuration in force
	neighbours []string   // of its region, as they are in force; guarded by applying

	restarts  chan restart  // handovers that are asked for
	succeeded chan struct{} // closed when another process serves
	joined    chan struct{} // one: a service has come, or the authority has spoken
	clientele clientele

	mu        sync.Mutex
	sessions  map[*service]struct{}
	entrances []*entrance
}

// New checks the configuration, whose errors wrap [ErrConfig], and takes all addresses. Nothing is served until
// Serve is called, and Close gives the addresses back.
func New(cfg Config) (*Gateway, error) {
	cfg, err := withDefaults(cfg)
	if err != nil {
		return nil, err
	}
	g := &Gateway{
		cfg: cfg, log: cfg.Logger, leaving: make(chan struct{}), ended: make(chan struct{}), sessions: map[*service]struct{}{},
		restarts: make(chan restart), succeeded: make(chan struct{}), joined: make(chan struct{}, 1), clientele: newClientele(),
		door: newDoor(cfg.AcceptRate), memory: session.NewMemory(cfg.Memory), neighbours: cfg.Neighbours,
	}
	if g.tokens, err = newTokens(cfg.Tokens, cfg.Logger); err != nil {
		return nil, err
	}
	for _, url := range cfg.exposed() {
		cfg.Logger.Warn("other machines reach this listener, and what services and gateway say to each other is not encrypted: use tls or quic", "listen", url)
	}
	if err := Check(cfg); err != nil {
		return nil, err
	}
	if err := g.authentication(); err != nil {
		return nil, err
	}
	if g.limiter, err = limit.New(cfg.Limits, cfg.Logger); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrConfig, err)
	}
	g.telemetry, err = telemetry.New(telemetry.Config{
		Outcomes: edge.Outcomes(), Sessions: func() []telemetry.Session { return g.registry.Sessions() }, Dropped: g.dropped,
		Limits: func() telemetry.Limits { return g.limiter.Limits() }, Issuers: g.issuers, Calls: g.calls,
		Expected:  func() map[string]int { return g.registry.Expected() },
		Authority: g.authorityNow,
	})
	if err != nil {
		return nil, err
	}
	routed := cfg.routing()
	routed.Changed, routed.Telemetry = g.token.changed, g.telemetry
	g.registry = routing.NewRegistry(*routed)
	if err := g.govern(); err != nil {
		return nil, err
	}
	desk, err := g.desk()
	if err != nil {
		return nil, err
	}
	if cfg.OpenAPI != "" {
		g.catalog = catalog.New(catalog.Config{Registry: g.registry, Title: cfg.OpenAPI, Logger: cfg.Logger})
	}
	edges := edge.Config{
		Registry: g.registry, Verifier: g.verifier, Logger: cfg.Logger, Stall: cfg.Stall, Requests: cfg.Requests, Telemetry: g.telemetry, Draining: g.draining.Load,
		Queue: desk, Catalog: g.catalog, Limiter: g.limiter,
	}
	if cfg.Traces.Endpoint != "" {
		edges.Trace, edges.TraceOneIn = func(s edge.Span) { g.traces.Trace(s) }, cfg.Traces.OneIn
	}
	front := edge.New(edges)
	if err := front.Apply(cfg.Policy); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrConfig, err)
	}
	g.edge, g.http = front, front.Server()
	g.http.ConnState = g.clientele.changed
	g.audit = admin.NewAudit(cfg.Logger)
	access := admin.Access{Hosts: cfg.AdminHosts}
	if cfg.AdminTokens != "" {
		if access.Tokens, err = admin.NewTokens(cfg.AdminTokens, cfg.Logger); err != nil {
			return nil, fmt.Errorf("%w: %w", ErrConfig, err)
		}
	}
	g.admin = admin.Server(admin.Handler(admin.Config{
		Access: access, Audit: g.audit, Registry: g.registry, Edge: front, Ended: g.ended, Ready: g.readiness, Awaiting: g.awaiting,
		Metrics:       g.telemetry.Handler(),
		Configuration: cfg.Configuration, Reload: cfg.Reload, Catalog: g.catalog,
		Verifier: g.verifier, Authority: g.authority, Limiter: g.limiter, Restart: cfg.Restart,
	}))
	if cfg.Traces.Endpoint != "" {
		if g.traces, err = otlp.New(cfg.traces()); err != nil {
			return nil, fmt.Errorf("%w: %w", ErrConfig, err)
		}
	}
	err = g.listen()
	for _, address := range cfg.Sockets.Drop() {
		cfg.Logger.Warn("this process was given a socket of an address that the configuration does not have: it is closed", "address", address)
	}
	if err != nil {
		g.closeTraces()
		return nil, errors.Join(err, g.release())
	}
	return g, nil
}

// authentication makes what verifies tokens. There may be no issuer of any yet: a reload may bring one.
func (g *Gateway) authentication() error {
	cfg := auth.Config{Issuers: g.cfg.Issuers, Logger: g.log}
	var err error
	if g.cfg.Dev != nil {
		if g.token, err = newTokenFile(*g.cfg.Dev, g.log); err != nil {
			return err
		}
		cfg.Dev = g.token.key
	}
	if g.verifier, err = auth.NewVerifier(cfg); err != nil {
		return fmt.Errorf("%w: %w", ErrConfig, err)
	}
	return nil
}

// desk takes jobs in, where a queue is configured.
func (g *Gateway) desk() (*queue.Desk, error) {
	if g.cfg.Queue == "" {
		return nil, nil //nolint:nilnil // no desk: the edge answers so
	}
	q, err := transports.OpenQueue(g.cfg.Queue)
	if err != nil {
		return nil, fmt.Errorf("%w: queue: %w", ErrConfig, err)
	}
	g.queue = q
	if !g.cfg.Tokens.asked() {
		return queue.New(q, nil), nil
	}
	return queue.New(q, g.tokens.of), nil
}

func (g *Gateway) listen() error {
	altSvc := map[string][]string{}
	for _, l := range g.cfg.listeners() {
		taken, cfg, err := l.listen(g.cfg.Sockets, g.limiter, func(err error) { g.log.Warn("a listener's file", "address", l.Address, "error", err) })
		if err != nil {
			return err
		}
		g.clients = append(g.clients, taken)
		if l.TLS == nil || !l.TLS.HTTP3 {
			continue
		}
		f, err := listenHTTP3(taken, cfg, g.http)
		if err != nil {
			return err
		}
		g.http3 = append(g.http3, f)
		_, port, _ := net.SplitHostPort(taken.Addr().String()) // it has one
		altSvc[port] = f.altSvc
	}
	if len(altSvc) > 0 {
		g.http.Handler = announce(g.http.Handler, altSvc)
	}
	var err error
	if g.adminAddr, err = listenAdmin(g.cfg.Sockets, g.cfg.Admin); err != nil {
		return fmt.Errorf("gateway: admin: %w", err)
	}
	for _, raw := range g.cfg.Listen {
		e, err := g.open(raw)
		if err != nil {
			return err
		}
		g.entrances = append(g.entrances, e)
	}
	return nil
}

// adminMode is what a socket for operators may be used by: this gateway's own user.
const adminMode = 0o600

// listenAdmin takes the address for operators.
func listenAdmin(sockets *handover.Sockets, address string) (net.Listener, error) {
	path, isUnix := strings.CutPrefix(address, unixScheme)
	if !isUnix {
		return sockets.Listen("tcp", address, func() (net.Listener, error) {
			return net.Listen("tcp", address) //nolint:noctx // the address is resolved, and nothing else waits
		})
	}
	return sockets.Listen("unix", path, func() (net.Listener, error) {
		return transports.ListenUnix(context.Background(), path, adminMode)
	})
}

// dropped is how many datagrams its listeners have thrown away, by their scheme.
func (g *Gateway) dropped() map[string]map[transports.Drop]uint64 {
	all := map[string]map[transports.Drop]uint64{}
	for _, e := range g.doors() {
		d, ok := e.Listener.(transports.Datagrams)
		if !ok {
			continue
		}
		scheme, _, _ := strings.Cut(e.Addr(), "://")
		sum := all[scheme]
		if sum == nil {
			sum = map[transports.Drop]uint64{}
			all[scheme] = sum
		}
		for why, n := range d.Dropped() {
			sum[why] += n
		}
	}
	return all
}

// release gives back the addresses.
func (g *Gateway) release() error {
	var errs []error
	for _, l := range slices.Concat(g.clients, []net.Listener{g.adminAddr}) {
		if l != nil {
			errs = append(errs, ignoreClosed(l.Close()))
		}
	}
	for _, e := range g.doors() {
		errs = append(errs, ignoreClosed(e.Close()))
	}
	if g.queue != nil {
		errs = append(errs, g.queue.Close())
	}
	return errors.Join(errs...)
}

func ignoreClosed(err error) error {
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

// HTTPAddr is the first address for clients, host:port, with the port that was really taken.
func (g *Gateway) HTTPAddr() string { return g.clients[0].Addr().String() }

// HTTPAddrs are all addresses for clients.
func (g *Gateway) HTTPAddrs() []string {
	addrs := make([]string, len(g.clients))
	for i, l := range g.clients {
		addrs[i] = l.Addr().String()
	}
	return addrs
}

// AdminAddr is the address for operators: host:port, or the path of a socket.
func (g *Gateway) AdminAddr() string { return g.adminAddr.Addr().String() }

// AdminURL is the address for operators as stella-gateway ctl --admin takes it: http://host:port, or unix:///path.
func (g *Gateway) AdminURL() string {
	if g.adminAddr.Addr().Network() == "unix" {
		return unixScheme + g.AdminAddr()
	}
	return "http://" + g.AdminAddr()
}

// ListenAddrs are the URLs that services dial.
func (g *Gateway) ListenAddrs() []string {
	doors := g.doors()
	addrs := make([]string, len(doors))
	for i, e := range doors {
		addrs[i] = e.Addr()
	}
	return addrs
}

// Apply puts what can change of a configuration in force, whole or not at all. The rest of it is not looked at, nor are neighbours
// of another region than the gateway was started in.
func (g *Gateway) Apply(cfg Config) error {
	if err := Check(cfg); err != nil {
		return err
	}
	cfg, err := withDefaults(cfg)
	if err != nil {
		return err
	}
	g.applying.Lock()
	defer g.applying.Unlock()
	if cfg.Region != g.cfg.Region {
		cfg.Neighbours = g.neighbours
	}
	cfg.Logger, cfg.Region, cfg.Balancers = g.log, g.cfg.Region, g.cfg.Balancers // which a restart changes, and the program
	if e := cfg.Policy.Envelope; e != nil {
		cfg.Policy.Envelope = &edge.Envelope{KeyFile: e.KeyFile, Services: e.Services, Logger: g.log}
	}
	issuers, err := g.verifier.Prepare(cfg.Issuers) // files of keys may be wrong
	if err != nil {
		return invalid("issuers", err)
	}
	policy, err := g.edge.Prepare(cfg.Policy)
	if err != nil {
		return invalid("", err)
	}
	// This before all others: it alone may want a restart.
	if err := g.limiter.Apply(cfg.Limits); err != nil {
		return invalid("limits", err)
	}
	issuers()
	policy()
	g.neighbours = cfg.Neighbours
	return g.registry.Configure(*cfg.routing(), time.Now()) // it has been checked
}

// Reloaded counts that the configuration was read anew; err says why it was refused.
func (g *Gateway) Reloaded(err error) { g.telemetry.Reload(err) }

// Changed writes down a change that no operator has asked for by the admin address, for those who look there: what brought it about, what
// was done to what, and why it was not.
func (g *Gateway) Changed(cause, action, target string, err error) {
	g.audit.Note(cause, action, target, err)
}

// Registry is who is connected and what they offer.
func (g *Gateway) Registry() *routing.Registry { return g.registry }

// Issuers is what is known of the keys of every issuer whose tokens are taken.
func (g *Gateway) Issuers() []auth.IssuerStatus { return g.verifier.Status() }

// calls is what sessions have seen, for metrics.
func (g *Gateway) calls() telemetry.Calls {
	byName := func(codes map[spec.Code]uint64) map[string]uint64 {
		m := map[string]uint64{}
		for code, n := range codes {
			m[code.String()] = n
		}
		return m
	}
	sent, received := g.counts.Cancels()
	return telemetry.Calls{
		Cancelled: byName(sent), GivenUp: byName(received), Stalls: g.counts.Stalls(), Opened: g.opened.Load(), Renewed: g.renewed.Load(),
	}
}

// issuers is as much of [Gateway.Issuers] as metrics tell.
func (g *Gateway) issuers() []telemetry.Issuer {
	var all []telemetry.Issuer
	for _, s := range g.Issuers() {
		all = append(all, telemetry.Issuer{Name: s.Issuer, Fetched: !s.FetchedAt.IsZero(), Age: s.Age, Closed: s.Closed})
	}
	return all
}
