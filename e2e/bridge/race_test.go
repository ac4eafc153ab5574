//go:build race

package bridge

const raced = true
