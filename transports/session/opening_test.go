package session_test

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/stella-ops/router/spec"
	"github.com/stella-ops/router/transports"
	"github.com/stella-ops/router/transports/inmemory"
	"github.com/stella-ops/router/transports/session"
)

const (
	token = "the-token-of-this-spec"
	older = "the-one-before-that-one"
)

func tokens(good ...string) func(*session.GatewayConfig, *session.ServiceConfig) {
	return func(g *session.GatewayConfig, _ *session.ServiceConfig) {
		g.Tokens = func(string) []string { return good }
	}
}

// opened is what both ends make of an opening.
type opened struct {
	gateway *session.Gateway
	service *session.Service
	refused error // by the gateway, as it sees it
	failed  error // as the service sees it
}

// tryOpen opens both ends of a session, which may fail.
func tryOpen(change ...func(*session.GatewayConfig, *session.ServiceConfig)) opened {
	GinkgoHelper()
	glink, slink := inmemory.Pipe()
	return openOn(glink, slink, change...)
}

// openOn does so on two links.
func openOn(glink, slink transports.Link, change ...func(*session.GatewayConfig, *session.ServiceConfig)) opened {
	GinkgoHelper()
	gcfg := session.GatewayConfig{Welcome: spec.Welcome{Node: "test"}}
	scfg := session.ServiceConfig{Hello: hello(), Manifest: []byte("manifest"), Serve: echo}
	for _, f := range change {
		f(&gcfg, &scfg)
	}
	var o opened
	var wg sync.WaitGroup
	wg.Go(func() { o.service, o.failed = session.Open(context.Background(), slink, scfg) })
	o.gateway, o.refused = session.Accept(context.Background(), glink, gcfg)
	wg.Wait()
	DeferCleanup(func() {
		if o.gateway != nil {
			Expect(o.gateway.Close(spec.CodeShutdown, "")).To(Succeed())
		}
		if o.service != nil {
			Expect(o.service.Close()).To(Succeed())
		}
	})
	return o
}

func withToken(t string) func(*session.GatewayConfig, *session.ServiceConfig) {
	return func(_ *session.GatewayConfig, s *session.ServiceConfig) { s.Token = t }
}

// dialogue plays a service by hand from HELLO on; accepted is what becomes of the gateway's end.
func dialogue(change func(*session.GatewayConfig), hello *transports.Frame) (link transports.Link, accepted <-chan error) {
	GinkgoHelper()
	glink, link := inmemory.Pipe()
	cfg := session.GatewayConfig{Welcome: spec.Welcome{Node: "test"}}
	change(&cfg)
	done := make(chan error, 1)
	write(link, hello)
	go func() {
		_, err := session.Accept(context.Background(), glink, cfg) // ends with the link
		done <- err
	}()
	DeferCleanup(link.Close)
	return link, done
}

func jsonFrame(t spec.FrameType, v any) *transports.Frame {
	GinkgoHelper()
	b, err := spec.Canonical(v)
	Expect(err).NotTo(HaveOccurred())
	return transports.NewControl(t, 0, 0, b)
}

// slimHello is HELLO without the manifest, whose digest it names.
func slimHello(manifest []byte) *transports.Frame {
	GinkgoHelper()
	f := helloFrame(func(h *spec.Hello) { h.ManifestDigest = spec.Digest(manifest) })
	defer f.Release()
	return frame(spec.TypeHello, 0, 0, 0, bytes.Clone(f.Meta()), nil)
}

