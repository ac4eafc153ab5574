package session_test

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"time"
	"unicode/utf8"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/stella-ops/router/spec"
	"github.com/stella-ops/router/transports"
	"github.com/stella-ops/router/transports/inmemory"
	"github.com/stella-ops/router/transports/session"
)

// rawService plays a service by hand: it has said HELLO and taken WELCOME.
func rawService(lease int, change ...func(*session.GatewayConfig)) (*session.Gateway, transports.Link) {
	GinkgoHelper()
	glink, link := inmemory.Pipe()
	write(link, helloFrame(func(h *spec.Hello) { h.Lease = lease }))
	cfg := session.GatewayConfig{Welcome: spec.Welcome{Node: "test"}}
	for _, f := range change {
		f(&cfg)
	}
	g, err := session.Accept(context.Background(), glink, cfg)
	Expect(err).NotTo(HaveOccurred())
	Expect(read(link).Header().Type).To(Equal(spec.TypeWelcome))
	DeferCleanup(func() {
		Expect(g.Close(spec.CodeShutdown, "")).To(Succeed())
		Expect(link.Close()).To(Succeed())
	})
	return g, link
}

// rawGateway plays a gateway by hand.
func rawGateway(serve func(*session.Incoming), change ...func(*session.ServiceConfig)) (*session.Service, transports.Link) {
	GinkgoHelper()
	link, slink := inmemory.Pipe()
	return rawGatewayOn(link, slink, serve, change...), link
}

// rawGatewayOn does so on a given link.
func rawGatewayOn(link, slink transports.Link, serve func(*session.Incoming), change ...func(*session.ServiceConfig)) *session.Service {
	GinkgoHelper()
	return rawGatewayWelcoming(plainWelcome(), link, slink, serve, change...)
}

// rawGatewayWelcoming does so with a WELCOME of its own.
func rawGatewayWelcoming(
	w spec.Welcome, link, slink transports.Link, serve func(*session.Incoming), change ...func(*session.ServiceConfig),
) *session.Service {
	GinkgoHelper()
	welcome, err := spec.Canonical(w)
	Expect(err).NotTo(HaveOccurred())
	write(link, transports.NewControl(spec.TypeWelcome, 0, 0, welcome))
	cfg := session.ServiceConfig{Hello: plainHello(), Manifest: []byte("m"), Serve: serve}
	for _, f := range change {
		f(&cfg)
	}
	s, err := session.Open(context.Background(), slink, cfg)
	Expect(err).NotTo(HaveOccurred())
	Expect(read(link).Header().Type).To(Equal(spec.TypeHello))
	DeferCleanup(func() {
		Expect(s.Close()).To(Succeed())
		Expect(link.Close()).To(Succeed())
	})
	return s
}

// nonce is the one of sessions that are opened by hand.
const nonce = "0123456789abcdef"

func plainHello() spec.Hello {
	h := hello()
	h.Nonce = nonce
	return h
}

func plainWelcome() spec.Welcome {
	return spec.Welcome{ // with more credit for the session than any spec uses up
		Node: "test", HeartbeatMS: 60_000, MaxFrame: spec.MaxFrameDefault, StreamWindow: spec.StreamWindow, SessionWindow: 1 << 30,
		Nonce: nonce, Secret: "00112233445566778899aabbccddeeff",
	}
}

func helloFrame(change func(*spec.Hello)) *transports.Frame {
	GinkgoHelper()
	manifest := []byte("m")
	h := plainHello()
	h.StreamWindow, h.SessionWindow, h.ManifestDigest = spec.StreamWindow, 1<<30, spec.Digest(manifest)
	change(&h)
	b, err := spec.Canonical(h)
	Expect(err).NotTo(HaveOccurred())
	return frame(spec.TypeHello, spec.FlagInlineBody, 0, 0, b, manifest)
}

func frame(t spec.FrameType, flags spec.Flags, stream, aux uint32, meta, body []byte) *transports.Frame {
	f := transports.NewFrame(len(meta) + len(body))
	f.SetBytes(append(append(f.Bytes(), meta...), body...))
	f.Seal(t, flags, stream, aux, len(meta))
	return f
}

