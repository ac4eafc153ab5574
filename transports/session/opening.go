package session

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/stella-ops/router/spec"
	"github.com/stella-ops/router/transports"
)

// PROTOCOL.md, section "Opening": HELLO, CHALLENGE and PROOF where the gateway asks for a token, WELCOME, and RESYNC and
// ENDPOINTS where the gateway lacks the manifest.

// opening runs open, which waits for the peer step by step: within gives it the time for the next one, and at first it has
// [spec.HelloTimeout]. When that or ctx ends first, the link is closed, which ends whatever open waits for.
func opening(ctx context.Context, link transports.Link, open func(within func(time.Duration)) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	step := time.AfterFunc(spec.HelloTimeout, func() { cancel(errSilent) })
	defer step.Stop()
	stop := context.AfterFunc(ctx, func() { _ = link.Close() })
	err := open(func(d time.Duration) { step.Reset(d) })
	if !stop() && ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	if err == nil {
		return nil
	}
	var refused *Error
	var malformed *spec.FrameError
	switch {
	case errors.As(err, &refused) && !refused.Remote:
		_ = put(link, transports.NewControl(spec.TypeCancel, 0, uint32(refused.Code), reason(refused.Reason))) // the peer may be gone
	case errors.As(err, &malformed):
		_ = put(link, transports.NewControl(spec.TypeCancel, 0, uint32(spec.CodeProtocol), reason(malformed.Error()))) // the same
	}
	_ = link.Close()
	return fmt.Errorf("session: opening: %w", err)
}

var errSilent = fmt.Errorf("the peer did not say what was expected of it in time: %w", os.ErrDeadlineExceeded)

func put(link transports.Link, f *transports.Frame) error {
	return link.WriteFrames([]*transports.Frame{f})
}

// putJSON writes a frame of the session whose metadata is JSON.
func putJSON(link transports.Link, t spec.FrameType, v any) error {
	b, err := spec.Canonical(v)
	if err != nil {
		return err
	}
	return put(link, transports.NewControl(t, 0, 0, b))
}

// random is n random bytes in hex.
func random(n int) string {
	b := make([]byte, n)
	_, _ = rand.Read(b) // never fails
	return hex.EncodeToString(b)
}

// open takes HELLO, and answers it.
func (g *Gateway) open(within func(time.Duration)) error {
	f, err := g.link.ReadFrame()
	if err != nil {
		return err
	}
	h := f.Header()
	hello, manifest := bytes.Clone(f.Meta()), bytes.Clone(f.Body())
	f.Release()
	if h.Type != spec.TypeHello {
		return protocolError("the first frame is %s, expected HELLO", h.Type)
	}
	if err := g.learn(hello); err != nil {
		return err
	}
	inline := h.Flags&spec.FlagInlineBody != 0
	if inline {
		if err := g.take(manifest); err != nil {
			return err
		}
	}
	proof, err := g.challenge(hello, within)
	if err != nil {
		return err
	}
	if g.cfg.Enter != nil {
		within(spec.HelloTimeout)
		if err := refusal(g.cfg.Enter(&g.hello)); err != nil {
			return err
		}
	}
	known := !inline && g.cfg.Known != nil && g.cfg.Known(g.hello.ManifestDigest)
	if inline || known {
		if err := g.admit(); err != nil {
			return err
		}
	}
	w := &g.cfg.Welcome
	w.Nonce, w.Secret, w.Proof = g.hello.Nonce, random(16), proof
	w.SessionWindow = sessionWindow(g.hello.Lease, w.StreamWindow, g.cfg.Limits.memory())
	if g.agree(g.hello.Names(spec.FeatureTrailers)); g.trailers {
		w.Features = []string{spec.FeatureTrailers}
	}
	if err := w.Check(); err != nil {
		return fmt.Errorf("configuration: %w", err)
	}
	g.link.SetMaxPayload(g.cfg.Welcome.MaxFrame)
	if err := putJSON(g.link, spec.TypeWelcome, g.cfg.Welcome); err != nil {
		return err
	}
	if inline || known {
		return nil
	}
	within(spec.ManifestTimeout)
	if err := g.resync(); err != nil {
		return err
	}
	return g.admit()
}

