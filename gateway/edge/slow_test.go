package edge_test

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/stella-ops/router/spec"
	"github.com/stella-ops/router/transports/session"
)

// slowClients is how many there are at once. The soak has more.
var slowClients = 200

// slowStall is how long they may take. The soak's have to come first.
var slowStall = time.Second

// goodTime is what the good client's service takes for an answer: as little as one that does something. Of an answer at once,
// that takes 0.15 ms, the p99 would tell of this process, which plays all clients and services, and not of the gateway.
const goodTime = 5 * time.Millisecond

// slowRequests is how many requests of the good client are measured before. The soak has more.
var slowRequests = 100

// slowTwice makes the good client's waiting a matter of the spec: the soak's, without the race detector.
var slowTwice = false

// What the gateway may hold for one slow client: of a connection its buffers and goroutines, of a body that comes slowly one
// frame, of an answer that is taken slowly its window and the frame that is being written. A frame of 16 or 64 KiB takes a buffer
// of twice that, since it has a header, too. The test's own end is in it.
const (
	slowConn   = 64 << 10
	slowBody   = slowConn + 2*spec.MaxChunk
	slowAnswer = slowConn + 2*(spec.StreamWindow+spec.MaxChunk)
)

// dial connects a client that does nothing by itself. What the kernel holds for it is small.
func (r *rig) dial() *net.TCPConn {
	GinkgoHelper()
	d := net.Dialer{Timeout: patience}
	conn, err := d.Dial("tcp", r.g.HTTPAddr())
	Expect(err).NotTo(HaveOccurred())
	tcp, ok := conn.(*net.TCPConn)
	Expect(ok).To(BeTrue())
	Expect(tcp.SetReadBuffer(4096)).To(Succeed())
	Expect(tcp.SetDeadline(time.Now().Add(6 * patience))).To(Succeed())
	return tcp
}

// waits are how long a good client waits for each of n answers.
func (r *rig) waits(n int) []time.Duration {
	GinkgoHelper()
	took := make([]time.Duration, n)
	for i := range took {
		began := time.Now()
		Expect(r.do("GET", "/good", "").StatusCode).To(Equal(http.StatusOK))
		took[i] = time.Since(began)
	}
	slices.Sort(took)
	return took
}

func p99(sorted []time.Duration) time.Duration { return sorted[len(sorted)*99/100] }

// bears lets slow clients do what they do, and has a good one served meanwhile. Each of them may cost as much of the heap.
func (r *rig) bears(each int, client func(conn *net.TCPConn)) {
	GinkgoHelper()
	before := r.waits(slowRequests)
	runtime.GC()
	baseline := heap()
	var clients sync.WaitGroup
	for range slowClients {
		conn := r.dial()
		clients.Go(func() {
			defer GinkgoRecover()
			defer func() { _ = conn.Close() }()
			client(conn)
		})
	}
	ended := make(chan struct{})
	go func() {
		clients.Wait()
		close(ended)
	}()
	r.waits(slowRequests) // while they begin, which costs the test more than the gateway
	runtime.GC()          // once: it would be what the good client waits for
	most := heap()
	during := r.waits(20)
	for done := false; !done; {
		select {
		case <-ended:
			done = true
		default:
			during = append(during, r.waits(20)...)
		}
	}
	slices.Sort(during)
	AddReportEntry("a good client's p99 before", p99(before).String())
	AddReportEntry("a good client's p99 meanwhile", p99(during).String())
	AddReportEntry("heap for each slow client, in bytes", int64(most-min(most, baseline))/int64(slowClients))
	Expect(most).To(BeNumerically("<", baseline+uint64(slowClients*each)))
	if slowTwice {
		Expect(p99(during)).To(BeNumerically("<", 2*p99(before)))
	}
}

// slowTick is how often a slow client does something: the more there are, the seldomer, so that they do not keep the machine busy.
func slowTick() *time.Ticker {
	return time.NewTicker(time.Duration(slowClients) * 100 * time.Microsecond)
}

// trickle writes a text byte by byte until the other end has had enough.
func trickle(conn net.Conn, text string) {
	tick := slowTick()
	defer tick.Stop()
	for i := range len(text) {
		<-tick.C
		if _, err := io.WriteString(conn, text[i:i+1]); err != nil {
			return
		}
	}
}

// flowing is a service whose answers do not end, and which knows how many there are.
type flowing struct{ hanging }

func (f *flowing) serve(in *session.Incoming) {
	f.all.Add(1)
	f.now.Add(1)
	defer f.now.Add(-1)
	if in.Head(&spec.Response{Status: 200, ContentLength: -1}) == nil {
		_, _ = io.Copy(in, zeros{}) // ends with the call
	}
}

