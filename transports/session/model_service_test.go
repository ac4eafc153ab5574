package session_test

import (
	"context"
	"fmt"
	"math"
	"testing"

	"github.com/stella-ops/router/spec"
	"github.com/stella-ops/router/transports"
	"github.com/stella-ops/router/transports/session"
)

// modelLease is how many calls the service takes on: few, so that some are refused.
const modelLease = 3

// modelIncoming is a call as PROTOCOL.md's table for the service has it.
type modelIncoming struct {
	real *session.Incoming // nil as long as Serve has not been called
	id   uint32
	do   chan func(*session.Incoming) // what its handler is to do next; closed: return

	recv       half // the request half
	sendCredit int64
	sequence   uint32 // of what the service sends next
	head       bool
	sendEnded  bool // END or CANCEL sent
	cancelled  bool // by the gateway: the handler still runs
	failed     bool // the call ended on this side before both halves did
	trailed    bool // the request has ended with TRAILERS that can be read
	malformed  bool // its handler was never called
	returned   bool
}

// slot: it counts against the lease.
func (c *modelIncoming) slot() bool { return !c.sendEnded }

type serviceSystem struct {
	s      *session.Service
	p      *peer
	calls  []*modelIncoming
	served chan *session.Incoming
	next   uint32
	works  chan chan func(*session.Incoming)
}

func newServiceSystem(near, far transports.Link) (system, error) {
	sys := &serviceSystem{served: make(chan *session.Incoming, 64), next: 2}
	w := plainWelcome()
	w.StreamWindow, w.Features = modelWindow, []string{spec.FeatureTrailers}
	welcome, err := spec.Canonical(w)
	if err != nil {
		return nil, err
	}
	if err := far.WriteFrames([]*transports.Frame{transports.NewControl(spec.TypeWelcome, 0, 0, welcome)}); err != nil {
		return nil, err
	}
	h := plainHello()
	h.Lease, h.StreamWindow = modelLease, modelWindow
	trailers(&h)
	work := make(chan chan func(*session.Incoming), 64)
	sys.s, err = session.Open(context.Background(), near, session.ServiceConfig{
		Hello: h, Manifest: []byte("m"),
		Serve: func(c *session.Incoming) {
			do := make(chan func(*session.Incoming))
			sys.served <- c
			work <- do
			for f := range do {
				f(c)
			}
		},
	})
	if err != nil {
		return nil, err
	}
	sys.works = work
	if _, err := far.ReadFrame(); err != nil { // HELLO
		return nil, err
	}
	sys.p = newPeer(far)
	return sys, nil
}

func (s *serviceSystem) peer() *peer { return s.p }
func (s *serviceSystem) dead() bool  { return s.s.Err() != nil }

func (s *serviceSystem) close() {
	for _, c := range s.calls {
		if c.do != nil && !c.returned {
			close(c.do)
		}
	}
	_ = s.s.Close()
	_ = s.p.link.Close()
	<-s.p.done
}

func (s *serviceSystem) settled() error {
	slots, open := 0, 0
	for _, c := range s.calls {
		if c.slot() {
			slots++
		}
		if !c.returned {
			open++
		}
	}
	if got := int(s.s.Slots()); got != slots {
		return fmt.Errorf("%d slots are taken, expected %d", got, slots)
	}
	if got := s.s.InFlight(); got != open {
		return fmt.Errorf("%d calls are served, expected %d", got, open)
	}
	return nil
}

func (s *serviceSystem) play(st step) (o outcome, err error) {
	var c *modelIncoming
	if st.call < len(s.calls) {
		c = s.calls[st.call]
	}
	switch st.what {
	case "request":
		return s.request(st)
	case "ping":
		s.p.say(transports.NewControl(spec.TypePing, 0, uint32(st.n), nil))
		o.send(spec.TypePong, 0, 0, uint32(st.n))
		return o, nil
	case "skipped":
		s.p.say(frame(0x40+spec.FrameType(st.call), 0xff, uint32(st.n), 7, nil, []byte("future")))
		return o, nil
	case "illegal":
		return s.illegal(st)
	case "data", "trailers", "cancel", "credit":
		return o, s.fromGateway(st, c, &o)
	}
	if c == nil || c.returned || c.malformed {
		return o, nil
	}
	return o, s.fromHandler(st, c, &o)
}

