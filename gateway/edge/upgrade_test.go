package edge_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"github.com/onsi/gomega/gbytes"
	"github.com/onsi/gomega/types"

	"github.com/stella-ops/router/gateway"
	"github.com/stella-ops/router/gateway/edge"
	"github.com/stella-ops/router/spec"
	"github.com/stella-ops/router/transports/session"
	"github.com/stella-ops/router/transports/trust"
)

// upgrades describes an endpoint that is a WebSocket.
func upgrades(e *spec.Endpoint) {
	e.Stream, e.Status = spec.StreamUpgrade, http.StatusSwitchingProtocols
}

// opening is a request that opens a WebSocket, with further lines.
func opening(path string, lines ...string) string {
	return "GET " + path + " HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n" +
		"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n" + strings.Join(lines, "") + "\r\n"
}

// accept answers 101.
func accept(in *session.Incoming, header ...spec.Field) bool {
	return in.Head(&spec.Response{Status: http.StatusSwitchingProtocols, ContentLength: -1, Header: header}) == nil
}

// mirror sends back what comes, and ends when the client does.
func mirror(in *session.Incoming) {
	if !accept(in) {
		return
	}
	if _, err := in.ReadFrom(in); err == nil {
		_ = in.End() // fails when the client has left
	}
}

// opened sends a request that opens a WebSocket, and reads 101.
func (r *rig) opened(path string, lines ...string) (*net.TCPConn, *bufio.Reader) {
	GinkgoHelper()
	conn, from := r.raw(opening(path, lines...))
	resp, err := http.ReadResponse(from, nil)
	Expect(err).NotTo(HaveOccurred())
	defer resp.Body.Close()
	Expect(resp.StatusCode).To(Equal(http.StatusSwitchingProtocols))
	Expect(resp.Header.Get("Connection")).To(Equal("Upgrade"))
	Expect(resp.Header.Get("Upgrade")).To(Equal("websocket"))
	Expect(resp.Header.Get("X-Request-Id")).NotTo(BeEmpty())
	tcp, ok := conn.(*net.TCPConn)
	Expect(ok).To(BeTrue())
	return tcp, from
}

// operate asks the gateway as an operator does, and returns the body of the answer.
func (r *rig) operate(method, path string) []byte {
	GinkgoHelper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	q, err := http.NewRequestWithContext(ctx, method, "http://"+r.g.AdminAddr()+path, nil)
	Expect(err).NotTo(HaveOccurred())
	resp, err := r.client.Do(q)
	Expect(err).NotTo(HaveOccurred())
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	Expect(err).NotTo(HaveOccurred())
	Expect(resp.StatusCode).To(Equal(http.StatusOK), "%s", body)
	return body
}

// inFlight lists the requests that are not over.
func (r *rig) inFlight() []edge.InFlight {
	GinkgoHelper()
	var list struct {
		Requests []edge.InFlight `json:"requests"`
	}
	Expect(json.Unmarshal(r.operate("GET", "/v1/inflight"), &list)).To(Succeed())
	return list.Requests
}

// exchange sends text and reads as much back.
func exchange(conn net.Conn, from io.Reader, text string) {
	GinkgoHelper()
	_, err := io.WriteString(conn, text)
	Expect(err).NotTo(HaveOccurred())
	back := make([]byte, len(text))
	_, err = io.ReadFull(from, back)
	Expect(err).NotTo(HaveOccurred())
	Expect(string(back)).To(Equal(text))
}

