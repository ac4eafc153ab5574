package transports_test

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stella-ops/router/spec"
	"github.com/stella-ops/router/transports"
	"github.com/stella-ops/router/transports/inmemory"
)

// TestSilentPeerIsTurnedAway holds that opening a stream ends after spec.HelloTimeout, whether the peer says nothing
// or says it too slowly. Time is virtual.
func TestSilentPeerIsTurnedAway(t *testing.T) {
	for name, test := range map[string]struct {
		pause time.Duration // between two bytes
		want  string
	}{
		"silent": {time.Hour, "0 of 12 bytes came"},
		"slow":   {300 * time.Millisecond, "6 of 12 bytes came"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				near, far := net.Pipe()
				var peer sync.WaitGroup
				defer peer.Wait()
				turnedAway := make(chan struct{})
				defer close(turnedAway)
				peer.Go(func() {
					if _, err := io.ReadFull(far, make([]byte, 12)); err != nil {
						t.Error(err)
					}
					for _, b := range preamble(1, 1) {
						select {
						case <-time.After(test.pause):
						case <-turnedAway:
							return
						}
						if _, err := far.Write([]byte{b}); err != nil {
							return
						}
					}
				})
				begin := time.Now()
				_, err := transports.OpenStream(near, "test")
				if !errors.Is(err, transports.ErrPreamble) || !errors.Is(err, os.ErrDeadlineExceeded) || !strings.Contains(err.Error(), test.want) {
					t.Errorf("error is %v, expected a deadline after %q", err, test.want)
				}
				if took := time.Since(begin); took != spec.HelloTimeout {
					t.Errorf("took %v, expected %v", took, spec.HelloTimeout)
				}
			})
		})
	}
}

// TestPeerThatReadsNothingIsTurnedAway is about the other direction: the preamble cannot even be written.
func TestPeerThatReadsNothingIsTurnedAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		near, far := net.Pipe()
		defer func() { _ = far.Close() }()
		begin := time.Now()
		_, err := transports.OpenStream(near, "test")
		if !errors.Is(err, os.ErrDeadlineExceeded) || time.Since(begin) != spec.HelloTimeout {
			t.Errorf("error is %v after %v, expected a deadline after %v", err, time.Since(begin), spec.HelloTimeout)
		}
	})
}

// TestWriteStall holds that a write ends after spec.WriteStall without progress, and not before, however slow the
// peer is: with one frame, which is written as it is, and with several, which are written as a vector.
func TestWriteStall(t *testing.T) {
	for name, count := range map[string]int{"one frame": 1, "a batch": 3} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				near, far := net.Pipe()
				done := openStream(near)
				if _, err := io.ReadFull(far, make([]byte, 12)); err != nil {
					t.Fatal(err)
				}
				if _, err := far.Write(preamble(1, 1)); err != nil {
					t.Fatal(err)
				}
				o := <-done
				if o.err != nil {
					t.Fatal(o.err)
				}
				batch := func() []*transports.Frame {
					var frames []*transports.Frame
					for range count {
						frames = append(frames, newFrame(spec.TypeRequestStreamData, 0, 2, 0, "", string(make([]byte, 5000))))
					}
					return frames
				}

				// A peer that takes a little in every deadline's time gets all of it.
				total, pause := count*(5000+spec.HeaderSize), spec.WriteStall*9/10
				go func() {
					for taken := 0; taken < total; {
						time.Sleep(pause)
						n, err := far.Read(make([]byte, 1000))
						if err != nil {
							t.Error(err)
							return
						}
						taken += n
					}
				}()
				if err := o.link.WriteFrames(batch()); err != nil {
					t.Errorf("a slow peer's link ended: %v", err)
				}

				// One that takes nothing ends the write.
				begin := time.Now()
				err := o.link.WriteFrames(batch())
				if !errors.Is(err, os.ErrDeadlineExceeded) {
					t.Errorf("error is %v, expected a deadline", err)
				}
				if took := time.Since(begin); took != spec.WriteStall {
					t.Errorf("took %v, expected %v", took, spec.WriteStall)
				}
				_ = o.link.Close()
				_ = far.Close()
			})
		})
	}
}

