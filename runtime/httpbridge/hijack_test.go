package httpbridge_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/coder/websocket"

	"github.com/stella-ops/router/runtime/stellatest"
	"github.com/stella-ops/router/spec"
)

// upgradable makes the endpoint a WebSocket.
func upgradable(e *spec.Endpoint) {
	e.Stream, e.Status = spec.StreamUpgrade, http.StatusSwitchingProtocols
}

// opening are the fields of a request that opens a WebSocket, beside those of the connection.
func opening() []string {
	return []string{"Sec-WebSocket-Version", "13", "Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="}
}

// open asks for an upgrade, and says what in is given once it is accepted.
func open(s *stellatest.Service, in io.Reader) *stellatest.Stream {
	GinkgoHelper()
	st, err := s.Open(context.Background(), request{Path: "/chat", Upgrade: "websocket", Stream: in, Header: fields(opening()...)})
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(sync.OnceFunc(st.Close))
	return st
}

// rawHead is what a library writes that takes the connection over before it answers.
const rawHead = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: x\r\n\r\n"

var _ = Describe("A handler that takes the connection over", func() {
	It("has 101 said for it by WriteHeader, as coder/websocket does", func() {
		s, log := bridge("GET /chat", handle(func(w http.ResponseWriter, r *http.Request) {
			c, err := websocket.Accept(w, r, nil)
			if err != nil {
				return
			}
			defer c.CloseNow()
			kind, text, err := c.Read(context.Background())
			if err != nil {
				return
			}
			_ = c.Write(context.Background(), kind, append([]byte("heard "), text...))
			_ = c.Close(websocket.StatusNormalClosure, "enough")
		}), upgradable)
		heard, say := io.Pipe()
		st := open(s, heard)
		Expect(st.Status).To(Equal(http.StatusSwitchingProtocols), log.String())
		Expect(st.Header.Get("Sec-WebSocket-Accept")).To(Equal("s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")) // of RFC 6455, section 1.3
		_, err := say.Write([]byte{0x81, 0x82, 0, 0, 0, 0, 'h', 'i'})                           // a text frame, masked by nothing
		Expect(err).NotTo(HaveOccurred())
		frame := make([]byte, 2+len("heard hi"))
		_, err = io.ReadFull(st, frame)
		Expect(err).NotTo(HaveOccurred())
		Expect(string(frame)).To(Equal("\x81\x08heard hi"))
		closing := make([]byte, 2+2+len("enough"))
		_, err = io.ReadFull(st, closing)
		Expect(err).NotTo(HaveOccurred())
		Expect(string(closing)).To(Equal("\x88\x08\x03\xe8enough"))
		_, err = say.Write([]byte{0x88, 0x82, 0, 0, 0, 0, 0x03, 0xe8})
		Expect(err).NotTo(HaveOccurred())
		Expect(io.ReadAll(st)).To(BeEmpty())
		Expect(say.Close()).To(Succeed())
	})

	It("may write the head itself, in parts and with octets behind it, as other libraries do", func() {
		s, _ := bridge("GET /chat", handle(func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("Connection") != "Upgrade" || r.Header.Get("Upgrade") != "websocket" {
				return
			}
			conn, buffered, err := http.NewResponseController(w).Hijack()
			if err != nil {
				return
			}
			defer conn.Close()
			if _, err := conn.Read(make([]byte, 1)); err == nil {
				return
			}
			all := rawHead + "first "
			for i := range len(all) - 3 {
				if _, err := io.WriteString(conn, all[i:i+1]); err != nil {
					return
				}
			}
			_, _ = buffered.WriteString(all[len(all)-3:])
			_ = buffered.Flush()
			line, err := buffered.ReadString('\n')
			if err == nil {
				_, _ = fmt.Fprintf(conn, "got %s", line)
			}
		}), upgradable)
		st := open(s, strings.NewReader("a line\n"))
		Expect(st.Status).To(Equal(http.StatusSwitchingProtocols))
		Expect(st.Header.Get("Sec-WebSocket-Accept")).To(Equal("x"))
		all, err := io.ReadAll(st)
		Expect(err).NotTo(HaveOccurred())
		Expect(string(all)).To(Equal("first got a line\n"))
	})

	It("may return while others go on with the connection, until they close it", func() {
		ended := make(chan error, 1)
		s, _ := bridge("GET /chat", handle(func(w http.ResponseWriter, r *http.Request) {
			conn, _, err := http.NewResponseController(w).Hijack()
			if err != nil {
				return
			}
			go func() {
				<-r.Context().Done() // as in net/http, it ends with the handler
				_, err := io.WriteString(conn, rawHead)
				if err == nil {
					_, err = io.Copy(conn, struct{ io.Reader }{conn})
				}
				ended <- errors.Join(err, conn.Close())
			}()
		}), upgradable)
		st := open(s, strings.NewReader("echo"))
		all, err := io.ReadAll(st)
		Expect(err).NotTo(HaveOccurred())
		Expect(string(all)).To(Equal("echo"))
		Eventually(ended).WithTimeout(patience).Should(Receive(BeNil()))
	})

	It("is told when the caller leaves, by the connection", func() {
		ended := make(chan error, 1)
		s, _ := bridge("GET /chat", handle(func(w http.ResponseWriter, _ *http.Request) {
			conn, _, err := http.NewResponseController(w).Hijack()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				_, err := io.WriteString(conn, rawHead)
				if err == nil {
					_, err = conn.Read(make([]byte, 1))
				}
				ended <- err
			}()
		}), upgradable)
		heard, say := io.Pipe()
		defer say.Close()
		st, err := s.Open(context.Background(), request{Path: "/chat", Upgrade: "websocket", Stream: heard})
		Expect(err).NotTo(HaveOccurred())
		st.Close()
		Eventually(ended).WithTimeout(patience).Should(Receive(&err))
		Expect(err).To(HaveOccurred())
		Expect(err).NotTo(MatchError(io.EOF))
	})

	DescribeTable("fails the call unless what it writes first accepts the upgrade", func(text string, why string) {
		failed := make(chan error, 1)
		s, log := bridge("GET /chat", handle(func(w http.ResponseWriter, _ *http.Request) {
			conn, _, err := http.NewResponseController(w).Hijack()
			if err != nil {
				return
			}
			_, err = io.WriteString(conn, text)
			failed <- err
			_ = conn.Close()
		}), upgradable)
		answer := call(s, request{Path: "/chat", Upgrade: "websocket"})
		Expect(answer.Status).To(Equal(http.StatusInternalServerError))
		err := <-failed
		if text != "" {
			Expect(err).To(HaveOccurred())
		}
		Expect(log.String()).To(ContainSubstring(why))
	},
		Entry("but nothing", "", "closed before"),
		Entry("but another status", "HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n", "got 403"),
		Entry("but something else", "hello\r\n\r\n", "malformed HTTP"),
		Entry("but something without end", strings.Repeat("x", 65<<10), "without its end"),
	)

	It("answers as any other as long as it does not, and then nothing more", func() {
		s, _ := bridge("GET /chat", handle(func(w http.ResponseWriter, r *http.Request) {
			switch r.URL.RawQuery {
			case "refuse":
				http.Error(w, "no", http.StatusForbidden)
				if _, _, err := http.NewResponseController(w).Hijack(); !errors.Is(err, errors.ErrUnsupported) {
					panic(err)
				}
			case "twice":
				conn, _, err := http.NewResponseController(w).Hijack()
				if err != nil {
					panic(err)
				}
				_, _, second := http.NewResponseController(w).Hijack()
				_, write := io.WriteString(w, "x")
				w.WriteHeader(http.StatusTeapot)
				_, _ = fmt.Fprintf(conn, "%s%v, %v", rawHead, errors.Is(second, http.ErrHijacked), errors.Is(write, http.ErrHijacked))
				_ = conn.Close()
				if _, err := conn.Write([]byte("x")); !errors.Is(err, net.ErrClosed) {
					panic(err)
				}
			default:
				_, hijacks := w.(http.Hijacker)
				_, _ = fmt.Fprint(w, hijacks)
			}
		}), upgradable)
		Expect(call(s, request{Path: "/chat?refuse", Upgrade: "websocket"}).Status).To(Equal(http.StatusForbidden))
		Expect(string(call(s, request{Path: "/chat?twice", Upgrade: "websocket"}).Body)).To(Equal("true, true"))
		Expect(string(call(s, request{Path: "/chat?plain"}).Body)).To(Equal("false"))
	})

	It("has its deadlines from before 101 as well", func() {
		s, _ := bridge("GET /chat", handle(func(w http.ResponseWriter, _ *http.Request) {
			conn, buffered, err := http.NewResponseController(w).Hijack()
			if err != nil {
				return
			}
			defer conn.Close()
			_ = conn.SetDeadline(time.Unix(1, 0))
			_, _ = io.WriteString(conn, rawHead)
			_, err = bufio.NewReader(buffered).ReadByte()
			timeout, ok := errors.AsType[net.Error](err)
			_ = conn.SetDeadline(time.Time{})
			_, _ = fmt.Fprint(conn, ok && timeout.Timeout())
		}), upgradable)
		heard, say := io.Pipe()
		st := open(s, heard)
		all, err := io.ReadAll(st)
		Expect(err).NotTo(HaveOccurred())
		Expect(string(all)).To(Equal("true"))
		Expect(say.Close()).To(Succeed())
	})
})
