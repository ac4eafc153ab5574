package config

import (
	"io"
	"log/slog"
	"maps"
	"net/netip"
	"strconv"

	"github.com/stella-ops/router/gateway"
	"github.com/stella-ops/router/gateway/auth"
	"github.com/stella-ops/router/gateway/coding"
	"github.com/stella-ops/router/gateway/edge"
	"github.com/stella-ops/router/gateway/legacy"
	"github.com/stella-ops/router/gateway/limit"
	"github.com/stella-ops/router/gateway/routing"
	"github.com/stella-ops/router/gateway/static"
	"github.com/stella-ops/router/spec"
)

// Gateway is what the configuration asks of a gateway, which logs to w. Whoever sets level later changes what is logged.
func (l *Loaded) Gateway(w io.Writer, level *slog.LevelVar) gateway.Config {
	f := &l.File
	cfg := gateway.Config{
		HTTP: f.HTTP, Listen: f.Transports.Listen, Admin: f.Admin.Address, Region: f.Node.Region, Node: f.Node.ID,
		Tokens: gateway.Tokens{File: f.Transports.TokenFile, Any: f.Transports.Token}, Owners: routing.Owners(f.Transports.Owners),
		Peers: f.Transports.Peers, Queue: f.Transports.Queue, AcceptRate: f.Transports.AcceptRate, Memory: int64(f.Transports.Memory),
		SessionMemory: int64(f.Transports.OfSession),
		DrainDelay:    f.Shutdown.DrainDelay, Grace: f.Shutdown.Grace, Heartbeat: f.Transports.Heartbeat, Retain: f.Transports.Retain,
		Stall: f.Transports.Stall, Logger: f.Log.logger(w, level),
	}
	for i := range f.Listeners {
		cfg.Listeners = append(cfg.Listeners, f.Listeners[i].gateway())
	}
	cfg.DegradedAfter, cfg.UnhealthyAfter = f.Health.DegradedAfter, f.Health.UnhealthyAfter
	cfg.AdminTokens, cfg.AdminHosts = f.Admin.TokenFile, f.Admin.Hosts
	cfg.Neighbours, cfg.Routing, cfg.Services = f.Node.Neighbours, l.routing, maps.Clone(l.services)
	for i := range f.Endpoints {
		cfg.Access = append(cfg.Access, f.Endpoints[i].gateway(l.Origin("endpoints["+strconv.Itoa(i)+"]")))
	}
	cfg.Authority = gateway.Authority{
		Source: f.Authority.Source, TokenFile: f.Authority.TokenFile, Every: f.Authority.Every, Declared: f.Authority.Unreached == unreachedDeclared,
	}
	cfg.Limits = f.Limits.gateway(f.Node.Environment)
	cfg.Requests = edge.Requests{HeaderSize: int(f.Limits.Requests.HeaderSize), HeaderTime: f.Limits.Requests.HeaderTime, Idle: f.Limits.Requests.Idle}
	for i := range f.Issuers {
		cfg.Issuers = append(cfg.Issuers, f.Issuers[i].gateway())
	}
	cfg.Traces = gateway.Traces(f.Telemetry.Traces)
	cfg.Policy.Compression = coding.Rule{Types: f.Compression.Types, MinSize: int64(f.Compression.MinSize)}
	for i := range f.CORS {
		cfg.Policy.CORS = append(cfg.Policy.CORS, edge.CORS(f.CORS[i]))
	}
	for i := range f.Static {
		cfg.Policy.Static = append(cfg.Policy.Static, static.Dir(f.Static[i]))
	}
	cfg.Policy.AccessLog = f.Log.Access
	cfg.Policy.Legacy = f.Legacy.gateway()
	if f.Certificates.Enabled {
		cfg.Policy.Certificates = f.Certificates.gateway()
	}
	if f.Tenant.Override {
		cfg.Policy.TenantHeader = f.Tenant.Header
	}
	if f.Envelope.KeyFile != "" {
		cfg.Policy.Envelope = &edge.Envelope{KeyFile: f.Envelope.KeyFile, Services: f.Envelope.Services, Logger: cfg.Logger}
	}
	if f.OpenAPI.Enabled {
		cfg.OpenAPI = f.OpenAPI.Title
	}
	if f.Dev.Enabled {
		cfg.Dev = &gateway.Dev{TokenFile: f.Dev.TokenFile, KeyFile: f.Dev.Key}
	}
	return cfg
}

const (
	clientsRequired   = "required"
	unreachedDeclared = "declared"
)

