package routing

import (
	"fmt"
	"math"
	"sync/atomic"
	"time"
)

// decay is how fast the average of latencies forgets: what lies as far back counts for 1/e. Finagle, which has the
// measure first, and Traefik use the same.
const decay = 10 * time.Second

// windowParts is in how many steps the window of failures moves on.
const windowParts = 10

// Result is what a call says of its instance.
type Result uint8

// The results. A call that the client broke off, and one that the service refused, say nothing.
const (
	Answered Result = iota // with a status below 500
	Failed                 // with a status of 500 or more, a timeout, or because the service gave it up
	Lost                   // with its session
	Outrun                 // cancelled, since a second instance has answered before: it takes at least as long
)

// vitals is what has been seen of an instance's calls. It outlives the session: the instance's next one has the same.
type vitals struct {
	// Written by whoever has seen a call end, without a lock.
	average atomic.Uint64              // of latencies, see mean; 0: none
	row     atomic.Int64               // calls that have failed since the last that did not
	window  [windowParts]atomic.Uint64 // see part
	suspect atomic.Pointer[string]     // why it should be ejected
	deaf    atomic.Int64               // until when nobody suspects it, in Unix nanoseconds: it could not be ejected
	warm    atomic.Int64               // when it began to start slowly, in Unix nanoseconds

	// Guarded by the registry's mutex.
	until    time.Time // it is ejected until then; zero: it is not
	why      string
	times    int       // ejections in a row
	returned time.Time // from the last one
	left     time.Time // when its session ended
}

func newVitals(now time.Time) *vitals {
	v := new(vitals)
	v.warm.Store(now.UnixNano())
	return v
}

func (v *vitals) ejected() bool { return !v.until.IsZero() }

// mean is an average of latencies in nanoseconds, and the millisecond at which it was that, in one word, so that both
// are written at once. Milliseconds are counted modulo 2^32, which is 49 days.
type mean uint64

func meanOf(ns float64, at int64) mean {
	return mean(math.Float32bits(float32(ns)))<<32 | mean(uint32(at/int64(time.Millisecond)))
}

// value is what the average has decayed to by then: an instance that nobody asks is forgiven, and asked again.
func (m mean) value(at int64) (ns, weight float64) {
	ns = float64(math.Float32frombits(uint32(m >> 32)))
	passed := uint32(at/int64(time.Millisecond)) - uint32(m)
	if passed == 0 || passed > 1<<31 { // at once, or the clock was set back
		return ns, 1
	}
	weight = math.Exp(-float64(passed) * float64(time.Millisecond) / float64(decay))
	return ns * weight, weight
}

// observe takes a latency into the average. One above it counts at once and whole; one below only if it says something
// good of the instance.
func (v *vitals) observe(took time.Duration, good bool, now int64) {
	ns := max(float64(took), 1)
	for {
		old := v.average.Load()
		next := meanOf(ns, now)
		if old != 0 {
			was := math.Float32frombits(uint32(old >> 32))
			_, weight := mean(old).value(now)
			switch {
			case float32(ns) >= was:
			case !good, weight == 1: // the average of this millisecond has had its say
				return
			default:
				next = meanOf(float64(was)*weight+ns*(1-weight), now)
			}
		}
		if v.average.CompareAndSwap(old, uint64(next)) {
			return
		}
	}
}

// latency is the average by a moment; 0 when there is none.
func (v *vitals) latency(now int64) float64 {
	m := mean(v.average.Load())
	if m == 0 {
		return 0
	}
	ns, _ := m.value(now)
	return max(ns, 1)
}

// Latencies count as alike below noise, and as long as one is at most alike times the other. A single slow answer, which
// any process has now and then, must not take all calls from one of two instances; and where the difference is real, calls
// in flight pile up at the slower one and tell.
const (
	noise = float64(time.Millisecond)
	alike = 2
)

