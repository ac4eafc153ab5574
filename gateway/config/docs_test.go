package config_test

import (
	"os"
	"regexp"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/stella-ops/router/gateway/config"
)

var _ = Describe("docs/operating.md", func() {
	It("shows a file that is taken, and the faults of one that is not", func() {
		text, err := os.ReadFile("../../docs/operating.md")
		Expect(err).NotTo(HaveOccurred())
		block := func(language string) string {
			GinkgoHelper()
			found := regexp.MustCompile("(?s)```" + language + "\n(.*?)```").FindSubmatch(text)
			Expect(found).NotTo(BeNil())
			return string(found[1])
		}
		file := block("yaml")
		_, err = config.Load(config.Source{Name: "gateway.yaml", Text: []byte(file)})
		Expect(err).NotTo(HaveOccurred())
		file = strings.NewReplacer("transports:", "transport:", "level: info", "level: loud").Replace(file)
		_, err = config.Load(config.Source{Name: "gateway.yaml", Text: []byte(file)})
		Expect(err).To(HaveOccurred())
		Expect(err.Error() + "\n").To(Equal(block("text")))
	})
})
