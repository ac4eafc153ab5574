package valkey

import (
	"time"

	"github.com/stella-ops/router/transports"
)

// What is lost is noticed sooner, so that specs about it take less time.
func init() {
	renewEvery, registerEvery, consumerIdle = 500*time.Millisecond, 700*time.Millisecond, 500*time.Millisecond
}

// Abandon leaves a link as the end of its process would.
func Abandon(l transports.Link) {
	if l, ok := l.(*link); ok {
		l.b.remove(l.in)
	}
}

// SetStall sets how long a write waits without progress.
func SetStall(l transports.Link, d time.Duration) {
	if l, ok := l.(*link); ok {
		l.stall = d
	}
}

// QueueKey is the key of a queue under the default prefix, and its name in the set of names.
func QueueKey(n transports.QueueName) (key, name string) {
	q := queues{target: target{prefix: DefaultPrefix}}
	return q.keys(n).stream, encodeName(n)
}

// DecodeName is decodeName.
func DecodeName(s string) (transports.QueueName, error) { return decodeName(s) }

// Block has a worker that was never asked for anything wait for entries, with room for so many besides the one that it
// returns: its id, and how many it keeps. It has begun none of them.
func Block(tw transports.Worker, room int) (id string, ready int, err error) {
	w, ok := tw.(*worker)
	if !ok {
		return "", 0, errLost
	}
	e, err := w.block(room)
	if e == nil {
		return "", 0, err
	}
	return e.id, len(w.ready), err
}
