package session_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/stella-ops/router/spec"
	"github.com/stella-ops/router/transports"
	"github.com/stella-ops/router/transports/session"
)

// modelCall is a call as PROTOCOL.md's table for the gateway has it.
type modelCall struct {
	real *session.Call
	id   uint32

	recv       half // the response half
	sendCredit int64
	sequence   uint32 // of what the gateway sends next
	sendEnded  bool   // END or CANCEL sent
	stopped    bool   // the service wants no more of the body
	answered   bool   // RESPONSE came
	failed     bool   // the call ended before both halves did
	trailed    bool   // the answer has ended with TRAILERS that can be read
	headTaken  bool
	closed     bool
}

// ended: nothing is known of the call any more.
func (c *modelCall) ended() bool { return c.recv.ended && c.sendEnded }

type gatewaySystem struct {
	g        *session.Gateway
	p        *peer
	calls    []*modelCall
	draining bool
}

func newGatewaySystem(near, far transports.Link) (system, error) {
	manifest := []byte("m")
	h := plainHello()
	h.Lease, h.StreamWindow, h.SessionWindow, h.ManifestDigest = 1000, modelWindow, 1<<30, spec.Digest(manifest)
	trailers(&h)
	meta, err := spec.Canonical(h)
	if err != nil {
		return nil, err
	}
	if err := far.WriteFrames([]*transports.Frame{frame(spec.TypeHello, spec.FlagInlineBody, 0, 0, meta, manifest)}); err != nil {
		return nil, err
	}
	g, err := session.Accept(context.Background(), near, session.GatewayConfig{
		Welcome: spec.Welcome{StreamWindow: modelWindow}, Limits: session.Limits{Memory: fuzzMemory},
	})
	if err != nil {
		return nil, err
	}
	if _, err := far.ReadFrame(); err != nil { // WELCOME
		return nil, err
	}
	return &gatewaySystem{g: g, p: newPeer(far)}, nil
}

func (s *gatewaySystem) peer() *peer { return s.p }
func (s *gatewaySystem) dead() bool  { return s.g.Err() != nil }

func (s *gatewaySystem) close() {
	for _, c := range s.calls {
		if !c.closed {
			c.real.Close()
		}
	}
	_ = s.g.Close(spec.CodeShutdown, "")
	_ = s.p.link.Close()
	<-s.p.done
}

func (s *gatewaySystem) settled() error {
	open := 0
	for _, c := range s.calls {
		if !c.ended() {
			open++
		}
	}
	if got := s.g.InFlight(); got != open {
		return fmt.Errorf("%d slots are taken, expected %d", got, open)
	}
	return nil
}

// gone ends the session when the service drains and no call is open any more.
func (s *gatewaySystem) gone(o *outcome) {
	for _, c := range s.calls {
		if !c.ended() {
			return
		}
	}
	o.dead = o.dead || s.draining
}

func (s *gatewaySystem) play(st step) (o outcome, err error) {
	if st.what == "start" {
		return s.start(st)
	}
	var c *modelCall
	if st.call < len(s.calls) {
		c = s.calls[st.call]
	}
	switch st.what {
	case "ping":
		s.p.say(transports.NewControl(spec.TypePing, 0, uint32(st.n), nil))
		o.send(spec.TypePong, 0, 0, uint32(st.n))
		return o, nil
	case "skipped":
		s.p.say(frame(0x40+spec.FrameType(st.call), 0xff, uint32(st.n), 7, nil, []byte("future")))
		return o, nil
	case "illegal":
		return s.illegal(st)
	case "goaway":
		if st.n > 0 { // seldom: it ends most sequences early
			return o, nil
		}
		s.p.say(transports.NewControl(spec.TypeGoAway, 0, uint32(spec.CodeShutdown), nil))
		s.draining = true
		s.gone(&o)
		return o, nil
	case "response", "data", "trailers", "cancel", "credit":
		err = s.fromService(st, c, &o)
	default:
		if c != nil && !c.closed {
			err = s.fromCaller(st, c, &o)
		}
	}
	s.gone(&o)
	return o, err
}

func (s *gatewaySystem) start(st step) (o outcome, err error) {
	if len(s.calls) >= 6 {
		return o, nil
	}
	f, meta := request("", -1)
	flags := spec.Flags(0)
	if st.end {
		flags = spec.FlagEnd
	}
	begun, err := s.g.Start(f, meta, flags, time.Hour)
	if s.draining {
		if !errors.Is(err, session.ErrRefused) {
			return o, fmt.Errorf("a call begun while the service drains: %w", err)
		}
		return o, nil
	}
	if err != nil {
		return o, err
	}
	c := &modelCall{real: begun, id: uint32(2 * (len(s.calls) + 1)), recv: half{credit: modelWindow}, sendCredit: modelWindow, sendEnded: st.end}
	s.calls = append(s.calls, c)
	o.send(spec.TypeRequest, flags, c.id, 0)
	return o, nil
}

