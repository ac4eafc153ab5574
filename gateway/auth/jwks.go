package auth

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"

	"github.com/lestrrat-go/jwx/v3/jwk"
)

const (
	maxKeySet = 1 << 20  // bytes
	maxKeys   = 100      // in a set
	maxKey    = 32 << 10 // bytes of one, with its certificates
	maxKeyID  = 512      // bytes
	minRSA    = 2048     // bits
	maxRSA    = 8192     // bits; larger ones take milliseconds a token
)

// key is one public key of an issuer.
type key struct {
	id     string // opaque: it is compared, and nothing else
	alg    string // that the set binds it to; empty: any that fits its kind
	kind   string // for people: RSA-2048, P-256, Ed25519
	public any    // *rsa.PublicKey, *ecdsa.PublicKey or ed25519.PublicKey
	print  string // all that makes it this key
	gone   atomic.Bool
}

// keySet is what an issuer publishes, as far as it is of use. It is not changed.
type keySet struct {
	keys    []*key
	ignored []string // why keys of the set are not used, for people
}

// find returns the keys that a token with this kid and algorithm may be signed with, maxTries at most, and whether the
// kid is known at all. A token without kid may mean every key that fits, and names none.
func (s *keySet) find(kid, alg string) (keys []*key, known bool) {
	for _, k := range s.keys {
		if kid != "" && k.id != kid {
			continue
		}
		known = known || kid != ""
		if len(keys) < maxTries && k.fits(alg) {
			keys = append(keys, k)
		}
	}
	return keys, known
}

// fits reports whether the key may verify what alg has signed.
func (k *key) fits(alg string) bool {
	if k.alg != "" && k.alg != alg {
		return false
	}
	switch public := k.public.(type) {
	case *rsa.PublicKey:
		return strings.HasPrefix(alg, "RS") || strings.HasPrefix(alg, "PS")
	case *ecdsa.PublicKey: // RFC 7518, section 3.4: the algorithm names the curve
		return alg == curveAlgorithms[public.Curve.Params().Name]
	case ed25519.PublicKey:
		return alg == edDSA
	}
	return false
}

const edDSA = "EdDSA"

var curveAlgorithms = map[string]string{"P-256": "ES256", "P-384": "ES384", "P-521": "ES512"}

// errNoKeys is what [parseKeySet] wraps: this is a key set, and nothing can be verified with it.
var errNoKeys = errors.New("no keys to verify with")

// parseKeySet reads a JSON Web Key Set (RFC 7517). Keys that are of no use to verify with any of algorithms are left
// out, as the RFC has it; a set without a single one of use is an error, errNoKeys. old lends its keys: one that is still there
// stays the same key.
func parseKeySet(text []byte, algorithms []string, old *keySet) (*keySet, error) {
	if len(text) > maxKeySet {
		return nil, fmt.Errorf("it has over %d bytes", maxKeySet)
	}
	raw, err := splitKeySet(text)
	if err != nil {
		return nil, err
	}
	set := &keySet{}
	for i, text := range raw {
		k, err := parseKey(text)
		if err == nil && !slices.ContainsFunc(algorithms, k.fits) {
			err = fmt.Errorf("kid %q: a key of kind %s and alg %q is for none of the issuer's algorithms", k.id, k.kind, k.alg)
		}
		if err == nil && slices.ContainsFunc(set.keys, func(o *key) bool { return o.print == k.print }) {
			err = fmt.Errorf("kid %q: the same key is there twice", k.id)
		}
		if err != nil {
			set.ignored = append(set.ignored, "/keys/"+strconv.Itoa(i)+": "+err.Error())
			continue
		}
		if old != nil {
			if at := slices.IndexFunc(old.keys, func(o *key) bool { return o.print == k.print }); at >= 0 {
				k = old.keys[at]
			}
		}
		set.keys = append(set.keys, k)
	}
	if len(set.keys) == 0 {
		if len(set.ignored) > 0 {
			return nil, fmt.Errorf("%w: none of its %d keys is of use: %s", errNoKeys, len(raw), set.ignored[0])
		}
		return nil, fmt.Errorf("%w: it holds no keys", errNoKeys)
	}
	return set, nil
}

