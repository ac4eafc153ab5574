package faultproxy_test

import (
	"io"
	"net"
	"testing"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"github.com/onsi/gomega/gleak"

	"github.com/stella-ops/router/transports/faultproxy"
)

func TestFaultProxy(t *testing.T) {
	RegisterFailHandler(Fail)
	RunSpecs(t, "Fault proxy")
}

const patience = 5 * time.Second

// noLeaks fails a spec that leaves a goroutine.
func noLeaks() {
	before := gleak.Goroutines()
	DeferCleanup(func() { Eventually(gleak.Goroutines).WithTimeout(patience).ShouldNot(gleak.HaveLeaked(before)) })
}

// through returns the two ends of a connection that goes through a proxy.
func through() (p *faultproxy.TCP, client, server *net.TCPConn) {
	GinkgoHelper()
	return throughSeeded(1)
}

func throughSeeded(seed uint64) (p *faultproxy.TCP, client, server *net.TCPConn) {
	GinkgoHelper()
	noLeaks()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(ln.Close)
	p, err = faultproxy.ListenTCP(ln.Addr().String(), seed)
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(p.Close)
	conn, err := net.Dial("tcp", p.Addr())
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(func() { _ = conn.Close() })
	accepted, err := ln.Accept()
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(func() { _ = accepted.Close() })
	Eventually(p.Connections).WithTimeout(patience).Should(Equal(1), "the proxy knows of it")
	for _, c := range []net.Conn{conn, accepted} {
		Expect(c.SetDeadline(time.Now().Add(4 * patience))).To(Succeed())
	}
	client, ok := conn.(*net.TCPConn)
	Expect(ok).To(BeTrue())
	server, ok = accepted.(*net.TCPConn)
	Expect(ok).To(BeTrue())
	return p, client, server
}

// pattern is n bytes that show when one is missing or in another's place.
func pattern(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i * 31 >> 3)
	}
	return b
}

func read(c net.Conn, n int) []byte {
	GinkgoHelper()
	b := make([]byte, n)
	_, err := io.ReadFull(c, b)
	Expect(err).NotTo(HaveOccurred())
	return b
}

func write(c net.Conn, b []byte) {
	GinkgoHelper()
	_, err := c.Write(b)
	Expect(err).NotTo(HaveOccurred())
}

// quiet expects that nothing comes for a while.
func quiet(c net.Conn) {
	GinkgoHelper()
	Expect(c.SetReadDeadline(time.Now().Add(100 * time.Millisecond))).To(Succeed())
	n, err := c.Read(make([]byte, 1))
	Expect(n).To(BeZero())
	Expect(err).To(MatchError(ContainSubstring("timeout")))
	Expect(c.SetReadDeadline(time.Now().Add(4 * patience))).To(Succeed())
}

// datagrams returns a client's socket whose datagrams go through a proxy to a server.
func datagrams(seed uint64) (p *faultproxy.UDP, client *net.UDPConn, server *net.UDPConn) {
	GinkgoHelper()
	noLeaks()
	server, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	Expect(err).NotTo(HaveOccurred())
	Expect(server.SetReadBuffer(4 << 20)).To(Succeed())
	DeferCleanup(server.Close)
	p, err = faultproxy.ListenUDP(server.LocalAddr().String(), seed)
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(p.Close)
	conn, err := net.Dial("udp", p.Addr())
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(conn.Close)
	client, ok := conn.(*net.UDPConn)
	Expect(ok).To(BeTrue())
	return p, client, server
}

// collect returns the numbers of the datagrams that come until the socket is quiet.
func collect(c *net.UDPConn, quiet time.Duration) []int {
	GinkgoHelper()
	got := []int{}
	buf := make([]byte, 2048)
	for {
		Expect(c.SetReadDeadline(time.Now().Add(quiet))).To(Succeed())
		n, _, err := c.ReadFromUDPAddrPort(buf)
		if err != nil {
			return got
		}
		Expect(n).To(BeNumerically(">=", 2))
		got = append(got, int(buf[0])|int(buf[1])<<8)
	}
}
