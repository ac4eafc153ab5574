package edge_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"github.com/quic-go/quic-go/http3"

	"github.com/stella-ops/router/gateway"
	"github.com/stella-ops/router/gateway/auth"
	"github.com/stella-ops/router/gateway/edge"
	"github.com/stella-ops/router/gateway/limit"
	"github.com/stella-ops/router/gateway/routing"
	"github.com/stella-ops/router/spec"
	"github.com/stella-ops/router/transports/session"
	"github.com/stella-ops/router/transports/trust"
)

var _ = Describe("a client's certificate", func() {
	var (
		dir       string
		authority *trust.Authority
		roots     *x509.CertPool
		devKey    *auth.DevKey
		cfg       gateway.Config
	)
	BeforeEach(func() {
		dir = GinkgoT().TempDir()
		var err error
		authority, err = trust.OpenAuthority(dir)
		Expect(err).NotTo(HaveOccurred())
		ca, err := os.ReadFile(filepath.Join(dir, "ca.pem"))
		Expect(err).NotTo(HaveOccurred())
		roots = x509.NewCertPool()
		Expect(roots.AppendCertsFromPEM(ca)).To(BeTrue())
	})
	rule := func(scopes ...string) *auth.CertRule {
		r := &auth.CertRule{}
		for _, s := range scopes {
			r.Grants = append(r.Grants, auth.Grant{Subject: "billing.example", Claims: []spec.Claim{{Type: "scope", Value: s}}})
		}
		return r
	}
	begin := func(certificates *auth.CertRule, required bool, change ...func(*gateway.Config)) (*rig, *member) {
		GinkgoHelper()
		cert, key, err := authority.IssueFiles(dir, "front", "127.0.0.1")
		Expect(err).NotTo(HaveOccurred())
		r := start(append(change, func(c *gateway.Config) {
			c.Dev = &gateway.Dev{TokenFile: filepath.Join(dir, "token")}
			c.HTTP, c.Listeners = "", []gateway.Listener{{Address: "127.0.0.1:0", TLS: &gateway.ListenerTLS{
				Cert: cert, Key: key, ClientCAs: filepath.Join(dir, "ca.pem"), Required: required, HTTP3: true,
			}}}
			c.Policy.Certificates = certificates
			cfg = *c
		})...)
		devKey, err = auth.LoadDevKey(filepath.Join(dir, "token.key"))
		Expect(err).NotTo(HaveOccurred())
		return r, r.join(identity{}, describe, endpoint("GET", "/a", claims("scope=orders:read")), endpoint("GET", "/open"))
	}
	credentials := func(c *gateway.Config) {
		c.Policy.CORS = []edge.CORS{
			{Path: "/", Origins: []string{"https://app.example", "https://*.app.example"}, Credentials: true},
			{Path: "/a/read", Origins: []string{"https://app.example"}},
		}
	}
	shown := func(a *trust.Authority, end time.Time, names ...string) []tls.Certificate {
		GinkgoHelper()
		cert, key, err := a.IssueFor(end, names...)
		Expect(err).NotTo(HaveOccurred())
		pair, err := tls.X509KeyPair(cert, key)
		Expect(err).NotTo(HaveOccurred())
		return []tls.Certificate{pair}
	}
	later := func() time.Time { return time.Now().Add(time.Hour) }

	// ask asks by a version of HTTP, and returns the answer or why there is none.
	ask := func(r *rig, version, path string, certificates []tls.Certificate, header ...string) (answer, error) {
		GinkgoHelper()
		cfg := &tls.Config{RootCAs: roots, Certificates: certificates}
		var transport http.RoundTripper
		if version == "3" {
			t := &http3.Transport{TLSClientConfig: cfg}
			defer t.Close()
			transport = t
		} else {
			t := &http.Transport{TLSClientConfig: cfg, ForceAttemptHTTP2: version == "2"}
			defer t.CloseIdleConnections()
			transport = t
		}
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		q, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://"+r.g.HTTPAddr()+path, nil)
		Expect(err).NotTo(HaveOccurred())
		for i := 0; i+1 < len(header); i += 2 {
			q.Header.Add(header[i], header[i+1])
		}
		resp, err := transport.RoundTrip(q)
		if err != nil {
			return answer{}, err
		}
		defer resp.Body.Close()
		Expect(resp.ProtoMajor).To(BeEquivalentTo(version[0] - '0'))
		b, err := io.ReadAll(resp.Body)
		return answer{resp, string(b), err}, err
	}

	for _, version := range []string{"1", "2", "3"} {
		It("proves by HTTP/"+version+" who calls, and nothing else does in its place", func() {
			r, m := begin(rule("orders:*"), false)
			got, err := ask(r, version, "/a", shown(authority, later(), "billing.example"))
			Expect(err).NotTo(HaveOccurred())
			Expect(got.StatusCode).To(Equal(200), got.body)
			Expect(got.body).To(And(ContainSubstring("subject=billing.example tenant= "), ContainSubstring("{scope orders:*}"),
				ContainSubstring("{cert.san DNS:billing.example}"), ContainSubstring("cert.sha256")))
			calls := len(m.tap.received(spec.TypeRequest))

			got, err = ask(r, version, "/a", nil)
			Expect(err).NotTo(HaveOccurred())
			Expect(got.StatusCode).To(Equal(401), "no certificate")
			Expect(got.body).To(ContainSubstring("a bearer token, or a client certificate"))
			got, err = ask(r, version, "/a", shown(authority, later(), "other.example"))
			Expect(err).NotTo(HaveOccurred())
			Expect(got.StatusCode).To(Equal(403), "it holds nothing that is asked for")
			got, err = ask(r, version, "/a", shown(authority, later(), "*.example"))
			Expect(err).NotTo(HaveOccurred())
			Expect(got.StatusCode).To(Equal(401), "it names nobody")

			other, err := trust.OpenAuthority(GinkgoT().TempDir())
			Expect(err).NotTo(HaveOccurred())
			for _, bad := range [][]tls.Certificate{
				shown(other, later(), "billing.example"), shown(authority, time.Now().Add(-time.Minute), "billing.example"),
			} {
				_, err = ask(r, version, "/a", bad)
				Expect(err).To(HaveOccurred(), "another CA's, or one that has expired: the handshake fails")
				_, err = ask(r, version, "/open", bad)
				Expect(err).To(HaveOccurred())
			}
			Expect(m.tap.received(spec.TypeRequest)).To(HaveLen(calls))
		})
	}

	It("proves the same where a session of TLS is taken up again, and nothing once its root is trusted no more", func() {
		r, m := begin(rule("orders:read"), false)
		cfg := &tls.Config{RootCAs: roots, Certificates: shown(authority, later(), "billing.example"), ClientSessionCache: tls.NewLRUClientSessionCache(1)}
		again := func() (resumed bool, status int) {
			GinkgoHelper()
			transport := &http.Transport{TLSClientConfig: cfg, ForceAttemptHTTP2: true}
			defer transport.CloseIdleConnections()
			resp, err := (&http.Client{Transport: transport, Timeout: patience}).Get("https://" + r.g.HTTPAddr() + "/a")
			if err != nil {
				return false, 0
			}
			_, _ = io.Copy(io.Discard, resp.Body) // a session's ticket comes behind the handshake
			Expect(resp.Body.Close()).To(Succeed())
			return resp.TLS.DidResume, resp.StatusCode
		}
		_, status := again()
		Expect(status).To(Equal(200))
		resumed, status := again()
		Expect(resumed).To(BeTrue())
		Expect(status).To(Equal(200))
		calls := len(m.tap.received(spec.TypeRequest))

		other := GinkgoT().TempDir()
		_, err := trust.OpenAuthority(other)
		Expect(err).NotTo(HaveOccurred())
		roots, err := os.ReadFile(filepath.Join(other, "ca.pem"))
		Expect(err).NotTo(HaveOccurred())
		Expect(os.WriteFile(filepath.Join(dir, "ca.pem.new"), append(roots, '\n'), 0o600)).To(Succeed())
		Expect(os.Rename(filepath.Join(dir, "ca.pem.new"), filepath.Join(dir, "ca.pem"))).To(Succeed())
		for range 2 {
			_, status = again()
			Expect(status).NotTo(Equal(200))
		}
		Expect(m.tap.received(spec.TypeRequest)).To(HaveLen(calls))
	})

	It("counts for nothing unless the operator says so", func() {
		r, _ := begin(nil, true)
		got, err := ask(r, "2", "/a", shown(authority, later(), "billing.example"))
		Expect(err).NotTo(HaveOccurred())
		Expect(got.StatusCode).To(Equal(401))
		Expect(got.body).NotTo(ContainSubstring("client certificate"))
		got, err = ask(r, "2", "/open", shown(authority, later(), "billing.example"))
		Expect(err).NotTo(HaveOccurred())
		Expect(got.body).NotTo(ContainSubstring("subject="))
	})

	It("is whom rate limits count at a public endpoint, too", func() {
		r, _ := begin(rule("orders:read"), false, func(c *gateway.Config) {
			c.Limits.Rules = []limit.Rule{{Name: "subjects", By: limit.BySubject, Rate: 1, Per: time.Hour}}
		})
		for _, who := range []string{"a.example", "b.example", "*.example"} { // the last names nobody, and counts as nobody
			for _, status := range []int{200, 429} {
				got, err := ask(r, "2", "/open", shown(authority, later(), who))
				Expect(err).NotTo(HaveOccurred())
				Expect(got.StatusCode).To(Equal(status), who)
			}
		}
	})

	It("does not make up for an Authorization that is no good, nor add to one that is", func() {
		r, _ := begin(rule("orders:read"), false)
		mine := shown(authority, later(), "billing.example")
		token, err := devKey.Token([]spec.Claim{{Type: "scope", Value: "orders:write"}}, time.Now(), time.Minute)
		Expect(err).NotTo(HaveOccurred())
		for header, status := range map[string]int{"Bearer rubbish": 401, "Basic YTpi": 401, "": 401, "Bearer " + token: 403} {
			got, err := ask(r, "1", "/a", mine, "Authorization", header)
			Expect(err).NotTo(HaveOccurred())
			Expect(got.StatusCode).To(Equal(status), header)
		}
		token, err = devKey.Token([]spec.Claim{{Type: "scope", Value: "orders:read"}, {Type: "cert.cn", Value: "root"}}, time.Now(), time.Minute)
		Expect(err).NotTo(HaveOccurred())
		got, err := ask(r, "1", "/a", mine, "Authorization", "Bearer "+token)
		Expect(err).NotTo(HaveOccurred())
		Expect(got.StatusCode).To(Equal(200))
		Expect(got.body).To(And(ContainSubstring("subject=developer"), Not(ContainSubstring("cert."))), "no token says what a certificate does")
	})

	for _, version := range []string{"1", "2", "3"} {
		It("does not speak for pages of other sites, by HTTP/"+version, func() {
			r, m := begin(rule("orders:*"), false, credentials)
			more := r.join(identity{service: "more"}, describe, endpoint("GET", "/a/read", claims("scope=orders:read")))
			mine, here := shown(authority, later(), "billing.example"), r.g.HTTPAddr()
			_, port, err := net.SplitHostPort(here)
			Expect(err).NotTo(HaveOccurred())
			for _, step := range []struct {
				path, origin string
				status       int
			}{
				{"/a", "https://" + here, 200}, {"/a", "https://app.example", 200}, {"/a", "https://x.app.example", 200},
				{"/a", "http://" + here, 403}, {"/a", "https://127.0.0.1", 403}, {"/a", "https://localhost:" + port, 403}, {"/a", here, 403},
				{"/a", "https://evil.example", 403}, {"/a", "https://app.example.evil", 403}, {"/a", "http://app.example", 403},
				{"/a", "null", 403}, {"/a", "", 403}, {"/a", "https://", 403}, {"/a", "https://" + here + ".evil", 403},
				{"/a/read", "https://app.example", 403}, {"/a/read", "https://" + here, 200}, // may read answers, and send no credentials
				{"/open", "https://evil.example", 200},
			} {
				before := len(m.tap.received(spec.TypeRequest)) + len(more.tap.received(spec.TypeRequest))
				got, err := ask(r, version, step.path, mine, "Origin", step.origin)
				Expect(err).NotTo(HaveOccurred())
				Expect(got.StatusCode).To(Equal(step.status), "%s %s: %s", step.path, step.origin, got.body)
				if step.status == 200 {
					continue
				}
				Expect(got.body).To(And(ContainSubstring("forbidden"), ContainSubstring("a page of another site")))
				Expect(got.Header.Get("Www-Authenticate")).To(Equal("Bearer"), "a token would do")
				Expect(len(m.tap.received(spec.TypeRequest)) + len(more.tap.received(spec.TypeRequest))).To(Equal(before))
			}
			got, err := ask(r, version, "/a", mine, "Origin", "https://app.example", "Origin", "https://evil.example")
			Expect(err).NotTo(HaveOccurred())
			Expect(got.StatusCode).To(Equal(403), "two origins")
		})
	}

	It("does not matter to pages of other sites that send a token", func() {
		r, _ := begin(rule("orders:write"), false)
		token, err := devKey.Token([]spec.Claim{{Type: "scope", Value: "orders:read"}}, time.Now(), time.Minute)
		Expect(err).NotTo(HaveOccurred())
		got, err := ask(r, "2", "/a", shown(authority, later(), "billing.example"), "Origin", "https://evil.example", "Authorization", "Bearer "+token)
		Expect(err).NotTo(HaveOccurred())
		Expect(got.StatusCode).To(Equal(200), "which no browser sends of its own accord")
	})

	It("does not speak for pages of other sites where the service is trusted to look for itself", func() {
		for _, mode := range []routing.Trust{routing.TrustService, routing.TrustHybrid} {
			r, m := begin(rule("orders:*"), false, func(c *gateway.Config) { c.Routing.Trust = mode })
			got, err := ask(r, "2", "/a", shown(authority, later(), "billing.example"), "Origin", "https://evil.example")
			Expect(err).NotTo(HaveOccurred())
			Expect(got.StatusCode).To(Equal(403))
			Expect(m.tap.received(spec.TypeRequest)).To(BeEmpty())
		}
	})

	It("opens no WebSocket for pages of other sites", func() {
		r, _ := begin(rule("orders:*"), false, credentials)
		m := r.join(identity{service: "chat"}, func(in *session.Incoming) {
			if accept(in) {
				_ = in.End()
			}
		}, endpoint("GET", "/chat", upgrades, claims("scope=orders:read")))
		mine, here := shown(authority, later(), "billing.example"), r.g.HTTPAddr()
		for origin, want := range map[string]int{
			"https://" + here: 101, "https://app.example": 101, "": 101, "https://evil.example": 403, "http://" + here: 403, "null": 403,
		} {
			before := len(m.tap.received(spec.TypeRequest))
			dialer := &tls.Dialer{NetDialer: &net.Dialer{Timeout: patience}, Config: &tls.Config{RootCAs: roots, Certificates: mine}}
			conn, err := dialer.DialContext(context.Background(), "tcp", here)
			Expect(err).NotTo(HaveOccurred())
			Expect(conn.SetDeadline(time.Now().Add(patience))).To(Succeed())
			more := ""
			if origin != "" {
				more = "Origin: " + origin + "\r\n"
			}
			_, err = io.WriteString(conn, strings.Replace(opening("/chat", more), "Host: x\r\n", "Host: "+here+"\r\n", 1))
			Expect(err).NotTo(HaveOccurred())
			resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
			Expect(err).NotTo(HaveOccurred())
			Expect(resp.StatusCode).To(Equal(want), origin)
			Expect(conn.Close()).To(Succeed())
			if want == 403 {
				Expect(m.tap.received(spec.TypeRequest)).To(HaveLen(before), origin)
			}
		}
	})

	It("proves what the rules in force say, from one request to the next", func() {
		r, _ := begin(rule("orders:write"), false)
		mine := shown(authority, later(), "billing.example")
		for _, step := range []struct {
			rule   *auth.CertRule
			status int
		}{{rule("orders:read"), 200}, {nil, 401}, {rule("orders:*"), 200}, {&auth.CertRule{TrustDomains: []string{"prod.example"}}, 401}} {
			cfg.Policy.Certificates = step.rule
			Expect(r.g.Apply(cfg)).To(Succeed())
			got, err := ask(r, "2", "/a", mine)
			Expect(err).NotTo(HaveOccurred())
			Expect(got.StatusCode).To(Equal(step.status))
		}
		cfg.Policy.Certificates = &auth.CertRule{Grants: []auth.Grant{{Subject: "billing.example"}}}
		err := r.g.Apply(cfg)
		Expect(err).To(MatchError(gateway.ErrConfig))
		Expect(err).To(MatchError(ContainSubstring("at least one claim")))
	})
})
