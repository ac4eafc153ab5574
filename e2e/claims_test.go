package e2e

import (
	"encoding/json"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/stella-ops/router/gateway"
)

var _ = everyForm("an endpoint that requires claims", func(start func(settings) *stack) {
	It("answers 401 to everybody where no authentication is configured", func() {
		s := start(settings{})
		mark := s.tap.mark()
		for _, o := range [][]option{nil, {bearer("anything")}} {
			a := call(http.MethodGet, s.url("/claimed"), "", o...)
			Expect(a.StatusCode).To(Equal(http.StatusUnauthorized))
			Expect(a.Header.Get("Www-Authenticate")).To(HavePrefix("Bearer"))
			Expect(a.problem().Origin).To(Equal("gateway"))
		}
		Expect(s.tap.requests(mark)).To(BeZero())
	})

	Describe("with a development key", func() {
		var (
			s         *stack
			tokenFile string
			keyFile   string
		)

		BeforeAll(func() {
			dir := GinkgoT().TempDir()
			tokenFile, keyFile = filepath.Join(dir, "token"), filepath.Join(dir, "key")
			s = start(settings{dev: &gateway.Dev{TokenFile: tokenFile, KeyFile: keyFile}})
		})

		token := func(args ...string) string {
			GinkgoHelper()
			out, err := exec.Command(binary("stella-gateway"), append([]string{"token", "--dev-key", keyFile}, args...)...).Output()
			Expect(err).NotTo(HaveOccurred())
			return strings.TrimSpace(string(out))
		}

		DescribeTable("refuses before the service sees a REQUEST",
			func(status int, options func() []option) {
				mark := s.tap.mark()
				a := call(http.MethodGet, s.url("/claimed"), "", options()...)
				Expect(a.StatusCode).To(Equal(status), "%s", a.body)
				Expect(a.problem().Origin).To(Equal("gateway"))
				Expect(s.tap.requests(mark)).To(BeZero())
			},
			Entry("no token: 401", http.StatusUnauthorized, func() []option { return nil }),
			Entry("no token at all: 401", http.StatusUnauthorized, func() []option { return []option{bearer("x.y.z")} }),
			Entry("a token that was tampered with: 401", http.StatusUnauthorized, func() []option {
				t := token("--claim", "scope=fixture:read", "--ttl", "1m")
				dot := strings.LastIndexByte(t, '.')
				return []option{bearer(t[:dot+1] + strings.Repeat("A", len(t)-dot-1))}
			}),
			Entry("a token without the claim: 403", http.StatusForbidden, func() []option {
				return []option{bearer(token("--claim", "scope=fixture:write", "--ttl", "1m"))}
			}),
			Entry("a token with the claim's value under another type: 403", http.StatusForbidden, func() []option {
				return []option{bearer(token("--claim", "role=fixture:read", "--ttl", "1m"))}
			}),
		)

		It("serves a token with the claim", func() {
			a := call(http.MethodGet, s.url("/claimed"), "", bearer(token("--claim", "scope=fixture:read", "--ttl", "1m")))
			Expect(a.StatusCode).To(Equal(http.StatusOK), "%s", a.body)
			var who struct {
				Subject string `json:"subject"`
			}
			Expect(json.Unmarshal([]byte(a.body), &who)).To(Succeed())
			Expect(who.Subject).NotTo(BeEmpty())
		})

		It("serves the token that the gateway wrote for its owner alone, once it knows the service", func() {
			var text []byte
			Eventually(func(g Gomega) {
				info, err := os.Stat(tokenFile)
				g.Expect(err).NotTo(HaveOccurred())
				g.Expect(info.Mode().Perm()).To(Equal(os.FileMode(0o600)))
				text, err = os.ReadFile(tokenFile)
				g.Expect(err).NotTo(HaveOccurred())
				a, err := try(http.MethodGet, s.url("/claimed"), http.NoBody, bearer(strings.TrimSpace(string(text))))
				g.Expect(err).NotTo(HaveOccurred())
				g.Expect(a.StatusCode).To(Equal(http.StatusOK), "%s", a.body)
			}).Within(5 * time.Second).Should(Succeed())
		})
	})
})

var _ = Describe("an endpoint with neither claims nor a reason to be public", func() {
	It("is refused by stellagen", func() {
		out := generate(map[string]string{"service.go": `// Package shop is a shop.
//
//stella:service shop version=1.0.0
package shop

import "context"

type In struct{}
type Out struct{}

//stella:endpoint GET /things
func Things(ctx context.Context, in *In) (*Out, error) { return nil, nil }
`})
		Expect(out.code).To(Equal(2))
		Expect(out.text).To(MatchRegexp(`service\.go:11:\d+: STL\d{4}: `))
		Expect(out.text).To(And(ContainSubstring("//stella:claim"), ContainSubstring("//stella:public")))
		Expect(out.written).To(BeEmpty())
	})
})
