package edge_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"sync/atomic"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"github.com/onsi/gomega/gbytes"

	"github.com/stella-ops/router/gateway"
	"github.com/stella-ops/router/gateway/auth"
	"github.com/stella-ops/router/gateway/routing"
	"github.com/stella-ops/router/spec"
)

var _ = Describe("an authority over who may call what", func() {
	var (
		says   atomic.Pointer[string] // nil: it is down
		server *httptest.Server
		cfg    gateway.Config
		key    *auth.DevKey
	)
	say := func(text string) { says.Store(&text) }
	BeforeEach(func() {
		says.Store(nil)
		server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			text := says.Load()
			if text == nil {
				w.WriteHeader(http.StatusBadGateway)
				return
			}
			_, _ = w.Write([]byte(*text))
		}))
		DeferCleanup(server.Close)
	})
	begin := func(declared bool) (*rig, *member) {
		GinkgoHelper()
		file := filepath.Join(GinkgoT().TempDir(), "token")
		r := start(func(c *gateway.Config) {
			c.Dev = &gateway.Dev{TokenFile: file}
			c.Authority = gateway.Authority{Source: server.URL, Every: time.Second, Declared: declared}
			cfg = *c
		})
		var err error
		key, err = auth.LoadDevKey(file + ".key")
		Expect(err).NotTo(HaveOccurred())
		return r, r.join(identity{}, describe, endpoint("GET", "/a", claims("scope=declared")), endpoint("GET", "/open"))
	}
	status := func(r *rig, path string, scopes ...string) int {
		GinkgoHelper()
		if len(scopes) == 0 {
			return r.do("GET", path, "").StatusCode
		}
		var list []spec.Claim
		for _, s := range scopes {
			list = append(list, spec.Claim{Type: "scope", Value: s})
		}
		token, err := key.Token(list, time.Now(), time.Minute)
		Expect(err).NotTo(HaveOccurred())
		return r.do("GET", path, "", "Authorization", "Bearer "+token).StatusCode
	}
	eventually := func(r *rig, path string, want int, scopes ...string) {
		GinkgoHelper()
		Eventually(func() int { return status(r, path, scopes...) }).WithTimeout(2 * patience).Should(Equal(want))
	}
	const decreed = `{"services":{"test":{"GET /a":{"claims":[{"type":"scope","value":"decreed"}]},"GET /open":{"claims":[{"type":"scope","value":"decreed"}]}}}}`

	It("lets nobody pass before it was reached, and its last word counts while it is down", func() {
		r, m := begin(false)
		for _, path := range []string{"/a", "/open"} {
			got := r.do("GET", path, "")
			Expect(got.StatusCode).To(Equal(503))
			Expect(got.Header.Get("Retry-After")).NotTo(BeEmpty())
			var p spec.Problem
			Expect(json.Unmarshal([]byte(got.body), &p)).To(Succeed())
			Expect(p).To(And(HaveField("Code", "authority_unavailable"), HaveField("Retryable", true)))
		}
		Expect(status(r, "/a", "declared")).To(Equal(503))
		Expect(m.tap.received(spec.TypeRequest)).To(BeEmpty())
		Eventually(r.log).WithTimeout(patience).Should(gbytes.Say("the authority over who may call what cannot be asked"))
		_, metrics := r.admin("/metrics")
		Expect(metrics).To(ContainSubstring("stella_gateway_authority_up 0\n"))

		say(decreed)
		eventually(r, "/a", 200, "decreed")
		Expect(status(r, "/a", "declared")).To(Equal(403))
		Expect(status(r, "/open")).To(Equal(401), "what its service calls public is not")
		_, metrics = r.admin("/metrics")
		Expect(metrics).To(ContainSubstring("stella_gateway_authority_up 1\n"))
		_, shown := r.admin("/v1/endpoints")
		Expect(shown).To(And(ContainSubstring(`"origin": "authority"`), ContainSubstring(`"value": "declared"`), ContainSubstring(`"value": "decreed"`)))

		says.Store(nil)
		Eventually(func() string { _, body := r.admin("/v1/access"); return body }).WithTimeout(patience).Should(And(
			ContainSubstring("502 Bad Gateway"), ContainSubstring(`"reached": true`), ContainSubstring(`"failsFrom"`)))
		_, metrics = r.admin("/metrics")
		Expect(metrics).To(ContainSubstring("stella_gateway_authority_up 0\n"))
		Expect(status(r, "/a", "decreed")).To(Equal(200))
		Expect(status(r, "/a", "declared")).To(Equal(403))
		say(`{"services":{"test":{"GET /a":{"claims":[]}}}}`)
		Eventually(func() string { _, body := r.admin("/v1/access"); return body }).WithTimeout(patience).Should(ContainSubstring("either claims, or why"))
		Expect(status(r, "/a", "decreed")).To(Equal(200), "what cannot be read changes nothing")
		say(`{"services":{}}`)
		eventually(r, "/a", 200, "declared")
		Expect(status(r, "/open")).To(Equal(200))
	})

	It("leaves it to services before it was reached, where that is configured", func() {
		r, _ := begin(true)
		Expect(status(r, "/open")).To(Equal(200))
		Expect(status(r, "/a")).To(Equal(401))
		Expect(status(r, "/a", "declared")).To(Equal(200))
		say(decreed)
		eventually(r, "/a", 403, "declared")
	})

	It("stands above the gateway's configuration, which stands above services and changes with a reload", func() {
		r, _ := begin(true)
		put := func(rules ...routing.AccessRule) {
			GinkgoHelper()
			cfg.Access = rules
			Expect(r.g.Apply(cfg)).To(Succeed())
		}
		put(routing.AccessRule{Service: "test", Endpoint: "GET /a", Claims: []spec.ClaimRequirement{{Type: "scope", Value: "configured"}}, Origin: "gateway.yaml:1:1"},
			routing.AccessRule{Service: "test", Endpoint: "GET /open", Claims: []spec.ClaimRequirement{{Type: "scope"}}, Origin: "gateway.yaml:2:1"})
		Expect(status(r, "/a", "declared")).To(Equal(403))
		Expect(status(r, "/a", "configured")).To(Equal(200))
		Expect(status(r, "/open")).To(Equal(401))
		Expect(status(r, "/open", "any")).To(Equal(200))
		put(routing.AccessRule{Service: "test", Endpoint: "GET /a", Public: "for a while", Origin: "gateway.yaml:1:1"})
		got := r.do("GET", "/a", "", "Authorization", "Basic YTpi")
		Expect(got.StatusCode).To(Equal(200))
		Expect(got.body).NotTo(ContainSubstring("subject="))
		Expect(status(r, "/open")).To(Equal(200))
		cfg.Access = []routing.AccessRule{{Service: "test", Endpoint: "GET /a"}}
		Expect(r.g.Apply(cfg)).To(MatchError(ContainSubstring("either claims")))
		Expect(status(r, "/a")).To(Equal(200), "what is wrong changes nothing")
		say(decreed)
		eventually(r, "/a", 401)
		put()
		Expect(status(r, "/a", "declared")).To(Equal(403))
		Expect(status(r, "/a", "decreed")).To(Equal(200))
	})
})
