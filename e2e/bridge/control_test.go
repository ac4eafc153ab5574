package bridge

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

// at is an endpoint for POST.
var at = endpoint{method: http.MethodPost, path: "/a"}

// begin sends the head of a chunked request, and its first part.
func begin(address, part string) net.Conn {
	GinkgoHelper()
	conn := connect(address)
	say(conn, "POST /a HTTP/1.1\r\nHost: "+authority+"\r\nTransfer-Encoding: chunked\r\n\r\n"+chunked(part))
	return conn
}

// chunked is a part of a chunked body.
func chunked(part string) string { return fmt.Sprintf("%x\r\n%s\r\n", len(part), part) }

// respond reads one answer.
func respond(in *bufio.Reader) (*http.Response, string, error) {
	GinkgoHelper()
	resp, err := http.ReadResponse(in, nil)
	Expect(err).NotTo(HaveOccurred())
	text, err := io.ReadAll(resp.Body)
	_ = resp.Body.Close()
	return resp, string(text), err
}

var _ = Describe("http.ResponseController", func() {
	for _, around := range [][]middleware{nil, {counting}} {
		name := ""
		if len(around) > 0 {
			name = " behind middleware"
		}
		bothWays("bounds reads"+name+", after which the handler still answers", func() http.Handler {
			return handle(func(w http.ResponseWriter, r *http.Request) {
				rc := http.NewResponseController(w)
				first := make([]byte, 5)
				_, err := io.ReadFull(r.Body, first)
				err = errors.Join(err, rc.SetReadDeadline(time.Now().Add(20*time.Millisecond)))
				_, late := io.ReadAll(r.Body)
				_, _ = fmt.Fprintf(w, "%s %v %v", first, err, errors.Is(late, os.ErrDeadlineExceeded))
			})
		}, at, func(_ SpecContext, address string) {
			_, text, err := respond(bufio.NewReader(begin(address, "first")))
			Expect(err).NotTo(HaveOccurred())
			Expect(text).To(Equal("first <nil> true"))
		}, around...)

		told := make(chan error, 1)
		bothWays("bounds writes"+name+" to a client that does not read, whose answer is broken off", func() http.Handler {
			return handle(func(w http.ResponseWriter, _ *http.Request) {
				err := http.NewResponseController(w).SetWriteDeadline(time.Now().Add(100 * time.Millisecond))
				for part := make([]byte, 64<<10); err == nil; {
					_, err = w.Write(part)
				}
				told <- err
			})
		}, at, func(ctx SpecContext, address string) {
			conn := begin(address, "first")
			say(conn, chunked(""))
			Eventually(told).WithContext(ctx).Should(Receive(MatchError(os.ErrDeadlineExceeded)))
			_, _, err := respond(bufio.NewReader(conn))
			Expect(err).To(MatchError(io.ErrUnexpectedEOF))
		}, around...)

		bothWays("has the handler answer while it reads"+name, func() http.Handler {
			return handle(func(w http.ResponseWriter, r *http.Request) {
				rc := http.NewResponseController(w)
				if err := errors.Join(rc.EnableFullDuplex(), rc.Flush()); err != nil {
					panic(err)
				}
				part := make([]byte, 100)
				for {
					n, err := r.Body.Read(part)
					_, errWrite := w.Write(part[:n])
					if err = errors.Join(err, errWrite, rc.Flush()); err != nil {
						return
					}
				}
			})
		}, at, func(_ SpecContext, address string) {
			conn := begin(address, "part 0")
			resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
			Expect(err).NotTo(HaveOccurred())
			defer resp.Body.Close()
			back := make([]byte, len("part 0"))
			for i := range 10 {
				_, err := io.ReadFull(resp.Body, back)
				Expect(err).NotTo(HaveOccurred())
				Expect(string(back)).To(Equal(fmt.Sprintf("part %d", i)))
				if i < 9 {
					say(conn, chunked(fmt.Sprintf("part %d", i+1)))
				}
			}
			say(conn, chunked(""))
			Expect(io.ReadAll(resp.Body)).To(BeEmpty())
		}, around...)

		bothWays("takes the connection over"+name+", whose deadlines are its own", func() http.Handler {
			return handle(func(w http.ResponseWriter, _ *http.Request) {
				rc := http.NewResponseController(w)
				if err := errors.Join(rc.SetReadDeadline(time.Unix(1, 0)), rc.SetWriteDeadline(time.Unix(1, 0))); err != nil {
					panic(err)
				}
				conn, buffered, err := rc.Hijack()
				if err != nil {
					panic(err)
				}
				defer conn.Close()
				_, _ = buffered.WriteString("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nhello\n")
				errWrite := buffered.Flush()
				line, errRead := buffered.ReadString('\n')
				errSet := conn.SetReadDeadline(time.Now().Add(20 * time.Millisecond))
				_, late := buffered.ReadString('\n')
				_, _ = fmt.Fprintf(conn, "%v %v %v %v %s", errWrite, errRead, errSet, errors.Is(late, os.ErrDeadlineExceeded), line)
			})
		}, socket, func(_ SpecContext, address string) {
			conn := connect(address)
			say(conn, "GET /chat HTTP/1.1\r\nHost: "+authority+"\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
			in := bufio.NewReader(conn)
			resp, err := http.ReadResponse(in, nil)
			Expect(err).NotTo(HaveOccurred())
			Expect(resp.Body.Close()).To(Succeed())
			Expect(resp.StatusCode).To(Equal(http.StatusSwitchingProtocols))
			Expect(in.ReadString('\n')).To(Equal("hello\n"))
			say(conn, "a line\n")
			Expect(in.ReadString('\n')).To(Equal("<nil> <nil> <nil> true a line\n"))
			Expect(io.ReadAll(in)).To(BeEmpty())
		}, around...)
	}
})

var _ = Describe("A client that leaves", func() {
	var came chan string
	var ended chan error

	BeforeEach(func() { came, ended = make(chan string, 1), make(chan error, 1) })

	waits := func() http.Handler {
		return handle(func(_ http.ResponseWriter, r *http.Request) {
			body, err := io.ReadAll(r.Body)
			came <- fmt.Sprint(string(body), err)
			<-r.Context().Done()
			ended <- context.Cause(r.Context())
		})
	}
	bothWays("ends the context of the request, which has no body", waits, endpoint{method: http.MethodGet, path: "/a"},
		func(ctx SpecContext, address string) {
			conn := connect(address)
			say(conn, "GET /a HTTP/1.1\r\nHost: "+authority+"\r\n\r\n")
			Eventually(came).WithContext(ctx).Should(Receive(Equal("<nil>")))
			Expect(conn.Close()).To(Succeed())
			Eventually(ended).WithContext(ctx).Should(Receive(HaveOccurred()))
		})

	bothWays("does so when the body has been read", waits, at, func(ctx SpecContext, address string) {
		conn := begin(address, strings.Repeat("x", 50_000))
		say(conn, chunked(""))
		Eventually(came).WithContext(ctx).Should(Receive(Equal(strings.Repeat("x", 50_000) + "<nil>")))
		Expect(conn.Close()).To(Succeed())
		Eventually(ended).WithContext(ctx).Should(Receive(HaveOccurred()))
	}, counting)

	bothWays("within its body is an unexpected end to who reads that, and the context ends", func() http.Handler {
		return handle(func(_ http.ResponseWriter, r *http.Request) {
			_, err := io.ReadFull(r.Body, make([]byte, 5))
			came <- fmt.Sprint(err)
			_, err = io.ReadAll(r.Body)
			<-r.Context().Done()
			ended <- err
		})
	}, at, func(ctx SpecContext, address string) {
		conn := begin(address, "first")
		Eventually(came).WithContext(ctx).Should(Receive(Equal("<nil>")))
		Expect(conn.Close()).To(Succeed())
		Eventually(ended).WithContext(ctx).Should(Receive(MatchError(io.ErrUnexpectedEOF)))
	})
})
