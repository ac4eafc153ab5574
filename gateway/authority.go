package gateway

import (
	"fmt"
	"time"

	"github.com/stella-ops/router/gateway/auth"
	"github.com/stella-ops/router/gateway/routing"
	"github.com/stella-ops/router/gateway/telemetry"
)

// Authority is who says from outside of the gateway who may call which endpoints. The zero value is nobody.
type Authority struct {
	Source string        // a URL by https (by http from this machine only), or the path of a file; empty: there is none
	Every  time.Duration // how often a URL is asked; [auth.DefaultEvery]
	// TokenFile has what is sent to a URL as Authorization: Bearer, read each time; empty: nothing is.
	TokenFile string
	// Declared lets what services and the configuration say count until the authority is reached for the first time. Else
	// nobody passes before.
	Declared bool
}

func (a *Authority) auth() auth.AuthorityConfig {
	return auth.AuthorityConfig{Source: a.Source, Every: a.Every, TokenFile: a.TokenFile}
}

// awaits reports whether nobody passes before the authority has been reached.
func (c *Config) awaits() bool { return c.Authority.Source != "" && !c.Authority.Declared }

// awaiting reports whether nobody passes now, since the authority has not been reached.
func (g *Gateway) awaiting() bool { return g.cfg.awaits() && g.authority.Decrees() == nil }

// govern makes what asks the authority, where there is one, and puts in force what a file says.
func (g *Gateway) govern() error {
	if g.cfg.Authority.Source == "" {
		return nil
	}
	decree := func(d *auth.Decrees) {
		g.registry.Decree(accessRules(d), time.Now())
		g.changed()
	}
	var err error
	cfg := g.cfg.Authority.auth()
	cfg.Logger, cfg.Changed = g.log, decree
	g.authority, err = auth.NewAuthority(cfg)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrConfig, err)
	}
	return nil
}

// accessRules are an authority's rules as routing has them.
func accessRules(d *auth.Decrees) []routing.AccessRule {
	rules := make([]routing.AccessRule, len(d.Rules))
	for i, r := range d.Rules {
		rules[i] = routing.AccessRule{
			Service: r.Service, Endpoint: r.Endpoint, Claims: r.Claims, Public: r.Public, Origin: routing.OriginAuthority,
		}
	}
	return rules
}

// authorityNow is what metrics show of the authority; nil: there is none.
func (g *Gateway) authorityNow() *telemetry.Authority {
	if g.authority == nil {
		return nil
	}
	s := g.authority.Status()
	return &telemetry.Authority{Up: s.LastError == "" && s.Reached, Reached: s.Reached, Age: s.Age, Rules: s.Rules}
}
