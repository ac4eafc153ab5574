package session_test

import (
	"context"
	"errors"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/stella-ops/router/spec"
	"github.com/stella-ops/router/transports"
	"github.com/stella-ops/router/transports/inmemory"
	"github.com/stella-ops/router/transports/session"
)

// trailers names the feature in a HELLO.
func trailers(h *spec.Hello) { h.Features = []spec.Feature{{Name: spec.FeatureTrailers}} }

// withTrailers makes both ends of a pair take TRAILERS.
func withTrailers(_ *session.GatewayConfig, s *session.ServiceConfig) { trailers(&s.Hello) }

var (
	digest     = []spec.Field{{Name: "X-Sum", Value: "deadbeef"}, {Name: "Etag", Value: `"1"`}, {Name: "X-Sum", Value: "2"}}
	digestMeta = (&spec.Trailers{Fields: digest}).AppendTo(nil)
)

// theirs are the trailers of a request, once its body has been read.
func theirs(c *session.Incoming) ([]byte, []spec.Field, error) {
	body, err := io.ReadAll(c)
	return body, c.Trailers(), err
}

// trailed is a call's end: RESPONSE, the whole body, and what follows it.
func trailed(c *session.Call) (length int64, body string, fields []spec.Field) {
	GinkgoHelper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	f, err := c.Head(ctx)
	Expect(err).NotTo(HaveOccurred())
	defer f.Release()
	var r spec.Response
	Expect(r.Decode(f.Meta())).To(Succeed())
	if f.Header().Flags&spec.FlagEnd != 0 {
		return r.ContentLength, string(f.Body()), c.Trailers()
	}
	rest, err := readAll(c)
	Expect(err).NotTo(HaveOccurred())
	return r.ContentLength, string(f.Body()) + string(rest), c.Trailers()
}