func (e *Endpoint) gateway(origin Origin) routing.AccessRule {
	out := routing.AccessRule{Service: e.Service, Endpoint: e.Endpoint, Public: e.Public, Origin: origin.String()}
	out.Limits = spec.Limits{TimeoutMS: e.Timeout.Milliseconds(), IdleMS: e.Idle.Milliseconds(), MaxBodyBytes: int64(e.Body)}
	for _, text := range e.Claims {
		claim, _ := spec.ParseClaimRequirement(text) // Load has checked it
		out.Claims = append(out.Claims, claim)
	}
	return out
}

func (l *Legacy) gateway() legacy.Config {
	var out legacy.Config
	for _, u := range l.Upstreams {
		out.Upstreams = append(out.Upstreams, legacy.Upstream(u))
	}
	for i := range l.Routes {
		r := &l.Routes[i]
		route := legacy.Route{
			Path: r.Path, Methods: r.Methods, Upstream: r.Upstream, Weight: r.Weight, Sticky: r.Sticky, Public: r.Public,
			Limits: spec.Limits{TimeoutMS: r.Timeout.Milliseconds(), IdleMS: r.Idle.Milliseconds(), MaxBodyBytes: int64(r.Body)},
		}
		for _, text := range r.Claims {
			claim, _ := spec.ParseClaimRequirement(text) // Load has checked it
			route.Claims = append(route.Claims, claim)
		}
		out.Routes = append(out.Routes, route)
	}
	return out
}

func (i *Issuer) gateway() auth.Issuer {
	return auth.Issuer{
		Issuer: i.Issuer, Audiences: i.Audiences, Algorithms: i.Algorithms, JWKS: i.JWKS, Skew: i.Skew, TenantClaim: i.TenantClaim,
		TenantsClaim: i.TenantsClaim, Cooldown: i.Cooldown, MaxStale: i.MaxStale,
	}
}

func (c *Certificates) gateway() *auth.CertRule {
	out := &auth.CertRule{TrustDomains: c.TrustDomains, CommonName: c.CommonName}
	for _, g := range c.Grants {
		grant := auth.Grant{Subject: g.Subject}
		for _, text := range g.Claims {
			claim, _ := spec.ParseClaimRequirement(text) // Load has checked it
			grant.Claims = append(grant.Claims, spec.Claim(claim))
		}
		out.Grants = append(out.Grants, grant)
	}
	return out
}

func (l *Limits) gateway(environment string) limit.Config {
	out := limit.Config{
		Headers: l.Headers, Store: l.Store, Environment: environment, Gateways: l.Gateways, Keys: l.Keys,
		Concurrency: limit.Concurrency(l.Concurrency), Connections: limit.Connections(l.Connections),
	}
	for i := range l.Rules {
		r := &l.Rules[i]
		out.Rules = append(out.Rules, limit.Rule{
			Name: r.Name, Service: r.Service, Endpoint: r.Endpoint, By: r.By, Rate: r.Rate, Per: r.Per, Burst: r.Burst,
			Scope: limit.Scope(r.Scope), Failure: limit.Failure(r.Failure),
		})
	}
	for _, p := range l.Priorities {
		out.Priorities = append(out.Priorities, limit.Priority{Service: p.Service, Endpoint: p.Endpoint, Class: limit.Class(p.Class)})
	}
	return out
}

func (l *Listener) gateway() gateway.Listener {
	out := gateway.Listener{Address: l.Address}
	for _, text := range l.ProxyFrom {
		if network, err := netip.ParsePrefix(text); err == nil { // Load has checked it
			out.ProxyFrom = append(out.ProxyFrom, network)
		}
	}
	if t := l.TLS; t != nil {
		out.TLS = &gateway.ListenerTLS{Cert: t.Cert, Key: t.Key, ClientCAs: t.ClientCAs, Required: t.Clients == clientsRequired, HTTP3: t.HTTP3}
	}
	return out
}

func (l *Log) logger(w io.Writer, level *slog.LevelVar) *slog.Logger {
	l.Set(level)
	options := &slog.HandlerOptions{Level: level}
	if l.Form == "json" {
		return slog.New(slog.NewJSONHandler(w, options))
	}
	return slog.New(slog.NewTextHandler(w, options))
}

// Set has what is logged from now on be what the configuration says.
func (l *Log) Set(level *slog.LevelVar) { _ = level.UnmarshalText([]byte(l.Level)) } // Load has checked it
