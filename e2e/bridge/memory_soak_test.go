//go:build soak

package bridge

import "testing"

// TestSoakMemory moves a GiB up, down, and both ways.
func TestSoakMemory(t *testing.T) { flow(t, 1<<30) }