// learn checks HELLO's form and the features that it asks for.
func (g *Gateway) learn(hello []byte) error {
	if err := spec.DecodeJSON(hello, &g.hello); err != nil {
		return protocolError("%s", err)
	}
	if err := g.hello.Check(spec.FeatureOverlay, spec.FeatureTrailers); err != nil {
		code := spec.CodeProtocol
		if errors.Is(err, spec.ErrFeature) {
			code = spec.CodeUnsupported
		}
		return &Error{Code: code, Reason: err.Error()}
	}
	g.lease.Store(int64(g.hello.Lease))
	g.allowance.credit.Store(g.hello.SessionWindow) // to which the service may add while its manifest is on its way
	return nil
}

// take keeps the manifest, whose digest must be the one that HELLO names.
func (g *Gateway) take(manifest []byte) error {
	if d := spec.Digest(manifest); d != g.hello.ManifestDigest {
		return protocolError("HELLO names manifest %.80q, the bytes that came are %s", g.hello.ManifestDigest, d)
	}
	g.manifest = manifest
	return nil
}

func (g *Gateway) admit() error {
	if g.cfg.Admit == nil {
		return nil
	}
	return refusal(g.cfg.Admit(&g.hello, g.manifest))
}

// refusal gives an error of whoever decides a code, if it has none.
func refusal(err error) error {
	if err == nil {
		return nil
	}
	if refused, ok := errors.AsType[*Error](err); ok {
		return refused
	}
	return &Error{Code: spec.CodeUnauthorized, Reason: err.Error()}
}

// challenge has the service prove that it knows a token, where the gateway asks for one. It returns the gateway's own
// proof, that it knows the same one.
func (g *Gateway) challenge(hello []byte, within func(time.Duration)) (proof string, err error) {
	if g.cfg.Tokens == nil {
		return "", nil
	}
	c := spec.Challenge{Challenge: random(16)}
	within(spec.HelloTimeout)
	if err := putJSON(g.link, spec.TypeChallenge, c); err != nil {
		return "", err
	}
	f, err := g.link.ReadFrame()
	if err != nil {
		return "", err
	}
	defer f.Release()
	if t := f.Header().Type; t != spec.TypeProof {
		return "", protocolError("the answer to CHALLENGE is %s, expected PROOF", t)
	}
	var p spec.Proof
	if err := spec.DecodeJSON(f.Meta(), &p); err != nil {
		return "", protocolError("%s", err)
	}
	for _, token := range g.cfg.Tokens(g.hello.Instance.Service) {
		if token != "" && spec.Proves(spec.ServiceProof(token, c.Challenge, hello), p.Proof) {
			service, gateway := spec.FrameKeys(token, c.Challenge, hello)
			sign(g.link, gateway, service)
			return spec.GatewayProof(token, c.Challenge, hello), nil
		}
	}
	why := "the service's token is none that this gateway takes from " + g.hello.Instance.Service
	if p.Proof == "" {
		why = "this gateway asks for a token: set STELLA_TOKEN"
	}
	return "", &Error{Code: spec.CodeUnauthorized, Reason: why}
}

// resync asks for the manifest, and waits for it. The service is a session's end already, and may say other things
// meanwhile.
func (g *Gateway) resync() error {
	if err := putJSON(g.link, spec.TypeResync, spec.Resync{ManifestDigest: g.hello.ManifestDigest}); err != nil {
		return err
	}
	var manifest assembly
	for {
		f, err := g.link.ReadFrame()
		if err != nil {
			return err
		}
		var done bool
		if err = g.budget.spend(f.Header(), g.w); err == nil {
			done, err = g.whileResync(f, &manifest)
		}
		f.Release()
		if err != nil {
			return err
		}
		if done {
			return g.take(manifest.bytes)
		}
	}
}

func (g *Gateway) whileResync(f *transports.Frame, manifest *assembly) (done bool, err error) {
	switch h := f.Header(); {
	case h.Type.Ignorable(), h.Type == spec.TypePong:
		return false, nil
	case h.Type == spec.TypeEndpoints:
		return manifest.add(f)
	case h.Type == spec.TypeHeartbeat:
		hb, err := heartbeat(f)
		g.lease.Store(int64(hb.Lease))
		return false, err
	case h.Type == spec.TypeCredit && h.Stream == 0:
		return false, g.allowance.give(int64(h.Aux))
	case h.Type == spec.TypePing:
		return false, put(g.link, transports.NewControl(spec.TypePong, 0, h.Aux, nil))
	case h.Type == spec.TypeCancel && h.Stream == 0:
		return false, &Error{Code: spec.Code(h.Aux), Reason: string(f.Meta()), Remote: true}
	case h.Type == spec.TypeGoAway:
		return false, &Error{Code: spec.Code(h.Aux), Reason: "it drains before it has begun", Remote: true}
	default:
		return false, protocolError("%s before the manifest, expected ENDPOINTS", h.Type)
	}
}

