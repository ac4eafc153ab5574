package udp

import (
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/stella-ops/router/spec"
	"github.com/stella-ops/router/transports"
)

const (
	idleLimit = 60 * time.Second // without a datagram; sessions say something every few seconds
	linger    = time.Second      // how long what was written before Close, or before the peer's, may still be on its way
	// A closed link that lingers says so again and again, for the peer may be waiting for room to write.
	closeEvery = 50 * time.Millisecond
	// queueLimit bounds the frames that wait to be read. Datagrams beyond are dropped, and come again.
	queueLimit = 512
	forever    = time.Hour
)

// socket is where a link's datagrams leave.
type socket interface {
	// write sends a datagram, or loses it.
	write(b []byte)
	// dropped is told of a datagram of the link's that was thrown away.
	dropped()
	// ended is called once, when the link needs the socket no more.
	ended(l *link)
}

// link is one end of a connection. Datagrams that come are given to it by its socket's reader; all that time does is
// done by pump.
type link struct {
	sock    socket
	nonce   uint64
	remote  string
	dropped atomic.Int64
	ready   chan struct{} // there may be something to read
	room    chan struct{} // there may be room to write
	wake    chan struct{} // pump has something to do sooner than it knows
	done    chan struct{} // closed when the link has failed or was closed
	gone    chan struct{} // closed when pump has ended

	left   []*transports.Frame // of a batch, still to be written; its writer's
	offset int                 // of the first of them, in bytes

	mu       sync.Mutex
	sender   sender
	receiver receiver
	err      error     // what ended the link
	closed   bool      // by its owner
	until    time.Time // a closed link lingers
	heard    time.Time // when the last datagram came
	armed    time.Time // when pump wakes up
	closing  time.Time // when to send CLOSE again
	out      []byte    // for what is not kept
}

func newLink(s socket, nonce uint64, remote string) *link {
	now := time.Now()
	l := &link{
		sock: s, nonce: nonce, remote: remote, heard: now, armed: now,
		ready: make(chan struct{}, 1), room: make(chan struct{}, 1), wake: make(chan struct{}, 1),
		done: make(chan struct{}), gone: make(chan struct{}), out: make([]byte, 0, ackSize),
	}
	l.sender.init()
	l.receiver.init()
	return l
}

// drop counts a datagram that is of no use.
func (l *link) drop() {
	l.dropped.Add(1)
	l.sock.dropped()
}

// Dropped is how many datagrams were thrown away because no peer of this protocol sends them. Duplicates do not count.
func (l *link) Dropped() int64 { return l.dropped.Load() }

// signal wakes whoever waits on c.
func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// fail ends the link with an error, unless it has ended.
func (l *link) fail(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.failed(err)
}

// failed is fail for those that hold mu.
func (l *link) failed(err error) {
	if l.err != nil {
		return
	}
	l.err = err
	l.sender.clear()
	l.receiver.drop()
	if !l.closed {
		close(l.done)
	}
}

// receive takes a datagram in. It does not keep e.
func (l *link) receive(e *envelope) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	l.heard = now
	switch e.kind {
	case kindData, kindFragment, kindAck, kindClose:
		l.confirmed(e, now)
	case kindReset:
		l.failed(ErrReset)
		return
	default: // of an opening that is over
		return
	}
	switch e.kind {
	case kindData, kindFragment:
		l.arrived(e, now)
	case kindClose:
		l.peerCloses(e, now)
	default:
	}
}

// sample takes a measured round trip in; 0 is none.
func (l *link) sample(rtt time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if rtt > 0 {
		l.sender.sample(rtt)
	}
}

// ReadFrame implements [transports.Link].
func (l *link) ReadFrame() (*transports.Frame, error) {
	for {
		l.mu.Lock()
		f, limit, err := l.next()
		l.mu.Unlock()
		if err != nil {
			return nil, err
		}
		if f != nil {
			if _, err := spec.ParseHeader(f.Bytes(), limit); err != nil { // the limit may have changed since it came
				f.Release()
				return nil, err
			}
			return f, nil
		}
		select {
		case <-l.ready:
		case <-l.done: // at the latest when the peer has been silent for too long
		}
	}
}

