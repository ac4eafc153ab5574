package session

import (
	"context"
	"io"
	"math"
	"os"
	"sync"

	"github.com/stella-ops/router/spec"
	"github.com/stella-ops/router/transports"
)

// stream is what both ends of a call have: a half that receives and a half that sends. PROTOCOL.md, section
// "Streams", has the states; here they are recv.ended, send.ended and err.
type stream struct {
	w     *writer
	core  *core
	owner interface{ slow() } // the call: ends because its reader has stalled

	holding holding // guarded by the account

	id   uint32
	data spec.FrameType // of the frames this end sends
	ctx  *callContext   // ends what this end waits for; nil on a gateway, where whoever waits cancels

	mu   sync.Mutex
	recv receiving
	send sending
	err  error      // why the call ended before both halves did; set once
	late *deadlines // of what this end waits for; nil: there are none
}

// smallData is up to how many bytes a data frame is worth copying into the one before it: credit counts bytes, and a
// peer that sends a few at a time must not make this end hold a buffer for each.
const smallData = 4 << 10

// receiving is the half that the peer sends. Its queue never holds more than the credit granted.
type receiving struct {
	queue    []*transports.Frame
	offset   int            // bytes of the first frame's body that Read has taken
	credit   int64          // bytes the peer may still send
	held     int64          // bytes that have come and were neither consumed nor dropped
	start    int64          // what credit was at first
	window   int64          // what credit and held come to when everything consumed is granted again
	trailers *spec.Trailers // that it ended with; nil: none
	sequence uint32         // of the next data frame
	blocked  bool           // the window has held the peer up since it was last widened
	ended    bool           // END or CANCEL came
	wake     chan struct{}
}

// sending is the half that this end sends.
type sending struct {
	credit   int64  // bytes this end may still send
	sequence uint32 // of the next data frame
	waiting  bool   // a data frame has been queued and not yet been written; several senders may have one each
	blocked  bool   // there was more to send than credit since the last data frame
	ended    bool   // END or CANCEL was sent
	stopped  bool   // the peer wants no more
	wake     chan struct{}
}

func (st *stream) init(c *core, owner interface{ slow() }, id uint32, data spec.FrameType, window, credit int64) {
	st.core, st.w, st.owner, st.id, st.data = c, c.w, owner, id, data
	wakeRecv, wakeSend := st.recv.wake, st.send.wake
	st.recv = receiving{credit: window, start: window, window: window, queue: st.recv.queue[:0], wake: wakeRecv}
	st.send = sending{credit: credit, wake: wakeSend}
	st.err, st.late = nil, nil
}

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// Who waits makes the channel; nobody else does, so that calls without streams have none.

func (st *stream) awaitRecv() <-chan struct{} {
	st.mu.Lock()
	defer st.mu.Unlock()
	if st.recv.wake == nil {
		st.recv.wake = make(chan struct{}, 1)
		st.recv.wake <- struct{}{} // something may have come since there was nothing
	}
	return st.recv.wake
}

// awaitSend is called with mu held.
func (st *stream) awaitSend() <-chan struct{} {
	if st.send.wake == nil {
		st.send.wake = make(chan struct{}, 1)
	}
	return st.send.wake
}

// wakeAll makes everybody who waits look again. The caller holds mu.
func (st *stream) wakeAll() {
	signal(st.recv.wake)
	signal(st.send.wake)
}

// receive takes over a data frame. The returned error ends the session; flow tells that the peer overran its
// credit, which ends the stream.
func (st *stream) receive(f *transports.Frame, h spec.Header) (flow bool, err error) {
	over, flow, err := st.enqueue(f, h)
	if over {
		st.core.account.relieve()
	}
	return flow, err
}

