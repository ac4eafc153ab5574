package stella

import (
	"os"
	"regexp"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

var _ = Describe("the variables of Stella", func() {
	It("are those that services read and those that the gateway's command reads", func() {
		read := func(file, pattern string) {
			GinkgoHelper()
			source, err := os.ReadFile(file)
			Expect(err).NotTo(HaveOccurred())
			found := regexp.MustCompile(pattern).FindAllStringSubmatch(string(source), -1)
			Expect(found).NotTo(BeEmpty())
			for _, name := range found {
				Expect(isKnown(name[1])).To(BeTrue(), name[1])
			}
		}
		read("../docs/reference/configuration.md", "`(STELLA_\\w+)` \\|\n")
		read("../gateway/cmd/stella-gateway/run.go", `env:"(STELLA_\w+)"`)
		read("../gateway/cmd/stella-gateway/ctl.go", `env:"(STELLA_\w+)"`)
	})

	DescribeTable("that a wrong name most probably meant", func(name, want string) {
		Expect(nearest(name)).To(Equal(want))
	},
		Entry("one letter too few", "STELLA_GATEWAY", EnvGateways),
		Entry("one letter changed", "STELLA_LEESE", EnvLease),
		Entry("two letters swapped", "STELLA_RGEION", EnvRegion),
		Entry("half of it", "STELLA_INSTANCE", EnvInstanceID),
		Entry("lower case", "STELLA_grace", EnvGrace),
	)
})
