package session_test

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"

	"pgregory.net/rapid"

	"github.com/stella-ops/router/spec"
	"github.com/stella-ops/router/transports"
	"github.com/stella-ops/router/transports/inmemory"
)

// These tests play random sequences, legal and illegal, against a model of the tables in PROTOCOL.md, section 5: one end
// is real, the other is played frame by frame. After every step the real end must have sent exactly what the model says,
// and hold exactly the slots that the model counts. A bubble of testing/synctest tells when it has done all it will do.
// Run with -rapid.checks=N for more of them; a failure prints how to play it again.

// step is one thing that happens. What its numbers mean depends on what it is.
type step struct {
	what string
	call int // which of the calls
	n    int
	end  bool
	bad  bool // break the rule that this step could break
}

func (s step) String() string {
	return fmt.Sprintf("%s(call %d, n %d, end %v, bad %v)", s.what, s.call, s.n, s.end, s.bad)
}

// steps draws a sequence of steps.
func steps(kinds []string) *rapid.Generator[[]step] {
	return rapid.SliceOfN(rapid.Custom(func(t *rapid.T) step {
		return step{
			what: rapid.SampledFrom(kinds).Draw(t, "what"),
			call: rapid.IntRange(0, 5).Draw(t, "call"),
			n:    rapid.SampledFrom([]int{0, 1, 40, 100, 200}).Draw(t, "n"),
			end:  rapid.Bool().Draw(t, "end"),
			bad:  rapid.IntRange(0, 19).Draw(t, "bad") == 0,
		}
	}), 1, 60)
}

// modelWindow is the credit of each half to begin with: little, so that it is used up and overrun.
const modelWindow = 300

// half is what the model keeps of a half that the real end receives.
type half struct {
	credit, held int64
	sequence     uint32
	ended        bool
}

// consume is what the real end grants when its application has taken n bytes.
func (h *half) consume(n int64, over bool) (grant int64) {
	h.held -= n
	if over {
		return 0
	}
	if room := modelWindow - h.credit - h.held; room >= modelWindow/4 {
		h.credit += room
		return room
	}
	return 0
}

// outcome is what the real end must have done when a step is over.
type outcome struct {
	frames []string
	dead   bool // the session has ended, with CANCEL(PROTOCOL) if by the peer's fault
}

func (o *outcome) send(t spec.FrameType, flags spec.Flags, stream, aux uint32) {
	o.frames = append(o.frames, frameText(spec.Header{Type: t, Flags: flags, Stream: stream, Aux: aux}))
}

func (o *outcome) cancel(stream uint32, code spec.Code) {
	o.send(spec.TypeCancel, 0, stream, uint32(code))
}

// broken is the end of a session whose peer has broken the protocol.
func (o *outcome) broken() {
	o.cancel(0, spec.CodeProtocol)
	o.dead = true
}

// malformedStep reports whether the TRAILERS of a step cannot be read.
func malformedStep(st step) bool { return st.n == 200 }

// trailersStep is the TRAILERS of a step, on a stream that may be none.
func trailersStep(st step, known bool, id uint32, next func() uint32) *transports.Frame {
	sequence, meta := uint32(0), digestMeta
	if known {
		sequence = next()
	}
	if st.bad {
		sequence += 7
	}
	if malformedStep(st) {
		meta = []byte{0xff}
	}
	return frame(spec.TypeTrailers, spec.FlagEnd, id, sequence, meta, nil)
}

// frameText is a frame as the model sees it: deadlines are not part of it.
func frameText(h spec.Header) string {
	aux := strconv.FormatUint(uint64(h.Aux), 10)
	switch h.Type {
	case spec.TypeCancel, spec.TypeGoAway:
		aux = spec.Code(h.Aux).String()
	case spec.TypeRequest:
		aux = ""
	default:
	}
	return fmt.Sprintf("%s[%d] flags %x %s", h.Type, h.Stream, uint8(h.Flags&^(spec.FlagInlineBody|spec.FlagBlocked)), aux)
}

// peer is the end that is played: it reads all that comes.
type peer struct {
	link transports.Link
	got  chan string
	done chan struct{}
}

func newPeer(link transports.Link) *peer {
	p := &peer{link: link, got: make(chan string, 4096), done: make(chan struct{})}
	go func() {
		defer close(p.done)
		for {
			f, err := link.ReadFrame()
			if err != nil {
				return
			}
			h := f.Header()
			f.Release()
			if h.Type == spec.TypeHeartbeat || h.Type == spec.TypeCredit && h.Stream == 0 {
				continue // when they come is not the model's business; the accounts have tests of their own
			}
			p.got <- frameText(h)
		}
	}()
	return p
}

// frames are those that have come since the last time.
func (p *peer) frames() []string {
	var all []string
	for {
		select {
		case f := <-p.got:
			all = append(all, f)
		default:
			return all
		}
	}
}

func (p *peer) say(frames ...*transports.Frame) { _ = p.link.WriteFrames(frames) } // fails once the session is over

// system is a real end and the model beside it.
type system interface {
	// play does a step with the real end, and says what must come of it. It may find that the step makes no sense now.
	play(s step) (outcome, error)
	// settled compares what the real end holds with the model.
	settled() error
	// dead reports whether the real end is.
	dead() bool
	peer() *peer
	close()
}

// run plays a sequence.
func run(sys system, sequence []step) error {
	defer sys.close()
	for i, s := range sequence {
		want, err := sys.play(s)
		synctest.Wait()
		if err == nil {
			err = compare(sys, want)
		}
		if err != nil {
			return fmt.Errorf("after step %d of %v: %w", i, sequence[:i+1], err)
		}
		if want.dead {
			return nil
		}
	}
	return nil
}

func compare(sys system, want outcome) error {
	got := sys.peer().frames()
	slices.Sort(got)
	slices.Sort(want.frames)
	if !slices.Equal(got, want.frames) {
		return fmt.Errorf("it sent [%s], expected [%s]", strings.Join(got, ", "), strings.Join(want.frames, ", "))
	}
	if sys.dead() != want.dead {
		return fmt.Errorf("dead is %v, expected %v", sys.dead(), want.dead)
	}
	if want.dead {
		return nil
	}
	return sys.settled()
}

// orderedLink is a link that says how much of the order it keeps.
type orderedLink struct {
	transports.Link

	order transports.Order
}

func (l orderedLink) Traits() transports.Traits {
	t := l.Link.Traits()
	t.Order = l.order
	return t
}

// checkModel plays random sequences on links of each order.
func checkModel(t *testing.T, kinds []string, newSystem func(near, far transports.Link) (system, error)) {
	t.Helper()
	for name, order := range map[string]transports.Order{"link": transports.OrderLink, "stream": transports.OrderStream} {
		t.Run(name, func(t *testing.T) {
			rapid.Check(t, func(rt *rapid.T) {
				sequence := steps(kinds).Draw(rt, "sequence")
				var failed error
				synctest.Test(t, func(*testing.T) {
					near, far := inmemory.Pipe()
					sys, err := newSystem(orderedLink{near, order}, far)
					if err != nil {
						failed = err
						return
					}
					failed = run(sys, sequence)
				})
				if failed != nil {
					rt.Fatal(failed)
				}
			})
		})
	}
}
