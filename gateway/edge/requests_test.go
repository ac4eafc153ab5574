package edge_test

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/stella-ops/router/gateway"
	"github.com/stella-ops/router/gateway/edge"
)

var _ = Describe("limits.requests", func() {
	// open is a connection to a gateway with these limits.
	open := func(limits edge.Requests) net.Conn {
		GinkgoHelper()
		r := start(func(c *gateway.Config) { c.Requests = limits })
		DeferCleanup(r.stop)
		c, err := net.Dial("tcp", r.g.HTTPAddr())
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(c.Close)
		Expect(c.SetDeadline(time.Now().Add(patience))).To(Succeed())
		return c
	}
	send := func(c net.Conn, text string) {
		GinkgoHelper()
		_, err := io.WriteString(c, text)
		Expect(err).NotTo(HaveOccurred())
	}

	It("bound the size of a header", func() {
		for size, status := range map[int]int{6 << 10: http.StatusNotFound, 12 << 10: http.StatusRequestHeaderFieldsTooLarge} {
			c := open(edge.Requests{HeaderSize: 4 << 10}) // net/http lets 4 KiB more pass
			send(c, "GET / HTTP/1.1\r\nHost: h\r\nX-Long: "+strings.Repeat("x", size)+"\r\n\r\n")
			a, err := http.ReadResponse(bufio.NewReader(c), nil)
			Expect(err).NotTo(HaveOccurred())
			Expect(a.Body.Close()).To(Succeed())
			Expect(a.StatusCode).To(Equal(status), "%d bytes", size)
		}
	})

	It("bound the time of a header", func() {
		c := open(edge.Requests{HeaderTime: 100 * time.Millisecond})
		send(c, "GET / HTTP/1.1\r\nHost: h\r\n")
		_, err := io.Copy(io.Discard, c)
		Expect(err).NotTo(HaveOccurred(), "it ends long before the default of 10 s, for which this does not wait")
	})

	It("bound how long a connection is idle", func() {
		c := open(edge.Requests{Idle: 100 * time.Millisecond})
		send(c, "GET / HTTP/1.1\r\nHost: h\r\n\r\n")
		_, err := io.Copy(io.Discard, c)
		Expect(err).NotTo(HaveOccurred(), "it ends after the answer")
	})

	DescribeTable("are refused", func(limits edge.Requests, why string) {
		_, err := gateway.New(gateway.Config{Requests: limits})
		Expect(err).To(MatchError(gateway.ErrConfig))
		Expect(err).To(MatchError(ContainSubstring(why)))
	},
		Entry("above what a call can carry", edge.Requests{HeaderSize: 64<<10 + 1}, "headers of 65537 bytes, expected up to 65536"),
		Entry("below nothing", edge.Requests{Idle: -1}, "is negative"),
	)
})
