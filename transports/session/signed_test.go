package session_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"sync"
	"testing"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/stella-ops/router/spec"
	"github.com/stella-ops/router/transports"
	"github.com/stella-ops/router/transports/inmemory"
	"github.com/stella-ops/router/transports/session"
)

// brokered is one end of a link at whose broker others write, too: meddle, if it is not nil, is given each frame that comes
// and returns what is read in its place.
type brokered struct {
	transports.Link
	meddle func(*transports.Frame) []*transports.Frame

	mu   sync.Mutex
	next []*transports.Frame
}

func (b *brokered) Traits() transports.Traits {
	t := b.Link.Traits()
	t.Brokered = true
	return t
}

func (b *brokered) ReadFrame() (*transports.Frame, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for len(b.next) == 0 {
		f, err := b.Link.ReadFrame()
		if err != nil || b.meddle == nil {
			return f, err
		}
		b.next = b.meddle(f)
	}
	f := b.next[0]
	b.next = b.next[1:]
	return f, nil
}

// throughBroker connects two ends. What the service reads is meddled with.
func throughBroker(meddle func(*transports.Frame) []*transports.Frame) (gateway, service transports.Link) {
	g, s := inmemory.Pipe()
	return &brokered{Link: g}, &brokered{Link: s, meddle: meddle}
}

// copyOf is a frame of the same bytes.
func copyOf(f *transports.Frame) *transports.Frame {
	c := transports.NewFrame(len(f.Payload()))
	c.SetBytes(append(c.Bytes()[:0], f.Bytes()...))
	return c
}

