package session_test

import (
	"bytes"
	"context"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/stella-ops/router/spec"
	"github.com/stella-ops/router/transports"
	"github.com/stella-ops/router/transports/inmemory"
	"github.com/stella-ops/router/transports/session"
)

// gated is a link whose reads or writes a test holds up.
type gated struct {
	transports.Link

	mu      sync.Mutex
	reading chan struct{} // nil, or reads wait until it is closed
	writing chan struct{} // the same for writes
}

func (g *gated) hold(gate *chan struct{}) (release func()) {
	g.mu.Lock()
	defer g.mu.Unlock()
	c := make(chan struct{})
	*gate = c
	return sync.OnceFunc(func() { close(c) })
}

func (g *gated) wait(gate *chan struct{}) {
	g.mu.Lock()
	c := *gate
	g.mu.Unlock()
	if c != nil {
		<-c
	}
}

func (g *gated) ReadFrame() (*transports.Frame, error) {
	f, err := g.Link.ReadFrame()
	g.wait(&g.reading)
	return f, err
}

func (g *gated) WriteFrames(batch []*transports.Frame) error {
	g.wait(&g.writing)
	return g.Link.WriteFrames(batch)
}

// heap is the memory in use, in bytes.
func heap() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

var _ = Describe("A session under load", func() {
	It("takes new calls on while the bodies of many others wait to be written", func() {
		var link *gated
		g, _ := pair(func() (transports.Link, transports.Link) {
			a, b := inmemory.Pipe()
			link = &gated{Link: a}
			return link, b
		}, func(c *session.Incoming) { <-c.Context().Done() }, func(_ *session.GatewayConfig, s *session.ServiceConfig) { s.Hello.Lease = 256 })
		calls := make([]*session.Call, 128)
		for i := range calls {
			calls[i] = open(g)
			defer calls[i].Close()
		}
		release := link.hold(&link.writing)
		defer release()
		var queued atomic.Int64
		var senders sync.WaitGroup
		for _, c := range calls {
			senders.Go(func() {
				n, err := c.Acquire(spec.MaxChunk)
				if err == nil {
					f := transports.NewFrame(n)
					f.SetBytes(f.Bytes()[:spec.HeaderSize+n])
					_ = c.Send(f, n, false)
				}
				queued.Add(1)
			})
		}
		Eventually(queued.Load).WithTimeout(patience).Should(BeNumerically("==", len(calls)-1), "one of them writes")
		c, err := tryStart(g, "small", patience)
		Expect(err).NotTo(HaveOccurred())
		defer c.Close()
		release()
		senders.Wait()
	})

	It("holds bodies that come in the smallest of parts in little more memory than their bytes", func() {
		const size = 200_000
		g, link := rawService(8, func(c *session.GatewayConfig) { c.Welcome.StreamWindow = 256 << 10 })
		c := start(g, "", patience)
		defer c.Close()
		_ = read(link)
		before := heap()
		write(link, frame(spec.TypeResponse, 0, 2, 0, responseMeta(200), nil))
		want := make([]byte, size)
		for i := range want {
			want[i] = byte(i)
			write(link, frame(spec.TypeResponseStreamData, 0, 2, uint32(i), nil, want[i:i+1]))
		}
		write(link, frame(spec.TypeResponseStreamData, spec.FlagEnd, 2, size, nil, nil), transports.NewControl(spec.TypePing, 0, 1, nil))
		Expect(read(link).Header().Type).To(Equal(spec.TypePong))
		Expect(heap() - before).To(BeNumerically("<", 4*size))
		_, _ = answer(c)
		got, err := readAll(c)
		Expect(err).NotTo(HaveOccurred())
		Expect(bytes.Equal(got, want)).To(BeTrue())
	})

	It("ends when the peer asks for more than it takes back", func() {
		g, link := rawService(8)
		stop := make(chan struct{})
		defer close(stop)
		go func() { // never reads what it is owed
			for i := uint32(1); ; i++ {
				select {
				case <-stop:
					return
				default:
				}
				if link.WriteFrames([]*transports.Frame{transports.NewControl(spec.TypePing, 0, i, nil)}) != nil {
					return
				}
			}
		}()
		// A hundred thousand frames take a busy machine a while; at the write stall the session would end for that.
		Eventually(g.Done()).WithTimeout(spec.WriteStall).Should(BeClosed())
		Expect(g.Err()).To(Satisfy(haveCode(spec.CodeFlow)))
	})

	It("serves nothing that is read after it has died", func() {
		served := make(chan struct{}, 1)
		near, far := inmemory.Pipe()
		held := &gated{Link: far}
		welcome, err := spec.Canonical(plainWelcome())
		Expect(err).NotTo(HaveOccurred())
		write(near, transports.NewControl(spec.TypeWelcome, 0, 0, welcome))
		s, err := session.Open(context.Background(), held, session.ServiceConfig{
			Hello: plainHello(), Manifest: []byte("m"), Serve: func(*session.Incoming) { served <- struct{}{} },
		})
		Expect(err).NotTo(HaveOccurred())
		Expect(read(near).Header().Type).To(Equal(spec.TypeHello))
		release := held.hold(&held.reading)
		write(near, frame(spec.TypeRequest, spec.FlagEnd, 2, 0, requestMeta(), nil))
		closed := make(chan struct{})
		go func() {
			_ = s.Close()
			close(closed)
		}()
		Eventually(s.Done()).WithTimeout(patience).Should(BeClosed())
		release()
		Eventually(closed).WithTimeout(patience).Should(BeClosed())
		Expect(near.Close()).To(Succeed())
		Consistently(served).WithTimeout(100 * time.Millisecond).ShouldNot(Receive())
		Expect(s.InFlight()).To(BeZero())
	})
})

// slow is a link that takes its time for every write.
type slow struct {
	transports.Link

	takes atomic.Int64 // nanoseconds
}

func (s *slow) WriteFrames(batch []*transports.Frame) error {
	<-time.After(time.Duration(s.takes.Load()))
	return s.Link.WriteFrames(batch)
}

func TestDrainWaitsForAnswersToLeave(t *testing.T) {
	ownCalls(t)
	synctest.Test(t, func(t *testing.T) {
		near, far := inmemory.Pipe()
		welcome, err := spec.Canonical(plainWelcome())
		if err != nil {
			t.Fatal(err)
		}
		put := func(f *transports.Frame) {
			if err := near.WriteFrames([]*transports.Frame{f}); err != nil {
				t.Error(err)
			}
		}
		put(transports.NewControl(spec.TypeWelcome, 0, 0, welcome))
		link := &slow{Link: far}
		s, err := session.Open(t.Context(), link, session.ServiceConfig{Hello: plainHello(), Manifest: []byte("m"), Serve: echo})
		if err != nil {
			t.Fatal(err)
		}
		link.takes.Store(int64(3 * time.Second))
		put(transports.NewControl(spec.TypePing, 0, 1, nil)) // its PONG keeps the writer busy
		synctest.Wait()
		put(frame(spec.TypeRequest, spec.FlagEnd, 2, 0, requestMeta(), nil))
		synctest.Wait()
		if n := s.InFlight(); n != 0 {
			t.Errorf("%d calls are open, expected none: the answer only has to leave", n)
		}
		if err := s.Drain(t.Context()); err != nil {
			t.Errorf("drain: %v", err)
		}
		answered := false
		for {
			f, err := near.ReadFrame()
			if err != nil {
				break
			}
			answered = answered || f.Header().Type == spec.TypeResponse
			f.Release()
		}
		if !answered {
			t.Error("the session was closed before the answer had left")
		}
		_ = near.Close()
	})
}
