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
}

func (t *tombs) init(order transports.Order) {
	if order != transports.OrderLink {
		t.stands = map[uint32]time.Time{}
	}
}

// add remembers a CANCEL whose call is not open. Most have crossed their call's end, which nobody can tell.
func (t *tombs) add(id uint32) {
	if t.stands == nil {
		return
	}
	if len(t.stands) >= maxTombs {
		t.sweep()
	}
	if len(t.stands) < maxTombs {
		t.stands[id] = time.Now()
	}
}

func (t *tombs) sweep() {
	for id, since := range t.stands {
		if time.Since(since) > spec.CancelHold {
			delete(t.stands, id)
		}
	}
}

// take reports whether the call was cancelled before it came.
func (t *tombs) take(id uint32) bool {
	since, ok := t.stands[id]
	if ok {
		delete(t.stands, id)
	}
	return ok && time.Since(since) <= spec.CancelHold
}
