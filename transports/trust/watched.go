package trust

import (
	"fmt"
	"os"
	"sync"
	"time"
)

// Watched is what some files say, read again when one of them has changed. Get may be called concurrently.
type Watched[T any] struct {
	Files  []string
	Read   func() (T, error)
	Broken func(error) // told, once each, why the files cannot be used any more

	mu    sync.Mutex
	value T
	seen  []stamp // what the files were when they were read
	said  string
}

// stamp tells one state of a file from another.
type stamp struct {
	size int64
	at   time.Time
}

// Get returns what the files say now, or said last. It fails only as long as nothing has been read.
func (w *Watched[T]) Get() (T, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	now := make([]stamp, len(w.Files))
	same := len(w.seen) > 0
	for i, name := range w.Files {
		if info, err := os.Stat(name); err == nil {
			now[i] = stamp{info.Size(), info.ModTime()}
		}
		same = same && now[i] == w.seen[i]
	}
	if same {
		return w.value, nil
	}
	value, err := w.Read()
	switch {
	case err == nil:
		w.value, w.seen, w.said = value, now, ""
	case len(w.seen) == 0:
		return w.value, err
	case err.Error() != w.said:
		w.said = err.Error()
		w.Broken(fmt.Errorf("%w; what was read before stays good", err))
	}
	return w.value, nil
}
