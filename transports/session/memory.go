package session

// Memory bounds the bytes of bodies that the sessions which share it hold: what has come and has not been consumed. Nil
// is no bound beyond each session's own. It may be used concurrently.
type Memory struct {
	limit int64
}

// NewMemory returns a budget of the given bytes.
func NewMemory(limit int64) *Memory { return &Memory{limit: limit} }
