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

	"github.com/stella-ops/router/e2e/fixture"
	"github.com/stella-ops/router/spec"
)

// rejoins waits until the service is served again, as somebody would who did not know that it was away.
func (s *stack) rejoins() {
	GinkgoHelper()
	Eventually(s.status).WithArguments("/items/1").Should(Equal(http.StatusOK))
}

// lose has a call wait while something happens to its service, and returns its answer, which has to come at once, and
// its tag.
func (s *stack) lose(happens func()) (a answer, tag string) {
	GinkgoHelper()
	tag = newTag()
	ended := make(chan answer, 1)
	go func() {
		defer GinkgoRecover()
		ended <- call(http.MethodPost, s.url("/wait?tag="+tag), "")
	}()
	s.entered(tag)
	lost := time.Now()
	happens()
	Eventually(ended).Should(Receive(&a))
	Expect(time.Since(lost)).To(BeNumerically("<", time.Second))
	return a, tag
}

// breaksOff has something happen to the service during an answer, which must not end as if it were whole.
func (s *stack) breaksOff(happens func()) {
	GinkgoHelper()
	_, r := raw(s.http, "GET /drip?tag="+newTag()+" HTTP/1.1\r\nHost: x\r\n\r\n")
	resp, err := http.ReadResponse(r, nil)
	Expect(err).NotTo(HaveOccurred())
	defer func() { _ = resp.Body.Close() }()
	Expect(resp.StatusCode).To(Equal(http.StatusOK))
	Expect(io.ReadFull(resp.Body, make([]byte, 3))).To(Equal(3))
	happens()
	_, err = io.Copy(io.Discard, resp.Body)
	Expect(err).To(MatchError(io.ErrUnexpectedEOF))
}

// What only a process can do: be killed.
var _ = Describe("a service that is killed", func() {
	var (
		s    *stack
		kill func()
	)

	BeforeEach(func() {
		s = startStack(processes(), settings{})
		p, ok := s.fixture.(*process)
		Expect(ok).To(BeTrue())
		kill = p.kill
	})

	It("fails its calls with 502 at once, then answers 503 with Retry-After, and is served again when it is back", func() {
		a, _ := s.lose(kill)
		Expect(a.StatusCode).To(Equal(http.StatusBadGateway))
		Expect(a.problem().Origin).To(Equal("gateway"))

		Eventually(s.status).WithArguments("/items/1").Should(Equal(http.StatusServiceUnavailable))
		a = call(http.MethodGet, s.url("/items/1"), "")
		Expect(a.StatusCode).To(Equal(http.StatusServiceUnavailable))
		Expect(a.Header.Get("Retry-After")).To(MatchRegexp(`^[1-9]\d*$`))
		Expect(a.problem().Origin).To(Equal("gateway"))

		s.startFixture(fixture.Variant{})
	})

	It("breaks off an answer that has begun, instead of ending it as if it were whole", func() {
		s.breaksOff(kill)
	})
})

var _ = everyForm("a session that is lost", func(start func(settings) *stack) {
	var s *stack

	BeforeAll(func() { s = start(settings{}) })

	It("fails its calls with 502 at once, and ends their handlers' contexts", func() {
		a, tag := s.lose(s.tap.cut)
		Expect(a.StatusCode).To(Equal(http.StatusBadGateway))
		Expect(a.problem().Origin).To(Equal("gateway"))
		s.rejoins()
		Expect(s.left(tag).Cause).NotTo(BeEmpty())
	})

	It("breaks off an answer that has begun, instead of ending it as if it were whole", func() {
		s.breaksOff(s.tap.cut)
		s.rejoins()
	})
})

var _ = everyForm("a gateway or a service that ends", func(start func(settings) *stack) {
	var s *stack

	BeforeEach(func() { s = start(settings{}) })

	It("is found again when it comes back: the gateway", func() {
		s.gateway.end()
		s.startGateway()
		s.rejoins()
		s.settle()
	})

	It("is found again when it comes back: the service", func() {
		s.fixture.end()
		a := call(http.MethodGet, s.url("/items/1"), "")
		Expect(a.StatusCode).To(Equal(http.StatusServiceUnavailable))
		Expect(a.Header.Get("Retry-After")).To(MatchRegexp(`^[1-9]\d*$`))
		Expect(a.problem().Origin).To(Equal("gateway"))
		s.startFixture(fixture.Variant{})
	})
})

var _ = everyForm("a call that ends early", func(start func(settings) *stack) {
	var s *stack

	BeforeAll(func() { s = start(settings{}) })

	It("answers 504 when the handler is slower than its timeout, and ends the handler's context", func() {
		tag, mark := newTag(), s.tap.mark()
		a := call(http.MethodPost, s.url("/slow?tag="+tag), "")
		Expect(a.StatusCode).To(Equal(http.StatusGatewayTimeout))
		Expect(a.took).To(And(BeNumerically(">=", 300*time.Millisecond), BeNumerically("<", time.Second)))
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
		Entry("during a handler that has not read its body, most of which waits for it",
			"POST /hold?tag=TAG HTTP/1.1\r\nHost: x\r\nContent-Length: 360000\r\n\r\n", strings.Repeat("x", 360000)),
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

	It("takes nothing along when a hundred clients leave at once", func() {
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
	})
})
