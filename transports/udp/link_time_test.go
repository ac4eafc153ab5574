package udp

import (
	"encoding/binary"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stella-ops/router/spec"
	"github.com/stella-ops/router/transports"
)

// wire takes the datagrams of one end to the other, in virtual time.
type wire struct {
	mu    sync.Mutex
	to    *link
	delay time.Duration
	lose  func(b []byte) bool // nil loses nothing
	sent  int
}

func (w *wire) write(b []byte) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.sent++
	if w.lose != nil && w.lose(b) {
		return
	}
	b = append([]byte(nil), b...)
	time.AfterFunc(w.delay, func() {
		if e, ok := decode(b); ok {
			w.to.receive(&e)
		}
	})
}

func (*wire) dropped() {}

func (*wire) ended(*link) {}

func (w *wire) count() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.sent
}

func (w *wire) set(lose func([]byte) bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.lose = lose
}

// everything is lost.
func everything([]byte) bool { return true }

// bubble is a test in virtual time, and the two ends of a link.
type bubble struct {
	t    *testing.T
	a, b *link
}

// virtual runs a test with the two ends of a link, whose first number is given, in virtual time.
func virtual(t *testing.T, first uint32, delay time.Duration, test func(v bubble)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		wa, wb := &wire{delay: delay}, &wire{delay: delay}
		a, b := newLink(wa, 1, "b"), newLink(wb, 1, "a")
		wa.to, wb.to = b, a
		for _, l := range []*link{a, b} {
			l.sender.una, l.sender.next, l.sender.recover = first, first, first
			l.receiver.next, l.receiver.highest, l.receiver.session = first, first, first-1
			go l.pump()
		}
		test(bubble{t, a, b})
		_, _ = a.Close(), b.Close()
		<-a.gone
		<-b.gone
		time.Sleep(time.Second) // what is on its way arrives
	})
}

func (l *link) wire() *wire {
	w, _ := l.sock.(*wire)
	return w
}

// within fails unless it is so long since start, a tenth more at most.
func within(t *testing.T, start time.Time, want time.Duration) {
	t.Helper()
	if d := time.Since(start); d < want || d > want+want/10 {
		t.Errorf("after %v, expected %v", d, want)
	}
}

func TestASilentPeer(t *testing.T) {
	virtual(t, 0, time.Millisecond, func(v bubble) {
		t, a := v.t, v.a
		start := time.Now()
		if _, err := a.ReadFrame(); !errors.Is(err, os.ErrDeadlineExceeded) || !strings.Contains(err.Error(), "silent") {
			t.Errorf("got %v", err)
		}
		within(t, start, idleLimit)
	})
}

func TestAWriteWithoutProgress(t *testing.T) {
	virtual(t, 0, time.Millisecond, func(v bubble) {
		t, a := v.t, v.a
		a.wire().set(everything)
		start := time.Now()
		var err error
		for n := uint32(0); err == nil; n++ {
			err = a.WriteFrames([]*transports.Frame{call(n, 10)})
		}
		if !errors.Is(err, ErrLate) || !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("got %v", err)
		}
		within(t, start, spec.WriteStall)
		if _, err := a.ReadFrame(); !errors.Is(err, ErrLate) {
			t.Errorf("reading: %v", err)
		}
		if n := a.wire().count(); n > startFlight*15 {
			t.Errorf("%d datagrams into the void", n)
		}
	})
}

func TestWhatAClosedLinkOwes(t *testing.T) {
	virtual(t, 0, time.Millisecond, func(v bubble) {
		t, a, b := v.t, v.a, v.b
		a.wire().set(func(b []byte) bool { return kind(b[1]) != kindClose }) // frames are lost, the end is not
		write(t, a, ping(1))
		start := time.Now()
		_ = a.Close()
		if _, err := b.ReadFrame(); !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("got %v", err)
		}
		within(t, start, linger)
		<-a.gone
		within(t, start, linger)
	})
}

func TestALossIsMadeGoodWithoutAWait(t *testing.T) {
	const delay = 50 * time.Millisecond
	virtual(t, 0, delay, func(v bubble) {
		t, a, b := v.t, v.a, v.b
		lost := false
		a.wire().set(func([]byte) bool {
			first := !lost
			lost = true
			return first
		})
		start := time.Now()
		for n := range uint32(5) {
			write(t, a, call(n, 10))
		}
		for range 5 {
			read(t, b)
		}
		if d := time.Since(start); d > 3*delay+delay/2 { // there, the news back, and there again
			t.Errorf("took %v", d)
		}
	})
}

func TestNumbersBeginAnew(t *testing.T) {
	virtual(t, 1<<32-300, 3*time.Millisecond, func(v bubble) {
		t, a, b := v.t, v.a, v.b
		dice := rand.New(rand.NewPCG(1, 2))
		lossy := func([]byte) bool { return dice.Float64() < 0.1 }
		a.wire().set(lossy)
		const frames = 1000
		var wg sync.WaitGroup
		wg.Go(func() {
			for n := range uint32(frames) {
				f := call(n, 10)
				if n%100 == 50 {
					f = hello(5000)
				}
				if err := a.WriteFrames([]*transports.Frame{f}); err != nil {
					t.Error(err)
					return
				}
			}
		})
		came := map[uint32]bool{}
		hellos := 0
		for range frames {
			if h, _ := read(t, b); h.Stream == 0 {
				hellos++
			} else {
				came[h.Stream] = true
			}
		}
		wg.Wait()
		if hellos != frames/100 || len(came) != frames-hellos {
			t.Errorf("%d calls and %d session frames came", len(came), hellos)
		}
		if a.sender.next > 1<<31 {
			t.Errorf("the last number is %d", a.sender.next)
		}
	})
}

