package quic

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/url"
	"os"
	"reflect"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	"github.com/quic-go/quic-go"

	"github.com/stella-ops/router/spec"
	"github.com/stella-ops/router/transports"
)

func TestRoundTrip(t *testing.T) {
	gateway, service := pair(t)
	hello := make([]byte, spec.MaxFrameHello-10)
	hello[len(hello)-1] = 7
	f := transports.NewFrame(len(hello))
	f.SetBytes(append(f.Bytes(), hello...))
	f.Seal(spec.TypeHello, spec.FlagInlineBody, 0, 0, 0)
	write(t, service, f)
	f = expect(t, gateway, spec.TypeHello, 0)
	if string(f.Body()) != string(hello) {
		t.Error("HELLO came changed")
	}
	f.Release()
	write(t, gateway, transports.NewControl(spec.TypeWelcome, 0, 0, []byte("{}")))
	expect(t, service, spec.TypeWelcome, 0).Release()
	write(t, gateway, request(2))
	expect(t, service, spec.TypeRequest, 2).Release()
	write(t, service, response(2))
	expect(t, gateway, spec.TypeResponse, 2).Release()
	want := transports.Traits{Order: transports.OrderStream, Streams: true, MaxPayload: spec.MaxFrameHard, Scheme: Scheme}
	for _, l := range []*link{gateway, service} {
		got := l.Traits()
		if got.Remote == "" {
			t.Error("no remote address")
		}
		if got.Remote, got.Names = "", nil; !reflect.DeepEqual(got, want) {
			t.Errorf("traits %+v, expected %+v", got, want)
		}
	}
}

// Every call sends data both ways; within a call the order holds.
func TestCallsInterleave(t *testing.T) {
	gateway, service := welcomed(t)
	interleave(t, gateway, service)
}

func TestCallsInterleaveOverARoughPath(t *testing.T) {
	gateway, service := rough(t)
	welcome(t, gateway, service)
	interleave(t, gateway, service)
}

func interleave(t *testing.T, gateway, service *link) {
	t.Helper()
	const calls, chunks = 40, 30
	var wg sync.WaitGroup
	send := func(l *link, first, data spec.FrameType) {
		for i := range uint32(chunks + 1) {
			for id := uint32(2); id <= 2*calls; id += 2 {
				f := frame(data, 0, id, i-1, int(i*id)%(8<<10))
				switch i {
				case 0:
					f.Release()
					f = frame(first, 0, id, 0, 0)
				case chunks:
					f.Seal(data, spec.FlagEnd, id, i-1, 0)
				}
				if err := l.WriteFrames([]*transports.Frame{f}); err != nil {
					t.Error(err)
					return
				}
			}
		}
	}
	receive := func(l *link, data spec.FrameType, begin func()) {
		next := map[uint32]uint32{}
		for ended := 0; ended < calls; {
			f, err := l.ReadFrame()
			if err != nil {
				t.Error(err)
				return
			}
			h := f.Header()
			if i, open := next[h.Stream]; !open {
				if next[h.Stream] = 0; len(next) == calls {
					begin()
				}
			} else if h.Type != data || h.Aux != i {
				t.Errorf("stream %d: read %s %d, expected %d", h.Stream, h.Type, h.Aux, i)
			} else {
				next[h.Stream]++
			}
			for _, b := range f.Body() {
				if b != byte(h.Aux) {
					t.Errorf("stream %d: chunk %d has been mixed", h.Stream, h.Aux)
					break
				}
			}
			if h.Flags&spec.FlagEnd != 0 {
				ended++
			}
			f.Release()
		}
	}
	begin := func() {
		wg.Go(func() { send(service, spec.TypeResponse, spec.TypeResponseStreamData) })
	}
	wg.Go(func() { send(gateway, spec.TypeRequest, spec.TypeRequestStreamData) })
	wg.Go(func() { receive(service, spec.TypeRequestStreamData, begin) })
	receive(gateway, spec.TypeResponseStreamData, func() {})
	wg.Wait()
	forgotten(t, gateway, service)
}