var _ = Describe("Who may register", func() {
	It("proves that it knows a token that is good for its name, and the gateway that it knows it too", func() {
		names := make(chan string, 1)
		o := tryOpen(withToken(token), func(g *session.GatewayConfig, _ *session.ServiceConfig) {
			g.Tokens = func(service string) []string { names <- service; return []string{older, token} }
		})
		Expect(errors.Join(o.refused, o.failed)).To(Succeed())
		Expect(names).To(Receive(Equal("test")))
		status, body := answer(start(o.gateway, "hi", patience))
		Expect(status).To(Equal(200))
		Expect(body).To(Equal("hi"))
	})

	It("may use any of several tokens, so that they can be replaced one service at a time", func() {
		for _, t := range []string{token, older} {
			o := tryOpen(withToken(t), tokens(token, older))
			Expect(errors.Join(o.refused, o.failed)).To(Succeed())
		}
	})

	DescribeTable("is refused", func(service string, good []string) {
		o := tryOpen(withToken(service), tokens(good...))
		Expect(o.refused).To(Satisfy(haveCode(spec.CodeUnauthorized)))
		Expect(o.failed).To(Satisfy(haveCode(spec.CodeUnauthorized)))
		Expect(o.failed.Error()).NotTo(ContainSubstring(token))
	},
		Entry("with a wrong token", older, []string{token}),
		Entry("without a token", "", []string{token}),
		Entry("when none is good for its name", token, nil),
		Entry("without a token, though an empty one is configured by mistake", "", []string{}),
	)

	It("is refused with a proof that was given to another challenge, or that is the gateway's own", func() {
		ask := func(g *session.GatewayConfig) { g.Tokens = func(string) []string { return []string{token} } }
		var earlier string
		for _, give := range []func(challenge string, hello []byte) string{
			func(challenge string, hello []byte) string {
				earlier = spec.ServiceProof(token, challenge, hello)
				return earlier
			},
			func(string, []byte) string { return earlier },
			func(challenge string, hello []byte) string { return spec.GatewayProof(token, challenge, hello) },
			func(challenge string, _ []byte) string {
				return spec.ServiceProof(token, challenge, []byte("another HELLO"))
			},
		} {
			first := earlier == ""
			f := helloFrame(func(*spec.Hello) {})
			said := bytes.Clone(f.Meta())
			link, accepted := dialogue(ask, f)
			asked := read(link)
			Expect(asked.Header().Type).To(Equal(spec.TypeChallenge))
			var c spec.Challenge
			Expect(spec.DecodeJSON(asked.Meta(), &c)).To(Succeed())
			write(link, jsonFrame(spec.TypeProof, spec.Proof{Proof: give(c.Challenge, said)}))
			if first {
				Expect(read(link).Header().Type).To(Equal(spec.TypeWelcome))
				Eventually(accepted).WithTimeout(patience).Should(Receive(Succeed()))
				continue
			}
			expectCancel(link, 0, spec.CodeUnauthorized)
			Eventually(accepted).WithTimeout(patience).Should(Receive(Satisfy(haveCode(spec.CodeUnauthorized))))
		}
	})

	DescribeTable("ends the opening with PROTOCOL when it answers CHALLENGE with", func(f func() *transports.Frame) {
		link, accepted := dialogue(func(g *session.GatewayConfig) { g.Tokens = func(string) []string { return []string{token} } },
			helloFrame(func(*spec.Hello) {}))
		Expect(read(link).Header().Type).To(Equal(spec.TypeChallenge))
		write(link, f())
		expectCancel(link, 0, spec.CodeProtocol)
		Eventually(accepted).WithTimeout(patience).Should(Receive(HaveOccurred()))
	},
		Entry("something else", func() *transports.Frame { return transports.NewControl(spec.TypePing, 0, 1, nil) }),
		Entry("no JSON", func() *transports.Frame { return transports.NewControl(spec.TypeProof, 0, 0, []byte("{")) }),
	)

	It("does not take a gateway for its own that asks for no token, or cannot prove that it knows it", func() {
		o := tryOpen(withToken(token))
		Expect(o.failed).To(MatchError(ContainSubstring("does not prove that it knows the token")))
		// One that only pretends: it asks, takes whatever comes, and gives the proof back.
		link, slink := inmemory.Pipe()
		failed := make(chan error, 1)
		go func() {
			_, err := session.Open(context.Background(), slink, session.ServiceConfig{
				Hello: plainHello(), Manifest: []byte("m"), Serve: echo, Token: token,
			})
			failed <- err
		}()
		read(link).Release()
		write(link, jsonFrame(spec.TypeChallenge, spec.Challenge{Challenge: strings.Repeat("0", 32)}))
		proof := read(link)
		var p spec.Proof
		Expect(spec.DecodeJSON(proof.Meta(), &p)).To(Succeed())
		w := plainWelcome()
		w.Proof = p.Proof
		write(link, jsonFrame(spec.TypeWelcome, w))
		Eventually(failed).WithTimeout(patience).Should(Receive(MatchError(ContainSubstring("does not prove"))))
		expectCancel(link, 0, spec.CodeUnauthorized)
	})

	It("is asked in before anything is done for it, and may be sent away", func() {
		var admitted atomic.Bool
		o := tryOpen(func(g *session.GatewayConfig, _ *session.ServiceConfig) {
			g.Enter = func(*spec.Hello) error { return &session.Error{Code: spec.CodeRefused, Reason: "later"} }
			g.Admit = func(*spec.Hello, []byte) error { admitted.Store(true); return nil }
		})
		Expect(o.failed).To(Satisfy(haveCode(spec.CodeRefused)))
		Expect(admitted.Load()).To(BeFalse())
	})
})

