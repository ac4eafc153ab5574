package edge_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"syscall"
	"time"

	"github.com/coder/websocket"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"github.com/onsi/gomega/gbytes"

	"github.com/stella-ops/router/gateway"
	"github.com/stella-ops/router/gateway/edge"
	"github.com/stella-ops/router/gateway/legacy"
	"github.com/stella-ops/router/spec"
	"github.com/stella-ops/router/transports/session"
)

// accepted is what accepts a request of opening.
const accepted = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"

// sockets is an upstream that answers with a head, and then does as it is told with the octets.
func sockets(head string, serve func(conn *net.TCPConn, from *bufio.Reader)) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		conn, from, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		defer conn.Close()
		tcp, ok := conn.(*net.TCPConn)
		if _, err := io.WriteString(conn, head+"\r\n"); ok && err == nil {
			serve(tcp, from.Reader)
		}
	}
}

// mirrors sends back what comes, and ends when the client does.
func mirrors(conn *net.TCPConn, from *bufio.Reader) { _, _ = io.Copy(conn, from) }

// everywhere is a route that has all.
var everywhere = legacy.Route{Path: "/{rest...}", Weight: 100}

var _ = Describe("An upgrade to a legacy upstream", func() {
	It("is asked for and accepted as it came, with the header fields that pass otherwise", func() {
		seen := make(chan http.Header, 1)
		s := upstream(func(w http.ResponseWriter, r *http.Request) {
			seen <- r.Header
			sockets(accepted+"Sec-WebSocket-Protocol: chat\r\nSet-Cookie: a=b\r\nServer: hidden\r\nKeep-Alive: hidden\r\nX-Request-Id: hidden\r\n", mirrors)(w, r)
		})
		r := start(fronts(s, everywhere))
		conn, from := r.raw(strings.Replace(opening("/chat", "Sec-WebSocket-Protocol: chat\r\nOrigin: https://example.com\r\nX-Forwarded-For: hidden\r\n"),
			"Upgrade: websocket", "uPgRaDe: h2c , WebSocket", 1) + "early")
		resp, err := http.ReadResponse(from, nil)
		Expect(err).NotTo(HaveOccurred())
		defer resp.Body.Close()
		Expect(resp.StatusCode).To(Equal(http.StatusSwitchingProtocols))
		for name, want := range map[string]string{
			"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Accept": "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=", "Sec-WebSocket-Protocol": "chat",
			"Set-Cookie": "a=b",
		} {
			Expect(resp.Header.Values(name)).To(Equal([]string{want}), name)
		}
		text := new(strings.Builder)
		Expect(resp.Header.Write(text)).To(Succeed())
		Expect(text.String()).NotTo(ContainSubstring("hidden"))
		h := <-seen
		for name, want := range map[string]string{
			"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
			"Sec-WebSocket-Protocol": "chat", "Origin": "https://example.com", "X-Forwarded-For": "127.0.0.1",
			"X-Request-Id": resp.Header.Get("X-Request-Id"),
		} {
			Expect(h.Values(name)).To(Equal([]string{want}), name)
		}
		early := make([]byte, 5)
		_, err = io.ReadFull(from, early)
		Expect(err).NotTo(HaveOccurred())
		Expect(string(early)).To(Equal("early"))
		for range 100 {
			exchange(conn, from, "hello")
		}
	})

	It("carries messages of any size between libraries", func() {
		const size = 4 << 20
		serve := func(w http.ResponseWriter, r *http.Request) {
			c, err := websocket.Accept(w, r, nil)
			if err != nil {
				return
			}
			defer func() { _ = c.CloseNow() }()
			c.SetReadLimit(size)
			for {
				kind, b, err := c.Read(r.Context())
				if err != nil || c.Write(r.Context(), kind, b) != nil {
					return
				}
			}
		}
		r := start(fronts(upstream(serve), everywhere))
		ctx, cancel := context.WithTimeout(context.Background(), 4*patience)
		defer cancel()
		c, resp, err := websocket.Dial(ctx, r.url("/chat"), nil)
		Expect(err).NotTo(HaveOccurred())
		Expect(resp.StatusCode).To(Equal(http.StatusSwitchingProtocols))
		defer func() { _ = c.CloseNow() }()
		c.SetReadLimit(size)
		for _, n := range []int{0, 1, 125, 126, 4096, 65536, size} {
			want := bytes.Repeat([]byte{byte(n), 'x', 'y'}, n/3+1)[:n]
			Expect(c.Write(ctx, websocket.MessageBinary, want)).To(Succeed())
			_, got, err := c.Read(ctx)
			Expect(err).NotTo(HaveOccurred())
			Expect(bytes.Equal(got, want)).To(BeTrue(), "%d bytes", n)
		}
		Expect(c.Close(websocket.StatusNormalClosure, "enough")).To(Succeed())
		Eventually(r.log).WithTimeout(patience).Should(gbytes.Say(`path=/chat protocol=HTTP/1.1 status=101 outcome=ok`))
		Eventually(r.inFlight).WithTimeout(patience).Should(BeEmpty())
	})

	It("carries much both ways at once, with each octet in its place", func() {
		r := start(fronts(upstream(sockets(accepted, mirrors)), everywhere))
		conn, from := r.opened("/chat")
		Expect(conn.SetDeadline(time.Now().Add(6 * patience))).To(Succeed())
		const size = 16 << 20
		sent, got := sha256.New(), sha256.New()
		written := make(chan error, 1)
		go func() {
			part := make([]byte, 50_001)
			for i, left := 0, size; left > 0; i++ {
				for j := range part {
					part[j] = byte(i * j >> 3)
				}
				n := min(left, len(part))
				sent.Write(part[:n])
				if _, err := conn.Write(part[:n]); err != nil {
					written <- err
					return
				}
				left -= n
			}
			written <- conn.CloseWrite()
		}()
		n, err := io.Copy(got, from)
		Expect(err).NotTo(HaveOccurred())
		Expect(n).To(Equal(int64(size)))
		Expect(<-written).To(Succeed())
		Expect(got.Sum(nil)).To(Equal(sent.Sum(nil)))
		Eventually(r.log).WithTimeout(patience).Should(gbytes.Say("status=101 outcome=ok received=16777216 bytes=16777216 "))
	})

	It("that the upstream refuses is answered as it says, and what follows is the next request", func() {
		s := upstream(func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("Upgrade") == "" {
				_, _ = io.WriteString(w, "plain")
				return
			}
			http.Error(w, "no", http.StatusForbidden)
		})
		r := start(fronts(s, everywhere))
		conn, from := r.raw(opening("/chat") + "GET /other HTTP/1.1\r\nHost: x\r\n\r\n")
		Expect(status(from)).To(Equal(http.StatusForbidden))
		Expect(status(from)).To(Equal(http.StatusOK))
		_, err := io.WriteString(conn, opening("/chat"))
		Expect(err).NotTo(HaveOccurred())
		Expect(status(from)).To(Equal(http.StatusForbidden))
	})

	It("that is no WebSocket's, or cannot be one's, is ignored, and a body is refused", func() {
		s := upstream(func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.WriteString(w, r.Header.Get("Upgrade")+r.Header.Get("Connection"))
		})
		r := start(fronts(s, everywhere))
		for _, request := range []string{
			"GET /a HTTP/1.1\r\nHost: h\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n\r\n",
			"GET /a HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\n\r\n",
			"GET /a HTTP/1.0\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
			strings.Replace(opening("/a"), "GET", "POST", 1),
		} {
			_, from := r.raw(request)
			resp, err := http.ReadResponse(from, nil)
			Expect(err).NotTo(HaveOccurred())
			body, err := io.ReadAll(resp.Body)
			Expect(err).NotTo(HaveOccurred())
			Expect(resp.StatusCode).To(Equal(200), request)
			Expect(body).To(BeEmpty(), request)
		}
		_, from := r.raw(opening("/a", "Content-Length: 5\r\n") + "hello")
		Expect(status(from)).To(Equal(http.StatusBadRequest))
	})

	DescribeTable("is not passed on where the upstream's 101 is not for it", func(head string) {
		r := start(fronts(upstream(sockets(head, func(*net.TCPConn, *bufio.Reader) {})), everywhere))
		conn, from := r.raw(opening("/chat"))
		resp, err := http.ReadResponse(from, nil)
		Expect(err).NotTo(HaveOccurred())
		body, err := io.ReadAll(resp.Body)
		Expect(err).NotTo(HaveOccurred())
		Expect(resp.StatusCode).To(Equal(http.StatusBadGateway))
		Expect(string(body)).To(ContainSubstring(`"legacy_lost"`))
		Expect(conn.Close()).To(Succeed())
	},
		Entry("since another protocol is accepted", strings.Replace(accepted, "Upgrade: websocket", "Upgrade: h2c", 1)),
		Entry("since no protocol is", strings.Replace(accepted, "Upgrade: websocket\r\n", "", 1)),
		Entry("since another key is", strings.Replace(accepted, "s3p", "S3p", 1)),
		Entry("since no key is", strings.Replace(accepted, "Sec-WebSocket-Accept", "X", 1)),
	)

	It("has the route's timeout to be accepted", func() {
		r := start(fronts(upstream(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }),
			legacy.Route{Path: "/chat", Weight: 100, Limits: spec.Limits{TimeoutMS: 100}}))
		_, from := r.raw(opening("/chat"))
		Expect(status(from)).To(Equal(http.StatusGatewayTimeout))
	})

	It("is given up when the client leaves before it is accepted", func() {
		entered, ended := make(chan struct{}), make(chan struct{})
		r := start(fronts(upstream(func(_ http.ResponseWriter, r *http.Request) {
			close(entered)
			<-r.Context().Done()
			close(ended)
		}), everywhere))
		conn, _ := r.raw(opening("/chat"))
		Eventually(entered).WithTimeout(patience).Should(BeClosed())
		Expect(conn.Close()).To(Succeed())
		Eventually(ended).WithTimeout(patience).Should(BeClosed())
		Eventually(r.log).WithTimeout(patience).Should(gbytes.Say("status=499"))
	})

	It("needs the claims of the route", func() {
		r := start(fronts(upstream(sockets(accepted, mirrors)),
			legacy.Route{Path: "/chat", Weight: 100, Claims: []spec.ClaimRequirement{{Type: "scope", Value: "chat"}}}))
		_, from := r.raw(opening("/chat"))
		Expect(status(from)).To(Equal(http.StatusUnauthorized))
	})

	It("says that an upstream cannot be reached", func() {
		s := httptest.NewServer(nil)
		s.Close()
		r := start(fronts(s, everywhere))
		_, from := r.raw(opening("/chat"))
		Expect(status(from)).To(Equal(http.StatusBadGateway))
	})
})