func (st *stream) enqueue(f *transports.Frame, h spec.Header) (over, flow bool, err error) {
	n := int64(h.Length)
	r := &st.recv
	st.mu.Lock()
	defer st.mu.Unlock()
	if st.err != nil || r.ended { // ended by this side, or crossing the end: nobody waits for it
		f.Release()
		return false, false, st.core.account.crossing(n)
	}
	if h.Aux != r.sequence {
		f.Release()
		return false, false, protocolError("%s on stream %d has sequence %d, expected %d", h.Type, h.Stream, h.Aux, r.sequence)
	}
	r.sequence++
	if r.credit -= n; r.credit < 0 {
		f.Release()
		return false, true, st.core.account.crossing(n)
	}
	if n > 0 {
		if over, err = st.core.account.receive(st, n); err != nil {
			f.Release()
			return false, false, err
		}
		r.held += n
		r.blocked = r.blocked || h.Flags&spec.FlagBlocked != 0
	}
	switch last := len(r.queue) - 1; {
	case n == 0:
		f.Release()
	case last >= 0 && n <= smallData && r.queue[last].Absorb(f):
	default:
		r.queue = append(r.queue, f)
	}
	if h.Flags&spec.FlagEnd != 0 {
		r.ended = true
	}
	signal(r.wake)
	return over, false, nil
}

// granted adds credit.
func (st *stream) granted(n uint32) error {
	st.mu.Lock()
	defer st.mu.Unlock()
	if st.send.credit += int64(n); st.send.credit > math.MaxInt32 {
		return protocolError("CREDIT on stream %d raises it to %d, the limit is %d", st.id, st.send.credit, math.MaxInt32)
	}
	signal(st.send.wake)
	return nil
}

// written is told by the writer that a data frame of the stream has left. The writer holds none of its locks.
func (st *stream) written() {
	st.mu.Lock()
	st.send.waiting = false
	signal(st.send.wake)
	st.mu.Unlock()
}

// returnCredit notes that the application consumed n bytes, and gives back the credit once it is worth a frame.
func (st *stream) returnCredit(n int) {
	st.mu.Lock()
	took := min(int64(n), st.recv.held) // what was dropped meanwhile is not consumed as well
	st.recv.held -= took
	p := relaxed
	if took > 0 {
		p = st.core.account.consumed(st, took, st.recv.held)
	}
	if p == relaxed && st.recv.blocked && st.recv.held == 0 { // the window holds up the peer, and not the application
		st.widen()
	}
	give := st.room(p)
	st.mu.Unlock()
	if give > 0 {
		st.w.enqueue(transports.NewControl(spec.TypeCredit, st.id, uint32(give), nil))
	}
}

// room is the credit that is worth granting now, and adds it to what is granted. The caller holds mu.
func (st *stream) room(p pressure) int64 {
	r := &st.recv
	if r.ended || st.err != nil {
		return 0
	}
	target := r.window
	switch p {
	case tense:
		target = r.start
	case scarce:
		target = max(r.start/4, 1)
	default:
	}
	give := target - r.credit - r.held
	if give <= 0 || give < target/4 {
		return 0
	}
	r.credit += give
	return give
}

// widen doubles the window, as far as the session's windows may grow, unless nothing comes any more: what has grown is
// given back when the stream is dropped, which may have been. The caller holds mu.
func (st *stream) widen() {
	r := &st.recv
	if r.blocked = false; r.ended || st.err != nil {
		return
	}
	if more := min(r.window, maxWindow-r.window); more > 0 && st.core.account.grow(more) {
		r.window += more
	}
}

// pop returns the next data frame, or errNothing as long as there is none. What is queued comes before the error that
// ended the call: an end of this side's making has dropped it already.
func (st *stream) pop() (*transports.Frame, error) {
	st.mu.Lock()
	defer st.mu.Unlock()
	switch {
	case len(st.recv.queue) > 0:
		f := st.recv.queue[0]
		n := copy(st.recv.queue, st.recv.queue[1:])
		st.recv.queue[n] = nil
		st.recv.queue = st.recv.queue[:n]
		return f, nil
	case st.err != nil:
		return nil, st.err
	case st.recv.ended:
		return nil, io.EOF
	}
	return nil, errNothing
}

// acquire waits until the stream may send, and takes credit for up to want bytes. It ends with the stream. A signal wakes
// one of those who wait: who goes without credit passes it on.
func (st *stream) acquire(want int) (int, error) {
	n, err := st.await(want)
	if err != nil {
		st.mu.Lock()
		signal(st.send.wake)
		st.mu.Unlock()
	}
	return n, err
}

