package e2e

import (
	"encoding/json"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"github.com/onsi/gomega/gbytes"
	"github.com/onsi/gomega/gexec"

	"github.com/stella-ops/router/gateway/routing"
	"github.com/stella-ops/router/spec"
)

var _ = Describe("A deployment's overlay", func() {
	write := func(name, text string) string {
		GinkgoHelper()
		file := filepath.Join(GinkgoT().TempDir(), name)
		Expect(os.WriteFile(file, []byte(text), 0o600)).To(Succeed())
		return file
	}

	It("counts at the gateway as far as its policy allows, and operators see what is in force and where it is said", func() {
		listen, admin, front := "tcp://"+address(), address(), address()
		config := write("gateway.yaml", `
services:
  billing:
    overlays: {loosen: [timeout]}
endpoints:
  - {service: billing, endpoint: "GET /invoices/{id}", idle: 3s}
`)
		token := filepath.Join(GinkgoT().TempDir(), "token")
		start("gateway", []string{"STELLA_HTTP=" + front, "STELLA_LISTEN=" + listen, "STELLA_ADMIN=" + admin},
			binary("stella-gateway"), "run", "--config", config, "--dev", "--dev-token-file", token)
		start("billing", []string{
			"STELLA_GATEWAYS=" + listen, "STELLA_OVERLAY=" + write("production.yaml", `
endpoints:
  POST /invoices:
    timeout: 50s
    body: 10B
  GET /invoices/{id}:
    idle: 10m
    claims: [scope billing:read, role clerk]
`),
		}, binary("billing"), "--data", GinkgoT().TempDir())

		shown := func(name string) routing.EndpointView {
			GinkgoHelper()
			var views []routing.EndpointView
			Eventually(func(g Gomega) {
				out, err := exec.Command(binary("stella-gateway"), "ctl", "--admin", admin, "endpoints", "show", name, "--format", "json").Output()
				g.Expect(err).NotTo(HaveOccurred())
				g.Expect(json.Unmarshal(out, &views)).To(Succeed(), "%s", out)
				g.Expect(views).To(HaveLen(1))
			}).Should(Succeed())
			return views[0]
		}
		post := shown("POST /invoices")
		Expect(post.InForce.TimeoutMS).To(BeEquivalentTo(50_000), "the policy lets it be longer")
		Expect(post.InForce.MaxBodyBytes).To(BeEquivalentTo(10))
		Expect(post.InForce.Origins).To(Equal(map[string]string{"timeout": "production.yaml:4:14", "body": "production.yaml:5:11"}))
		Expect(post.Endpoint.Limits.MaxBodyBytes).To(BeNumerically(">", 10), "the manifest is as it was reviewed")
		get := shown("GET /invoices/{id}")
		Expect(get.Effective.Claims).To(Equal([]spec.ClaimRequirement{{Type: "scope", Value: "billing:read"}, {Type: "role", Value: "clerk"}}))
		Expect(get.Effective.Origin).To(Equal("production.yaml:8:13"))
		Expect(get.InForce.IdleMS).To(BeEquivalentTo(3000))
		Expect(get.InForce.Origins).To(HaveKeyWithValue("idle", ContainSubstring("gateway.yaml:6:5")))
		Expect(get.InForce.Refused).To(ConsistOf(HavePrefix("idle 10m0s (production.yaml:7:11), the manifest says ")))

		bearing := func() option {
			text, err := os.ReadFile(token)
			Expect(err).NotTo(HaveOccurred())
			return bearer(strings.TrimSpace(string(text)))
		}
		a := call(http.MethodPost, "http://"+front+"/invoices", strings.Repeat("x", 11), bearing())
		Expect(a.StatusCode).To(Equal(http.StatusRequestEntityTooLarge), "%s", a.body)
		Expect(a.problem().Origin).To(Equal("gateway"))
		Expect(call(http.MethodGet, "http://"+front+"/invoices/1", "").StatusCode).To(Equal(http.StatusUnauthorized))
	})

	It("that is wrong keeps the service from starting, and says where", func() {
		file := write("overlay.yaml", "endpoints:\n  POST /invoices: {timeot: 1s, body: many}\n")
		p := start("billing", []string{"STELLA_OVERLAY=" + file}, binary("billing"), "--data", GinkgoT().TempDir())
		Eventually(p).Should(gexec.Exit(1))
		Expect(p.Err).To(gbytes.Say("overlay.yaml:2:20: unknown key .*timeot.*did you mean timeout"))
		Expect(p.log()).To(ContainSubstring("overlay.yaml:2:38: body: size"))
	})

	It("needs a program that reads overlays", func() {
		p := start("echo", []string{"STELLA_OVERLAY=overlay.yaml"}, binary("echo"))
		Eventually(p).Should(gexec.Exit(1))
		Expect(p.log()).To(ContainSubstring("STELLA_OVERLAY: overlay.yaml: this program reads no overlays: import _"))
	})
})