var _ = Describe("slow clients", Label("slow"), func() {
	var (
		r    *rig
		hang *hanging
		flow *flowing
	)

	BeforeEach(func() {
		r, hang, flow = start(quiet, stallsAfter(slowStall)), &hanging{}, &flowing{}
		r.join(identity{service: "good"}, func(in *session.Incoming) {
			<-time.After(goodTime)
			named("good")(in)
		}, endpoint("GET", "/good"))
		r.join(identity{service: "hang", lease: 4096}, hang.serve, endpoint("POST", "/unary", limits(spec.Limits{TimeoutMS: slowStall.Milliseconds() * 3 / 2})),
			endpoint("POST", "/stream", streams))
		r.join(identity{service: "large", lease: 4096}, flow.serve, endpoint("GET", "/large", streams))
	})

	// answered reads the one answer that a client gets.
	answered := func(conn net.Conn, want int) {
		resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
		Expect(err).NotTo(HaveOccurred())
		defer resp.Body.Close()
		Expect(resp.StatusCode).To(Equal(want))
	}

	It("that never end their header are closed at the limit, and nothing reaches a service", func() {
		r.bears(slowConn, func(conn *net.TCPConn) {
			began := time.Now()
			trickle(conn, "POST /unary HTTP/1.1\r\nHost: h\r\nX-Slow: "+strings.Repeat("x", 1000))
			Expect(time.Since(began)).To(And(BeNumerically(">=", slowStall*9/10), BeNumerically("<", 4*patience)))
		})
		Expect(hang.all.Load()).To(BeZero())
	})

	It("whose small body never ends are answered 408, and nothing reaches a service", func() {
		r.bears(slowConn, func(conn *net.TCPConn) {
			_, err := io.WriteString(conn, "POST /unary HTTP/1.1\r\nHost: h\r\nContent-Length: 1000\r\n\r\n")
			Expect(err).NotTo(HaveOccurred())
			go trickle(conn, strings.Repeat("x", 999)) // ends with the connection
			answered(conn, http.StatusRequestTimeout)
		})
		Expect(hang.all.Load()).To(BeZero())
	})

	It("whose large body stops are answered 408, and their calls are cancelled", func() {
		r.bears(slowBody, func(conn *net.TCPConn) {
			_, err := io.WriteString(conn, "POST /stream HTTP/1.1\r\nHost: h\r\nContent-Length: 100000\r\n\r\nsome")
			Expect(err).NotTo(HaveOccurred())
			answered(conn, http.StatusRequestTimeout)
		})
		Expect(hang.all.Load()).To(BeEquivalentTo(slowClients))
		Eventually(hang.now.Load).WithTimeout(patience).Should(BeZero())
	})

	It("whose large body comes byte by byte have the endpoint's timeout for a call, and are answered 504", func() {
		r.bears(slowBody, func(conn *net.TCPConn) {
			_, err := io.WriteString(conn, "POST /unary HTTP/1.1\r\nHost: h\r\nContent-Length: 100000\r\n\r\n")
			Expect(err).NotTo(HaveOccurred())
			go trickle(conn, strings.Repeat("x", 1000)) // ends with the connection
			answered(conn, http.StatusGatewayTimeout)
		})
		Eventually(hang.now.Load).WithTimeout(patience).Should(BeZero())
	})

	It("that read nothing of a large answer have it broken off", func() {
		r.bears(slowAnswer, func(conn *net.TCPConn) {
			_, err := io.WriteString(conn, "GET /large HTTP/1.1\r\nHost: h\r\n\r\n")
			Expect(err).NotTo(HaveOccurred())
			<-time.After(2 * slowStall) // reading nothing is what it does
			Eventually(flow.now.Load).WithTimeout(6*patience).Should(BeZero(), "while all clients are still connected")
		})
		Expect(flow.all.Load()).To(BeNumerically(">", 0))
	})

	It("that read a large answer byte by byte hold no more than that", func() {
		r.bears(slowAnswer, func(conn *net.TCPConn) {
			_, err := io.WriteString(conn, "GET /large HTTP/1.1\r\nHost: h\r\n\r\n")
			Expect(err).NotTo(HaveOccurred())
			tick := slowTick()
			defer tick.Stop()
			for began := time.Now(); time.Since(began) < 3*slowStall; {
				<-tick.C
				if _, err := conn.Read(make([]byte, 1)); err != nil {
					return
				}
			}
		})
	})
})
