package e2e

import (
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/stella-ops/router/spec"
)

var _ = Describe("a service that dies", func() {
	var s *stack

	BeforeEach(func() { s = startStack() })

	It("fails its calls with 502 at once, then answers 503 with Retry-After, and is served again when it is back", func() {
		tag := newTag()
		ended := make(chan answer, 1)
		go func() {
			defer GinkgoRecover()
			ended <- call(http.MethodPost, s.url("/wait?tag="+tag), "")
		}()
		s.entered(tag)
		killed := time.Now()
		s.fixture.kill()
		var a answer
		Eventually(ended).Should(Receive(&a))
		Expect(time.Since(killed)).To(BeNumerically("<", time.Second))
		Expect(a.StatusCode).To(Equal(http.StatusBadGateway))
		Expect(a.problem().Origin).To(Equal("gateway"))

		Eventually(func() int { return call(http.MethodGet, s.url("/items/1"), "").StatusCode }).
			Should(Equal(http.StatusServiceUnavailable))
		a = call(http.MethodGet, s.url("/items/1"), "")
		Expect(a.StatusCode).To(Equal(http.StatusServiceUnavailable))
		Expect(a.Header.Get("Retry-After")).To(MatchRegexp(`^[1-9]\d*$`))
		Expect(a.problem().Origin).To(Equal("gateway"))

		s.startFixture()
		Expect(call(http.MethodGet, s.url("/items/1"), "").StatusCode).To(Equal(http.StatusOK))
		s.gateway.end()
	})

	It("breaks off an answer that has begun, instead of ending it as if it were whole", func() {
		tag := newTag()
		_, r := raw(s.http, "GET /drip?tag="+tag+" HTTP/1.1\r\nHost: x\r\n\r\n")
		resp, err := http.ReadResponse(r, nil)
		Expect(err).NotTo(HaveOccurred())
		defer func() { _ = resp.Body.Close() }()
		Expect(resp.StatusCode).To(Equal(http.StatusOK))
		Expect(io.ReadFull(resp.Body, make([]byte, 3))).To(Equal(3))
		s.fixture.kill()
		_, err = io.Copy(io.Discard, resp.Body)
		Expect(err).To(MatchError(io.ErrUnexpectedEOF))
	})

	It("is dialled no more once its own session ended: a gateway that comes back finds it", func() {
		s.gateway.end()
		listen := s.tap.gateway
		s.gateway = startGateway(s.http, listen, s.admin)
		Eventually(func() int {
			a, err := try(http.MethodGet, s.url("/items/1"), nil)
			if err != nil {
				return 0
			}
			return a.StatusCode
		}).Should(Equal(http.StatusOK))
	})
})

var _ = Describe("a call that ends early", Ordered, func() {
	var s *stack

	BeforeAll(func() { s = startStack() })

	It("answers 504 when the handler is slower than its timeout, and ends the handler's context", func() {
		tag, mark := newTag(), s.tap.mark()
		a := call(http.MethodPost, s.url("/slow?tag="+tag), "")
		Expect(a.StatusCode).To(Equal(http.StatusGatewayTimeout))
		Expect(a.took).To(BeNumerically("~", 300*time.Millisecond, prompt))
		a.problem()
		e := s.left(tag)
		Expect(e.Deadline).To(BeTrue())
		Expect(e.Cause).To(Equal(spec.CodeDeadline.String()))
		Consistently(func() int { return s.tap.cancels(mark) }, prompt).Should(BeNumerically("<=", 1))
		Expect(s.tap.count(mark, byService, spec.TypeCancel)).To(BeNumerically("<=", 1))
	})

	DescribeTable("ends the handler's context within milliseconds when the client is gone",
		func(head, body string) {
			tag, mark := newTag(), s.tap.mark()
			conn, _ := raw(s.http, strings.ReplaceAll(head, "TAG", tag)+body)
			s.entered(tag)
			gone := time.Now()
			Expect(conn.Close()).To(Succeed())
			e := s.left(tag)
			Expect(after(e, gone)).To(BeNumerically("<", prompt))
			Expect(e.Cause).To(Equal(spec.CodeClientGone.String()))
			Expect(s.tap.cancels(mark)).To(Equal(1))
		},
		Entry("during the handler", "POST /wait?tag=TAG HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\n", "abc"),
		Entry("during the handler, without a body", "POST /wait?tag=TAG HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n", ""),
		Entry("during a handler that has not read its body", "POST /wait?tag=TAG HTTP/1.1\r\nHost: x\r\nContent-Length: 200000\r\n\r\n", strings.Repeat("x", 200000)),
		Entry("while its body of known length is read", "PUT /bulk?tag=TAG HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n", strings.Repeat("x", 1000)),
		Entry("while its chunked body is read", "PUT /bulk?tag=TAG HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n", "3\r\nabc\r\n"),
		Entry("while its answer is written", "GET /drip?tag=TAG HTTP/1.1\r\nHost: x\r\n\r\n", ""),
	)

	It("ends the handler's context within milliseconds when the client resets its HTTP/2 stream", func() {
		tag, mark := newTag(), s.tap.mark()
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.url("/wait?tag="+tag), strings.NewReader("abc"))
		Expect(err).NotTo(HaveOccurred())
		failed := make(chan error, 1)
		go func() {
			resp, err := overHTTP2().Do(req)
			if err == nil {
				_ = resp.Body.Close()
			}
			failed <- err
		}()
		s.entered(tag)
		gone := time.Now()
		cancel()
		Eventually(failed).Should(Receive(MatchError(context.Canceled)))
		e := s.left(tag)
		Expect(after(e, gone)).To(BeNumerically("<", prompt))
		Expect(e.Cause).To(Equal(spec.CodeClientGone.String()))
		Expect(s.tap.cancels(mark)).To(Equal(1))
	})

	It("never shows a body that broke off as a whole one", func() {
		tag := newTag()
		_, r := raw(s.http, "PUT /bulk?tag="+tag+" HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nnonsense\r\n")
		a := respond(r, http.MethodPut)
		Expect(a.StatusCode).To(Equal(http.StatusBadRequest))
		e := s.left(tag)
		Expect(e.Cause).NotTo(BeEmpty(), "the handler saw a body that ended")
	})

	It("tells a client whose service is up that the endpoint still serves", func() {
		Expect(call(http.MethodGet, s.url("/items/1"), "").StatusCode).To(Equal(http.StatusOK))
	})

	It("leaves no descriptor behind when a hundred clients leave at once", func() {
		before := s.gateway.descriptors()
		tag := newTag()
		var conns []net.Conn
		for range 100 {
			conn, _ := raw(s.http, "POST /wait?tag="+tag+" HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n")
			conns = append(conns, conn)
		}
		Eventually(func() int { return len(s.events(tag)) }).Should(Equal(100))
		for _, c := range conns {
			Expect(c.Close()).To(Succeed())
		}
		Eventually(func() int { return len(s.events(tag)) }).Should(Equal(200))
		Eventually(s.gateway.descriptors).Should(BeNumerically("<=", before+2))
	})
})