func write(link transports.Link, frames ...*transports.Frame) {
	GinkgoHelper()
	Expect(link.WriteFrames(frames)).To(Succeed())
}

// read returns the next frame that is not credit for the session, which comes when it may.
func read(link transports.Link) *transports.Frame {
	GinkgoHelper()
	for {
		f := readAny(link)
		h := f.Header()
		if h.Type != spec.TypeCredit || h.Stream != 0 {
			return f
		}
		f.Release()
	}
}

func readAny(link transports.Link) *transports.Frame {
	GinkgoHelper()
	type result struct {
		f   *transports.Frame
		err error
	}
	got := make(chan result, 1)
	go func() {
		f, err := link.ReadFrame()
		got <- result{f, err}
	}()
	select { // many frames are read: Eventually, which looks every 10 ms, would take most of the suite's time
	case r := <-got:
		Expect(r.err).NotTo(HaveOccurred())
		return r.f
	case <-time.After(patience):
		Fail("no frame has come")
		return nil
	}
}

// expectCancel reads a CANCEL of the given stream.
func expectCancel(link transports.Link, stream uint32, code spec.Code) {
	GinkgoHelper()
	h := read(link).Header()
	Expect(h.Type).To(Equal(spec.TypeCancel))
	Expect(h.Stream).To(Equal(stream))
	Expect(spec.Code(h.Aux)).To(Equal(code))
}

func responseMeta(status int) []byte {
	return (&spec.Response{Status: status, ContentLength: -1}).AppendTo(nil)
}

func requestMeta() []byte { return (&spec.Request{ContentLength: -1}).AppendTo(nil) }