func TestLargeFrames(t *testing.T) {
	const chunks = 100
	gateway, service := welcomed(t)
	var wg sync.WaitGroup
	wg.Go(func() {
		batch := []*transports.Frame{frame(spec.TypeRequest, 0, 2, 0, 0)}
		for i := range uint32(chunks) {
			batch = append(batch, frame(spec.TypeRequestStreamData, 0, 2, i, spec.MaxChunk))
		}
		write(t, gateway, batch...)
	})
	expect(t, service, spec.TypeRequest, 2).Release()
	for i := range uint32(chunks) {
		f := expect(t, service, spec.TypeRequestStreamData, 2)
		if b := f.Body(); len(b) != spec.MaxChunk || b[0] != byte(i) || b[len(b)-1] != byte(i) {
			t.Fatalf("chunk %d came changed", i)
		}
		f.Release()
	}
	wg.Wait()
}

func TestCreditTravelsBesideData(t *testing.T) {
	gateway, service := welcomed(t)
	write(t, gateway, request(2))
	expect(t, service, spec.TypeRequest, 2).Release()
	write(t, service, transports.NewControl(spec.TypeCredit, 2, 100, nil), transports.NewControl(spec.TypePing, 0, 1, nil))
	expect(t, gateway, spec.TypeCredit, 2).Release()
	expect(t, gateway, spec.TypePing, 0).Release()
}

func TestEndedCallsAreForgotten(t *testing.T) {
	const calls, at = 10_000, 50 // in all, and at once
	gateway, service := welcomed(t)
	var wg sync.WaitGroup
	wg.Go(func() {
		for range calls {
			f, err := service.ReadFrame()
			if err != nil {
				t.Error(err)
				return
			}
			id := f.Header().Stream
			f.Release()
			write(t, service, response(id))
		}
	})
	id, most := uint32(0), 0
	for range calls / at {
		for range at {
			id += 2
			write(t, gateway, request(id))
		}
		for range at {
			f, err := gateway.ReadFrame()
			if err != nil {
				t.Fatal(err)
			}
			f.Release()
		}
		most = max(most, gateway.open(), service.open())
	}
	wg.Wait()
	if most > at {
		t.Errorf("%d calls were known at once, of %d", most, at)
	}
	forgotten(t, gateway, service)
}

// A call ends in each direction by END or by CANCEL, in any combination.
func TestCancelsEndCalls(t *testing.T) {
	gateway, service := welcomed(t)
	cancel := func(id uint32) *transports.Frame { return transports.NewControl(spec.TypeCancel, id, 0, nil) }
	open := func(id uint32) {
		write(t, gateway, frame(spec.TypeRequest, 0, id, 0, 0))
		expect(t, service, spec.TypeRequest, id).Release()
	}
	for _, c := range []struct {
		name               string
		gateway, service   func(uint32) *transports.Frame
		gateway1, service1 spec.FrameType
	}{
		{"cancels", cancel, cancel, spec.TypeCancel, spec.TypeCancel},
		{"end and cancel", request, cancel, spec.TypeRequest, spec.TypeCancel},
		{"cancel and end", cancel, response, spec.TypeCancel, spec.TypeResponse},
	} {
		t.Run(c.name, func(t *testing.T) {
			id := gateway.highest + 2
			open(id)
			write(t, service, c.service(id))
			expect(t, gateway, c.service1, id).Release()
			if gateway.open() != 1 || service.open() != 1 {
				t.Error("a call was forgotten that has ended in one direction only")
			}
			write(t, gateway, c.gateway(id))
			expect(t, service, c.gateway1, id).Release()
			forgotten(t, gateway, service)
			// What crosses the end of a call is dropped, and harms nobody.
			write(t, gateway, cancel(id), transports.NewControl(spec.TypePing, 0, 1, nil))
			expect(t, service, spec.TypePing, 0).Release()
			write(t, service, cancel(id), transports.NewControl(spec.TypePing, 0, 1, nil))
			expect(t, gateway, spec.TypePing, 0).Release()
		})
	}
	// A service that stops reading a request it has answered says so after its END.
	id := gateway.highest + 2
	open(id)
	write(t, service, response(id), cancel(id))
	expect(t, gateway, spec.TypeResponse, id).Release()
	expect(t, gateway, spec.TypeCancel, id).Release()
	write(t, gateway, cancel(id))
	expect(t, service, spec.TypeCancel, id).Release()
	// A CANCEL for an id that has no stream gets one.
	id += 2
	write(t, gateway, cancel(id))
	expect(t, service, spec.TypeCancel, id).Release()
	forgotten(t, gateway, service)
}