func TestASlowReader(t *testing.T) {
	virtual(t, 0, time.Millisecond, func(v bubble) {
		t, a, b := v.t, v.a, v.b
		const frames = 2000
		var wg sync.WaitGroup
		wg.Go(func() {
			for n := range uint32(frames) {
				if err := a.WriteFrames([]*transports.Frame{call(n, 10)}); err != nil {
					t.Error(err)
					return
				}
			}
		})
		time.Sleep(spec.WriteStall - 2*time.Second)
		b.mu.Lock()
		if n := len(b.receiver.queue) - b.receiver.head + len(b.receiver.waiting); n > queueLimit {
			t.Errorf("%d frames wait to be read", n)
		}
		b.mu.Unlock()
		came := map[uint32]bool{}
		for range frames {
			h, _ := read(t, b)
			came[h.Stream] = true
		}
		wg.Wait()
		if len(came) != frames {
			t.Errorf("%d frames came", len(came))
		}
	})
}

func TestAnIdleLinkSaysNothing(t *testing.T) {
	virtual(t, 0, time.Millisecond, func(v bubble) {
		t, a, b := v.t, v.a, v.b
		write(t, a, call(1, 10))
		read(t, b)
		time.Sleep(time.Second)
		sent := a.wire().count() + b.wire().count()
		if sent != 2 {
			t.Errorf("%d datagrams for one frame, expected it and its confirmation", sent)
		}
		time.Sleep(10 * time.Second)
		if n := a.wire().count() + b.wire().count(); n != sent {
			t.Errorf("%d datagrams more", n-sent)
		}
	})
}

// fragmentOf is a fragment by hand.
func fragmentOf(seq uint32, index uint16, total uint32, frame []byte) *envelope {
	at := int(index) * chunk
	return &envelope{kind: kindFragment, nonce: 1, seq: seq, index: index, total: total, payload: frame[at:min(at+chunk, int(total))]}
}

func TestFragmentsThatMakeNoFrame(t *testing.T) {
	frame := hello(3000)
	total := uint32(len(frame.Bytes()))
	whole := func(f *transports.Frame) (parts []*envelope) {
		for i := range fragments(total) {
			parts = append(parts, fragmentOf(i, uint16(i), total, f.Bytes()))
		}
		return parts
	}
	ofCall, other := hello(3000), hello(3000)
	ofCall.SetStream(2)
	binary.BigEndian.PutUint32(other.Bytes(), 2999)
	first := func(seq uint32) *envelope { return fragmentOf(seq, 0, total, frame.Bytes()) }
	pinged := func(seq uint32) *envelope {
		return &envelope{kind: kindData, nonce: 1, seq: seq, payload: ping(1).Bytes()}
	}
	for name, test := range map[string]struct {
		parts []*envelope
		want  string
	}{
		"of two sizes":  {[]*envelope{first(0), fragmentOf(1, 1, total-1, frame.Bytes())}, "has a fragment of one of"},
		"of a call":     {whole(ofCall), "on stream 2"},
		"of other size": {whole(other), "of 2999 bytes"},
		"two first":     {[]*envelope{first(0), first(1), first(2)}, "is not whole"},
		"too late":      {[]*envelope{pinged(0), pinged(1), fragmentOf(2, 2, total, frame.Bytes())}, "is not whole"},
		"too large":     {[]*envelope{fragmentOf(0, 0, spec.MaxFrameHello+spec.HeaderSize+1, make([]byte, 2*chunk))}, "the limit is"},
	} {
		l := newLink(void{}, 1, "")
		for _, e := range test.parts {
			l.receive(e)
		}
		if l.err == nil || !strings.Contains(l.err.Error(), test.want) {
			t.Errorf("%s: %v, expected %q", name, l.err, test.want)
		}
		if l.receiver.parts != nil || l.receiver.frames != nil {
			t.Errorf("%s: fragments are kept", name)
		}
	}
}

// TestWhatAPeerCanMakeALinkHold sends what never becomes whole.
func TestWhatAPeerCanMakeALinkHold(t *testing.T) {
	frame := hello(spec.MaxFrameHello)
	total := uint32(len(frame.Bytes()))
	dice := rand.New(rand.NewPCG(3, 4))
	l := newLink(void{}, 1, "")
	for range 20_000 {
		e := fragmentOf(1+dice.Uint32N(2*window), uint16(dice.UintN(200)), total, frame.Bytes())
		l.receive(e)
		if n := len(l.receiver.parts); n > window || l.err != nil {
			t.Fatalf("%d fragments, %v", n, l.err)
		}
	}
}
