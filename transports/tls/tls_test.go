package tls_test

import (
	"context"
	stdtls "crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"github.com/onsi/gomega/gleak"

	"github.com/stella-ops/router/spec"
	"github.com/stella-ops/router/transports"
	_ "github.com/stella-ops/router/transports/tls"
	"github.com/stella-ops/router/transports/trust"
)

const patience = 10 * time.Second

func TestTLS(t *testing.T) {
	RegisterFailHandler(Fail)
	RunSpecs(t, "TLS")
}

// files are an authority and certificates that it has signed.
type files struct {
	dir string
	ca  string
	own *trust.Authority
}

func newFiles() *files {
	GinkgoHelper()
	dir := GinkgoT().TempDir()
	a, err := trust.OpenAuthority(dir)
	Expect(err).NotTo(HaveOccurred())
	return &files{dir, filepath.Join(dir, "ca.pem"), a}
}

// issue returns the URL parameters of a new certificate.
func (f *files) issue(base string, names ...string) string {
	GinkgoHelper()
	cert, key, err := f.own.IssueFiles(f.dir, base, names...)
	Expect(err).NotTo(HaveOccurred())
	return "cert=" + cert + "&key=" + key
}

// side is a listener, and what it said of connections that did not become links.
type side struct {
	transports.Listener

	rejected chan error
}

func listen(params string) *side {
	GinkgoHelper()
	s := &side{rejected: make(chan error, 64)}
	before := gleak.Goroutines()
	l, err := transports.Listen(context.Background(), strings.TrimSuffix("tls://127.0.0.1:0?"+params, "?"), transports.ListenConfig{
		Rejected: func(_ string, err error) { s.rejected <- err },
	})
	Expect(err).NotTo(HaveOccurred())
	s.Listener = l
	DeferCleanup(func() {
		Expect(l.Close()).To(Succeed())
		Eventually(gleak.Goroutines).WithTimeout(patience).ShouldNot(gleak.HaveLeaked(before))
	})
	return s
}

// dial opens a link, and pings the listener over it.
func (s *side) dial(params string) (near, far transports.Link, err error) {
	GinkgoHelper()
	accepted := make(chan transports.Link, 1)
	go func() {
		if l, err := s.Accept(); err == nil {
			accepted <- l
		}
	}()
	near, err = transports.Dial(context.Background(), strings.TrimSuffix(s.Addr()+"?"+params, "?"))
	if err != nil {
		return nil, nil, err
	}
	Eventually(accepted).WithTimeout(patience).Should(Receive(&far))
	DeferCleanup(func() {
		Expect(near.Close()).To(Succeed())
		Expect(far.Close()).To(Succeed())
	})
	Expect(near.WriteFrames([]*transports.Frame{transports.NewControl(spec.TypePing, 0, 7, nil)})).To(Succeed())
	f, err := far.ReadFrame()
	Expect(err).NotTo(HaveOccurred())
	Expect(f.Header().Aux).To(BeEquivalentTo(7))
	f.Release()
	return near, far, nil
}

