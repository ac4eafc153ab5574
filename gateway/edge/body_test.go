package edge_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"runtime"
	"strconv"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/stella-ops/router/gateway"
	"github.com/stella-ops/router/spec"
	"github.com/stella-ops/router/transports/session"
)

// unsized hides a body's length.
type unsized struct{ io.Reader }

// count answers with the number of bytes in the body.
func count(in *session.Incoming) {
	n, err := io.Copy(io.Discard, in)
	if err != nil {
		return
	}
	_ = in.Respond(&spec.Response{Status: 200, ContentLength: -1}, strconv.AppendInt(nil, n, 10))
}

var _ = Describe("a request body", func() {
	It("arrives whole, whatever its length and however it comes", func() {
		r := start()
		r.join(identity{}, echo, endpoint("POST", "/a", limits(spec.Limits{MaxBodyBytes: 4 << 20})))
		for _, n := range []int{0, 1, spec.MaxInlineBody, spec.MaxInlineBody + 1, 70_000, 1 << 20} {
			body := bytes.Repeat([]byte("stella!"), n/7+1)[:n]
			Expect(r.send("POST", "/a", bytes.NewReader(body)).body).To(Equal(string(body)), "%d with a length", n)
			Expect(r.send("POST", "/a", unsized{bytes.NewReader(body)}).body).To(Equal(string(body)), "%d without", n)
		}
	})

	It("of up to 16 KiB is one REQUEST frame, and its answer needs no chunks", func() {
		r := start()
		m := r.join(identity{}, echo, endpoint("POST", "/a"))
		got := r.do("POST", "/a", strings.Repeat("x", spec.MaxInlineBody))
		Expect(got.ContentLength).To(BeEquivalentTo(spec.MaxInlineBody))
		Expect(m.tap.received(spec.TypeRequest)).To(HaveLen(1))
		Expect(m.tap.received(spec.TypeRequest)[0].Flags).To(Equal(spec.FlagEnd | spec.FlagInlineBody))
		Expect(m.tap.received(spec.TypeRequestStreamData)).To(BeEmpty())
	})

	It("over the limit is refused by its length, before a REQUEST is sent; at the limit it passes", func() {
		r := start()
		m := r.join(identity{}, count, endpoint("POST", "/a", limits(spec.Limits{MaxBodyBytes: 100_000})))
		for _, expect := range [][]string{nil, {"Expect", "100-continue"}} {
			got := r.do("POST", "/a", strings.Repeat("x", 100_001), expect...)
			Expect(got.StatusCode).To(Equal(http.StatusRequestEntityTooLarge))
			Expect(got.body).To(ContainSubstring("100000 bytes"))
		}
		Expect(m.tap.received(spec.TypeRequest)).To(BeEmpty())
		Expect(r.do("POST", "/a", strings.Repeat("x", 100_000)).body).To(Equal("100000"))
	})

	It("of a length over the limit is refused at once, without waiting for it", func() {
		r := start()
		r.join(identity{}, count, endpoint("POST", "/a"))
		_, in := r.raw("POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 2000000\r\n\r\nabc")
		before := time.Now()
		Expect(status(in)).To(Equal(http.StatusRequestEntityTooLarge))
		Expect(time.Since(before)).To(BeNumerically("<", time.Second))
	})

	It("of unknown length over the limit is refused at once, with one CANCEL, and memory does not grow", func() {
		r := start()
		m := r.join(identity{}, count, endpoint("POST", "/a", limits(spec.Limits{MaxBodyBytes: 64 << 10})))
		conn, in := r.raw("POST /a HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n")
		var before runtime.MemStats
		runtime.ReadMemStats(&before)
		chunk := fmt.Sprintf("%x\r\n%s\r\n", 32<<10, strings.Repeat("x", 32<<10))
		go func() { // a client that ignores the answer
			for range 512 {
				if _, err := io.WriteString(conn, chunk); err != nil {
					return
				}
			}
		}()
		sent := time.Now()
		resp, err := http.ReadResponse(in, nil)
		Expect(err).NotTo(HaveOccurred())
		Expect(resp.StatusCode).To(Equal(http.StatusRequestEntityTooLarge))
		Expect(resp.Close).To(BeTrue())
		Expect(time.Since(sent)).To(BeNumerically("<", time.Second))
		Eventually(func() []spec.Header { return m.tap.received(spec.TypeCancel) }).WithTimeout(patience).Should(HaveLen(1))
		Expect(spec.Code(m.tap.received(spec.TypeCancel)[0].Aux)).To(Equal(spec.CodeLimit))
		var after runtime.MemStats
		runtime.ReadMemStats(&after)
		Expect(int64(after.HeapInuse) - int64(before.HeapInuse)).To(BeNumerically("<", 8<<20))
		Consistently(func() []spec.Header { return m.tap.received(spec.TypeCancel) }).WithTimeout(200 * time.Millisecond).Should(HaveLen(1))
	})

	It("framed by Transfer-Encoding and Content-Length is read by the first alone, and the connection ends", func() {
		r := start()
		m := r.join(identity{}, echo, endpoint("POST", "/a"), endpoint("GET", "/smuggled"))
		_, in := r.raw("POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n" +
			"GET /smuggled HTTP/1.1\r\nHost: h\r\n\r\n")
		resp, err := http.ReadResponse(in, nil)
		Expect(err).NotTo(HaveOccurred())
		body, err := io.ReadAll(resp.Body)
		Expect(err).NotTo(HaveOccurred())
		Expect(string(body)).To(Equal("hi"))
		Expect(resp.Close).To(BeTrue())
		_, err = in.ReadByte()
		Expect(err).To(HaveOccurred(), "nothing more is served")
		Expect(m.tap.received(spec.TypeRequest)).To(HaveLen(1))
	})

	It("of HTTP/1.0 ends the connection, because net/http hides its Transfer-Encoding", func() {
		r := start()
		m := r.join(identity{}, echo, endpoint("POST", "/a"), endpoint("GET", "/smuggled"))
		_, in := r.raw("POST /a HTTP/1.0\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\nhi" +
			"GET /smuggled HTTP/1.1\r\nHost: h\r\n\r\n")
		Expect(status(in)).To(Equal(200))
		_, err := in.ReadByte()
		Expect(err).To(HaveOccurred())
		Expect(m.tap.received(spec.TypeRequest)).To(HaveLen(1))
	})

	It("with a broken chunk is a CANCEL and a 400, never an END", func() {
		r := start()
		m := r.join(identity{}, count, endpoint("POST", "/a"))
		_, in := r.raw("POST /a HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\nZZ\r\n")
		Expect(status(in)).To(Equal(http.StatusBadRequest))
		Eventually(func() []spec.Header { return m.tap.received(spec.TypeCancel) }).WithTimeout(patience).Should(HaveLen(1))
		for _, h := range m.tap.received(spec.TypeRequestStreamData) {
			Expect(h.Flags & spec.FlagEnd).To(BeZero())
		}
	})

	DescribeTable("that stops arriving is answered with 408",
		func(head string, code spec.Code, canceled int) {
			r := start(func(c *gateway.Config) { c.Stall = 200 * time.Millisecond })
			m := r.join(identity{}, count, endpoint("POST", "/a"))
			_, in := r.raw("POST /a HTTP/1.1\r\nHost: h\r\n" + head)
			Expect(status(in)).To(Equal(http.StatusRequestTimeout))
			Eventually(func() []spec.Header { return m.tap.received(spec.TypeCancel) }).WithTimeout(patience).Should(HaveLen(canceled))
			if canceled > 0 {
				Expect(spec.Code(m.tap.received(spec.TypeCancel)[0].Aux)).To(Equal(code))
			}
		},
		Entry("a small one, of which no service hears", "Content-Length: 10\r\n\r\nabc", spec.CodeNoError, 0),
		Entry("a large one", "Content-Length: 100000\r\n\r\nabc", spec.CodeStalled, 1),
		Entry("one of unknown length", "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n", spec.CodeStalled, 1),
	)

	It("may arrive slowly as long as it arrives", func() {
		r := start(func(c *gateway.Config) { c.Stall = 300 * time.Millisecond })
		r.join(identity{}, count, endpoint("POST", "/a", streams))
		pipe, feed := io.Pipe()
		go func() {
			tick := time.NewTicker(50 * time.Millisecond)
			defer tick.Stop()
			for range 10 {
				<-tick.C
				_, _ = feed.Write([]byte("x"))
			}
			_ = feed.Close()
		}()
		Expect(r.send("POST", "/a", unsized{pipe}).body).To(Equal("10"))
	})

	DescribeTable("whose client leaves ends the handler's context within milliseconds",
		func(head string) {
			r := start()
			entered, ended := make(chan struct{}), make(chan error, 1)
			r.join(identity{}, func(in *session.Incoming) {
				close(entered)
				_, _ = io.Copy(io.Discard, in)
				<-in.Context().Done()
				ended <- context.Cause(in.Context())
			}, endpoint("POST", "/a", streams))
			conn, _ := r.raw("POST /a HTTP/1.1\r\nHost: h\r\n" + head)
			Eventually(entered).WithTimeout(patience).Should(BeClosed())
			left := time.Now()
			Expect(conn.Close()).To(Succeed())
			var err error
			Eventually(ended).WithTimeout(patience).Should(Receive(&err))
			Expect(time.Since(left)).To(BeNumerically("<", 200*time.Millisecond))
			var e *session.Error
			Expect(errors.As(err, &e)).To(BeTrue())
			Expect(e.Code).To(Equal(spec.CodeClientGone))
		},
		Entry("during the handler, after a small body", "Content-Length: 3\r\n\r\nabc"),
		Entry("during the handler, without a body", "\r\n"),
		Entry("during the handler, after a chunked body", "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"),
		Entry("while a body of known length is read", "Content-Length: 100000\r\n\r\nabc"),
		Entry("while a body of unknown length is read", "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n"),
	)

	It("is not asked for with 100-continue before a service is there to take it", func() {
		r := start()
		m := r.join(identity{}, count, endpoint("POST", "/a"))
		Expect(m.Close()).To(Succeed())
		Eventually(func() int { return r.do("POST", "/a", "").StatusCode }).WithTimeout(patience).Should(Equal(503))
		for _, length := range []string{"3", "100000"} {
			_, in := r.raw("POST /a HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: " + length + "\r\n\r\n")
			Expect(status(in)).To(Equal(503))
		}
	})

	It("may be answered before it has arrived: the answer is there at once", func() {
		r := start()
		m := r.join(identity{}, func(in *session.Incoming) {
			_ = in.Respond(&spec.Response{Status: 413, ContentLength: -1}, []byte("no, thanks"))
		}, endpoint("POST", "/a", streams))
		for _, head := range []string{"Content-Length: 100000\r\n\r\nabc", "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n"} {
			_, in := r.raw("POST /a HTTP/1.1\r\nHost: h\r\n" + head)
			sent := time.Now()
			resp, err := http.ReadResponse(in, nil)
			Expect(err).NotTo(HaveOccurred())
			Expect(resp.StatusCode).To(Equal(413))
			Expect(resp.Close).To(BeTrue())
			Expect(time.Since(sent)).To(BeNumerically("<", 500*time.Millisecond))
			_, err = in.ReadByte()
			for err == nil {
				_, err = in.ReadByte()
			}
		}
		Eventually(m.InFlight).WithTimeout(patience).Should(BeZero())
	})

	It("may be answered whole before it has arrived: the client sees its end at once", func() {
		r := start()
		r.join(identity{}, func(in *session.Incoming) {
			_ = in.Respond(&spec.Response{Status: 200, ContentLength: -1}, []byte("no need"))
		}, endpoint("POST", "/a", streams))
		_, in := r.raw("POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 900000\r\n\r\nabc")
		sent := time.Now()
		resp, err := http.ReadResponse(in, nil)
		Expect(err).NotTo(HaveOccurred())
		Expect(resp.ContentLength).To(BeEquivalentTo(len("no need")))
		body, err := io.ReadAll(resp.Body)
		Expect(err).NotTo(HaveOccurred())
		Expect(string(body)).To(Equal("no need"))
		Expect(time.Since(sent)).To(BeNumerically("<", 500*time.Millisecond))
	})

	It("that a streamed answer does not wait for ends the connection, so that its rest is never served as a request", func() {
		r := start()
		m := r.join(identity{}, func(in *session.Incoming) {
			_ = in.Head(&spec.Response{Status: 200, ContentLength: -1})
			_, _ = in.Write([]byte("early"))
			_ = in.End()
		}, endpoint("POST", "/a", streams), endpoint("GET", "/smuggled"))
		for i, head := range []string{"Content-Length: 100000\r\n\r\nabc", "Transfer-Encoding: chunked\r\n\r\n"} {
			conn, in := r.raw("POST /a HTTP/1.1\r\nHost: h\r\n" + head)
			resp, err := http.ReadResponse(in, nil)
			Expect(err).NotTo(HaveOccurred())
			Expect(resp.Close).To(BeTrue())
			body, err := io.ReadAll(resp.Body)
			Expect(err).NotTo(HaveOccurred())
			Expect(string(body)).To(Equal("early"))
			Eventually(m.InFlight).WithTimeout(patience).Should(BeZero())
			_, _ = io.WriteString(conn, "GET /smuggled HTTP/1.1\r\nHost: h\r\n\r\n") // fails if the connection is gone already
			_, err = in.ReadByte()
			Expect(err).To(HaveOccurred(), "nothing more is served")
			Expect(errors.Is(err, os.ErrDeadlineExceeded)).To(BeFalse(), "the connection ends")
			Expect(m.tap.received(spec.TypeRequest)).To(HaveLen(i + 1))
		}
	})

	It("and the answer may flow at the same time", func() {
		r := start()
		r.join(identity{}, func(in *session.Incoming) {
			_ = in.Head(&spec.Response{Status: 200, ContentLength: -1})
			_, _ = io.Copy(in, struct{ io.Reader }{in})
			_ = in.End()
		}, endpoint("POST", "/a", streams))
		pipe, feed := io.Pipe()
		q, err := http.NewRequest(http.MethodPost, r.url("/a"), pipe)
		Expect(err).NotTo(HaveOccurred())
		resp, err := r.client.Do(q)
		Expect(err).NotTo(HaveOccurred())
		defer resp.Body.Close()
		buf := make([]byte, 16)
		for i := range 10 {
			word := fmt.Sprintf("word %d", i)
			_, err := io.WriteString(feed, word)
			Expect(err).NotTo(HaveOccurred())
			n, err := resp.Body.Read(buf)
			Expect(err).NotTo(HaveOccurred())
			Expect(string(buf[:n])).To(Equal(word))
		}
		Expect(feed.Close()).To(Succeed())
		_, err = resp.Body.Read(buf)
		Expect(err).To(Equal(io.EOF))
	})
})
