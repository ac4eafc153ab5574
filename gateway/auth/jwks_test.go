package auth_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/lestrrat-go/jwx/v3/jwa"
	"github.com/lestrrat-go/jwx/v3/jwk"
	"github.com/lestrrat-go/jwx/v3/jws"
	"github.com/lestrrat-go/jwx/v3/jwt"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/stella-ops/router/gateway/auth"
	"github.com/stella-ops/router/spec"
)

// authority is an issuer with a real server for its keys.
type authority struct {
	*httptest.Server

	mu      sync.Mutex
	keys    []map[string]any
	down    bool
	cache   string
	fetches atomic.Int64
}

func newAuthority() *authority {
	a := &authority{}
	a.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		a.fetches.Add(1)
		a.mu.Lock()
		defer a.mu.Unlock()
		if a.down {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		if a.cache != "" {
			w.Header().Set("Cache-Control", a.cache)
		}
		_ = json.NewEncoder(w).Encode(map[string]any{"keys": a.keys})
	}))
	DeferCleanup(a.Close)
	return a
}

func (a *authority) set(do func()) {
	a.mu.Lock()
	defer a.mu.Unlock()
	do()
}

// public is a public key as a JWK.
func public(kid string, key crypto.PublicKey, more ...string) map[string]any {
	GinkgoHelper()
	k, err := jwk.Import(key)
	Expect(err).NotTo(HaveOccurred())
	text, err := json.Marshal(k)
	Expect(err).NotTo(HaveOccurred())
	m := map[string]any{}
	Expect(json.Unmarshal(text, &m)).To(Succeed())
	if kid != "" {
		m["kid"] = kid
	}
	for i := 0; i < len(more); i += 2 {
		m[more[i]] = more[i+1]
	}
	return m
}

var (
	firstKey  = must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	secondKey = must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	rsaKey    = must(rsa.GenerateKey(rand.Reader, 2048))
	shortKey  = must(rsa.GenerateKey(rand.Reader, 1024))
)

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// sign makes a token; change may change what it says, and header its protected header.
func sign(alg jwa.SignatureAlgorithm, key any, kid string, change func(*jwt.Builder), header ...any) string {
	GinkgoHelper()
	b := jwt.NewBuilder().Issuer("https://issuer.example").Audience([]string{"api"}).Subject("me").Expiration(now.Add(time.Minute)).Claim("scope", "a b")
	if change != nil {
		change(b)
	}
	t, err := b.Build()
	Expect(err).NotTo(HaveOccurred())
	h := jws.NewHeaders()
	if kid != "" {
		Expect(h.Set("kid", kid)).To(Succeed())
	}
	for i := 0; i < len(header); i += 2 {
		Expect(h.Set(fmt.Sprint(header[i]), header[i+1])).To(Succeed())
	}
	s, err := jwt.Sign(t, jwt.WithKey(alg, key, jws.WithProtectedHeaders(h)))
	Expect(err).NotTo(HaveOccurred())
	return string(s)
}

func issuer(jwks string) auth.Issuer {
	return auth.Issuer{Issuer: "https://issuer.example", Audiences: []string{"api", "other"}, Algorithms: []string{"ES256", "RS256"}, JWKS: jwks}
}

