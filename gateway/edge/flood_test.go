package edge_test

import (
	"bytes"
	"encoding/binary"
	"log/slog"
	"net"
	"net/http"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/stella-ops/router/gateway"
	"github.com/stella-ops/router/spec"
	"github.com/stella-ops/router/transports/session"
)

const (
	// floodHeap is by how much a flood may make the heap grow, garbage included: the test's own frames are in it.
	floodHeap = 48 << 20
	// floodTime is what a flood may take of processors, the test's own part in it and with the race detector: ten times what it
	// does. One that was not bounded would take them for as long as it lasts.
	floodTime = 10 * time.Second
	// floodKept is what may be left of it: the rig keeps a record of every frame that the service gets.
	floodKept = 6 << 20
	// handlersPerConn is how many requests of one connection net/http serves at once.
	handlersPerConn = 250
)

// quiet keeps no log: a flood's would be counted as the gateway's memory.
func quiet(c *gateway.Config) { c.Logger = slog.New(slog.DiscardHandler) }

func heap() uint64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// endures runs something that a bad client does. A good client has to be answered all the while, and memory is bounded.
func (r *rig) endures(grow uint64, happens func()) {
	GinkgoHelper()
	runtime.GC()
	before := heap()
	over, good := make(chan struct{}), sync.WaitGroup{}
	var answered atomic.Int64
	var most uint64
	good.Go(func() {
		defer GinkgoRecover()
		for {
			Expect(r.do("GET", "/good", "").StatusCode).To(Equal(http.StatusOK))
			answered.Add(1)
			most = max(most, heap())
			select {
			case <-over:
				return
			case <-time.After(time.Millisecond):
			}
		}
	})
	Eventually(answered.Load).WithTimeout(patience).Should(BeNumerically(">", 0))
	during := answered.Load()
	busy := processor()
	happens()
	busy = processor() - busy
	AddReportEntry("processor time", busy.String())
	Expect(busy).To(BeNumerically("<", floodTime))
	Eventually(answered.Load).WithTimeout(patience).Should(BeNumerically(">", during+1)) // one may have been answered before it began
	close(over)
	good.Wait()
	Expect(most).To(BeNumerically("<", before+grow), "the heap grew from %d", before)
	Eventually(func() uint64 {
		runtime.GC()
		return heap()
	}).WithTimeout(patience).Should(BeNumerically("<", before+floodKept))
}

// hanging is a service whose calls end with their clients, and which knows how many there are.
type hanging struct{ now, most, all atomic.Int64 }

func (h *hanging) serve(in *session.Incoming) {
	h.all.Add(1)
	n := h.now.Add(1)
	for m := h.most.Load(); n > m && !h.most.CompareAndSwap(m, n); m = h.most.Load() {
	}
	<-in.Context().Done()
	h.now.Add(-1)
}

// pour writes batches until n are written or the connection takes no more, and reports whether it took all.
func (c *h2conn) pour(n int, batch func(i int) []byte) bool {
	for i := range n {
		if _, err := c.Write(batch(i)); err != nil {
			return false
		}
	}
	return true
}

// times repeats what is made for each of n streams from first on.
func times(n int, first uint32, of func(stream uint32) []byte) []byte {
	var b []byte
	for i := range n {
		b = append(b, of(first+uint32(2*i))...)
	}
	return b
}

func word(n uint32) []byte { return binary.BigEndian.AppendUint32(nil, n) }

// Error codes (RFC 9113, section 7).
const (
	protocolError   = 1
	enhanceYourCalm = 11
)

