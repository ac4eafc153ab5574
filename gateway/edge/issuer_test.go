package edge_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"time"

	"github.com/lestrrat-go/jwx/v3/jwa"
	"github.com/lestrrat-go/jwx/v3/jwk"
	"github.com/lestrrat-go/jwx/v3/jwt"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/stella-ops/router/gateway"
	"github.com/stella-ops/router/gateway/auth"
	"github.com/stella-ops/router/spec"
	"github.com/stella-ops/router/transports/session"
)

var _ = Describe("tokens of an issuer", func() {
	var (
		key    *ecdsa.PrivateKey
		down   atomic.Bool
		issuer auth.Issuer
	)
	BeforeEach(func() {
		var err error
		key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		Expect(err).NotTo(HaveOccurred())
		public, err := jwk.Import(&key.PublicKey)
		Expect(err).NotTo(HaveOccurred())
		Expect(public.Set("kid", "one")).To(Succeed())
		down.Store(false)
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			if down.Load() {
				w.WriteHeader(http.StatusInternalServerError)
				return
			}
			_ = json.NewEncoder(w).Encode(map[string]any{"keys": []any{public}})
		}))
		DeferCleanup(server.Close)
		issuer = auth.Issuer{Issuer: "https://issuer.example", Audiences: []string{"api"}, Algorithms: []string{"ES256"}, JWKS: server.URL}
	})
	trusting := func(c *gateway.Config) { c.Dev, c.Issuers = nil, []auth.Issuer{issuer} }
	token := func(end time.Duration, scopes string) string {
		GinkgoHelper()
		t, err := jwt.NewBuilder().Issuer(issuer.Issuer).Audience([]string{"api"}).Subject("me").Claim("tenant", "acme").
			Claim("scope", scopes).Expiration(time.Now().Add(end)).Build()
		Expect(err).NotTo(HaveOccurred())
		private, err := jwk.Import(key)
		Expect(err).NotTo(HaveOccurred())
		Expect(private.Set("kid", "one")).To(Succeed())
		s, err := jwt.Sign(t, jwt.WithKey(jwa.ES256(), private))
		Expect(err).NotTo(HaveOccurred())
		return string(s)
	}
	claims := func(e *spec.Endpoint) {
		e.Public, e.Claims = "", []spec.ClaimRequirement{{Type: "scope", Value: "orders:read"}}
	}
	ask := func(r *rig, token string) (*http.Response, spec.Problem) {
		GinkgoHelper()
		q, err := http.NewRequest(http.MethodGet, r.url("/a"), nil)
		Expect(err).NotTo(HaveOccurred())
		q.Header.Set("Authorization", "Bearer "+token)
		resp, err := r.client.Do(q)
		Expect(err).NotTo(HaveOccurred())
		defer resp.Body.Close()
		var p spec.Problem
		_ = json.NewDecoder(resp.Body).Decode(&p) // not every answer is one
		return resp, p
	}

	It("let callers in, whose tenant and claims the service gets", func() {
		r := start(trusting)
		seen := make(chan spec.Identity, 1)
		r.join(identity{}, func(in *session.Incoming) {
			seen <- *in.Request().Identity
			_ = in.Respond(&spec.Response{Status: 200, ContentLength: -1}, nil)
		}, endpoint("GET", "/a", claims))
		resp, _ := ask(r, token(time.Minute, "orders:*"))
		Expect(resp.StatusCode).To(Equal(200))
		Expect(<-seen).To(And(HaveField("Subject", "me"), HaveField("Tenant", "acme"), HaveField("Claims", ContainElement(spec.Claim{Type: "scope", Value: "orders:*"}))))
	})

	It("are refused by 403 without the claim, and by 401 when they are no good", func() {
		r := start(trusting)
		r.join(identity{}, echo, endpoint("GET", "/a", claims))
		resp, p := ask(r, token(time.Minute, "orders:write"))
		Expect(resp.StatusCode).To(Equal(403))
		Expect(resp.Header.Get("Www-Authenticate")).To(ContainSubstring(`error="insufficient_scope"`))
		Expect(p.Code).To(Equal("forbidden"))
		resp, p = ask(r, token(-time.Hour, "orders:read"))
		Expect(resp.StatusCode).To(Equal(401))
		Expect(resp.Header.Get("Www-Authenticate")).To(ContainSubstring(`error="invalid_token"`))
		Expect(p.Detail).To(ContainSubstring("expired"))
	})

	It("are taken and refused as the issuers in force say, from one request to the next", func() {
		var cfg gateway.Config
		r := start(func(c *gateway.Config) { c.Dev = nil; cfg = *c })
		r.join(identity{}, echo, endpoint("GET", "/a", claims))
		good := token(time.Minute, "orders:read")
		resp, p := ask(r, good)
		Expect(resp.StatusCode).To(Equal(401))
		Expect(p.Detail).To(ContainSubstring("no authentication configured"))
		for range 2 {
			cfg.Issuers = []auth.Issuer{issuer}
			Expect(r.g.Apply(cfg)).To(Succeed())
			Eventually(func() int { resp, _ := ask(r, good); return resp.StatusCode }).WithTimeout(patience).Should(Equal(200))
			wrong := issuer
			wrong.Audiences = nil
			cfg.Issuers = []auth.Issuer{wrong}
			Expect(r.g.Apply(cfg)).To(MatchError(gateway.ErrConfig))
			missing := issuer
			missing.JWKS = "/not/there"
			cfg.Issuers = []auth.Issuer{missing}
			Expect(r.g.Apply(cfg)).To(MatchError(ContainSubstring("no such file")))
			resp, _ = ask(r, good)
			Expect(resp.StatusCode).To(Equal(200), "what is wrong changes nothing")
			cfg.Issuers = nil
			Expect(r.g.Apply(cfg)).To(Succeed())
			resp, _ = ask(r, good)
			Expect(resp.StatusCode).To(Equal(401))
		}
	})

	It("are answered by a retryable 503 as long as nobody can say whether they are good", func() {
		down.Store(true)
		r := start(trusting)
		r.join(identity{}, echo, endpoint("GET", "/a", claims))
		resp, p := ask(r, token(time.Minute, "orders:read"))
		Expect(resp.StatusCode).To(Equal(503))
		Expect(resp.Header.Get("Retry-After")).NotTo(BeEmpty())
		Expect(p).To(And(HaveField("Code", "keys_unavailable"), HaveField("Retryable", true)))
		_, body := r.admin("/v1/issuers")
		Expect(body).To(ContainSubstring("500 Internal Server Error"))
		down.Store(false)
		Eventually(func() int { resp, _ := ask(r, token(time.Minute, "orders:read")); return resp.StatusCode }).WithTimeout(patience).Should(Equal(200))
	})
})