var _ = Describe("A gateway's end, with a peer that breaks the rules", func() {
	DescribeTable("refuses an opening", func(first func() *transports.Frame, code spec.Code, why string) {
		glink, link := inmemory.Pipe()
		defer func() { _ = link.Close() }()
		write(link, first())
		_, err := session.Accept(context.Background(), glink, session.GatewayConfig{Welcome: spec.Welcome{Node: "test"}})
		Expect(err).To(MatchError(ContainSubstring(why)))
		expectCancel(link, 0, code)
		_, err = link.ReadFrame()
		Expect(err).To(MatchError(io.EOF))
	},
		Entry("that does not begin with HELLO", func() *transports.Frame {
			return transports.NewControl(spec.TypePing, 0, 1, nil)
		}, spec.CodeProtocol, "expected HELLO"),
		Entry("whose HELLO is not JSON", func() *transports.Frame {
			return frame(spec.TypeHello, 0, 0, 0, []byte("{"), nil)
		}, spec.CodeProtocol, "JSON"),
		Entry("whose version is not semver", func() *transports.Frame {
			return helloFrame(func(h *spec.Hello) { h.Instance.Version = "v1" })
		}, spec.CodeProtocol, "semver"),
		Entry("whose manifest is another than its digest says", func() *transports.Frame {
			return helloFrame(func(h *spec.Hello) { h.ManifestDigest = spec.Digest([]byte("other")) })
		}, spec.CodeProtocol, "HELLO names manifest"),
		Entry("that needs a feature it does not know", func() *transports.Frame {
			return helloFrame(func(h *spec.Hello) { h.Features = []spec.Feature{{Name: "telepathy", Critical: true}} })
		}, spec.CodeUnsupported, "telepathy"),
	)

	It("skips a feature that may be ignored", func() {
		glink, link := inmemory.Pipe()
		write(link, helloFrame(func(h *spec.Hello) { h.Features = []spec.Feature{{Name: "telepathy"}} }))
		g, err := session.Accept(context.Background(), glink, session.GatewayConfig{Welcome: spec.Welcome{Node: "test"}})
		Expect(err).NotTo(HaveOccurred())
		Expect(link.Close()).To(Succeed())
		Expect(g.Close(spec.CodeShutdown, "")).To(Succeed())
	})

	DescribeTable("ends the session and says why", func(why string, frames ...func() *transports.Frame) {
		g, link := rawService(8)
		c := open(g)
		defer c.Close()
		Expect(read(link).Header().Type).To(Equal(spec.TypeRequest))
		for _, f := range frames {
			write(link, f())
		}
		expectCancel(link, 0, spec.CodeProtocol)
		Eventually(g.Done()).WithTimeout(patience).Should(BeClosed())
		Expect(g.Err()).To(MatchError(ContainSubstring(why)))
		Expect(failure(c)).To(MatchError(session.ErrClosed))
	},
		Entry("after a second HELLO", "must not send HELLO", func() *transports.Frame {
			return helloFrame(func(*spec.Hello) {})
		}),
		Entry("after a REQUEST from the service", "must not send REQUEST", func() *transports.Frame {
			return frame(spec.TypeRequest, spec.FlagEnd, 3, 0, requestMeta(), nil)
		}),
		Entry("after a RESPONSE on a stream never opened", "never opened", func() *transports.Frame {
			return frame(spec.TypeResponse, spec.FlagEnd, 200, 0, responseMeta(200), nil)
		}),
		Entry("after data before the RESPONSE", "data before RESPONSE", func() *transports.Frame {
			return frame(spec.TypeResponseStreamData, 0, 2, 0, nil, []byte("x"))
		}),
		Entry("after an unknown frame type", "unknown type", func() *transports.Frame {
			return frame(0x30, 0, 0, 0, nil, nil)
		}),
		Entry("after an unknown flag", "flags", func() *transports.Frame {
			return frame(spec.TypePing, 0x80, 0, 0, nil, nil)
		}),
		Entry("after a frame over the limit", "the limit is", func() *transports.Frame {
			return frame(spec.TypeResponseStreamData, 0, 2, 0, nil, make([]byte, spec.MaxFrameDefault+1))
		}),
		Entry("after ENDPOINTS that it does not take", "does not take", func() *transports.Frame {
			return frame(spec.TypeEndpoints, spec.FlagEnd, 0, 0, nil, []byte("{}"))
		}),
		Entry("after ENDPOINTS with a gap", "has sequence 1, expected 0", func() *transports.Frame {
			return frame(spec.TypeEndpoints, spec.FlagEnd, 0, 1, nil, []byte("{}"))
		}),
		Entry("after CREDIT beyond 2^31", "the limit is", func() *transports.Frame {
			return transports.NewControl(spec.TypeCredit, 2, 1<<31, nil)
		}),
		Entry("after a malformed HEARTBEAT", "HEARTBEAT", func() *transports.Frame {
			return transports.NewControl(spec.TypeHeartbeat, 0, 0, []byte(`{"status":"great"}`))
		}),
	)

	It("tells a call of the session's end that its own second RESPONSE has caused", func() {
		g, link := rawService(8)
		c := start(g, "", patience)
		defer c.Close()
		_ = read(link)
		write(link, frame(spec.TypeResponse, 0, 2, 0, responseMeta(200), nil))
		_, _ = answer(c)
		write(link, frame(spec.TypeResponse, spec.FlagEnd, 2, 0, responseMeta(200), nil))
		expectCancel(link, 0, spec.CodeProtocol)
		_, err := c.Next(context.Background(), patience)
		Expect(err).To(MatchError(session.ErrClosed))
	})

	It("ends the session on a gap in a stream's data", func() {
		g, link := rawService(8)
		c := start(g, "", patience)
		defer c.Close()
		_ = read(link)
		write(link, frame(spec.TypeResponse, 0, 2, 0, responseMeta(200), nil),
			frame(spec.TypeResponseStreamData, 0, 2, 1, nil, []byte("x")))
		expectCancel(link, 0, spec.CodeProtocol)
	})

	It("ends only the stream when the peer overruns its credit", func() {
		g, link := rawService(8)
		c := start(g, "", patience)
		defer c.Close()
		_ = read(link)
		write(link, frame(spec.TypeResponse, 0, 2, 0, responseMeta(200), nil))
		chunk := make([]byte, spec.MaxChunk)
		for i := range spec.StreamWindow/spec.MaxChunk + 1 {
			write(link, frame(spec.TypeResponseStreamData, 0, 2, uint32(i), nil, chunk))
		}
		expectCancel(link, 2, spec.CodeFlow)
		_, _ = answer(c)
		_, err := readAll(c)
		Expect(err).To(Satisfy(haveCode(spec.CodeFlow)))
		Expect(g.Err()).NotTo(HaveOccurred())
	})

	It("ignores frames that may be ignored, and those that crossed the end of their call", func() {
		g, link := rawService(8)
		c := start(g, "", patience)
		_ = read(link)
		write(link, frame(0x41, 0xff, 9, 9, nil, []byte("future")),
			frame(spec.TypeResponse, spec.FlagEnd, 2, 0, responseMeta(200), nil),
			frame(spec.TypeResponseStreamData, spec.FlagEnd, 2, 0, nil, []byte("late")),
			transports.NewControl(spec.TypeCancel, 2, uint32(spec.CodeInternal), nil),
			transports.NewControl(spec.TypeCredit, 2, 5, nil),
			transports.NewControl(spec.TypePing, 0, 42, nil))
		status, _ := answer(c)
		c.Close()
		Expect(status).To(Equal(200))
		h := read(link).Header()
		Expect(h.Type).To(Equal(spec.TypePong))
		Expect(h.Aux).To(Equal(uint32(42)))
		Expect(g.Err()).NotTo(HaveOccurred())
	})

	It("sends one CANCEL for a call, and takes the peer's crossing one as the confirmation", func() {
		g, link := rawService(8)
		c := start(g, "", patience)
		_ = read(link)
		c.Cancel(spec.CodeClientGone)
		c.Cancel(spec.CodeDeadline)
		c.Close()
		Expect(g.InFlight()).To(Equal(1))
		write(link, transports.NewControl(spec.TypeCancel, 2, uint32(spec.CodeInternal), nil),
			transports.NewControl(spec.TypePing, 0, 1, nil))
		expectCancel(link, 2, spec.CodeClientGone)
		Expect(read(link).Header().Type).To(Equal(spec.TypePong)) // and no second CANCEL before it
		Expect(g.InFlight()).To(BeZero())
	})
})

