//go:build soak && race

package edge_test

// With the race detector, two thousand timers that fire at once keep a small machine busy for a second.
func init() { raced = true }
