package session_test

import (
	"context"
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"github.com/onsi/gomega/gleak"

	"github.com/stella-ops/router/spec"
	"github.com/stella-ops/router/transports"
	"github.com/stella-ops/router/transports/inmemory"
	"github.com/stella-ops/router/transports/session"
)

var seed = flag.Uint64("seed", 0, "makes the random choices of a test those of the one that has named it; 0 makes new ones")

// newSeed is the one that -seed names, or a new one.
func newSeed() uint64 {
	if *seed != 0 {
		return *seed
	}
	return rand.Uint64()
}

// tap is a gateway's link that keeps account of the final frames of each stream.
type tap struct {
	transports.Link

	mu      sync.Mutex
	streams []seen // by half the stream id
	fault   error
}

// seen are the frames that a stream has had.
type seen struct {
	request, cancel bool // from the gateway
	end, canceledBy bool // from the service
	overtaken       bool // REQUEST by its CANCEL
}

func (t *tap) stream(h spec.Header) *seen {
	for int(h.Stream/2) >= len(t.streams) {
		t.streams = append(t.streams, make([]seen, 1<<10)...)
	}
	return &t.streams[h.Stream/2]
}

func (t *tap) fail(h spec.Header, why string) {
	if t.fault == nil {
		t.fault = fmt.Errorf("%s on stream %d, code or sequence %d: %s", h.Type, h.Stream, h.Aux, why)
	}
}

func (t *tap) WriteFrames(batch []*transports.Frame) error {
	t.mu.Lock()
	for _, f := range batch {
		h := f.Header()
		if h.Stream == 0 {
			continue
		}
		switch s := t.stream(h); h.Type {
		case spec.TypeRequest:
			if s.request {
				t.fail(h, "the second one")
			}
			s.request, s.overtaken = true, s.cancel
		case spec.TypeCancel:
			if s.cancel {
				t.fail(h, "the gateway's second one")
			}
			s.cancel = true
		default:
		}
	}
	t.mu.Unlock()
	return t.Link.WriteFrames(batch)
}

