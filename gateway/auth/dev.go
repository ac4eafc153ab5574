package auth

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/lestrrat-go/jwx/v3/jwa"
	"github.com/lestrrat-go/jwx/v3/jwt"

	"github.com/stella-ops/router/spec"
)

// What tokens for development say of themselves, so that a key which serves elsewhere makes none that count here.
const (
	devIssuer   = "stella-gateway-dev"
	devAudience = "stella"
	devSubject  = "developer"
	// anyValue stands for the value of a claim of which only the presence is asked for.
	anyValue = "dev"
	keyBlock = "PRIVATE KEY"
)

// DevKey signs tokens for development. It is a file of PKCS #8 in PEM, as openssl genpkey -algorithm ed25519 makes.
type DevKey struct{ key ed25519.PrivateKey }

// LoadDevKey reads the key at path.
func LoadDevKey(path string) (*DevKey, error) {
	text, err := os.ReadFile(path) //nolint:gosec // the operator names the file
	if err != nil {
		return nil, fmt.Errorf("auth: development key: %w", err)
	}
	block, rest := pem.Decode(text)
	if block == nil || block.Type != keyBlock || len(strings.TrimSpace(string(rest))) > 0 {
		return nil, fmt.Errorf("auth: development key %s: expected one PEM block %q", path, keyBlock)
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("auth: development key %s: %w", path, err)
	}
	key, ok := parsed.(ed25519.PrivateKey)
	if !ok {
		return nil, fmt.Errorf("auth: development key %s: it is a %T, expected Ed25519", path, parsed)
	}
	return &DevKey{key}, nil
}

// EnsureDevKey reads the key at path, and makes one (mode 0600) where there is none.
func EnsureDevKey(path string) (*DevKey, error) {
	k, err := LoadDevKey(path)
	if !errors.Is(err, fs.ErrNotExist) {
		return k, err
	}
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("auth: development key: %w", err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("auth: development key: %w", err)
	}
	if err := WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: keyBlock, Bytes: der})); err != nil {
		return nil, err
	}
	return &DevKey{key}, nil
}

// Verifier verifies the tokens that the key signs, and no others. It needs no Run.
func (k *DevKey) Verifier() *Verifier {
	v := &Verifier{cfg: Config{Dev: k, Logger: slog.Default()}, known: newMemory(0)}
	r := new(roster)
	r.add(k.source())
	v.roster.Store(r)
	return v
}

// source makes the key an issuer like others, whose keys never change.
func (k *DevKey) source() *source {
	public, _ := k.key.Public().(ed25519.PublicKey) // what Public is documented to return
	issuer := Issuer{Issuer: devIssuer, Audiences: []string{devAudience}, Algorithms: []string{edDSA}, anyTenant: true}
	return builtIn(issuer, &key{alg: edDSA, kind: "Ed25519", public: public})
}

// Token makes a token that holds claims from now on for ttl.
func (k *DevKey) Token(claims []spec.Claim, now time.Time, ttl time.Duration) (string, error) {
	grouped := map[string][]string{}
	for _, c := range claims {
		if !slices.Contains(grouped[c.Type], c.Value) {
			grouped[c.Type] = append(grouped[c.Type], c.Value)
		}
	}
	b := jwt.NewBuilder().Issuer(devIssuer).Audience([]string{devAudience}).Subject(devSubject).
		IssuedAt(now).NotBefore(now).Expiration(now.Add(ttl))
	for kind, list := range grouped {
		switch kind {
		case jwt.IssuerKey, jwt.AudienceKey, jwt.IssuedAtKey, jwt.NotBeforeKey, jwt.ExpirationKey, jwt.JwtIDKey:
			return "", fmt.Errorf("auth: claim %q is the token's own and cannot be chosen", kind)
		case scopeClaim:
			b = b.Claim(kind, strings.Join(list, " "))
		default:
			if len(list) == 1 {
				b = b.Claim(kind, list[0])
			} else {
				b = b.Claim(kind, list)
			}
		}
	}
	t, err := b.Build()
	if err != nil {
		return "", fmt.Errorf("auth: development token: %w", err)
	}
	signed, err := jwt.Sign(t, jwt.WithKey(jwa.EdDSA(), k.key))
	if err != nil {
		return "", fmt.Errorf("auth: development token: %w", err)
	}
	return string(signed), nil
}

// Satisfying returns claims that satisfy requirements: what a development token has to hold. Requirements about the
// token itself, such as its issuer, cannot be satisfied and are left out.
func Satisfying(requirements []spec.ClaimRequirement) []spec.Claim {
	var claims []spec.Claim
	for _, r := range requirements {
		switch r.Type {
		case jwt.IssuerKey, jwt.AudienceKey, jwt.IssuedAtKey, jwt.NotBeforeKey, jwt.ExpirationKey, jwt.JwtIDKey:
			continue
		}
		c := spec.Claim(r)
		if c.Value == "" {
			if slices.ContainsFunc(requirements, func(o spec.ClaimRequirement) bool { return o.Type == r.Type && o.Value != "" }) {
				continue // the claim with a value is present, too
			}
			c.Value = anyValue
		}
		claims = append(claims, c)
	}
	return claims
}

// WriteFile writes a secret, mode 0600, so that readers see the old file or the new one and never a part.
func WriteFile(path string, content []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*") // mode 0600
	if err != nil {
		return fmt.Errorf("auth: write %s: %w", path, err)
	}
	_, err = f.Write(content)
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return fmt.Errorf("auth: write %s: %w", path, errors.Join(err, os.Remove(f.Name())))
	}
	return nil
}
