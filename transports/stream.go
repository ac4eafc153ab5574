package transports

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"time"

	"github.com/stella-ops/router/spec"
)

// magic opens every byte stream: a NUL and a CRLF in it show at once whether something on the way treats the
// bytes as text.
const magic = "\x00STELA\r\n"

// preambleSize is the magic, the lowest and the highest protocol version, two bytes each.
const preambleSize = len(magic) + 4

// Sizes of a stream link's buffers, in bytes.
const (
	readBuffer  = 64 << 10
	smallFrame  = 4 << 10  // frames up to here are gathered into one buffer
	writeBuffer = 64 << 10 // of that size
)

// ErrPreamble is what the errors of [OpenStream] wrap when the peer does not speak this protocol.
var ErrPreamble = errors.New("transports: peer does not open with the protocol's preamble")

// OpenStream turns a byte stream into a Link: both sides send the preamble and the highest common version wins.
// It takes at most [spec.HelloTimeout], and closes conn on errors.
func OpenStream(conn net.Conn, scheme string) (Link, error) {
	l := &streamLink{conn: conn, r: bufio.NewReaderSize(conn, readBuffer), max: spec.MaxFrameHello, scheme: scheme}
	if err := l.open(); err != nil {
		_ = conn.Close()
		return nil, err
	}
	return l, nil
}

type streamLink struct {
	conn   net.Conn
	r      *bufio.Reader
	max    uint32
	scheme string

	small []byte      // small frames of the batch that is being written
	vec   net.Buffers // the batch as it is written
	close sync.Once
	err   error
}

func (l *streamLink) open() error {
	if err := l.conn.SetDeadline(time.Now().Add(spec.HelloTimeout)); err != nil {
		return fmt.Errorf("transports: preamble: %w", err)
	}
	out := binary.BigEndian.AppendUint16([]byte(magic), spec.ProtocolVersion)
	out = binary.BigEndian.AppendUint16(out, spec.ProtocolVersion)
	if _, err := l.conn.Write(out); err != nil {
		return fmt.Errorf("transports: writing the preamble: %w", err)
	}
	// Compare as the bytes come, so that a peer that speaks something else is turned away by its first byte
	// instead of by the deadline.
	var in [preambleSize]byte
	for i := range in {
		b, err := l.r.ReadByte()
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
	return l.conn.SetDeadline(time.Time{})
}

func (l *streamLink) ReadFrame() (*Frame, error) {
	head, err := l.r.Peek(spec.HeaderSize)
	if err != nil {
		if len(head) > 0 && errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return nil, err
	}
	h, err := spec.ParseHeader(head, l.max)
	if err != nil {
		return nil, err
	}
	f := NewFrame(int(h.Length))
	f.b = f.b[:spec.HeaderSize+int(h.Length)]
	if _, err := io.ReadFull(l.r, f.b); err != nil {
		f.Release()
		return nil, err
	}
	return f, nil
}

func (l *streamLink) WriteFrames(batch []*Frame) error {
	defer func() {
		for _, f := range batch {
			f.Release()
		}
	}()
	if len(batch) == 1 {
		return l.write(batch[0].b)
	}
	total := 0
	for _, f := range batch {
		if len(f.b) <= smallFrame {
			total += len(f.b)
		}
	}
	if cap(l.small) < total { // grown before the appends, which must not move what vec refers to
		l.small = make([]byte, 0, max(total, writeBuffer))
	}
	l.small, l.vec = l.small[:0], l.vec[:0]
	start := 0
	for _, f := range batch {
		if len(f.b) <= smallFrame {
			l.small = append(l.small, f.b...)
			continue
		}
		if len(l.small) > start {
			l.vec = append(l.vec, l.small[start:])
			start = len(l.small)
		}
		l.vec = append(l.vec, f.b)
	}
	if len(l.small) > start {
		l.vec = append(l.vec, l.small[start:])
	}
	if len(l.vec) == 1 {
		return l.write(l.vec[0])
	}
	return l.writeVec(l.vec)
}

// write writes b whole.
func (l *streamLink) write(b []byte) error {
	return l.patiently(func() (int64, error) {
		n, err := l.conn.Write(b)
		b = b[n:]
		return int64(n), err
	})
}

func (l *streamLink) writeVec(vec net.Buffers) error {
	return l.patiently(func() (int64, error) {
		return vec.WriteTo(l.conn) // consumes what it has written
	})
}

// writeStep is how often a write that waits is looked at for progress.
const writeStep = spec.WriteStall / 10

// patiently calls write, which goes on where it was, until all is written, or nothing was for [spec.WriteStall]. A write
// that stalls half way is found out a step later at most.
func (l *streamLink) patiently(write func() (int64, error)) error {
	progress := time.Now()
	for now := progress; ; now = time.Now() {
		if err := l.conn.SetWriteDeadline(now.Add(writeStep)); err != nil {
			return err
		}
		n, err := write()
		if err == nil || !errors.Is(err, os.ErrDeadlineExceeded) {
			return err
		}
		if now = time.Now(); n > 0 {
			progress = now
		}
		if now.Sub(progress) >= spec.WriteStall {
			return err
		}
	}
}

func (l *streamLink) SetMaxPayload(n uint32) { l.max = n }

func (l *streamLink) Close() error {
	l.close.Do(func() { l.err = l.conn.Close() })
	return l.err
}

func (l *streamLink) Traits() Traits {
	return Traits{
		Order: OrderLink, MaxPayload: spec.MaxFrameHard, Streams: true,
		Remote: l.conn.RemoteAddr().String(), Scheme: l.scheme,
	}
}