var _ = Describe("A WebSocket of a legacy upstream", func() {
	It("is half-closed by the client, and the upstream may go on", func() {
		r := start(fronts(upstream(sockets(accepted, func(conn *net.TCPConn, from *bufio.Reader) {
			all, err := io.ReadAll(from)
			if err == nil {
				_, _ = conn.Write(bytes.Repeat(all, 3))
			}
		})), everywhere))
		conn, from := r.opened("/chat")
		_, err := io.WriteString(conn, "question ")
		Expect(err).NotTo(HaveOccurred())
		Expect(conn.CloseWrite()).To(Succeed())
		all, err := io.ReadAll(from)
		Expect(err).NotTo(HaveOccurred())
		Expect(string(all)).To(Equal(strings.Repeat("question ", 3)))
		Eventually(r.log).WithTimeout(patience).Should(gbytes.Say("status=101 outcome=ok received=9 bytes=27 .*legacy=shop"))
	})

	It("is half-closed by the upstream, and the client may go on", func() {
		got := make(chan string, 1)
		r := start(fronts(upstream(sockets(accepted, func(conn *net.TCPConn, from *bufio.Reader) {
			if _, err := io.WriteString(conn, "all I have to say"); err != nil || conn.CloseWrite() != nil {
				return
			}
			all, err := io.ReadAll(from)
			if err != nil {
				all = []byte(err.Error())
			}
			got <- string(all)
		})), everywhere))
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

	It("ends when the upstream has closed, though the client sends on", func() {
		r := start(fronts(upstream(sockets(accepted, func(conn *net.TCPConn, _ *bufio.Reader) { _, _ = io.WriteString(conn, "goodbye") })), everywhere))
		conn, from := r.opened("/chat")
		all, err := io.ReadAll(from)
		Expect(err).NotTo(HaveOccurred())
		Expect(string(all)).To(Equal("goodbye"))
		Eventually(func() error { // the gateway has closed: what is sent now is answered with a reset
			_, err := io.WriteString(conn, "x")
			return err
		}).WithTimeout(patience).Should(HaveOccurred())
		Eventually(r.inFlight).WithTimeout(patience).Should(BeEmpty())
		Eventually(r.log).WithTimeout(patience).Should(gbytes.Say("status=101 outcome=ok"))
	})

	It("is broken off, and not closed, when the upstream breaks it off", func() {
		r := start(fronts(upstream(sockets(accepted, func(conn *net.TCPConn, from *bufio.Reader) {
			if _, err := from.ReadByte(); err == nil {
				_ = conn.SetLinger(0)
			}
		})), everywhere))
		conn, from := r.opened("/chat")
		_, err := io.WriteString(conn, "?")
		Expect(err).NotTo(HaveOccurred())
		_, err = io.ReadAll(from)
		Expect(err).To(MatchError(syscall.ECONNRESET))
		Eventually(r.log).WithTimeout(patience).Should(gbytes.Say("status=101 outcome=broken_off .*cause=.*aborted=true"))
	})

	// broken is an upstream that tells how its reading has ended.
	broken := func() (serve http.HandlerFunc, ended chan error) {
		ended = make(chan error, 1)
		return sockets(accepted, func(conn *net.TCPConn, from *bufio.Reader) {
			_, err := io.Copy(conn, from)
			ended <- err
		}), ended
	}

	It("is broken off at the upstream when the client breaks it off", func() {
		serve, ended := broken()
		r := start(fronts(upstream(serve), everywhere))
		conn, from := r.opened("/chat")
		exchange(conn, from, "hello")
		Expect(conn.SetLinger(0)).To(Succeed())
		Expect(conn.Close()).To(Succeed())
		Eventually(ended).WithTimeout(patience).Should(Receive(MatchError(syscall.ECONNRESET)))
		Eventually(r.log).WithTimeout(patience).Should(gbytes.Say("status=101 outcome=client_gone"))
	})

	It("is broken off at both ends when nothing has moved either way for the idle time", func() {
		serve, ended := broken()
		r := start(fronts(upstream(serve), legacy.Route{Path: "/chat", Weight: 100, Limits: spec.Limits{IdleMS: 200}}))
		_, from := r.opened("/chat")
		_, err := io.ReadAll(from)
		Expect(err).To(MatchError(syscall.ECONNRESET))
		Eventually(ended).WithTimeout(patience).Should(Receive(MatchError(syscall.ECONNRESET)))
	})

	It("is in the list of requests in flight, and operators may end it", func() {
		serve, ended := broken()
		r := start(fronts(upstream(serve), everywhere))
		conn, from := r.opened("/chat")
		exchange(conn, from, "hello")
		list := r.inFlight()
		Expect(list).To(HaveLen(1))
		Expect([]string{list[0].Path, list[0].Legacy}).To(Equal([]string{"/chat", "shop"}))
		r.operate("POST", "/v1/inflight/"+list[0].ID+"/cancel")
		_, err := io.ReadAll(from)
		Expect(err).To(MatchError(syscall.ECONNRESET))
		Eventually(ended).WithTimeout(patience).Should(Receive(MatchError(syscall.ECONNRESET)))
		Eventually(r.inFlight).WithTimeout(patience).Should(BeEmpty())
		Eventually(r.log).WithTimeout(patience).Should(gbytes.Say("cause=.*operator"))
	})

	It("has the gateway's grace to end when that drains", func() {
		r := start(fronts(upstream(sockets(accepted, mirrors)), everywhere))
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
		serve, ended := broken()
		r := start(fronts(upstream(serve), everywhere), func(c *gateway.Config) { c.Grace = 200 * time.Millisecond })
		conn, from := r.opened("/chat")
		exchange(conn, from, "before")
		r.stop()
		_, err := io.ReadAll(from)
		Expect(err).To(MatchError(syscall.ECONNRESET))
		Eventually(ended).WithTimeout(patience).Should(Receive(MatchError(syscall.ECONNRESET)))
	})

	It("holds a bounded part of what a client does not read, and breaks off when that goes on", func() {
		sent, ended := make(chan int, 1), make(chan error, 1)
		r := start(fronts(upstream(sockets(accepted, func(conn *net.TCPConn, _ *bufio.Reader) {
			part, n := bytes.Repeat([]byte("x"), 64<<10), 0
			for n < 256<<20 {
				w, err := conn.Write(part)
				if n += w; err != nil {
					sent <- n
					ended <- err
					return
				}
			}
		})), everywhere), func(c *gateway.Config) { c.Stall = 2 * time.Second })
		conn, _ := r.opened("/chat")
		var n int
		Eventually(sent).WithTimeout(4 * patience).Should(Receive(&n))
		Expect(n).To(BeNumerically("<", 64<<20), "what the kernel holds")
		err := <-ended
		Expect(errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)).To(BeTrue(), "%v", err)
		_ = conn.Close()
	})

	It("costs little while it is silent", func() {
		r := start(fronts(upstream(sockets(accepted, func(conn *net.TCPConn, from *bufio.Reader) {
			small := make([]byte, 512)
			for {
				n, err := from.Read(small)
				if err != nil {
					return
				}
				if _, err := conn.Write(small[:n]); err != nil {
					return
				}
			}
		})), everywhere))
		heap := func() int64 {
			for range 2 { // pools give up what they hold with the second
				runtime.GC()
			}
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			return int64(m.HeapAlloc)
		}
		before := heap()
		const many = 100
		for range many {
			conn, from := r.opened("/chat")
			exchange(conn, from, strings.Repeat("x", 8<<10)) // which has filled what is read ahead
			exchange(conn, from, "y")
		}
		each := (heap() - before) / many
		AddReportEntry("bytes for a connection", each)
		Expect(each).To(BeNumerically("<", 48<<10), "bytes for a connection, its client and its upstream included")
	})

	It("ends when the client has left whose octets the upstream does not read", func() {
		released := make(chan struct{})
		r := start(fronts(upstream(sockets(accepted, func(*net.TCPConn, *bufio.Reader) { <-released })), everywhere))
		defer close(released)
		conn, _ := r.opened("/chat")
		part := bytes.Repeat([]byte("x"), 64<<10)
		for n := 0; n < 256<<20; {
			Expect(conn.SetWriteDeadline(time.Now().Add(300 * time.Millisecond))).To(Succeed())
			w, err := conn.Write(part)
			if n += w; err != nil {
				break
			}
		}
		Expect(conn.SetLinger(0)).To(Succeed())
		Expect(conn.Close()).To(Succeed())
		Eventually(r.inFlight).WithTimeout(patience).Should(BeEmpty())
	})
})

var _ = Describe("The weight of a legacy route", func() {
	It("counts for an endpoint that is a WebSocket as for others, and keeps a caller on one side", func() {
		s := upstream(sockets(accepted, func(conn *net.TCPConn, from *bufio.Reader) {
			_, _ = io.WriteString(conn, "old")
			_, _ = io.Copy(io.Discard, from)
		}))
		r := start(fronts(s, legacy.Route{Path: "/chat", Weight: 50, Sticky: "header:X-Caller"}))
		r.join(identity{}, func(in *session.Incoming) {
			if !accept(in) {
				return
			}
			if _, err := in.Write([]byte("new")); err == nil {
				_, _ = io.Copy(io.Discard, in)
				_ = in.End() // fails when the client has left
			}
		}, endpoint("GET", "/chat", upgrades))
		side := func(caller string) string {
			conn, from := r.opened("/chat", "X-Caller: "+caller+"\r\n")
			defer conn.Close()
			b := make([]byte, 3)
			_, err := io.ReadFull(from, b)
			Expect(err).NotTo(HaveOccurred())
			return string(b)
		}
		sides := map[string]int{}
		for i := range 40 {
			caller := "caller " + string(rune('A'+i))
			first := side(caller)
			sides[first]++
			Expect(side(caller)).To(Equal(first))
		}
		Expect(sides).To(And(HaveKey("old"), HaveKey("new")))
		_, from := r.opened("/chat", "Stella-Version: 1.0.0\r\n")
		b := make([]byte, 3)
		_, err := io.ReadFull(from, b)
		Expect(err).NotTo(HaveOccurred())
		Expect(string(b)).To(Equal("new"))
		Eventually(func() []uint64 {
			var view struct {
				Routes []edge.LegacyView `json:"routes"`
			}
			Expect(json.Unmarshal(r.operate("GET", "/v1/legacy"), &view)).To(Succeed())
			var requests []uint64
			for _, v := range view.Routes {
				requests = append(requests, v.Legacy.Requests, v.Service.Requests)
			}
			return requests
		}).WithTimeout(patience).Should(Equal([]uint64{uint64(2 * sides["old"]), uint64(2 * sides["new"])}))
	})

	It("has one who does not open the WebSocket get the upstream's word", func() {
		s := upstream(writes("old"))
		r := start(fronts(s, legacy.Route{Path: "/chat", Weight: 100}))
		r.join(identity{}, mirror, endpoint("GET", "/chat", upgrades))
		Expect(r.do("GET", "/chat", "").body).To(Equal("old"))
		Expect(r.operator("GET", "/v1/explain?method=GET&target=/chat")).To(ContainSubstring(`"share": 1`))
	})
})
