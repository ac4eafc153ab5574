package session_test

import (
	"errors"
	"strings"
	"sync/atomic"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/stella-ops/router/spec"
	"github.com/stella-ops/router/transports"
	"github.com/stella-ops/router/transports/inmemory"
	"github.com/stella-ops/router/transports/session"
)

// smallLink carries small calls only, and brings every REQUEST twice.
type smallLink struct {
	transports.Link

	again *transports.Frame // the reader's alone
}

const smallest = 1000

func (*smallLink) Traits() transports.Traits {
	return transports.Traits{Order: transports.OrderNone, MaxPayload: smallest, Scheme: "small", Remote: "test"}
}

func (l *smallLink) ReadFrame() (*transports.Frame, error) {
	if f := l.again; f != nil {
		l.again = nil
		return f, nil
	}
	f, err := l.Link.ReadFrame()
	if err == nil && f.Header().Type == spec.TypeRequest {
		l.again = transports.NewFrame(len(f.Payload()))
		l.again.SetBytes(append(l.again.Bytes()[:0], f.Bytes()...))
	}
	return f, err
}

func smallPipe() (gateway, service transports.Link) {
	a, b := inmemory.Pipe()
	return &smallLink{Link: a}, &smallLink{Link: b}
}

var _ = Describe("A link that carries small calls only", func() {
	It("does not begin what a link of small calls cannot carry, and says of an answer that it is too large", func() {
		g, s := pair(smallPipe, func(c *session.Incoming) {
			switch c.Request().Query {
			case "stream":
				_ = c.Head(&spec.Response{Status: 200, ContentLength: -1})
			case "large":
				respond(c, 200, strings.Repeat("x", smallest))
			default:
				echo(c)
			}
		})
		Expect(g.Small()).To(Equal(smallest))
		_, err := tryStart(g, strings.Repeat("x", smallest), patience)
		Expect(err).To(MatchError(session.ErrTooLarge))
		Expect(err).To(MatchError(ContainSubstring("the transport carries 1000")))
		f, meta := request("", -1)
		_, err = g.Start(f, meta, 0, patience)
		Expect(err).To(MatchError(session.ErrTooLarge))
		for _, query := range []string{"large", "stream"} {
			f, meta := queried(query)
			c, err := g.Start(f, meta, spec.FlagEnd, patience)
			Expect(err).NotTo(HaveOccurred())
			Expect(failure(c)).To(Satisfy(haveCode(spec.CodeTooLarge)))
			c.Close()
		}
		status, body := answer(start(g, "fits", patience))
		Expect(status).To(Equal(200))
		Expect(body).To(Equal("fits"))
		Expect(errors.Join(g.Err(), s.Err())).To(Succeed())
		Eventually(g.InFlight).WithTimeout(patience).Should(BeZero())
	})

	It("serves a call once on a link that brings it twice", func() {
		var served atomic.Int64
		g, _ := pair(smallPipe, func(c *session.Incoming) {
			served.Add(1)
			echo(c)
		})
		const calls = 100
		for range calls {
			c := start(g, "x", patience)
			_, _ = answer(c)
			c.Close()
		}
		Expect(served.Load()).To(BeEquivalentTo(calls))
	})
})

// queried is a REQUEST with a query.
func queried(query string) (f *transports.Frame, meta int) {
	r := spec.Request{Query: query}
	f = transports.NewFrame(100)
	b := r.AppendTo(f.Bytes())
	f.SetBytes(b)
	return f, len(b) - spec.HeaderSize
}