var _ = Describe("The nonce", func() {
	It("fences what belongs to an older session: WELCOME for another one ends the opening", func() {
		link, slink := inmemory.Pipe()
		w := plainWelcome()
		w.Nonce = "fedcba9876543210"
		write(link, jsonFrame(spec.TypeWelcome, w))
		_, err := session.Open(context.Background(), slink, session.ServiceConfig{Hello: plainHello(), Manifest: []byte("m"), Serve: echo})
		Expect(err).To(MatchError(ContainSubstring("WELCOME is for the session fedcba9876543210")))
	})

	It("and the secret are new for every session", func() {
		seen := map[string]bool{}
		for range 20 {
			o := tryOpen()
			Expect(errors.Join(o.refused, o.failed)).To(Succeed())
			Expect(seen).NotTo(HaveKey(o.gateway.Hello().Nonce))
			Expect(seen).NotTo(HaveKey(o.gateway.Secret()))
			Expect(o.service.Welcome().Secret).To(Equal(o.gateway.Secret()))
			seen[o.gateway.Hello().Nonce], seen[o.gateway.Secret()] = true, true
		}
	})
})

var _ = Describe("A manifest", func() {
	It("is not sent to a gateway that knows it", func() {
		var asked string
		o := tryOpen(func(g *session.GatewayConfig, s *session.ServiceConfig) {
			s.Slim = true
			g.Known = func(digest string) bool { asked = digest; return true }
			g.Admit = func(_ *spec.Hello, manifest []byte) error { Expect(manifest).To(BeNil()); return nil }
		})
		Expect(errors.Join(o.refused, o.failed)).To(Succeed())
		Expect(asked).To(Equal(spec.Digest([]byte("manifest"))))
		Expect(o.gateway.Manifest()).To(BeNil())
		status, _ := answer(start(o.gateway, "x", patience))
		Expect(status).To(Equal(200))
	})

	DescribeTable("is asked for by a gateway that lacks it", func(size int, slim bool) {
		manifest := bytes.Repeat([]byte("0123456789abcde\n"), size/16+1)[:size]
		var admitted []byte
		o := tryOpen(func(g *session.GatewayConfig, s *session.ServiceConfig) {
			s.Slim, s.Manifest = slim, manifest
			g.Admit = func(_ *spec.Hello, manifest []byte) error { admitted = manifest; return nil }
		})
		Expect(errors.Join(o.refused, o.failed)).To(Succeed())
		Expect(bytes.Equal(admitted, manifest)).To(BeTrue())
		status, _ := answer(start(o.gateway, "x", patience))
		Expect(status).To(Equal(200))
	},
		Entry("though it was left out", 100, true),
		Entry("of no bytes", 0, true),
		Entry("of one chunk exactly", spec.MaxChunk, true),
		Entry("of a chunk and a byte", spec.MaxChunk+1, true),
		Entry("that does not fit HELLO", 300_000, false),
		Entry("of the largest size", spec.MaxManifest, false),
	)

	It("that the gateway does not take once it has come ends the session with the reason", func() {
		o := tryOpen(func(g *session.GatewayConfig, s *session.ServiceConfig) {
			s.Slim = true
			g.Admit = func(*spec.Hello, []byte) error { return &session.Error{Code: spec.CodeConflict, Reason: "taken"} }
		})
		Expect(o.refused).To(Satisfy(haveCode(spec.CodeConflict)))
		Expect(o.failed).NotTo(HaveOccurred(), "WELCOME came before")
		Eventually(o.service.Done()).WithTimeout(patience).Should(BeClosed())
		Expect(o.service.Err()).To(Satisfy(haveCode(spec.CodeConflict)))
	})

	It("may have other frames between its chunks", func() {
		manifest := make([]byte, 2*spec.MaxChunk)
		link, accepted := dialogue(func(*session.GatewayConfig) {}, slimHello(manifest))
		Expect(read(link).Header().Type).To(Equal(spec.TypeWelcome))
		Expect(read(link).Header().Type).To(Equal(spec.TypeResync))
		write(link, jsonFrame(spec.TypeHeartbeat, spec.Heartbeat{Status: spec.StatusReady, Lease: hello().Lease + 7}),
			frame(spec.TypeEndpoints, 0, 0, 0, nil, manifest[:spec.MaxChunk]),
			transports.NewControl(spec.TypeCredit, 0, 77, nil), // its lease has grown
			transports.NewControl(spec.TypePing, 0, 42, nil), frame(0x41, 0, 0, 0, nil, []byte("future")),
			frame(spec.TypeEndpoints, spec.FlagEnd, 0, 1, nil, manifest[spec.MaxChunk:]))
		pong := read(link)
		Expect(pong.Header().Type).To(Equal(spec.TypePong))
		Expect(pong.Header().Aux).To(BeEquivalentTo(42))
		credit := readAny(link)
		Expect(credit.Header().Type).To(Equal(spec.TypeCredit), "HEARTBEAT has raised the lease")
		Expect(credit.Header().Aux).To(BeEquivalentTo(7 * spec.StreamWindow))
		Eventually(accepted).WithTimeout(patience).Should(Receive(Succeed()))
	})

	DescribeTable("ends the session when it comes", func(why string, frames func(write func(*transports.Frame))) {
		link, accepted := dialogue(func(*session.GatewayConfig) {}, slimHello([]byte("manifest")))
		Expect(read(link).Header().Type).To(Equal(spec.TypeWelcome))
		Expect(read(link).Header().Type).To(Equal(spec.TypeResync))
		var wg sync.WaitGroup
		wg.Go(func() {
			frames(func(f *transports.Frame) { _ = link.WriteFrames([]*transports.Frame{f}) }) // fails once the session has ended
		})
		expectCancel(link, 0, spec.CodeProtocol)
		Eventually(accepted).WithTimeout(patience).Should(Receive(MatchError(ContainSubstring(why))))
		wg.Wait()
	},
		Entry("with another digest", "the bytes that came are", func(write func(*transports.Frame)) {
			write(frame(spec.TypeEndpoints, spec.FlagEnd, 0, 0, nil, []byte("another")))
		}),
		Entry("with a gap", "sequence 1, expected 0", func(write func(*transports.Frame)) {
			write(frame(spec.TypeEndpoints, spec.FlagEnd, 0, 1, nil, []byte("manifest")))
		}),
		Entry("after a response", "RESPONSE before the manifest", func(write func(*transports.Frame)) {
			write(frame(spec.TypeResponse, spec.FlagEnd, 2, 0, responseMeta(200), nil))
		}),
		Entry("with more than a manifest may have", "the limit is", func(write func(*transports.Frame)) {
			for i := range spec.MaxManifest/spec.MaxChunk + 1 {
				write(frame(spec.TypeEndpoints, 0, 0, uint32(i), nil, make([]byte, spec.MaxChunk)))
			}
		}),
	)

	It("is sent once, and only under the name that HELLO gave it", func() {
		for _, digests := range [][]string{{spec.Digest([]byte("other"))}, {spec.Digest([]byte("m")), spec.Digest([]byte("m"))}} {
			s, link := rawGateway(echo)
			for _, d := range digests {
				write(link, jsonFrame(spec.TypeResync, spec.Resync{ManifestDigest: d}))
			}
			Eventually(s.Done()).WithTimeout(patience).Should(BeClosed())
			Expect(s.Err()).To(MatchError(ContainSubstring("RESYNC")))
		}
	})

	It("that appends endpoints waits until the one that was left out was asked for, or is not needed", func() {
		o := tryOpen(func(g *session.GatewayConfig, s *session.ServiceConfig) {
			s.Slim = true
			g.Known = func(string) bool { return true }
			g.Append = func(uint32, []byte) error { return nil }
		})
		Expect(errors.Join(o.refused, o.failed)).To(Succeed())
		_, err := o.service.Append([]byte("more"))
		Expect(err).To(MatchError(ContainSubstring("once the gateway has asked")))
		_, _ = answer(start(o.gateway, "x", patience))
		Expect(o.service.Append([]byte("more"))).To(BeEquivalentTo(1))
	})

	It("that appends endpoints begins a generation, chunks of two never mix, and the gateway may refuse it", func() {
		type appended struct {
			generation uint32
			manifest   string
		}
		got := make(chan appended, 16)
		o := tryOpen(func(g *session.GatewayConfig, _ *session.ServiceConfig) {
			g.Append = func(generation uint32, manifest []byte) error {
				if string(manifest) == "bad" {
					return errors.New("an endpoint has changed")
				}
				got <- appended{generation, string(manifest[:1])}
				return nil
			}
		})
		Expect(errors.Join(o.refused, o.failed)).To(Succeed())
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() { o.service.Append(bytes.Repeat([]byte("m"), 3*spec.MaxChunk)) })
		}
		wg.Wait()
		for i := range 8 {
			Eventually(got).WithTimeout(patience).Should(Receive(Equal(appended{uint32(i + 1), "m"})))
		}
		status, _ := answer(start(o.gateway, "x", patience))
		Expect(status).To(Equal(200))
		Expect(o.service.Append([]byte("bad"))).To(BeEquivalentTo(9))
		Eventually(o.service.Done()).WithTimeout(patience).Should(BeClosed())
		Expect(o.service.Err()).To(MatchError(ContainSubstring("an endpoint has changed")))
	})
})

