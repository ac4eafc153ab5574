package bridge

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/coder/websocket"

	"github.com/stella-ops/router/spec"
)

type handle = http.HandlerFunc

// upgradable makes an endpoint a WebSocket.
func upgradable(e *spec.Endpoint) {
	e.Stream, e.Status = spec.StreamUpgrade, http.StatusSwitchingProtocols
}

// chat says messages again, until one says enough.
func chat(w http.ResponseWriter, r *http.Request) {
	if r.URL.Query().Has("refused") {
		http.Error(w, "nobody is here", http.StatusForbidden)
		return
	}
	c, err := websocket.Accept(w, r, &websocket.AcceptOptions{Subprotocols: []string{"say-again"}, CompressionMode: websocket.CompressionContextTakeover})
	if err != nil {
		return
	}
	defer c.CloseNow()
	c.SetReadLimit(4 << 20)
	for {
		kind, message, err := c.Read(r.Context())
		switch {
		case err != nil:
			return
		case string(message) == "enough":
			_ = c.Close(websocket.StatusNormalClosure, "as you wish")
			return
		}
		if err := c.Write(r.Context(), kind, message); err != nil {
			return
		}
	}
}

// dial opens a WebSocket.
func dial(ctx context.Context, address string) *websocket.Conn {
	GinkgoHelper()
	c, resp, err := websocket.Dial(ctx, "ws://"+address+"/chat", &websocket.DialOptions{ //nolint:bodyclose // the library has taken it
		HTTPClient: client, Subprotocols: []string{"other", "say-again"}, CompressionMode: websocket.CompressionContextTakeover,
	})
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(func() { _ = c.CloseNow() })
	Expect(resp.StatusCode).To(Equal(http.StatusSwitchingProtocols))
	Expect(c.Subprotocol()).To(Equal("say-again"))
	c.SetReadLimit(4 << 20)
	return c
}

// echoes checks that messages of all sizes come back, and how the conversation ends.
func echoes(ctx SpecContext, address string) {
	GinkgoHelper()
	c := dial(ctx, address)
	for _, message := range []string{"", "hello", "grüße", strings.Repeat("long ", 100_000)} {
		Expect(c.Write(ctx, websocket.MessageText, []byte(message))).To(Succeed())
		kind, back, err := c.Read(ctx)
		Expect(err).NotTo(HaveOccurred())
		Expect(kind).To(Equal(websocket.MessageText))
		Expect(string(back)).To(Equal(message))
	}
	octets := bytes.Repeat([]byte{0, 0xff, 0x80, '\n'}, 300_000)
	Expect(c.Write(ctx, websocket.MessageBinary, octets)).To(Succeed())
	kind, back, err := c.Read(ctx)
	Expect(err).NotTo(HaveOccurred())
	Expect(kind).To(Equal(websocket.MessageBinary))
	Expect(bytes.Equal(back, octets)).To(BeTrue())
	Expect(c.Write(ctx, websocket.MessageText, []byte("enough"))).To(Succeed())
	_, _, err = c.Read(ctx)
	Expect(websocket.CloseStatus(err)).To(Equal(websocket.StatusNormalClosure))
	Expect(err).To(MatchError(ContainSubstring("as you wish")))
}

// counted is a writer of a middleware's, as those have that count and log.
type counted struct {
	http.ResponseWriter

	status int
}

func (c *counted) WriteHeader(status int) {
	c.status = status
	c.ResponseWriter.WriteHeader(status)
}

// Unwrap is how [http.ResponseController] finds what the wrapped writer can.
func (c *counted) Unwrap() http.ResponseWriter { return c.ResponseWriter }

// counting is middleware that wraps the writer.
func counting(next http.Handler) http.Handler {
	return handle(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Middleware", "yes")
		next.ServeHTTP(&counted{ResponseWriter: w}, r)
	})
}

var socket = endpoint{method: http.MethodGet, path: "/chat", change: upgradable}

var _ = Describe("A WebSocket", func() {
	served := func() http.Handler { return handle(chat) }

	bothWays("echoes messages and is closed by its code", served, socket, echoes)

	bothWays("does so behind middleware", served, socket, echoes, counting)

	bothWays("does so behind two of them", served, socket, echoes, counting, counting)

	bothWays("is closed by its client", served, socket, func(ctx SpecContext, address string) {
		Expect(dial(ctx, address).Close(websocket.StatusNormalClosure, "goodbye")).To(Succeed())
	})

	bothWays("is refused as any request is", served, socket, func(ctx SpecContext, address string) {
		_, resp, err := websocket.Dial(ctx, "ws://"+address+"/chat?refused", &websocket.DialOptions{HTTPClient: client})
		Expect(err).To(HaveOccurred())
		Expect(resp.StatusCode).To(Equal(http.StatusForbidden))
		Expect(resp.Header.Get("X-Middleware")).To(Equal("yes"))
		Expect(io.ReadAll(resp.Body)).To(BeEquivalentTo("nobody is here\n"))
	}, counting)
})

var _ = Describe("Server-sent events", func() {
	// more lets the handler send the next event; ended is how its context did.
	var more chan struct{}
	var ended chan error

	BeforeEach(func() { more, ended = make(chan struct{}), make(chan error, 1) })

	events := func() http.Handler {
		return handle(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "text/event-stream")
			w.Header().Set("Cache-Control", "no-store")
			for i := 0; ; i++ {
				_, err := fmt.Fprintf(w, "id: %d\ndata: %s\n\n", i, strings.Repeat("e", 1<<i))
				if err = errors.Join(err, http.NewResponseController(w).Flush()); err != nil {
					ended <- err
					return
				}
				select {
				case <-more:
				case <-r.Context().Done():
					ended <- r.Context().Err()
					return
				}
			}
		})
	}
	follow := func(ctx SpecContext, address string) {
		ctxOfClient, leave := context.WithCancel(ctx)
		resp := request(ctxOfClient, http.MethodGet, address, "/events", http.NoBody)
		Expect(resp.Header.Get("Content-Type")).To(Equal("text/event-stream"))
		lines := bufio.NewReader(resp.Body)
		for i := range 16 { // each is there before the next is sent
			for _, want := range []string{fmt.Sprintf("id: %d\n", i), "data: " + strings.Repeat("e", 1<<i) + "\n", "\n"} {
				Expect(lines.ReadString('\n')).To(Equal(want))
			}
			if i < 15 {
				Eventually(more).WithContext(ctx).Should(BeSent(struct{}{}))
			}
		}
		Expect(ended).NotTo(Receive())
		leave()
		Eventually(ended).WithContext(ctx).Should(Receive(MatchError(context.Canceled)))
	}

	stream := endpoint{method: http.MethodGet, path: "/events"}
	bothWays("come one by one, until their reader leaves", events, stream, follow)

	bothWays("do so behind middleware", events, stream, follow, counting)
})