// next takes the next frame, if there is one. The caller holds mu.
func (l *link) next() (f *transports.Frame, limit uint32, err error) {
	if l.closed {
		return nil, 0, net.ErrClosed
	}
	if f = l.receiver.pop(); f == nil {
		err = l.err
	}
	return f, l.receiver.max, err
}

// WriteFrames implements [transports.Link]. A call's frame that does not fit a datagram is an error that wraps
// [ErrTooLarge], before any of the batch is written.
func (l *link) WriteFrames(batch []*transports.Frame) error {
	if err := l.enqueue(batch); err != nil {
		return err
	}
	_, err := l.flush(false)
	return err
}

// WriteSome implements [transports.Patient].
func (l *link) WriteSome(batch []*transports.Frame) (left bool, err error) {
	if len(l.left) > 0 {
		return false, l.WriteFrames(batch)
	}
	if err := l.enqueue(batch); err != nil {
		return false, err
	}
	return l.flush(true)
}

// enqueue adds a batch to what is to be written.
func (l *link) enqueue(batch []*transports.Frame) error {
	for _, f := range batch {
		h := f.Header()
		var err error
		switch {
		case h.Stream != 0 && h.Length > maxPayload:
			err = fmt.Errorf("%w: %s with %d bytes of payload, the limit is %d", ErrTooLarge, h.Type, h.Length, maxPayload)
		case h.Length > spec.MaxFrameHard:
			err = fmt.Errorf("%w: %s with %d bytes of payload, the limit is %d", ErrTooLarge, h.Type, h.Length, spec.MaxFrameHard)
		}
		if err != nil {
			release(batch)
			return err
		}
	}
	l.left = append(l.left, batch...)
	return nil
}

// flush writes what is left, or as much as goes within a moment. All of it is released on errors.
func (l *link) flush(brief bool) (left bool, err error) {
	var timeout <-chan time.Time
	for {
		l.mu.Lock()
		n := 0
		for n < len(l.left) && l.writable() == nil && l.put(l.left[n]) {
			n++
		}
		err := l.writable()
		l.mu.Unlock()
		if err != nil {
			n = len(l.left)
		}
		release(l.left[:n])
		rest := copy(l.left, l.left[n:])
		clear(l.left[rest:])
		if l.left = l.left[:rest]; rest == 0 || err != nil {
			return false, err
		}
		if brief && timeout == nil {
			timer := time.NewTimer(transports.Moment)
			defer timer.Stop()
			timeout = timer.C
		}
		select {
		case <-l.room:
		case <-l.done: // at the latest when nothing has been confirmed for too long: see tick
		case <-timeout:
			return true, nil
		}
	}
}

// writable is why nothing can be written any more, or nil. The caller holds mu.
func (l *link) writable() error {
	switch {
	case l.closed:
		return net.ErrClosed
	case l.receiver.final.known:
		return io.ErrClosedPipe
	default:
		return l.err
	}
}

// put sends a frame, or as many of its fragments as there is room for, and reports whether that was all. The caller
// holds mu.
func (l *link) put(f *transports.Frame) bool {
	b, session := f.Bytes(), f.Header().Stream == 0
	s := &l.sender
	now := time.Now()
	if len(b) <= datagram-dataHead {
		if !s.hasRoom() {
			return false
		}
		l.transmit(s.add(l.nonce, kindData, session, now, b), now)
		l.rearm(now.Add(s.rto))
		return true
	}
	for ; l.offset < len(b); l.offset += chunk {
		if !s.hasRoom() {
			return false
		}
		p := s.add(l.nonce, kindFragment, true, now, b[l.offset:min(len(b), l.offset+chunk)])
		p.fragment(uint16(l.offset/chunk), uint32(len(b)))
		l.transmit(p, now)
		l.rearm(now.Add(s.rto))
	}
	l.offset = 0
	return true
}

func release(frames []*transports.Frame) {
	for _, f := range frames {
		f.Release()
	}
}

// SetMaxPayload implements [transports.Link].
func (l *link) SetMaxPayload(n uint32) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.receiver.max = n
}

// Traits implements [transports.Link]. MaxPayload is that of calls' frames: those of the session go in fragments.
func (l *link) Traits() transports.Traits {
	return transports.Traits{Order: transports.OrderNone, MaxPayload: maxPayload, Remote: l.remote, Scheme: Scheme}
}

