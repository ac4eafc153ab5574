package session_test

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stella-ops/router/spec"
	"github.com/stella-ops/router/transports"
	"github.com/stella-ops/router/transports/inmemory"
)

// A narrow link moves so many bytes of streams in a tick; everything else takes no time on it.
const (
	tick     = time.Millisecond
	tickMove = 16 << 10
)

type narrow struct {
	transports.Link

	mu    sync.Mutex
	moved map[uint32]int64 // bytes by stream
}

func (n *narrow) WriteFrames(batch []*transports.Frame) error {
	for i, f := range batch {
		if h := f.Header(); h.Type == spec.TypeRequestStreamData || h.Type == spec.TypeResponseStreamData {
			for left := int64(h.Length); left > 0; left -= tickMove {
				time.Sleep(tick)
				n.mu.Lock()
				n.moved[h.Stream] += min(left, tickMove)
				n.mu.Unlock()
			}
		}
		if err := n.Link.WriteFrames(batch[i : i+1]); err != nil {
			for _, f := range batch[i+1:] {
				f.Release()
			}
			return err
		}
	}
	return nil
}

// of is what the streams beyond one id and up to another have moved.
func (n *narrow) of(beyond, last int) map[uint32]int64 {
	n.mu.Lock()
	defer n.mu.Unlock()
	moved := map[uint32]int64{}
	for id, bytes := range n.moved {
		if int(id) > beyond && int(id) <= last {
			moved[id] = bytes
		}
	}
	return moved
}

// measured is the time in which streams are measured, and the one before that in which windows are filled.
const measured = 2 * time.Second

// share is what each of the active streams of a crowd moves, in order, once those that have stalled have filled
// their windows. Afterwards it cancels those, and then all, and looks at the books.
func share(t *testing.T, w way, stalled, active int) (moved []int64) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		glink, slink := inmemory.Pipe()
		link := &narrow{Link: slink, moved: map[uint32]int64{}}
		if w == up {
			link.Link = glink
			glink = link
		} else {
			slink = link
		}
		c, err := newCrowd(w, stalled, active, glink, slink)
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(measured + tick/2)
		before := link.of(2*stalled, spec.MaxStreamID)
		time.Sleep(measured)
		for id, bytes := range link.of(2*stalled, spec.MaxStreamID) {
			moved = append(moved, bytes-before[id])
		}
		for id, bytes := range link.of(0, 2*stalled) {
			if bytes != spec.StreamWindow {
				t.Errorf("stream %d, whose reader has stalled, has moved %d bytes, expected its window", id, bytes)
			}
		}
		c.leave(c.stalled)
		time.Sleep(measured) // longer than all that waits takes to leave
		if n := c.g.InFlight(); n != active {
			t.Errorf("%d calls are open once those that had stalled were cancelled, expected %d", n, active)
		}
		c.leave(c.active)
		time.Sleep(measured)
		if err := balanced(c.g, c.s); err != nil {
			t.Error(err)
		}
		c.close()
	})
	slices.Sort(moved)
	return moved
}

func sum(numbers []int64) (total int64) {
	for _, n := range numbers {
		total += n
	}
	return total
}

func TestStalledStreamsTakeNothingFromTheOthers(t *testing.T) {
	for _, w := range []way{up, down} {
		for _, stalled := range []int{1, 64} {
			t.Run(fmt.Sprintf("%d of 100 %s", stalled, w), func(t *testing.T) {
				with, without := share(t, w, stalled, 100-stalled), share(t, w, 0, 100-stalled)
				if a, b := sum(with), sum(without); a != b || a != int64(measured/tick)*tickMove {
					t.Errorf("the others moved %d bytes, and %d where none had stalled, expected all that the link moves, %d",
						a, b, int64(measured/tick)*tickMove)
				}
				if len(with) != 100-stalled {
					t.Errorf("%d streams moved something, expected %d", len(with), 100-stalled)
				}
				// Turns: none gets more than the others, but for the turn that it has.
				if least, most := with[0], with[len(with)-1]; most-least > 2*spec.MaxChunk {
					t.Errorf("the others moved %d to %d bytes each", least, most)
				}
			})
		}
	}
}
