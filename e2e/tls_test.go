package e2e

import (
	"fmt"
	"net"
	"path/filepath"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/stella-ops/router/transports/trust"
)

// certificates are an authority, and the parameters of URLs that use what it has signed.
type certificates struct {
	dir string
	own *trust.Authority
}

func newCertificates() *certificates {
	GinkgoHelper()
	dir := GinkgoT().TempDir()
	own, err := trust.OpenAuthority(dir)
	Expect(err).NotTo(HaveOccurred())
	return &certificates{dir, own}
}

// issue makes or replaces a certificate.
func (c *certificates) issue(base string, names ...string) (params string) {
	GinkgoHelper()
	cert, key, err := c.own.IssueFiles(c.dir, base, names...)
	Expect(err).NotTo(HaveOccurred())
	return fmt.Sprintf("cert=%s&key=%s", cert, key)
}

func (c *certificates) ca() string { return filepath.Join(c.dir, "ca.pem") }

// startTLSFleet is startFleet, with one gateway that both ends prove themselves to by certificates.
func startTLSFleet(c *certificates, service string) *fleet {
	GinkgoHelper()
	at := address()
	server, client := c.issue("gateway", "127.0.0.1"), c.issue("service", service)
	return startFleetOn(&stack{
		listen: "tls://" + at + "?" + server + "&clients=" + c.ca(),
		dial:   "tls://" + at + "?" + client + "&ca=" + c.ca(),
	})
}

var _ = Describe("a fleet over TLS", func() {
	It("loses no call while both ends' certificates are replaced twenty times", func() {
		c := newCertificates()
		f := startTLSFleet(c, "fixture")
		p := f.instance("i0", "STELLA_MAX_AGE=150ms")
		f.under(func() {
			for range 20 {
				before := strings.Count(p.log(), "session replaced")
				c.issue("gateway", "127.0.0.1")
				c.issue("service", "fixture")
				Eventually(func() int { return strings.Count(p.log(), "session replaced") }).WithTimeout(20*time.Second).
					Should(BeNumerically(">", before+1), "sessions with the new certificates")
			}
		})
		f.settled()
	})

	It("is reached by TLS within 3 seconds where nothing comes through to QUIC", func() {
		silent, err := net.ListenPacket("udp", "127.0.0.1:0")
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(silent.Close)
		c := newCertificates()
		f := startTLSFleet(c, "fixture")
		s := f.gateways[0]
		_, params, _ := strings.Cut(s.dial, "?")
		s.dial = "quic://" + silent.LocalAddr().String() + "?" + params + "|" + s.dial
		began := time.Now()
		f.instance("i0")
		Expect(time.Since(began)).To(BeNumerically("<", 3*time.Second))
	})

	It("says at both ends that a certificate is not for the service's name", func() {
		c := newCertificates()
		f := startTLSFleet(c, "another")
		s := f.gateways[0]
		p := start("i0", []string{"STELLA_GATEWAYS=" + s.dial}, filepath.Join(scratch, "fixture"))
		const why = "the certificate is for another, which does not have the service's name fixture"
		Eventually(p.log).Should(ContainSubstring(why))
		Eventually(s.gateway.log).Should(ContainSubstring(why))
	})
})
