package auth_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/lestrrat-go/jwx/v3/jwk"
	"github.com/lestrrat-go/jwx/v3/jws/jwsbb"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"github.com/onsi/gomega/gleak"

	"github.com/stella-ops/router/gateway/auth"
)

func TestAuth(t *testing.T) {
	RegisterFailHandler(Fail)
	RunSpecs(t, "Auth")
}

// patience bounds what a spec waits for.
const patience = 5 * time.Second

const (
	name     = "https://issuer.example"
	audience = "billing"
)

var now = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

var quiet = slog.New(slog.DiscardHandler)

// must is for what cannot fail in a test.
func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// signer is a key of an issuer's own.
type signer struct {
	kid, alg string
	key      crypto.Signer
}

// Keys are made once: RSA takes time.
var (
	rsaKeys = sync.OnceValue(func() []crypto.Signer {
		return []crypto.Signer{must(rsa.GenerateKey(rand.Reader, 2048)), must(rsa.GenerateKey(rand.Reader, 2048))}
	})
	weakRSA = sync.OnceValue(func() *rsa.PrivateKey { return must(rsa.GenerateKey(rand.Reader, 1024)) }) // to be refused
	p256    = sync.OnceValue(func() crypto.Signer { return must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader)) })
	p384    = sync.OnceValue(func() crypto.Signer { return must(ecdsa.GenerateKey(elliptic.P384(), rand.Reader)) })
	p521    = sync.OnceValue(func() crypto.Signer { return must(ecdsa.GenerateKey(elliptic.P521(), rand.Reader)) })
)

func newEd(kid string) signer {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		panic(err)
	}
	return signer{kid: kid, alg: "EdDSA", key: key}
}

// jwk is the key as its issuer publishes it; changes replace members, and nil takes one away.
func (s signer) jwk(changes ...map[string]any) map[string]any {
	k := must(jwk.Import(s.key.Public()))
	var members map[string]any
	if err := json.Unmarshal(must(json.Marshal(k)), &members); err != nil {
		panic(err)
	}
	if s.kid != "" {
		members["kid"] = s.kid
	}
	members["use"], members["alg"] = "sig", s.alg
	for _, c := range changes {
		maps.Copy(members, c)
	}
	maps.DeleteFunc(members, func(_ string, v any) bool { return v == nil })
	return members
}

// keySet is a JSON Web Key Set.
func keySet(keys ...map[string]any) []byte {
	return must(json.Marshal(map[string]any{"keys": keys}))
}

// claims are those of a good token at a time; changes replace them, and nil takes one away.
func claimsAt(at time.Time, changes ...map[string]any) map[string]any {
	c := map[string]any{"iss": name, "aud": audience, "sub": "alice", "iat": at.Unix(), "exp": at.Add(5 * time.Minute).Unix()}
	for _, change := range changes {
		maps.Copy(c, change)
	}
	maps.DeleteFunc(c, func(_ string, v any) bool { return v == nil })
	return c
}

func b64(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

// token signs claims as they are; changes are to the header.
func (s signer) token(claims map[string]any, changes ...map[string]any) string {
	h := map[string]any{"alg": s.alg, "typ": "JWT"}
	if s.kid != "" {
		h["kid"] = s.kid
	}
	for _, change := range changes {
		maps.Copy(h, change)
	}
	maps.DeleteFunc(h, func(_ string, v any) bool { return v == nil })
	return s.sign(must(json.Marshal(h)), must(json.Marshal(claims)))
}

func (s signer) sign(header, payload []byte) string {
	signed := b64(header) + "." + b64(payload)
	return signed + "." + b64(must(jwsbb.Sign(s.key, s.alg, []byte(signed), rand.Reader)))
}

// publisher is an issuer's HTTP server.
type publisher struct {
	*httptest.Server

	asked  atomic.Int64
	answer atomic.Pointer[http.HandlerFunc]
}

func newPublisher(keys ...map[string]any) *publisher {
	p := &publisher{}
	p.publish(keys...)
	p.Server = httptest.NewServer(http.HandlerFunc(p.serve))
	return p
}

func (p *publisher) serve(w http.ResponseWriter, r *http.Request) {
	p.asked.Add(1)
	(*p.answer.Load())(w, r)
}

func (p *publisher) do(f http.HandlerFunc) { p.answer.Store(&f) }

func (p *publisher) publish(keys ...map[string]any) { p.say("public, max-age=600", keySet(keys...)) }

func (p *publisher) say(cacheControl string, body []byte) {
	p.do(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Cache-Control", cacheControl)
		_, _ = w.Write(body)
	})
}

func (p *publisher) fail() {
	p.do(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadGateway) })
}

// issuer is a good configuration; it lists every algorithm that the signers have.
func issuer(jwks string, algorithms ...string) auth.Issuer {
	if len(algorithms) == 0 {
		algorithms = auth.Algorithms
	}
	return auth.Issuer{Issuer: name, Audiences: []string{audience}, Algorithms: algorithms, JWKS: jwks}
}

// running returns a verifier that runs until the spec's end, which must leave no goroutine.
func running(issuers ...auth.Issuer) *auth.Verifier {
	GinkgoHelper()
	return runningWith(auth.Config{Issuers: issuers})
}

func runningWith(cfg auth.Config) *auth.Verifier {
	GinkgoHelper()
	before := gleak.Goroutines()
	cfg.Logger = quiet
	v, err := auth.NewVerifier(cfg)
	Expect(err).NotTo(HaveOccurred())
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		v.Run(ctx)
	}()
	DeferCleanup(func() {
		cancel()
		Eventually(ended).WithTimeout(patience).Should(BeClosed())
		Eventually(gleak.Goroutines).WithTimeout(patience).ShouldNot(gleak.HaveLeaked(before))
	})
	// Before it has asked for the first time, Verify says that nothing was fetched yet. Within a bubble of testing/synctest
	// nothing that waits by the clock would end.
	asked := func(s auth.IssuerStatus) bool { return s.JWKS == "" || !s.FetchedAt.IsZero() || s.LastError != "" }
	for range 200_000 {
		if list := v.Status(); !slices.ContainsFunc(list, func(s auth.IssuerStatus) bool { return !asked(s) }) {
			break
		}
		runtime.Gosched()
	}
	return v
}

// serving is a publisher that lives as long as the spec.
func serving(keys ...map[string]any) *publisher {
	p := newPublisher(keys...)
	DeferCleanup(p.Close)
	return p
}

func servingTLS(keys ...map[string]any) *publisher {
	p := &publisher{}
	p.publish(keys...)
	p.Server = httptest.NewUnstartedServer(http.HandlerFunc(p.serve))
	p.Config.ErrorLog = log.New(io.Discard, "", 0) // handshakes are to fail
	p.StartTLS()
	DeferCleanup(p.Close)
	return p
}

// keyFile writes a key set to a file.
func keyFile(tb testing.TB, text []byte) string {
	tb.Helper()
	path := filepath.Join(tb.TempDir(), "keys.json")
	if err := os.WriteFile(path, text, 0o600); err != nil {
		tb.Fatal(err)
	}
	return path
}

func jsonOf(v any) ([]byte, error) { return json.Marshal(v) }

// jwkPrivate is a key as it must not be published.
func jwkPrivate(s signer) (map[string]any, error) {
	k, err := jwk.Import(s.key)
	if err != nil {
		return nil, err
	}
	members := s.jwk()
	return members, json.Unmarshal(must(json.Marshal(k)), &members)
}

func manyNames(n int) []string {
	names := make([]string, n)
	for i := range names {
		names[i] = fmt.Sprintf("n%d.example", i)
	}
	return names
}