var _ = Describe("Frames that cross a broker", func() {
	It("are signed as soon as both ends know that the other has the token, WELCOME first, each batch once", func() {
		var seen []spec.FrameType
		_, s := pair(func() (gateway, service transports.Link) {
			return throughBroker(func(f *transports.Frame) []*transports.Frame {
				seen = append(seen, f.Header().Type)
				return []*transports.Frame{f}
			})
		}, echo)
		Expect(s.Close()).To(Succeed())
		Expect(seen).To(HaveExactElements(spec.TypeChallenge, spec.TypeWelcome, spec.TypeMAC))
	})

	It("are not where there is no token, nor on a link that nobody else can write to", func() {
		for _, newLinks := range []func() (gateway, service transports.Link){links["inmemory"], func() (gateway, service transports.Link) {
			return throughBroker(nil)
		}} {
			g, s := newLinks()
			var types []spec.FrameType
			var mu sync.Mutex
			watched := &watched{Link: s, see: func(f *transports.Frame) {
				mu.Lock()
				defer mu.Unlock()
				types = append(types, f.Header().Type)
			}}
			var change []func(*session.GatewayConfig, *session.ServiceConfig)
			if !g.Traits().Brokered {
				change = append(change, withToken(token), tokens(token))
			}
			o := openOn(g, watched, change...)
			Expect(errors.Join(o.refused, o.failed)).To(Succeed())
			status, body := answer(start(o.gateway, "plain", patience))
			Expect(status).To(Equal(200))
			Expect(body).To(Equal("plain"))
			mu.Lock()
			Expect(types).To(ContainElement(spec.TypeRequest))
			Expect(types).NotTo(ContainElement(spec.TypeMAC))
			mu.Unlock()
		}
	})

	It("may be more than one MAC covers", func() {
		g, _ := pair(links["a broker"], func(c *session.Incoming) {
			_ = c.Head(&spec.Response{Status: 200, ContentLength: -1})
			_, _ = io.Copy(c, c)
			_ = c.End()
		})
		var wg sync.WaitGroup
		for range 64 {
			wg.Go(func() {
				defer GinkgoRecover()
				c := open(g)
				defer c.Close()
				sent := bytes.Repeat([]byte("0123456789abcdef"), 32<<10) // 512 KiB
				wg.Go(func() { _ = sendAll(c, sent) })
				f, err := c.Head(context.Background())
				Expect(err).NotTo(HaveOccurred())
				f.Release()
				var got []byte
				for {
					f, err := c.Next(context.Background(), patience)
					if errors.Is(err, io.EOF) {
						break
					}
					Expect(err).NotTo(HaveOccurred())
					got = append(got, f.Body()...)
					c.Consumed(len(f.Body()))
					f.Release()
				}
				Expect(bytes.Equal(got, sent)).To(BeTrue())
			})
		}
		wg.Wait()
	})

	DescribeTable("end the session when they are not as the other end sent them", func(meddle func(first func() bool, f *transports.Frame) []*transports.Frame) {
		armed := make(chan struct{})
		done := false
		g, s := pair(func() (gateway, service transports.Link) {
			return throughBroker(func(f *transports.Frame) []*transports.Frame {
				return meddle(func() bool {
					select {
					case <-armed:
						was := done
						done = true
						return !was
					default:
						return false
					}
				}, f)
			})
		}, echo)
		_, body := answer(start(g, "before", patience))
		Expect(body).To(Equal("before"))
		close(armed)
		Expect(failure(start(g, "attacked", patience))).To(HaveOccurred())
		Eventually(s.Done()).WithTimeout(patience).Should(BeClosed())
		Expect(s.Err()).To(Satisfy(haveCode(spec.CodeProtocol)))
		Expect(s.Err()).To(MatchError(ContainSubstring("not signed with the session's key")))
		Eventually(g.Done()).WithTimeout(patience).Should(BeClosed())
		Expect(g.Err()).To(MatchError(ContainSubstring("not signed with the session's key")))
	},
		Entry("but have another body", func(first func() bool, f *transports.Frame) []*transports.Frame {
			if f.Header().Type == spec.TypeRequest && first() {
				f.Body()[0] ^= 1
			}
			return []*transports.Frame{f}
		}),
		Entry("but have another stream", func(first func() bool, f *transports.Frame) []*transports.Frame {
			if f.Header().Type == spec.TypeRequest && first() {
				f.SetStream(f.Header().Stream + 2)
			}
			return []*transports.Frame{f}
		}),
		Entry("but come twice, each with the MAC that it had", func(first func() bool, f *transports.Frame) []*transports.Frame {
			if f.Header().Type == spec.TypeMAC && first() {
				return []*transports.Frame{f, copyOf(f)}
			}
			return []*transports.Frame{f}
		}),
		Entry("but one is missing", func(first func() bool, f *transports.Frame) []*transports.Frame {
			if f.Header().Type == spec.TypeRequest && first() {
				f.Release()
				return nil
			}
			return []*transports.Frame{f}
		}),
		Entry("but somebody has put one between them", func(first func() bool, f *transports.Frame) []*transports.Frame {
			if f.Header().Type == spec.TypeRequest && first() {
				return []*transports.Frame{transports.NewControl(spec.TypeCancel, f.Header().Stream, uint32(spec.CodeClientGone), nil), f}
			}
			return []*transports.Frame{f}
		}),
		Entry("but the MAC is another", func(first func() bool, f *transports.Frame) []*transports.Frame {
			if f.Header().Type == spec.TypeMAC && first() {
				f.Meta()[spec.MACSize-1] ^= 1
			}
			return []*transports.Frame{f}
		}),
		Entry("but the MAC says another number", func(first func() bool, f *transports.Frame) []*transports.Frame {
			if f.Header().Type == spec.TypeMAC && first() {
				f.Meta()[0] ^= 1
			}
			return []*transports.Frame{f}
		}),
	)

	It("may be left out with their MAC: a broker drops what has expired", func() {
		armed, dropped := make(chan struct{}), make(chan struct{})
		dropping := false
		g, _ := pair(func() (gateway, service transports.Link) {
			return throughBroker(func(f *transports.Frame) []*transports.Frame {
				select {
				case <-armed:
				default:
					return []*transports.Frame{f}
				}
				select {
				case <-dropped:
					return []*transports.Frame{f}
				default:
				}
				h := f.Header()
				dropping = dropping || h.Type == spec.TypeRequest
				if dropping && h.Type == spec.TypeMAC {
					close(dropped)
				}
				if dropping {
					f.Release()
					return nil
				}
				return []*transports.Frame{f}
			})
		}, echo)
		close(armed)
		lost := start(g, "lost", 0)
		defer lost.Close()
		Eventually(dropped).WithTimeout(patience).Should(BeClosed())
		_, body := answer(start(g, "after", patience))
		Expect(body).To(Equal("after"))
	})

	It("end the session when more come than one MAC covers", func() {
		armed := make(chan struct{})
		g, s := pair(func() (gateway, service transports.Link) {
			return throughBroker(func(f *transports.Frame) []*transports.Frame {
				select {
				case <-armed:
				default:
					return []*transports.Frame{f}
				}
				if f.Header().Type == spec.TypeMAC {
					f.Release()
					return nil
				}
				return []*transports.Frame{f}
			})
		}, echo)
		close(armed)
		Eventually(func() bool {
			if c, err := tryStart(g, strings.Repeat("x", spec.MaxInlineBody), patience); err == nil {
				defer c.Close()
			}
			select {
			case <-s.Done():
				return true
			default:
				return false
			}
		}).WithTimeout(patience).WithPolling(1).Should(BeTrue())
		Expect(s.Err()).To(MatchError(ContainSubstring("more frames came than one MAC covers")))
	})

	It("refuse a service with the gateway's reason, which has no key to sign it with", func() {
		g, s := throughBroker(nil)
		o := openOn(g, s, withToken(older), tokens(token))
		Expect(o.failed).To(Satisfy(haveCode(spec.CodeUnauthorized)))
		Expect(o.failed).To(MatchError(ContainSubstring("none that this gateway takes")))
	})

	It("are WELCOME only with a MAC", func() {
		g, s := throughBroker(func(f *transports.Frame) []*transports.Frame {
			if f.Header().Type == spec.TypeMAC {
				forged := transports.NewControl(spec.TypeMAC, 0, 0, make([]byte, spec.MACSize))
				f.Release()
				return []*transports.Frame{forged}
			}
			return []*transports.Frame{f}
		})
		o := openOn(g, s, withToken(token), tokens(token))
		Expect(o.failed).To(MatchError(ContainSubstring("not signed with the session's key")))
	})
})

