package session

import (
	"time"

	"github.com/stella-ops/router/spec"
	"github.com/stella-ops/router/transports"
)

// maxTombs bounds the tombstones of a session.
const maxTombs = 4096

// tombs remember CANCELs that have overtaken their REQUEST, on links that let them: PROTOCOL.md, section "A stream's
// life". The reader's alone.
type tombs struct {
	stands map[uint32]time.Time // nil on links that keep the order of all frames
	ids    []uint32             // in the order in which they came, around next
	next   int
}

func (t *tombs) init(order transports.Order) {
	if order != transports.OrderLink {
		t.stands = map[uint32]time.Time{}
	}
}

// add remembers a CANCEL whose call is not open. Most have crossed their call's end, which nobody can tell, and the
// older one is, the more likely that is: when there are too many, the oldest makes room.
func (t *tombs) add(id uint32) {
	if t.stands == nil {
		return
	}
	if _, again := t.stands[id]; again {
		return
	}
	if len(t.ids) < maxTombs {
		t.ids = append(t.ids, id)
	} else {
		delete(t.stands, t.ids[t.next])
		t.ids[t.next] = id
		t.next = (t.next + 1) % maxTombs
	}
	t.stands[id] = time.Now()
}

// take reports whether the call was cancelled before it came.
func (t *tombs) take(id uint32) bool {
	since, ok := t.stands[id]
	if ok {
		delete(t.stands, id)
	}
	return ok && time.Since(since) <= spec.CancelHold
}