// splitKeySet finds the members of keys, and stops at one too many.
func splitKeySet(text []byte) ([]json.RawMessage, error) {
	notSet := errors.New(`it is not a JSON object with a list "keys"`)
	d := json.NewDecoder(bytes.NewReader(text))
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return nil, notSet
	}
	var list []json.RawMessage
	found := false
	for d.More() {
		name, err := d.Token()
		if err != nil {
			return nil, notSet
		}
		if name != "keys" {
			var skipped json.RawMessage
			if d.Decode(&skipped) != nil {
				return nil, notSet
			}
			continue
		}
		if t, err := d.Token(); found || err != nil || t != json.Delim('[') {
			return nil, notSet
		}
		found = true
		for d.More() {
			var raw json.RawMessage
			if d.Decode(&raw) != nil {
				return nil, notSet
			}
			if len(list) == maxKeys {
				return nil, fmt.Errorf("it holds more than %d keys", maxKeys)
			}
			list = append(list, raw)
		}
		if _, err := d.Token(); err != nil {
			return nil, notSet
		}
	}
	if _, err := d.Token(); err != nil || !found || len(bytes.TrimSpace(text[d.InputOffset():])) > 0 {
		return nil, notSet
	}
	return list, nil
}

func parseKey(text []byte) (*key, error) {
	if len(text) > maxKey {
		return nil, fmt.Errorf("it has over %d bytes", maxKey)
	}
	// Looked for before anything is made of them: a private RSA key is checked for primes, which can take minutes.
	var members map[string]json.RawMessage
	if err := json.Unmarshal(text, &members); err != nil {
		return nil, errors.New("it is not a JSON object")
	}
	for _, secret := range []string{"d", "p", "q", "dp", "dq", "qi", "oth", "k"} {
		if _, ok := members[secret]; ok {
			return nil, fmt.Errorf("kid %.64s: it is secret, or half of it is (%s): expected public keys only", members["kid"], secret)
		}
	}
	parsed, err := jwk.ParseKey(text)
	if err != nil {
		return nil, fmt.Errorf("it is not a key, or of a kind that the gateway does not know: %w", err)
	}
	k := &key{}
	k.id, _ = parsed.KeyID()
	if len(k.id) > maxKeyID {
		return nil, fmt.Errorf("its kid has over %d bytes", maxKeyID)
	}
	if private, err := jwk.IsPrivateKey(parsed); err != nil || private {
		return nil, fmt.Errorf("kid %q: it is secret, or half of it is: expected public keys only", k.id)
	}
	if use, ok := parsed.KeyUsage(); ok && use != "sig" {
		return nil, fmt.Errorf("kid %q: its use is %q, not sig", k.id, use)
	}
	if ops, ok := parsed.KeyOps(); ok && !slices.Contains(ops, jwk.KeyOpVerify) {
		return nil, fmt.Errorf("kid %q: its key_ops are without verify", k.id)
	}
	if alg, ok := parsed.Algorithm(); ok {
		k.alg = alg.String()
	}
	var raw any
	if err := jwk.Export(parsed, &raw); err != nil {
		return nil, fmt.Errorf("kid %q: it is not a whole key", k.id)
	}
	return k.of(raw)
}

// of completes the key with its public part.
func (k *key) of(raw any) (*key, error) {
	switch public := raw.(type) {
	case *rsa.PublicKey:
		if n := public.N.BitLen(); n < minRSA || n > maxRSA {
			return nil, fmt.Errorf("kid %q: it is RSA of %d bits: expected %d to %d", k.id, n, minRSA, maxRSA)
		}
		if public.E < 3 || public.E&1 == 0 {
			return nil, fmt.Errorf("kid %q: its RSA exponent is %d: expected an odd one from 3 on", k.id, public.E)
		}
		k.kind = "RSA-" + strconv.Itoa(public.N.BitLen())
	case *ecdsa.PublicKey:
		k.kind = public.Curve.Params().Name
	case ed25519.PublicKey:
		if len(public) != ed25519.PublicKeySize {
			return nil, fmt.Errorf("kid %q: it is Ed25519 of %d bytes: expected %d", k.id, len(public), ed25519.PublicKeySize)
		}
		k.kind = "Ed25519"
	default:
		return nil, fmt.Errorf("kid %q: a %T verifies no signatures of tokens", k.id, raw)
	}
	der, err := x509.MarshalPKIXPublicKey(raw)
	if err != nil {
		return nil, fmt.Errorf("kid %q: it is not a point on its curve, or not a whole key", k.id)
	}
	k.public, k.print = raw, k.id+"\x00"+k.alg+"\x00"+string(der)
	return k, nil
}
