package transports_test

import (
	"bytes"
	"errors"
	"io"
	"net"
	"testing"
	"testing/iotest"
	"time"

	"github.com/stella-ops/router/spec"
	"github.com/stella-ops/router/transports"
)

// script is a connection that says what r has and hears nothing.
type script struct {
	net.Conn // nil: nothing else is called
	r        io.Reader
}

func (s script) Read(p []byte) (int, error)       { return s.r.Read(p) }
func (script) Write(p []byte) (int, error)        { return len(p), nil }
func (script) Close() error                       { return nil }
func (script) SetDeadline(time.Time) error        { return nil }
func (s script) RemoteAddr() net.Addr             { return &net.TCPAddr{} }
func (s script) SetWriteDeadline(time.Time) error { return nil }

// readAll is every frame that a link makes of what r says after the preamble, as it was written, and the error that ended it.
func readAll(t *testing.T, r io.Reader) (frames [][]byte, last error) {
	t.Helper()
	link, err := transports.OpenStream(script{r: io.MultiReader(bytes.NewReader(preamble(1, 1)), r)}, "test")
	if err != nil {
		t.Fatal(err)
	}
	for {
		f, err := link.ReadFrame()
		if err != nil {
			return frames, err
		}
		frames = append(frames, bytes.Clone(f.Bytes()))
		f.Release()
	}
}

// decodeAll is what the codec alone makes of b.
func decodeAll(b []byte) (frames [][]byte, last error) {
	for {
		_, _, n, err := spec.DecodeFrame(b, spec.MaxFrameHello)
		switch {
		case err != nil:
			return frames, err
		case n == 0 && len(b) == 0:
			return frames, io.EOF
		case n == 0:
			return frames, io.ErrUnexpectedEOF
		}
		frames = append(frames, b[:n])
		b = b[n:]
	}
}

// FuzzStreamLink holds that a stream link reads what the codec decodes, however the bytes arrive: whole, split at
// every byte, byte by byte, and with the end's error beside the last bytes.
func FuzzStreamLink(f *testing.F) {
	seed := func(frames ...*transports.Frame) {
		var b []byte
		for _, fr := range frames {
			b = append(b, fr.Bytes()...)
			fr.Release()
		}
		f.Add(b)
		f.Add(b[:len(b)-1])
	}
	seed(newFrame(spec.TypePing, 0, 0, 1, "", ""), newFrame(spec.TypeCancel, 0, 2, 1, "why", ""), newFrame(spec.TypePong, 0, 0, 1, "", ""))
	seed(newFrame(spec.TypeRequest, spec.FlagInlineBody|spec.FlagEnd, 2, 5000, "meta", "body"), newFrame(0x40, 0xff, 7, 9, "a", "b"))
	seed(newFrame(spec.TypeRequestStreamData, 0, 2, 0, "", "data"), newFrame(0x30, 0, 0, 0, "", ""))
	f.Fuzz(func(t *testing.T, b []byte) {
		b = b[:min(len(b), 512)] // each byte is a split
		want, end := decodeAll(b)
		check := func(how string, at int, r io.Reader) {
			t.Helper()
			got, err := readAll(t, r)
			if len(got) != len(want) {
				t.Fatalf("%s at %d: %d frames, expected %d", how, at, len(got), len(want))
			}
			for i := range got {
				if !bytes.Equal(got[i], want[i]) {
					t.Fatalf("%s at %d: frame %d is %x, expected %x", how, at, i, got[i], want[i])
				}
			}
			var fault *spec.FrameError
			if errors.As(end, &fault) && err.Error() != end.Error() || fault == nil && !errors.Is(err, end) {
				t.Fatalf("%s at %d: ended with %v, expected %v", how, at, err, end)
			}
		}
		check("whole", 0, bytes.NewReader(b))
		check("byte by byte", 0, iotest.OneByteReader(bytes.NewReader(b)))
		check("with the end's error", 0, iotest.DataErrReader(bytes.NewReader(b)))
		for i := range b {
			check("split", i, io.MultiReader(bytes.NewReader(b[:i]), bytes.NewReader(b[i:])))
		}
	})
}