// illegal is a frame that a service must never send.
func (s *gatewaySystem) illegal(st step) (o outcome, err error) {
	if !st.bad {
		return o, nil
	}
	s.p.say([]*transports.Frame{
		frame(spec.TypeRequest, spec.FlagEnd, 2, 0, requestMeta(), nil),
		frame(spec.TypeHello, 0, 0, 0, []byte("{}"), nil),
		frame(spec.TypeRequestStreamData, 0, 2, 0, nil, []byte("x")),
		frame(0x20, 0, 0, 0, nil, nil),
		frame(spec.TypeTrailers, 0, 2, 0, digestMeta, nil),
		frame(spec.TypePong, 0x80, 0, 0, nil, nil),
	}[st.call])
	o.broken()
	return o, nil
}

// fromService is a frame of a call. It may be of one that was never begun.
func (s *gatewaySystem) fromService(st step, c *modelCall, o *outcome) error {
	id := uint32(1000)
	if c != nil {
		id = c.id
	}
	if c == nil && !st.bad {
		return nil
	}
	flags := spec.Flags(0)
	if st.end {
		flags = spec.FlagEnd
	}
	switch st.what {
	case "response":
		s.p.say(frame(spec.TypeResponse, flags, id, 0, responseMeta(200), nil))
	case "data":
		sequence := uint32(0)
		if c != nil {
			sequence = c.recv.sequence
		}
		if st.bad {
			sequence += 7
		}
		s.p.say(frame(spec.TypeResponseStreamData, flags, id, sequence, nil, make([]byte, st.n)))
	case "trailers":
		s.p.say(trailersStep(st, c != nil, id, func() uint32 { return c.recv.sequence }))
	case "cancel":
		s.p.say(transports.NewControl(spec.TypeCancel, id, uint32(spec.CodeInternal), nil))
	case "credit":
		n := uint32(st.n + 1)
		if st.bad {
			n = math.MaxInt32
		}
		s.p.say(transports.NewControl(spec.TypeCredit, id, n, nil))
	}
	switch {
	case c == nil:
		o.broken()
		return nil
	case c.ended(): // it crossed the end
		return nil
	}
	switch st.what {
	case "response":
		c.onResponse(st, o)
	case "data":
		c.onData(st, o)
	case "trailers":
		c.onTrailers(st, o)
	case "cancel":
		if !c.sendEnded {
			o.cancel(c.id, spec.CodeNoError)
		}
		if c.recv.ended && !c.failed {
			c.stopped = true
		} else {
			c.failed = true
		}
		c.recv.ended, c.sendEnded = true, true
	case "credit":
		n := int64(st.n + 1)
		if st.bad {
			n = math.MaxInt32
		}
		if c.sendCredit += n; c.sendCredit > math.MaxInt32 {
			o.broken()
		}
	}
	return nil
}

func (c *modelCall) onResponse(st step, o *outcome) {
	switch {
	case c.failed:
		c.recv.ended = c.recv.ended || st.end
	case c.answered:
		o.broken()
	default:
		c.answered = true
		c.recv.ended = st.end
	}
}

func (c *modelCall) onData(st step, o *outcome) {
	switch {
	case c.failed:
		c.recv.ended = c.recv.ended || st.end
		return
	case !c.answered:
		o.broken()
		return
	case c.recv.ended: // nothing follows a final frame; what does is ignored
		return
	case st.bad:
		o.broken()
		return
	}
	c.recv.sequence++
	if c.recv.credit -= int64(st.n); c.recv.credit < 0 {
		o.cancel(c.id, spec.CodeFlow)
		c.failed, c.sendEnded = true, true
		c.recv.held = 0
	} else {
		c.recv.held += int64(st.n)
	}
	c.recv.ended = st.end
}

// onTrailers: the answer ends with them, and is not whole where they cannot be read.
func (c *modelCall) onTrailers(st step, o *outcome) {
	switch {
	case c.failed:
		c.recv.ended = true
		return
	case !c.answered:
		o.broken()
		return
	case c.recv.ended:
		return
	case st.bad:
		o.broken()
		return
	}
	c.recv.sequence++
	c.recv.ended = true
	if c.trailed = !malformedStep(st); c.trailed {
		return
	}
	if !c.sendEnded {
		o.cancel(c.id, spec.CodeProtocol)
	}
	c.failed, c.sendEnded = true, true
}

