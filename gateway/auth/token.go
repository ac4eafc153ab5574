package auth

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/lestrrat-go/jwx/v3/jws/jwsbb"
	"github.com/lestrrat-go/jwx/v3/jwt"

	"github.com/stella-ops/router/spec"
)

const (
	// maxTries is how many keys a token that does not name its own is tried with.
	maxTries = 4
	// maxRounds is how often the keys are looked at: as they are, after a fetch that others had begun, after one's own.
	maxRounds = 3
)

// envelope is a token before anything of it is believed.
type envelope struct {
	alg, kid  string
	claims    jwt.Token
	signed    []byte // what the signature is about
	signature []byte
}

// encoding takes one spelling of a part only: a token cannot be varied without its key.
var encoding = base64.RawURLEncoding.Strict()

// open takes a token apart. Of the header only the algorithm and the name of the key count; what it says of where keys
// are to be found (jwk, jku, x5c, x5u) is not looked at.
func open(token string) (*envelope, error) {
	// encoding/base64 skips line ends, and no token has any.
	if strings.Count(token, ".") != 2 || strings.ContainsAny(token, "\r\n") {
		return nil, errors.New("it is not three parts with dots between them, as a signed token is")
	}
	dot := strings.LastIndexByte(token, '.')
	head, payload, _ := strings.Cut(token[:dot], ".")
	e := &envelope{signed: []byte(token[:dot])}
	text, err := encoding.DecodeString(head)
	if err != nil {
		return nil, errors.New("its header is not base64url")
	}
	if err := e.readHeader(text); err != nil {
		return nil, err
	}
	if e.signature, err = encoding.DecodeString(token[dot+1:]); err != nil {
		return nil, errors.New("its signature is not base64url")
	}
	if text, err = encoding.DecodeString(payload); err != nil {
		return nil, errors.New("its payload is not base64url")
	}
	e.claims = jwt.New()
	if err := json.Unmarshal(text, e.claims); err != nil {
		return nil, errors.New("its payload is not a JSON object of claims")
	}
	return e, nil
}

func (e *envelope) readHeader(text []byte) error {
	// A map, because encoding/json takes members of a struct in any letter case.
	var header map[string]json.RawMessage
	if err := json.Unmarshal(text, &header); err != nil || header == nil {
		return errors.New("its header is not a JSON object")
	}
	member := func(name string, to *string) error {
		if raw, ok := header[name]; ok && (raw[0] != '"' || json.Unmarshal(raw, to) != nil) {
			return fmt.Errorf("its header's %s is not a string", name)
		}
		return nil
	}
	for _, name := range []string{"crit", "b64", "enc", "zip", "cty"} {
		if _, ok := header[name]; ok {
			return fmt.Errorf("its header has %s, which the gateway does not support", name)
		}
	}
	var kind string
	if err := errors.Join(member("alg", &e.alg), member("kid", &e.kid), member("typ", &kind)); err != nil {
		return err
	}
	switch strings.TrimPrefix(strings.ToLower(kind), "application/") {
	case "", "jwt", "at+jwt": // RFC 9068, section 4; other types of tokens are for other uses (RFC 8725, section 3.11)
		return nil
	}
	return errors.New("its header's typ is not that of a token for access: expected JWT or at+jwt")
}

// verify verifies a token that is not known yet.
func (v *Verifier) verify(ctx context.Context, token string, now time.Time) (*verified, error) {
	e, err := open(token)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrToken, err)
	}
	// The issuer that the token names says which keys and rules it is held against, and nothing more.
	named, _ := e.claims.Issuer()
	s := v.roster.Load().sources[named]
	if s == nil {
		return nil, fmt.Errorf("%w: it was issued by somebody whom the gateway does not know", ErrToken)
	}
	if !slices.Contains(s.issuer.Algorithms, e.alg) {
		return nil, fmt.Errorf("%w: its algorithm is none of those that its issuer may use", ErrToken)
	}
	if err := s.issuer.validate(e.claims, now); err != nil { // cheaper than a signature, and without a fetch
		return nil, fmt.Errorf("%w: %w", ErrToken, err)
	}
	k, err := e.signer(ctx, s, now)
	if err != nil {
		return nil, err
	}
	known := &verified{token: token, key: k, source: s}
	if known.proof, err = s.issuer.prove(e.claims); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrToken, err)
	}
	return known, nil
}

// signer finds the key that has signed. A token whose key is unknown waits for a fetch of the keys, if it is time for one.
func (e *envelope) signer(ctx context.Context, s *source, now time.Time) (*key, error) {
	ctx, cancel := context.WithTimeout(ctx, waitTimeout)
	defer cancel()
	if err := s.ready(ctx, now); err != nil {
		return nil, err
	}
	var tried *keySet
	for range maxRounds {
		set := s.set.Load()
		if set != tried {
			tried = set
			keys, known := set.find(e.kid, e.alg)
			for _, k := range keys {
				if jwsbb.Verify(k.public, e.alg, e.signed, e.signature) == nil {
					return k, nil
				}
			}
			if known {
				return nil, fmt.Errorf("%w: the key that it names has not signed it, or not with this algorithm", ErrToken)
			}
		}
		if !s.renew(ctx, e.kid) {
			break
		}
	}
	if s.closed(now) { // since the fetch that has just been made
		return nil, s.unusable()
	}
	return nil, fmt.Errorf("%w: none of its issuer's keys that it may mean has signed it", ErrToken)
}

// validate checks for whom and when a token is good.
func (i *Issuer) validate(t jwt.Token, now time.Time) error {
	audience, _ := t.Audience()
	if !slices.ContainsFunc(audience, func(a string) bool { return slices.Contains(i.Audiences, a) }) {
		return errors.New("it was issued for somebody else")
	}
	// Times are compared to the nanosecond: jwt.Validate cuts seconds off, which would add to the skew.
	end, ok := t.Expiration()
	if !ok {
		return errors.New("it does not say when it expires")
	}
	if !now.Before(end.Add(i.Skew)) {
		return errors.New("it has expired")
	}
	latest := now.Add(i.Skew)
	if at, ok := t.NotBefore(); ok && at.After(latest) {
		return errors.New("it is not valid yet")
	}
	if at, ok := t.IssuedAt(); ok && at.After(latest) {
		return errors.New("it is not valid yet")
	}
	return nil
}

// prove reads the identity from a token that has been verified.
func (i *Issuer) prove(t jwt.Token) (Proof, error) {
	claims, err := claimsOf(t)
	if err != nil {
		return Proof{}, err
	}
	p := Proof{Identity: &spec.Identity{Claims: claims}, Issuer: i.Issuer}
	if err := i.tenantOf(t, &p); err != nil {
		return Proof{}, err
	}
	p.Subject, _ = t.Subject()
	end, _ := t.Expiration()
	p.Until = end.Add(i.Skew)
	return p, nil
}
