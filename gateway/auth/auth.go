// Package auth turns a bearer token into the identity it proves, and makes tokens for development.
//
// It knows nothing of HTTP and decides nothing: whether an identity may call an endpoint is package edge's business.
// Start reading at [Verifier].
package auth

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"crypto/ed25519"

	"github.com/lestrrat-go/jwx/v3/jwa"
	"github.com/lestrrat-go/jwx/v3/jwt"

	"github.com/stella-ops/router/spec"
)

const (
	// maxToken bounds a token, in bytes.
	maxToken = 8 << 10
	// skew is how far the clocks of issuer and gateway may differ.
	skew = 30 * time.Second
	// maxRemembered bounds the tokens whose verification is remembered.
	maxRemembered = 1024
)

// ErrToken is what every error about a token wraps.
var ErrToken = errors.New("auth: token refused")

// Verifier verifies tokens that one Ed25519 key has signed. It may be used concurrently.
type Verifier struct {
	key              ed25519.PublicKey
	issuer, audience string

	// A signature takes more time to verify than all the rest of a request, and clients send a token many times.
	mu         sync.RWMutex
	remembered map[string]verified
}

type verified struct {
	identity *spec.Identity
	until    time.Time
}

// NewVerifier returns a verifier of tokens that key signed, for the issuer and audience named.
func NewVerifier(key ed25519.PublicKey, issuer, audience string) *Verifier {
	return &Verifier{key: key, issuer: issuer, audience: audience, remembered: map[string]verified{}}
}

// Verify returns the identity that token proves at now. The identity is shared: it must not be changed. The text of
// an error may be shown to the caller.
func (v *Verifier) Verify(token string, now time.Time) (*spec.Identity, error) {
	if len(token) > maxToken {
		return nil, fmt.Errorf("%w: it has %d bytes, the limit is %d", ErrToken, len(token), maxToken)
	}
	v.mu.RLock()
	known, ok := v.remembered[token]
	v.mu.RUnlock()
	if !ok {
		var err error
		if known, err = v.verify(token, now); err != nil {
			return nil, err
		}
		v.remember(token, known)
	}
	if now.After(known.until.Add(skew)) {
		return nil, fmt.Errorf("%w: it expired at %s", ErrToken, known.until.UTC().Format(time.RFC3339))
	}
	return known.identity, nil
}

func (v *Verifier) verify(token string, now time.Time) (verified, error) {
	// Only this algorithm with this key: what the token's own header asks for counts for nothing.
	t, err := jwt.ParseString(token, jwt.WithKey(jwa.EdDSA(), v.key), jwt.WithValidate(true), jwt.WithIssuer(v.issuer),
		jwt.WithAudience(v.audience), jwt.WithRequiredClaim(jwt.ExpirationKey), jwt.WithAcceptableSkew(skew),
		jwt.WithClock(jwt.ClockFunc(func() time.Time { return now })))
	if err != nil {
		return verified{}, fmt.Errorf("%w: %s", ErrToken, explain(err))
	}
	claims, err := claimsOf(t)
	if err != nil {
		return verified{}, fmt.Errorf("%w: %w", ErrToken, err)
	}
	known := verified{identity: &spec.Identity{Claims: claims}}
	known.identity.Subject, _ = t.Subject()
	known.until, _ = t.Expiration()
	return known, nil
}

// explain says why a token was refused, without what the parser thought on the way.
func explain(err error) string {
	switch {
	case errors.Is(err, jwt.TokenExpiredError()):
		return "it has expired"
	case errors.Is(err, jwt.TokenNotYetValidError()), errors.Is(err, jwt.InvalidIssuedAtError()):
		return "it is not valid yet"
	case errors.Is(err, jwt.InvalidIssuerError()), errors.Is(err, jwt.InvalidAudienceError()):
		return "it was issued by or for somebody else"
	case errors.Is(err, jwt.MissingRequiredClaimError()):
		return "it does not say when it expires"
	}
	return "it is not a token of three parts that the gateway's key has signed with EdDSA"
}

// claimsOf maps a token's claims: a string is one claim, a list of strings one each, and the words of scope (RFC
// 8693, section 4.2) one each. Claims of other types cannot be asked for, and are left out.
func claimsOf(t jwt.Token) ([]spec.Claim, error) {
	var claims []spec.Claim
	keys := t.Keys()
	slices.Sort(keys)
	for _, key := range keys {
		var value any
		if err := t.Get(key, &value); err != nil {
			return nil, fmt.Errorf("claim %q: %w", key, err)
		}
		for _, s := range values(key, value) {
			claims = append(claims, spec.Claim{Type: key, Value: s})
		}
	}
	if len(claims) > spec.MaxFields {
		return nil, fmt.Errorf("it holds %d claims, the limit is %d", len(claims), spec.MaxFields)
	}
	return claims, nil
}

func values(key string, value any) []string {
	switch value := value.(type) {
	case string:
		if key == scopeClaim {
			return strings.Fields(value)
		}
		return []string{value}
	case []string:
		return value
	case []any:
		var list []string
		for _, e := range value {
			if s, ok := e.(string); ok {
				list = append(list, s)
			}
		}
		return list
	}
	return nil
}

func (v *Verifier) remember(token string, known verified) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if len(v.remembered) >= maxRemembered { // rare, and cheaper than keeping an order
		clear(v.remembered)
	}
	v.remembered[strings.Clone(token)] = known // the token is a part of a larger string
}