var _ = Describe("A service that does not get WELCOME", func() {
	DescribeTable("ends the opening", func(first func() *transports.Frame, why string) {
		link, slink := inmemory.Pipe()
		write(link, first())
		_, err := session.Open(context.Background(), slink, session.ServiceConfig{Hello: plainHello(), Manifest: []byte("m"), Serve: echo})
		Expect(err).To(MatchError(ContainSubstring(why)))
	},
		Entry("after a type that may be skipped only later", func() *transports.Frame { return frame(0x41, 0, 0, 0, nil, nil) }, "expected WELCOME"),
		Entry("after an unknown type", func() *transports.Frame { return frame(0x30, 0, 0, 0, nil, nil) }, "unknown type"),
		Entry("after CHALLENGE that is none", func() *transports.Frame {
			return jsonFrame(spec.TypeChallenge, spec.Challenge{Challenge: "short"})
		}, "CHALLENGE"),
		Entry("after a refusal", func() *transports.Frame {
			return transports.NewControl(spec.TypeCancel, 0, uint32(spec.CodeConflict), []byte("taken"))
		}, "taken"),
		Entry("after WELCOME with a frame limit that holds no small call", func() *transports.Frame {
			w := plainWelcome()
			w.MaxFrame = 1000
			return jsonFrame(spec.TypeWelcome, w)
		}, "maxFrame"),
	)
})