// watched is a link whose reader is looked at.
type watched struct {
	transports.Link
	see func(*transports.Frame)
}

func (w *watched) ReadFrame() (*transports.Frame, error) {
	f, err := w.Link.ReadFrame()
	if err == nil {
		w.see(f)
	}
	return f, err
}

// FuzzSigned gives what anybody writes at the broker to a link that signs: nothing of it gets through, but a refusal.
func FuzzSigned(f *testing.F) {
	request, _ := request("hi", 2)
	request.Seal(spec.TypeRequest, spec.FlagEnd|spec.FlagInlineBody, 2, 0, len(request.Payload())-2)
	f.Add(request.Bytes())
	f.Add(transports.NewControl(spec.TypeMAC, 0, 0, make([]byte, spec.MACSize)).Bytes())
	f.Add(transports.NewControl(spec.TypeCancel, 0, uint32(spec.CodeUnauthorized), []byte("no")).Bytes())
	f.Fuzz(func(t *testing.T, bytes []byte) {
		g, s := inmemory.Pipe()
		link := session.Signable(&brokered{Link: s})
		session.Sign(link, []byte("out"), []byte("in"))
		var batch []*transports.Frame
		for len(bytes) > 0 && len(batch) < 100 {
			_, _, n, err := spec.DecodeFrame(bytes, spec.MaxFrameDefault)
			if err != nil {
				break
			}
			frame := transports.NewFrame(n)
			frame.SetBytes(append(frame.Bytes()[:0], bytes[:n]...))
			batch, bytes = append(batch, frame), bytes[n:]
		}
		if err := g.WriteFrames(batch); err != nil {
			t.Fatal(err)
		}
		_ = g.Close()
		for {
			got, err := link.ReadFrame()
			if err != nil {
				return
			}
			if h := got.Header(); h.Type != spec.TypeCancel || h.Stream != 0 {
				t.Fatalf("%s came through", h.Type)
			}
			got.Release()
		}
	})
}