// heartbeat reads and checks HEARTBEAT.
func heartbeat(f *transports.Frame) (hb spec.Heartbeat, err error) {
	if err := spec.DecodeJSON(f.Meta(), &hb); err != nil {
		return hb, protocolError("%s", err)
	}
	if err := hb.Check(); err != nil {
		return hb, protocolError("%s", err)
	}
	return hb, nil
}

// open says HELLO, and waits for WELCOME.
func (s *Service) open(link transports.Link, within func(time.Duration)) error {
	hello, err := spec.Canonical(s.cfg.Hello)
	if err != nil {
		return err
	}
	if len(hello) > spec.MaxMetadata {
		return fmt.Errorf("HELLO takes %d bytes, the limit is %d", len(hello), spec.MaxMetadata)
	}
	if err := put(link, s.helloFrame(hello)); err != nil {
		return err
	}
	f, err := link.ReadFrame()
	if err != nil {
		return err
	}
	challenge := ""
	if f.Header().Type == spec.TypeChallenge {
		challenge, err = s.prove(link, f, hello)
		f.Release()
		if err != nil {
			return err
		}
		within(spec.HelloTimeout)
		if f, err = link.ReadFrame(); err != nil {
			return err
		}
	}
	defer f.Release()
	if err := s.welcomed(f); err != nil {
		return err
	}
	if err := s.trusts(link, challenge, hello); err != nil {
		return err
	}
	link.SetMaxPayload(s.welcome.MaxFrame)
	return nil
}

// helloFrame is HELLO, with the manifest unless the gateway is believed to know that or it does not fit.
func (s *Service) helloFrame(hello []byte) *transports.Frame {
	flags, manifest := spec.FlagInlineBody, s.cfg.Manifest
	if s.cfg.Slim || len(hello)+len(manifest) > spec.MaxFrameHello {
		flags, manifest, s.slim = 0, nil, true
	}
	f := transports.NewFrame(len(hello) + len(manifest))
	f.SetBytes(append(append(f.Bytes(), hello...), manifest...))
	f.Seal(spec.TypeHello, flags, 0, 0, len(hello))
	return f
}

// prove answers CHALLENGE.
func (s *Service) prove(link transports.Link, f *transports.Frame, hello []byte) (challenge string, err error) {
	var c spec.Challenge
	if err := spec.DecodeJSON(f.Meta(), &c); err != nil {
		return "", protocolError("%s", err)
	}
	if err := c.Check(); err != nil {
		return "", protocolError("%s", err)
	}
	var p spec.Proof
	if s.cfg.Token != "" {
		p.Proof = spec.ServiceProof(s.cfg.Token, c.Challenge, hello)
	}
	if err := putJSON(link, spec.TypeProof, p); err != nil {
		return "", err
	}
	if s.cfg.Token != "" {
		service, gateway := spec.FrameKeys(s.cfg.Token, c.Challenge, hello)
		sign(link, service, gateway)
	}
	return c.Challenge, nil
}

func (s *Service) welcomed(f *transports.Frame) error {
	switch h := f.Header(); {
	case h.Type == spec.TypeCancel && h.Stream == 0:
		return &Error{Code: spec.Code(h.Aux), Reason: string(f.Meta()), Remote: true}
	case h.Type != spec.TypeWelcome:
		return protocolError("the answer to HELLO is %s, expected WELCOME", h.Type)
	}
	w := &s.welcome
	if err := spec.DecodeJSON(f.Meta(), w); err != nil {
		return protocolError("%s", err)
	}
	if err := w.Check(); err != nil {
		return protocolError("%s", err)
	}
	if w.Nonce != s.cfg.Hello.Nonce {
		return protocolError("WELCOME is for the session %s, this one is %s", w.Nonce, s.cfg.Hello.Nonce)
	}
	return nil
}

// trusts is an error if this end has a token and the gateway does not prove that it knows it. A gateway that has shown a
// certificate, and has not asked, has proven itself by that.
func (s *Service) trusts(link transports.Link, challenge string, hello []byte) error {
	if s.cfg.Token == "" || challenge == "" && len(link.Traits().Names) > 0 {
		return nil
	}
	if challenge == "" || !spec.Proves(spec.GatewayProof(s.cfg.Token, challenge, hello), s.welcome.Proof) {
		return &Error{
			Code: spec.CodeUnauthorized, Reason: "the gateway does not prove that it knows the token: it is configured without, or it is not the gateway",
		}
	}
	return nil
}
