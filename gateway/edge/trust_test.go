package edge_test

import (
	"net/http"
	"path/filepath"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/stella-ops/router/gateway"
	"github.com/stella-ops/router/gateway/auth"
	"github.com/stella-ops/router/gateway/limit"
	"github.com/stella-ops/router/gateway/routing"
	"github.com/stella-ops/router/spec"
)

var _ = Describe("a service that is trusted", func() {
	var (
		r   *rig
		m   *member
		key *auth.DevKey
		cfg gateway.Config
	)
	begin := func(trust routing.Trust, change ...func(*gateway.Config)) {
		GinkgoHelper()
		file := filepath.Join(GinkgoT().TempDir(), "token")
		r = start(append(change, func(c *gateway.Config) {
			c.Dev = &gateway.Dev{TokenFile: file}
			c.Services = map[string]routing.Policy{"test": {Trust: trust}}
			cfg = *c
		})...)
		var err error
		key, err = auth.LoadDevKey(file + ".key")
		Expect(err).NotTo(HaveOccurred())
		m = r.join(identity{}, describe, endpoint("GET", "/a", claims("scope=read")), endpoint("GET", "/open"))
		r.join(identity{service: "other"}, describe, endpoint("GET", "/other", claims("scope=read")))
	}
	token := func(list ...spec.Claim) string {
		GinkgoHelper()
		t, err := key.Token(list, time.Now(), time.Minute)
		Expect(err).NotTo(HaveOccurred())
		return "Bearer " + t
	}
	read := spec.Claim{Type: "scope", Value: "read"}

	// The columns: the status by the modes gateway, hybrid and service.
	for _, c := range []struct {
		caller        string
		authorization func() []string
		want          [3]int
	}{
		{"who shows nothing", func() []string { return nil }, [3]int{401, 401, 200}},
		{"who shows rubbish", func() []string { return []string{"Bearer x.y.z"} }, [3]int{401, 401, 401}},
		{"who shows a token that was changed", func() []string { return []string{token(read) + "x"} }, [3]int{401, 401, 401}},
		{"who shows a password", func() []string { return []string{"Basic YTpi"} }, [3]int{401, 401, 401}},
		{"who shows an empty field", func() []string { return []string{""} }, [3]int{401, 401, 401}},
		{"who shows two tokens", func() []string { return []string{token(read), token(read)} }, [3]int{401, 401, 401}},
		{"who lacks the claim", func() []string { return []string{token()} }, [3]int{403, 403, 200}},
		{"who holds the claim", func() []string { return []string{token(read)} }, [3]int{200, 200, 200}},
	} {
		for i, trust := range []routing.Trust{routing.TrustGateway, routing.TrustHybrid, routing.TrustService} {
			It("in the mode "+string(trust)+" is called, or not, by a caller "+c.caller, func() {
				begin(trust)
				var header []string
				shown := c.authorization()
				for _, v := range shown {
					header = append(header, "Authorization", v)
				}
				got := r.do("GET", "/a", "", header...)
				Expect(got.StatusCode).To(Equal(c.want[i]), got.body)
				if got.StatusCode != http.StatusOK {
					Expect(m.tap.received(spec.TypeRequest)).To(BeEmpty())
					return
				}
				identified := ContainSubstring("subject=developer")
				credential := ContainSubstring("header Authorization: Bearer ")
				if len(shown) == 0 {
					identified, credential = Not(identified), Not(credential)
				}
				if trust == routing.TrustGateway {
					credential = Not(ContainSubstring("header Authorization"))
				}
				Expect(got.body).To(And(identified, credential))
			})
		}
	}

	It("is the one that is named, and no other", func() {
		begin(routing.TrustService)
		Expect(r.do("GET", "/a", "").StatusCode).To(Equal(200))
		Expect(r.do("GET", "/other", "").StatusCode).To(Equal(401))
		_, shown := r.admin("/v1/endpoints")
		Expect(shown).To(And(ContainSubstring(`"trust": "service"`), ContainSubstring(`"trust": "gateway"`)))
	})

	It("is any that says nothing itself, where that is for all", func() {
		begin("", func(c *gateway.Config) { c.Routing.Trust = routing.TrustService })
		Expect(r.do("GET", "/other", "").StatusCode).To(Equal(200))
		cfg.Services = map[string]routing.Policy{"other": {Trust: routing.TrustGateway}}
		Expect(r.g.Apply(cfg)).To(Succeed())
		Expect(r.do("GET", "/other", "").StatusCode).To(Equal(401))
		Expect(r.do("GET", "/a", "").StatusCode).To(Equal(200))
		cfg.Routing.Trust = "everybody"
		Expect(r.g.Apply(cfg)).To(MatchError(ContainSubstring("gateway, hybrid or service")))
		cfg.Routing.Trust = ""
		Expect(r.g.Apply(cfg)).To(Succeed())
		Expect(r.do("GET", "/a", "").StatusCode).To(Equal(401))
	})

	It("is limited by who calls, and those who show nothing together", func() {
		begin(routing.TrustService, func(c *gateway.Config) {
			c.Limits.Rules = []limit.Rule{{Name: "subjects", By: limit.BySubject, Rate: 1, Per: time.Hour}}
		})
		Expect(r.do("GET", "/a", "").StatusCode).To(Equal(200))
		Expect(r.do("GET", "/a", "").StatusCode).To(Equal(429))
		Expect(r.do("GET", "/a", "", "Authorization", token()).StatusCode).To(Equal(200))
		Expect(r.do("GET", "/a", "", "Authorization", token()).StatusCode).To(Equal(429))
	})
})