// closeCopies is how often the end of a link is told: one may be lost.
const closeCopies = 3

// Close implements [transports.Link]. It returns at once. What has been written and not yet been confirmed is sent again
// for a second at most, by pump, which then ends.
func (l *link) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return nil
	}
	l.closed = true
	now := time.Now()
	l.until, l.closing = now.Add(linger), now.Add(closeEvery)
	if l.err == nil {
		close(l.done)
	}
	l.receiver.drop()
	for f := l.receiver.pop(); f != nil; f = l.receiver.pop() {
		f.Release()
	}
	l.sayClose()
	signal(l.wake)
	return nil
}

// sayClose tells the peer what the number after the last one is.
func (l *link) sayClose() {
	l.out = appendHead(l.out[:0], kindClose, l.nonce)[:closeSize]
	putNumbers(l.out, l.sender.next, &l.receiver, 1)
	l.sock.write(l.out)
}

// peerCloses notes that the peer has closed the link. What it wrote before still counts, and is waited for.
func (l *link) peerCloses(e *envelope, now time.Time) {
	r := &l.receiver
	if !r.final.known {
		if e.seq-r.next > window {
			l.drop()
			return
		}
		r.final.known, r.final.seq, r.final.until = true, e.seq, now.Add(linger)
		l.sender.clear() // nobody reads that
		signal(l.room)
		l.rearm(r.final.until)
	}
	if l.closed {
		signal(l.wake)
		return
	}
	l.completed()
	l.sendAck()
}

// completed ends the link when all that the peer wrote before it closed has come.
func (l *link) completed() {
	if r := &l.receiver; r.final.known && r.next == r.final.seq && l.err == nil {
		l.err = io.EOF
		close(l.done)
	}
}

// pump does what has to be done at some time, until the link was closed.
func (l *link) pump() {
	defer close(l.gone)
	defer l.sock.ended(l)
	timer := time.NewTimer(forever)
	defer timer.Stop()
	for {
		now := time.Now()
		l.mu.Lock()
		next, over := l.tick(now)
		l.armed = next
		l.mu.Unlock()
		if over {
			return
		}
		timer.Reset(next.Sub(now))
		select {
		case <-timer.C:
		case <-l.wake:
		}
	}
}

// rearm makes pump look at the link at a time, or before. The caller holds mu.
func (l *link) rearm(at time.Time) {
	if at.Before(l.armed) {
		l.armed = at
		signal(l.wake)
	}
}

// tick does what is due, and returns when there will be more. over is that there is nothing left to do at all.
func (l *link) tick(now time.Time) (next time.Time, over bool) {
	next = now.Add(forever)
	sooner := func(t time.Time) {
		if t.Before(next) {
			next = t
		}
	}
	s, r := &l.sender, &l.receiver
	if l.closed {
		if s.flying == 0 || r.final.known || !now.Before(l.until) {
			for range closeCopies - 1 {
				l.sayClose()
			}
			s.clear()
			return next, true
		}
		sooner(l.until)
		if !now.Before(l.closing) {
			l.sayClose()
			l.closing = now.Add(closeEvery)
		}
		sooner(l.closing)
	}
	if l.err != nil {
		return next, false // its owner will close it
	}
	sooner(l.resend(now))
	if s.flying > 0 { // also where nobody waits to write: what was taken over does not arrive
		limit := s.progress.Add(spec.WriteStall)
		if !now.Before(limit) {
			l.failed(fmt.Errorf("%w: nothing for %v: %w", ErrLate, spec.WriteStall, os.ErrDeadlineExceeded))
		}
		sooner(limit)
	}
	if l.closed {
		return next, false
	}
	if r.pending > 0 {
		if !now.Before(r.ackAt) {
			l.sendAck()
		} else {
			sooner(r.ackAt)
		}
	}
	silent := l.heard.Add(idleLimit)
	if !now.Before(silent) {
		l.failed(fmt.Errorf("udp: the peer has been silent for %v: %w", idleLimit, os.ErrDeadlineExceeded))
	}
	sooner(silent)
	if r.final.known {
		if !now.Before(r.final.until) {
			l.failed(io.ErrUnexpectedEOF)
		}
		sooner(r.final.until)
	}
	return next, false
}
