package auth

import (
	"hash/maphash"
	"math/bits"
	"math/rand/v2"
	"strings"
	"sync/atomic"
	"time"
)

const (
	defaultRemember = 8192
	maxRemember     = 1 << 20
	// ways is how many tokens whose hashes agree in the bits that count are kept beside each other.
	// Eight pointers are one line of a processor's cache.
	ways = 8
)

// memory keeps verified tokens. A signature takes more time to verify than all the rest of a request, and clients send
// a token many times. It is a table of fixed size without a lock: readers and writers exchange whole entries.
type memory struct {
	seed  maphash.Seed
	slots []atomic.Pointer[verified]
}

// verified is a token and what it proves. It is not changed once it can be found.
type verified struct {
	hash   uint64
	token  string
	proof  Proof
	key    *key
	source *source
}

func newMemory(size int) *memory {
	if size <= 0 {
		size = defaultRemember
	}
	size = max(min(size, maxRemember), ways)
	return &memory{seed: maphash.MakeSeed(), slots: make([]atomic.Pointer[verified], 1<<bits.Len(uint(size-1)))}
}

// hash is seeded: nobody can choose tokens that displace another's.
func (m *memory) hash(token string) uint64 { return maphash.String(m.seed, token) }

func (m *memory) row(hash uint64) []atomic.Pointer[verified] {
	at := int(hash & uint64(len(m.slots)-1) &^ (ways - 1))
	return m.slots[at : at+ways]
}

// find returns what is known of token, or nil.
func (m *memory) find(hash uint64, token string) *verified {
	row := m.row(hash)
	for i := range row {
		if e := row[i].Load(); e != nil && e.hash == hash && e.token == token {
			return e
		}
	}
	return nil
}

// keep takes the place of the same token, of none, of one that is of no use any more, or of any.
func (m *memory) keep(hash uint64, e *verified, now time.Time) {
	e.hash = hash
	e.token = strings.Clone(e.token) // it is a part of a larger string
	row := m.row(hash)
	place := -1
	for i := range row {
		old := row[i].Load()
		switch {
		case old == nil, old.key.gone.Load(), old.source.gone.Load(), !now.Before(old.proof.Until):
			if place < 0 {
				place = i
			}
		case old.hash == hash && old.token == e.token:
			row[i].Store(e)
			return
		}
	}
	if place < 0 {
		place = rand.IntN(ways) //nolint:gosec // fair is enough
	}
	row[place].Store(e)
}
