// Package auth turns a bearer token into the identity it proves, and makes tokens for development. Tokens are those of
// issuers that the configuration names, whose keys are fetched and kept ([Issuer]), or of a local key ([DevKey]).
//
// It knows nothing of HTTP servers and decides nothing: whether an identity may call an endpoint is package edge's business.
// Start reading at [Verifier].
package auth

import (
	"context"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"hash/maphash"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/lestrrat-go/jwx/v3/jwa"
	"github.com/lestrrat-go/jwx/v3/jwt"

	"github.com/stella-ops/router/spec"
)

const (
	// maxToken bounds a token, in bytes.
	maxToken = 8 << 10
	// maxRemembered bounds the tokens whose verification is remembered, in each of the shards.
	maxRemembered = 128
	shards        = 16
)

// ErrToken is what every error about a token wraps.
var ErrToken = errors.New("auth: token refused")

// Verifier verifies the tokens of its issuers. It may be used concurrently.
type Verifier struct {
	issuers []*trusted

	// A signature takes more time to verify than all the rest of a request, and clients send a token many times.
	seed       maphash.Seed
	remembered [shards]shard
}

type shard struct {
	mu     sync.RWMutex
	tokens map[string]verified
}

// trusted is an issuer with its keys: those of a source, or fixed ones.
type trusted struct {
	Issuer

	source *keySource
	fixed  []key
}

type verified struct {
	identity *spec.Identity
	until    time.Time // with the skew
	issuer   *trusted
	keys     *keySet // that it was verified with; nil: fixed ones
}

// NewVerifier returns a verifier of the tokens of issuers, each of which has passed [Issuer.Check].
func NewVerifier(issuers ...Issuer) *Verifier {
	v := &Verifier{seed: maphash.MakeSeed()}
	for _, i := range issuers {
		i = withDefaults(i)
		v.issuers = append(v.issuers, &trusted{Issuer: i, source: newKeySource(i)})
	}
	return v
}

// Trust adds an issuer with one fixed key for EdDSA. It is not safe for concurrent use.
func (v *Verifier) Trust(public ed25519.PublicKey, issuer, audience string) *Verifier {
	i := withDefaults(Issuer{Issuer: issuer, Audiences: []string{audience}, Algorithms: []string{"EdDSA"}})
	v.issuers = append(v.issuers, &trusted{Issuer: i, fixed: []key{{public: public}}})
	return v
}

// lookEvery is how often [Verifier.Run] looks whether keys have to be fetched.
const lookEvery = time.Second

// Run fetches keys before they are stale, until ctx ends. Without it they are fetched when a request needs them.
func (v *Verifier) Run(ctx context.Context, log *slog.Logger) {
	var wg sync.WaitGroup
	defer wg.Wait()
	for _, t := range v.issuers {
		if t.source != nil {
			wg.Go(func() { t.source.keep(ctx, log) })
		}
	}
}

