package e2e

import (
	"encoding/json"
	"net/http"
	"os"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/stella-ops/router/e2e/fixture"
	"github.com/stella-ops/router/gateway/routing"
	"github.com/stella-ops/router/spec"
)

// operator asks the admin address.
func (s *stack) operator(path string, v any) {
	GinkgoHelper()
	a, err := try(http.MethodGet, "http://"+s.admin+path, http.NoBody)
	Expect(err).NotTo(HaveOccurred())
	Expect(a.StatusCode).To(Equal(http.StatusOK), "%s", a.body)
	Expect(json.Unmarshal([]byte(a.body), v)).To(Succeed(), "%s", a.body)
}

// services are those that operators see.
func (s *stack) services() []routing.ServiceView {
	GinkgoHelper()
	var v struct {
		Services []routing.ServiceView `json:"services"`
	}
	s.operator("/v1/services", &v)
	return v.Services
}

// quarantined are the reasons why instances of a service are not routed.
func (s *stack) quarantined(name string) []string {
	GinkgoHelper()
	reasons := []string{}
	for _, v := range s.services() {
		for _, in := range v.Instances {
			if v.Service == name && in.Quarantine != "" {
				reasons = append(reasons, in.Quarantine)
			}
		}
	}
	return reasons
}

// endpoints are what operators see of what is routed: the manifests, put together again.
func (s *stack) endpoints() map[string]*spec.Manifest {
	GinkgoHelper()
	var v struct {
		Endpoints []routing.EndpointView `json:"endpoints"`
		Manifests []routing.ManifestView `json:"manifests"`
	}
	s.operator("/v1/endpoints", &v)
	found := map[string]*spec.Manifest{}
	for _, m := range v.Manifests {
		found[m.Service] = &spec.Manifest{Service: m.Service, Version: m.Version, Doc: m.Doc, Schemas: m.Schemas}
	}
	for _, e := range v.Endpoints {
		m := found[e.Service]
		m.Endpoints = append(m.Endpoints, *e.Endpoint)
	}
	return found
}

// owner is the service that answers for an item at the moment.
func (s *stack) owner() string {
	var item fixture.Item
	a, err := try(http.MethodGet, s.url("/items/1"), http.NoBody)
	if err != nil || a.StatusCode != http.StatusOK || json.Unmarshal([]byte(a.body), &item) != nil {
		return ""
	}
	return item.Owner
}

var _ = everyForm("what operators see", func(start func(settings) *stack) {
	var s *stack

	BeforeAll(func() { s = start(settings{}) })

	It("is the manifest that was generated and reviewed, byte for byte", func() {
		reviewed, err := os.ReadFile("fixture/stella.manifest.json")
		Expect(err).NotTo(HaveOccurred())
		shown := s.endpoints()
		Expect(shown).To(HaveLen(1))
		Expect(shown["fixture"].Encode()).To(Equal(reviewed))
		services := s.services()
		Expect(services).To(HaveLen(1))
		Expect(services[0].ManifestDigest).To(Equal(spec.Digest(reviewed)))
		Expect(services[0].ContractDigest).To(Equal(shown["fixture"].ContractDigest))
		Expect(services[0].Instances).To(ConsistOf(HaveField("ManifestDigest", spec.Digest(reviewed))))
	})
})

var _ = everyForm("an instance is quarantined, visible with its reason and never routed,", func(start func(settings) *stack) {
	const forgotten = time.Second // until endpoints without an instance are

	var (
		s     *stack
		other program
	)

	BeforeEach(func() {
		s = start(settings{
			retain: forgotten, service: fixture.Variant{Only: []string{"GET /census", "GET /items/{id}"}},
		})
	})

	join := func(v fixture.Variant) {
		other = s.form.service(s, v)
		DeferCleanup(func() {
			if !other.ended() {
				other.end()
			}
		})
	}

	It("when another service owns its method and path; it is promoted when the owner is gone and forgotten", func() {
		join(fixture.Variant{Name: "rival", Only: []string{"GET /headers", "GET /items/{id}"}})
		Eventually(s.quarantined).WithArguments("rival").Should(ConsistOf(And(ContainSubstring("GET /items/{id}"), ContainSubstring("fixture"))))
		Expect(s.gateway.log()).To(And(ContainSubstring("instance quarantined"), ContainSubstring("service=rival")))
		Expect(s.endpoints()).To(HaveLen(1))
		Expect(call(http.MethodGet, s.url("/headers"), "").StatusCode).To(Equal(http.StatusNotFound), "although nobody else has it")
		for range 20 {
			Expect(s.owner()).To(Equal("fixture"))
		}

		s.fixture.end()
		Expect(s.quarantined("rival")).To(HaveLen(1), "the owner is gone, and not forgotten")
		Expect(call(http.MethodGet, s.url("/items/1"), "").StatusCode).To(Equal(http.StatusServiceUnavailable))
		Eventually(s.owner).Should(Equal("rival"))
		Expect(s.quarantined("rival")).To(BeEmpty())
		Expect(call(http.MethodGet, s.url("/headers"), "").StatusCode).To(Equal(http.StatusOK))
		Expect(s.gateway.log()).To(ContainSubstring("promoted from quarantine"))
	})

	It("when a live instance of its version has another contract; it is promoted when that is gone, with a warning", func() {
		join(fixture.Variant{Only: []string{"GET /census", "GET /headers", "GET /items/{id}"}})
		Eventually(s.quarantined).WithArguments("fixture").Should(ConsistOf(ContainSubstring("contract")))
		Eventually(s.gateway.log).Should(ContainSubstring("instance quarantined")) // its process writes it a moment later
		Expect(s.services()).To(HaveLen(2), "one for each contract")
		Expect(s.endpoints()["fixture"].Endpoints).To(HaveLen(2))
		Expect(call(http.MethodGet, s.url("/headers"), "").StatusCode).To(Equal(http.StatusNotFound))
		Expect(s.owner()).To(Equal("fixture"))

		s.fixture.end()
		Eventually(s.status).WithArguments("/headers").Should(Equal(http.StatusOK))
		Expect(s.quarantined("fixture")).To(BeEmpty())
		Expect(s.services()).To(ConsistOf(HaveField("Warning", ContainSubstring("without a new version"))))
		Expect(s.gateway.log()).To(ContainSubstring("contract replaced without a new version"))
	})

	It("but not when it comes back with another contract and no instance is live: it replaces the old one, with a warning", func() {
		s.fixture.end()
		join(fixture.Variant{Only: []string{"GET /headers", "GET /items/{id}"}})
		Eventually(s.status).WithArguments("/headers").Should(Equal(http.StatusOK))
		Expect(s.owner()).To(Equal("fixture"))
		Expect(call(http.MethodGet, s.url("/census"), "").StatusCode).To(Equal(http.StatusNotFound), "the new contract has no such endpoint")
		Expect(s.quarantined("fixture")).To(BeEmpty())
		Expect(s.services()).To(ConsistOf(HaveField("Warning", ContainSubstring("without a new version"))))
		Expect(s.gateway.log()).To(ContainSubstring("contract replaced without a new version"))
	})

	It("not at all when it has the contract of the others: both serve", func() {
		join(s.settings.service)
		Eventually(func() []routing.InstanceView { return s.services()[0].Instances }).Should(HaveLen(2))
		Expect(s.quarantined("fixture")).To(BeEmpty())
		Expect(s.services()[0].Warning).To(BeEmpty())
		s.fixture.end()
		Expect(s.owner()).To(Equal("fixture"))
	})
})
