//go:build soak && !race

package edge_test

// raced is whether the race detector slows everything down.
const raced = false
