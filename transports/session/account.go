package session

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/stella-ops/router/spec"
)

// PROTOCOL.md, section "Credit and deadlines". What a session grants all streams together always covers what it has
// granted each, so that no stream with credit ever waits because others have stalled:
//
//	session credit >= credit of the open streams + bytes held + bytes owed
//	               <= lease x stream window + growth + memory + batch
//
// The second line is the window that HELLO and WELCOME announce.
const (
	maxWindow     = 1 << 20  // bytes that a stream's window grows to
	growth        = 16 << 20 // bytes by which the windows of all streams of a session may have grown together
	sessionMemory = 64 << 20 // bytes of bodies that a session holds, unless it is told otherwise
	batch         = 1 << 20  // bytes of session credit that may be owed until they are granted again
)

// sessionWindow is the credit that a session with a lease grants at first.
func sessionWindow(lease int, streamWindow, memory int64) int64 {
	return min(int64(lease)*streamWindow+growth+memory+batch, spec.MaxSessionWindow)
}

// account is what a session receives: the credit that the peer has, and the bytes that are held. Its lock is taken
// after a stream's.
type account struct {
	limit  int64   // bytes that may be held
	shared *Memory // of several sessions; may be nil
	wake   func()  // makes the writer look at due

	due atomic.Int64 // credit to grant with the next write

	mu          sync.Mutex
	credit      int64 // what the peer may still send
	owed        int64 // consumed or dropped, and not granted again yet
	held        int64
	grown       int64
	first, last *stream // those that hold bytes, the longest stalled first
	closed      bool    // the session is dead: nothing more comes
}

// holding is a stream's place in the list of those that hold bytes. Guarded by the account's lock.
type holding struct {
	prev, next *stream
	since      time.Time // when the application consumed last, or the first byte came
	in         bool
}

func (a *account) init(window, limit int64, shared *Memory, wake func()) {
	a.credit, a.limit, a.shared, a.wake = window, limit, shared, wake
	shared.enter(a)
}

// close notes that the session is dead. Answers that had ended before may be read on, and until the last of them has been
// their bytes count.
func (a *account) close() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.closed = true
	a.leave()
}

// leave ends the share in what several sessions hold, if the session is dead and holds nothing. The caller holds mu.
func (a *account) leave() {
	if a.closed && a.held == 0 {
		a.shared.leave(a)
	}
}

// receive notes that n bytes have come for st and are held; over tells that the memory is spent: see relieve.
func (a *account) receive(st *stream, n int64) (over bool, err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.credit -= n; a.credit < 0 {
		return false, errOverrun
	}
	a.held += n
	a.shared.add(n)
	if !st.holding.in {
		a.push(st)
	}
	return a.held > a.limit || a.shared.over(), nil
}

var errOverrun = &Error{Code: spec.CodeFlow, Reason: "the peer overran the session's credit"}

// crossing notes that n bytes have come which nobody waits for: they are granted again at once.
func (a *account) crossing(n int64) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.credit -= n; a.credit < 0 {
		return errOverrun
	}
	a.owe(n, true)
	return nil
}

// consumed notes that the application has taken n bytes, after which left are held for st.
func (a *account) consumed(st *stream, n, left int64) pressure {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.held -= n
	a.shared.add(-n)
	if st.holding.in {
		a.remove(st)
	}
	if left > 0 {
		a.push(st)
	}
	a.leave()
	a.owe(n, false)
	return max(pressureOf(a.held, a.limit), a.shared.pressure())
}

// dropped notes that the n bytes which were held for st will not be consumed.
func (a *account) dropped(st *stream, n int64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.held -= n
	a.shared.add(-n)
	if st.holding.in {
		a.remove(st)
	}
	a.leave()
	a.owe(n, true)
}

// owe grants n bytes again, now or when a batch is owed. The caller holds mu.
func (a *account) owe(n int64, now bool) {
	if a.owed += n; a.owed >= batch || now && a.owed > 0 {
		a.grant(a.owed)
		a.owed = 0
	}
}

// grant gives the peer n bytes of credit. The caller holds mu.
func (a *account) grant(n int64) {
	a.credit += n
	a.due.Add(n)
	a.wake()
}

// widen grants n bytes more than so far: the lease has grown.
func (a *account) widen(n int64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.grant(n)
}

// grow asks for a wider window for a stream.
func (a *account) grow(n int64) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.grown+n > growth || max(pressureOf(a.held, a.limit), a.shared.pressure()) != relaxed {
		return false
	}
	a.grown += n
	return true
}

// shrink gives back what grow has given.
func (a *account) shrink(n int64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.grown -= n
}

// push puts st behind those that hold bytes: it has just made progress. The caller holds mu.
func (a *account) push(st *stream) {
	st.holding = holding{prev: a.last, since: time.Now(), in: true}
	if a.last != nil {
		a.last.holding.next = st
	} else {
		a.first = st
	}
	a.last = st
}

func (a *account) remove(st *stream) {
	h := st.holding
	if h.prev != nil {
		h.prev.holding.next = h.next
	} else {
		a.first = h.next
	}
	if h.next != nil {
		h.next.holding.prev = h.prev
	} else {
		a.last = h.prev
	}
	st.holding = holding{}
}

// stalledSince is since when the longest-stalled stream has stalled.
func (a *account) stalledSince() (time.Time, bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.first == nil {
		return time.Time{}, false
	}
	return a.first.holding.since, true
}

// relieve cancels streams, the longest-stalled first, until the memory is not over its limit any more. The caller holds
// no lock.
func (a *account) relieve() {
	for {
		from := a
		a.mu.Lock()
		own := a.held > a.limit
		a.mu.Unlock()
		if !own {
			if !a.shared.over() {
				return
			}
			if from = a.shared.longest(); from == nil {
				return
			}
		}
		from.mu.Lock()
		st := from.first
		if st != nil {
			from.remove(st) // whatever becomes of it, nobody looks at it twice
		}
		from.mu.Unlock()
		if st == nil {
			return
		}
		st.owner.slow()
	}
}

// errSlow is the end of a stream whose reader has stalled.
var errSlow = &Error{Code: spec.CodeSlowConsumer, Reason: "the reader stalled, and the memory for bodies is spent"}
