package session

import (
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"

	"github.com/stella-ops/router/spec"
	"github.com/stella-ops/router/transports"
)

// Bounds of the writer.
const (
	maxBatch   = 512 << 10 // bytes that one write takes
	maxPending = 4 << 20   // bytes that may wait, data aside, unless told otherwise; beyond it new calls are refused
	maxWaiting = 128 << 10 // frames that may wait when another one is owed; beyond it the session ends
)

var errOwed = &Error{
	Code: spec.CodeFlow, Reason: fmt.Sprintf("the peer asks for more than it takes: over %d frames wait to be written", maxWaiting),
}

// turns is how many batches a sender writes before it hands over, so that its own deadline holds. It also hands over
// when the peer makes it wait, where the link can leave a write.
const turns = 4

// writer gathers the frames of many senders into few writes. A sender that finds nobody writing writes for all who
// have queued, after one yield that lets them queue (measured: several times the frames per second of one write
// each). Frames of the session go first; frames of streams keep their order, and a stream has at most one data
// frame waiting, so streams take turns.
//
// The reading goroutine never writes: it enqueues, and the writer's own goroutine, run, takes it from there.
type writer struct {
	link transports.Link
	some transports.Patient // the same, where it can leave a write; or nil
	fail func(error)        // told of write errors, and of a peer that is owed too much
	due  *atomic.Int64      // session credit to grant with the next write
	cap  int                // bytes that may be pending

	owed   atomic.Bool   // the peer is owed too much
	data   atomic.Int32  // data frames that wait, or are being written
	useful atomic.Uint64 // frames of calls that were written or are about to be

	mu      sync.Mutex
	control queue
	streams queue
	spare   queue
	pending int  // bytes waiting, without data: of that a stream has one frame at most, which must not keep others out
	busy    bool // somebody writes
	handed  bool // busy, and run is to go on
	left    bool // handed, and the link has a rest to write
	closed  bool
	idle    chan struct{} // closed when nothing waits any more, once somebody asks
	kick    chan struct{} // wakes run
}

// queue is frames and, beside each, the stream that waits for it to be written, or nil.
type queue struct {
	frames []*transports.Frame
	owners []*stream
}

func (q *queue) push(f *transports.Frame, owner *stream) {
	q.frames = append(q.frames, f)
	q.owners = append(q.owners, owner)
}

func newWriter(link transports.Link, fail func(error), due *atomic.Int64) *writer {
	some, _ := link.(transports.Patient)
	return &writer{link: link, some: some, fail: fail, due: due, cap: maxPending, kick: make(chan struct{}, 1)}
}

// Bytes of a data frame, alone and while other streams have some to send.
const (
	longTurn  = spec.MaxChunk
	shortTurn = 16 << 10
)

// turn is how much a stream may send at once.
func (w *writer) turn() int64 {
	if w.data.Load() > 0 {
		return shortTurn
	}
	return longTurn
}

// send queues f, which it takes over and which is no data, and writes if nobody else does. It may block for as long as
// the link does, and is not for the reading goroutine.
func (w *writer) send(f *transports.Frame) error {
	urgent := f.Header().Type == spec.TypeCancel // it mostly comes alone, and somebody is to stop working
	mine, err := w.push(f, nil)
	w.flush(mine, urgent)
	return err
}

// push is the part of send that does not wait: it queues f, which it takes over, behind what streams have queued. Frames
// whose order counts are pushed under the call's lock. If mine, nobody else writes: the caller has to flush once it has
// given up that lock, since what is written is told to calls.
func (w *writer) push(f *transports.Frame, owner *stream) (mine bool, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		f.Release()
		return false, ErrClosed
	}
	w.streams.push(f, owner)
	w.useful.Add(1)
	if owner == nil {
		w.pending += len(f.Bytes())
	} else {
		w.data.Add(1)
	}
	mine = !w.busy
	w.busy = true
	return mine, nil
}

// flush writes if push has said that it is the caller's turn. What is urgent does not wait for others to queue.
func (w *writer) flush(mine, urgent bool) {
	if !mine {
		return
	}
	if !urgent {
		runtime.Gosched()
	}
	w.write(turns)
}

// enqueue queues f, which it takes over, and leaves the writing to others: the call returns at once. Frames on
// stream 0 and CREDIT go into the lane that is written first. The others must not overtake what their stream has
// queued: a CANCEL written before its REQUEST would be lost. Nor must GOAWAY, after which there is no REQUEST.
//
// How many frames are owed is up to the peer, and so is whether they can leave: when too many wait, run ends the session.
func (w *writer) enqueue(f *transports.Frame) {
	h := f.Header()
	w.mu.Lock()
	if w.closed {
		w.mu.Unlock()
		f.Release()
		return
	}
	if h.Stream == 0 && h.Type != spec.TypeGoAway || h.Type == spec.TypeCredit {
		w.control.push(f, nil)
	} else {
		w.streams.push(f, nil)
	}
	w.pending += len(f.Bytes())
	over := len(w.control.frames)+len(w.streams.frames) > maxWaiting
	busy := w.busy
	w.mu.Unlock()
	if over {
		w.owed.Store(true)
	}
	if over || !busy {
		w.wake()
	}
}