// request begins a call, or breaks one of the rules for that.
func (s *serviceSystem) request(st step) (o outcome, err error) {
	flags := spec.Flags(0)
	if st.end {
		flags = spec.FlagEnd
	}
	if st.bad && st.n == 0 {
		s.p.say(frame(spec.TypeRequest, flags, 3, 0, requestMeta(), nil))
		o.broken()
		return o, nil
	}
	if open := s.open(); st.bad && st.n == 1 && open != nil {
		s.p.say(frame(spec.TypeRequest, flags, open.id, 0, requestMeta(), nil))
		o.broken()
		return o, nil
	}
	if len(s.calls) >= 6 {
		return o, nil
	}
	id := s.next
	s.next += 2
	slots := 0
	for _, c := range s.calls {
		if c.slot() {
			slots++
		}
	}
	malformed := st.bad && st.n > 1
	meta := requestMeta()
	if malformed {
		meta = []byte{0xff}
	}
	s.p.say(frame(spec.TypeRequest, flags, id, 0, meta, nil))
	if slots >= modelLease {
		o.cancel(id, spec.CodeRefused)
		return o, nil
	}
	c := &modelIncoming{id: id, recv: half{credit: modelWindow, ended: st.end}, sendCredit: modelWindow, malformed: malformed}
	s.calls = append(s.calls, c)
	if malformed {
		o.cancel(id, spec.CodeProtocol)
		c.failed, c.sendEnded, c.recv.ended, c.returned = true, true, true, true
		return o, nil
	}
	c.real = <-s.served
	c.do = <-s.works
	return o, nil
}

// open is a call whose handler has not returned.
func (s *serviceSystem) open() *modelIncoming {
	for _, c := range s.calls {
		if !c.returned {
			return c
		}
	}
	return nil
}

// illegal is a frame that a gateway must never send.
func (s *serviceSystem) illegal(st step) (o outcome, err error) {
	if !st.bad {
		return o, nil
	}
	s.p.say([]*transports.Frame{
		frame(spec.TypeResponse, spec.FlagEnd, 2, 0, responseMeta(200), nil),
		transports.NewControl(spec.TypeWelcome, 0, 0, []byte("{}")),
		frame(spec.TypeResponseStreamData, 0, 2, 0, nil, []byte("x")),
		frame(0x7f-0x40, 0, 0, 0, nil, nil),
		transports.NewControl(spec.TypeHeartbeat, 0, 0, []byte("{}")),
		transports.NewControl(spec.TypeCredit, 2, 1<<31, nil),
	}[st.call])
	o.broken()
	return o, nil
}

// fromGateway is a frame of a call. On one that is not open it is ignored.
func (s *serviceSystem) fromGateway(st step, c *modelIncoming, o *outcome) error {
	id := uint32(1000)
	if c != nil {
		id = c.id
	}
	flags := spec.Flags(0)
	if st.end {
		flags = spec.FlagEnd
	}
	credit := int64(st.n + 1)
	if st.bad {
		credit = math.MaxInt32
	}
	switch st.what {
	case "data":
		sequence := uint32(0)
		if c != nil {
			sequence = c.recv.sequence
		}
		if st.bad {
			sequence += 7
		}
		s.p.say(frame(spec.TypeRequestStreamData, flags, id, sequence, nil, make([]byte, st.n)))
	case "trailers":
		s.p.say(trailersStep(st, c != nil, id, func() uint32 { return c.recv.sequence }))
	case "cancel":
		s.p.say(transports.NewControl(spec.TypeCancel, id, uint32(spec.CodeClientGone), nil))
	case "credit":
		s.p.say(transports.NewControl(spec.TypeCredit, id, uint32(credit), nil))
	}
	if c == nil || c.returned {
		return nil
	}
	switch st.what {
	case "data":
		c.onData(st, o)
	case "trailers":
		c.onTrailers(st, o)
	case "cancel":
		c.recv.ended = true
		if !c.failed && !c.cancelled && !c.sendEnded {
			c.cancelled = true
			c.recv.held = 0
		}
	case "credit":
		if c.sendCredit += credit; c.sendCredit > math.MaxInt32 {
			o.broken()
		}
	}
	return nil
}

func (c *modelIncoming) onData(st step, o *outcome) {
	switch {
	case c.failed, c.cancelled, c.recv.ended:
		return
	case st.bad:
		o.broken()
		return
	}
	c.recv.sequence++
	if c.recv.credit -= int64(st.n); c.recv.credit >= 0 {
		c.recv.held += int64(st.n)
		c.recv.ended = st.end
		return
	}
	code := spec.CodeFlow
	if c.sendEnded { // the answer stands
		code = spec.CodeNoError
	}
	o.cancel(c.id, code)
	c.failed, c.sendEnded, c.recv.ended, c.recv.held = true, true, true, 0
}

