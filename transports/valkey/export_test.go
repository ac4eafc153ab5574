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