var _ = Describe("Trailers", func() {
	ways := map[string]func() (gateway, service transports.Link){"quic": func() (transports.Link, transports.Link) { return dial("quic://127.0.0.1:0") }}
	maps.Copy(ways, links)
	for name, newLinks := range ways {
		Context("over "+name, func() {
			It("end a request after its body", func() {
				seen := make(chan []spec.Field, 1)
				g, s := pair(newLinks, func(c *session.Incoming) {
					body, fields, err := theirs(c)
					if err != nil {
						return
					}
					seen <- fields
					respond(c, 200, string(body))
				}, withTrailers)
				Expect(g.Trailers()).To(BeTrue())
				Expect(s.Trailers()).To(BeTrue())
				for _, body := range []string{"", "small", strings.Repeat("x", 3*spec.MaxChunk)} {
					c := open(g)
					if body != "" {
						send(c, []byte(body))
					}
					Expect(c.EndWith(digest)).To(Succeed())
					_, got, none := trailed(c)
					Expect(got).To(Equal(body))
					Expect(none).To(BeEmpty())
					c.Close()
					Expect(received(seen)).To(Equal(digest))
				}
				Eventually(g.InFlight).WithTimeout(patience).Should(BeZero())
				Eventually(s.InFlight).WithTimeout(patience).Should(BeZero())
			})

			It("end a request whose body came with it", func() {
				g, _ := pair(newLinks, func(c *session.Incoming) {
					body, fields, err := theirs(c)
					if err == nil && slices.Equal(fields, digest) {
						respond(c, 200, string(body))
					}
				}, withTrailers)
				f, meta := request("inline", 6)
				c, err := g.Start(f, meta, spec.FlagInlineBody, patience)
				Expect(err).NotTo(HaveOccurred())
				defer c.Close()
				Expect(c.EndWith(digest)).To(Succeed())
				_, body, _ := trailed(c)
				Expect(body).To(Equal("inline"))
			})

			It("end an answer after its body, whether it is small or streamed", func() {
				g, s := pair(newLinks, func(c *session.Incoming) {
					body, err := io.ReadAll(c)
					if err != nil {
						return
					}
					if c.Request().ContentLength > 0 {
						_ = c.RespondWith(&spec.Response{Status: 200, ContentLength: -1}, body, digest)
						return
					}
					_ = c.Head(&spec.Response{Status: 200, ContentLength: -1})
					_, _ = c.Write([]byte("stre"))
					_, _ = c.Write([]byte("amed"))
					_ = c.EndWith(digest)
				}, withTrailers)
				for _, sent := range []string{"small", strings.Repeat("x", spec.MaxInlineBody), ""} {
					c := start(g, sent, patience)
					length, body, fields := trailed(c)
					Expect(fields).To(Equal(digest))
					Expect(length).To(BeEquivalentTo(-1))
					if sent == "" {
						sent = "streamed"
					}
					Expect(body).To(Equal(sent))
					c.Close()
				}
				Eventually(g.InFlight).WithTimeout(patience).Should(BeZero())
				Eventually(s.InFlight).WithTimeout(patience).Should(BeZero())
			})

			It("end a large answer that is given whole", func() {
				large := strings.Repeat("x", spec.MaxInlineBody+1)
				g, _ := pair(newLinks, func(c *session.Incoming) {
					_ = c.RespondWith(&spec.Response{Status: 200, ContentLength: -1}, []byte(large), digest)
				}, withTrailers)
				c := start(g, "", patience)
				defer c.Close()
				_, body, fields := trailed(c)
				Expect(body).To(Equal(large))
				Expect(fields).To(Equal(digest))
			})
		})
	}

	It("need no credit", func() {
		release := make(chan struct{})
		g, _ := pair(links["inmemory"], func(c *session.Incoming) {
			<-release // nothing of the body is consumed before
			if body, fields, err := theirs(c); err == nil && slices.Equal(fields, digest) {
				_ = c.RespondWith(&spec.Response{Status: 200, ContentLength: -1}, body[:3], digest)
			}
		}, withTrailers)
		c := open(g)
		defer c.Close()
		send(c, make([]byte, spec.StreamWindow))
		Expect(c.EndWith(digest)).To(Succeed())
		close(release)
		_, body, fields := trailed(c)
		Expect(body).To(HaveLen(3))
		Expect(fields).To(Equal(digest))
	})

	DescribeTable("are dropped where the peer does not take them, and the body ends as ever",
		func(change func(*session.GatewayConfig, *session.ServiceConfig)) {
			seen := make(chan int, 1)
			g, s := pair(links["inmemory"], func(c *session.Incoming) {
				body, fields, err := theirs(c)
				if err != nil {
					return
				}
				seen <- len(fields)
				if len(body) > 3 {
					_ = c.RespondWith(&spec.Response{Status: 200, ContentLength: -1}, body, digest)
					return
				}
				_ = c.Head(&spec.Response{Status: 200, ContentLength: -1})
				_, _ = c.Write(body)
				_ = c.EndWith(digest)
			}, change)
			Expect(g.Trailers() || s.Trailers()).To(BeFalse())
			for _, body := range []string{"abc", "abcdef"} {
				c := open(g)
				send(c, []byte(body))
				Expect(c.EndWith(digest)).To(Succeed())
				length, got, fields := trailed(c)
				Expect(got).To(Equal(body))
				Expect(fields).To(BeEmpty())
				if len(body) > 3 {
					Expect(length).To(BeEquivalentTo(6), "nothing follows: the length is known as ever")
				}
				Expect(received(seen)).To(BeZero())
				c.Close()
			}
		},
		Entry("since the service does not", func(*session.GatewayConfig, *session.ServiceConfig) {}),
		Entry("since it names something else", func(_ *session.GatewayConfig, s *session.ServiceConfig) {
			s.Hello.Features = []spec.Feature{{Name: "telepathy"}}
		}),
	)

	It("are dropped towards a gateway that skips the feature", func() {
		s, link := rawGateway(func(c *session.Incoming) {
			_ = c.RespondWith(&spec.Response{Status: 200, ContentLength: -1}, []byte("x"), digest)
		}, func(c *session.ServiceConfig) { trailers(&c.Hello) })
		Expect(s.Trailers()).To(BeFalse())
		write(link, frame(spec.TypeRequest, spec.FlagEnd, 2, 0, requestMeta(), nil))
		h := read(link).Header()
		Expect(h.Type).To(Equal(spec.TypeResponse))
		Expect(h.Flags & spec.FlagEnd).NotTo(BeZero())
	})

	It("are not sent by a gateway that names them to a service that does not", func() {
		s, link := takesTrailers(echo, func(c *session.ServiceConfig) { c.Hello.Features = nil })
		Expect(s.Trailers()).To(BeFalse())
		write(link, frame(spec.TypeRequest, 0, 2, 0, requestMeta(), nil), frame(spec.TypeTrailers, spec.FlagEnd, 2, 0, digestMeta, nil))
		expectCancel(link, 0, spec.CodeProtocol)
	})

	It("are not sent on a link that carries small calls only", func() {
		g, s := pair(smallPipe, func(c *session.Incoming) {
			_ = c.RespondWith(&spec.Response{Status: 200, ContentLength: -1}, []byte("x"), digest)
		}, withTrailers)
		Expect(g.Trailers() || s.Trailers()).To(BeFalse())
		c := start(g, "y", patience)
		defer c.Close()
		_, body, fields := trailed(c)
		Expect(body).To(Equal("x"))
		Expect(fields).To(BeEmpty())
	})

	It("are refused where octets follow", func() {
		errs := make(chan error, 2)
		_, link := takesTrailers(func(c *session.Incoming) {
			errs <- c.RespondWith(&spec.Response{Status: 101, ContentLength: -1}, nil, digest)
			_ = c.Head(&spec.Response{Status: 101, ContentLength: -1})
			errs <- c.EndWith(digest)
			_ = c.End()
		})
		upgrade := (&spec.Request{ContentLength: -1, Upgrade: "websocket"}).AppendTo(nil)
		write(link, frame(spec.TypeRequest, 0, 2, 0, upgrade, nil), frame(spec.TypeTrailers, spec.FlagEnd, 2, 0, digestMeta, nil))
		Expect(read(link).Header().Type).To(Equal(spec.TypeResponse))
		Expect(read(link).Header().Type).To(Equal(spec.TypeResponseStreamData))
		Expect(received(errs)).To(MatchError(session.ErrTrailers))
		Expect(received(errs)).To(MatchError(session.ErrTrailers))
	})

	It("that are too many or too large are refused, and the half goes on", func() {
		many := slices.Repeat(digest, spec.MaxFields)
		large := []spec.Field{{Name: "X-Large", Value: strings.Repeat("x", spec.MaxMetadata)}}
		full := []spec.Field{{Name: "X-Full", Value: strings.Repeat("x", spec.MaxMetadata-12)}} // 1 count, 1+1+6 name, 3 length
		g, _ := pair(links["inmemory"], func(c *session.Incoming) {
			_, fields, err := theirs(c)
			if err != nil || len(fields) != 1 {
				return
			}
			for _, fields := range [][]spec.Field{many, large} {
				if !errors.Is(c.RespondWith(&spec.Response{Status: 200}, nil, fields), session.ErrTrailers) {
					return
				}
			}
			_ = c.Head(&spec.Response{Status: 200, ContentLength: -1})
			for _, fields := range [][]spec.Field{many, large} {
				if !errors.Is(c.EndWith(fields), session.ErrTrailers) {
					return
				}
			}
			_ = c.EndWith(fields)
		}, withTrailers)
		c := open(g)
		defer c.Close()
		Expect(c.EndWith(many)).To(MatchError(session.ErrTrailers))
		Expect(c.EndWith(large)).To(MatchError(session.ErrTrailers))
		Expect(c.EndWith(full)).To(Succeed())
		_, _, fields := trailed(c)
		Expect(fields).To(Equal(full))
	})

	It("end a half once", func() {
		errs := make(chan error, 3)
		g, _ := pair(links["inmemory"], func(c *session.Incoming) {
			errs <- c.EndWith(digest) // before RESPONSE
			respondWith(c)
			errs <- c.EndWith(digest)
			errs <- c.RespondWith(&spec.Response{Status: 200}, nil, digest)
		}, withTrailers)
		c := open(g)
		defer c.Close()
		Expect(c.EndWith(digest)).To(Succeed())
		Expect(c.EndWith(digest)).NotTo(Succeed())
		Expect(c.Send(transports.NewFrame(0), 0, true)).NotTo(Succeed())
		_, _, fields := trailed(c)
		Expect(fields).To(Equal(digest))
		for range 3 {
			Expect(received(errs)).To(HaveOccurred())
		}
	})

	It("end the wait of whoever would send more", func() {
		g, _ := pair(links["inmemory"], func(c *session.Incoming) { <-c.Context().Done() }, withTrailers)
		c := open(g)
		defer c.Close()
		send(c, make([]byte, spec.StreamWindow))
		waits := make(chan error, 1)
		go func() {
			_, err := c.Acquire(1)
			waits <- err
		}()
		Expect(c.EndWith(digest)).To(Succeed())
		Expect(received(waits)).To(HaveOccurred())
	})

	It("fail with the call, and say why", func() {
		g, _ := pair(links["inmemory"], func(c *session.Incoming) { c.Cancel(spec.CodeInternal, "broken") }, withTrailers)
		c := open(g)
		defer c.Close()
		Expect(failure(c)).To(Satisfy(haveCode(spec.CodeInternal)))
		Expect(c.EndWith(digest)).To(Satisfy(haveCode(spec.CodeInternal)))
	})

	It("are not taken any more by a service whose answer is whole", func() {
		g, _ := pair(links["inmemory"], func(c *session.Incoming) { respond(c, 413, "") }, withTrailers)
		c := open(g)
		defer c.Close()
		status, _ := answer(c)
		Expect(status).To(Equal(413))
		Eventually(func() error { return c.EndWith(nil) }).WithTimeout(patience).Should(MatchError(session.ErrStopSending))
		Expect(c.EndWith(digest)).To(MatchError(session.ErrStopSending))
	})
})

