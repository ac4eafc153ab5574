package auth_test

import (
	"context"
	"crypto/ed25519"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/lestrrat-go/jwx/v3/jwa"
	"github.com/lestrrat-go/jwx/v3/jwt"

	"github.com/stella-ops/router/gateway/auth"
)

// FuzzVerify holds the verifier to its word: whatever it is given, it does not panic, and takes nothing that its key has not
// signed.
func FuzzVerify(f *testing.F) {
	seed := make([]byte, ed25519.SeedSize)
	key := ed25519.NewKeyFromSeed(seed)
	public, _ := key.Public().(ed25519.PublicKey)
	for _, text := range []string{
		"", "..", "a.b.c", "a.b.c.d.e", "eyJhbGciOiJub25lIn0.e30.", "eyJhbGciOiJFZERTQSJ9.eyJpc3MiOiJpc3N1ZXIifQ.AAAA",
		"eyJhbGciOiJFZERTQSIsImNyaXQiOlsieCJdfQ.eyJpc3MiOiJpc3N1ZXIifQ." + strings.Repeat("A", 86),
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, token string) {
		v := auth.NewVerifier(issuerAt("/does/not/exist")).Trust(public, "issuer", "audience")
		id, err := v.Verify(context.Background(), token, now)
		if err == nil || id != nil {
			t.Fatalf("taken: %+v", id)
		}
		if !errors.Is(err, auth.ErrToken) && !errors.Is(err, auth.ErrKeys) {
			t.Fatalf("%v", err)
		}
	})
}

func issuerAt(jwks string) auth.Issuer {
	return auth.Issuer{Issuer: "https://issuer.example", Audiences: []string{"api"}, Algorithms: []string{"ES256"}, JWKS: jwks}
}

// BenchmarkVerify measures a token that was verified before.
func BenchmarkVerify(b *testing.B) {
	_, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		b.Fatal(err)
	}
	public, _ := key.Public().(ed25519.PublicKey)
	v := auth.NewVerifier().Trust(public, "issuer", "audience")
	token := benchToken(b, key)
	ctx := context.Background()
	if _, err := v.Verify(ctx, token, now); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	b.RunParallel(func(p *testing.PB) {
		for p.Next() {
			if _, err := v.Verify(ctx, token, now); err != nil {
				b.Error(err)
			}
		}
	})
}

func benchToken(b *testing.B, key ed25519.PrivateKey) string {
	b.Helper()
	t, err := jwt.NewBuilder().Issuer("issuer").Audience([]string{"audience"}).Subject("me").Expiration(now.Add(time.Hour)).Claim("scope", "a b").Build()
	if err != nil {
		b.Fatal(err)
	}
	s, err := jwt.Sign(t, jwt.WithKey(jwa.EdDSA(), key))
	if err != nil {
		b.Fatal(err)
	}
	return string(s)
}