var _ = Describe("an issuer with a set of keys", func() {
	var (
		a   *authority
		v   *auth.Verifier
		ctx = context.Background()
	)
	BeforeEach(func() {
		a = newAuthority()
		a.keys = []map[string]any{public("one", &firstKey.PublicKey)}
		v = auth.NewVerifier(issuer(a.URL))
	})

	It("has its tokens taken, with the keys fetched once", func() {
		for range 100 {
			id, err := v.Verify(ctx, sign(jwa.ES256(), firstKey, "one", func(b *jwt.Builder) { b.Claim("tenant", "acme").Claim("scp", []string{"c"}) }), now)
			Expect(err).NotTo(HaveOccurred())
			Expect(id.Subject).To(Equal("me"))
			Expect(id.Tenant).To(Equal("acme"))
			Expect(id.Claims).To(ContainElements(spec.Claim{Type: "scope", Value: "a"}, spec.Claim{Type: "scope", Value: "c"}))
		}
		Expect(a.fetches.Load()).To(BeEquivalentTo(1))
		Expect(v.Status()).To(ConsistOf(And(HaveField("Keys", []string{"one"}), HaveField("Failure", ""))))
	})

	It("has its keys fetched once, however many ask at the same time", func() {
		var wg sync.WaitGroup
		for range 50 {
			wg.Go(func() {
				defer GinkgoRecover()
				_, err := v.Verify(ctx, sign(jwa.ES256(), firstKey, "one", nil), now)
				Expect(err).NotTo(HaveOccurred())
			})
		}
		wg.Wait()
		Expect(a.fetches.Load()).To(BeEquivalentTo(1))
	})

	DescribeTable("has no other token taken",
		func(token func() string) {
			a.set(func() {
				a.keys = []map[string]any{
					{"kty": "RSA", "kid": "short", "n": base64.RawURLEncoding.EncodeToString(shortKey.N.Bytes()), "e": "AQAB"}, // which the library makes none of
					public("one", &firstKey.PublicKey), public("rsa", &rsaKey.PublicKey),
					public("ps", &rsaKey.PublicKey, "alg", "PS256"), public("enc", &firstKey.PublicKey, "use", "enc"),
				}
			})
			_, err := v.Verify(ctx, token(), now)
			Expect(err).To(MatchError(auth.ErrToken))
			Expect(err).NotTo(MatchError(auth.ErrKeys))
		},
		Entry("without a signature", func() string {
			parts := strings.Split(sign(jwa.ES256(), firstKey, "one", nil), ".")
			return base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none","kid":"one"}`)) + "." + parts[1] + "."
		}),
		Entry("without a signature, in other letters", func() string {
			parts := strings.Split(sign(jwa.ES256(), firstKey, "one", nil), ".")
			return base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"nOnE","kid":"one"}`)) + "." + parts[1] + "."
		}),
		Entry("signed by HMAC with the public key", func() string {
			return sign(jwa.HS256(), must(x509.MarshalPKIXPublicKey(&rsaKey.PublicKey)), "rsa", nil)
		}),
		Entry("by an algorithm that is not listed", func() string { return sign(jwa.PS256(), rsaKey, "ps", nil) }),
		Entry("by an algorithm that is not the key's", func() string { return sign(jwa.RS256(), rsaKey, "ps", nil) }),
		Entry("by a key that is too short", func() string {
			parts := strings.Split(sign(jwa.RS256(), rsaKey, "short", nil), ".")
			sum := sha256.Sum256([]byte(parts[0] + "." + parts[1]))
			return parts[0] + "." + parts[1] + "." + base64.RawURLEncoding.EncodeToString(must(rsa.SignPKCS1v15(rand.Reader, shortKey, crypto.SHA256, sum[:])))
		}),
		Entry("by a key that is for encryption", func() string { return sign(jwa.ES256(), firstKey, "enc", nil) }),
		Entry("by somebody else's key under a known name", func() string { return sign(jwa.ES256(), secondKey, "one", nil) }),
		Entry("that brings its own key", func() string {
			return sign(jwa.ES256(), secondKey, "one", nil, "jwk", must(jwk.Import(&secondKey.PublicKey)))
		}),
		Entry("that says where its key is", func() string { return sign(jwa.ES256(), secondKey, "one", nil, "jku", a.URL) }),
		Entry("that demands an extension", func() string {
			return sign(jwa.ES256(), firstKey, "one", nil, "crit", []string{"x"}, "x", 1)
		}),
		Entry("with a path as the key's name", func() string { return sign(jwa.ES256(), firstKey, "../../../etc/passwd", nil) }),
		Entry("with a URL as the key's name", func() string { return sign(jwa.ES256(), firstKey, a.URL+"/?x=", nil) }),
		Entry("for another audience", func() string {
			return sign(jwa.ES256(), firstKey, "one", func(b *jwt.Builder) { b.Audience([]string{"else"}) })
		}),
		Entry("without an audience", func() string {
			return sign(jwa.ES256(), firstKey, "one", func(b *jwt.Builder) { b.Audience(nil) })
		}),
		Entry("of another issuer", func() string {
			return sign(jwa.ES256(), firstKey, "one", func(b *jwt.Builder) { b.Issuer("https://other.example") })
		}),
		Entry("expired beyond the skew", func() string {
			return sign(jwa.ES256(), firstKey, "one", func(b *jwt.Builder) { b.Expiration(now.Add(-time.Minute)) })
		}),
		Entry("not valid yet beyond the skew", func() string {
			return sign(jwa.ES256(), firstKey, "one", func(b *jwt.Builder) { b.NotBefore(now.Add(time.Minute)) })
		}),
		Entry("without an end", func() string {
			return sign(jwa.ES256(), firstKey, "one", func(b *jwt.Builder) { b.Expiration(time.Time{}) })
		}),
		Entry("that is huge", func() string {
			return sign(jwa.ES256(), firstKey, "one", func(b *jwt.Builder) { b.Claim("x", strings.Repeat("x", 100_000)) })
		}),
		Entry("of five parts", func() string { return "a.b.c.d.e" }),
		Entry("of nothing", func() string { return ".." }),
	)

	It("has tokens taken within the skew, and refused as they end, remembered or not", func() {
		token := sign(jwa.ES256(), firstKey, "one", nil)
		_, err := v.Verify(ctx, token, now)
		Expect(err).NotTo(HaveOccurred())
		_, err = v.Verify(ctx, token, now.Add(time.Minute+29*time.Second))
		Expect(err).NotTo(HaveOccurred())
		_, err = v.Verify(ctx, token, now.Add(time.Minute+31*time.Second))
		Expect(err).To(MatchError(auth.ErrToken))
	})

	It("is asked once in a cool-down for keys that it does not have, by however many made-up names", func() {
		_, err := v.Verify(ctx, sign(jwa.ES256(), firstKey, "one", nil), now)
		Expect(err).NotTo(HaveOccurred())
		parts := strings.Split(sign(jwa.ES256(), secondKey, "x", nil), ".")
		for i := range 10_000 {
			head := base64.RawURLEncoding.EncodeToString(fmt.Appendf(nil, `{"alg":"ES256","kid":"made-up-%d"}`, i))
			_, err := v.Verify(ctx, head+"."+parts[1]+"."+parts[2], now.Add(time.Duration(i)*time.Millisecond)) // over 10 s
			Expect(err).To(MatchError(auth.ErrToken))
		}
		Expect(a.fetches.Load()).To(BeEquivalentTo(2))
		_, _ = v.Verify(ctx, sign(jwa.ES256(), secondKey, "another", nil), now.Add(31*time.Second))
		Expect(a.fetches.Load()).To(BeEquivalentTo(3))
	})

	It("replaces its keys with both there for a while", func() {
		_, err := v.Verify(ctx, sign(jwa.ES256(), firstKey, "one", nil), now)
		Expect(err).NotTo(HaveOccurred())
		a.set(func() { a.keys = append(a.keys, public("two", &secondKey.PublicKey)) })
		for kid, key := range map[string]*ecdsa.PrivateKey{"two": secondKey, "one": firstKey} {
			_, err := v.Verify(ctx, sign(jwa.ES256(), key, kid, nil), now.Add(time.Second))
			Expect(err).NotTo(HaveOccurred())
		}
	})

	It("replaces its keys at once: what the old one has signed is refused, though it was remembered", func() {
		old := sign(jwa.ES256(), firstKey, "one", nil)
		_, err := v.Verify(ctx, old, now)
		Expect(err).NotTo(HaveOccurred())
		a.set(func() { a.keys = []map[string]any{public("two", &secondKey.PublicKey)} })
		_, err = v.Verify(ctx, sign(jwa.ES256(), secondKey, "two", nil), now.Add(time.Second))
		Expect(err).NotTo(HaveOccurred())
		_, err = v.Verify(ctx, old, now.Add(2*time.Second))
		Expect(err).To(MatchError(auth.ErrToken))
	})

	It("may be gone for a while: its keys count until they are too old, and again when it is back", func() {
		a.set(func() { a.cache = "public, max-age=600" })
		long := func(b *jwt.Builder) { b.Expiration(now.Add(10 * time.Hour)) }
		token := sign(jwa.ES256(), firstKey, "one", long)
		_, err := v.Verify(ctx, token, now)
		Expect(err).NotTo(HaveOccurred())
		a.set(func() { a.down = true })
		_, err = v.Verify(ctx, sign(jwa.ES256(), firstKey, "one", func(b *jwt.Builder) { long(b); b.Subject("you") }), now.Add(69*time.Minute))
		Expect(err).NotTo(HaveOccurred(), "10 minutes fresh, and an hour more")
		_, err = v.Verify(ctx, token, now.Add(71*time.Minute))
		Expect(err).To(MatchError(auth.ErrKeys))
		Expect(err).NotTo(MatchError(auth.ErrToken))
		tried := a.fetches.Load()
		for range 100 {
			_, err = v.Verify(ctx, token, now.Add(71*time.Minute+time.Millisecond))
			Expect(err).To(MatchError(auth.ErrKeys))
		}
		Expect(a.fetches.Load()).To(Equal(tried), "it is left alone for a second, and longer each time")
		a.set(func() { a.down = false })
		_, err = v.Verify(ctx, token, now.Add(72*time.Minute))
		Expect(err).NotTo(HaveOccurred())
	})

	It("is closed as long as its keys have never been had", func() {
		a.set(func() { a.down = true })
		_, err := v.Verify(ctx, sign(jwa.ES256(), firstKey, "one", nil), now)
		Expect(err).To(MatchError(auth.ErrKeys))
		Expect(v.Status()[0].Failure).To(ContainSubstring("503"))
	})

	DescribeTable("is closed where its answer is no set of keys that would do",
		func(serve http.HandlerFunc, want string) {
			server := httptest.NewServer(serve)
			DeferCleanup(server.Close)
			_, err := auth.NewVerifier(issuer(server.URL)).Verify(ctx, sign(jwa.ES256(), firstKey, "one", nil), now)
			Expect(err).To(MatchError(auth.ErrKeys))
			Expect(err).To(MatchError(ContainSubstring(want)))
		},
		Entry("elsewhere", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/elsewhere", http.StatusFound) }, "it redirects"),
		Entry("no JSON", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("<html>")) }, "not a set of keys"),
		Entry("no keys", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(`{"keys":[]}`)) }, "no key that may sign"),
		Entry("a secret", func(w http.ResponseWriter, _ *http.Request) {
			_, _ = w.Write([]byte(`{"keys":[{"kty":"oct","k":"c2VjcmV0c2VjcmV0c2VjcmV0"}]}`))
		}, "no key that may sign"),
		Entry("too much", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(make([]byte, 2<<20)) }, "over 1048576 bytes"),
	)

	It("may have its keys in a file, which is read again when it has changed", func() {
		file := filepath.Join(GinkgoT().TempDir(), "keys.json")
		write := func(kid string, key crypto.PublicKey) {
			GinkgoHelper()
			text, err := json.Marshal(map[string]any{"keys": []any{public(kid, key)}})
			Expect(err).NotTo(HaveOccurred())
			Expect(os.WriteFile(file, text, 0o600)).To(Succeed())
		}
		write("one", &firstKey.PublicKey)
		v := auth.NewVerifier(issuer(file))
		_, err := v.Verify(ctx, sign(jwa.ES256(), firstKey, "one", nil), now)
		Expect(err).NotTo(HaveOccurred())
		write("second", &secondKey.PublicKey)
		_, err = v.Verify(ctx, sign(jwa.ES256(), secondKey, "second", nil), now.Add(2*time.Second))
		Expect(err).NotTo(HaveOccurred())
		Expect(os.WriteFile(file, []byte("broken"), 0o600)).To(Succeed())
		_, err = v.Verify(ctx, sign(jwa.ES256(), secondKey, "second", nil), now.Add(4*time.Second))
		Expect(err).NotTo(HaveOccurred())
	})

	It("stands beside others, and a token is its issuer's alone", func() {
		b := newAuthority()
		b.keys = []map[string]any{public("one", &secondKey.PublicKey)}
		other := issuer(b.URL)
		other.Issuer = "https://other.example"
		v := auth.NewVerifier(issuer(a.URL), other)
		_, err := v.Verify(ctx, sign(jwa.ES256(), firstKey, "one", nil), now)
		Expect(err).NotTo(HaveOccurred())
		theirs := func(t *jwt.Builder) { t.Issuer("https://other.example") }
		_, err = v.Verify(ctx, sign(jwa.ES256(), secondKey, "one", theirs), now)
		Expect(err).NotTo(HaveOccurred())
		_, err = v.Verify(ctx, sign(jwa.ES256(), firstKey, "one", theirs), now)
		Expect(err).To(MatchError(auth.ErrToken))
	})

	DescribeTable("is refused as it is configured",
		func(change func(*auth.Issuer), want string) {
			i := issuer("https://issuer.example/keys")
			Expect(i.Check()).To(Succeed())
			change(&i)
			Expect(i.Check()).To(MatchError(ContainSubstring(want)))
		},
		Entry("without a name", func(i *auth.Issuer) { i.Issuer = "" }, "it has no name"),
		Entry("without audiences", func(i *auth.Issuer) { i.Audiences = nil }, "at least one audience"),
		Entry("without algorithms", func(i *auth.Issuer) { i.Algorithms = nil }, "at least one algorithm"),
		Entry("with HMAC", func(i *auth.Issuer) { i.Algorithms = []string{"HS256"} }, `algorithm "HS256"`),
		Entry("with none", func(i *auth.Issuer) { i.Algorithms = []string{"none"} }, `algorithm "none"`),
		Entry("with keys that anybody may change on their way", func(i *auth.Issuer) { i.JWKS = "http://issuer.example/keys" }, "http is for loopback alone"),
		Entry("with a login", func(i *auth.Issuer) { i.JWKS = "https://a:b@issuer.example/keys" }, "without a login"),
		Entry("with too much skew", func(i *auth.Issuer) { i.Skew = time.Hour }, "skew 1h0m0s"),
	)
})

var _ = DescribeTable("claims satisfy a requirement",
	func(held, wanted string, want bool) {
		Expect(auth.Holds([]spec.Claim{{Type: "other", Value: "x:*"}, {Type: "scope", Value: held}}, spec.ClaimRequirement{Type: "scope", Value: wanted})).To(Equal(want))
	},
	Entry(nil, "orders:read", "orders:read", true),
	Entry(nil, "orders:*", "orders:read", true),
	Entry(nil, "orders:*", "orders:items:read", true),
	Entry(nil, "orders:items:*", "orders:read", false),
	Entry(nil, "orders:*", "orders", false),
	Entry(nil, "orders:*", "orders:", false),
	Entry(nil, "ord*", "orders:read", false),
	Entry(nil, "*", "orders:read", false),
	Entry("of any value", "orders:read", "", true),
	Entry("of its type alone", "orders:read", "x:y", false),
)
