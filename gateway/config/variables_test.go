package config_test

import (
	"os"
	"regexp"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/stella-ops/router/gateway/config"
)

var _ = Describe("the variables of the environment", func() {
	It("are known where a gateway reads them, or a service", func() {
		for file, pattern := range map[string]string{
			"../../docs/reference/configuration.md": "`(STELLA_\\w+)` \\|\n", "../cmd/stella-gateway/run.go": `env:"(STELLA_\w+)"`,
			"../cmd/stella-gateway/ctl.go": `env:"(STELLA_\w+)"`, "../../runtime/config.go": `= "(STELLA_\w+)"`,
		} {
			source, err := os.ReadFile(file)
			Expect(err).NotTo(HaveOccurred())
			found := regexp.MustCompile(pattern).FindAllStringSubmatch(string(source), -1)
			Expect(found).NotTo(BeEmpty())
			for _, name := range found {
				Expect(config.UnknownVariables([]string{name[1] + "=x"})).To(BeEmpty())
			}
		}
	})

	It("are unknown where nobody does, and one that was meant is named", func() {
		Expect(config.UnknownVariables([]string{"PATH=/bin", "STELLA_REGON=eu", "STELLA_BOGUS=1", "STELLA_LIMITS_STOR=x"})).To(Equal([]config.UnknownVariable{
			{Name: "STELLA_REGON", Nearest: "STELLA_REGION"}, {Name: "STELLA_BOGUS"}, {Name: "STELLA_LIMITS_STOR", Nearest: "STELLA_LIMITS_STORE"},
		}))
	})
})