func respondWith(c *session.Incoming) {
	_ = c.RespondWith(&spec.Response{Status: 200, ContentLength: -1}, []byte("x"), digest)
}

// received is what comes from a channel, which may be that it is closed.
func received[T any](from <-chan T) (v T) {
	GinkgoHelper()
	select {
	case v = <-from:
	case <-time.After(patience):
		Fail("nothing has come")
	}
	return v
}

// send sends a part of a body that is within the credit.
func send(c *session.Call, part []byte) {
	GinkgoHelper()
	Expect(sendPart(c, part)).To(Succeed())
}

// sendPart sends a part of a body, and leaves the half open.
func sendPart(c *session.Call, part []byte) error {
	for len(part) > 0 {
		n, err := c.Acquire(min(len(part), spec.MaxChunk))
		if err != nil {
			return err
		}
		f := transports.NewFrame(n)
		f.SetBytes(append(f.Bytes(), part[:n]...))
		if err := c.Send(f, n, false); err != nil {
			return err
		}
		part = part[n:]
	}
	return nil
}

// givesTrailers is a service played by hand that has named the feature.
func givesTrailers() (*session.Gateway, transports.Link) {
	GinkgoHelper()
	glink, link := inmemory.Pipe()
	write(link, helloFrame(trailers))
	g, err := session.Accept(context.Background(), glink, session.GatewayConfig{})
	Expect(err).NotTo(HaveOccurred())
	welcome := read(link)
	var w spec.Welcome
	Expect(spec.DecodeJSON(welcome.Meta(), &w)).To(Succeed())
	Expect(w.Features).To(Equal([]string{spec.FeatureTrailers}))
	DeferCleanup(func() {
		Expect(g.Close(spec.CodeShutdown, "")).To(Succeed())
		Expect(link.Close()).To(Succeed())
	})
	return g, link
}

