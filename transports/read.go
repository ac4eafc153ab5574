package transports

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"sync/atomic"

	"github.com/stella-ops/router/spec"
)

// magic opens every byte stream: a NUL and a CRLF in it show at once whether something on the way treats the
// bytes as text.
const magic = "\x00STELA\r\n"

// preambleSize is the magic, the lowest and the highest protocol version, two bytes each.
const preambleSize = len(magic) + 4

// ErrPreamble is what the errors of [OpenStream] and [ReadPreamble] wrap when the peer does not speak this protocol.
var ErrPreamble = errors.New("transports: peer does not open with the protocol's preamble")

// Preamble is what either end of a byte stream sends first.
func Preamble() []byte {
	b := binary.BigEndian.AppendUint16([]byte(magic), spec.ProtocolVersion)
	return binary.BigEndian.AppendUint16(b, spec.ProtocolVersion)
}

// ReadPreamble reads the peer's preamble, and fails if the two ends have no version in common.
func ReadPreamble(r io.ByteReader) error {
	// Compare as the bytes come, so that a peer that speaks something else is turned away by its first byte
	// instead of by the deadline.
	var in [preambleSize]byte
	for i := range in {
		b, err := r.ReadByte()
		if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, os.ErrDeadlineExceeded) {
			return fmt.Errorf("transports: reading the preamble: %w", err)
		}
		if err != nil {
			return fmt.Errorf("%w: %d of %d bytes came: %w", ErrPreamble, i, preambleSize, err)
		}
		if in[i] = b; i < len(magic) && b != magic[i] {
			return fmt.Errorf("%w: got %q", ErrPreamble, in[:i+1])
		}
	}
	low, high := binary.BigEndian.Uint16(in[len(magic):]), binary.BigEndian.Uint16(in[len(magic)+2:])
	if low > spec.ProtocolVersion || high < spec.ProtocolVersion {
		return fmt.Errorf("%w: peer speaks versions %d to %d, this side speaks %d", ErrPreamble, low, high, spec.ProtocolVersion)
	}
	return nil
}

// ReadFrame reads a frame from a byte stream. It checks the header, and the payload against limit as it is once the header
// has come, before it allocates. io.EOF is the stream's end between two frames.
func ReadFrame(r *bufio.Reader, limit *atomic.Uint32) (*Frame, error) {
	head, err := r.Peek(spec.HeaderSize)
	if err != nil {
		if len(head) > 0 && errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return nil, err
	}
	h, err := spec.ParseHeader(head, limit.Load())
	if err != nil {
		return nil, err
	}
	f := NewFrame(int(h.Length))
	f.b = f.b[:spec.HeaderSize+int(h.Length)]
	if _, err := io.ReadFull(r, f.b); err != nil {
		f.Release()
		return nil, err
	}
	return f, nil
}

// ErrPart is what [CutFrame] returns when the bytes end within a frame.
var ErrPart = errors.New("transports: a message ends within a frame")

// CutFrame copies the first frame of a message, which holds whole frames only, and returns what follows it. It checks the
// header, and the payload against limit, before it allocates.
func CutFrame[T ~string | ~[]byte](message T, limit uint32) (*Frame, T, error) {
	var none T
	if len(message) < spec.HeaderSize {
		return nil, none, ErrPart
	}
	var head [spec.HeaderSize]byte
	copy(head[:], message)
	h, err := spec.ParseHeader(head[:], limit)
	if err != nil {
		return nil, none, err
	}
	n := spec.HeaderSize + int(h.Length)
	if len(message) < n {
		return nil, none, ErrPart
	}
	f := NewFrame(int(h.Length))
	f.b = append(f.b[:0], message[:n]...)
	return f, message[n:], nil
}