func (st *stream) await(want int) (int, error) {
	for {
		st.mu.Lock()
		wake := st.awaitSend() // before credit is asked for, whose giver looks for it
		late := st.writeLate()
		switch {
		case st.err != nil:
			err := st.err
			st.mu.Unlock()
			return 0, err
		case st.send.stopped:
			st.mu.Unlock()
			return 0, ErrStopSending
		case st.send.ended:
			st.mu.Unlock()
			return 0, errEnded
		case late != nil && passed(late) != nil:
			st.mu.Unlock()
			return 0, passed(late)
		case st.send.credit > 0 && !st.send.waiting:
			n := st.core.allowance.take(st, min(int64(want), st.send.credit, st.w.turn()))
			st.send.blocked = st.send.blocked || int64(want) > st.send.credit
			st.send.credit -= n
			if n > 0 {
				st.mu.Unlock()
				return int(n), nil
			}
		case st.send.credit == 0:
			if !st.send.blocked {
				st.core.counts.stalled()
			}
			st.send.blocked = true
		}
		st.mu.Unlock()
		if err := st.wait(wake, late); err != nil {
			return 0, err
		}
	}
}

// wait waits for a signal on wake, for the call's context, or until late is closed.
func (st *stream) wait(wake, late <-chan struct{}) error {
	if st.ctx == nil {
		<-wake
		return nil
	}
	select {
	case <-wake:
		return nil
	case <-late:
		return os.ErrDeadlineExceeded
	case <-st.ctx.Done():
		return context.Cause(st.ctx)
	}
}

// giveBack returns credit that was acquired and is not needed.
func (st *stream) giveBack(n int) {
	st.mu.Lock()
	st.send.credit += int64(n)
	_ = st.core.allowance.give(int64(n)) // it was taken from there
	signal(st.send.wake)
	st.mu.Unlock()
}

// sendData takes over f, whose payload is data for which credit was acquired, and sends it. Credit that the data does not
// need is kept.
func (st *stream) sendData(f *transports.Frame, acquired int, end bool) error {
	st.mu.Lock()
	mine, err := st.pushData(f, acquired, end)
	st.mu.Unlock()
	st.w.flush(mine, false)
	return err
}

// pushData is sendData up to writing, which the caller does if it is mine. It holds mu, so that frames are queued in the
// order of their sequence, and nothing after END, however many goroutines send.
func (st *stream) pushData(f *transports.Frame, acquired int, end bool) (mine bool, err error) {
	n := len(f.Payload())
	switch {
	case n > acquired:
		err = errCredit
	case st.err != nil:
		err = st.err
	case st.send.stopped:
		err = ErrStopSending
	case st.send.ended:
		err = errEnded
	}
	unused := acquired - n
	if err != nil {
		unused = acquired
	}
	st.send.credit += int64(unused)
	_ = st.core.allowance.give(int64(unused)) // it was taken from there
	if err != nil {
		f.Release()
		return false, err
	}
	var flags spec.Flags
	if end {
		flags, st.send.ended = spec.FlagEnd, true
	}
	if st.send.blocked {
		flags |= spec.FlagBlocked
		st.send.blocked = false
	}
	f.Seal(st.data, flags, st.id, st.send.sequence, 0)
	st.send.sequence++
	st.send.waiting = true
	return st.w.push(f, st)
}

// drop releases what was received and not read. The caller holds mu.
func (st *stream) drop() {
	for i, f := range st.recv.queue {
		f.Release()
		st.recv.queue[i] = nil
	}
	st.recv.queue, st.recv.offset = st.recv.queue[:0], 0
	if st.recv.held > 0 {
		st.core.account.dropped(st, st.recv.held)
		st.recv.held = 0
	}
	if wider := st.recv.window - st.recv.start; wider > 0 {
		st.core.account.shrink(wider)
		st.recv.window = st.recv.start
	}
}

// cancelFrame is a CANCEL for the stream.
func (st *stream) cancelFrame(code spec.Code, why string) *transports.Frame {
	return transports.NewControl(spec.TypeCancel, st.id, uint32(code), reason(why))
}
