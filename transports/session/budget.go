package session

import (
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/stella-ops/router/spec"
)

// Bounds of what a peer may send that is of no use by itself: PING, CREDIT, frames of calls that are over, and the like.
// Every useful frame, either way, earns some of it.
const (
	idleFrames = 50_000 // at once
	idleRate   = 1_000  // a second, beside what is earned
	idleEarned = 8      // by a useful frame
)

// DefaultCancels is how many calls a minute one side may cancel.
const DefaultCancels = 600_000

var errFlood = &Error{
	Code: spec.CodeFlow, Reason: fmt.Sprintf("over %d frames that are of no use, beyond %d a second and %d for each that is", idleFrames, idleRate, idleEarned),
}

// budget counts frames that are of no use by themselves, so that a peer that sends little else ends its own session
// instead of keeping this side busy. The reader's alone.
type budget struct {
	spent  int64
	sent   uint64    // what the writer had sent when it was asked last
	filled time.Time // when the budget was filled last
}

// spend pays for a received frame.
func (b *budget) spend(h spec.Header, w *writer) error {
	if useful(h) {
		b.spent = max(b.spent-idleEarned, 0)
		return nil
	}
	if b.spent++; b.spent <= idleFrames {
		return nil
	}
	sent := w.useful.Load()
	b.spent -= min(int64(sent-b.sent)*idleEarned, b.spent)
	b.sent = sent
	if earned := time.Since(b.filled).Milliseconds() * idleRate / 1000; earned > 0 {
		b.spent -= min(earned, b.spent)
		b.filled = time.Now()
	}
	if b.spent > idleFrames {
		return errFlood
	}
	return nil
}

// useful reports whether a frame carries something of a call, or of what can be called.
func useful(h spec.Header) bool {
	switch h.Type {
	case spec.TypeRequest, spec.TypeResponse, spec.TypeEndpoints:
		return true
	case spec.TypeRequestStreamData, spec.TypeResponseStreamData:
		return h.Length > 0 || h.Flags&spec.FlagEnd != 0
	default:
		return false
	}
}

// cancels is a budget of so many a minute, which fills up steadily. It may be used concurrently.
type cancels struct {
	empty atomic.Bool // none was left when it was looked at last

	mu     sync.Mutex
	limit  float64 // a minute, and at once
	left   float64
	filled time.Time
}

func (c *cancels) init(limit int) {
	c.limit, c.left, c.filled = float64(limit), float64(limit), time.Now()
}

// spend takes one, and reports whether there was one left.
func (c *cancels) spend() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.fill()
	c.left--
	c.empty.Store(c.left < 1)
	return c.left >= 0
}

// spentAll reports whether none is left. It takes no lock as long as there are some.
func (c *cancels) spentAll() bool {
	if !c.empty.Load() {
		return false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.fill()
	c.empty.Store(c.left < 1)
	return c.left < 1
}

// fill adds what the time since has brought. The caller holds mu.
func (c *cancels) fill() {
	now := time.Now()
	c.left = min(c.limit, c.left+c.limit*now.Sub(c.filled).Minutes())
	c.filled = now
}

var errCancels = &Error{Code: spec.CodeFlow, Reason: "the peer cancels more calls a minute than this side allows"}