var _ = Describe("A TLS link", func() {
	It("proves the gateway by an authority, and the service by its certificate", func() {
		f := newFiles()
		s := listen(f.issue("gateway", "127.0.0.1", "gw.example") + "&clients=" + f.ca)
		near, far, err := s.dial("ca=" + f.ca + "&" + f.issue("billing", "billing", "billing-2"))
		Expect(err).NotTo(HaveOccurred())
		Expect(near.Traits().Names).To(ConsistOf("gw.example", "127.0.0.1"))
		Expect(far.Traits().Names).To(ConsistOf("billing", "billing-2"))
		Expect(far.Traits().Scheme).To(Equal("tls"))
	})

	It("has a certificate of its own on loopback addresses, which services of this machine find", func() {
		GinkgoT().Setenv(trust.EnvDevelopment, filepath.Join(GinkgoT().TempDir(), "made"))
		s := listen("")
		_, far, err := s.dial("")
		Expect(err).NotTo(HaveOccurred())
		Expect(far.Traits().Names).To(BeEmpty())
		_, _, err = listen("").dial("") // a second gateway has the same authority
		Expect(err).NotTo(HaveOccurred())
	})

	It("takes a gateway whose key is pinned, whoever signed its certificate, and no other", func() {
		f := newFiles()
		s := listen(f.issue("gateway", "elsewhere.example"))
		text, err := os.ReadFile(filepath.Join(f.dir, "gateway.pem"))
		Expect(err).NotTo(HaveOccurred())
		block, _ := pem.Decode(text)
		cert, err := x509.ParseCertificate(block.Bytes)
		Expect(err).NotTo(HaveOccurred())
		_, _, err = s.dial("pin=" + trust.Pin(cert))
		Expect(err).NotTo(HaveOccurred())
		_, _, err = s.dial("pin=sha256:" + strings.Repeat("ab", 32))
		Expect(err).To(MatchError(ContainSubstring(trust.Pin(cert))))
	})

	It("speaks TLS 1.3, and 1.2 where both ends want", func() {
		f := newFiles()
		params := f.issue("gateway", "127.0.0.1")
		old := func(s *side) error {
			roots := x509.NewCertPool()
			text, err := os.ReadFile(f.ca)
			Expect(err).NotTo(HaveOccurred())
			roots.AppendCertsFromPEM(text)
			conn, err := stdtls.Dial("tcp", strings.TrimPrefix(s.Addr(), "tls://"), &stdtls.Config{
				RootCAs: roots, MaxVersion: stdtls.VersionTLS12, NextProtos: []string{trust.ALPN},
			})
			if err == nil {
				err = conn.Close()
			}
			return err
		}
		Expect(old(listen(params))).To(MatchError(ContainSubstring("protocol version")))
		Expect(old(listen(params + "&min=1.2"))).To(Succeed())
	})

	DescribeTable("is refused with the cause, at both ends",
		func(server, client func(own, other *files) string, here, there string) {
			own, other := newFiles(), newFiles()
			s := listen(server(own, other))
			_, _, err := s.dial(client(own, other))
			Expect(err).To(MatchError(ContainSubstring(here)))
			var rejected error
			Eventually(s.rejected).WithTimeout(patience).Should(Receive(&rejected))
			Expect(rejected).To(MatchError(ContainSubstring(there)))
		},
		Entry("the gateway's authority is another", gatewayOnly("gw", "127.0.0.1"), func(_, other *files) string { return "ca=" + other.ca },
			"signed by nobody that this end trusts", "signed by \"CN=Stella development"),
		Entry("the gateway's certificate has expired", func(own, _ *files) string { return own.expired("gw", "127.0.0.1") },
			func(own, _ *files) string { return "ca=" + own.ca }, "has expired", "this gateway's certificate is expired"),
		Entry("the gateway has another name", gatewayOnly("gw", "other.example"), func(own, _ *files) string { return "ca=" + own.ca + "&name=gw.example" },
			"for another name", "not for the name \"gw.example\" that was asked for"),
		Entry("the service has no certificate", mutual, func(own, _ *files) string { return "ca=" + own.ca },
			"give cert=FILE and key=FILE", "has shown no certificate"),
		Entry("the service's authority is another", mutual, func(own, other *files) string { return "ca=" + own.ca + "&" + other.issue("billing", "billing") },
			"the certificate shown is for billing", "signed by nobody that this end trusts"),
		Entry("the service's certificate has expired", mutual, func(own, _ *files) string { return "ca=" + own.ca + "&" + own.expired("billing", "billing") },
			"the certificate shown is expired", "has expired"),
	)

	It("is not taken for another protocol", func() {
		f := newFiles()
		s := listen(f.issue("gateway", "127.0.0.1"))
		conn, err := net.Dial("tcp", strings.TrimPrefix(s.Addr(), "tls://"))
		Expect(err).NotTo(HaveOccurred())
		defer func() { _ = conn.Close() }()
		_, err = conn.Write([]byte("GET / HTTP/1.1\r\nHost: x\r\n\r\n"))
		Expect(err).NotTo(HaveOccurred())
		Eventually(s.rejected).WithTimeout(patience).Should(Receive(MatchError(ContainSubstring("TLS"))))
	})

	It("has the certificate of the moment, and keeps the last good one", func() {
		f := newFiles()
		params := f.issue("gateway", "127.0.0.1", "one.example")
		s := listen(params)
		first, _, err := s.dial("ca=" + f.ca)
		Expect(err).NotTo(HaveOccurred())
		f.issue("gateway", "127.0.0.1", "two.example")
		near, _, err := s.dial("ca=" + f.ca)
		Expect(err).NotTo(HaveOccurred())
		Expect(near.Traits().Names).To(ContainElement("two.example"))
		Expect(os.WriteFile(filepath.Join(f.dir, "gateway.pem"), []byte("half"), 0o600)).To(Succeed())
		near, _, err = s.dial("ca=" + f.ca)
		Expect(err).NotTo(HaveOccurred())
		Expect(near.Traits().Names).To(ContainElement("two.example"))
		Eventually(s.rejected).WithTimeout(patience).Should(Receive(MatchError(ContainSubstring("stays good"))))
		Expect(first.WriteFrames([]*transports.Frame{transports.NewControl(spec.TypePing, 0, 1, nil)})).To(Succeed())
	})
})