// keep fetches whenever it is time to.
func (s *keySource) keep(ctx context.Context, log *slog.Logger) {
	ticker := time.NewTicker(lookEvery)
	defer ticker.Stop()
	due, said := time.Time{}, ""
	for {
		if now := time.Now(); s.isFile() || !now.Before(due) {
			err := s.refresh(ctx, now)
			switch {
			case err != nil && err.Error() != said:
				said = err.Error()
				log.Warn("an issuer's keys cannot be had: what was fetched before counts as long as it may", "error", err)
			case err == nil && said != "":
				said = ""
				log.Info("an issuer's keys are to be had again", "issuer", s.issuer.Issuer)
			}
			due = s.due()
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// Status is what operators see of the issuers' keys.
func (v *Verifier) Status() []KeyStatus {
	list := []KeyStatus{}
	for _, t := range v.issuers {
		if t.source != nil {
			list = append(list, t.source.status())
		}
	}
	return list
}

// Verify returns the identity that token proves at now. The identity is shared: it must not be changed. Errors wrap
// [ErrToken], whose text may be shown to the caller, or [ErrKeys], where nobody can say whether the token is good.
func (v *Verifier) Verify(ctx context.Context, token string, now time.Time) (*spec.Identity, error) {
	if len(token) > maxToken {
		return nil, fmt.Errorf("%w: it has %d bytes, the limit is %d", ErrToken, len(token), maxToken)
	}
	s := &v.remembered[maphash.String(v.seed, token)%shards]
	s.mu.RLock()
	known, ok := s.tokens[token]
	s.mu.RUnlock()
	if !ok || !known.counts(now) {
		var err error
		if known, err = v.verify(ctx, token, now); err != nil {
			s.forget(token)
			return nil, err
		}
		s.remember(token, known)
	}
	if now.After(known.until) {
		return nil, fmt.Errorf("%w: it has expired", ErrToken)
	}
	return known.identity, nil
}

// counts reports whether what was found out about a token may still be said: its issuer's keys are the same, and not too old.
func (k *verified) counts(now time.Time) bool {
	if k.keys == nil {
		return true
	}
	return k.issuer.source.current.Load() == k.keys && now.Sub(k.keys.fetched) <= k.issuer.MaxStale+k.keys.fresh
}

func (s *shard) remember(token string, known verified) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.tokens == nil || len(s.tokens) >= maxRemembered { // rare, and cheaper than keeping an order
		s.tokens = make(map[string]verified, maxRemembered)
	}
	s.tokens[strings.Clone(token)] = known // the token is a part of a larger string
}

func (s *shard) forget(token string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.tokens, token)
}

// claim is what has to be read of a token before its signature can be checked. It is believed of nothing but that: which
// issuer's keys, and which of them.
type claim struct {
	issuer, alg, kid string
}

func (v *Verifier) verify(ctx context.Context, token string, now time.Time) (verified, error) {
	c, err := read(token)
	if err != nil {
		return verified{}, fmt.Errorf("%w: %w", ErrToken, err)
	}
	var from *trusted
	for _, t := range v.issuers {
		if t.Issuer.Issuer == c.issuer {
			from = t
		}
	}
	if from == nil {
		return verified{}, fmt.Errorf("%w: it was issued by or for somebody else", ErrToken)
	}
	if !slices.Contains(from.Algorithms, c.alg) {
		return verified{}, fmt.Errorf("%w: it is signed with %.20q, expected %s", ErrToken, c.alg, strings.Join(from.Algorithms, " or "))
	}
	keys, set := from.fixed, (*keySet)(nil)
	if from.source != nil {
		if keys, set, err = from.source.find(ctx, c.kid, now); err != nil {
			return verified{}, err
		}
	}
	err = errors.New("no key of its issuer has signed it")
	for _, k := range keys {
		if k.alg != "" && k.alg != c.alg {
			continue
		}
		var t jwt.Token
		if t, err = from.check(token, algorithms[c.alg], k, now); err == nil {
			return from.found(t, set)
		}
		if errors.Is(err, jwt.ValidateError()) { // it is this key that has signed it
			break
		}
	}
	return verified{}, fmt.Errorf("%w: %s", ErrToken, explain(err))
}

// check checks the signature by one key, and what the token says of itself.
func (t *trusted) check(token string, alg jwa.SignatureAlgorithm, k key, now time.Time) (jwt.Token, error) {
	return jwt.ParseString(token, jwt.WithKey(alg, k.public), jwt.WithValidate(true), jwt.WithIssuer(t.Issuer.Issuer), //nolint:wrapcheck // the caller explains it
		jwt.WithRequiredClaim(jwt.ExpirationKey), jwt.WithAcceptableSkew(t.Skew), jwt.WithClock(jwt.ClockFunc(func() time.Time { return now })),
		jwt.WithValidator(jwt.ValidatorFunc(func(_ context.Context, token jwt.Token) error {
			audience, _ := token.Audience()
			if !slices.ContainsFunc(audience, func(a string) bool { return slices.Contains(t.Audiences, a) }) {
				return jwt.InvalidAudienceError()
			}
			return nil
		})))
}

// found is what a token that is good says.
func (t *trusted) found(token jwt.Token, set *keySet) (verified, error) {
	claims, err := claimsOf(token)
	if err != nil {
		return verified{}, fmt.Errorf("%w: %w", ErrToken, err)
	}
	known := verified{identity: &spec.Identity{Claims: claims, Tenant: t.tenant(claims)}, issuer: t, keys: set}
	known.identity.Subject, _ = token.Subject()
	known.until, _ = token.Expiration()
	known.until = known.until.Add(t.Skew)
	return known, nil
}

// tenant is the caller's, by its claim alone.
func (t *trusted) tenant(claims []spec.Claim) string {
	names := []string{t.TenantClaim}
	if t.TenantClaim == "" {
		names = []string{"tenant", "tid"}
	}
	for _, name := range names {
		for _, c := range claims {
			if c.Type == name {
				return c.Value
			}
		}
	}
	return ""
}

// read reads what a token says before it is checked.
func read(token string) (claim, error) {
	parts := strings.Split(token, ".")
	if len(parts) != 3 { //nolint:mnd // RFC 7515, section 7.1
		return claim{}, errors.New("it is not a token of three parts")
	}
	var header struct {
		Alg      string          `json:"alg"`
		Kid      string          `json:"kid"`
		Critical json.RawMessage `json:"crit"`
	}
	var payload struct {
		Issuer string `json:"iss"`
	}
	for i, v := range []any{&header, &payload} {
		text, err := base64.RawURLEncoding.DecodeString(parts[i])
		if err == nil {
			err = json.Unmarshal(text, v)
		}
		if err != nil {
			return claim{}, errors.New("it is not a token: its header and claims are no JSON")
		}
	}
	if header.Critical != nil { // RFC 7515, section 4.1.11: what is not understood must not be passed over
		return claim{}, errors.New("its header demands an extension (crit) that the gateway does not have")
	}
	return claim{payload.Issuer, header.Alg, header.Kid}, nil
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
	return "no key of its issuer has signed it"
}

// claimsOf maps a token's claims: a string is one claim, a list of strings one each, and the words of scope (RFC
// 8693, section 4.2) and of scp, as some issuers call it, one each. Claims of other types cannot be asked for, and are left out.
func claimsOf(t jwt.Token) ([]spec.Claim, error) {
	var claims []spec.Claim
	keys := t.Keys()
	slices.Sort(keys)
	for _, key := range keys {
		var value any
		if err := t.Get(key, &value); err != nil {
			return nil, fmt.Errorf("claim %q: %w", key, err)
		}
		kind := key
		if key == scpClaim {
			kind = scopeClaim
		}
		for _, s := range values(kind, value) {
			claims = append(claims, spec.Claim{Type: kind, Value: s})
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
