package gateway_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"github.com/quic-go/quic-go/http3"

	"github.com/stella-ops/router/gateway"
	"github.com/stella-ops/router/spec"
	"github.com/stella-ops/router/transports/session"
	"github.com/stella-ops/router/transports/trust"
)

// peer answers with the address of the client, as the gateway sees it, and whether it came encrypted.
func peer(in *session.Incoming) {
	q := in.Request()
	_ = in.Respond(&spec.Response{Status: 200, ContentLength: -1}, fmt.Appendf(nil, "%s tls=%t", q.Peer, q.TLS))
}

var _ = Describe("a listener for clients", func() {
	var (
		dir       string
		authority *trust.Authority
		roots     *x509.CertPool
		secure    gateway.Listener
	)
	BeforeEach(func() {
		dir = GinkgoT().TempDir()
		var err error
		authority, err = trust.OpenAuthority(dir)
		Expect(err).NotTo(HaveOccurred())
		cert, key, err := authority.IssueFiles(dir, "front", "127.0.0.1")
		Expect(err).NotTo(HaveOccurred())
		ca, err := os.ReadFile(filepath.Join(dir, "ca.pem"))
		Expect(err).NotTo(HaveOccurred())
		roots = x509.NewCertPool()
		Expect(roots.AppendCertsFromPEM(ca)).To(BeTrue())
		secure = gateway.Listener{Address: "127.0.0.1:0", TLS: &gateway.ListenerTLS{Cert: cert, Key: key}}
	})

	// ask asks over TLS, and returns the answer or why there is none.
	ask := func(address string, certificates ...tls.Certificate) (*http.Response, string, error) {
		GinkgoHelper()
		transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, Certificates: certificates}, ForceAttemptHTTP2: true}
		defer transport.CloseIdleConnections()
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		q, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://"+address+"/a", nil)
		Expect(err).NotTo(HaveOccurred())
		resp, err := transport.RoundTrip(q)
		if err != nil {
			return nil, "", err
		}
		defer resp.Body.Close()
		b, err := io.ReadAll(resp.Body)
		Expect(err).NotTo(HaveOccurred())
		return resp, string(b), nil
	}

	// raw sends text over TCP, and returns the answer.
	raw := func(address, text string) (int, string) {
		GinkgoHelper()
		conn, err := net.Dial("tcp", address)
		Expect(err).NotTo(HaveOccurred())
		defer conn.Close()
		Expect(conn.SetDeadline(time.Now().Add(patience))).To(Succeed())
		_, err = io.WriteString(conn, text)
		Expect(err).NotTo(HaveOccurred())
		resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			return 0, ""
		}
		defer resp.Body.Close()
		b, err := io.ReadAll(resp.Body)
		Expect(err).NotTo(HaveOccurred())
		return resp.StatusCode, string(b)
	}

	const plainRequest = "GET /a HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"

	It("stands beside another: one in the clear, one encrypted with HTTP/2", func() {
		cfg := config(GinkgoWriter)
		cfg.Listeners = []gateway.Listener{secure}
		r := run(cfg)
		r.join(peer)
		addresses := r.HTTPAddrs()
		Expect(addresses).To(HaveLen(2))
		_, body := get("http://" + addresses[0] + "/a")
		Expect(body).To(HaveSuffix(" tls=false"))
		resp, body, err := ask(addresses[1])
		Expect(err).NotTo(HaveOccurred())
		Expect(resp.Proto).To(Equal("HTTP/2.0"))
		Expect(body).To(HaveSuffix(" tls=true"))
	})

	It("alone is all there is", func() {
		cfg := config(GinkgoWriter)
		cfg.HTTP, cfg.Listeners = "", []gateway.Listener{secure}
		r := run(cfg)
		Expect(r.HTTPAddrs()).To(HaveLen(1))
	})

	It("shows a certificate that has been replaced, and keeps the last good one", func() {
		cfg := config(GinkgoWriter)
		cfg.HTTP, cfg.Listeners = "", []gateway.Listener{secure}
		r := run(cfg)
		serial := func() string {
			resp, _, err := ask(r.HTTPAddr())
			Expect(err).NotTo(HaveOccurred())
			return resp.TLS.PeerCertificates[0].SerialNumber.String()
		}
		first := serial()
		Expect(serial()).To(Equal(first))
		_, _, err := authority.IssueFiles(dir, "front", "127.0.0.1")
		Expect(err).NotTo(HaveOccurred())
		second := serial()
		Expect(second).NotTo(Equal(first))
		Expect(os.WriteFile(secure.TLS.Cert, []byte("broken"), 0o600)).To(Succeed())
		Expect(serial()).To(Equal(second))
	})

	It("serves HTTP/3 on the same port, which answers by the others tell, and drains there, too", func() {
		secure.TLS.HTTP3 = true
		cfg := config(GinkgoWriter)
		cfg.Listeners = []gateway.Listener{secure}
		r := run(cfg)
		entered, leave := make(chan struct{}, 1), make(chan struct{})
		r.join(func(in *session.Incoming) {
			if in.Request().Query == "wait" {
				entered <- struct{}{}
				<-leave
			}
			peer(in)
		})
		resp, _, err := ask(r.HTTPAddrs()[1])
		Expect(err).NotTo(HaveOccurred())
		_, port, err := net.SplitHostPort(r.HTTPAddrs()[1])
		Expect(err).NotTo(HaveOccurred())
		Expect(resp.Header.Get("Alt-Svc")).To(Equal(`h3=":` + port + `"; ma=3600`))
		plain, err := http.Get("http://" + r.HTTPAddrs()[0] + "/a")
		Expect(err).NotTo(HaveOccurred())
		Expect(plain.Body.Close()).To(Succeed())
		Expect(plain.Header).NotTo(HaveKey("Alt-Svc"))

		transport := &http3.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}}
		defer transport.Close()
		client := http.Client{Transport: transport, Timeout: patience}
		ask3 := func(query string) (string, string) {
			GinkgoHelper()
			resp, err := client.Get("https://" + r.HTTPAddrs()[1] + "/a?" + query)
			Expect(err).NotTo(HaveOccurred())
			defer resp.Body.Close()
			b, err := io.ReadAll(resp.Body)
			Expect(err).NotTo(HaveOccurred())
			Expect(resp.StatusCode).To(Equal(200), string(b))
			Expect(resp.Header.Get("X-Request-Id")).NotTo(BeEmpty())
			return resp.Proto, string(b)
		}
		proto, body := ask3("")
		Expect(proto).To(Equal("HTTP/3.0"))
		Expect(body).To(And(HavePrefix("127.0.0.1:"), HaveSuffix(" tls=true")))
		answered := make(chan string, 1)
		go func() {
			defer GinkgoRecover()
			_, body := ask3("wait")
			answered <- body
		}()
		Eventually(entered).WithTimeout(patience).Should(Receive())
		r.cancel()
		Consistently(r.served).WithTimeout(50 * time.Millisecond).ShouldNot(Receive())
		close(leave)
		Eventually(answered).WithTimeout(patience).Should(Receive(HaveSuffix("tls=true")))
		Eventually(r.served).WithTimeout(patience).Should(Receive(BeNil()))
	})

	It("passes trailers on by HTTP/3, both ways", func() {
		secure.TLS.HTTP3 = true
		cfg := config(GinkgoWriter)
		cfg.Listeners = []gateway.Listener{secure}
		r := run(cfg)
		r.offering(func(in *session.Incoming) {
			body, err := io.ReadAll(in)
			if err != nil {
				return
			}
			answer := spec.Response{Status: 200, ContentLength: -1, Header: []spec.Field{{Name: "Trailer", Value: "X-Sum"}}}
			_ = in.RespondWith(&answer, body, append(in.Trailers(), spec.Field{Name: "X-Late", Value: "1"}))
		}, spec.Endpoint{
			Method: "POST", Path: "/a", Handler: "Handler", Kind: spec.KindRaw, Status: 200, Stream: spec.StreamNone, Public: "a test", Limits: spec.DefaultLimits,
		})
		transport := &http3.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}}
		defer transport.Close()
		client := http.Client{Transport: transport, Timeout: patience}
		for _, body := range []io.Reader{strings.NewReader("known"), io.MultiReader(strings.NewReader("unknown"))} {
			q, err := http.NewRequestWithContext(context.Background(), http.MethodPost, "https://"+r.HTTPAddrs()[1]+"/a", body)
			Expect(err).NotTo(HaveOccurred())
			q.Trailer = http.Header{"X-Sum": {"1", "2"}, "X-User-Id": {"root"}}
			resp, err := client.Do(q)
			Expect(err).NotTo(HaveOccurred())
			b, err := io.ReadAll(resp.Body)
			Expect(err).NotTo(HaveOccurred())
			Expect(resp.Body.Close()).To(Succeed())
			Expect(string(b)).To(HaveSuffix("known"))
			Expect(resp.Trailer).To(Equal(http.Header{"X-Sum": {"1", "2"}, "X-Late": {"1"}}))
		}
	})

	DescribeTable("asks clients for certificates",
		func(required, shown bool, works bool) {
			secure.TLS.ClientCAs, secure.TLS.Required = filepath.Join(dir, "ca.pem"), required
			cfg := config(GinkgoWriter)
			cfg.HTTP, cfg.Listeners = "", []gateway.Listener{secure}
			r := run(cfg)
			var certificates []tls.Certificate
			if shown {
				cert, key, err := authority.Issue("client")
				Expect(err).NotTo(HaveOccurred())
				pair, err := tls.X509KeyPair(cert, key)
				Expect(err).NotTo(HaveOccurred())
				certificates = append(certificates, pair)
			}
			_, _, err := ask(r.HTTPAddr(), certificates...)
			Expect(err == nil).To(Equal(works), "%v", err)
		},
		Entry("which they may leave out", false, false, true),
		Entry("which they may show", false, true, true),
		Entry("and turns away those without", true, false, false),
		Entry("and takes those with", true, true, true),
	)

	Describe("behind a proxy", func() {
		behind := func(networks ...string) *running {
			cfg := config(GinkgoWriter)
			l := gateway.Listener{Address: "127.0.0.1:0"}
			for _, n := range networks {
				l.ProxyFrom = append(l.ProxyFrom, netip.MustParsePrefix(n))
			}
			cfg.HTTP, cfg.Listeners = "", []gateway.Listener{l}
			r := run(cfg)
			r.join(peer)
			return r
		}
		const v2 = "\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0c\xc0\x00\x02\x07\x7f\x00\x00\x01\x00\x07\x1f\x90"

		It("believes whom a listed peer speaks for, by both versions", func() {
			r := behind("127.0.0.0/8")
			_, body := raw(r.HTTPAddr(), "PROXY TCP4 192.0.2.7 127.0.0.1 7 8080\r\n"+plainRequest)
			Expect(body).To(Equal("192.0.2.7:7 tls=false"))
			_, body = raw(r.HTTPAddr(), v2+plainRequest)
			Expect(body).To(Equal("192.0.2.7:7 tls=false"))
		})

		It("serves a listed peer nothing without the header", func() {
			r := behind("127.0.0.0/8")
			status, _ := raw(r.HTTPAddr(), plainRequest)
			Expect(status).NotTo(Equal(200))
		})

		It("takes the header from nobody else", func() {
			r := behind("10.0.0.0/8")
			status, _ := raw(r.HTTPAddr(), "PROXY TCP4 192.0.2.7 127.0.0.1 7 8080\r\n"+plainRequest)
			Expect(status).To(Equal(400))
			status, body := raw(r.HTTPAddr(), plainRequest)
			Expect(status).To(Equal(200))
			Expect(body).To(HavePrefix("127.0.0.1:"))
		})
	})

	DescribeTable("that cannot be is refused before anything is opened",
		func(change func(*gateway.Listener), reason string) {
			change(&secure)
			cfg := config(GinkgoWriter)
			cfg.Listeners = []gateway.Listener{secure}
			_, err := gateway.New(cfg)
			Expect(err).To(MatchError(gateway.ErrConfig))
			Expect(err).To(MatchError(ContainSubstring(reason)))
			Expect(gateway.Check(cfg)).To(MatchError(ContainSubstring(reason)))
		},
		Entry("an address that is none", func(l *gateway.Listener) { l.Address = "here" }, "not host:port"),
		Entry("HTTP/3 behind a proxy", func(l *gateway.Listener) {
			l.TLS.HTTP3, l.ProxyFrom = true, []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}
		}, "the PROXY protocol is not for HTTP/3"),
		Entry("a certificate without its key", func(l *gateway.Listener) { l.TLS.Key = "" }, "a certificate and its key"),
		Entry("a certificate that is not there", func(l *gateway.Listener) { l.TLS.Cert = "/not/there" }, "no such file"),
		Entry("roots that are none", func(l *gateway.Listener) { l.TLS.ClientCAs = os.DevNull }, "no certificate in PEM"),
	)
})
