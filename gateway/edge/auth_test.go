package edge_test

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"

	"github.com/lestrrat-go/jwx/v3/jwa"
	"github.com/lestrrat-go/jwx/v3/jws"
	"github.com/lestrrat-go/jwx/v3/jwt"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"github.com/onsi/gomega/gbytes"

	"github.com/stella-ops/router/gateway"
	"github.com/stella-ops/router/gateway/auth"
	"github.com/stella-ops/router/spec"
)

var _ = Describe("an endpoint with claims", func() {
	dev := func() (*rig, *auth.DevKey, string) {
		GinkgoHelper()
		dir := GinkgoT().TempDir()
		file := filepath.Join(dir, "token")
		r := start(func(c *gateway.Config) { c.Dev = &gateway.Dev{TokenFile: file} })
		key, err := auth.LoadDevKey(file + ".key")
		Expect(err).NotTo(HaveOccurred())
		return r, key, file
	}
	token := func(key *auth.DevKey, at time.Time, list ...spec.Claim) string {
		GinkgoHelper()
		t, err := key.Token(list, at, time.Minute)
		Expect(err).NotTo(HaveOccurred())
		return "Bearer " + t
	}

	It("answers 401 as long as no authentication is configured", func() {
		r := start()
		m := r.join(identity{}, describe, endpoint("GET", "/a", claims("scope=read")))
		for _, header := range [][]string{nil, {"Authorization", "Bearer x.y.z"}} {
			got := r.do("GET", "/a", "", header...)
			Expect(got.StatusCode).To(Equal(401))
			Expect(got.Header.Get("Www-Authenticate")).To(HavePrefix("Bearer"))
		}
		Expect(m.tap.received(spec.TypeRequest)).To(BeEmpty())
	})

	It("answers 401 without a good token, 403 without the claim, and passes the identity on otherwise", func() {
		r, key, _ := dev()
		m := r.join(identity{}, describe, endpoint("GET", "/a", claims("scope=read", "team")))
		got := r.do("GET", "/a", "")
		Expect(got.StatusCode).To(Equal(401))
		Expect(got.Header.Get("Www-Authenticate")).To(Equal("Bearer"))

		now := time.Now()
		for _, bad := range []string{
			"Bearer rubbish", "Basic YTpi", "Bearer", token(key, now.Add(-time.Hour), spec.Claim{Type: "scope", Value: "read"}),
			token(key, now) + "x",
		} {
			got = r.do("GET", "/a", "", "Authorization", bad)
			Expect(got.StatusCode).To(Equal(401), bad)
			Expect(got.Header.Get("Www-Authenticate")).To(ContainSubstring("error="))
		}
		got = r.do("GET", "/a", "", "Authorization", token(key, now, spec.Claim{Type: "scope", Value: "write"}, spec.Claim{Type: "team", Value: "x"}))
		Expect(got.StatusCode).To(Equal(403))
		Expect(got.body).To(ContainSubstring("scope=read"))
		Expect(m.tap.received(spec.TypeRequest)).To(BeEmpty())

		good := token(key, now, spec.Claim{Type: "scope", Value: "write"}, spec.Claim{Type: "scope", Value: "read"}, spec.Claim{Type: "team", Value: "x"})
		for range 2 { // the second time from memory
			got = r.do("GET", "/a", "", "authorization", strings.Replace(good, "Bearer", "bearer", 1))
			Expect(got.StatusCode).To(Equal(200))
			Expect(got.body).To(ContainSubstring("subject=developer"))
			Expect(got.body).To(ContainSubstring("{scope read}"))
			Expect(got.body).NotTo(ContainSubstring("header Authorization"), "the credential ends at the gateway")
		}
	})

	It("is refused two Authorization fields", func() {
		r, key, _ := dev()
		r.join(identity{}, describe, endpoint("GET", "/a", claims("scope=read")))
		good := token(key, time.Now(), spec.Claim{Type: "scope", Value: "read"})
		Expect(r.do("GET", "/a", "", "Authorization", good, "Authorization", good).StatusCode).To(Equal(401))
	})

	It("is answered by the token in the development file, which follows what services ask for", func() {
		r, _, file := dev()
		r.join(identity{service: "one"}, describe, endpoint("GET", "/a", claims("scope=read", "team")))
		r.join(identity{service: "two"}, describe, endpoint("GET", "/b", claims("scope=write")))
		Eventually(func(g Gomega) {
			text, err := os.ReadFile(file)
			g.Expect(err).NotTo(HaveOccurred())
			bearer := "Bearer " + strings.TrimSpace(string(text))
			g.Expect(r.do("GET", "/a", "", "Authorization", bearer).StatusCode).To(Equal(200))
			g.Expect(r.do("GET", "/b", "", "Authorization", bearer).StatusCode).To(Equal(200))
		}).WithTimeout(patience).Should(Succeed())
		info, err := os.Stat(file)
		Expect(err).NotTo(HaveOccurred())
		Expect(info.Mode().Perm()).To(BeEquivalentTo(0o600))
	})
})

