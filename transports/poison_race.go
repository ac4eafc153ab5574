//go:build race

package transports

// poison overwrites released bytes, so that in tests whoever kept an alias sees rubbish instead of the old bytes.
func poison(b []byte) {
	for i := range b {
		b[i] = 0xdd
	}
}