// cheaper reports whether a call to in is likely to be answered sooner than one to other, and neither is as good. One without
// a latency is taken for twice as fast as the other: it is tried at once, and by no more calls than twice the other's.
func (in *Instance) cheaper(other *Instance, now int64) bool {
	mine, theirs := in.vitals.latency(now), other.vitals.latency(now)
	switch {
	case mine == 0 && theirs == 0:
		mine, theirs = 1, 1
	case mine == 0:
		mine, theirs = 1, 2
	case theirs == 0:
		mine, theirs = 2, 1
	default:
		mine, theirs = max(mine, noise), max(theirs, noise)
		if max(mine, theirs) <= alike*min(mine, theirs) {
			mine, theirs = 1, 1
		}
	}
	return mine*float64(in.InFlight()+1) < theirs*float64(other.InFlight()+1)
}

// part counts the calls of a part of the window: when it was, in parts modulo 2^24, all calls, and those that failed, each
// up to 2^20-1.
type part uint64

const partMax = 1<<20 - 1

func partOf(stamp uint32, all, failed uint64) part {
	return part(stamp&(1<<24-1))<<40 | part(min(all, partMax))<<20 | part(min(failed, partMax))
}

func (p part) stamp() uint32  { return uint32(p >> 40) }
func (p part) all() uint64    { return uint64(p>>20) & partMax }
func (p part) failed() uint64 { return uint64(p) & partMax }

// count adds a call to the window.
func (v *vitals) count(failed bool, window time.Duration, now int64) {
	stamp := uint32(now/(int64(window)/windowParts)) & (1<<24 - 1)
	slot := &v.window[stamp%windowParts]
	n := uint64(0)
	if failed {
		n = 1
	}
	for {
		old := part(slot.Load())
		next := partOf(stamp, 1, n)
		if old != 0 && old.stamp() == stamp {
			next = partOf(stamp, old.all()+1, old.failed()+n)
		}
		if slot.CompareAndSwap(uint64(old), uint64(next)) {
			return
		}
	}
}

// counted are the calls of the window up to now.
func (v *vitals) counted(window time.Duration, now int64) (all, failed uint64) {
	stamp := uint32(now/(int64(window)/windowParts)) & (1<<24 - 1)
	for i := range v.window {
		p := part(v.window[i].Load())
		if p != 0 && (stamp-p.stamp())&(1<<24-1) < windowParts {
			all, failed = all+p.all(), failed+p.failed()
		}
	}
	return all, failed
}

// clear forgets failures.
func (v *vitals) clear() {
	v.row.Store(0)
	for i := range v.window {
		v.window[i].Store(0)
	}
	v.suspect.Store(nil)
}

// Observe notes what came of a call to an instance of the release, took after it was sent; 0 where that says nothing. It takes
// no lock.
func (r *Release) Observe(in *Instance, result Result, took time.Duration, now time.Time) {
	v, at := in.vitals, now.UnixNano()
	if result != Lost && took > 0 {
		v.observe(took, result == Answered, at)
	}
	e := &r.policy.Ejection
	if e.off() || result == Outrun {
		return
	}
	if result == Answered {
		if v.row.Load() != 0 {
			v.row.Store(0)
		}
		if e.FailurePercent > 0 {
			v.count(false, e.Window, at)
		}
		return
	}
	if result == Lost && in.lost.Swap(true) { // with many calls at once, which are one failure
		return
	}
	row := v.row.Add(1)
	if e.FailurePercent > 0 {
		v.count(true, e.Window, at)
	}
	if why := v.accuse(e, int(row), at); why != "" && v.suspect.CompareAndSwap(nil, &why) && r.registry != nil {
		r.registry.kick()
	}
}

// accuse says why an instance should be ejected.
func (v *vitals) accuse(e *Ejection, row int, now int64) string {
	deaf := v.deaf.Load() - now
	if deaf > 0 && deaf <= int64(deafness) || v.suspect.Load() != nil { // longer: the clock was set back
		return ""
	}
	if e.ConsecutiveFailures > 0 && row >= e.ConsecutiveFailures {
		return fmt.Sprintf("%d calls in a row failed", row)
	}
	if e.FailurePercent == 0 {
		return ""
	}
	all, failed := v.counted(e.Window, now)
	if all >= uint64(e.MinRequests) && failed*100 >= all*uint64(e.FailurePercent) {
		return fmt.Sprintf("%d of %d calls within %v failed", failed, all, e.Window)
	}
	return ""
}