// takesTrailers is a service with the feature, and a gateway played by hand that has it, too.
func takesTrailers(serve func(*session.Incoming), change ...func(*session.ServiceConfig)) (*session.Service, transports.Link) {
	GinkgoHelper()
	link, slink := inmemory.Pipe()
	w := plainWelcome()
	w.Features = []string{"telepathy", spec.FeatureTrailers}
	return rawGatewayWelcoming(w, link, slink, serve, append([]func(*session.ServiceConfig){
		func(c *session.ServiceConfig) { trailers(&c.Hello) },
	}, change...)...), link
}

var _ = Describe("Trailers of a peer that breaks the rules", func() {
	DescribeTable("end the session of a service", func(why string, frames ...func() *transports.Frame) {
		g, link := givesTrailers()
		c := start(g, "", patience)
		defer c.Close()
		Expect(read(link).Header().Type).To(Equal(spec.TypeRequest))
		for _, f := range frames {
			write(link, f())
		}
		expectCancel(link, 0, spec.CodeProtocol)
		Eventually(g.Done()).WithTimeout(patience).Should(BeClosed())
		Expect(g.Err()).To(MatchError(ContainSubstring(why)))
	},
		Entry("before RESPONSE", "TRAILERS before RESPONSE", func() *transports.Frame {
			return frame(spec.TypeTrailers, spec.FlagEnd, 2, 0, digestMeta, nil)
		}),
		Entry("with a gap in the sequence", "has sequence 1, expected 0", func() *transports.Frame {
			return frame(spec.TypeResponse, 0, 2, 0, responseMeta(200), nil)
		}, func() *transports.Frame { return frame(spec.TypeTrailers, spec.FlagEnd, 2, 1, digestMeta, nil) }),
		Entry("without END", "flags 0x00, expected 0x01", func() *transports.Frame {
			return frame(spec.TypeTrailers, 0, 2, 0, digestMeta, nil)
		}),
		Entry("on a stream that was never opened", "never opened", func() *transports.Frame {
			return frame(spec.TypeTrailers, spec.FlagEnd, 200, 0, digestMeta, nil)
		}),
		Entry("with a body", "body of 1 bytes", func() *transports.Frame {
			return frame(spec.TypeTrailers, spec.FlagEnd, 2, 0, digestMeta, []byte("x"))
		}),
	)

	It("that nobody has agreed on end the session of a service, and of a gateway", func() {
		g, link := rawService(8)
		c := start(g, "", patience)
		defer c.Close()
		_ = read(link)
		write(link, frame(spec.TypeResponse, 0, 2, 0, responseMeta(200), nil), frame(spec.TypeTrailers, spec.FlagEnd, 2, 0, digestMeta, nil))
		expectCancel(link, 0, spec.CodeProtocol)
		Eventually(g.Done()).WithTimeout(patience).Should(BeClosed())
		Expect(g.Err()).To(MatchError(ContainSubstring("have not agreed on")))

		s, link := rawGateway(echo)
		write(link, frame(spec.TypeRequest, 0, 2, 0, requestMeta(), nil), frame(spec.TypeTrailers, spec.FlagEnd, 2, 0, digestMeta, nil))
		expectCancel(link, 0, spec.CodeProtocol)
		Eventually(s.Done()).WithTimeout(patience).Should(BeClosed())
	})

	It("are the last frame of their half: what follows is ignored", func() {
		g, link := givesTrailers()
		c := open(g)
		defer c.Close()
		_ = read(link)
		write(link, frame(spec.TypeResponse, 0, 2, 0, responseMeta(200), nil), frame(spec.TypeTrailers, spec.FlagEnd, 2, 0, digestMeta, nil),
			frame(spec.TypeTrailers, spec.FlagEnd, 2, 1, []byte{0}, nil), frame(spec.TypeResponseStreamData, 0, 2, 1, nil, []byte("late")))
		_, body, fields := trailed(c)
		Expect(body).To(BeEmpty())
		Expect(fields).To(Equal(digest))

		seen := make(chan []spec.Field, 1)
		_, link = takesTrailers(func(c *session.Incoming) {
			_, fields, _ := theirs(c)
			seen <- fields
			respond(c, 200, "")
		})
		write(link, frame(spec.TypeRequest, 0, 2, 0, requestMeta(), nil), frame(spec.TypeTrailers, spec.FlagEnd, 2, 0, digestMeta, nil),
			frame(spec.TypeTrailers, spec.FlagEnd, 2, 1, []byte{0}, nil), frame(spec.TypeRequestStreamData, 0, 2, 1, nil, []byte("late")))
		Expect(read(link).Header().Type).To(Equal(spec.TypeResponse))
		Expect(received(seen)).To(Equal(digest))
		write(link, frame(spec.TypeTrailers, spec.FlagEnd, 2, 1, []byte{0}, nil), transports.NewControl(spec.TypePing, 0, 1, nil))
		Expect(read(link).Header().Type).To(Equal(spec.TypePong))
	})

	It("that cannot be read fail the request, and no other", func() {
		errs := make(chan error, 1)
		s, link := takesTrailers(func(c *session.Incoming) {
			if c.Request().Query == "fine" {
				respond(c, 200, "")
				return
			}
			_, fields, err := theirs(c)
			if len(fields) > 0 {
				err = errors.New("there were trailers")
			}
			errs <- err
		})
		write(link, frame(spec.TypeRequest, 0, 2, 0, requestMeta(), nil), frame(spec.TypeRequestStreamData, 0, 2, 0, nil, []byte("x")),
			frame(spec.TypeTrailers, spec.FlagEnd, 2, 1, []byte{1, 0, 1, ' ', 0}, nil))
		expectCancel(link, 2, spec.CodeProtocol)
		Expect(received(errs)).To(Satisfy(haveCode(spec.CodeProtocol)))
		fine := (&spec.Request{Query: "fine"}).AppendTo(nil)
		write(link, frame(spec.TypeRequest, spec.FlagEnd, 4, 0, fine, nil))
		h := read(link).Header()
		Expect(h.Type).To(Equal(spec.TypeResponse))
		Expect(h.Stream).To(BeEquivalentTo(4))
		Eventually(s.InFlight).WithTimeout(patience).Should(BeZero())
		Expect(s.Err()).NotTo(HaveOccurred())
	})

	It("that cannot be read leave an answer alone that is whole", func() {
		answered, ended := make(chan struct{}), make(chan error, 1)
		_, link := takesTrailers(func(c *session.Incoming) {
			respond(c, 200, "")
			close(answered)
			_, _, err := theirs(c)
			ended <- err
		})
		write(link, frame(spec.TypeRequest, 0, 2, 0, requestMeta(), nil))
		Expect(read(link).Header().Type).To(Equal(spec.TypeResponse))
		received(answered)
		write(link, frame(spec.TypeTrailers, spec.FlagEnd, 2, 0, []byte{0xff}, nil))
		Expect(received(ended)).To(Satisfy(haveCode(spec.CodeProtocol)))
		write(link, transports.NewControl(spec.TypePing, 0, 1, nil))
		Expect(read(link).Header().Type).To(Equal(spec.TypePong)) // and no CANCEL: both halves have ended
	})

	It("that cannot be read break the answer off, and no other", func() {
		g, link := givesTrailers()
		whole, half := start(g, "", patience), open(g)
		defer whole.Close()
		defer half.Close()
		Expect(read(link).Header().Stream).To(BeEquivalentTo(2))
		Expect(read(link).Header().Stream).To(BeEquivalentTo(4))
		for _, id := range []uint32{2, 4} {
			write(link, frame(spec.TypeResponse, 0, id, 0, responseMeta(200), nil), frame(spec.TypeResponseStreamData, 0, id, 0, nil, []byte("so far")),
				frame(spec.TypeTrailers, spec.FlagEnd, id, 1, []byte{0x80, 0x01}, nil))
		}
		expectCancel(link, 4, spec.CodeProtocol) // the request half of the other one has ended
		for _, c := range []*session.Call{whole, half} {
			_, _ = answer(c)
			body, err := readAll(c)
			Expect(string(body)).To(Equal("so far"), "what came before it is passed on")
			Expect(err).To(Satisfy(haveCode(spec.CodeProtocol)))
			Expect(c.Trailers()).To(BeEmpty())
		}
		Expect(g.InFlight()).To(BeZero())
		Expect(g.Err()).NotTo(HaveOccurred())
	})

	It("confirm a CANCEL that they cross", func() {
		g, link := givesTrailers()
		c := start(g, "", patience)
		_ = read(link)
		write(link, frame(spec.TypeResponse, 0, 2, 0, responseMeta(200), nil))
		_, _ = answer(c)
		c.Cancel(spec.CodeClientGone)
		c.Close()
		Expect(g.InFlight()).To(Equal(1))
		expectCancel(link, 2, spec.CodeClientGone)
		write(link, frame(spec.TypeTrailers, spec.FlagEnd, 2, 0, digestMeta, nil))
		Eventually(g.InFlight).WithTimeout(patience).Should(BeZero())
		Expect(g.Err()).NotTo(HaveOccurred())
	})
})