// onTrailers: the request ends with them, and is not whole where they cannot be read.
func (c *modelIncoming) onTrailers(st step, o *outcome) {
	switch {
	case c.failed, c.cancelled, c.recv.ended:
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
	c.failed, c.sendEnded, c.recv.held = true, true, 0
}

// perform has the handler do something, and waits until it is done.
func (c *modelIncoming) perform(f func(*session.Incoming)) {
	done := make(chan struct{})
	c.do <- func(in *session.Incoming) {
		defer close(done)
		f(in)
	}
	<-done
}

// fromHandler is what a handler does.
func (s *serviceSystem) fromHandler(st step, c *modelIncoming, o *outcome) (err error) {
	dead := c.failed || c.cancelled
	switch st.what {
	case "respond":
		may := !dead && !c.head
		c.perform(func(in *session.Incoming) {
			e := in.Respond(&spec.Response{Status: 200, ContentLength: -1}, make([]byte, st.n))
			err = agree("answering", c.id, e, may)
		})
		if may {
			c.head, c.sendEnded = true, true
			o.send(spec.TypeResponse, spec.FlagEnd, c.id, 0)
		}
	case "head":
		may := !dead && !c.head
		c.perform(func(in *session.Incoming) {
			err = agree("beginning to answer", c.id, in.Head(&spec.Response{Status: 200, ContentLength: -1}), may)
		})
		if may {
			c.head = true
			o.send(spec.TypeResponse, 0, c.id, 0)
		}
	case "write":
		if !c.head || st.n == 0 || int64(st.n) > c.sendCredit {
			return nil
		}
		may := !dead && !c.sendEnded
		c.perform(func(in *session.Incoming) {
			_, e := in.Write(make([]byte, st.n))
			err = agree("writing", c.id, e, may)
		})
		if may {
			o.send(spec.TypeResponseStreamData, 0, c.id, c.sequence)
			c.sequence++
			c.sendCredit -= int64(st.n)
		}
	case "end":
		may := !dead && c.head // a second End does nothing
		c.perform(func(in *session.Incoming) { err = agree("ending", c.id, in.End(), may) })
		if may && !c.sendEnded {
			o.send(spec.TypeResponseStreamData, spec.FlagEnd, c.id, c.sequence)
			c.sequence++
			c.sendEnded = true
		}
	case "respond with", "end with":
		err = c.endWith(st, dead, o)
	case "fail":
		c.perform(func(in *session.Incoming) { in.Cancel(spec.CodeInternal, "it fails") })
		if !dead && !c.sendEnded {
			o.cancel(c.id, spec.CodeInternal)
			c.failed, c.sendEnded, c.recv.ended, c.recv.held = true, true, true, 0
		}
	case "read":
		if st.n == 0 || c.recv.held == 0 && !c.recv.ended && !dead {
			return nil // it would wait
		}
		c.perform(func(in *session.Incoming) { err = c.read(in, st.n, dead, o) })
	case "return":
		c.returned = true
		close(c.do)
		c.onReturn(o)
	}
	return err
}

// endWith is what a handler does that gives an answer with trailers, whole or after its head.
func (c *modelIncoming) endWith(st step, dead bool, o *outcome) (err error) {
	if st.what == "end with" {
		may := !dead && c.head && !c.sendEnded
		c.perform(func(in *session.Incoming) { err = agree("ending with trailers", c.id, in.EndWith(digest), may) })
		if may {
			c.trail(o)
		}
		return err
	}
	may := !dead && !c.head
	c.perform(func(in *session.Incoming) {
		e := in.RespondWith(&spec.Response{Status: 200, ContentLength: -1}, make([]byte, st.n), digest)
		err = agree("answering with trailers", c.id, e, may)
	})
	if may {
		c.head = true
		o.send(spec.TypeResponse, 0, c.id, 0)
		c.trail(o)
	}
	return err
}

// trail ends the answer with trailers.
func (c *modelIncoming) trail(o *outcome) {
	o.send(spec.TypeTrailers, spec.FlagEnd, c.id, c.sequence)
	c.sequence++
	c.sendEnded = true
}

func (c *modelIncoming) read(in *session.Incoming, n int, dead bool, o *outcome) error {
	got, err := in.Read(make([]byte, n))
	some := !dead && c.recv.held > 0
	if (err == nil) != some {
		return fmt.Errorf("reading call %d, which has %d bytes: %d, %w", c.id, c.recv.held, got, err)
	}
	if int64(got) > c.recv.held {
		return fmt.Errorf("call %d gave %d bytes, of %d that it had", c.id, got, c.recv.held)
	}
	if !some {
		if got := len(in.Trailers()) > 0; got != c.trailed {
			return fmt.Errorf("call %d has trailers: %v, expected %v", c.id, got, c.trailed)
		}
		return nil
	}
	if grant := c.recv.consume(int64(got), c.recv.ended); grant > 0 {
		o.send(spec.TypeCredit, 0, c.id, uint32(grant))
	}
	return nil
}

// onReturn is what the end of Serve makes of a call: it never leaves one open.
func (c *modelIncoming) onReturn(o *outcome) {
	switch {
	case c.failed, c.sendEnded && c.recv.ended:
	case c.cancelled, c.sendEnded:
		o.cancel(c.id, spec.CodeNoError)
	default:
		o.cancel(c.id, spec.CodeInternal)
	}
	c.sendEnded, c.recv.ended, c.recv.held = true, true, 0
}

func agree(what string, id uint32, err error, may bool) error {
	if (err == nil) != may {
		return fmt.Errorf("%s of call %d: %w, expected it to be possible: %v", what, id, err, may)
	}
	return nil
}

// TestModelOfTheService plays the gateway.
func TestModelOfTheService(t *testing.T) {
	checkModel(t, []string{
		"request", "request", "request", "data", "data", "data", "trailers", "cancel", "credit", "ping", "skipped", "illegal",
		"respond", "respond with", "head", "head", "write", "write", "end", "end with", "fail", "read", "read", "return",
	}, newServiceSystem)
}
