package session

import (
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Memory bounds the bytes of bodies that the sessions which share it hold together: what has come and has been neither
// consumed nor dropped. When it is spent, the stream that has stalled for longest is cancelled as SLOW_CONSUMER,
// whichever session it is on. Its methods may be called concurrently. A nil Memory is no bound beyond each session's own.
type Memory struct {
	limit int64
	held  atomic.Int64

	mu       sync.Mutex
	accounts map[*account]struct{}
}

// NewMemory returns a budget of the given bytes.
func NewMemory(limit int64) *Memory {
	return &Memory{limit: limit, accounts: map[*account]struct{}{}}
}

// Held is the bytes that are held now.
func (m *Memory) Held() int64 {
	if m == nil {
		return 0
	}
	return m.held.Load()
}

func (m *Memory) add(n int64) {
	if m != nil {
		m.held.Add(n)
	}
}

func (m *Memory) over() bool { return m != nil && m.held.Load() > m.limit }

// pressure is how much of the budget is spent: see the constants.
func (m *Memory) pressure() pressure {
	if m == nil {
		return relaxed
	}
	return pressureOf(m.held.Load(), m.limit)
}

func (m *Memory) enter(a *account) {
	if m != nil {
		m.mu.Lock()
		defer m.mu.Unlock()
		m.accounts[a] = struct{}{}
	}
}

func (m *Memory) leave(a *account) {
	if m != nil {
		m.mu.Lock()
		defer m.mu.Unlock()
		delete(m.accounts, a)
	}
}

// longest is the account whose longest-stalled stream has stalled for longest. It is asked for under pressure only.
func (m *Memory) longest() *account {
	m.mu.Lock()
	accounts := slices.Collect(maps.Keys(m.accounts)) // whose locks are taken before m's
	m.mu.Unlock()
	var found *account
	var oldest time.Time
	for _, a := range accounts {
		if since, ok := a.stalledSince(); ok && (found == nil || since.Before(oldest)) {
			found, oldest = a, since
		}
	}
	return found
}

// pressure says how much of a budget is spent.
type pressure uint8

const (
	relaxed pressure = iota // windows may grow
	tense                   // over half: windows do not grow, and are what they were at first
	scarce                  // over three quarters: a quarter of that
)

func pressureOf(held, limit int64) pressure {
	switch {
	case held > limit/4*3:
		return scarce
	case held > limit/2:
		return tense
	}
	return relaxed
}
