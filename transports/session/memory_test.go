package session_test

import (
	"context"
	"io"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/stella-ops/router/spec"
	"github.com/stella-ops/router/transports"
	"github.com/stella-ops/router/transports/session"
)

// ping makes sure that the session has read all that was written before. What it has written meanwhile must be nothing.
func ping(link transports.Link) {
	GinkgoHelper()
	write(link, transports.NewControl(spec.TypePing, 0, 7, nil))
	Expect(read(link).Header().Type).To(Equal(spec.TypePong))
}

// part is 64 KiB of a body, which is a stream's window at first.
func part(t spec.FrameType, flags spec.Flags, stream, sequence uint32) *transports.Frame {
	return frame(t, flags, stream, sequence, nil, make([]byte, spec.MaxChunk))
}

// answering starts n calls by hand, and begins their answers. Each has the first part of its body.
func answering(g *session.Gateway, link transports.Link, n int) []*session.Call {
	GinkgoHelper()
	calls := make([]*session.Call, n)
	for i := range calls {
		calls[i] = start(g, "", patience)
		DeferCleanup(calls[i].Close)
		id := read(link).Header().Stream
		write(link, frame(spec.TypeResponse, 0, id, 0, responseMeta(200), nil), part(spec.TypeResponseStreamData, 0, id, 0))
	}
	return calls
}

// takePart reads a part of an answer, and returns its credit.
func takePart(c *session.Call) {
	GinkgoHelper()
	f, err := c.Next(context.Background(), patience)
	Expect(err).NotTo(HaveOccurred())
	n := len(f.Body())
	f.Release()
	c.Consumed(n)
}

var _ = Describe("The memory for bodies, when it is spent,", func() {
	const limit = 4 * spec.MaxChunk

	small := func(c *session.GatewayConfig) { c.Limits.Memory = limit }

	It("ends the stream that has stalled for longest as SLOW_CONSUMER, and no other", func() {
		g, link := rawService(8, small)
		calls := answering(g, link, 4)
		ping(link) // and nothing has been cancelled so far
		takePart(calls[0])
		Expect(read(link).Header().Type).To(Equal(spec.TypeCredit))
		write(link, part(spec.TypeResponseStreamData, 0, 2, 1)) // the first stream is the one that moved last now
		ping(link)
		calls = append(calls, answering(g, link, 1)...)
		expectCancel(link, 4, spec.CodeSlowConsumer)
		_, _ = answer(calls[1])
		_, err := calls[1].Next(context.Background(), patience)
		Expect(err).To(Satisfy(haveCode(spec.CodeSlowConsumer)))
		for _, i := range []int{0, 2, 3, 4} {
			takePart(calls[i])
		}
		Expect(g.Err()).NotTo(HaveOccurred())
		Expect(g.Books().Held).To(BeZero())
	})

	It("ends calls at the service alike", func() {
		entered, causes := make(chan struct{}, 8), make(chan error, 8)
		s, link := rawGateway(block(entered, causes), func(c *session.ServiceConfig) { c.Limits.Memory = limit })
		for id := uint32(2); id <= 10; id += 2 {
			write(link, frame(spec.TypeRequest, 0, id, 0, requestMeta(), nil), part(spec.TypeRequestStreamData, 0, id, 0))
		}
		expectCancel(link, 2, spec.CodeSlowConsumer)
		var cause error
		Eventually(causes).WithTimeout(patience).Should(Receive(&cause))
		Expect(cause).To(Satisfy(haveCode(spec.CodeSlowConsumer)))
		Expect(s.Err()).NotTo(HaveOccurred())
		Expect(s.Books().Held).To(BeEquivalentTo(limit))
	})

	It("ends the longest-stalled stream of all the sessions that share it", func() {
		shared := session.NewMemory(limit)
		share := func(c *session.GatewayConfig) { c.Limits.Shared = shared }
		one, first := rawService(8, share)
		two, second := rawService(8, share)
		stalled := answering(one, first, 1)
		ping(first)
		others := answering(two, second, 3)
		ping(second)
		Expect(shared.Held()).To(BeEquivalentTo(limit))
		others = append(others, answering(two, second, 1)...)
		expectCancel(first, 2, spec.CodeSlowConsumer)
		ping(second)
		_, _ = answer(stalled[0])
		_, err := stalled[0].Next(context.Background(), patience)
		Expect(err).To(Satisfy(haveCode(spec.CodeSlowConsumer)))
		for _, c := range others {
			takePart(c)
		}
		Expect(shared.Held()).To(BeZero())
	})

	It("takes the bytes of answers that are whole, and of those that were broken off, from clients that do not read them", func() {
		g, link := rawService(8, small)
		calls := answering(g, link, 3)
		write(link, frame(spec.TypeResponseStreamData, spec.FlagEnd, 2, 1, nil, nil),
			transports.NewControl(spec.TypeCancel, 4, uint32(spec.CodeInternal), []byte("broken off")))
		ping(link)
		Expect(g.InFlight()).To(Equal(1))
		calls = append(calls, answering(g, link, 3)...)
		ping(link) // there is nothing to cancel
		Expect(g.Books().Held).To(BeEquivalentTo(limit))
		for _, c := range calls {
			_, _ = answer(c)
		}
		_, err := calls[0].Next(context.Background(), patience)
		Expect(err).To(Satisfy(haveCode(spec.CodeSlowConsumer)), "part of it is lost, so it must not end well")
		_, err = calls[1].Next(context.Background(), patience)
		Expect(err).To(MatchError(ContainSubstring("broken off")))
		for _, c := range calls[2:] {
			takePart(c)
		}
	})

	It("takes the bytes of answers whose session is dead", func() {
		shared := session.NewMemory(limit)
		share := func(c *session.GatewayConfig) { c.Limits.Shared = shared }
		dead, first := rawService(8, share)
		whole := answering(dead, first, 2)
		for _, id := range []uint32{2, 4} {
			write(first, frame(spec.TypeResponseStreamData, spec.FlagEnd, id, 1, nil, nil))
		}
		ping(first)
		Expect(dead.Close(spec.CodeShutdown, "")).To(Succeed())
		alive, second := rawService(8, share)
		_ = answering(alive, second, 3)
		ping(second) // it lost nothing
		Expect(shared.Held()).To(BeEquivalentTo(limit))
		_, _ = answer(whole[0])
		_, err := whole[0].Next(context.Background(), patience)
		Expect(err).To(Satisfy(haveCode(spec.CodeSlowConsumer)))
		_, _ = answer(whole[1])
		takePart(whole[1])
		_, err = whole[1].Next(context.Background(), patience)
		Expect(err).To(MatchError(io.EOF))
	})

	// The streams of these begin with a chunk of credit, and eight chunks may be held.
	const narrowWindow = spec.MaxChunk
	narrow := func(c *session.GatewayConfig) {
		c.Limits.Memory = 8 * spec.MaxChunk
		c.Welcome.StreamWindow = narrowWindow
	}

	// A stream on which 64 KiB have been sent and consumed is granted its window again, whatever that is by then.
	DescribeTable("shrinks windows before: what is granted again", func(parts int, granted uint32) {
		g, link := rawService(16, narrow)
		_ = answering(g, link, parts)
		c := start(g, "", patience)
		defer c.Close()
		id := read(link).Header().Stream
		write(link, frame(spec.TypeResponse, 0, id, 0, responseMeta(200), nil), part(spec.TypeResponseStreamData, spec.FlagBlocked, id, 0))
		takePart(c)
		h := read(link).Header()
		Expect(h.Type).To(Equal(spec.TypeCredit))
		Expect(h.Stream).To(Equal(id))
		Expect(h.Aux).To(Equal(granted))
	},
		Entry("is twice the window where there is enough", 0, uint32(2*narrowWindow)),
		Entry("is twice the window up to a half", 4, uint32(2*narrowWindow)),
		Entry("is the first window beyond a half", 5, uint32(narrowWindow)),
		Entry("is a quarter of that beyond three quarters", 7, uint32(narrowWindow/4)),
	)

	It("shrinks a window that has grown: less is granted than was consumed", func() {
		g, link := rawService(16, narrow)
		c := start(g, "", patience)
		defer c.Close()
		_ = read(link)
		write(link, frame(spec.TypeResponse, 0, 2, 0, responseMeta(200), nil), part(spec.TypeResponseStreamData, spec.FlagBlocked, 2, 0))
		takePart(c)
		Expect(read(link).Header().Aux).To(BeEquivalentTo(2 * narrowWindow))
		Expect(g.Books().Grown).To(BeEquivalentTo(narrowWindow))
		_ = answering(g, link, 5)
		write(link, part(spec.TypeResponseStreamData, 0, 2, 1))
		takePart(c) // with 64 KiB to send yet, the first window is open
		ping(link)
		write(link, part(spec.TypeResponseStreamData, 0, 2, 2))
		takePart(c)
		Expect(read(link).Header().Aux).To(BeEquivalentTo(narrowWindow))
	})
})

