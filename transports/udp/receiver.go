package udp

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"slices"
	"time"

	"github.com/stella-ops/router/spec"
	"github.com/stella-ops/router/transports"
)

const (
	ackEvery = 2 // datagrams that one confirmation may be for
	ackDelay = 5 * time.Millisecond
)

// receiver is the half of a link that receives. What it holds is bounded by the window: only one frame can have begun
// before what is expected next, and that one is no larger than the limit for frames.
type receiver struct {
	max     uint32
	next    uint32       // lowest number that has not come
	highest uint32       // the one after the highest that has
	seen    [window]bool // by number; those from next on
	pending int          // datagrams that came since the last confirmation
	ackAt   time.Time    // when it has to leave

	queue   []*transports.Frame // to be read, from head on
	head    int
	parts   map[uint32][]byte   // fragments, by number
	frames  map[uint32]*partial // frames that are not whole, by the number of their first fragment
	waiting []whole             // whole frames, before which a session frame is missing
	session uint32              // all session frames up to this number are in the queue
	final   struct {            // the peer has closed the link
		known bool
		seq   uint32 // the number after its last one
		until time.Time
	}
}

// partial is a frame that is not whole.
type partial struct {
	total uint32 // bytes
	came  uint32 // fragments
	after uint32 // number of the session frame before it
}

// whole is a frame that has come.
type whole struct {
	f    *transports.Frame
	last uint32 // its last number
	// after is the last number of the session frame before it, if free is false.
	after uint32
	free  bool
}

func (r *receiver) init() {
	r.max = spec.MaxFrameHello
	r.session = r.next - 1
}

// drop forgets what nobody will read.
func (r *receiver) drop() {
	r.parts, r.frames = nil, nil
	for _, w := range r.waiting {
		w.f.Release()
	}
	r.waiting = nil
}

// pop takes the next frame, or nil.
func (r *receiver) pop() *transports.Frame {
	if r.head == len(r.queue) {
		return nil
	}
	f := r.queue[r.head]
	r.queue[r.head] = nil
	if r.head++; r.head == len(r.queue) {
		r.queue, r.head = r.queue[:0], 0
	}
	return f
}

// push adds a frame to be read.
func (r *receiver) push(f *transports.Frame) {
	if len(r.queue) == cap(r.queue) && r.head > 0 { // the room of those that were read will do
		n := copy(r.queue, r.queue[r.head:])
		clear(r.queue[n:])
		r.queue, r.head = r.queue[:n], 0
	}
	r.queue = append(r.queue, f)
}

// arrived takes in a numbered datagram with a frame or a part of one. The caller holds mu.
func (l *link) arrived(e *envelope, now time.Time) {
	r := &l.receiver
	ahead := e.seq - r.next
	switch {
	case l.closed || l.err != nil && !r.final.known:
		return // nobody reads it
	case ahead >= 1<<31 || ahead < window && r.seen[e.seq%window]:
		l.sendAck() // it came before: the confirmation was lost
		return
	case ahead >= window || r.final.known && int32(e.seq-r.final.seq) >= 0:
		l.drop()
		return
	case len(r.queue)-r.head+len(r.waiting) >= queueLimit:
		return // it will come again
	}
	var ok bool
	if e.kind == kindData {
		ok = l.frame(e)
	} else {
		ok = l.part(e)
	}
	if !ok {
		return
	}
	gap := ahead > 0 || r.highest-r.next > 0
	r.seen[e.seq%window] = true
	if int32(e.seq+1-r.highest) > 0 {
		r.highest = e.seq + 1
	}
	for r.seen[r.next%window] {
		r.seen[r.next%window] = false
		r.next++
	}
	l.deliver()
	l.completed()
	if r.pending++; gap || r.pending >= ackEvery || r.final.known {
		l.sendAck()
		return
	}
	r.ackAt = now.Add(ackDelay)
	l.rearm(r.ackAt)
}

// frame takes in a frame that is one datagram.
func (l *link) frame(e *envelope) bool {
	h, err := spec.ParseHeader(e.payload, l.receiver.max)
	if err != nil {
		l.failed(err)
		return false
	}
	if len(e.payload) != spec.HeaderSize+int(h.Length) {
		l.drop()
		return false
	}
	f := transports.NewFrame(int(h.Length))
	f.SetBytes(append(f.Bytes()[:0], e.payload...))
	l.receiver.add(whole{f: f, last: e.seq, after: e.seq - uint32(e.behind), free: e.behind == 0})
	return true
}

