//go:build !race

package bridge

// raced is that the race detector is at work.
const raced = false
