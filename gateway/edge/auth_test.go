package edge_test

import (
	"os"
	"path/filepath"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/stella-ops/router/gateway"
	"github.com/stella-ops/router/gateway/auth"
	"github.com/stella-ops/router/spec"
)

var _ = Describe("an endpoint with claims", func() {
	dev := func() (*rig, *auth.DevKey, string) {
		GinkgoHelper()
		dir := GinkgoT().TempDir()
		file := filepath.Join(dir, "token")
		r := start(func(c *gateway.Config) { c.Dev = &gateway.Dev{TokenFile: file} })
		key, err := auth.LoadDevKey(file + ".key")
		Expect(err).NotTo(HaveOccurred())
		return r, key, file
	}
	token := func(key *auth.DevKey, at time.Time, list ...spec.Claim) string {
		GinkgoHelper()
		t, err := key.Token(list, at, time.Minute)
		Expect(err).NotTo(HaveOccurred())
		return "Bearer " + t
	}

	It("answers 401 as long as no authentication is configured", func() {
		r := start()
		m := r.join(identity{}, describe, endpoint("GET", "/a", claims("scope=read")))
		for _, header := range [][]string{nil, {"Authorization", "Bearer x.y.z"}} {
			got := r.do("GET", "/a", "", header...)
			Expect(got.StatusCode).To(Equal(401))
			Expect(got.Header.Get("Www-Authenticate")).To(HavePrefix("Bearer"))
		}
		Expect(m.tap.received(spec.TypeRequest)).To(BeEmpty())
	})

	It("answers 401 without a good token, 403 without the claim, and passes the identity on otherwise", func() {
		r, key, _ := dev()
		m := r.join(identity{}, describe, endpoint("GET", "/a", claims("scope=read", "team")))
		got := r.do("GET", "/a", "")
		Expect(got.StatusCode).To(Equal(401))
		Expect(got.Header.Get("Www-Authenticate")).To(Equal("Bearer"))

		now := time.Now()
		for _, bad := range []string{
			"Bearer rubbish", "Basic YTpi", "Bearer", token(key, now.Add(-time.Hour), spec.Claim{Type: "scope", Value: "read"}),
			token(key, now) + "x",
		} {
			got = r.do("GET", "/a", "", "Authorization", bad)
			Expect(got.StatusCode).To(Equal(401), bad)
			Expect(got.Header.Get("Www-Authenticate")).To(ContainSubstring("error="))
		}
		got = r.do("GET", "/a", "", "Authorization", token(key, now, spec.Claim{Type: "scope", Value: "write"}, spec.Claim{Type: "team", Value: "x"}))
		Expect(got.StatusCode).To(Equal(403))
		Expect(got.body).To(ContainSubstring("scope=read"))
		Expect(m.tap.received(spec.TypeRequest)).To(BeEmpty())

		good := token(key, now, spec.Claim{Type: "scope", Value: "write"}, spec.Claim{Type: "scope", Value: "read"}, spec.Claim{Type: "team", Value: "x"})
		for range 2 { // the second time from memory
			got = r.do("GET", "/a", "", "authorization", strings.Replace(good, "Bearer", "bearer", 1))
			Expect(got.StatusCode).To(Equal(200))
			Expect(got.body).To(ContainSubstring("subject=developer"))
			Expect(got.body).To(ContainSubstring("{scope read}"))
			Expect(got.body).NotTo(ContainSubstring("header Authorization"), "the credential ends at the gateway")
		}
	})

	It("is refused two Authorization fields", func() {
		r, key, _ := dev()
		r.join(identity{}, describe, endpoint("GET", "/a", claims("scope=read")))
		good := token(key, time.Now(), spec.Claim{Type: "scope", Value: "read"})
		Expect(r.do("GET", "/a", "", "Authorization", good, "Authorization", good).StatusCode).To(Equal(401))
	})

	It("is answered by the token in the development file, which follows what services ask for", func() {
		r, _, file := dev()
		r.join(identity{service: "one"}, describe, endpoint("GET", "/a", claims("scope=read", "team")))
		r.join(identity{service: "two"}, describe, endpoint("GET", "/b", claims("scope=write")))
		Eventually(func(g Gomega) {
			text, err := os.ReadFile(file)
			g.Expect(err).NotTo(HaveOccurred())
			bearer := "Bearer " + strings.TrimSpace(string(text))
			g.Expect(r.do("GET", "/a", "", "Authorization", bearer).StatusCode).To(Equal(200))
			g.Expect(r.do("GET", "/b", "", "Authorization", bearer).StatusCode).To(Equal(200))
		}).WithTimeout(patience).Should(Succeed())
		info, err := os.Stat(file)
		Expect(err).NotTo(HaveOccurred())
		Expect(info.Mode().Perm()).To(BeEquivalentTo(0o600))
	})
})

var _ = Describe("a public endpoint", func() {
	It("gets Authorization as it came, and no identity", func() {
		r := start()
		r.join(identity{}, describe, endpoint("GET", "/a"))
		got := r.do("GET", "/a", "", "Authorization", "Basic YTpi")
		Expect(got.StatusCode).To(Equal(200))
		Expect(got.body).To(ContainSubstring("header Authorization: Basic YTpi"))
		Expect(got.body).NotTo(ContainSubstring("subject="))
	})
})
