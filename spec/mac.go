package spec

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"hash"
)

// What one MAC frame covers at most. Source: PROTOCOL.md, section "Limits".
const (
	MaxSignedFrames = 1024
	MaxSignedBytes  = 512 << 10
)

// Sizes in the metadata of a MAC frame: its number, and the MAC.
const (
	macNumber = 8
	macTag    = 16
	// MACSize is the metadata of a MAC frame, in bytes.
	MACSize = macNumber + macTag
)

// MAC signs one direction of a link's frames, or checks what the other end has signed: frames are added, and then signed
// or checked together. Source: PROTOCOL.md, section "Frames that cross a broker". It is for one goroutine.
type MAC struct {
	hash   hash.Hash
	number uint64 // of the last MAC frame
	sum    [sha256.Size]byte
}

// NewMAC returns the MAC of a direction, from its key.
func NewMAC(key []byte) *MAC { return &MAC{hash: hmac.New(sha256.New, key)} }

// Add adds a frame as it travels.
func (m *MAC) Add(frame []byte) { m.hash.Write(frame) }

// Append appends the metadata of a MAC frame for what was added.
func (m *MAC) Append(b []byte) []byte {
	m.number++
	b = binary.BigEndian.AppendUint64(b, m.number)
	return append(b, m.finish(m.number)...)
}

// Check reports whether meta is the metadata of a MAC frame for exactly what was added, and none that came before. Numbers
// may be left out: a broker may drop what has expired.
func (m *MAC) Check(meta []byte) bool {
	if len(meta) != MACSize {
		return false
	}
	number := binary.BigEndian.Uint64(meta)
	good := hmac.Equal(m.finish(number), meta[macNumber:]) && number > m.number
	if good {
		m.number = number
	}
	return good
}

// finish is the MAC of what was added, and of the number; the next one begins.
func (m *MAC) finish(number uint64) []byte {
	var b [macNumber]byte
	binary.BigEndian.PutUint64(b[:], number)
	m.hash.Write(b[:])
	sum := m.hash.Sum(m.sum[:0])
	m.hash.Reset()
	return sum[:macTag]
}