// The gateway closes its side behind a request that is whole, so that nobody waits for more of it while it is served. What
// it may have to add, CANCEL, travels on the control stream.
func TestRequestsEndWithTheirSide(t *testing.T) {
	gateway, service := welcomed(t)
	write(t, gateway, request(2))
	expect(t, service, spec.TypeRequest, 2).Release()
	NewWithT(t).Eventually(service.reading).WithTimeout(patience).Should(BeZero())
	if gateway.open() != 1 || service.open() != 1 {
		t.Error("the call was forgotten before it was answered")
	}
	write(t, gateway, transports.NewControl(spec.TypeCancel, 2, uint32(spec.CodeClientGone), nil))
	expect(t, service, spec.TypeCancel, 2).Release()
	write(t, service, transports.NewControl(spec.TypeCancel, 2, 0, nil))
	expect(t, gateway, spec.TypeCancel, 2).Release()
	forgotten(t, gateway, service)
}

func TestDeliver(t *testing.T) {
	begin := func(t *testing.T, before int, take func(*transports.Frame) error) (gateway, service *link, ended chan error) {
		t.Helper()
		gateway, service = welcomed(t)
		for i := range before { // which come while there is only ReadFrame to take them
			write(t, gateway, frame(spec.TypeRequest, 0, uint32(2*i+2), 0, 0))
		}
		ended = make(chan error, 1)
		go func() { ended <- service.Deliver(take) }()
		return gateway, service, ended
	}
	t.Run("gives every frame in its call's order, one at a time, and at last the link's end", func(t *testing.T) {
		const calls, chunks = 2 * queue, 100
		var busy atomic.Bool
		next := map[uint32]uint32{}
		all := make(chan struct{})
		whole := 0
		gateway, service, ended := begin(t, calls, func(f *transports.Frame) error {
			if !busy.CompareAndSwap(false, true) {
				t.Error("two frames were given at once")
			}
			defer busy.Store(false)
			h := f.Header()
			f.Release()
			if n := next[h.Stream]; n > 0 && (h.Type != spec.TypeRequestStreamData || h.Aux != n-1) {
				t.Errorf("stream %d: %s %d came as number %d", h.Stream, h.Type, h.Aux, n)
			}
			if next[h.Stream]++; h.Flags&spec.FlagEnd != 0 {
				if whole++; whole == calls {
					close(all)
				}
			}
			return nil
		})
		for aux := range uint32(chunks) {
			for i := range calls {
				flags := spec.Flags(0)
				if aux == chunks-1 {
					flags = spec.FlagEnd
				}
				write(t, gateway, frame(spec.TypeRequestStreamData, flags, uint32(2*i+2), aux, 10))
			}
		}
		select {
		case <-all:
		case <-time.After(patience):
			t.Fatal("not all frames were given")
		}
		if err := gateway.Close(); err != nil {
			t.Error(err)
		}
		if err := <-ended; !errors.Is(err, io.EOF) {
			t.Errorf("got %v", err)
		}
		_ = service.Close()
	})
	t.Run("ends with the error of who takes, and gives nothing more", func(t *testing.T) {
		enough := errors.New("enough")
		given := 0
		gateway, service, ended := begin(t, 0, func(f *transports.Frame) error {
			f.Release()
			given++
			return enough
		})
		write(t, gateway, request(2), request(4), request(6))
		if err := <-ended; !errors.Is(err, enough) {
			t.Errorf("got %v", err)
		}
		write(t, gateway, request(8))
		if err := service.Close(); err != nil {
			t.Error(err)
		}
		if given != 1 {
			t.Errorf("%d frames were given", given)
		}
	})
	t.Run("ends when this end closes", func(t *testing.T) {
		_, service, ended := begin(t, 0, func(f *transports.Frame) error { f.Release(); return nil })
		if err := service.Close(); err != nil {
			t.Error(err)
		}
		if err := <-ended; !errors.Is(err, net.ErrClosed) {
			t.Errorf("got %v", err)
		}
	})
}

