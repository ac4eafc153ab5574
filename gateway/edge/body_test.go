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

// Types of HTTP/2 frames, and their flags (RFC 9113, section 6).
const (
	http2Data      = 0
	http2Reset     = 3
	http2Settings  = 4
	http2Ping      = 6
	http2Ack       = 1
	http2EndStream = 1
)

// http2Nope is the beginning of a connection, and the header of POST /nope on stream 1 with five bytes to come.
const http2Nope = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + "\x00\x00\x00\x04\x00\x00\x00\x00\x00" +
	"\x00\x00\x10\x01\x04\x00\x00\x00\x01" + "\x83\x86\x04\x05/nope\x01\x01h\x0f\x0d\x015"

// http2Frame reads a frame and returns its type and, above, its flags.
func http2Frame(r io.Reader) int {
	GinkgoHelper()
	var head [9]byte
	_, err := io.ReadFull(r, head[:])
	Expect(err).NotTo(HaveOccurred())
	_, err = io.CopyN(io.Discard, r, int64(head[0])<<16|int64(head[1])<<8|int64(head[2]))
	Expect(err).NotTo(HaveOccurred())
	return int(head[3]) | int(head[4])<<8
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
		Eventually(r.g.Registry().Endpoints).WithTimeout(patience).Should(ConsistOf(HaveField("Instances", 0)))
		for _, length := range []string{"3", "100000"} {
			_, in := r.raw("POST /a HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: " + length + "\r\n\r\n")
			Expect(status(in)).To(Equal(503))
		}
	})

	DescribeTable("that is refused and does not come is not waited for, and the connection ends",
		func(line, head string, code int) {
			r := start()
			r.join(identity{}, echo, endpoint("POST", "/claimed", claims("scope=a")))
			_, in := r.raw(line + " HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n" + head + "\r\n")
			sent := time.Now()
			resp, err := http.ReadResponse(in, nil)
			Expect(err).NotTo(HaveOccurred())
			Expect(time.Since(sent)).To(BeNumerically("<", atOnce))
			Expect(resp.StatusCode).To(Equal(code))
			Expect(resp.Close).To(BeTrue())
			_, err = io.Copy(io.Discard, resp.Body)
			Expect(err).NotTo(HaveOccurred())
			_, err = in.ReadByte()
			Expect(err).To(HaveOccurred())
			Expect(errors.Is(err, os.ErrDeadlineExceeded)).To(BeFalse(), "the connection ends")
			Expect(time.Since(sent)).To(BeNumerically("<", 3*time.Second))
		},
		Entry("for a path", "POST /nope", "", 404),
		Entry("for a path, with 100-continue", "POST /nope", "Expect: 100-continue\r\n", 404),
		Entry("for want of claims", "POST /claimed", "", 401),
		Entry("for want of claims, with 100-continue", "POST /claimed", "Expect: 100-continue\r\n", 401),
		Entry("or not needed", "OPTIONS *", "", 204),
	)

	It("that is refused and has come, or comes at once, leaves the connection to the next request", func() {
		r := start()
		r.join(identity{}, named("served"), endpoint("GET", "/a"))
		conn, in := r.raw("POST /nope HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello")
		Expect(status(in)).To(Equal(404))
		_, err := io.WriteString(conn, "POST /nope HTTP/1.1\r\nHost: h\r\nContent-Length: 16384\r\n\r\n")
		Expect(err).NotTo(HaveOccurred())
		_, err = io.WriteString(conn, strings.Repeat("x", 16384)+"GET /a HTTP/1.1\r\nHost: h\r\n\r\n")
		Expect(err).NotTo(HaveOccurred())
		Expect(status(in)).To(Equal(404))
		Expect(status(in)).To(Equal(200))
	})

	It("that is refused on HTTP/2 does not reset its stream when it comes at once, and is not waited for when it does not", func() {
		r := start()
		for _, comes := range []bool{true, false} {
			conn, in := r.raw(http2Nope)
			for http2Frame(in) != http2Settings|http2Ack<<8 { // by then the request is being served
			}
			sent := time.Now()
			if comes {
				_, err := io.WriteString(conn, "\x00\x00\x05\x00\x01\x00\x00\x00\x01hello")
				Expect(err).NotTo(HaveOccurred())
			}
			for http2Frame(in) != http2Data|http2EndStream<<8 {
			}
			Expect(time.Since(sent)).To(BeNumerically("<", atOnce))
			_, err := io.WriteString(conn, "\x00\x00\x08\x06\x00\x00\x00\x00\x00pingpong")
			Expect(err).NotTo(HaveOccurred())
			var seen []int
			for len(seen) == 0 || seen[len(seen)-1] != http2Ping|http2Ack<<8 {
				seen = append(seen, http2Frame(in))
			}
			if comes {
				Expect(seen).NotTo(ContainElement(http2Reset))
			} else {
				Expect(seen).To(ContainElement(http2Reset))
			}
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
			Expect(time.Since(sent)).To(BeNumerically("<", atOnce))
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
		Expect(time.Since(sent)).To(BeNumerically("<", atOnce))
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