var _ = Describe("an endpoint with claims, for tokens of an issuer with a key set", func() {
	const name = "https://issuer.example"
	var (
		now    time.Time // of the spec: tokens do not outlive a suite that is slow
		key    ed25519.PrivateKey
		keys   atomic.Pointer[[]byte] // what the issuer publishes; nil: it is down
		server *httptest.Server
	)
	BeforeEach(func() {
		now = time.Now()
		var public ed25519.PublicKey
		var err error
		public, key, err = ed25519.GenerateKey(rand.Reader)
		Expect(err).NotTo(HaveOccurred())
		set := fmt.Appendf(nil, `{"keys":[{"kty":"OKP","crv":"Ed25519","kid":"a","x":%q}]}`, base64.RawURLEncoding.EncodeToString(public))
		keys.Store(&set)
		server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			set := keys.Load()
			if set == nil {
				w.WriteHeader(http.StatusInternalServerError)
				return
			}
			_, _ = w.Write(*set)
		}))
		DeferCleanup(server.Close)
	})
	begin := func() (*rig, *member) {
		GinkgoHelper()
		r := start(func(c *gateway.Config) {
			c.Issuers = []auth.Issuer{{Issuer: name, Audiences: []string{"billing"}, Algorithms: []string{"EdDSA"}, JWKS: server.URL}}
		})
		return r, r.join(identity{}, describe, endpoint("GET", "/a", claims("scope=orders:read", "scope=orders:list")))
	}
	sign := func(kid string, list map[string]any) string {
		GinkgoHelper()
		b := jwt.NewBuilder().Issuer(name).Audience([]string{"billing"}).Subject("alice").Expiration(now.Add(time.Minute))
		for kind, value := range list {
			b = b.Claim(kind, value)
		}
		t, err := b.Build()
		Expect(err).NotTo(HaveOccurred())
		h := jws.NewHeaders()
		Expect(h.Set("kid", kid)).To(Succeed())
		s, err := jwt.Sign(t, jwt.WithKey(jwa.EdDSA(), key, jws.WithProtectedHeaders(h)))
		Expect(err).NotTo(HaveOccurred())
		return "Bearer " + string(s)
	}

	It("passes subject, tenant and claims on, 403 naming what is missing, 401 naming the token", func() {
		r, m := begin()
		got := r.do("GET", "/a", "", "Authorization", sign("a", map[string]any{"scope": "orders:read"}))
		Expect(got.StatusCode).To(Equal(403))
		Expect(got.Header.Get("Www-Authenticate")).To(Equal(`Bearer error="insufficient_scope", scope="orders:read orders:list"`))
		for _, bad := range []string{sign("b", nil), sign("a", map[string]any{"aud": "x"}), sign("a", map[string]any{"exp": now.Add(-time.Minute)})} {
			got = r.do("GET", "/a", "", "Authorization", bad)
			Expect(got.StatusCode).To(Equal(401))
			Expect(got.Header.Get("Www-Authenticate")).To(Equal(`Bearer error="invalid_token"`))
			Expect(got.body).NotTo(ContainSubstring(strings.TrimPrefix(bad, "Bearer ")))
		}
		Expect(m.tap.received(spec.TypeRequest)).To(BeEmpty())
		got = r.do("GET", "/a", "", "Authorization", sign("a", map[string]any{"scope": "orders:*", "tid": "acme"}))
		Expect(got.StatusCode).To(Equal(200))
		Expect(got.body).To(And(ContainSubstring("subject=alice"), ContainSubstring("tenant=acme"), ContainSubstring("{scope orders:*}")))
		Expect(r.g.Issuers()).To(ConsistOf(And(HaveField("Issuer", name), HaveField("Closed", false), HaveField("Keys", HaveLen(1)))))
	})

	It("answers 503 while the keys cannot be had, says so, and passes nobody", func() {
		set := keys.Swap(nil)
		r, m := begin()
		got := r.do("GET", "/a", "", "Authorization", sign("a", map[string]any{"scope": "orders:*"}))
		Expect(got.StatusCode).To(Equal(503))
		Expect(got.Header.Get("Retry-After")).NotTo(BeEmpty())
		Expect(got.Header.Get("Www-Authenticate")).To(BeEmpty())
		Expect(got.body).To(And(ContainSubstring("keys_unavailable"), ContainSubstring(`"retryable":true`), Not(ContainSubstring(server.URL))))
		Expect(m.tap.received(spec.TypeRequest)).To(BeEmpty())
		Expect(r.log).To(gbytes.Say("the keys of an issuer cannot be had"))
		Expect(r.do("GET", "/a", "").StatusCode).To(Equal(401), "who brings no token is told so")
		keys.Store(set)
		Eventually(func() int {
			return r.do("GET", "/a", "", "Authorization", sign("a", map[string]any{"scope": "orders:*"})).StatusCode
		}).WithTimeout(2 * patience).Should(Equal(200))
	})

	It("is configured whole, or the gateway does not start", func() {
		_, err := gateway.New(gateway.Config{HTTP: "127.0.0.1:0", Admin: "127.0.0.1:0", Issuers: []auth.Issuer{{Issuer: name, Algorithms: []string{"HS256"}}}})
		Expect(err).To(MatchError(gateway.ErrConfig))
		Expect(err).To(MatchError(And(ContainSubstring("HS256"), ContainSubstring("audiences"), ContainSubstring("jwks"))))
	})
})

var _ = Describe("a public endpoint", func() {
	It("gets Authorization as it came, and no identity", func() {
		r := start()
		r.join(identity{}, describe, endpoint("GET", "/a"))
		got := r.do("GET", "/a", "", "Authorization", "Basic YTpi")
		Expect(got.StatusCode).To(Equal(200))
		Expect(got.body).To(ContainSubstring("header Authorization: Basic YTpi"))
		Expect(got.body).NotTo(ContainSubstring("subject="))
	})
})
