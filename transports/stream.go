package transports

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/stella-ops/router/spec"
)

// Sizes of a stream link's buffers, in bytes.
const (
	readBuffer  = 64 << 10
	smallFrame  = 4 << 10  // frames up to here are gathered into one buffer
	writeBuffer = 64 << 10 // of that size
)

// OpenStream turns a byte stream into a Link: both sides send the preamble and the highest common version wins.
// It takes at most [spec.HelloTimeout], and closes conn on errors. A conn whose peer has proven its names, by a
// certificate, tells them by a method Names() []string: see [Traits].
func OpenStream(conn net.Conn, scheme string) (Link, error) {
	l := &streamLink{conn: conn, out: conn, r: bufio.NewReaderSize(conn, readBuffer), scheme: scheme}
	l.max.Store(spec.MaxFrameHello)
	if s, ok := conn.(Sealed); ok {
		l.seal, l.out = s.Seal, s.Raw()
	}
	l.attempt = newAttempt(l.out)
	if err := l.open(); err != nil {
		_ = conn.Close()
		return nil, err
	}
	return l, nil
}

// Sealed is a connection whose bytes are changed on the way out, as by TLS. TLS cannot go on after a write that was left half
// way; so a link over such a connection has the bytes sealed first, and then writes them itself.
type Sealed interface {
	net.Conn
	// Seal returns what to write to Raw for plain bytes. It is valid until the next Seal. Every byte of it has to be
	// written before anything else.
	Seal(plain net.Buffers) ([]byte, error)
	// Raw is the connection below.
	Raw() net.Conn
}

type streamLink struct {
	conn   net.Conn                          // what is read
	out    net.Conn                          // what is written to
	seal   func(net.Buffers) ([]byte, error) // or nil
	r      *bufio.Reader
	max    atomic.Uint32
	scheme string

	small []byte      // small frames of the batch that is being written
	vec   net.Buffers // the batch as it is written
	rest  net.Buffers // what is left of it
	left  []*Frame    // whose bytes rest has
	close sync.Once
	err   error

	attempt func([]byte) (int, error) // writes what there is room for, where the connection can; or nil
	limited bool                      // writes have a deadline
}

func (l *streamLink) open() error {
	if err := l.conn.SetDeadline(time.Now().Add(spec.HelloTimeout)); err != nil {
		return fmt.Errorf("transports: preamble: %w", err)
	}
	l.vec = append(l.vec[:0], Preamble())
	l.rest = l.vec
	if err := l.sealRest(); err != nil {
		return err
	}
	if err := l.write(); err != nil {
		return fmt.Errorf("transports: writing the preamble: %w", err)
	}
	if err := ReadPreamble(l.r); err != nil {
		return err
	}
	return l.conn.SetDeadline(time.Time{})
}

func (l *streamLink) ReadFrame() (*Frame, error) { return ReadFrame(l.r, &l.max) }

func (l *streamLink) WriteFrames(batch []*Frame) error {
	defer releaseAll(batch)
	if err := l.flush(); err != nil || len(batch) == 0 {
		return err
	}
	if err := l.gather(batch); err != nil {
		return err
	}
	if done, err := l.atOnce(); done {
		return err
	}
	return l.patiently()
}

// WriteSome implements [Patient].
func (l *streamLink) WriteSome(batch []*Frame) (left bool, err error) {
	if err := l.flush(); err != nil {
		releaseAll(batch)
		return false, err
	}
	if err := l.gather(batch); err != nil {
		releaseAll(batch)
		return false, err
	}
	if done, err := l.atOnce(); done {
		releaseAll(batch)
		return false, err
	}
	if err = l.limit(Moment); err == nil {
		if err = l.write(); errors.Is(err, os.ErrDeadlineExceeded) {
			l.left = append(l.left, batch...)
			return true, nil
		}
	}
	releaseAll(batch)
	return false, err
}

