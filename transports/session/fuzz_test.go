package session_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stella-ops/router/spec"
	"github.com/stella-ops/router/transports"
	"github.com/stella-ops/router/transports/inmemory"
	"github.com/stella-ops/router/transports/session"
)

// fuzzMemory is what a session may hold of bodies in these tests.
const fuzzMemory = 4 << 10

// fuzzFrames are the frames that b holds: as many as fit.
func fuzzFrames(b []byte) []*transports.Frame {
	var frames []*transports.Frame
	for len(b) > 0 && len(frames) < 64 {
		h, payload, n, err := spec.DecodeFrame(b, spec.MaxFrameDefault)
		if n == 0 {
			if len(b) < spec.HeaderSize || err == nil {
				break
			}
			n = spec.HeaderSize // a header that breaks the rules: the session is to say so
			payload = nil
			h = spec.GetHeader(b)
			h.Length, h.MetaLen = 0, 0
		}
		f := transports.NewFrame(len(payload))
		f.SetBytes(append(f.Bytes(), payload...))
		f.Seal(h.Type, h.Flags, h.Stream, h.Aux, int(h.MetaLen))
		frames = append(frames, f)
		b = b[n:]
	}
	return frames
}

func seeds(f *testing.F, frames ...*transports.Frame) {
	f.Helper()
	var all []byte
	for _, fr := range frames {
		all = append(all, fr.Bytes()...)
	}
	f.Add(all)
}

// fuzzed feeds frames to an end, and expects that it holds no more than it may and lives or has ended with a reason.
func fuzzed(t *testing.T, sys system, b []byte, held func() int64, ended func() error) {
	t.Helper()
	defer sys.close()
	for _, f := range fuzzFrames(b) {
		sys.peer().say(f)
	}
	synctest.Wait()
	if n := held(); n > fuzzMemory+spec.MaxChunk {
		t.Fatalf("%d bytes of bodies are held, the limit is %d", n, fuzzMemory)
	}
	if err := ended(); err != nil && !errors.Is(err, session.ErrClosed) {
		t.Fatalf("ended with %v", err)
	}
	time.Sleep(spec.CancelHold + time.Second) // whatever was to happen later has
	synctest.Wait()
}

// FuzzGatewaySession plays a service that sends anything.
func FuzzGatewaySession(f *testing.F) {
	body := make([]byte, 3000)
	seeds(f, frame(spec.TypeResponse, spec.FlagEnd, 2, 0, responseMeta(200), nil), transports.NewControl(spec.TypePing, 0, 1, nil))
	seeds(f, frame(spec.TypeResponse, 0, 2, 0, responseMeta(200), nil), frame(spec.TypeResponseStreamData, 0, 2, 0, nil, body),
		frame(spec.TypeResponse, 0, 4, 0, responseMeta(200), nil), frame(spec.TypeResponseStreamData, spec.FlagEnd|spec.FlagBlocked, 4, 0, nil, body),
		transports.NewControl(spec.TypeCancel, 2, 8, []byte("why")), transports.NewControl(spec.TypeCredit, 4, 77, nil))
	seeds(f, frame(spec.TypeResponse, 0, 2, 0, responseMeta(200), nil), frame(spec.TypeResponseStreamData, 0, 2, 0, nil, body),
		frame(spec.TypeTrailers, spec.FlagEnd, 2, 1, digestMeta, nil), frame(spec.TypeResponse, 0, 4, 0, responseMeta(200), nil),
		frame(spec.TypeTrailers, spec.FlagEnd, 4, 0, []byte{0x80, 0x01}, nil), frame(spec.TypeTrailers, spec.FlagEnd, 4, 0, nil, nil))
	seeds(f, frame(spec.TypeEndpoints, spec.FlagEnd, 0, 0, nil, []byte("{}")), transports.NewControl(spec.TypeGoAway, 0, 7, nil))
	seeds(f, transports.NewControl(spec.TypeHeartbeat, 0, 0, []byte(`{"status":"ready","inFlight":0,"errorPermille":0,"lease":9}`)))
	f.Fuzz(func(t *testing.T, b []byte) {
		synctest.Test(t, func(t *testing.T) {
			near, far := inmemory.Pipe()
			sys, err := newGatewaySystem(near, far)
			if err != nil {
				t.Fatal(err)
			}
			g, ok := sys.(*gatewaySystem)
			if !ok {
				t.Fatalf("a %T", sys)
			}
			for i := range 3 {
				if _, err := g.start(step{end: i > 0}); err != nil {
					t.Fatal(err)
				}
			}
			fuzzed(t, sys, b, func() int64 { return g.g.Books().Held }, g.g.Err)
		})
	})
}

// FuzzServiceSession plays a gateway that sends anything.
func FuzzServiceSession(f *testing.F) {
	body := make([]byte, 3000)
	seeds(f, frame(spec.TypeRequest, spec.FlagEnd, 2, 5000, requestMeta(), nil), transports.NewControl(spec.TypePing, 0, 1, nil))
	seeds(f, frame(spec.TypeRequest, 0, 2, 0, requestMeta(), nil), frame(spec.TypeRequestStreamData, 0, 2, 0, nil, body),
		frame(spec.TypeRequest, 0, 4, 0, requestMeta(), nil), frame(spec.TypeRequestStreamData, spec.FlagEnd, 4, 0, nil, body),
		transports.NewControl(spec.TypeCancel, 2, 1, nil), transports.NewControl(spec.TypeCredit, 0, 77, nil))
	seeds(f, frame(spec.TypeRequest, 0, 2, 0, requestMeta(), nil), frame(spec.TypeRequestStreamData, 0, 2, 0, nil, body),
		frame(spec.TypeTrailers, spec.FlagEnd, 2, 1, digestMeta, nil), frame(spec.TypeRequest, 0, 4, 0, requestMeta(), nil),
		frame(spec.TypeTrailers, spec.FlagEnd, 4, 0, []byte{0x80, 0x01}, nil))
	seeds(f, transports.NewControl(spec.TypeResync, 0, 0, []byte("{}")), transports.NewControl(spec.TypeGoAway, 0, 7, nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		synctest.Test(t, func(t *testing.T) {
			near, far := inmemory.Pipe()
			w := plainWelcome()
			w.Features = []string{spec.FeatureTrailers}
			welcome, err := spec.Canonical(w)
			if err != nil {
				t.Fatal(err)
			}
			if err := far.WriteFrames([]*transports.Frame{transports.NewControl(spec.TypeWelcome, 0, 0, welcome)}); err != nil {
				t.Fatal(err)
			}
			h := plainHello()
			h.Lease = modelLease
			trailers(&h)
			s, err := session.Open(context.Background(), near, session.ServiceConfig{
				Hello: h, Manifest: []byte("m"), Limits: session.Limits{Memory: fuzzMemory},
				Serve: func(c *session.Incoming) { <-c.Context().Done() },
			})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := far.ReadFrame(); err != nil {
				t.Fatal(err)
			}
			fuzzed(t, &serviceSystem{s: s, p: newPeer(far)}, b, func() int64 { return s.Books().Held }, s.Err)
		})
	})
}
