package stella

import (
	"os"
	"regexp"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

var _ = Describe("the variables of Stella", func() {
	It("are those that services read and those that the gateway's command reads", func() {
		source, err := os.ReadFile("../gateway/cmd/stella-gateway/main.go")
		Expect(err).NotTo(HaveOccurred())
		read := regexp.MustCompile(`env:"(STELLA_\w+)"`).FindAllStringSubmatch(string(source), -1)
		Expect(read).NotTo(BeEmpty())
		known := append(append([]string{}, variables...), gatewayVariables...)
		for _, name := range read {
			Expect(known).To(ContainElement(name[1]))
		}
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