// atOnce writes as much of a single piece as goes without waiting, and reports whether that was all or failed.
func (l *streamLink) atOnce() (done bool, err error) {
	if l.attempt == nil || len(l.rest) != 1 {
		return false, nil
	}
	if l.limited { // a deadline that has passed would fail the attempt
		l.limited = false
		if err := l.out.SetWriteDeadline(time.Time{}); err != nil {
			return true, err
		}
	}
	n, err := l.attempt(l.rest[0])
	l.rest[0] = l.rest[0][n:]
	return err != nil || len(l.rest[0]) == 0, err
}

// limit sets the deadline of writes.
func (l *streamLink) limit(d time.Duration) error {
	l.limited = true
	return l.out.SetWriteDeadline(time.Now().Add(d))
}

// flush writes what WriteSome has left.
func (l *streamLink) flush() error {
	if len(l.left) == 0 {
		return nil
	}
	err := l.patiently()
	releaseAll(l.left)
	clear(l.left)
	l.left = l.left[:0]
	return err
}

func releaseAll(batch []*Frame) {
	for _, f := range batch {
		f.Release()
	}
}

// gather makes the frames what is to be written.
func (l *streamLink) gather(batch []*Frame) error {
	if len(batch) == 1 {
		l.vec = append(l.vec[:0], batch[0].b)
	} else {
		l.join(batch)
	}
	l.rest = l.vec
	return l.sealRest()
}

// sealRest seals the rest, where the connection has its bytes sealed.
func (l *streamLink) sealRest() error {
	if l.seal == nil {
		return nil
	}
	sealed, err := l.seal(l.rest)
	l.vec = append(l.vec[:0], sealed)
	l.rest = l.vec
	return err
}

// join copies small frames together.
func (l *streamLink) join(batch []*Frame) {
	l.vec = l.vec[:0]
	total := 0
	for _, f := range batch {
		if len(f.b) <= smallFrame {
			total += len(f.b)
		}
	}
	if cap(l.small) < total { // grown before the appends, which must not move what vec refers to
		l.small = make([]byte, 0, max(total, writeBuffer))
	}
	l.small = l.small[:0]
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
}

// write writes the rest until the deadline of writes, and keeps what is left then.
func (l *streamLink) write() error {
	if len(l.rest) != 1 {
		_, err := l.rest.WriteTo(l.out) // consumes what it has written
		return err
	}
	n, err := l.out.Write(l.rest[0])
	l.rest[0] = l.rest[0][n:]
	return err
}

// writeStep is how often a write that waits is looked at for progress.
const writeStep = spec.WriteStall / 10

// patiently writes the rest, until all is written or nothing was for [spec.WriteStall]. A write that stalls half way is
// found out a step later at most.
func (l *streamLink) patiently() error {
	progress := time.Now()
	for left := l.size(); ; {
		if err := l.limit(writeStep); err != nil {
			return err
		}
		err := l.write()
		if err == nil || !errors.Is(err, os.ErrDeadlineExceeded) {
			return err
		}
		now := time.Now()
		if n := l.size(); n < left {
			left, progress = n, now
		}
		if now.Sub(progress) >= spec.WriteStall {
			return err
		}
	}
}

// size is how many bytes are left.
func (l *streamLink) size() (n int) {
	for _, b := range l.rest {
		n += len(b)
	}
	return n
}

func (l *streamLink) SetMaxPayload(n uint32) { l.max.Store(n) }

func (l *streamLink) Close() error {
	l.close.Do(func() { l.err = l.conn.Close() })
	return l.err
}

func (l *streamLink) Traits() Traits {
	t := Traits{
		Order: OrderLink, MaxPayload: spec.MaxFrameHard, Streams: true,
		Remote: l.conn.RemoteAddr().String(), Scheme: l.scheme,
	}
	if proven, ok := l.conn.(interface{ Names() []string }); ok {
		t.Names = proven.Names()
	}
	return t
}
