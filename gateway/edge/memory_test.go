package edge_test

import (
	"io"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/stella-ops/router/gateway"
)

var _ = Describe("the memory of a session", func() {
	It("is spent by clients that read nothing: the one that has stalled for longest is broken off, and other sessions do not notice", func() {
		r := start(func(c *gateway.Config) {
			c.SessionMemory, c.Stall = 1<<20, time.Minute // no client is broken off for its stalling alone
		})
		flow, other := &flowing{}, &flowing{}
		r.join(identity{service: "one"}, flow.serve, endpoint("GET", "/one", streams))
		r.join(identity{service: "two"}, other.serve, endpoint("GET", "/two", streams))
		stalls := func(path string) {
			GinkgoHelper()
			conn := r.dial()
			DeferCleanup(conn.Close)
			_, err := io.WriteString(conn, "GET "+path+" HTTP/1.1\r\nHost: h\r\n\r\n")
			Expect(err).NotTo(HaveOccurred())
		}
		stalls("/two")
		Eventually(other.now.Load).WithTimeout(patience).Should(BeEquivalentTo(1))
		const clients = 8 // of windows of 256 KiB
		for range clients {
			stalls("/one")
		}
		Eventually(flow.all.Load).WithTimeout(patience).Should(BeEquivalentTo(clients))
		Eventually(flow.now.Load).WithTimeout(2 * patience).Should(BeNumerically("<=", 4))
		Consistently(other.now.Load).WithTimeout(100 * time.Millisecond).Should(BeEquivalentTo(1))
	})
})