func (w *writer) wake() {
	select {
	case w.kick <- struct{}{}:
	default:
	}
}

// full reports whether so much is waiting that nothing new should be begun.
func (w *writer) full() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.pending > w.cap
}

// run writes what was enqueued or handed over, until done is closed.
func (w *writer) run(done <-chan struct{}) {
	for {
		select {
		case <-done:
			return
		case <-w.kick:
		}
		if w.owed.Load() {
			w.fail(errOwed)
			return
		}
		w.mu.Lock()
		mine := w.handed || !w.busy
		if mine {
			w.busy, w.handed = true, false
		}
		w.mu.Unlock()
		if mine {
			w.write(-1)
		}
	}
}

// write writes batches until nothing waits, or n batches if n is not negative, and then hands over to run. The
// caller has set busy.
func (w *writer) write(n int) {
	w.mu.Lock()
	for ; w.left || w.waiting(); n-- {
		if n == 0 || w.left && n > 0 {
			w.handed = true
			w.mu.Unlock()
			w.wake()
			return
		}
		batch := w.take()
		w.left = false
		w.mu.Unlock()
		left, err := w.put(batch.frames, n > 0)
		if err != nil {
			w.fail(err)
		}
		for _, st := range batch.owners {
			if st != nil {
				w.data.Add(-1)
				st.written()
			}
		}
		clear(batch.frames)
		clear(batch.owners)
		w.mu.Lock()
		w.left = left
		w.spare = queue{batch.frames[:0], batch.owners[:0]}
	}
	w.busy = false
	w.tellIdle()
	w.mu.Unlock()
}

// put writes a batch. What it leaves, for a sender that must not wait long, is written with the next one.
func (w *writer) put(batch []*transports.Frame, sender bool) (left bool, err error) {
	if sender && w.some != nil {
		return w.some.WriteSome(batch)
	}
	return false, w.link.WriteFrames(batch)
}

func (w *writer) waiting() bool {
	return !w.closed && (len(w.control.frames)+len(w.streams.frames) > 0 || w.due.Load() > 0)
}

// tellIdle closes the idle channel if somebody waits for it. The caller holds mu.
func (w *writer) tellIdle() {
	if w.idle != nil {
		close(w.idle)
		w.idle = nil
	}
}

// take removes the next batch: the control lane whole, then streams up to maxBatch.
func (w *writer) take() queue {
	batch, size := w.spare, 0
	w.spare = queue{}
	if due := min(w.due.Load(), spec.MaxStreamWindow); due > 0 {
		w.due.Add(-due)
		batch.push(transports.NewControl(spec.TypeCredit, 0, uint32(due), nil), nil)
	}
	for _, f := range w.control.frames {
		size += len(f.Bytes())
		batch.push(f, nil)
	}
	w.pending -= size
	w.control.reset(len(w.control.frames))
	n := 0
	for n < len(w.streams.frames) && (n == 0 || size < maxBatch) {
		f, owner := w.streams.frames[n], w.streams.owners[n]
		size += len(f.Bytes())
		if owner == nil {
			w.pending -= len(f.Bytes())
		}
		batch.push(f, owner)
		n++
	}
	w.streams.reset(n)
	return batch
}

// reset removes the first n entries and keeps the memory.
func (q *queue) reset(n int) {
	rest := copy(q.frames, q.frames[n:])
	copy(q.owners, q.owners[n:])
	clear(q.frames[rest:])
	clear(q.owners[rest:])
	q.frames, q.owners = q.frames[:rest], q.owners[:rest]
}

// flushed returns a channel that is closed when nothing waits to be written any more.
func (w *writer) flushed() <-chan struct{} {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.idle == nil {
		w.idle = make(chan struct{})
	}
	idle := w.idle
	switch {
	case w.busy: // whoever writes will tell
	case w.waiting():
		w.wake()
	default:
		w.tellIdle()
	}
	return idle
}

// close drops what waits; from now on every frame is refused.
func (w *writer) close() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.closed = true
	for _, q := range []*queue{&w.control, &w.streams} {
		for _, f := range q.frames {
			f.Release()
		}
		*q = queue{}
	}
	w.pending = 0
	if !w.busy {
		w.tellIdle()
	}
}
