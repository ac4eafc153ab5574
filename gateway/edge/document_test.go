package edge_test

import (
	"encoding/json"
	"net/http"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/stella-ops/router/gateway"
)

var _ = Describe("the document of all services", func() {
	documented := func(c *gateway.Config) { c.OpenAPI = "Everything" }

	ask := func(r *rig, method, path, tag string) *http.Response {
		GinkgoHelper()
		q, err := http.NewRequest(method, r.url(path), nil)
		Expect(err).NotTo(HaveOccurred())
		if tag != "" {
			q.Header.Set("If-None-Match", tag)
		}
		resp, err := r.client.Do(q)
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(resp.Body.Close)
		return resp
	}
	paths := func(r *rig) []string {
		GinkgoHelper()
		var doc struct {
			OpenAPI string `json:"openapi"`
			Info    struct {
				Title string `json:"title"`
			} `json:"info"`
			Paths map[string]any `json:"paths"`
		}
		got := r.do("GET", "/openapi.json", "")
		Expect(got.StatusCode).To(Equal(200))
		Expect(json.Unmarshal([]byte(got.body), &doc)).To(Succeed())
		Expect(doc.OpenAPI).To(HavePrefix("3.1"))
		Expect(doc.Info.Title).To(Equal("Everything"))
		var list []string
		for p := range doc.Paths {
			list = append(list, p)
		}
		return list
	}

	It("has what is offered now, as JSON and as YAML", func() {
		r := start(documented)
		Expect(paths(r)).To(BeEmpty())
		r.join(identity{service: "one"}, echo, endpoint("GET", "/one"))
		two := r.join(identity{service: "two"}, echo, endpoint("POST", "/two/{id}"))
		Expect(paths(r)).To(ConsistOf("/one", "/two/{id}"))
		got := r.do("GET", "/openapi.yaml", "")
		Expect(got.Header.Get("Content-Type")).To(Equal("application/openapi+yaml"))
		Expect(got.body).To(And(MatchRegexp(`(?m)^openapi: .?3\.1`), ContainSubstring("\n  /two/{id}:\n")))
		Expect(two.Close()).To(Succeed())
		Eventually(func() []string { return paths(r) }).WithTimeout(patience).Should(ConsistOf("/one"))
	})

	It("is asked for again by its tag, which changes with what is offered alone", func() {
		r := start(documented)
		r.join(identity{service: "one"}, echo, endpoint("GET", "/one"))
		tag := ask(r, "GET", "/openapi.json", "").Header.Get("Etag")
		Expect(tag).NotTo(BeEmpty())
		for _, same := range []string{tag, "W/" + tag, `"x", ` + tag, "*"} {
			resp := ask(r, "GET", "/openapi.json", same)
			Expect(resp.StatusCode).To(Equal(304))
			Expect(resp.Header.Get("Etag")).To(Equal(tag))
			Expect(resp.Header.Get("Cache-Control")).To(Equal("public, max-age=60"))
		}
		r.join(identity{service: "one"}, echo, endpoint("GET", "/one")) // another instance of the same
		Expect(ask(r, "GET", "/openapi.json", tag).StatusCode).To(Equal(304))
		r.join(identity{service: "two"}, echo, endpoint("GET", "/two"))
		Expect(ask(r, "GET", "/openapi.json", tag).StatusCode).To(Equal(200))
	})

	It("is found by the well-known resources", func() {
		r := start(documented)
		Expect(r.do("GET", "/.well-known/openapi", "").body).To(ContainSubstring(`"openapiJson":"/openapi.json"`))
		Expect(r.do("GET", "/.well-known/api-catalog", "").body).To(ContainSubstring(`"service-desc"`))
		head := ask(r, "HEAD", "/openapi.json", "")
		Expect(head.StatusCode).To(Equal(200))
		Expect(head.ContentLength).To(BeNumerically(">", 0))
		options := ask(r, "OPTIONS", "/openapi.json", "")
		Expect(options.StatusCode).To(Equal(204))
		Expect(options.Header.Get("Allow")).To(Equal("GET, HEAD"))
		Expect(ask(r, "POST", "/openapi.json", "").StatusCode).To(Equal(405))
	})

	It("gives way to a service that has its path", func() {
		r := start(documented)
		r.join(identity{}, describe, endpoint("GET", "/openapi.json"))
		Expect(r.do("GET", "/openapi.json", "").body).To(HavePrefix("method="))
		Expect(r.do("GET", "/openapi.yaml", "").StatusCode).To(Equal(200))
	})

	It("is not there unless the configuration has it", func() {
		r := start()
		Expect(r.do("GET", "/openapi.json", "").StatusCode).To(Equal(404))
	})

	It("says to operators what it leaves out", func() {
		r := start(documented)
		r.join(identity{service: "one", version: "1.0.0"}, echo, endpoint("GET", "/one"))
		r.join(identity{service: "one", version: "2.0.0"}, echo, endpoint("GET", "/one"))
		status, body := r.admin("/v1/openapi")
		Expect(status).To(Equal(200))
		Expect(strings.ReplaceAll(body, " ", "")).To(ContainSubstring(`"endpoints":1`))
		Expect(body).To(ContainSubstring("GET /one of one 1.0.0 is left out: one 2.0.0 has it"))
	})
})