var _ = Describe("A peer that overruns the session's credit loses the session,", func() {
	It("a service", func() {
		g, link := rawService(8)
		c := start(g, "", patience)
		defer c.Close()
		_ = read(link)
		g.Spare(99)
		write(link, frame(spec.TypeResponse, 0, 2, 0, responseMeta(200), nil),
			frame(spec.TypeResponseStreamData, 0, 2, 0, nil, make([]byte, 100)))
		expectCancel(link, 0, spec.CodeFlow)
		Eventually(g.Done()).WithTimeout(patience).Should(BeClosed())
		Expect(g.Err()).To(MatchError(ContainSubstring("the session's credit")))
	})

	It("a service, with data of calls that are over", func() {
		g, link := rawService(8)
		c := start(g, "", patience)
		_ = read(link)
		write(link, frame(spec.TypeResponse, spec.FlagEnd, 2, 0, responseMeta(200), nil))
		_, _ = answer(c)
		c.Close()
		g.Spare(99)
		write(link, frame(spec.TypeResponseStreamData, 0, 2, 0, nil, make([]byte, 100)))
		expectCancel(link, 0, spec.CodeFlow)
	})

	It("a gateway", func() {
		s, link := rawGateway(func(c *session.Incoming) { <-c.Context().Done() })
		write(link, frame(spec.TypeRequest, 0, 2, 0, requestMeta(), nil))
		ping(link)
		s.Spare(99)
		write(link, frame(spec.TypeRequestStreamData, 0, 2, 0, nil, make([]byte, 100)))
		expectCancel(link, 0, spec.CodeFlow)
	})

	It("a gateway, with data of calls that are over", func() {
		s, link := rawGateway(echo)
		s.Spare(99)
		write(link, frame(spec.TypeRequestStreamData, 0, 2, 0, nil, make([]byte, 100)))
		expectCancel(link, 0, spec.CodeFlow)
	})
})
