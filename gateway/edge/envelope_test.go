package edge_test

import (
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/stella-ops/router/gateway"
	"github.com/stella-ops/router/gateway/auth"
	"github.com/stella-ops/router/gateway/edge"
	"github.com/stella-ops/router/spec"
)

var _ = Describe("the envelope", func() {
	var (
		r             *rig
		key           *auth.DevKey
		cfg           gateway.Config
		keyFile       string
		legacy, other *recorder
	)
	first, second := strings.Repeat("1", spec.MinEnvelopeKey), strings.Repeat("2", spec.MinEnvelopeKey)
	bridged := func(e *spec.Endpoint) { e.Kind = spec.KindHTTP }
	BeforeEach(func() {
		dir := GinkgoT().TempDir()
		keyFile = filepath.Join(dir, "keys")
		Expect(os.WriteFile(keyFile, []byte("# the first one signs\n"+first+"\n"+second+"\n"), 0o600)).To(Succeed())
		r = start(func(c *gateway.Config) {
			c.Dev = &gateway.Dev{TokenFile: filepath.Join(dir, "token")}
			c.Policy.Envelope = &edge.Envelope{KeyFile: keyFile, Services: []string{"legacy"}}
			cfg = *c
		})
		var err error
		key, err = auth.LoadDevKey(filepath.Join(dir, "token.key"))
		Expect(err).NotTo(HaveOccurred())
		legacy, other = &recorder{}, &recorder{}
		r.join(identity{service: "legacy"}, legacy.serve, endpoint("GET", "/a", bridged, claims("scope")), endpoint("GET", "/raw", claims("scope")),
			endpoint("GET", "/open", bridged))
		r.join(identity{service: "other"}, other.serve, endpoint("GET", "/b", bridged, claims("scope")))
	})
	token := func() string {
		GinkgoHelper()
		t, err := key.Token([]spec.Claim{
			{Type: "scope", Value: "a"}, {Type: "scope", Value: "b"}, {Type: "tenant", Value: "acme"}, {Type: "roles", Value: "clerk"},
		}, time.Now(), time.Minute)
		Expect(err).NotTo(HaveOccurred())
		return "Bearer " + t
	}
	// sent are the values of a field that a service got.
	sent := func(q *spec.Request, name string) []string {
		var values []string
		for _, f := range q.Header {
			if strings.EqualFold(f.Name, name) {
				values = append(values, f.Value)
			}
		}
		return values
	}
	// ask asks as somebody, and returns the only request that the service got.
	ask := func(from *recorder, path string, header ...string) *spec.Request {
		GinkgoHelper()
		Expect(r.do("GET", path, "", header...).StatusCode).To(Equal(http.StatusOK))
		seen := from.take()
		Expect(seen).To(HaveLen(1))
		return &seen[0]
	}
	open := func(q *spec.Request, keys ...string) (*spec.Envelope, error) {
		GinkgoHelper()
		texts, signatures := sent(q, spec.HeaderEnvelope), sent(q, spec.HeaderEnvelopeSignature)
		Expect(texts).To(HaveLen(1))
		Expect(signatures).To(HaveLen(1))
		var good [][]byte
		for _, k := range keys {
			good = append(good, []byte(k))
		}
		return spec.OpenEnvelope(texts[0], signatures[0], "legacy", good, time.Now())
	}
	forged := []string{spec.HeaderEnvelope, evil, strings.ToLower(spec.HeaderEnvelopeSignature), evil, strings.ReplaceAll(spec.HeaderEnvelope, "-", "_"), evil}

	It("tells bridged handlers of services that are listed who calls", func() {
		q := ask(legacy, "/a", append(forged, "Authorization", token())...)
		e, err := open(q, first)
		Expect(err).NotTo(HaveOccurred())
		Expect(e.Subject).To(Equal(q.Identity.Subject))
		Expect(e.Tenant).To(Equal("acme"))
		Expect(e.Scopes).To(ConsistOf("a", "b"))
		Expect(e.Roles).To(ConsistOf("clerk"))
		Expect(e.Request).To(Equal(q.ID.String()))
		Expect(e.Expires - e.IssuedAt).To(BeEquivalentTo(60))
		Expect(string(q.AppendTo(nil))).NotTo(ContainSubstring(evil), "a client's own never passes")
		Expect(sent(q, "Authorization")).To(BeEmpty())
		_, err = open(q, second)
		Expect(err).To(MatchError(spec.ErrEnvelope))
	})

	DescribeTable("is nowhere else, whatever a client sends", func(path string, from func() *recorder, identified bool) {
		header := forged
		if identified {
			header = append(slices.Clip(header), "Authorization", token())
		}
		q := ask(from(), path, header...)
		Expect(q.Identity != nil).To(Equal(identified))
		Expect(sent(q, spec.HeaderEnvelope)).To(BeEmpty())
		Expect(sent(q, spec.HeaderEnvelopeSignature)).To(BeEmpty())
		Expect(string(q.AppendTo(nil))).NotTo(ContainSubstring(evil))
	},
		Entry("not at endpoints that are told the identity anyway", "/raw", func() *recorder { return legacy }, true),
		Entry("not at services that are not listed", "/b", func() *recorder { return other }, true),
		Entry("not at public endpoints, where nobody has proved anything", "/open", func() *recorder { return legacy }, false),
	)

	It("is signed with the first key of the file as it is now", func() {
		Expect(os.WriteFile(keyFile+".new", []byte(second+"\n"), 0o600)).To(Succeed())
		Expect(os.Rename(keyFile+".new", keyFile)).To(Succeed())
		Eventually(func() error {
			_, err := open(ask(legacy, "/a", "Authorization", token()), second)
			return err
		}).WithTimeout(patience).Should(Succeed())
		Expect(os.WriteFile(keyFile+".new", []byte("short\n"), 0o600)).To(Succeed())
		Expect(os.Rename(keyFile+".new", keyFile)).To(Succeed())
		_, err := open(ask(legacy, "/a", "Authorization", token()), second)
		Expect(err).NotTo(HaveOccurred(), "a file that is wrong leaves the last good key in use")
		Expect(r.g.Apply(cfg)).To(MatchError(ContainSubstring("openssl rand")), "and a reload with it changes nothing")
		_, err = open(ask(legacy, "/a", "Authorization", token()), second)
		Expect(err).NotTo(HaveOccurred())
		cfg.Policy.Envelope = nil
		Expect(r.g.Apply(cfg)).To(Succeed())
		Expect(sent(ask(legacy, "/a", "Authorization", token()), spec.HeaderEnvelope)).To(BeEmpty())
	})

	It("takes no more fields than a request may have", func() {
		header := []string{"Authorization", token()}
		for i := range 125 { // with User-Agent, which the client sends by itself, these are 126: two more have room
			header = append(header, "X-Plain-"+strconv.Itoa(i), "1")
		}
		Expect(ask(legacy, "/a", header...).Header).To(HaveLen(spec.MaxFields))
		header = append(header, "X-Plain-A", "1")
		Expect(ask(other, "/b", header...).Header).To(HaveLen(127))
		got := r.do("GET", "/a", "", header...)
		Expect(got.StatusCode).To(Equal(431))
		Expect(got.body).To(ContainSubstring("with the identity"))
		Expect(legacy.take()).To(BeEmpty())
	})

	DescribeTable("has keys and services, or the gateway does not start", func(text string, services []string, why string) {
		Expect(os.WriteFile(keyFile, []byte(text), 0o600)).To(Succeed())
		p := edge.Policy{Envelope: &edge.Envelope{KeyFile: keyFile, Services: services}}
		Expect(p.Check()).To(MatchError(ContainSubstring(why)))
	},
		Entry("an empty file", "", []string{"legacy"}, "holds no"),
		Entry("a short key", "short", []string{"legacy"}, "at least 32"),
		Entry("two words", first+" "+second, []string{"legacy"}, "at least 32"),
		Entry("a short key behind a good one", first+"\nshort", []string{"legacy"}, ":2:"),
		Entry("no services", first, nil, "the services that get it"),
		Entry("a service that is no name", first, []string{"Legacy!"}, "Legacy!"),
	)
})
