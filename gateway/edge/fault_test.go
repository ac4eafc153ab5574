package edge_test

import (
	"context"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/stella-ops/router/gateway"
	"github.com/stella-ops/router/spec"
	"github.com/stella-ops/router/transports/session"
)

func stallsAfter(d time.Duration) func(*gateway.Config) {
	return func(c *gateway.Config) { c.Stall = d }
}

var _ = Describe("a service", func() {
	It("lost during a call is a 502 at once, then a 503 with Retry-After, and is served again when it is back", func() {
		r := start()
		entered := make(chan struct{})
		m := r.join(identity{}, func(in *session.Incoming) {
			close(entered)
			<-in.Context().Done()
		}, endpoint("GET", "/a"))
		answered := make(chan answer, 1)
		go func() {
			defer GinkgoRecover()
			answered <- r.do("GET", "/a", "")
		}()
		Eventually(entered).WithTimeout(patience).Should(BeClosed())
		Expect(m.tap.Close()).To(Succeed()) // the connection, as when the process is killed
		var got answer
		Eventually(answered).WithTimeout(time.Second).Should(Receive(&got))
		Expect(got.StatusCode).To(Equal(502))
		Expect(got.body).To(ContainSubstring(`"service_lost"`))

		Eventually(func() int {
			got = r.do("GET", "/a", "")
			return got.StatusCode
		}).WithTimeout(time.Second).Should(Equal(503))
		Expect(got.Header.Get("Retry-After")).To(Equal("1"))
		Expect(got.body).To(And(ContainSubstring(`"no_instance"`), ContainSubstring("no instance of test is connected")))

		r.join(identity{}, named("back"), endpoint("GET", "/a"))
		Expect(r.do("GET", "/a", "").body).To(Equal("back"))
	})

	It("gone for longer than the retention is a 404", func() {
		r := start(func(c *gateway.Config) { c.Retain, c.Heartbeat = 100*time.Millisecond, 100*time.Millisecond })
		m := r.join(identity{}, echo, endpoint("GET", "/a"))
		Expect(m.Close()).To(Succeed())
		Eventually(func() int { return r.do("GET", "/a", "").StatusCode }).WithTimeout(patience).Should(Equal(404))
	})

	It("lost after the head of its answer breaks the answer off", func() {
		r := start()
		sent := make(chan struct{})
		m := r.join(identity{}, func(in *session.Incoming) {
			_ = in.Head(&spec.Response{Status: 200, ContentLength: -1})
			close(sent)
			<-in.Context().Done()
		}, endpoint("GET", "/a", streams))
		_, in := r.raw("GET /a HTTP/1.1\r\nHost: h\r\n\r\n")
		resp, err := http.ReadResponse(in, nil)
		Expect(err).NotTo(HaveOccurred())
		Eventually(sent).WithTimeout(patience).Should(BeClosed())
		Expect(m.tap.Close()).To(Succeed())
		_, err = io.Copy(io.Discard, resp.Body)
		Expect(err).To(MatchError(io.ErrUnexpectedEOF))
	})

	It("slower than the timeout is a 504, its handler's context ends, and there is at most one CANCEL", func() {
		r := start()
		ended := make(chan error, 1)
		m := r.join(identity{}, func(in *session.Incoming) {
			<-in.Context().Done()
			ended <- in.Context().Err()
		}, endpoint("POST", "/a", limits(spec.Limits{TimeoutMS: 100})))
		for _, body := range []string{"", "small", strings.Repeat("x", 100_000)} {
			got := r.do("POST", "/a", body)
			Expect(got.StatusCode).To(Equal(504))
			Expect(got.body).To(ContainSubstring(`"timeout"`))
			Eventually(ended).WithTimeout(patience).Should(Receive(Equal(context.DeadlineExceeded)))
		}
		canceled := map[uint32]int{}
		for _, h := range m.tap.received(spec.TypeCancel) {
			canceled[h.Stream]++
		}
		for stream, n := range canceled {
			Expect(n).To(Equal(1), "stream %d", stream)
		}
	})

	It("whose unary answer takes longer than the timeout has it broken off", func() {
		r := start()
		r.join(identity{}, func(in *session.Incoming) {
			_ = in.Head(&spec.Response{Status: 200, ContentLength: -1})
			<-in.Context().Done()
		}, endpoint("GET", "/a", limits(spec.Limits{TimeoutMS: 200})))
		got := r.do("GET", "/a", "")
		Expect(got.err).To(HaveOccurred())
	})

	It("that has taken on all it takes is a 503 with Retry-After", func() {
		r := start()
		entered, leave := make(chan struct{}), make(chan struct{})
		r.join(identity{lease: 1}, func(in *session.Incoming) {
			close(entered)
			<-leave
			named("done")(in)
		}, endpoint("GET", "/a"))
		answered := make(chan answer, 1)
		go func() {
			defer GinkgoRecover()
			answered <- r.do("GET", "/a", "")
		}()
		Eventually(entered).WithTimeout(patience).Should(BeClosed())
		got := r.do("GET", "/a", "")
		Expect(got.StatusCode).To(Equal(503))
		Expect(got.Header.Get("Retry-After")).To(Equal("1"))
		Expect(got.body).To(ContainSubstring(`"overloaded"`))
		close(leave)
		Eventually(answered).WithTimeout(patience).Should(Receive(WithTransform(func(a answer) string { return a.body }, Equal("done"))))
	})

	It("that refuses a call has it offered to another instance, whatever the method", func() {
		r := start()
		var refused atomic.Int64
		r.join(identity{id: "no"}, func(in *session.Incoming) {
			refused.Add(1)
			in.Cancel(spec.CodeRefused, "not now")
		}, endpoint("POST", "/a"))
		yes := r.join(identity{id: "yes"}, echo, endpoint("POST", "/a"))
		for i := 0; refused.Load() < 5; i++ { // half of what the budget begins with
			Expect(i).To(BeNumerically("<", 200))
			Expect(r.do("POST", "/a", "body").body).To(Equal("body"))
		}
		retried := 0
		for _, h := range yes.tap.received(spec.TypeRequest) {
			if h.Flags&spec.FlagRetry != 0 {
				retried++
			}
		}
		Expect(retried).To(BeEquivalentTo(refused.Load()))
	})

	It("that refuses a call has a streamed body of up to 64 KiB offered to another instance, whether it has ended or not", func() {
		r := start()
		var refused atomic.Int64
		read := make(chan string, 1)
		yes := r.join(identity{id: "yes"}, func(in *session.Incoming) {
			b := make([]byte, 3)
			_, _ = io.ReadFull(in, b)
			read <- string(b)
			body, err := io.ReadAll(in)
			if err != nil {
				return
			}
			_ = in.Respond(&spec.Response{Status: 200, ContentLength: -1}, slices.Concat(b, body))
		}, endpoint("POST", "/a", streams))
		for range 600 { // which pay for the retries
			Expect(r.do("POST", "/a", "stella").body).To(Equal("stella"))
			Expect(read).To(Receive())
		}
		r.join(identity{id: "no"}, func(in *session.Incoming) {
			refused.Add(1)
			_, _ = in.Read(make([]byte, 3))
			in.Cancel(spec.CodeRefused, "not now")
		}, endpoint("POST", "/a", streams))
		for _, n := range []int{spec.MaxInlineBody + 1, 64 << 10} {
			body := strings.Repeat("stella!!", n/8+1)[:n]
			for range 8 {
				Expect(r.do("POST", "/a", body).body).To(Equal(body))
				Expect(read).To(Receive())
				Expect(r.send("POST", "/a", unsized{strings.NewReader(body)}).body).To(Equal(body))
				Expect(read).To(Receive())
			}
		}
		for range 16 { // the rest of the body comes only when the first part has arrived
			pipe, feed := io.Pipe()
			go func() {
				_, _ = io.WriteString(feed, "one")
				<-read
				_, _ = io.WriteString(feed, "two")
				_ = feed.Close()
			}()
			Expect(r.send("POST", "/a", unsized{pipe}).body).To(Equal("onetwo"))
		}
		Expect(refused.Load()).To(BeNumerically(">", 0))
		retried := 0
		for _, h := range yes.tap.received(spec.TypeRequest) {
			if h.Flags&spec.FlagRetry != 0 {
				retried++
			}
		}
		Expect(retried).To(BeEquivalentTo(refused.Load()))
	})

	It("that refuses a call after more of its body than the gateway holds is a retryable 503", func() {
		r := start()
		var second atomic.Bool
		serve := func(in *session.Incoming) {
			if second.Swap(true) {
				echo(in)
				return
			}
			_, _ = io.CopyN(io.Discard, in, 64<<10+1)
			in.Cancel(spec.CodeRefused, "not now")
		}
		r.join(identity{}, serve, endpoint("POST", "/a"))
		r.join(identity{}, serve, endpoint("POST", "/a"))
		got := r.do("POST", "/a", strings.Repeat("x", 200_000))
		Expect(got.StatusCode).To(Equal(503))
		Expect(got.body).To(ContainSubstring(`"retryable":true`))
	})

	It("that refuses every call is asked three times at most, for a streamed body, too", func() {
		r := start()
		var asked atomic.Int64
		for range 4 {
			r.join(identity{}, func(in *session.Incoming) {
				asked.Add(1)
				in.Cancel(spec.CodeRefused, "not now")
			}, endpoint("POST", "/a"))
		}
		got := r.do("POST", "/a", strings.Repeat("x", 20_000))
		Expect(got.StatusCode).To(Equal(503))
		Expect(got.body).To(ContainSubstring(`"retryable":true`))
		Expect(asked.Load()).To(BeEquivalentTo(3))
	})

	It("that alone refuses a call is a retryable 503, with a small body and with a streamed one", func() {
		r := start()
		r.join(identity{}, func(in *session.Incoming) { in.Cancel(spec.CodeStale, "") }, endpoint("POST", "/a"))
		for _, body := range []string{"", "small", strings.Repeat("x", 200_000)} {
			got := r.do("POST", "/a", body)
			Expect(got.StatusCode).To(Equal(503))
			Expect(got.body).To(ContainSubstring(`"retryable":true`))
		}
	})

	It("that gives no answer is a 502", func() {
		r := start()
		r.join(identity{}, func(*session.Incoming) {}, endpoint("GET", "/a"))
		got := r.do("GET", "/a", "")
		Expect(got.StatusCode).To(Equal(502))
		Expect(got.body).To(ContainSubstring(`"service_failed"`))
	})
})