var _ = Describe("a flood over HTTP/2", func() {
	var (
		r    *rig
		hang *hanging
	)

	BeforeEach(func() {
		r, hang = start(quiet, stallsAfter(2*time.Second)), &hanging{}
		r.join(identity{service: "good"}, named("good"), endpoint("GET", "/good"))
		r.join(identity{service: "hang", lease: 4096}, hang.serve, endpoint("GET", "/hang"), endpoint("POST", "/hang", streams))
		r.join(identity{service: "echo", lease: 4096}, echo, endpoint("POST", "/echo", streams), endpoint("GET", "/echo"))
		r.join(identity{service: "large", lease: 4096}, stream(-1, 64<<20), endpoint("GET", "/large", streams))
	})

	open := asking("GET", "/hang")
	upload := asking("POST", "/hang")

	DescribeTable("of requests that are reset ends the connection, and few of them reach the service",
		func(each func(stream uint32) []byte) {
			const rounds, batch = 200, 100
			code := 0
			r.endures(floodHeap, func() {
				c := r.h2()
				ended := make(chan int, 1)
				go func() { ended <- c.settles() }()
				if c.pour(rounds, func(i int) []byte { return times(batch, uint32(i*2*batch+1), each) }) {
					_ = c.send(h2Ping, 0, 0, make([]byte, 8)) // fails where the server has ended the connection
				}
				Eventually(ended).WithTimeout(2 * patience).Should(Receive(&code))
				Expect(c.Close()).To(Succeed())
			})
			Expect(code).To(BeElementOf(-1, protocolError, enhanceYourCalm), "closed, with GOAWAY or without")
			Expect(hang.all.Load()).To(BeNumerically("<", rounds*batch/10))
			Expect(hang.most.Load()).To(BeNumerically("<=", 2*handlersPerConn), "at once: those that end overlap with those that begin")
			Eventually(hang.now.Load).WithTimeout(patience).Should(BeZero())
			AddReportEntry("ended with the code", code)
			AddReportEntry("reached the service", hang.all.Load())
		},
		Entry("by the client (rapid reset)", func(s uint32) []byte {
			return slices.Concat(frame(h2Headers, h2End|h2EndHeaders, s, open), frame(h2Reset, 0, s, word(8)))
		}),
		Entry("by the client, in the middle of a body", func(s uint32) []byte {
			return slices.Concat(frame(h2Headers, h2EndHeaders, s, upload), frame(h2Data, 0, s, []byte("some")), frame(h2Reset, 0, s, word(8)))
		}),
		Entry("by the server, for a window of nothing more (made you reset)", func(s uint32) []byte {
			return slices.Concat(frame(h2Headers, h2End|h2EndHeaders, s, open), frame(h2WindowUpdate, 0, s, word(0)))
		}),
		Entry("by the server, for a window that overflows", func(s uint32) []byte {
			return slices.Concat(frame(h2Headers, h2End|h2EndHeaders, s, open), frame(h2WindowUpdate, 0, s, word(1<<31-1)))
		}),
		Entry("by the server, for a body behind its end", func(s uint32) []byte {
			return slices.Concat(frame(h2Headers, h2End|h2EndHeaders, s, open), frame(h2Data, 0, s, []byte("more")))
		}),
		Entry("by the server, for a body that is not of its length", func(s uint32) []byte {
			return slices.Concat(frame(h2Headers, h2EndHeaders, s, asking("POST", "/hang", "content-length", "1")), frame(h2Data, h2End, s, []byte("more")))
		}),
		Entry("by the server, for depending on themselves", func(s uint32) []byte {
			return slices.Concat(frame(h2Headers, h2End|h2EndHeaders, s, open), frame(0x2, 0, s, append(word(s), 1)))
		}),
	)

	It("is not what a client does that resets many requests and has others answered", func() {
		c := r.h2()
		stream := uint32(1)
		for range 3 * 200 {
			Expect(c.send(h2Headers, h2End|h2EndHeaders, stream, open)).To(Succeed())
			Expect(c.send(h2Reset, 0, stream, word(8))).To(Succeed())
			Expect(c.send(h2Headers, h2End|h2EndHeaders, stream+2, asking("GET", "/good"))).To(Succeed())
			Expect(c.until(stream+2, h2Headers, h2Reset).ok()).To(BeTrue())
			stream += 4
		}
		Expect(c.Close()).To(Succeed())
		Eventually(hang.now.Load).WithTimeout(patience).Should(BeZero())
	})

	It("of CONTINUATION ends the connection", func() {
		for _, part := range [][]byte{fields("x", strings.Repeat("x", 16_000)), bytes.Repeat(fields("x", ""), 4000)} {
			r.endures(floodHeap, func() {
				c := r.h2()
				ended := make(chan int, 1)
				go func() { ended <- c.ends() }()
				Expect(c.send(h2Headers, h2End, 1, open)).To(Succeed())
				took := c.pour(4000, func(int) []byte { return frame(h2Continuation, 0, 1, part) }) // up to 64 MB
				Expect(took).To(BeFalse())
				Eventually(ended).WithTimeout(patience).Should(Receive())
			})
		}
		Expect(hang.all.Load()).To(BeZero())
	})

	It("of CONTINUATION without anything in it holds no memory, and reaches no service", func() {
		r.endures(floodHeap, func() {
			c := r.h2()
			ended := make(chan int, 1)
			go func() { ended <- c.ends() }()
			Expect(c.send(h2Headers, h2End, 1, open)).To(Succeed())
			empty := bytes.Repeat(frame(h2Continuation, 0, 1, nil), 1000)
			c.pour(100, func(int) []byte { return empty })
			Expect(c.Close()).To(Succeed())
			Eventually(ended).WithTimeout(patience).Should(Receive())
		})
		Expect(hang.all.Load()).To(BeZero())
	})

	It("of fields that are small on the wire and large behind it (HPACK bomb) is refused", func() {
		r.endures(floodHeap, func() {
			c := r.h2()
			// One field of 4,000 bytes enters the dynamic table (RFC 7541, section 6.2.1), and 16,000 indices say it again: 64 MB.
			entry := append([]byte{0x40}, fields("x", strings.Repeat("x", 3900))[1:]...)
			bomb := slices.Concat(asking("GET", "/echo"), entry, bytes.Repeat([]byte{0x80 | 62}, 12_000))
			for i := range uint32(200) {
				Expect(c.send(h2Headers, h2End|h2EndHeaders, 2*i+1, bomb)).To(Succeed())
				f := c.until(2*i+1, h2Headers, h2Reset)
				Expect(f.ok()).To(BeFalse())
			}
			Expect(c.send(h2Headers, h2End|h2EndHeaders, 401, asking("GET", "/echo"))).To(Succeed())
			Expect(c.until(401, h2Headers).ok()).To(BeTrue(), "the connection goes on")
			Expect(c.Close()).To(Succeed())
		})
	})

	DescribeTable("of frames that the server has to answer is bounded, whether the answers are read or not",
		func(one []byte, reads bool) {
			r.endures(floodHeap, func() {
				c := r.h2()
				ended := make(chan int, 1)
				if reads {
					go func() { ended <- c.ends() }()
				} else {
					Expect(c.Conn.(*net.TCPConn).SetReadBuffer(4096)).To(Succeed()) //nolint:forcetypeassert // it is
					ended <- 0
				}
				Expect(c.SetWriteDeadline(time.Now().Add(2 * time.Second))).To(Succeed()) // a server that reads no more is bounded, too
				many := bytes.Repeat(one, 1000)
				c.pour(200, func(int) []byte { return many })
				Expect(c.Close()).To(Succeed())
				Eventually(ended).WithTimeout(patience).Should(Receive())
			})
		},
		Entry("SETTINGS", frame(h2Settings, 0, 0, nil), true),
		Entry("SETTINGS, unread", frame(h2Settings, 0, 0, nil), false),
		Entry("PING", frame(h2Ping, 0, 0, make([]byte, 8)), true),
		Entry("PING, unread", frame(h2Ping, 0, 0, make([]byte, 8)), false),
		Entry("WINDOW_UPDATE of a stream that is over", frame(h2WindowUpdate, 0, 0, word(1)), true),
		Entry("PRIORITY", frame(0x2, 0, 1, append(word(3), 1)), true),
	)

	It("of empty DATA does not count as a body that arrives", func() {
		r.endures(floodHeap, func() {
			c := r.h2()
			Expect(c.send(h2Headers, h2EndHeaders, 1, asking("POST", "/echo"))).To(Succeed())
			empty := bytes.Repeat(frame(h2Data, 0, 1, nil), 100)
			stop, stopped := make(chan struct{}), make(chan struct{})
			go func() {
				defer close(stopped)
				for {
					select {
					case <-stop:
						return
					case <-time.After(time.Millisecond):
						if _, err := c.Write(empty); err != nil {
							return
						}
					}
				}
			}()
			Expect(c.until(1, h2Headers, h2Reset).ok()).To(BeFalse(), "408 when the stall limit is over")
			close(stop)
			<-stopped
			Expect(c.Close()).To(Succeed())
		})
	})

	It("of answers that nobody takes holds no more than the windows of each, in buffers of twice that", func() {
		r.endures(floodHeap+2*handlersPerConn*(spec.StreamWindow+spec.MaxChunk), func() {
			c := r.h2()
			Expect(c.send(h2Settings, 0, 0, append([]byte{0, 4}, word(0)...))).To(Succeed()) // SETTINGS_INITIAL_WINDOW_SIZE 0
			for i := range uint32(handlersPerConn) {
				Expect(c.send(h2Headers, h2End|h2EndHeaders, 2*i+1, asking("GET", "/large"))).To(Succeed())
			}
			for resets := 0; resets < handlersPerConn; { // each is broken off when the stall limit is over
				f, err := c.next()
				Expect(err).NotTo(HaveOccurred())
				if f.kind == h2Reset {
					resets++
				}
			}
			Expect(c.Close()).To(Succeed())
		})
	})
})