func gatewayOnly(base string, names ...string) func(own, other *files) string {
	return func(own, _ *files) string { return own.issue(base, names...) }
}

func mutual(own, _ *files) string { return own.issue("gw", "127.0.0.1") + "&clients=" + own.ca }

// expired issues a certificate whose time is over.
func (f *files) expired(base string, names ...string) string {
	GinkgoHelper()
	cert, key, err := f.own.IssueFor(time.Now().Add(-time.Hour), names...)
	Expect(err).NotTo(HaveOccurred())
	for suffix, text := range map[string][]byte{".pem": cert, ".key": key} {
		Expect(os.WriteFile(filepath.Join(f.dir, base+suffix), text, 0o600)).To(Succeed())
	}
	return fmt.Sprintf("cert=%s&key=%s", filepath.Join(f.dir, base+".pem"), filepath.Join(f.dir, base+".key"))
}

var _ = DescribeTable("A TLS URL", func(raw, why string) {
	_, _, err := transports.Parse(raw)
	if err == nil {
		_, err = transports.Listen(context.Background(), raw, transports.ListenConfig{})
	}
	Expect(err).To(MatchError(ContainSubstring(why)))
},
	Entry("with a path", "tls://h:1/x", "tls://host:port"),
	Entry("with an unknown parameter", "tls://h:1?cacert=x", `unknown parameter "cacert"`),
	Entry("with a parameter twice", "tls://h:1?ca=x&ca=y", "one value of ca"),
	Entry("with half a certificate", "tls://h:1?cert=x", "cert and key"),
	Entry("with a pin that is none", "tls://h:1?pin=sha256:12", "64 hexadecimal digits"),
	Entry("with another version", "tls://h:1?min=1.1", "min=1.2 or min=1.3"),
	Entry("that others reach, without a certificate", "tls://0.0.0.0:0", "only loopback addresses"),
	Entry("that others reach, with no proof of who dials", "tls://0.0.0.0:0?cert=a&key=b", "no such file"),
	Entry("with a file that is not there", "tls://127.0.0.1:0?cert=/nowhere&key=/nowhere", "/nowhere"),
	Entry("listened on, with a client's parameter", "tls://127.0.0.1:0?ca=x", "means nothing in a URL that is listened on"),
)
