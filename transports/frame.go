package transports

import (
	"math/bits"
	"sync"
	"sync/atomic"

	"github.com/stella-ops/router/spec"
)

// Frame is one frame in a pooled buffer: header and payload, contiguous, as they travel. Whoever holds a Frame
// releases it once; [Frame.Retain] adds a holder. After the last release the bytes belong to somebody else, so
// nothing that outlives the holder may alias them.
type Frame struct {
	b    []byte
	refs atomic.Int32
}

// Buffers come in classes of powers of two, from 512 bytes to what the largest inline frame takes. Larger frames
// are not pooled.
const (
	minClass = 9
	maxClass = 18
)

var pools [maxClass + 1]sync.Pool

// NewFrame returns a frame with room for size bytes of payload without growing. Its header is not set and its
// payload is empty.
func NewFrame(size int) *Frame {
	size += spec.HeaderSize
	class := max(minClass, bits.Len(uint(size-1)))
	var f *Frame
	if class <= maxClass {
		f, _ = pools[class].Get().(*Frame)
	}
	if f == nil {
		n := size
		if class <= maxClass {
			n = 1 << class
		}
		f = &Frame{b: make([]byte, 0, n)}
	}
	f.b = f.b[:spec.HeaderSize]
	f.refs.Store(1)
	return f
}

// Retain adds a holder.
func (f *Frame) Retain() { f.refs.Add(1) }

// Release drops a holder; the last one gives the buffer back. A nil frame is allowed.
func (f *Frame) Release() {
	if f == nil {
		return
	}
	switch n := f.refs.Add(-1); {
	case n > 0:
		return
	case n < 0:
		panic("transports: frame released twice")
	}
	// A buffer that grew belongs to the class it has outgrown at most.
	if class := bits.Len(uint(cap(f.b))) - 1; class >= minClass && class <= maxClass {
		poison(f.b[:cap(f.b)])
		pools[class].Put(f)
	}
}

// Seal writes the header: Length is computed, meta is the number of payload bytes that are metadata.
func (f *Frame) Seal(t spec.FrameType, flags spec.Flags, stream, aux uint32, meta int) {
	spec.Header{
		Length: uint32(len(f.b) - spec.HeaderSize), Type: t, Flags: flags, MetaLen: uint16(meta), Stream: stream, Aux: aux,
	}.Put(f.b)
}

// SetStream changes the stream id of a sealed frame.
func (f *Frame) SetStream(id uint32) {
	h := spec.GetHeader(f.b)
	h.Stream = id
	h.Put(f.b)
}

// Header is the header of a sealed or received frame.
func (f *Frame) Header() spec.Header { return spec.GetHeader(f.b) }

// Bytes are the whole frame as it travels. They may be replaced by a longer slice with [Frame.SetBytes].
func (f *Frame) Bytes() []byte { return f.b }

// SetBytes replaces the frame's bytes, after an append to them.
func (f *Frame) SetBytes(b []byte) { f.b = b }

// Payload is what follows the header.
func (f *Frame) Payload() []byte { return f.b[spec.HeaderSize:] }

// Meta is the metadata of a received frame.
func (f *Frame) Meta() []byte {
	return f.b[spec.HeaderSize : spec.HeaderSize+int(f.Header().MetaLen)]
}

// Body is the payload after the metadata of a received frame.
func (f *Frame) Body() []byte { return f.b[spec.HeaderSize+int(f.Header().MetaLen):] }

// Absorb appends the body of g, which has no metadata, to that of f, and releases g. It does so only where f has the room
// for it and no other holder, and reports whether it has.
func (f *Frame) Absorb(g *Frame) bool {
	body := g.Payload()
	if f.refs.Load() != 1 || cap(f.b)-len(f.b) < len(body) {
		return false
	}
	f.b = append(f.b, body...)
	h := spec.GetHeader(f.b)
	h.Length += uint32(len(body))
	h.Put(f.b)
	g.Release()
	return true
}

// NewControl returns a sealed frame whose payload is metadata alone.
func NewControl(t spec.FrameType, stream, aux uint32, meta []byte) *Frame {
	f := NewFrame(len(meta))
	f.b = append(f.b, meta...)
	f.Seal(t, 0, stream, aux, len(meta))
	return f
}
