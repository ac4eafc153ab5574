package session

import (
	"errors"
	"fmt"

	"github.com/stella-ops/router/spec"
)

// ErrTooLarge is what [Gateway.Start] wraps when the link cannot carry the call: PROTOCOL.md, section "Links that carry
// small calls only". Nothing of it was sent.
var ErrTooLarge = errors.New("session: the link does not carry calls of this size")

// small is the largest payload, in bytes, of a frame of a call on a link that carries small calls only, and 0 on others.
func (c *core) small() int {
	if t := &c.traits; !t.Streams {
		return int(t.MaxPayload)
	}
	return 0
}

// carries is an error if the link cannot carry a frame that begins one half of a call: its payload, and whether it is the
// whole of it.
func (c *core) carries(payload int, flags spec.Flags) error {
	most := c.small()
	switch {
	case most == 0:
		return nil
	case flags&spec.FlagEnd == 0:
		return fmt.Errorf("%w: it streams a body, and the transport carries whole calls only", ErrTooLarge)
	case payload > most:
		return fmt.Errorf("%w: metadata and body take %d bytes, and the transport carries %d", ErrTooLarge, payload, most)
	}
	return nil
}

// seenWindow is how far behind the newest one a call's id may be for its REQUEST still to be served, in ids.
const seenWindow = 1 << 16

// seen remembers which calls have come, on a link that may bring a REQUEST twice: a handler runs at most once for each. The
// reader's alone.
type seen struct {
	next uint32   // number of the call after the newest one; a call's number is half its stream id
	bits []uint64 // around; nil on links that bring every frame once
}

// first reports whether a call comes for the first time. One that is so far behind that nobody remembers does not.
func (s *seen) first(id uint32) bool {
	if s.bits == nil {
		return true
	}
	n := id / 2 //nolint:mnd // gateways have the even ids
	switch {
	case n < s.next && s.next-n > seenWindow:
		return false
	case n >= s.next && n-s.next >= seenWindow:
		clear(s.bits)
		s.next = n + 1
	case n >= s.next:
		for ; s.next <= n; s.next++ { // what stood there is a window old
			s.bits[s.next%seenWindow/64] &^= 1 << (s.next % 64)
		}
	}
	word, bit := &s.bits[n%seenWindow/64], uint64(1)<<(n%64)
	again := *word&bit != 0
	*word |= bit
	return !again
}
