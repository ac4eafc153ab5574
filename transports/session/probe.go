package session

import (
	"github.com/stella-ops/router/spec"
	"github.com/stella-ops/router/transports"
)

// probe measures whether a stream's window holds its sender up: it asks the peer for a PONG and counts what comes until
// then. If that is half a window or more, the peer could have sent more than the window lets it, and the window doubles.
// One stream of a session is measured at a time, and seldom again when its window was wide enough. The reader's alone.
type probe struct {
	st    *stream
	from  int64  // what had come on the stream
	aux   uint32 // of the PING
	pings uint32
}

// probeBit tells the PINGs that measure from those that ask for life.
const probeBit = 1 << 31

// patience is how many windows of bytes pass until a stream whose window was wide enough is measured again; it doubles
// each time.
const patience = 8

// measure begins to measure st.
func (c *core) measure(st *stream) {
	p := &c.probe
	if p.st != nil {
		return
	}
	st.mu.Lock()
	p.from = st.recv.total
	st.mu.Unlock()
	p.pings++
	p.st, p.aux = st, p.pings|probeBit
	c.w.enqueue(transports.NewControl(spec.TypePing, 0, p.aux, nil))
}

// ponged ends a measurement.
func (c *core) ponged(aux uint32) {
	p := &c.probe
	if p.st == nil || aux != p.aux {
		return
	}
	st := p.st
	p.st = nil
	st.mu.Lock()
	r := &st.recv
	narrow := r.total-p.from >= r.window/2
	if narrow {
		r.probeAt = r.total
	} else {
		r.patience = max(2*r.patience, patience)
		r.probeAt = r.total + r.patience*r.window
	}
	st.mu.Unlock()
	if narrow {
		st.widen()
	}
}
