package stella

import (
	"log/slog"
	"net/url"
	"slices"
	"strings"
	"sync"

	"github.com/stella-ops/router/transports"
)

// maxGateways bounds the gateways that a service has a connection to, configured and learned ones together.
const maxGateways = 64

// peers know the gateways beside those that are configured: gateways name them in WELCOME. A URL is followed only over the
// scheme by which it was learned and with the same parameters, so that trust is the same: what proves the one gateway proves the other. It may be used
// concurrently.
type peers struct {
	connect func(way string) // starts a connection to a gateway that was learned

	mu        sync.Mutex
	known     map[string]bool          // normalised URLs of gateways that have a connection
	namedBy   map[*connection][]string // what the live session of each connection names
	announced []string                 // URLs that were not followed, each logged once
}

func newPeers(configured []gatewayURLs, connect func(string)) *peers {
	p := &peers{connect: connect, known: map[string]bool{}, namedBy: map[*connection][]string{}}
	for _, urls := range configured {
		for _, raw := range urls {
			p.known[normalise(raw)] = true
		}
	}
	return p
}

// normalise makes one of the ways to write a URL.
func normalise(raw string) string {
	u, err := url.Parse(raw)
	if err != nil {
		return raw
	}
	u.Scheme, u.Host = strings.ToLower(u.Scheme), strings.ToLower(u.Host)
	return u.String()
}

// name notes which gateways a connection's new session names, and connects to those that are new.
func (p *peers) name(c *connection, way string, urls []string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	scheme, _, _ := strings.Cut(way, ":")
	var followed []string
	for _, raw := range urls {
		u, t, err := transports.Parse(raw)
		switch {
		case err != nil:
			p.skip(c, raw, err.Error())
			continue
		case t.Scheme != scheme:
			p.skip(c, raw, "it was learned over "+scheme+", and trust may differ")
			continue
		case u.RawQuery != "" || u.User != nil:
			p.skip(c, raw, "it has parameters or a login, and this service has its own")
			continue
		}
		if own, err := url.Parse(way); err == nil {
			u.RawQuery, u.User = own.RawQuery, own.User
		}
		known := normalise(u.String())
		followed = append(followed, known)
		switch {
		case p.known[known]:
		case len(p.known) >= maxGateways:
			p.skip(c, raw, "there are too many gateways")
		default:
			p.known[known] = true
			c.log.Info("stella: gateway learned", "peer", transports.Redacted(known))
			p.connect(known)
		}
	}
	p.namedBy[c] = followed
}

// skip logs, once, why a gateway is not followed. The caller holds mu.
func (p *peers) skip(c *connection, raw, why string) {
	if slices.Contains(p.announced, raw) || len(p.announced) >= maxGateways {
		return
	}
	p.announced = append(p.announced, raw)
	c.log.Warn("stella: gateway not followed", "peer", transports.Redacted(raw), "reason", why)
}

// unname forgets what a connection's session has named: it is over.
func (p *peers) unname(c *connection) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.namedBy, c)
}

// forget reports whether no live session names a gateway that was learned, which it then forgets: its connection is
// down, and ends.
func (p *peers) forget(way string, log *slog.Logger) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, urls := range p.namedBy {
		if slices.Contains(urls, way) {
			return false
		}
	}
	delete(p.known, way)
	log.Info("stella: gateway forgotten, since no other names it any more", "gateway", transports.Redacted(way))
	return true
}
