package valkey

import (
	"time"

	"github.com/stella-ops/router/transports"
)

// SetStall sets how long a write waits without progress.
func SetStall(l transports.Link, d time.Duration) {
	if l, ok := l.(*link); ok {
		l.stall = d
	}
}
