package echo_test

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"strconv"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/stella-ops/router/examples/echo"
	stella "github.com/stella-ops/router/runtime"
	"github.com/stella-ops/router/runtime/stellatest"
)

func TestEcho(t *testing.T) {
	RegisterFailHandler(Fail)
	RunSpecs(t, "Echo")
}

// patience bounds what a spec waits for.
const patience = 5 * time.Second

var _ = Describe("Echo", func() {
	var s *stellatest.Service

	BeforeEach(func() {
		var err error
		s, err = stellatest.Start(context.Background(), echo.Manifest, echo.Endpoints(echo.Handlers{}))
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(func() { Expect(s.Close()).To(Succeed()) })
	})

	post := func(path string, body []byte) *stellatest.Response {
		GinkgoHelper()
		r, err := s.Call(context.Background(), stellatest.Request{
			Method: "POST", Path: path, Body: body, Header: stella.Header{{Name: "Content-Type", Value: "application/json"}},
		})
		Expect(err).NotTo(HaveOccurred())
		return r
	}

	DescribeTable("POST /echo answers the body, its type and its length", func(size int) {
		body := bytes.Repeat([]byte("0123456789"), size/10)
		r := post("/echo", body)
		Expect(r.Status).To(Equal(200))
		Expect(r.Header.Get("Content-Type")).To(Equal("application/json"))
		Expect(r.ContentLength).To(BeEquivalentTo(size))
		Expect(bytes.Equal(r.Body, body)).To(BeTrue())
	},
		Entry("when there is none", 0),
		Entry("when it is small", 100),
		Entry("when it is large", 1_000_000),
	)

	It("POST /stream/up answers how many bytes the body has", func() {
		r := post("/stream/up", make([]byte, 3_000_001))
		Expect(string(r.Body)).To(Equal("3000001"))
		Expect(r.Header.Get("Content-Type")).To(HavePrefix("text/plain"))
	})

	DescribeTable("POST /stream/down answers as many bytes as it is asked for", func(n int) {
		r := post("/stream/down?n="+strconv.Itoa(n), nil)
		Expect(r.Status).To(Equal(200))
		Expect(r.ContentLength).To(BeEquivalentTo(n))
		Expect(r.Body).To(HaveLen(n))
	},
		Entry("none", 0), Entry("few", 10), Entry("many", 3_000_001),
	)

	DescribeTable("POST /stream/down refuses", func(query string) {
		r := post("/stream/down"+query, nil)
		Expect(r.Status).To(Equal(400))
		Expect(string(r.Body)).To(ContainSubstring(`"parameter":"n"`))
	},
		Entry("no number", ""), Entry("a negative number", "?n=-1"), Entry("what is no number", "?n=many"),
	)

	It("POST /block tells when it was entered, and when its caller has left", func() {
		listener, err := net.ListenPacket("udp", "127.0.0.1:0")
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(listener.Close)
		Expect(listener.SetDeadline(time.Now().Add(patience))).To(Succeed())
		next := func() string {
			GinkgoHelper()
			b := make([]byte, 64)
			n, _, err := listener.ReadFrom(b)
			Expect(err).NotTo(HaveOccurred())
			return string(b[:n])
		}
		ctx, leave := context.WithCancel(context.Background())
		left := make(chan error, 1)
		go func() {
			_, err := s.Call(ctx, stellatest.Request{Method: "POST", Path: "/block", Body: fmt.Appendf(nil, `{"notify":%q}`, listener.LocalAddr())})
			left <- err
		}()
		Expect(next()).To(Equal("entered"))
		leave()
		Expect(next()).To(Equal("done"))
		Eventually(left).WithTimeout(patience).Should(Receive(MatchError(context.Canceled)))
	})

	DescribeTable("POST /block refuses", func(notify string) {
		r := post("/block", fmt.Appendf(nil, `{"notify":%q}`, notify))
		Expect(r.Status).To(Equal(400))
		Expect(string(r.Body)).To(ContainSubstring(`"pointer":"/notify"`))
	},
		Entry("another machine", "192.0.2.1:9000"),
		Entry("a name, which may be another machine's", "localhost:9000"),
		Entry("an address without a port", "127.0.0.1"),
		Entry("port zero", "127.0.0.1:0"),
		Entry("text", strings.Repeat("x", 100)),
	)
})
