// Package auth turns what a caller shows into the identity that it proves: a bearer token of an issuer whose keys are
// published as a JSON Web Key Set, or a client's certificate. It makes tokens for development, too.
//
// It decides nothing: whether an identity may call an endpoint is package edge's business, which asks [Missing]. It
// never trusts what a token says of its own keys, never follows a redirect, and serves no one once the keys are too
// old to be believed. Start reading at [Verifier]; token.go has the rules of a token, source.go those of getting keys.
package auth

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/stella-ops/router/spec"
)

// maxToken bounds a token, in bytes.
const maxToken = 8 << 10

var (
	// ErrToken is what every error about a token wraps: the caller has to get another one.
	ErrToken = errors.New("auth: token refused")
	// ErrKeys is what every error wraps that is no fault of the token: its issuer's keys cannot be had, or are too old.
	// The same token may be taken later.
	ErrKeys = errors.New("auth: no keys to verify the token with")
	// ErrConfig is what errors about a configuration wrap.
	ErrConfig = errors.New("auth: configuration")
)

// Config is what a [Verifier] needs.
type Config struct {
	Issuers []Issuer     // who may issue tokens; each at most once
	Dev     *DevKey      // one more issuer, for development; may be nil
	Logger  *slog.Logger // nil: [slog.Default]
	// TLS is how issuers' key sets are asked for by https. Nil: the system's roots, TLS 1.2 or later.
	TLS *tls.Config
	// Remember is how many verified tokens are kept, so that the next request with one of them costs no signature. Zero:
	// 8,192, which is room for half as many that come in turns. It is rounded up to a power of two; each takes the bytes
	// of its token, 8 KiB at most, and of its identity.
	Remember int
}

// Proof is what a token has proved. What it points at is shared: it must not be changed.
type Proof struct {
	*spec.Identity

	Issuer string
	// Tenants lists every tenant that the caller may act for, for [SelectTenant]. The identity's own may be missing.
	Tenants []string
	// tenantClaim is the claim that named the identity's own tenant; empty: there is none.
	tenantClaim string
	// tenantElse are the claims that would have named it, had that one been missing.
	tenantElse []string
	// Until is the first moment at which the token proves nothing any more: its end and the skew its issuer is allowed.
	Until time.Time
}

// Verifier verifies tokens. It may be used concurrently. Tokens of issuers with a key set can be verified while
// [Verifier.Run] runs.
type Verifier struct {
	cfg    Config // its Issuers are those that it began with
	roster atomic.Pointer[roster]
	known  *memory

	mu    sync.Mutex      // held by who changes the roster, or what follows
	begin func(s *source) // gets a source's keys from now on; nil: Run does not run
}

// NewVerifier checks the configuration, whose errors wrap [ErrConfig], and reads key sets that are files. Nothing is
// fetched before [Verifier.Run]: a gateway starts while an issuer is down.
func NewVerifier(cfg Config) (*Verifier, error) {
	if cfg.Logger == nil {
		cfg.Logger = slog.Default()
	}
	v := &Verifier{cfg: cfg, known: newMemory(cfg.Remember)}
	v.roster.Store(new(roster))
	put, err := v.Prepare(cfg.Issuers)
	if err != nil {
		return nil, err
	}
	put()
	return v, nil
}

// Verify returns what token proves at now. An error wraps [ErrToken] or [ErrKeys]; the text of the former may be shown
// to the caller, the latter's is for the operator. It waits only for a fetch of keys that it needs, 6 seconds at
// most, and no longer than ctx.
func (v *Verifier) Verify(ctx context.Context, token string, now time.Time) (Proof, error) {
	if len(token) > maxToken {
		return Proof{}, fmt.Errorf("%w: it has %d bytes, the limit is %d", ErrToken, len(token), maxToken)
	}
	hash := v.known.hash(token)
	known := v.known.find(hash, token)
	if known == nil || known.key.gone.Load() || known.source.gone.Load() {
		var err error
		if known, err = v.verify(ctx, token, now); err != nil {
			return Proof{}, err
		}
		v.known.keep(hash, known, now)
	}
	if !now.Before(known.proof.Until) {
		return Proof{}, fmt.Errorf("%w: it has expired", ErrToken)
	}
	if known.source.closed(now) {
		return Proof{}, known.source.unusable()
	}
	return known.proof, nil
}

// Status is what is known of every issuer's keys, in the order of the configuration, that of development first.
func (v *Verifier) Status() []IssuerStatus {
	order := v.roster.Load().order
	list := make([]IssuerStatus, len(order))
	now := time.Now()
	for i, s := range order {
		list[i] = s.status(now)
	}
	return list
}