var _ = Describe("A service's end, with a peer that breaks the rules", func() {
	It("refuses calls once it drains, and says REFUSED", func() {
		release := make(chan struct{})
		s, link := rawGateway(func(c *session.Incoming) {
			<-release
			respond(c, 200, "")
		})
		write(link, frame(spec.TypeRequest, spec.FlagEnd, 2, 0, requestMeta(), nil))
		Eventually(s.InFlight).WithTimeout(patience).Should(Equal(1))
		drained := make(chan error, 1)
		go func() { drained <- s.Drain(context.Background()) }()
		Expect(read(link).Header().Type).To(Equal(spec.TypeGoAway))
		write(link, frame(spec.TypeRequest, spec.FlagEnd, 4, 0, requestMeta(), nil))
		expectCancel(link, 4, spec.CodeRefused)
		close(release)
		Expect(read(link).Header().Type).To(Equal(spec.TypeResponse))
		Eventually(drained).WithTimeout(patience).Should(Receive(BeNil()))
	})

	It("cancels a call whose metadata is malformed, and no other", func() {
		_, link := rawGateway(func(c *session.Incoming) { respond(c, 200, "") })
		write(link, frame(spec.TypeRequest, spec.FlagEnd, 2, 0, []byte{0xff}, nil))
		expectCancel(link, 2, spec.CodeProtocol)
		write(link, frame(spec.TypeRequest, spec.FlagEnd, 4, 0, requestMeta(), nil))
		Expect(read(link).Header().Type).To(Equal(spec.TypeResponse))
	})

	It("ends the session when a stream id is used twice", func() {
		s, link := rawGateway(func(c *session.Incoming) { <-c.Context().Done() })
		write(link, frame(spec.TypeRequest, spec.FlagEnd, 2, 0, requestMeta(), nil),
			frame(spec.TypeRequest, spec.FlagEnd, 2, 0, requestMeta(), nil))
		Eventually(s.Done()).WithTimeout(patience).Should(BeClosed())
		Expect(s.Err()).To(MatchError(ContainSubstring("second REQUEST")))
	})

	It("confirms a CANCEL when the handler has returned, and not before", func() {
		entered, release := make(chan struct{}), make(chan struct{})
		_, link := rawGateway(func(*session.Incoming) {
			close(entered)
			<-release
		})
		write(link, frame(spec.TypeRequest, spec.FlagEnd, 2, 0, requestMeta(), nil),
			transports.NewControl(spec.TypeCancel, 2, uint32(spec.CodeClientGone), nil),
			transports.NewControl(spec.TypePing, 0, 1, nil))
		Eventually(entered).WithTimeout(patience).Should(BeClosed())
		Expect(read(link).Header().Type).To(Equal(spec.TypePong)) // not yet confirmed
		close(release)
		expectCancel(link, 2, spec.CodeNoError)
	})

	It("ends only the stream when the gateway overruns its credit", func() {
		errs := make(chan error, 1)
		_, link := rawGateway(func(c *session.Incoming) {
			<-c.Context().Done()
			errs <- context.Cause(c.Context())
		})
		write(link, frame(spec.TypeRequest, 0, 2, 0, requestMeta(), nil))
		chunk := make([]byte, spec.MaxChunk)
		for i := range spec.StreamWindow/spec.MaxChunk + 1 {
			write(link, frame(spec.TypeRequestStreamData, 0, 2, uint32(i), nil, chunk))
		}
		var err error
		Eventually(errs).WithTimeout(patience).Should(Receive(&err))
		Expect(err).To(Satisfy(haveCode(spec.CodeFlow)))
		expectCancel(link, 2, spec.CodeFlow)
	})

	It("stops a gateway that overruns its credit after the answer, which stands", func() {
		answered, release := make(chan struct{}), make(chan struct{})
		_, link := rawGateway(func(c *session.Incoming) {
			respond(c, 200, "")
			close(answered)
			<-release
		})
		defer close(release)
		write(link, frame(spec.TypeRequest, 0, 2, 0, requestMeta(), nil))
		Expect(read(link).Header().Type).To(Equal(spec.TypeResponse))
		Eventually(answered).WithTimeout(patience).Should(BeClosed())
		chunk := make([]byte, spec.MaxChunk)
		for i := range spec.StreamWindow/spec.MaxChunk + 1 {
			write(link, frame(spec.TypeRequestStreamData, 0, 2, uint32(i), nil, chunk))
		}
		expectCancel(link, 2, spec.CodeNoError)
	})

	It("reports a gateway that is not one", func() {
		link, slink := inmemory.Pipe()
		write(link, transports.NewControl(spec.TypePing, 0, 1, nil))
		_, err := session.Open(context.Background(), slink, session.ServiceConfig{Hello: hello(), Manifest: []byte("m"), Serve: echo})
		Expect(err).To(MatchError(ContainSubstring("expected WELCOME")))
	})

	It("stops opening when its context ends", func() {
		_, slink := inmemory.Pipe()
		ctx, cancel := context.WithCancelCause(context.Background())
		time.AfterFunc(20*time.Millisecond, func() { cancel(errors.New("changed my mind")) })
		_, err := session.Open(ctx, slink, session.ServiceConfig{Hello: hello(), Manifest: []byte("m"), Serve: echo})
		Expect(err).To(MatchError(ContainSubstring("changed my mind")))
		_, err = slink.ReadFrame()
		Expect(err).To(MatchError(net.ErrClosed))
	})
})

var _ = Describe("Text that goes with CANCEL", func() {
	It("is cut between two characters", func() {
		_, link := rawGateway(func(c *session.Incoming) {
			c.Cancel(spec.CodeInternal, strings.Repeat("ä", spec.MaxReason))
		})
		write(link, frame(spec.TypeRequest, spec.FlagEnd, 2, 0, requestMeta(), nil))
		text := string(read(link).Meta())
		Expect(utf8.ValidString(text)).To(BeTrue())
		Expect(len(text)).To(BeNumerically("~", spec.MaxReason, 2))
	})
})
