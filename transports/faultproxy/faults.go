// Package faultproxy puts faults between two ends that talk over TCP or UDP: delay, jitter, loss, duplicates, reordering,
// truncation, little bandwidth, bytes that come late, closed halves, silence in one direction, resets. It is for tests: a
// service or a client is pointed at the proxy instead of at its peer, and the test changes what happens on the way while
// both run.
//
// It knows nothing of frames, binds loopback addresses only, and holds a bounded number of bytes. Randomness comes from
// a seed, so that what a test has printed can be played again. Start reading at [ListenTCP] and [Faults].
package faultproxy

import (
	"math/rand/v2"
	"sync"
	"time"
)

// Direction is one way through a proxy.
type Direction uint8

// The directions.
const (
	ToTarget Direction = iota // from whoever dialled the proxy
	ToClient
	directions
)

func (d Direction) String() string {
	if d == ToTarget {
		return "to target"
	}
	return "to client"
}

// Blackhole is how a direction is silent while the connections stay open.
type Blackhole uint8

// The kinds of silence.
const (
	Pass    Blackhole = iota // none
	Swallow                  // what is sent vanishes: the sender notices nothing
	Stall                    // nothing is read any more: the sender fills the buffers on the way, and then waits
)

// Faults are what happens in one direction. The zero value is none. They may be changed at any time, and hold for what
// is read from then on.
type Faults struct {
	Delay  time.Duration // of everything, without costing throughput up to 1 MiB on the way
	Jitter time.Duration // up to so much more, each time anew; bytes of TCP keep their order
	// Bandwidth is bytes a second; 0 is no limit.
	Bandwidth int64
	Blackhole Blackhole
	// CutAfter breaks off: a TCP connection is closed when so many more bytes have passed in this direction, counted over
	// all connections from when it is set; a datagram loses what is beyond. 0 cuts nothing.
	CutAfter int64

	// Of TCP: each chunk of at most 1,400 bytes comes LateBy later with this probability, from 0 to 1, and what is behind
	// it no sooner, as when a segment was lost and had to be sent again.
	Late   float64
	LateBy time.Duration

	// Of datagrams, each with its probability from 0 to 1.
	Loss      float64
	Duplicate float64
	Reorder   float64 // one that is held back until another has passed it, or 20 ms
}

const (
	chunkSize   = 16 << 10 // bytes that are read at once
	segment     = 1400     // bytes of TCP that are late together: what a packet carries on most networks
	chunksHeld  = 64       // chunks on their way in one direction of a connection: 1 MiB
	packetsHeld = 1024     // datagrams on their way in one direction
)

// lane is the faults of one direction, and tells when they change.
type lane struct {
	mu      sync.Mutex
	faults  Faults
	left    int64         // bytes until a cut; only with CutAfter
	changed chan struct{} // closed when the faults are changed
}

func (l *lane) set(f Faults) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.faults, l.left = f, f.CutAfter
	if l.changed != nil {
		close(l.changed)
		l.changed = nil
	}
}

// get returns the faults, and a channel that is closed when they change.
func (l *lane) get() (Faults, <-chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.changed == nil {
		l.changed = make(chan struct{})
	}
	return l.faults, l.changed
}

// pass takes n bytes off what may pass before the cut. It returns how many of them may, and whether the cut is there.
func (l *lane) pass(n int) (may int, cut bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.faults.CutAfter == 0 {
		return n, false
	}
	may = int(min(int64(n), l.left))
	l.left -= int64(may)
	return may, l.left == 0
}

// dice is seeded randomness that several goroutines share.
type dice struct {
	mu sync.Mutex
	r  *rand.Rand
}

// newDicePair is one for each direction, so that what one draws does not change what becomes of the other.
func newDicePair(seed uint64) (pair [directions]*dice) {
	for dir := range pair {
		pair[dir] = &dice{r: rand.New(rand.NewPCG(seed, uint64(dir)))} //nolint:gosec // faults have to be the same each time
	}
	return pair
}

// chance is true with a probability.
func (d *dice) chance(p float64) bool {
	if p <= 0 {
		return false
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.r.Float64() < p
}

// upTo is a random time from 0 to limit.
func (d *dice) upTo(limit time.Duration) time.Duration {
	if limit <= 0 {
		return 0
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	return time.Duration(d.r.Int64N(int64(limit) + 1))
}

// pace spreads bytes over time.
type pace struct{ free time.Time }

// after is when n bytes have passed that begin at now at the earliest.
func (p *pace) after(now time.Time, n int, bandwidth int64) time.Time {
	if bandwidth <= 0 {
		return now
	}
	if p.free.Before(now) {
		p.free = now
	}
	p.free = p.free.Add(time.Duration(int64(n) * int64(time.Second) / bandwidth))
	return p.free
}
