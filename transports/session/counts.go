package session

import (
	"sync/atomic"

	"github.com/stella-ops/router/spec"
)

// countedCodes are counted each for itself, all above together with the last one: peers choose codes.
const countedCodes = 32

// Counts is what the gateway's ends of sessions have seen that share it. The zero value has seen nothing. It may be used
// concurrently.
type Counts struct {
	sent, received [countedCodes]atomic.Uint64
	stalls         atomic.Uint64
}

func (c *Counts) cancelSent(code spec.Code) {
	if c != nil {
		c.sent[min(code, countedCodes-1)].Add(1)
	}
}

func (c *Counts) cancelReceived(code spec.Code) {
	if c != nil {
		c.received[min(code, countedCodes-1)].Add(1)
	}
}

func (c *Counts) stalled() {
	if c != nil {
		c.stalls.Add(1)
	}
}

// Cancels are the calls that were cancelled by this end, and by services, by their codes.
func (c *Counts) Cancels() (sent, received map[spec.Code]uint64) {
	read := func(from *[countedCodes]atomic.Uint64) map[spec.Code]uint64 {
		m := map[spec.Code]uint64{}
		for code := range from {
			if n := from[code].Load(); n > 0 {
				m[spec.Code(code)] = n
			}
		}
		return m
	}
	return read(&c.sent), read(&c.received)
}

// Stalls are the times that a body for a service had to wait for credit.
func (c *Counts) Stalls() uint64 { return c.stalls.Load() }