var _ = Describe("An upgrade", func() {
	It("reaches a handler as typed metadata, and is accepted with the handler's header fields", func() {
		r := start()
		seen := make(chan spec.Request, 1)
		m := r.join(identity{}, func(in *session.Incoming) {
			seen <- *in.Request()
			if accept(in, spec.Field{Name: "Sec-Websocket-Accept", Value: "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="},
				spec.Field{Name: "Sec-Websocket-Protocol", Value: "chat"}, spec.Field{Name: "Connection", Value: "close"},
				spec.Field{Name: "Upgrade", Value: "h2c"}, spec.Field{Name: "Transfer-Encoding", Value: "chunked"}) {
				_ = in.End()
			}
		}, endpoint("GET", "/chat/{room}", upgrades))
		conn, from := r.raw(strings.Replace(opening("/chat/a%20b?x=1", "Sec-WebSocket-Protocol: chat\r\nOrigin: https://example.com\r\n"),
			"Upgrade: websocket", "uPgRaDe: h2c , WebSocket", 1))
		resp, err := http.ReadResponse(from, nil)
		Expect(err).NotTo(HaveOccurred())
		Expect(resp.StatusCode).To(Equal(http.StatusSwitchingProtocols))
		Expect(resp.Header.Values("Connection")).To(Equal([]string{"Upgrade"}))
		Expect(resp.Header.Values("Upgrade")).To(Equal([]string{"websocket"}))
		Expect(resp.Header.Get("Sec-WebSocket-Accept")).To(Equal("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="))
		Expect(resp.Header.Get("Sec-WebSocket-Protocol")).To(Equal("chat"))
		Expect(resp.TransferEncoding).To(BeEmpty())
		q := <-seen
		Expect(q.Upgrade).To(Equal("websocket"))
		Expect(q.ContentLength).To(Equal(int64(-1)))
		Expect(q.Params).To(Equal([]string{"a b"}))
		Expect(q.Query).To(Equal("x=1"))
		fields := map[string]string{}
		for _, f := range q.Header {
			fields[f.Name] = f.Value
		}
		Expect(fields).To(HaveKeyWithValue("Sec-Websocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="))
		Expect(fields).To(HaveKeyWithValue("Origin", "https://example.com"))
		Expect(fields).NotTo(HaveKey("Connection"))
		Expect(fields).NotTo(HaveKey("Upgrade"))
		requests := m.tap.received(spec.TypeRequest)
		Expect(requests).To(HaveLen(1))
		Expect(requests[0].Flags & (spec.FlagEnd | spec.FlagInlineBody)).To(BeZero())
		Expect(conn.Close()).To(Succeed())
	})

	It("carries octets both ways, those that came with the request included", func() {
		r := start()
		r.join(identity{}, mirror, endpoint("GET", "/chat", upgrades))
		conn, from := r.raw(opening("/chat") + "early")
		resp, err := http.ReadResponse(from, nil)
		Expect(err).NotTo(HaveOccurred())
		Expect(resp.StatusCode).To(Equal(http.StatusSwitchingProtocols))
		early := make([]byte, 5)
		_, err = io.ReadFull(from, early)
		Expect(err).NotTo(HaveOccurred())
		Expect(string(early)).To(Equal("early"))
		for i := range 100 {
			exchange(conn, from, fmt.Sprint("message ", i))
		}
	})

	It("is half-closed by the client, and the service may go on", func() {
		r := start()
		r.join(identity{}, func(in *session.Incoming) {
			if !accept(in) {
				return
			}
			all, err := io.ReadAll(in)
			if err != nil {
				return
			}
			for range 3 {
				if _, err := in.Write(all); err != nil {
					return
				}
			}
			_ = in.End() // fails when the client has left
		}, endpoint("GET", "/chat", upgrades))
		conn, from := r.opened("/chat")
		_, err := io.WriteString(conn, "question ")
		Expect(err).NotTo(HaveOccurred())
		Expect(conn.CloseWrite()).To(Succeed())
		all, err := io.ReadAll(from)
		Expect(err).NotTo(HaveOccurred())
		Expect(string(all)).To(Equal(strings.Repeat("question ", 3)))
		Eventually(r.log).WithTimeout(patience).Should(gbytes.Say("status=101"))
	})

	It("is half-closed by the service, and the client may go on", func() {
		r := start()
		got := make(chan string, 1)
		r.join(identity{}, func(in *session.Incoming) {
			if !accept(in) {
				return
			}
			if _, err := in.Write([]byte("all I have to say")); err != nil {
				return
			}
			if err := in.End(); err != nil {
				return
			}
			all, err := io.ReadAll(in)
			if err != nil {
				all = []byte(err.Error())
			}
			got <- string(all)
		}, endpoint("GET", "/chat", upgrades))
		conn, from := r.opened("/chat")
		all, err := io.ReadAll(from)
		Expect(err).NotTo(HaveOccurred())
		Expect(string(all)).To(Equal("all I have to say"))
		for range 3 {
			_, err = io.WriteString(conn, "still here ")
			Expect(err).NotTo(HaveOccurred())
		}
		Expect(conn.CloseWrite()).To(Succeed())
		Eventually(got).WithTimeout(patience).Should(Receive(Equal(strings.Repeat("still here ", 3))))
	})

	It("ends when the handler returns, though the client has not closed its half", func() {
		r := start()
		r.join(identity{}, func(in *session.Incoming) {
			if !accept(in) {
				return
			}
			if _, err := in.Write([]byte("goodbye")); err != nil {
				return
			}
			_ = in.End() // fails when the client has left
		}, endpoint("GET", "/chat", upgrades))
		conn, from := r.opened("/chat")
		all, err := io.ReadAll(from)
		Expect(err).NotTo(HaveOccurred())
		Expect(string(all)).To(Equal("goodbye"))
		Eventually(func() error { // the gateway has closed: what is sent now is answered with a reset
			_, err := io.WriteString(conn, "x")
			return err
		}).WithTimeout(patience).Should(HaveOccurred())
		Eventually(r.inFlight).WithTimeout(patience).Should(BeEmpty())
	})

	It("is broken off, and not closed, when the service fails", func() {
		r := start()
		r.join(identity{}, func(in *session.Incoming) {
			if !accept(in) {
				return
			}
			if _, err := in.Write([]byte("half a mess")); err != nil {
				return
			}
			_, _ = in.Read(make([]byte, 1)) // until the client has seen it
			in.Cancel(spec.CodeInternal, "it broke")
		}, endpoint("GET", "/chat", upgrades))
		conn, from := r.opened("/chat")
		part := make([]byte, 11)
		_, err := io.ReadFull(from, part)
		Expect(err).NotTo(HaveOccurred())
		_, err = io.WriteString(conn, "?")
		Expect(err).NotTo(HaveOccurred())
		_, err = io.ReadAll(from)
		Expect(err).To(MatchError(syscall.ECONNRESET))
		Eventually(r.log).WithTimeout(patience).Should(gbytes.Say("aborted=true"))
	})

	It("is broken off over TLS without the alert that ends it in order", func() {
		dir := GinkgoT().TempDir()
		authority, err := trust.OpenAuthority(dir)
		Expect(err).NotTo(HaveOccurred())
		cert, key, err := authority.IssueFiles(dir, "front", "127.0.0.1")
		Expect(err).NotTo(HaveOccurred())
		ca, err := os.ReadFile(filepath.Join(dir, "ca.pem"))
		Expect(err).NotTo(HaveOccurred())
		roots := x509.NewCertPool()
		Expect(roots.AppendCertsFromPEM(ca)).To(BeTrue())
		r := start(func(c *gateway.Config) {
			c.HTTP, c.Listeners = "", []gateway.Listener{{Address: "127.0.0.1:0", TLS: &gateway.ListenerTLS{Cert: cert, Key: key}}}
		})
		r.join(identity{}, func(in *session.Incoming) {
			if !accept(in) {
				return
			}
			question := make([]byte, 1)
			if _, err := io.ReadFull(in, question); err != nil {
				return
			}
			if question[0] == 'e' {
				_ = in.End() // fails when the client has left
				return
			}
			in.Cancel(spec.CodeInternal, "it broke")
		}, endpoint("GET", "/chat", upgrades))
		for question, end := range map[string]types.GomegaMatcher{"end": MatchError(io.EOF), "break": MatchError(syscall.ECONNRESET)} {
			conn, err := tls.Dial("tcp", r.g.HTTPAddr(), &tls.Config{RootCAs: roots, NextProtos: []string{"http/1.1"}})
			Expect(err).NotTo(HaveOccurred())
			DeferCleanup(func() { _ = conn.Close() }) // fails on one that was reset
			Expect(conn.SetDeadline(time.Now().Add(patience))).To(Succeed())
			_, err = io.WriteString(conn, opening("/chat"))
			Expect(err).NotTo(HaveOccurred())
			from := bufio.NewReader(conn)
			resp, err := http.ReadResponse(from, nil)
			Expect(err).NotTo(HaveOccurred())
			Expect(resp.Body.Close()).To(Succeed())
			Expect(resp.StatusCode).To(Equal(http.StatusSwitchingProtocols))
			_, err = io.WriteString(conn, question[:1])
			Expect(err).NotTo(HaveOccurred())
			_, err = from.ReadByte()
			Expect(err).To(end, question)
		}
	})

	It("is broken off when the service is lost", func() {
		r := start()
		m := r.join(identity{}, mirror, endpoint("GET", "/chat", upgrades))
		conn, from := r.opened("/chat")
		exchange(conn, from, "hello")
		m.Close()
		_, err := io.ReadAll(from)
		Expect(err).To(MatchError(syscall.ECONNRESET))
	})

	It("tells the service when the client breaks the connection", func() {
		r := start()
		ended := make(chan error, 2)
		r.join(identity{}, func(in *session.Incoming) {
			if !accept(in) {
				return
			}
			_, err := io.Copy(io.Discard, in)
			ended <- err
			<-in.Context().Done()
			ended <- context.Cause(in.Context())
		}, endpoint("GET", "/chat", upgrades))
		conn, _ := r.opened("/chat")
		Expect(conn.SetLinger(0)).To(Succeed())
		Expect(conn.Close()).To(Succeed())
		for range 2 {
			var err error
			Eventually(ended).WithTimeout(patience).Should(Receive(&err))
			e, ok := errors.AsType[*session.Error](err)
			Expect(ok).To(BeTrue(), "%v", err)
			Expect(e.Code).To(Equal(spec.CodeClientGone))
		}
		Eventually(r.log).WithTimeout(patience).Should(gbytes.Say("status=101"))
	})

	It("tells a service that has closed its half, too", func() {
		r := start()
		ended := make(chan error, 1)
		r.join(identity{}, func(in *session.Incoming) {
			if !accept(in) || in.End() != nil {
				return
			}
			_, err := io.Copy(io.Discard, in)
			ended <- err
		}, endpoint("GET", "/chat", upgrades))
		conn, _ := r.opened("/chat")
		Expect(conn.SetLinger(0)).To(Succeed())
		Expect(conn.Close()).To(Succeed())
		var err error
		Eventually(ended).WithTimeout(patience).Should(Receive(&err))
		e, ok := errors.AsType[*session.Error](err)
		Expect(ok).To(BeTrue(), "%v", err)
		Expect(e.Code).To(Equal(spec.CodeClientGone))
	})

	It("that the handler refuses is answered like any request, and what follows is the next request", func() {
		r := start()
		seen := make(chan error, 2)
		r.join(identity{}, func(in *session.Incoming) {
			if in.Request().Upgrade != "" {
				go func() { // reads to the end, of which the gateway tells
					_, err := io.Copy(io.Discard, in)
					seen <- err
				}()
				_ = in.Head(&spec.Response{Status: http.StatusForbidden, ContentLength: 2})
				if <-seen != nil {
					return
				}
				_, _ = in.Write([]byte("no"))
				_ = in.End()
				return
			}
			describe(in)
		}, endpoint("GET", "/chat", upgrades), endpoint("GET", "/other"))
		conn, from := r.raw(opening("/chat") + "GET /other HTTP/1.1\r\nHost: x\r\n\r\n")
		resp, err := http.ReadResponse(from, nil)
		Expect(err).NotTo(HaveOccurred())
		body, err := io.ReadAll(resp.Body)
		Expect(err).NotTo(HaveOccurred())
		Expect(resp.StatusCode).To(Equal(http.StatusForbidden))
		Expect(string(body)).To(Equal("no"))
		Expect(resp.Header).NotTo(HaveKey("Upgrade"))
		Expect(status(from)).To(Equal(http.StatusOK))
		_, err = io.WriteString(conn, opening("/chat"))
		Expect(err).NotTo(HaveOccurred())
		Expect(status(from)).To(Equal(http.StatusForbidden))
	})

	It("that an endpoint does not declare is ignored", func() {
		r := start()
		m := r.join(identity{}, func(in *session.Incoming) {
			if in.Request().Upgrade == "" {
				describe(in)
			}
		}, endpoint("GET", "/plain"))
		_, from := r.raw(opening("/plain") + opening("/plain"))
		Expect(status(from)).To(Equal(http.StatusOK))
		Expect(status(from)).To(Equal(http.StatusOK))
		for _, h := range m.tap.received(spec.TypeRequest) {
			Expect(h.Flags & spec.FlagEnd).NotTo(BeZero())
		}
	})

	It("is no answer to a request that asked for no upgrade, nor has it a body", func() {
		r := start()
		r.join(identity{}, func(in *session.Incoming) {
			if in.Request().Upgrade == "" {
				_ = in.Respond(&spec.Response{Status: http.StatusSwitchingProtocols, ContentLength: -1}, nil)
				return
			}
			r := spec.Response{Status: http.StatusSwitchingProtocols, ContentLength: 4}
			_ = in.Respond(&r, []byte("body"))
		}, endpoint("GET", "/chat", upgrades), endpoint("GET", "/plain", streams))
		a := r.do("GET", "/plain", "")
		Expect(a.StatusCode).To(Equal(http.StatusBadGateway))
		Expect(a.body).To(ContainSubstring(`"bad_answer"`))
		_, from := r.raw(opening("/chat") + opening("/chat"))
		Expect(status(from)).To(Equal(http.StatusBadGateway))
		Expect(status(from)).To(Equal(http.StatusBadGateway))
	})

	DescribeTable("is asked for with 426 by an endpoint that is a WebSocket", func(request string, detail string) {
		r := start()
		r.join(identity{}, mirror, endpoint("GET", "/chat", upgrades))
		_, from := r.raw(request)
		resp, err := http.ReadResponse(from, nil)
		Expect(err).NotTo(HaveOccurred())
		body, err := io.ReadAll(resp.Body)
		Expect(err).NotTo(HaveOccurred())
		Expect(resp.StatusCode).To(Equal(http.StatusUpgradeRequired))
		Expect(resp.Header.Values("Upgrade")).To(Equal([]string{"websocket"}))
		if len(body) > 0 {
			Expect(string(body)).To(ContainSubstring(`"upgrade_required"`))
			Expect(string(body)).To(ContainSubstring(detail))
		}
	},
		Entry("of a request that is none", "GET /chat HTTP/1.1\r\nHost: x\r\n\r\n", "send Connection: Upgrade"),
		Entry("of one that does not nominate it", "GET /chat HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n\r\n", "send Connection: Upgrade"),
		Entry("of one without the protocol", "GET /chat HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\n\r\n", "send Connection: Upgrade"),
		Entry("of one to h2c", "GET /chat HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n", "send Connection: Upgrade"),
		Entry("of HTTP/1.0", "GET /chat HTTP/1.0\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n", "HTTP/1.1"),
	)

	It("is opened by GET alone, without a body", func() {
		r := start()
		r.join(identity{}, mirror, endpoint("GET", "/chat", upgrades))
		_, from := r.raw(strings.Replace(opening("/chat"), "GET", "HEAD", 1))
		line, err := from.ReadString('\n')
		Expect(err).NotTo(HaveOccurred())
		Expect(line).To(HavePrefix("HTTP/1.1 426 "))
		_, from = r.raw(opening("/chat", "Content-Length: 5\r\n") + "hello" + opening("/chat"))
		Expect(status(from)).To(Equal(http.StatusBadRequest))
		Expect(status(from)).To(Equal(http.StatusSwitchingProtocols))
		_, from = r.raw(opening("/chat", "Transfer-Encoding: chunked\r\n") + "0\r\n\r\n" + opening("/chat"))
		Expect(status(from)).To(Equal(http.StatusBadRequest))
	})

	It("is not offered by HTTP/2, which is told so without a field of the connection", func() {
		r := start()
		r.join(identity{}, mirror, endpoint("GET", "/chat", upgrades))
		protocols := new(http.Protocols)
		protocols.SetUnencryptedHTTP2(true)
		transport := &http.Transport{Protocols: protocols}
		defer transport.CloseIdleConnections()
		r.client = &http.Client{Transport: transport}
		a := r.do("GET", "/chat", "")
		Expect(a.ProtoMajor).To(Equal(2))
		Expect(a.StatusCode).To(Equal(http.StatusUpgradeRequired))
		Expect(a.body).To(ContainSubstring("RFC 8441"))
		Expect(a.Header).NotTo(HaveKey("Upgrade"))
	})

	It("is authorised before anything else is said of it", func() {
		r := start()
		r.join(identity{}, mirror, endpoint("GET", "/chat", upgrades, claims("scope=chat")))
		_, from := r.raw(opening("/chat") + "GET /chat HTTP/1.1\r\nHost: x\r\n\r\n")
		Expect(status(from)).To(Equal(http.StatusUnauthorized))
		Expect(status(from)).To(Equal(http.StatusUnauthorized))
	})

	It("is offered to another instance when one refuses the call", func() {
		r := start()
		refuse := func(in *session.Incoming) { in.Cancel(spec.CodeRefused, "busy") }
		r.join(identity{}, refuse, endpoint("GET", "/chat", upgrades))
		r.join(identity{}, mirror, endpoint("GET", "/chat", upgrades))
		for range 8 {
			conn, from := r.opened("/chat")
			exchange(conn, from, "hello")
		}
	})

	It("has the endpoint's timeout to be accepted, and lives longer than that", func() {
		r := start()
		const timeout = 2 * time.Second // long for a slow machine to accept in, and not for a test to outlive
		r.join(identity{}, func(in *session.Incoming) {
			if in.Request().Endpoint == 0 {
				mirror(in)
				return
			}
			<-in.Context().Done()
		}, endpoint("GET", "/chat", upgrades, limits(spec.Limits{TimeoutMS: timeout.Milliseconds()})),
			endpoint("GET", "/never", upgrades, limits(spec.Limits{TimeoutMS: 200})))
		_, from := r.raw(opening("/never"))
		Expect(status(from)).To(Equal(http.StatusGatewayTimeout))
		conn, from := r.opened("/chat")
		exchange(conn, from, "accepted")
		<-time.After(timeout + 100*time.Millisecond)
		exchange(conn, from, "still here")
	})

	It("goes on for longer than the idle time when one way is silent", func() {
		r := start()
		const idle = 2 * time.Second // as above, between two octets
		ended := make(chan error, 1)
		r.join(identity{}, func(in *session.Incoming) {
			if !accept(in) {
				return
			}
			_, err := io.Copy(io.Discard, in) // the service is silent
			ended <- err
			_ = in.End() // fails when the client has left
		}, endpoint("GET", "/chat", upgrades, limits(spec.Limits{IdleMS: idle.Milliseconds()})))
		conn, from := r.opened("/chat")
		for began := time.Now(); time.Since(began) < idle+500*time.Millisecond; {
			_, err := io.WriteString(conn, "x")
			Expect(err).NotTo(HaveOccurred())
			Consistently(ended).WithTimeout(50 * time.Millisecond).ShouldNot(Receive())
		}
		Expect(conn.CloseWrite()).To(Succeed())
		_, err := io.ReadAll(from)
		Expect(err).NotTo(HaveOccurred())
		Eventually(ended).WithTimeout(patience).Should(Receive(BeNil()))
	})

	It("ends when nothing has moved either way for the idle time", func() {
		r := start()
		codes := make(chan error, 1)
		r.join(identity{}, func(in *session.Incoming) {
			if !accept(in) {
				return
			}
			_, err := io.Copy(io.Discard, in)
			codes <- err
		}, endpoint("GET", "/chat", upgrades, limits(spec.Limits{IdleMS: 200})))
		_, from := r.opened("/chat")
		_, err := io.ReadAll(from)
		Expect(err).To(MatchError(syscall.ECONNRESET))
		Eventually(codes).WithTimeout(patience).Should(Receive(&err))
		e, ok := errors.AsType[*session.Error](err)
		Expect(ok).To(BeTrue(), "%v", err)
		Expect(e.Code).To(Equal(spec.CodeIdle))
	})

	It("is in the list of requests in flight, and operators may end it", func() {
		r := start()
		r.join(identity{}, mirror, endpoint("GET", "/chat", upgrades))
		conn, from := r.opened("/chat")
		exchange(conn, from, "hello")
		list := r.inFlight()
		Expect(list).To(HaveLen(1))
		Expect(list[0].Path).To(Equal("/chat"))
		r.operate("POST", "/v1/inflight/"+list[0].ID+"/cancel")
		_, err := io.ReadAll(from)
		Expect(err).To(MatchError(syscall.ECONNRESET))
		Eventually(r.inFlight).WithTimeout(patience).Should(BeEmpty())
	})

	It("has the gateway's grace to end when that drains", func() {
		r := start()
		r.join(identity{}, mirror, endpoint("GET", "/chat", upgrades))
		conn, from := r.opened("/chat")
		exchange(conn, from, "before")
		stopped := make(chan struct{})
		go func() {
			defer GinkgoRecover()
			defer close(stopped)
			r.stop()
		}()
		Eventually(r.log).WithTimeout(patience).Should(gbytes.Say("draining"))
		Eventually(func() error { // until no connection is taken any more
			c, err := net.Dial("tcp", r.g.HTTPAddr())
			if err == nil {
				_ = c.Close()
			}
			return err
		}).WithTimeout(patience).Should(HaveOccurred())
		exchange(conn, from, "within")
		Expect(conn.CloseWrite()).To(Succeed())
		_, err := io.ReadAll(from)
		Expect(err).NotTo(HaveOccurred())
		Eventually(stopped).WithTimeout(patience).Should(BeClosed())
		Expect(r.log.Contents()).To(ContainSubstring("msg=drained"))
	})

	It("is broken off when the grace is over", func() {
		r := start(func(c *gateway.Config) { c.Grace = 200 * time.Millisecond })
		r.join(identity{}, mirror, endpoint("GET", "/chat", upgrades))
		conn, from := r.opened("/chat")
		exchange(conn, from, "before")
		r.stop()
		_, err := io.ReadAll(from)
		Expect(err).To(MatchError(syscall.ECONNRESET))
	})

	It("outlives the renewal of its session, which ends with it", func() {
		r := start()
		old := r.join(identity{id: "one"}, mirror, endpoint("GET", "/chat", upgrades))
		conn, from := r.opened("/chat")
		exchange(conn, from, "before")
		r.join(identity{id: "one", supersedes: old.Welcome().Secret}, mirror, endpoint("GET", "/chat", upgrades))
		Eventually(func() []spec.Header { return old.tap.received(spec.TypeGoAway) }).WithTimeout(patience).ShouldNot(BeEmpty())
		drained := make(chan error, 1)
		go func() { drained <- old.Drain(context.Background()) }()
		newer, fromNewer := r.opened("/chat")
		exchange(newer, fromNewer, "by the successor")
		exchange(conn, from, "by the one before")
		Consistently(drained).WithTimeout(50 * time.Millisecond).ShouldNot(Receive())
		Expect(conn.CloseWrite()).To(Succeed())
		_, err := io.ReadAll(from)
		Expect(err).NotTo(HaveOccurred())
		Eventually(drained).WithTimeout(patience).Should(Receive(BeNil()))
		exchange(newer, fromNewer, "still")
	})

	It("carries much both ways at once, with each octet in its place", func() {
		r := start()
		r.join(identity{}, mirror, endpoint("GET", "/chat", upgrades))
		conn, from := r.opened("/chat")
		Expect(conn.SetDeadline(time.Now().Add(6 * patience))).To(Succeed())
		const size = 16 << 20
		sent, got := sha256.New(), sha256.New()
		go func() {
			defer GinkgoRecover()
			part := make([]byte, 50_001)
			for i, left := 0, size; left > 0; i++ {
				for j := range part {
					part[j] = byte(i * j >> 3)
				}
				n := min(left, len(part))
				sent.Write(part[:n])
				_, err := conn.Write(part[:n])
				Expect(err).NotTo(HaveOccurred())
				left -= n
			}
			Expect(conn.CloseWrite()).To(Succeed())
		}()
		n, err := io.Copy(got, from)
		Expect(err).NotTo(HaveOccurred())
		Expect(n).To(Equal(int64(size)))
		Expect(got.Sum(nil)).To(Equal(sent.Sum(nil)))
	})

	It("holds a bounded part of what a client does not read, and breaks off when that goes on", func() {
		r := start(func(c *gateway.Config) { c.Stall = 2 * time.Second })
		sent, ended := make(chan int, 1), make(chan error, 1)
		r.join(identity{}, func(in *session.Incoming) {
			if !accept(in) {
				return
			}
			part, n := bytes.Repeat([]byte("x"), 64<<10), 0
			for n < 256<<20 {
				w, err := in.Write(part)
				if n += w; err != nil {
					sent <- n
					ended <- err
					return
				}
			}
		}, endpoint("GET", "/chat", upgrades))
		conn, _ := r.opened("/chat")
		var n int
		Eventually(sent).WithTimeout(4 * patience).Should(Receive(&n))
		Expect(n).To(BeNumerically("<", 32<<20), "windows of the session, and what the kernel holds")
		err := <-ended
		e, ok := errors.AsType[*session.Error](err)
		Expect(ok).To(BeTrue(), "%v", err)
		Expect(e.Code).To(Equal(spec.CodeClientGone))
		_ = conn.Close()
	})

	It("holds a client back whose service does not read", func() {
		r := start()
		release := make(chan struct{})
		total := make(chan int64, 1)
		r.join(identity{}, func(in *session.Incoming) {
			if !accept(in) {
				return
			}
			<-release
			n, _ := io.Copy(io.Discard, in)
			total <- n
		}, endpoint("GET", "/chat", upgrades))
		conn, _ := r.opened("/chat")
		part, n := bytes.Repeat([]byte("x"), 64<<10), 0
		for n < 256<<20 {
			Expect(conn.SetWriteDeadline(time.Now().Add(300 * time.Millisecond))).To(Succeed())
			w, err := conn.Write(part)
			if n += w; err != nil {
				break
			}
		}
		Expect(n).To(BeNumerically("<", 32<<20))
		close(release)
		Expect(conn.CloseWrite()).To(Succeed())
		Eventually(total).WithTimeout(2 * patience).Should(Receive(Equal(int64(n))))
	})

	It("costs little while it is silent", func() {
		r := start()
		r.join(identity{lease: 256}, func(in *session.Incoming) {
			if !accept(in) {
				return
			}
			small := make([]byte, 512)
			for {
				n, err := in.Read(small)
				if err != nil {
					return
				}
				if _, err := in.Write(small[:n]); err != nil {
					return
				}
			}
		}, endpoint("GET", "/chat", upgrades))
		heap := func() int64 {
			for range 2 { // pools give up what they hold with the second
				runtime.GC()
			}
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			return int64(m.HeapAlloc)
		}
		before := heap()
		const many = 200
		for range many {
			conn, from := r.opened("/chat")
			exchange(conn, from, strings.Repeat("x", 8<<10)) // which has filled what is read ahead
			exchange(conn, from, "y")
		}
		each := (heap() - before) / many
		AddReportEntry("bytes for a connection", each)
		Expect(each).To(BeNumerically("<", 48<<10), "bytes for a connection, its client and its service included")
	})
})
