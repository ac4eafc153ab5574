package edge_test

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/lestrrat-go/jwx/v3/jwa"
	"github.com/lestrrat-go/jwx/v3/jwk"
	"github.com/lestrrat-go/jwx/v3/jwt"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/stella-ops/router/gateway"
	"github.com/stella-ops/router/gateway/auth"
	"github.com/stella-ops/router/gateway/edge"
	"github.com/stella-ops/router/gateway/limit"
	"github.com/stella-ops/router/spec"
)

var _ = Describe("the tenant", func() {
	const name = "https://issuer.example"
	var (
		key    ed25519.PrivateKey
		issuer auth.Issuer
	)
	BeforeEach(func() {
		public, private, err := ed25519.GenerateKey(rand.Reader)
		Expect(err).NotTo(HaveOccurred())
		key = private
		k, err := jwk.Import(public)
		Expect(err).NotTo(HaveOccurred())
		set, err := json.Marshal(map[string]any{"keys": []any{k}})
		Expect(err).NotTo(HaveOccurred())
		file := filepath.Join(GinkgoT().TempDir(), "keys.json")
		Expect(os.WriteFile(file, set, 0o600)).To(Succeed())
		issuer = auth.Issuer{Issuer: name, Audiences: []string{"api"}, Algorithms: []string{"EdDSA"}, JWKS: file, TenantsClaim: "tenants"}
	})
	token := func(list map[string]any) string {
		GinkgoHelper()
		b := jwt.NewBuilder().Issuer(name).Audience([]string{"api"}).Subject("me").Claim("scope", "read").Expiration(time.Now().Add(time.Minute))
		for kind, value := range list {
			b = b.Claim(kind, value)
		}
		t, err := b.Build()
		Expect(err).NotTo(HaveOccurred())
		s, err := jwt.Sign(t, jwt.WithKey(jwa.EdDSA(), key))
		Expect(err).NotTo(HaveOccurred())
		return "Bearer " + string(s)
	}
	begin := func(header string, change ...func(*gateway.Config)) (*rig, *member) {
		GinkgoHelper()
		r := start(append(change, func(c *gateway.Config) {
			c.Issuers, c.Policy.TenantHeader = []auth.Issuer{issuer}, header
		})...)
		return r, r.join(identity{}, describe, endpoint("GET", "/a", claims("scope=read")), endpoint("GET", "/acme", claims("tenant=acme")), endpoint("GET", "/open"))
	}
	mine := map[string]any{"tenant": "acme", "tenants": []string{"acme", "globex"}}

	DescribeTable("that a request asks for",
		func(header string, list map[string]any, fields []string, status int, want string) {
			r, m := begin(header)
			got := r.do("GET", "/a", "", append(fields, "Authorization", token(list))...)
			Expect(got.StatusCode).To(Equal(status), got.body)
			if status != 200 {
				Expect(got.body).To(ContainSubstring(want))
				if status == 403 {
					Expect(got.Header.Get("Www-Authenticate")).To(Equal(`Bearer error="insufficient_scope"`))
				}
				Expect(m.tap.received(spec.TypeRequest)).To(BeEmpty())
				return
			}
			Expect(got.body).To(ContainSubstring("subject=me tenant=" + want + " "))
			Expect(got.body).NotTo(MatchRegexp("(?i)header [a-z_-]*tenant"), "it never reaches the service as a field")
		},
		Entry("is one of the caller's", "Stella-Tenant", mine, []string{"Stella-Tenant", "globex"}, 200, "globex"),
		Entry("is the caller's own", "Stella-Tenant", mine, []string{"stella-tenant", "acme"}, 200, "acme"),
		Entry("is none: the caller's own counts", "Stella-Tenant", mine, nil, 200, "acme"),
		Entry("is one of a caller's who has none of their own", "Stella-Tenant", map[string]any{"tenants": "globex"}, []string{"Stella-Tenant", "globex"}, 200, "globex"),
		Entry("stands in a field of another name", "X-Tenant-Id", mine, []string{"X-Tenant-Id", "globex"}, 200, "globex"),
		Entry("stands in a field that is not asked for", "X-Tenant-Id", mine, []string{"Stella-Tenant", "globex", "X-Stella-Tenant", "globex"}, 200, "acme"),
		Entry("stands in a field with underscores", "Stella-Tenant", mine, []string{"Stella_Tenant", "globex"}, 200, "acme"),
		Entry("is none of the caller's", "Stella-Tenant", mine, []string{"Stella-Tenant", "initech"}, 403, "other tenants than"),
		Entry("is the caller's in other letters", "Stella-Tenant", mine, []string{"Stella-Tenant", "Globex"}, 403, "forbidden"),
		Entry("is a list", "Stella-Tenant", mine, []string{"Stella-Tenant", "acme, globex"}, 403, "forbidden"),
		Entry("is another's, for a caller of one", "Stella-Tenant", map[string]any{"tenant": "acme"}, []string{"Stella-Tenant", "globex"}, 403, "no other tenant"),
		Entry("is another's, for a caller of none", "Stella-Tenant", nil, []string{"Stella-Tenant", "globex"}, 403, "no other tenant"),
		Entry("is two", "Stella-Tenant", mine, []string{"Stella-Tenant", "acme", "Stella-Tenant", "globex"}, 400, "one tenant"),
		Entry("is two that are one", "Stella-Tenant", mine, []string{"Stella-Tenant", "acme", "Stella-Tenant", "acme"}, 400, "one tenant"),
		Entry("is empty", "Stella-Tenant", mine, []string{"Stella-Tenant", ""}, 400, "one tenant"),
		Entry("is nominated by Connection", "Stella-Tenant", mine, []string{"Stella-Tenant", "globex", "Connection", "Stella-Tenant"}, 400, "Connection"),
		Entry("counts for nothing unless that is allowed", "", mine, []string{"Stella-Tenant", "globex", "X-Tenant-Id", "globex"}, 200, "acme"),
		Entry("counts for nothing unless that is allowed, whoever's it is", "", mine, []string{"Stella-Tenant", "initech"}, 200, "acme"),
	)

	It("is not chosen by a trailer", func() {
		r, _ := begin("Stella-Tenant")
		conn, in := r.raw("GET /a HTTP/1.1\r\nHost: h\r\nConnection: close\r\nAuthorization: " + token(mine) +
			"\r\nTrailer: Stella-Tenant\r\nTransfer-Encoding: chunked\r\n\r\n" +
			"2\r\nok\r\n0\r\nStella-Tenant: globex\r\n\r\n")
		defer conn.Close()
		text := new(strings.Builder)
		_, err := in.WriteTo(text)
		Expect(err).NotTo(HaveOccurred())
		Expect(text.String()).To(And(ContainSubstring("200 OK"), ContainSubstring("tenant=acme"), Not(ContainSubstring("tenant=globex"))))
	})

	It("that is chosen is what claims are asked of, too", func() {
		r, _ := begin("Stella-Tenant")
		Expect(r.do("GET", "/acme", "", "Authorization", token(mine)).StatusCode).To(Equal(200))
		Expect(r.do("GET", "/acme", "", "Authorization", token(mine), "Stella-Tenant", "globex").StatusCode).To(Equal(403))
		other := token(map[string]any{"tenant": "globex", "tenants": "acme globex"})
		Expect(r.do("GET", "/acme", "", "Authorization", other).StatusCode).To(Equal(403))
		Expect(r.do("GET", "/acme", "", "Authorization", other, "Stella-Tenant", "acme").StatusCode).To(Equal(200))
	})

	It("that is chosen is what rate limits count", func() {
		r, _ := begin("Stella-Tenant", func(c *gateway.Config) {
			c.Limits.Rules = []limit.Rule{{Name: "tenants", By: limit.ByTenant, Rate: 1, Per: time.Hour}}
		})
		good := token(mine)
		for _, tenant := range []string{"acme", "globex"} {
			Expect(r.do("GET", "/a", "", "Authorization", good, "Stella-Tenant", tenant).StatusCode).To(Equal(200))
			Expect(r.do("GET", "/a", "", "Authorization", good, "Stella-Tenant", tenant).StatusCode).To(Equal(429))
		}
	})

	It("is nobody's at a public endpoint", func() {
		r, _ := begin("Stella-Tenant")
		got := r.do("GET", "/open", "", "Stella-Tenant", "globex")
		Expect(got.StatusCode).To(Equal(200))
		Expect(got.body).NotTo(ContainSubstring("globex"))
	})

	DescribeTable("is not chosen by a field that services could see, or that means something else", func(header string) {
		_, err := gateway.New(gateway.Config{HTTP: "127.0.0.1:0", Admin: "127.0.0.1:0", Listen: []string{"inmemory://tenant"}, Policy: edge.Policy{TenantHeader: header}})
		Expect(err).To(MatchError(gateway.ErrConfig))
		Expect(err).To(MatchError(ContainSubstring("never reaches services")))
	},
		Entry(nil, "Tenant"), Entry(nil, "Accept"), Entry(nil, "Authorization"), Entry(nil, "Host"), Entry(nil, "Stella-Version"), Entry(nil, "X_Tenant_Id"),
		Entry(nil, "X-Tenant Id"), Entry(nil, "Stella-Tenant\r\n"),
	)
})