// part takes in a fragment.
func (l *link) part(e *envelope) bool {
	r := &l.receiver
	if e.total > spec.HeaderSize+r.max {
		l.failed(fmt.Errorf("udp: a frame of %d bytes in fragments, the limit is %d", e.total, spec.HeaderSize+r.max))
		return false
	}
	base, count := e.seq-uint32(e.index), fragments(e.total)
	if int32(base+count-r.next) <= 0 {
		l.failed(fmt.Errorf("udp: fragment %d of a frame that has come", e.index))
		return false
	}
	p := r.frames[base]
	if p == nil {
		if r.frames == nil {
			r.frames, r.parts = map[uint32]*partial{}, map[uint32][]byte{}
		}
		p = &partial{total: e.total}
		r.frames[base] = p
	}
	if p.total != e.total {
		l.failed(fmt.Errorf("udp: a frame of %d bytes has a fragment of one of %d", p.total, e.total))
		return false
	}
	if e.index == 0 {
		p.after = e.seq - uint32(e.behind)
	}
	r.parts[e.seq] = append([]byte(nil), e.payload...)
	if p.came++; p.came < count {
		return true
	}
	f := transports.NewFrame(int(e.total - spec.HeaderSize))
	b := f.Bytes()[:0]
	for seq := base; seq != base+count; seq++ {
		b = append(b, r.parts[seq]...)
		delete(r.parts, seq)
	}
	f.SetBytes(b)
	delete(r.frames, base)
	h, err := spec.ParseHeader(b, r.max)
	if err == nil && (h.Stream != 0 || int(h.Length) != len(b)-spec.HeaderSize) {
		err = fmt.Errorf("udp: fragments of a %s frame on stream %d of %d bytes, which are %d", h.Type, h.Stream, h.Length, len(b)-spec.HeaderSize)
	}
	if err != nil {
		f.Release()
		l.failed(err)
		return false
	}
	r.add(whole{f: f, last: base + count - 1, after: p.after, free: p.after == base})
	return true
}

// add takes a whole frame in.
func (r *receiver) add(w whole) { r.waiting = append(r.waiting, w) }

// deliver queues the frames that nothing is missing before, and ends the link of a peer whose fragments make no frame.
func (l *link) deliver() {
	r := &l.receiver
	for base, p := range r.frames {
		if int32(base+fragments(p.total)-r.next) <= 0 {
			l.failed(fmt.Errorf("udp: fragments of a frame of %d bytes that is not whole", p.total))
			return
		}
	}
	if len(r.waiting) > 1 {
		slices.SortFunc(r.waiting, func(a, b whole) int { return cmp.Compare(int32(a.last-b.last), 0) })
	}
	kept := r.waiting[:0]
	for _, w := range r.waiting {
		// What is missing has not come, and is not confirmed: its sender says how far behind it is.
		if !w.free && int32(w.after-r.session) > 0 {
			kept = append(kept, w)
			continue
		}
		if w.f.Header().Stream == 0 && int32(w.last-r.session) > 0 {
			r.session = w.last
		}
		r.push(w.f)
		signal(l.ready)
	}
	clear(r.waiting[len(kept):])
	r.waiting = kept
	if len(kept) == 0 && int32(r.next-1-r.session) > 0 {
		r.session = r.next - 1 // all that came before has been queued: numbers may not fall behind by half their range
	}
}

// sendAck says what has arrived. The caller holds mu.
func (l *link) sendAck() {
	l.receiver.pending = 0
	l.out = appendHead(l.out[:0], kindAck, l.nonce)[:ackSize]
	putNumbers(l.out, l.sender.next, &l.receiver, ackWords)
	l.sock.write(l.out)
}

// putNumbers writes the numbers of a datagram, with so many words of the bitmap.
func putNumbers(b []byte, seq uint32, r *receiver, words int) {
	binary.BigEndian.PutUint32(b[seqAt:], seq)
	putAck(b, r, words)
}

// putAck writes what has arrived.
func putAck(b []byte, r *receiver, words int) {
	binary.BigEndian.PutUint32(b[ackAt:], r.next)
	for i := range words {
		word := uint64(0)
		for n := range uint32(64) {
			seq := r.next + 1 + uint32(64*i) + n
			if int32(seq-r.highest) >= 0 {
				break
			}
			if r.seen[seq%window] {
				word |= 1 << n
			}
		}
		binary.BigEndian.PutUint64(b[bitsAt+8*i:], word)
	}
}
