package edge_test

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/stella-ops/router/spec"
	"github.com/stella-ops/router/transports/session"
)

// stream answers with n bytes and announces length, which may be a lie or -1.
func stream(length int64, n int) func(*session.Incoming) {
	return func(in *session.Incoming) {
		if in.Head(&spec.Response{Status: 200, ContentLength: length}) != nil {
			return
		}
		if _, err := io.Copy(in, io.LimitReader(zeros{}, int64(n))); err != nil {
			return
		}
		_ = in.End()
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

var _ = Describe("an answer", func() {
	It("may be larger than every window", func() {
		r := start()
		r.join(identity{}, stream(3<<20, 3<<20), endpoint("GET", "/sized", streams))
		r.join(identity{service: "other"}, stream(-1, 3<<20), endpoint("GET", "/unsized", streams))
		got := r.do("GET", "/sized", "")
		Expect(got.err).NotTo(HaveOccurred())
		Expect(got.ContentLength).To(BeEquivalentTo(3 << 20))
		Expect(got.body).To(HaveLen(3 << 20))
		got = r.do("GET", "/unsized", "")
		Expect(got.err).NotTo(HaveOccurred())
		Expect(got.body).To(HaveLen(3 << 20))
	})

	DescribeTable("that is not as long as it says is broken off, never ended as if whole",
		func(length int64, n int) {
			r := start()
			r.join(identity{}, stream(length, n), endpoint("GET", "/a", streams))
			_, in := r.raw("GET /a HTTP/1.1\r\nHost: h\r\n\r\n")
			resp, err := http.ReadResponse(in, nil)
			if err != nil {
				return // broken off before anything was sent
			}
			_, err = io.Copy(io.Discard, resp.Body)
			Expect(err).To(MatchError(io.ErrUnexpectedEOF))
		},
		Entry("short", int64(100_000), 99_999), Entry("long", int64(100_000), 200_000),
	)

	It("of a whole frame whose length is a lie is a 502", func() {
		r := start()
		r.join(identity{}, func(in *session.Incoming) {
			_ = in.Respond(&spec.Response{Status: 200, ContentLength: 3}, []byte("four"))
		}, endpoint("GET", "/a"))
		got := r.do("GET", "/a", "")
		Expect(got.StatusCode).To(Equal(502))
		Expect(got.body).To(ContainSubstring(`"bad_answer"`))
	})

	It("that the service breaks off is broken off for the client", func() {
		r := start()
		r.join(identity{}, func(in *session.Incoming) {
			_ = in.Head(&spec.Response{Status: 200, ContentLength: -1})
			_, _ = in.Write([]byte("some"))
			in.Cancel(spec.CodeInternal, "out of paper")
		}, endpoint("GET", "/a", streams))
		for range 20 {
			_, in := r.raw("GET /a HTTP/1.1\r\nHost: h\r\n\r\n")
			resp, err := http.ReadResponse(in, nil)
			if err != nil {
				continue // before the head was flushed
			}
			_, err = io.Copy(io.Discard, resp.Body)
			Expect(err).To(HaveOccurred())
		}
	})

	It("is passed on event by event", func() {
		r := start()
		next := make(chan struct{})
		r.join(identity{}, func(in *session.Incoming) {
			_ = in.Head(&spec.Response{
				Status: 200, ContentLength: -1, Header: []spec.Field{{Name: "Content-Type", Value: "text/event-stream"}},
			})
			for i := range 10 {
				<-next
				_, _ = fmt.Fprintf(in, "data: %d\n\n", i)
			}
			_ = in.End()
		}, endpoint("GET", "/events", streams))
		_, in := r.raw("GET /events HTTP/1.1\r\nHost: h\r\n\r\n")
		resp, err := http.ReadResponse(in, nil) // the head does not wait for an event
		Expect(err).NotTo(HaveOccurred())
		lines := bufio.NewReader(resp.Body)
		for i := range 10 {
			sent := time.Now()
			next <- struct{}{}
			line, err := lines.ReadString('\n')
			Expect(err).NotTo(HaveOccurred())
			Expect(line).To(Equal(fmt.Sprintf("data: %d\n", i)))
			Expect(time.Since(sent)).To(BeNumerically("<", 100*time.Millisecond))
			_, err = lines.ReadString('\n')
			Expect(err).NotTo(HaveOccurred())
		}
		_, err = lines.ReadByte()
		Expect(err).To(Equal(io.EOF))
	})

	It("that falls silent for longer than its idle limit is broken off", func() {
		r := start()
		ended := make(chan struct{})
		r.join(identity{}, func(in *session.Incoming) {
			_ = in.Head(&spec.Response{Status: 200, ContentLength: -1})
			<-in.Context().Done()
			close(ended)
		}, endpoint("GET", "/a", streams, limits(spec.Limits{IdleMS: 100})))
		got := r.do("GET", "/a", "")
		Expect(got.StatusCode).To(Equal(200))
		Expect(got.err).To(HaveOccurred())
		Eventually(ended).WithTimeout(patience).Should(BeClosed())
	})

	It("whose client leaves ends the handler's context", func() {
		r := start()
		ended := make(chan struct{})
		r.join(identity{}, func(in *session.Incoming) {
			_ = in.Head(&spec.Response{Status: 200, ContentLength: -1})
			<-in.Context().Done()
			close(ended)
		}, endpoint("GET", "/a", streams))
		conn, in := r.raw("GET /a HTTP/1.1\r\nHost: h\r\n\r\n")
		_, err := http.ReadResponse(in, nil)
		Expect(err).NotTo(HaveOccurred())
		Expect(conn.Close()).To(Succeed())
		Eventually(ended).WithTimeout(200 * time.Millisecond).Should(BeClosed())
	})

	It("to a client that does not read is broken off, and holds no more than the windows", func() {
		r := start(stallsAfter(300 * time.Millisecond))
		ended := make(chan struct{})
		r.join(identity{}, func(in *session.Incoming) {
			_ = in.Head(&spec.Response{Status: 200, ContentLength: -1})
			_, _ = io.Copy(in, zeros{})
			close(ended)
		}, endpoint("GET", "/a", streams))
		r.raw("GET /a HTTP/1.1\r\nHost: h\r\n\r\n")
		Eventually(ended).WithTimeout(patience).Should(BeClosed())
	})

	It("comes by HTTP/2 with prior knowledge, too", func() {
		r := start(stallsAfter(time.Second)) // less, and a busy machine stalls by itself
		r.join(identity{}, func(in *session.Incoming) {
			switch in.Request().Query {
			case "slow": // longer than a body may stall
				<-time.After(1500 * time.Millisecond)
				fallthrough
			default:
				echo(in)
			}
		}, endpoint("POST", "/a", limits(spec.Limits{MaxBodyBytes: 4 << 20})))
		r.join(identity{service: "other"}, stream(200_000, 100_000), endpoint("GET", "/short", streams))
		p := new(http.Protocols)
		p.SetUnencryptedHTTP2(true)
		transport := &http.Transport{Protocols: p}
		defer transport.CloseIdleConnections()
		r.client.Transport = transport
		for _, body := range []string{"", "small", strings.Repeat("x", 1<<20)} {
			got := r.do("POST", "/a", body)
			Expect(got.ProtoMajor).To(Equal(2))
			Expect(got.body).To(Equal(body))
		}
		large := strings.Repeat("x", 1<<20)
		Expect(r.send("POST", "/a?slow", unsized{strings.NewReader(large)}).body).To(Equal(large))
		got := r.do("GET", "/short", "")
		Expect(got.err).To(HaveOccurred())
	})
})
