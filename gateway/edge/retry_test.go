package edge_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/stella-ops/router/gateway"
	"github.com/stella-ops/router/spec"
	"github.com/stella-ops/router/transports/session"
)

func idempotent(e *spec.Endpoint) { e.Idempotent = true }

// admin asks the gateway's address for operators.
func (r *rig) admin(path string) (status int, body string) {
	GinkgoHelper()
	resp, err := r.client.Get("http://" + r.g.AdminAddr() + path)
	Expect(err).NotTo(HaveOccurred())
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	Expect(err).NotTo(HaveOccurred())
	return resp.StatusCode, string(b)
}

// sum is what a metric has counted, over all its series.
func (r *rig) sum(metric string) (sum float64) {
	GinkgoHelper()
	for _, n := range r.counted(metric) {
		sum += n
	}
	return sum
}

var _ = Describe("a request that is sent twice", func() {
	It("is paid for by ten that are not: when the budget is spent, a refusal is a retryable 503", func() {
		r := start()
		var taken, refused atomic.Int64
		for _, id := range []string{"a", "b"} {
			r.join(identity{id: id}, func(in *session.Incoming) {
				refused.Add(1)
				in.Cancel(spec.CodeRefused, "not now")
			}, endpoint("POST", "/a"))
		}
		for range 40 {
			got := r.do("POST", "/a", "body")
			Expect(got.StatusCode).To(Equal(503))
			Expect(got.body).To(ContainSubstring(`"retryable":true`))
			taken.Add(1)
		}
		// 10 retries to begin with, and one for each ten requests.
		Expect(refused.Load() - taken.Load()).To(BeNumerically("~", 14, 1))
		Expect(r.sum("stella_gateway_retries_total")).To(BeEquivalentTo(refused.Load() - taken.Load()))
		Expect(r.sum("stella_gateway_retries_denied_total")).To(BeNumerically(">", 20))
	})

	It("costs nothing when an instance was full, since nothing was sent to it", func() {
		r := start()
		leave := make(chan struct{})
		r.join(identity{id: "full", lease: 1}, func(in *session.Incoming) {
			<-leave
			echo(in)
		}, endpoint("POST", "/a"))
		blocked := make(chan answer, 1)
		go func() {
			defer GinkgoRecover()
			blocked <- r.do("POST", "/a", "blocked")
		}()
		Eventually(func() int { return r.g.Registry().Services()[0].Instances[0].InFlight }).WithTimeout(patience).Should(Equal(1))
		r.join(identity{id: "free"}, echo, endpoint("POST", "/a"))
		for range 100 {
			Expect(r.do("POST", "/a", "body").body).To(Equal("body"))
		}
		Expect(r.sum("stella_gateway_retries_total")).To(BeZero())
		close(leave)
		Eventually(blocked).WithTimeout(patience).Should(Receive(WithTransform(func(a answer) string { return a.body }, Equal("blocked"))))
	})

	DescribeTable("may be so when its session is lost, if it is idempotent and its body is held whole",
		func(body string, mods []func(*spec.Endpoint), want int) {
			r := start()
			entered := make(chan struct{}, 1)
			dies := r.join(identity{id: "dies"}, func(in *session.Incoming) {
				entered <- struct{}{}
				<-in.Context().Done()
			}, endpoint("POST", "/a", mods...))
			answered := make(chan answer, 1)
			go func() {
				defer GinkgoRecover()
				answered <- r.do("POST", "/a", body)
			}()
			Eventually(entered).WithTimeout(patience).Should(Receive())
			lives := r.join(identity{id: "lives"}, echo, endpoint("POST", "/a", mods...))
			Expect(dies.tap.Link.Close()).To(Succeed())
			var got answer
			Eventually(answered).WithTimeout(patience).Should(Receive(&got))
			Expect(got.StatusCode).To(Equal(want))
			again := lives.tap.received(spec.TypeRequest)
			if want != 200 {
				Expect(again).To(BeEmpty())
				return
			}
			Expect(got.body).To(Equal(body))
			Expect(again).To(HaveLen(1))
			Expect(again[0].Flags & (spec.FlagRetry | spec.FlagIdempotent)).To(Equal(spec.FlagRetry | spec.FlagIdempotent))
		},
		Entry("inline", "body", []func(*spec.Endpoint){idempotent}, 200),
		Entry("streamed", strings.Repeat("x", 40_000), []func(*spec.Endpoint){idempotent, streams}, 200),
		Entry("streamed, of more than is held", strings.Repeat("x", 500_000), []func(*spec.Endpoint){idempotent, streams}, 502),
		Entry("not idempotent", "body", nil, 502),
	)
})

var _ = Describe("a request whose instance is superseded before it gets there", func() {
	It("goes to the successor, which an older snapshot does not know", func() {
		r := start()
		old := r.join(identity{id: "one"}, echo, endpoint("POST", "/a"))
		stop := make(chan struct{})
		failed := make(chan answer, 1)
		done := make(chan struct{})
		var answered atomic.Int64
		go func() {
			defer GinkgoRecover()
			defer close(done)
			for {
				select {
				case <-stop:
					return
				default:
				}
				if got := r.do("POST", "/a", "body"); got.StatusCode != http.StatusOK {
					failed <- got
					return
				}
				answered.Add(1)
			}
		}()
		for i := range 50 {
			Eventually(answered.Load).WithTimeout(patience).WithPolling(time.Millisecond).Should(BeNumerically(">=", 10*i), "ten requests pay for a retry")
			successor := r.join(identity{id: "one", supersedes: old.Welcome().Secret}, echo, endpoint("POST", "/a"))
			Eventually(func() []spec.Header { return old.tap.received(spec.TypeGoAway) }).WithTimeout(patience).ShouldNot(BeEmpty())
			Expect(old.Drain(context.Background())).To(Succeed(), "as the gateway has asked it to")
			old = successor
		}
		close(stop)
		Eventually(done).WithTimeout(patience).Should(BeClosed())
		close(failed)
		for got := range failed {
			Fail(fmt.Sprintf("%d %s", got.StatusCode, got.body))
		}
	})
})

var _ = Describe("a gateway that drains", func() {
	It("goes on taking requests for the delay, and ends each connection with its answer", func() {
		r := start(func(c *gateway.Config) { c.DrainDelay = 500 * time.Millisecond })
		r.join(identity{}, echo, endpoint("POST", "/a"))
		conn, reader := r.raw("POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\na")
		Expect(status(reader)).To(Equal(200))
		stopped := make(chan struct{})
		go func() {
			defer GinkgoRecover()
			defer close(stopped)
			r.stop()
		}()
		Eventually(func() int { code, _ := r.admin("/readyz"); return code }).WithTimeout(patience).Should(Equal(503))
		_, err := conn.Write([]byte("POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\nb"))
		Expect(err).NotTo(HaveOccurred())
		Expect(status(reader)).To(Equal(200))
		_, err = reader.ReadByte()
		Expect(err).To(MatchError(ContainSubstring("EOF")))
		Expect(r.do("POST", "/a", "new").body).To(Equal("new"), "on a new connection")
		Eventually(stopped).WithTimeout(patience).Should(BeClosed())
	})
})