func (t *tap) ReadFrame() (*transports.Frame, error) {
	f, err := t.Link.ReadFrame()
	if err != nil {
		return f, err
	}
	h := f.Header()
	if h.Stream == 0 {
		return f, nil
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	s := t.stream(h)
	if h.Flags&spec.FlagEnd != 0 {
		if s.end || s.canceledBy {
			t.fail(h, "END after the final frame")
		}
		s.end = true
	}
	if h.Type == spec.TypeCancel {
		if s.canceledBy || s.end && spec.Code(h.Aux) != spec.CodeNoError {
			t.fail(h, "after the final frame")
		}
		s.canceledBy = true
	}
	return f, nil
}

// verdict is what is wrong with the frames that have been seen, and how many CANCELs have overtaken their REQUEST.
func (t *tap) verdict(calls int64) (overtaken int, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.fault != nil {
		return 0, t.fault
	}
	requests := int64(0)
	for i, s := range t.streams {
		if s.overtaken {
			overtaken++
		}
		if !s.request {
			continue
		}
		if requests++; !s.end && !s.canceledBy {
			return 0, fmt.Errorf("the service has sent no final frame on stream %d: %+v", 2*i, s)
		}
	}
	if requests != calls {
		return 0, fmt.Errorf("%d calls began, and %d requests were sent", calls, requests)
	}
	return overtaken, nil
}

// unordered is a link that keeps no order. Its gateway writes CANCEL first, and holds some requests back until it writes
// the next time, or a millisecond has passed.
type unordered struct {
	transports.Link

	random *rand.Rand // nil at the service
	mu     sync.Mutex
	held   []*transports.Frame
	out    []*transports.Frame
}

func (u *unordered) Traits() transports.Traits {
	t := u.Link.Traits()
	t.Order = transports.OrderNone
	return t
}

func (u *unordered) WriteFrames(batch []*transports.Frame) error {
	if u.random == nil {
		return u.Link.WriteFrames(batch)
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	var held []*transports.Frame
	u.out = u.out[:0]
	for _, f := range batch {
		if h := f.Header(); h.Type == spec.TypeCancel && h.Stream != 0 {
			u.out = append(u.out, f)
		}
	}
	u.out = append(u.out, u.held...)
	for _, f := range batch {
		switch h := f.Header(); {
		case h.Type == spec.TypeCancel && h.Stream != 0:
		case h.Type == spec.TypeRequest && h.Flags&spec.FlagEnd != 0 && u.random.IntN(4) == 0:
			held = append(held, f)
		default:
			u.out = append(u.out, f)
		}
	}
	if u.held = held; len(held) > 0 {
		time.AfterFunc(time.Millisecond, u.flush)
	}
	return u.Link.WriteFrames(u.out)
}

func (u *unordered) flush() {
	u.mu.Lock()
	defer u.mu.Unlock()
	_ = u.Link.WriteFrames(u.held)
	u.held = nil
}

// The ways in which a call and its end can cross.
const (
	crossEnd      = iota // the answer's END
	crossCredit          // credit for the answer
	crossUpload          // credit for the request
	crossTrailers        // trailers, both ways
	crossEarly           // an answer that leaves the request open
	crossCancel          // the service's own CANCEL
	crossNothing         // a handler that waits for it
	crossings
)

// racers are callers of one session that cancel their calls, and its handlers.
type racers struct {
	g      *session.Gateway
	served []atomic.Int32 // by call: handlers begun
	begun  atomic.Int64
	ended  atomic.Int64 // handlers
}

// serve is a handler. The call says which one.
func (r *racers) serve(c *session.Incoming) {
	defer r.ended.Add(1)
	b, _ := c.Inline()
	kind, call := int(b[0]), binary.BigEndian.Uint32(b[1:])
	r.served[call].Add(1)
	switch kind {
	case crossEnd, crossEarly:
		respond(c, 200, "")
	case crossCredit:
		_ = c.Head(&spec.Response{Status: 200, ContentLength: -1})
		part := make([]byte, 300)
		for range 4 {
			if _, err := c.Write(part); err != nil {
				return
			}
		}
		_ = c.End()
	case crossUpload:
		_, _ = io.Copy(io.Discard, c)
		respond(c, 200, "")
	case crossTrailers:
		_, _ = io.Copy(io.Discard, c)
		_ = c.RespondWith(&spec.Response{Status: 200, ContentLength: -1}, b[:1], digest)
	case crossCancel:
		c.Cancel(spec.CodeInternal, "")
	default:
		<-c.Context().Done()
	}
}

// call makes one call. However it ends, it ends once.
func (r *racers) call(i int, random *rand.Rand) error {
	kind := random.IntN(crossings)
	body := binary.BigEndian.AppendUint32([]byte{byte(kind)}, uint32(i))
	flags, timeout := spec.FlagInlineBody|spec.FlagEnd, patience
	switch kind {
	case crossUpload, crossEarly, crossTrailers:
		flags = spec.FlagInlineBody
	case crossNothing: // but its CANCEL ends it
		timeout = 0
	}
	var c *session.Call
	for {
		f, meta := request(string(body), -1)
		var err error
		if c, err = r.g.Start(f, meta, flags, timeout); err == nil {
			break
		}
		if !errors.Is(err, session.ErrRefused) || r.g.Err() != nil {
			return err
		}
		runtime.Gosched() // cancelled calls hold their slots for a moment
	}
	r.begun.Add(1)
	defer c.Close()
	var others sync.WaitGroup // who cancel it, too
	defer others.Wait()
	if kind == crossUpload || kind == crossEarly {
		for range random.IntN(4) {
			n, err := c.Acquire(300)
			if err != nil {
				break
			}
			f := transports.NewFrame(n)
			f.SetBytes(f.Bytes()[:spec.HeaderSize+n])
			if c.Send(f, n, random.IntN(8) == 0) != nil {
				break
			}
		}
	}
	if kind == crossTrailers {
		_ = c.EndWith(digest) // fails with the session alone: nobody has cancelled the call yet
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	switch random.IntN(4) {
	case 0:
		c.Cancel(spec.CodeClientGone)
	case 1:
		others.Go(func() { c.Cancel(spec.CodeClientGone) })
	case 2:
		cancel()
	default:
		if kind == crossNothing || kind == crossUpload {
			go cancel()
		}
	}
	f, err := c.Head(ctx)
	events := 1 // or it waits, because the context was first
	switch {
	case err == nil:
		f.Release()
	case haveCode(spec.CodeRefused)(err):
		return fmt.Errorf("call %d was refused though the gateway had a slot for it", i)
	case haveCode(spec.CodeDeadline)(err), errors.Is(err, session.ErrClosed):
		return fmt.Errorf("call %d of kind %d: %w", i, kind, err)
	case errors.Is(err, context.Canceled):
		events = 0
	}
	for err == nil && (kind == crossCredit || kind == crossTrailers) {
		if f, err = c.Next(context.Background(), patience); err == nil {
			n := len(f.Body())
			f.Release()
			c.Consumed(n)
			if random.IntN(3) == 0 {
				others.Go(func() { c.Cancel(spec.CodeClientGone) })
			}
		}
	}
	c.Cancel(spec.CodeClientGone)
	if events += c.Events(); events != 1 {
		return fmt.Errorf("call %d of kind %d has ended more than once", i, kind)
	}
	return nil
}

// files is how many file descriptors are open.
func files() int {
	entries, _ := os.ReadDir("/dev/fd")
	return len(entries)
}

// race has callers cancel so many calls in every way, and returns what was lost, or happened twice, and how many CANCELs
// have overtaken their REQUEST, which they do on links without order. Both ends are closed.
func race(calls int, seed uint64, order transports.Order, glink, slink transports.Link) (overtaken int, err error) {
	const callers = 64
	link := &tap{Link: glink}
	glink = link
	if order == transports.OrderNone {
		glink, slink = &unordered{Link: glink, random: rand.New(rand.NewPCG(seed, callers))}, &unordered{Link: slink}
	}
	r := &racers{served: make([]atomic.Int32, calls)}
	g, s, err := connect(glink, slink,
		session.GatewayConfig{Welcome: spec.Welcome{StreamWindow: 512}, Limits: session.Limits{Cancels: 1 << 30}},
		session.ServiceConfig{
			Hello: spec.Hello{Lease: 4 * callers, StreamWindow: 512, Features: []spec.Feature{{Name: spec.FeatureTrailers}}},
			Serve: r.serve, Limits: session.Limits{Cancels: 1 << 30},
		})
	if err != nil {
		return 0, err
	}
	defer func() {
		err = errors.Join(err, g.Close(spec.CodeShutdown, ""), s.Close())
	}()
	r.g = g
	errs := make(chan error, callers)
	var wg sync.WaitGroup
	for caller := range callers {
		wg.Go(func() {
			random := rand.New(rand.NewPCG(seed, uint64(caller)))
			for i := caller; i < calls; i += callers {
				if err := r.call(i, random); err != nil {
					errs <- err
					return
				}
			}
		})
	}
	wg.Wait()
	select {
	case err := <-errs:
		return 0, err
	default:
	}
	if err := eventually(func() error { return balanced(g, s) }); err != nil {
		return 0, err
	}
	handlers := int64(0)
	for i := range r.served {
		n := r.served[i].Load()
		if handlers += int64(n); n > 1 {
			return 0, fmt.Errorf("call %d was served %d times", i, n)
		}
	}
	if n := r.ended.Load(); n != handlers {
		return 0, fmt.Errorf("%d handlers began, and %d ended", handlers, n)
	}
	return link.verdict(r.begun.Load())
}

var _ = Describe("Calls that are cancelled while they end", func() {
	lose := func(calls int, order transports.Order, newLinks func() (glink, slink transports.Link)) (overtaken int) {
		GinkgoHelper()
		chosen := newSeed()
		goroutines, descriptors := gleak.Goroutines(), files()
		glink, slink := newLinks()
		overtaken, err := race(calls, chosen, order, glink, slink)
		Expect(err).NotTo(HaveOccurred(), "again with -seed=%d", chosen)
		Eventually(gleak.Goroutines).WithTimeout(patience).ShouldNot(gleak.HaveLeaked(goroutines))
		Eventually(files).WithTimeout(patience).Should(BeNumerically("<=", descriptors))
		return overtaken
	}

	It("end once, and leave nothing behind: CANCEL crosses END and CREDIT, 100,000 times", func() {
		lose(100_000, transports.OrderLink, inmemory.Pipe)
	})

	It("end once, and leave nothing behind: CANCEL overtakes REQUEST, 60,000 times", func() {
		Expect(lose(60_000, transports.OrderNone, inmemory.Pipe)).To(BeNumerically(">", 1000), "CANCELs that have overtaken their REQUEST")
	})

	It("end once, and leave nothing behind: on sockets, 40,000 times", func() {
		lose(40_000, transports.OrderLink, links["tcp"])
	})

	It("end though thousands of other CANCELs have crossed the end of their call, and left a tombstone each", func() {
		link, slink := inmemory.Pipe()
		s := rawGatewayOn(link, &unordered{Link: slink}, func(c *session.Incoming) { <-c.Context().Done() })
		for id := uint32(2); id <= 20_000; id += 2 {
			write(link, transports.NewControl(spec.TypeCancel, id, uint32(spec.CodeClientGone), nil))
		}
		write(link, frame(spec.TypeRequest, spec.FlagEnd, 20_000, 0, requestMeta(), nil))
		expectCancel(link, 20_000, spec.CodeNoError)
		Expect(s.InFlight()).To(BeZero())
		write(link, frame(spec.TypeRequest, spec.FlagEnd, 20_000, 0, requestMeta(), nil)) // it has come before
		ping(link)
		Expect(s.InFlight()).To(BeZero())
		write(link, frame(spec.TypeRequest, spec.FlagEnd, 20_002, 0, requestMeta(), nil)) // nobody has cancelled this one
		ping(link)
		Expect(s.InFlight()).To(Equal(1))
	})

	It("give back all that 10,000 aborted uploads had taken", func() {
		for name, newLinks := range links { // half of them over each
			chosen := newSeed()
			goroutines, descriptors := gleak.Goroutines(), files()
			glink, slink := newLinks()
			Expect(abortUploads(5_000, chosen, glink, slink)).To(Succeed(), "over %s, again with -seed=%d", name, chosen)
			Eventually(gleak.Goroutines).WithTimeout(patience).ShouldNot(gleak.HaveLeaked(goroutines))
			Eventually(files).WithTimeout(patience).Should(BeNumerically("<=", descriptors))
		}
	})
})

// abortUploads begins so many uploads, of up to a few windows, and aborts each somewhere, while its handler reads all of
// it, some of it, or nothing.
func abortUploads(calls int, seed uint64, glink, slink transports.Link) (err error) {
	const callers = 64
	var served, failed atomic.Int64
	link := &tap{Link: glink}
	limits := session.Limits{Cancels: 1 << 30}
	g, s, err := connect(link, slink, session.GatewayConfig{Limits: limits}, session.ServiceConfig{
		Hello: spec.Hello{Lease: 4 * callers, StreamWindow: 16 << 10}, Limits: limits,
		Serve: func(c *session.Incoming) {
			defer served.Add(1)
			b, _ := c.Inline()
			part := make([]byte, 4<<10)
			for range int(b[0]) {
				if _, err := c.Read(part); err != nil {
					failed.Add(1)
					return
				}
			}
			<-c.Context().Done()
			failed.Add(1)
		},
	})
	if err != nil {
		return err
	}
	defer func() {
		err = errors.Join(err, g.Close(spec.CodeShutdown, ""), s.Close())
	}()
	upload := func(random *rand.Rand) error {
		f, meta := request(string(rune(random.IntN(30))), -1)
		c, err := g.Start(f, meta, spec.FlagInlineBody, 0)
		for ; errors.Is(err, session.ErrRefused) && g.Err() == nil; c, err = g.Start(f, meta, spec.FlagInlineBody, 0) {
			runtime.Gosched() // cancelled calls hold their slots for a moment
			f, meta = request(string(rune(random.IntN(30))), -1)
		}
		if err != nil {
			return err
		}
		defer c.Close()
		pumped := make(chan struct{})
		go func() {
			defer close(pumped)
			_ = sendAll(c, make([]byte, 128<<10)) // more than is read
		}()
		for range random.IntN(20) {
			runtime.Gosched()
		}
		c.Cancel(spec.CodeStalled)
		<-pumped
		if _, err := c.Head(context.Background()); !haveCode(spec.CodeStalled)(err) {
			return fmt.Errorf("an aborted upload ended otherwise: %w", err)
		}
		if c.Events() != 0 {
			return errors.New("an aborted upload has ended more than once")
		}
		return nil
	}
	errs := make(chan error, callers)
	var wg sync.WaitGroup
	for caller := range callers {
		wg.Go(func() {
			random := rand.New(rand.NewPCG(seed, uint64(caller)))
			for range (calls + caller) / callers {
				if err := upload(random); err != nil {
					errs <- err
					return
				}
			}
		})
	}
	wg.Wait()
	select {
	case err := <-errs:
		return err
	default:
	}
	if err := eventually(func() error { return balanced(g, s) }); err != nil {
		return err
	}
	if a, b := served.Load(), failed.Load(); a != int64(calls) || b != a {
		return fmt.Errorf("of %d uploads, %d were served, and %d handlers were told that it was aborted", calls, a, b)
	}
	_, err = link.verdict(int64(calls))
	return err
}

// eventually waits until there is no error any more, or patience has run out.
func eventually(f func() error) error {
	deadline := time.Now().Add(patience)
	for {
		err := f()
		if err == nil || time.Now().After(deadline) {
			return err
		}
		<-time.After(5 * time.Millisecond)
	}
}