// fromCaller is what whoever made the call does.
func (s *gatewaySystem) fromCaller(st step, c *modelCall, o *outcome) error {
	switch st.what {
	case "send":
		return c.send(st, o)
	case "trail":
		return c.trail(o)
	case "cancelled":
		c.cancelled(spec.CodeDeadline, o)
		c.real.Cancel(spec.CodeDeadline)
	case "head":
		if c.headTaken || !c.answered && !c.failed {
			return nil
		}
		c.headTaken = true
		f, err := c.real.Head(context.Background())
		if err == nil {
			f.Release()
		}
		if (err == nil) != c.answered {
			return fmt.Errorf("the head of call %d is %w, expected one: %v", c.id, err, c.answered)
		}
	case "read":
		if !c.headTaken || !c.answered || !c.real.Ready() {
			return nil
		}
		f, err := c.real.Next(context.Background(), time.Hour)
		if err != nil {
			if c.recv.held > 0 {
				return fmt.Errorf("call %d has %d bytes to read, and says %w", c.id, c.recv.held, err)
			}
			if got := len(c.real.Trailers()) > 0; got != c.trailed {
				return fmt.Errorf("call %d has trailers: %v, expected %v", c.id, got, c.trailed)
			}
			return nil
		}
		n := len(f.Body())
		f.Release()
		c.real.Consumed(n)
		if int64(n) > c.recv.held {
			return fmt.Errorf("call %d gave %d bytes, of %d that it had", c.id, n, c.recv.held)
		}
		if grant := c.recv.consume(int64(n), c.recv.ended || c.failed); grant > 0 {
			o.send(spec.TypeCredit, 0, c.id, uint32(grant))
		}
	case "close":
		c.closed = true
		c.cancelled(spec.CodeClientGone, o)
		c.real.Close()
	}
	return nil
}

// cancelled is what CANCEL makes of a call.
func (c *modelCall) cancelled(code spec.Code, o *outcome) {
	if c.failed || c.ended() {
		return
	}
	o.cancel(c.id, code)
	c.failed, c.sendEnded = true, true
	c.recv.held = 0
}

func (c *modelCall) send(st step, o *outcome) error {
	if int64(st.n) > c.sendCredit || st.n == 0 && !st.end {
		return nil // it would wait, or say nothing
	}
	may := !c.sendEnded && !c.failed && !c.stopped
	acquired := 0
	if st.n > 0 {
		var err error
		acquired, err = c.real.Acquire(st.n)
		if (err == nil) != may {
			return fmt.Errorf("credit for call %d: %w, expected some: %v", c.id, err, may)
		}
		if !may {
			return nil
		}
		if acquired != st.n {
			return fmt.Errorf("call %d got credit for %d bytes, of %d", c.id, acquired, st.n)
		}
	}
	f := transports.NewFrame(acquired)
	f.SetBytes(f.Bytes()[:spec.HeaderSize+acquired])
	err := c.real.Send(f, acquired, st.end)
	if (err == nil) != may {
		return fmt.Errorf("sending on call %d: %w, expected it to be possible: %v", c.id, err, may)
	}
	if !may {
		return nil
	}
	flags := spec.Flags(0)
	if st.end {
		flags = spec.FlagEnd
	}
	o.send(spec.TypeRequestStreamData, flags, c.id, c.sequence)
	c.sequence++
	c.sendCredit -= int64(st.n)
	c.sendEnded = st.end
	return nil
}

// trail ends the request with trailers.
func (c *modelCall) trail(o *outcome) error {
	may := !c.sendEnded && !c.failed && !c.stopped
	if err := c.real.EndWith(digest); (err == nil) != may {
		return fmt.Errorf("trailers of call %d: %w, expected them to be possible: %v", c.id, err, may)
	}
	if !may {
		return nil
	}
	o.send(spec.TypeTrailers, spec.FlagEnd, c.id, c.sequence)
	c.sequence++
	c.sendEnded = true
	return nil
}

// TestModelOfTheGateway plays the service.
func TestModelOfTheGateway(t *testing.T) {
	checkModel(t, []string{
		"start", "start", "response", "response", "data", "data", "data", "trailers", "cancel", "credit", "ping", "skipped", "illegal", "goaway",
		"send", "send", "trail", "cancelled", "head", "head", "read", "read", "close",
	}, newGatewaySystem)
}
