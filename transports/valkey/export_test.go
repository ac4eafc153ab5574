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
