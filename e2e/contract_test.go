package e2e

import (
	"encoding/json"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"github.com/onsi/gomega/gbytes"
	"github.com/onsi/gomega/gexec"

	"github.com/stella-ops/router/spec"
)

var _ = Describe("the contract that a gateway routes", func() {
	It("is what stellagen breaking and diff compare with", func() {
		admin, listen := address(), "tcp://"+address()
		start("gateway", nil, binary("stella-gateway"), "run", "--http", address(), "--listen", listen, "--admin", admin)
		start("billing", []string{"STELLA_GATEWAYS=" + listen}, binary("billing"))
		Eventually(func() []spec.Endpoint {
			a, err := try(http.MethodGet, "http://"+admin+"/v1/endpoints", http.NoBody)
			var shown struct {
				Endpoints []spec.Endpoint `json:"endpoints"`
			}
			if err == nil {
				err = json.Unmarshal([]byte(a.body), &shown)
			}
			if err != nil {
				return nil
			}
			return shown.Endpoints
		}).ShouldNot(BeEmpty())

		own, err := filepath.Abs("../examples/billing/stella.manifest.json")
		Expect(err).NotTo(HaveOccurred())
		source, err := os.ReadFile(own)
		Expect(err).NotTo(HaveOccurred())
		m, err := spec.ParseManifest(source)
		Expect(err).NotTo(HaveOccurred())
		gone := m.Endpoints[0].Method + " " + m.Endpoints[0].Path
		was := m.Version
		m.Endpoints, m.Version = m.Endpoints[1:], "1.99.0"
		source, err = m.Encode()
		Expect(err).NotTo(HaveOccurred())
		dir := GinkgoT().TempDir()
		changed := filepath.Join(dir, "changed.json")
		Expect(os.WriteFile(changed, source, 0o600)).To(Succeed())

		stellagen := func(code int, args ...string) *gexec.Session {
			GinkgoHelper()
			cmd := exec.Command(binary("stellagen"), args...)
			cmd.Dir = dir
			s, err := gexec.Start(cmd, GinkgoWriter, GinkgoWriter)
			Expect(err).NotTo(HaveOccurred())
			Eventually(s).Should(gexec.Exit(code))
			return s
		}
		live := "gateway:http://" + admin
		Expect(stellagen(0, "breaking", "--against", live, "--use", "STRICT", own).Err.Contents()).To(BeEmpty())
		Expect(stellagen(22, "breaking", "--against", live+"#"+was, changed).Err).
			To(gbytes.Say(gone + ": the endpoint was removed"))
		Expect(stellagen(0, "breaking", "--against", live+"#9.9.9", changed).Err).To(gbytes.Say("has no service billing"))
		Expect(stellagen(0, "diff", live, own).Out).To(gbytes.Say("billing: nothing differs."))
		Expect(stellagen(0, "diff", live, changed).Out).To(gbytes.Say("  - " + gone))
	})
})