// TestWriteStallHalfWay holds that what a write has moved before it stalled gives it little more time.
func TestWriteStallHalfWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		near, far := net.Pipe()
		done := openStream(near)
		if _, err := io.ReadFull(far, make([]byte, 12)); err != nil {
			t.Fatal(err)
		}
		if _, err := far.Write(preamble(1, 1)); err != nil {
			t.Fatal(err)
		}
		o := <-done
		if o.err != nil {
			t.Fatal(o.err)
		}
		begin := time.Now()
		go func() {
			time.Sleep(spec.WriteStall / 4)
			_, _ = far.Read(make([]byte, 1000))
		}()
		err := o.link.WriteFrames([]*transports.Frame{newFrame(spec.TypeRequestStreamData, 0, 2, 0, "", string(make([]byte, 5000)))})
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("error is %v, expected a deadline", err)
		}
		if took, least := time.Since(begin)-spec.WriteStall/4, spec.WriteStall; took < least || took > least+spec.WriteStall/10 {
			t.Errorf("took %v from the last progress, expected %v, and no more than a tenth beyond", took, least)
		}
		_ = o.link.Close()
		_ = far.Close()
	})
}

// TestWriteSomeLeavesAndGoesOn holds that a write for which the peer has no room is left after a moment, and that nothing
// of it is lost, doubled or out of its order when the next one goes on.
func TestWriteSomeLeavesAndGoesOn(t *testing.T) {
	type header = func() (spec.Header, error) // of the next frame that comes out, without its bytes
	for name, pipe := range map[string]func() (transports.Link, header){
		"a stream": func() (transports.Link, header) {
			near, far := net.Pipe()
			done := openStream(near)
			_, _ = io.ReadFull(far, make([]byte, 12))
			_, _ = far.Write(preamble(1, 1))
			return (<-done).link, func() (spec.Header, error) {
				head := make([]byte, spec.HeaderSize)
				if _, err := io.ReadFull(far, head); err != nil {
					return spec.Header{}, err
				}
				h := spec.GetHeader(head)
				_, err := io.CopyN(io.Discard, far, int64(h.Length))
				return h, err
			}
		},
		"inmemory": func() (transports.Link, header) {
			near, far := inmemory.Pipe()
			return near, func() (spec.Header, error) {
				f, err := far.ReadFrame()
				if err != nil {
					return spec.Header{}, err
				}
				defer f.Release()
				return f.Header(), nil
			}
		},
	} {
		for _, count := range []int{1, 300} {
			t.Run(fmt.Sprintf("%s, %d frames at once", name, count), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					near, next := pipe()
					patient, ok := near.(transports.Patient)
					if !ok {
						t.Fatal("it is not patient")
					}
					sequence := uint32(0)
					batch := func() (frames []*transports.Frame) {
						for range count {
							size := int(sequence%3) * 3000 // some that are gathered, and some that are not
							frames = append(frames, newFrame(spec.TypeRequestStreamData, 0, 2, sequence, "", string(make([]byte, size))))
							sequence++
						}
						return frames
					}
					left := false
					for !left {
						begin := time.Now()
						var err error
						if left, err = patient.WriteSome(batch()); err != nil {
							t.Fatal(err)
						}
						if took := time.Since(begin); left && took != transports.Moment {
							t.Errorf("left after %v, expected %v", took, transports.Moment)
						}
					}
					last := batch()
					go func() {
						if err := near.WriteFrames(last); err != nil {
							t.Error(err)
						}
						if err := near.WriteFrames(nil); err != nil {
							t.Error(err)
						}
						_ = near.Close()
					}()
					for want := range sequence {
						h, err := next()
						if err != nil || h.Aux != want || h.Length != want%3*3000 {
							t.Fatalf("frame %d has %d bytes, expected frame %d: %v", h.Aux, h.Length, want, err)
						}
					}
					if _, err := next(); !errors.Is(err, io.EOF) {
						t.Errorf("after the last frame: %v", err)
					}
				})
			})
		}
	}
}
