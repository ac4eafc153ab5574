package auth_test

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"testing"
	"time"

	"github.com/stella-ops/router/gateway/auth"
	"github.com/stella-ops/router/spec"
)

// verifierOf is a verifier of one key from a file, which needs no Run.
func verifierOf(tb testing.TB, keys ...signer) *auth.Verifier {
	tb.Helper()
	list := make([]map[string]any, len(keys))
	for i, k := range keys {
		list[i] = k.jwk()
	}
	return must(auth.NewVerifier(auth.Config{Issuers: []auth.Issuer{issuer(keyFile(tb, keySet(list...)))}, Logger: quiet}))
}

// BenchmarkVerifyKnown is what a request with a token costs that was seen before: it allocates nothing.
func BenchmarkVerifyKnown(b *testing.B) {
	for _, tokens := range []int{1, 1000} {
		b.Run(fmt.Sprintf("tokens=%d", tokens), func(b *testing.B) {
			k, at := newEd("a"), time.Now()
			v := verifierOf(b, k)
			list := make([]string, tokens)
			for i := range list {
				list[i] = k.token(claimsAt(at, map[string]any{"jti": strconv.Itoa(i), "scope": "orders:read billing:write", "team": "x"}))
			}
			ctx := context.Background()
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				for i := 0; pb.Next(); i++ {
					if _, err := v.Verify(ctx, list[i%tokens], at); err != nil {
						b.Error(err)
						return
					}
				}
			})
		})
	}
}

// BenchmarkVerifyNew is the first request with a token.
func BenchmarkVerifyNew(b *testing.B) {
	for _, k := range []signer{newEd("a"), {"a", "ES256", p256()}, {"a", "RS256", rsaKeys()[0]}} {
		b.Run(k.alg, func(b *testing.B) {
			at := time.Now()
			key := must(auth.NewVerifier(auth.Config{
				Issuers: []auth.Issuer{issuer(keyFile(b, keySet(k.jwk())))}, Logger: quiet, Remember: 4,
			}))
			list := make([]string, 1000)
			for i := range list {
				list[i] = k.token(claimsAt(at, map[string]any{"jti": strconv.Itoa(i), "scope": "orders:read billing:write"}))
			}
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				if _, err := key.Verify(context.Background(), list[i%len(list)], at); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

var (
	benchHeld = []spec.Claim{
		{Type: "aud", Value: "billing"}, {Type: "iss", Value: name}, {Type: "scope", Value: "billing:read"}, {Type: "scope", Value: "orders:*"},
		{Type: "sub", Value: "alice"}, {Type: "team", Value: "x"},
	}
	benchRequired = []spec.ClaimRequirement{{Type: "scope", Value: "orders:read"}, {Type: "team"}}
)

// BenchmarkMissing is the check of an endpoint's claims: it allocates nothing.
func BenchmarkMissing(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if _, missing := auth.Missing(benchRequired, benchHeld); missing {
			b.Fatal("a claim is missing")
		}
	}
}

// TestNothingIsAllocated holds what the benchmarks say.
func TestNothingIsAllocated(t *testing.T) {
	k, at := newEd("a"), time.Now()
	v := verifierOf(t, k)
	token := k.token(claimsAt(at))
	ctx := context.Background()
	if _, err := v.Verify(ctx, token, at); err != nil {
		t.Fatal(err)
	}
	n := testing.AllocsPerRun(1000, func() {
		_, err := v.Verify(ctx, token, at)
		_, missing := auth.Missing(benchRequired, benchHeld)
		if err != nil || missing {
			t.Fatal(err, missing)
		}
	})
	if n != 0 {
		t.Fatalf("%v allocations for a token that is known, expected none", n)
	}
}

// FuzzVerify: whatever comes is refused as a token, unless the one key has signed it.
func FuzzVerify(f *testing.F) {
	k := newEd("a")
	v := verifierOf(f, k)
	at := time.Now()
	good := k.token(claimsAt(at))
	f.Add(good)
	f.Add("..")
	f.Add(b64([]byte(`{"alg":"none"}`)) + "." + b64([]byte(`{"iss":"`+name+`"}`)) + ".")
	f.Add(b64([]byte(`{"alg":"EdDSA","kid":"../../etc/passwd","crit":["x"]}`)) + "." + b64([]byte(`{}`)) + ".AAAA")
	f.Fuzz(func(t *testing.T, token string) {
		_, err := v.Verify(context.Background(), token, at)
		if (err == nil) != (token == good) || err != nil && !errors.Is(err, auth.ErrToken) {
			t.Fatalf("%q: %v", token, err)
		}
	})
}

// FuzzSigned: of what an issuer signs, too, nothing ends the gateway, and nothing passes that is not for it and in time.
func FuzzSigned(f *testing.F) {
	k := newEd("a")
	v := verifierOf(f, k)
	at := time.Now()
	header, soon := `{"alg":"EdDSA","kid":"a"}`, strconv.FormatInt(at.Unix(), 10)
	f.Add([]byte(header), must(jsonOf(claimsAt(at))))
	for _, claims := range []string{
		`{"exp":1e400}`, `{"exp":-1,"nbf":99999999999999999999}`, `{"exp":"1800000001","aud":null}`, `{"aud":[null],"iss":{}}`, `null`, `{"scope":null}`,
		`{"iss":"` + name + `","aud":"billing","exp":9223372036854775807}`, `{"iss":"` + name + `","aud":["billing"],"exp":` + soon + `.5,"tenants":[[]]}`,
	} {
		f.Add([]byte(header), []byte(claims))
	}
	f.Fuzz(func(t *testing.T, header, claims []byte) {
		p, err := v.Verify(context.Background(), k.sign(header, claims), at)
		switch {
		case err != nil && !errors.Is(err, auth.ErrToken):
			t.Fatalf("%q %q: %v", header, claims, err)
		case err == nil && (p.Issuer != name || !at.Before(p.Until) || len(p.Claims) > spec.MaxFields):
			t.Fatalf("%q %q: %+v", header, claims, p)
		}
	})
}

// FuzzKeySet: a key set is read or refused, and never holds more keys than its limit.
func FuzzKeySet(f *testing.F) {
	f.Add(keySet(newEd("a").jwk(), signer{"e", "ES256", p256()}.jwk(), signer{"r", "RS256", rsaKeys()[0]}.jwk()))
	f.Add([]byte(`{"keys":[{"kty":"RSA","n":"AA","e":"AA"},{"kty":"EC","crv":"P-256","x":"AA","y":"AA"},{"kty":"OKP","crv":"X25519","x":"AA"}]}`))
	f.Add([]byte(`{"a":[1,{}],"keys":[],"keys":[]}`))
	f.Add([]byte(`{"keys":[null]} x`))
	f.Fuzz(func(t *testing.T, text []byte) {
		v, err := auth.NewVerifier(auth.Config{Issuers: []auth.Issuer{issuer(keyFile(t, text))}, Logger: quiet, Remember: 4})
		if err != nil {
			return
		}
		if n := len(v.Status()[0].Keys); n == 0 || n > 100 {
			t.Fatalf("%d keys", n)
		}
		_, err = v.Verify(context.Background(), newEd("a").token(claimsAt(time.Now())), time.Now())
		if !errors.Is(err, auth.ErrToken) {
			t.Fatalf("a stranger's token: %v", err)
		}
	})
}
