//go:build race

package transports

import "bytes"

var rubbish = bytes.Repeat([]byte{0xdd}, 4<<10)

// poison overwrites released bytes, so that in tests whoever kept an alias sees rubbish instead of the old bytes. It
// copies, because the race detector looks at each write: byte by byte, that was nearly all that tests of streams did.
func poison(b []byte) {
	for len(b) > 0 {
		b = b[copy(b, rubbish):]
	}
}
