package e2e

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/coder/websocket"
)

// dial opens a WebSocket as a client's library does.
func dial(ctx context.Context, s *stack, path string) *websocket.Conn {
	GinkgoHelper()
	c, resp, err := websocket.Dial(ctx, "ws://"+s.http+path, &websocket.DialOptions{ //nolint:bodyclose // the library has taken it
		HTTPClient: client, Subprotocols: []string{"other", "say-again"}, CompressionMode: websocket.CompressionContextTakeover,
		HTTPHeader: http.Header{"Origin": {"https://elsewhere.example"}},
	})
	Expect(err).NotTo(HaveOccurred())
	Expect(resp.StatusCode).To(Equal(http.StatusSwitchingProtocols))
	Expect(resp.Header.Get("X-Request-Id")).NotTo(BeEmpty())
	DeferCleanup(func() { _ = c.CloseNow() })
	Expect(c.Subprotocol()).To(Equal("say-again"))
	c.SetReadLimit(1 << 20)
	return c
}

// A WebSocket of a service, whose library speaks with the client's through a gateway that speaks none.
var _ = everyForm("a WebSocket", func(start func(settings) *stack) {
	var s *stack

	BeforeAll(func() { s = start(settings{}) })

	It("carries text and bytes of any size both ways", func(ctx SpecContext) {
		c := dial(ctx, s, "/chat/one")
		for _, message := range []string{"", "hello", "grüße", strings.Repeat("long ", 100_000)} {
			Expect(c.Write(ctx, websocket.MessageText, []byte(message))).To(Succeed())
			kind, back, err := c.Read(ctx)
			Expect(err).NotTo(HaveOccurred())
			Expect(kind).To(Equal(websocket.MessageText))
			Expect(string(back)).To(Equal(message))
		}
		binary := bytes.Repeat([]byte{0, 0xff, 0x80, '\n'}, 200_000)
		Expect(c.Write(ctx, websocket.MessageBinary, binary)).To(Succeed())
		kind, back, err := c.Read(ctx)
		Expect(err).NotTo(HaveOccurred())
		Expect(kind).To(Equal(websocket.MessageBinary))
		Expect(bytes.Equal(back, binary)).To(BeTrue())
	}, NodeTimeout(patience))

	It("is closed by the client, with the handshake that WebSocket has for it", func(ctx SpecContext) {
		c := dial(ctx, s, "/chat/two")
		Expect(c.Write(ctx, websocket.MessageText, []byte("hello"))).To(Succeed())
		_, _, err := c.Read(ctx)
		Expect(err).NotTo(HaveOccurred())
		Expect(c.Close(websocket.StatusNormalClosure, "goodbye")).To(Succeed())
	}, NodeTimeout(patience))

	It("is closed by the service, with its code and its reason", func(ctx SpecContext) {
		c := dial(ctx, s, "/chat/three")
		Expect(c.Write(ctx, websocket.MessageText, []byte("enough"))).To(Succeed())
		_, _, err := c.Read(ctx)
		Expect(websocket.CloseStatus(err)).To(Equal(websocket.StatusNormalClosure))
		Expect(err).To(MatchError(ContainSubstring("as you wish")))
	}, NodeTimeout(patience))

	It("is refused by the service with an answer like any other", func(ctx SpecContext) {
		_, resp, err := websocket.Dial(ctx, "ws://"+s.http+"/chat/closed", &websocket.DialOptions{HTTPClient: client})
		Expect(err).To(HaveOccurred())
		Expect(resp.StatusCode).To(Equal(http.StatusForbidden))
		body, err := io.ReadAll(resp.Body)
		Expect(err).NotTo(HaveOccurred())
		Expect(string(body)).To(Equal("nobody is here\n"))
	}, NodeTimeout(patience))

	It("is refused by the service's library, which does the handshake, where that is wrong", func() {
		_, r := raw(s.http, "GET /chat/four HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 8\r\n"+
			"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")
		a := respond(r, http.MethodGet)
		Expect(a.StatusCode).To(Equal(http.StatusBadRequest))
		Expect(a.body).To(ContainSubstring("unsupported WebSocket protocol version"))
	})

	It("is asked for where the request opens none", func() {
		a := call(http.MethodGet, s.url("/chat/five"), "")
		Expect(a.StatusCode).To(Equal(http.StatusUpgradeRequired))
		Expect(a.Header.Get("Upgrade")).To(Equal("websocket"))
		Expect(a.problem().Code).To(Equal("upgrade_required"))
	})

	It("is one to a handler that speaks octets, whose end is half-closed", func() {
		conn, r := raw(s.http, "GET /wire HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nwith the request, ")
		a, err := http.ReadResponse(r, nil)
		Expect(err).NotTo(HaveOccurred())
		Expect(a.Body.Close()).To(Succeed())
		Expect(a.StatusCode).To(Equal(http.StatusSwitchingProtocols))
		_, err = io.WriteString(conn, "and after it")
		Expect(err).NotTo(HaveOccurred())
		tcp, ok := conn.(*net.TCPConn)
		Expect(ok).To(BeTrue())
		Expect(tcp.CloseWrite()).To(Succeed())
		all, err := io.ReadAll(r)
		Expect(err).NotTo(HaveOccurred())
		Expect(string(all)).To(Equal("with the request, and after it"))
	})

	It("leaves nothing behind when its client vanishes", func(ctx SpecContext) {
		for range 20 {
			c := dial(ctx, s, "/chat/six")
			Expect(c.Write(ctx, websocket.MessageText, []byte("hello"))).To(Succeed())
			Expect(c.CloseNow()).To(Succeed())
		}
		Eventually(func() (string, error) {
			a, err := try(http.MethodGet, "http://"+s.admin+"/v1/inflight", http.NoBody)
			return a.body, err
		}).ShouldNot(ContainSubstring("/chat/six"))
	}, NodeTimeout(patience))
})