func TestRequestDoesNotOvertakeWelcome(t *testing.T) {
	gateway, service := pair(t)
	write(t, gateway, request(2), request(4))
	got := make(chan *transports.Frame)
	go func() {
		defer close(got)
		for range 3 {
			if f, err := service.ReadFrame(); err == nil {
				got <- f
			}
		}
	}()
	g := NewWithT(t)
	g.Consistently(got, 100*time.Millisecond).ShouldNot(Receive())
	write(t, gateway, transports.NewControl(spec.TypeWelcome, 0, 0, nil))
	for i := range 3 {
		f := <-got
		if f == nil {
			t.Fatal("a frame is missing")
		}
		if welcome := f.Header().Type == spec.TypeWelcome; welcome != (i == 0) {
			t.Errorf("frame %d is %s", i, f.Header().Type)
		}
		f.Release()
	}
}

// announce is the head of a frame that never comes.
func announce(t spec.FrameType, id, length uint32) []byte {
	b := make([]byte, spec.HeaderSize)
	spec.Header{Length: length, Type: t, Stream: id}.Put(b)
	return b
}

func TestOversizedFrameIsRefused(t *testing.T) {
	for name, c := range map[string]struct {
		send func(t *testing.T, gateway *link)
	}{
		"on the control stream": {func(t *testing.T, gateway *link) {
			t.Helper()
			if _, err := gateway.control.Write(announce(0x40, 0, 1000)); err != nil {
				t.Fatal(err)
			}
		}},
		"on a call's": {func(t *testing.T, gateway *link) {
			t.Helper()
			s, err := gateway.conn.OpenStream()
			if err != nil {
				t.Fatal(err)
			}
			if _, err := s.Write(announce(spec.TypeRequestStreamData, 2, 1000)); err != nil {
				t.Fatal(err)
			}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			gateway, service := welcomed(t)
			service.SetMaxPayload(999)
			c.send(t, gateway)
			_, err := service.ReadFrame() // of the payload, not a byte has come
			if fault := (*spec.FrameError)(nil); !errors.As(err, &fault) || fault.Header.Length != 1000 {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestFramesOnTheWrongStreamAreRefused(t *testing.T) {
	whole := func(t spec.FrameType, id, aux uint32) []byte {
		b := announce(t, id, 0)
		binary.BigEndian.PutUint32(b[12:], aux)
		return b
	}
	for name, sent := range map[string][][]byte{
		"of the session":     {whole(spec.TypePing, 0, 1)},
		"credit":             {whole(spec.TypeCredit, 2, 1)},
		"of another call":    {append(whole(spec.TypeRequest, 2, 0), whole(spec.TypeRequestStreamData, 4, 0)...)},
		"on a second stream": {whole(spec.TypeRequest, 2, 0), whole(spec.TypeRequest, 2, 0)},
		"half, then the end": {whole(spec.TypeRequest, 2, 0)[:10]},
		"not known":          {whole(0x3f, 2, 0)},
	} {
		t.Run(name, func(t *testing.T) {
			gateway, service := welcomed(t)
			for _, b := range sent {
				s, err := gateway.conn.OpenStream()
				if err != nil {
					t.Fatal(err)
				}
				if _, err := s.Write(b); err != nil {
					t.Fatal(err)
				}
				if len(b)%spec.HeaderSize != 0 {
					s.Close()
				}
			}
			for {
				f, err := service.ReadFrame()
				f.Release()
				if err == nil {
					continue
				}
				if !errors.As(err, new(*spec.FrameError)) && !errors.Is(err, io.ErrUnexpectedEOF) {
					t.Errorf("got %v", err)
				}
				return
			}
		})
	}
	t.Run("of a call, on the control stream", func(t *testing.T) {
		gateway, service := welcomed(t)
		if _, err := gateway.control.Write(whole(spec.TypeRequest, 2, 0)); err != nil {
			t.Fatal(err)
		}
		if _, err := service.ReadFrame(); !errors.As(err, new(*spec.FrameError)) {
			t.Errorf("got %v", err)
		}
	})
}

// A stream that ends between two frames says that there is no more to come, and is no fault. One that is broken off is,
// as long as the call is open.
func TestStreamsThatEndWithoutEnd(t *testing.T) {
	for name, c := range map[string]struct {
		end   func(*quic.Stream)
		fault bool
	}{
		"FIN":          {func(s *quic.Stream) { s.Close() }, false},
		"RESET_STREAM": {func(s *quic.Stream) { s.CancelWrite(1) }, true},
	} {
		t.Run(name, func(t *testing.T) {
			gateway, service := welcomed(t)
			write(t, gateway, frame(spec.TypeRequest, 0, 2, 0, 0))
			expect(t, service, spec.TypeRequest, 2).Release()
			gateway.mu.Lock()
			c.end(gateway.calls[2].s)
			gateway.mu.Unlock()
			if c.fault {
				if _, err := service.ReadFrame(); !refused(err) {
					t.Errorf("got %v", err)
				}
				return
			}
			write(t, gateway, transports.NewControl(spec.TypePing, 0, 1, nil))
			expect(t, service, spec.TypePing, 0).Release()
			write(t, service, response(2)) // the call itself has ended in one direction only
			expect(t, gateway, spec.TypeResponse, 2).Release()
			forgotten(t, service)
		})
	}
	t.Run("FIN before the first frame", func(t *testing.T) {
		gateway, service := welcomed(t)
		s, err := gateway.conn.OpenStream()
		if err != nil {
			t.Fatal(err)
		}
		s.Close()
		NewWithT(t).Eventually(func() error {
			_, err := s.Read(make([]byte, 1))
			return err
		}).WithTimeout(patience).Should(MatchError(io.EOF)) // the other side is closed as well
		write(t, gateway, request(2))
		expect(t, service, spec.TypeRequest, 2).Release()
	})
}

// A peer that reads no more of an open call has broken off more than it may.
func TestStopSending(t *testing.T) {
	for name, answered := range map[string]bool{"while the call is open": false, "when the answer is whole": true} {
		t.Run(name, func(t *testing.T) {
			gateway, service := welcomed(t)
			write(t, gateway, frame(spec.TypeRequest, 0, 2, 0, 0))
			expect(t, service, spec.TypeRequest, 2).Release()
			if answered {
				write(t, service, response(2))
				expect(t, gateway, spec.TypeResponse, 2).Release()
			}
			service.mu.Lock()
			service.calls[2].s.CancelRead(0)
			service.mu.Unlock()
			var err error
			limit := time.Now().Add(patience)
			for aux := uint32(0); err == nil && gateway.open() > 0 && time.Now().Before(limit); aux++ {
				err = gateway.WriteFrames([]*transports.Frame{frame(spec.TypeRequestStreamData, 0, 2, aux, 10)})
			}
			switch {
			case !answered && !refused(err):
				t.Errorf("got %v", err)
			case answered && (err != nil || gateway.open() > 0):
				t.Errorf("got %v, and %d calls are open", err, gateway.open())
			}
		})
	}
}

// The service opens the control stream and no other, the gateway bidirectional ones, and nobody unidirectional ones.
func TestWhoOpensStreams(t *testing.T) {
	gateway, service := welcomed(t)
	for name, err := range map[string]error{
		"a second one of the service's": func() error { _, err := service.conn.OpenStream(); return err }(),
		"one way, the service's":        func() error { _, err := service.conn.OpenUniStream(); return err }(),
		"one way, the gateway's":        func() error { _, err := gateway.conn.OpenUniStream(); return err }(),
	} {
		if !errors.As(err, new(*quic.StreamLimitReachedError)) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

// A frame of a call that never was is the session's to judge: it arrives.
func TestServiceWritesAboutCallsThatNeverWere(t *testing.T) {
	gateway, service := welcomed(t)
	write(t, service, response(2))
	expect(t, gateway, spec.TypeResponse, 2).Release()
}

func TestCloseIsOrderly(t *testing.T) {
	for _, side := range []string{"gateway", "service"} {
		t.Run(side, func(t *testing.T) {
			near, far := welcomed(t)
			write(t, near, frame(spec.TypeRequest, 0, 2, 0, 0))
			expect(t, far, spec.TypeRequest, 2).Release()
			last := spec.TypeRequestStreamData
			if side == "service" {
				near, far, last = far, near, spec.TypeResponseStreamData
			}
			// What was written before still arrives.
			write(t, near, frame(last, 0, 2, 0, 10_000), transports.NewControl(spec.TypePing, 0, 1, nil))
			waiting := make(chan error)
			go func() {
				_, err := near.ReadFrame()
				waiting <- err
			}()
			began := time.Now()
			closed := make(chan error)
			go func() { closed <- near.Close() }()
			seen := 0
			for {
				f, err := far.ReadFrame()
				if err != nil {
					if !errors.Is(err, io.EOF) {
						t.Errorf("got %v, expected EOF", err)
					}
					break
				}
				seen++
				f.Release()
			}
			if seen != 2 {
				t.Errorf("%d of 2 frames came", seen)
			}
			if err := <-closed; err != nil {
				t.Error(err)
			}
			if took := time.Since(began); took > linger/2 {
				t.Errorf("closing took %v", took)
			}
			if err := <-waiting; !errors.Is(err, net.ErrClosed) {
				t.Errorf("the closed end read %v", err)
			}
			if err := near.WriteFrames([]*transports.Frame{request(4)}); !errors.Is(err, net.ErrClosed) {
				t.Errorf("the closed end wrote: %v", err)
			}
			if err := far.WriteFrames([]*transports.Frame{transports.NewControl(spec.TypePing, 0, 1, nil)}); !errors.Is(err, io.ErrClosedPipe) {
				t.Errorf("the other end wrote: %v", err)
			}
			if err := near.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}

// full makes the gateway's end one whose peer reads nothing, and whose windows are spent.
func full(t *testing.T) (gateway, service *link) {
	t.Helper()
	gateway, service = welcomed(t)
	write(t, gateway, frame(spec.TypeRequest, 0, 2, 0, 0))
	gateway.stall = 100 * time.Millisecond
	return gateway, service
}

func TestStalledWriteFails(t *testing.T) {
	gateway, _ := full(t)
	for range 10_000 {
		err := gateway.WriteFrames([]*transports.Frame{frame(spec.TypeRequestStreamData, 0, 2, 0, spec.MaxChunk)})
		if err == nil {
			continue
		}
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("got %v", err)
		}
		if again := gateway.WriteFrames([]*transports.Frame{request(4)}); !errors.Is(again, err) {
			t.Errorf("a broken link wrote: %v", again)
		}
		return
	}
	t.Error("nothing stalled")
}

func TestCloseEndsAWriteThatWaits(t *testing.T) {
	gateway, _ := full(t)
	gateway.stall = time.Minute
	result := make(chan error)
	go func() {
		for {
			if err := gateway.WriteFrames([]*transports.Frame{frame(spec.TypeRequestStreamData, 0, 2, 0, spec.MaxChunk)}); err != nil {
				result <- err
				return
			}
		}
	}()
	NewWithT(t).Consistently(result, 200*time.Millisecond).ShouldNot(Receive())
	gateway.Close()
	if err := <-result; !errors.Is(err, net.ErrClosed) {
		t.Errorf("got %v", err)
	}
}

func TestWriteSomeLeavesTheRest(t *testing.T) {
	gateway, service := full(t)
	gateway.stall = time.Minute
	n := uint32(0)
	for left := false; !left; n++ {
		var err error
		if left, err = gateway.WriteSome([]*transports.Frame{frame(spec.TypeRequestStreamData, 0, 2, n, spec.MaxChunk)}); err != nil {
			t.Fatal(err)
		}
	}
	var wg sync.WaitGroup
	wg.Go(func() { write(t, gateway, frame(spec.TypeRequestStreamData, 0, 2, n, 1)) })
	expect(t, service, spec.TypeRequest, 2).Release()
	for i := range n + 1 {
		f := expect(t, service, spec.TypeRequestStreamData, 2)
		if f.Header().Aux != i {
			t.Fatalf("read chunk %d, expected %d", f.Header().Aux, i)
		}
		f.Release()
	}
	wg.Wait()
}

// A peer that lets no more calls be open makes their REQUESTs wait, and is stalled when that takes too long.
func TestCallsWaitForAStream(t *testing.T) {
	noLeaks(t)
	ca := newAuthority(t)
	ln := listenOn(t, "quic://127.0.0.1:0?"+ca.issue(t, "gateway"), transports.ListenConfig{})
	u, err := url.Parse(ln.Addr() + "?ca=" + ca.file)
	if err != nil {
		t.Fatal(err)
	}
	cfg, err := clientTLS(u)
	if err != nil {
		t.Fatal(err)
	}
	addrs, err := resolve(t.Context(), u)
	if err != nil {
		t.Fatal(err)
	}
	service, err := dial(t.Context(), addrs[0], func(s *socket) (*quic.Conn, error) {
		return s.tr.Dial(t.Context(), addrs[0], cfg, config(2))
	})
	if err != nil {
		t.Fatal(err)
	}
	defer service.Close()
	gateway := accept(t, ln)
	welcome(t, gateway, service)
	write(t, gateway, request(2), request(4))
	if left, err := gateway.WriteSome([]*transports.Frame{request(6)}); !left || err != nil {
		t.Fatalf("left %v, %v", left, err)
	}
	for range 2 { // in any order
		f, err := service.ReadFrame()
		if err != nil {
			t.Fatal(err)
		}
		f.Release()
	}
	write(t, service, response(4))
	if left, err := gateway.WriteSome(nil); left || err != nil {
		t.Fatalf("left %v, %v", left, err)
	}
	expect(t, service, spec.TypeRequest, 6).Release()
	expect(t, gateway, spec.TypeResponse, 4).Release()
	gateway.stall = 50 * time.Millisecond
	if err := gateway.WriteFrames([]*transports.Frame{request(8)}); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("got %v", err)
	}
}

func TestSessionSurvivesANewAddress(t *testing.T) {
	gateway, service := welcomed(t)
	s, err := open(&net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer s.release()
	path, err := service.conn.AddPath(s.tr)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := path.Probe(ctx); err != nil {
		t.Fatal(err)
	}
	before := gateway.Traits().Remote
	if err := path.Switch(); err != nil {
		t.Fatal(err)
	}
	write(t, service, transports.NewControl(spec.TypePing, 0, 1, nil))
	expect(t, gateway, spec.TypePing, 0).Release()
	write(t, gateway, request(2))
	expect(t, service, spec.TypeRequest, 2).Release()
	NewWithT(t).Eventually(func() string { return gateway.Traits().Remote }).WithTimeout(patience).ShouldNot(Equal(before))
	service.Close()
	if _, err := gateway.ReadFrame(); !errors.Is(err, io.EOF) {
		t.Errorf("got %v", err)
	}
}
