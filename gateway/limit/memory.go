package limit

import (
	"math"
	"sync"
	"sync/atomic"
	"time"
)

const (
	shards = 64
	// sample is how many keys of a full shard are looked at to make room for a new one, and sweep how often all of them are
	// at most, if the sample says nothing.
	sample = 32
	sweep  = int64(100 * time.Millisecond)
)

// memory keeps for every key the moment at which it has its whole burst again. Times are in nanoseconds, on a clock of the
// limiter's own that never goes back.
//
// A key that has its whole burst is as good as none: those go first when room is needed. Where none is found, the one of a
// sample goes that is next to it: who has asked most is forgotten last.
type memory struct {
	shards    [shards]shard
	most      int           // keys in a shard
	forgotten atomic.Uint64 // keys that were forgotten before they had their whole burst
}

type shard struct {
	mu    sync.Mutex
	full  map[uint64]int64 // when it is
	swept int64            // when all keys were looked at
	_     [40]byte         // one cache line each
}

func newMemory(keys int) *memory {
	m := &memory{most: (keys + shards - 1) / shards}
	for i := range m.shards {
		m.shards[i].full, m.shards[i].swept = map[uint64]int64{}, never
	}
	return m
}

// never is before any time, and far enough from the least that times can be subtracted.
const never = math.MinInt64 / 2

// rate is a rule's rate as GCRA has it: one request in interval, burst of them at once. In nanoseconds.
type rate struct {
	interval int64
	burst    int64
}

// verdict is what a count says. Times are in nanoseconds.
type verdict struct {
	allowed   bool
	remaining int64 // requests that would pass now
	reset     int64 // until the whole burst is there again
	wait      int64 // until a request would pass; 0 where one has
}

// decide is GCRA. full is when the key has its whole burst again, and may lie in the past. The second result is the new
// value.
func (r rate) decide(full, now int64) (verdict, int64) {
	room := r.interval * r.burst
	debt := min(max(full-now, 0), room)
	if late := debt + r.interval - room; late > 0 {
		return verdict{remaining: (room - debt) / r.interval, reset: debt, wait: late}, now + debt
	}
	debt += r.interval
	return verdict{allowed: true, remaining: (room - debt) / r.interval, reset: debt}, now + debt
}

// take asks for one request of a key.
func (m *memory) take(key uint64, r rate, now int64) verdict {
	s := &m.shards[key%shards]
	s.mu.Lock()
	defer s.mu.Unlock()
	full, known := s.full[key]
	if !known {
		full = never
		if len(s.full) >= m.most {
			m.room(s, now)
		}
	}
	v, full := r.decide(full, now)
	s.full[key] = full
	return v
}

// give takes a request back that was allowed and is not made.
func (m *memory) give(key uint64, r rate) {
	s := &m.shards[key%shards]
	s.mu.Lock()
	defer s.mu.Unlock()
	if full, known := s.full[key]; known {
		s.full[key] = full - r.interval
	}
}

// room forgets a key, or several. Where a walk over a map begins is random.
func (m *memory) room(s *shard, now int64) {
	victim, freed := s.purge(now, sample)
	if !freed && now-s.swept >= sweep {
		s.swept = now
		_, freed = s.purge(now, len(s.full))
	}
	if !freed {
		delete(s.full, victim)
		m.forgotten.Add(1)
	}
}

// purge looks at as many keys, deletes those that have their whole burst, and says which of the others is next to it.
func (s *shard) purge(now int64, most int) (victim uint64, freed bool) {
	next := int64(math.MaxInt64)
	for key, full := range s.full {
		if full <= now {
			delete(s.full, key)
			freed = true
		} else if full < next {
			victim, next = key, full
		}
		if most--; most == 0 {
			break
		}
	}
	return victim, freed
}

// len is how many keys are known.
func (m *memory) len() int {
	n := 0
	for i := range m.shards {
		s := &m.shards[i]
		s.mu.Lock()
		n += len(s.full)
		s.mu.Unlock()
	}
	return n
}
