package config_test

import (
	"bytes"
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

var _ = Describe("the YAML in the operators' pages", func() {
	for _, page := range []string{"authentication.md", "limits.md", "operating.md", "overlays.md", "routing.md", "shift.md"} {
		It("of "+page+" is taken", func() {
			text, err := os.ReadFile("../../docs/" + page)
			Expect(err).NotTo(HaveOccurred())
			found := regexp.MustCompile("(?s)```yaml\n(.*?)```").FindAllSubmatch(text, -1)
			Expect(found).NotTo(BeEmpty())
			for _, block := range found {
				if page == "overlays.md" && bytes.HasPrefix(block[1], []byte("# What this deployment")) {
					continue // a service's overlay: runtime/overlay reads it
				}
				_, err := config.Load(config.Source{Name: page, Text: block[1]})
				Expect(err).NotTo(HaveOccurred(), string(block[1]))
			}
		})
	}
})
