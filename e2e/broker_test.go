//go:build !nobrokers

package e2e

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/stella-ops/router/spec"
	"github.com/stella-ops/router/transports/brokertest"
)

// What a fleet whose sessions go through a broker has to do when that fails.
const (
	markedDown = 3 * time.Second  // from the moment at which the broker is silent
	brokerBack = 10 * time.Second // from the moment at which it is there again
)

const (
	crowdSize = 16                    // clients
	busy      = 200                   // calls that have to be answered before something happens, and after it
	unhurried = 10 * time.Millisecond // between a refusal and the next call: a gateway without services refuses faster than anybody asks
	opened    = 4                     // calls that are open when something happens
)

// broker is one that carries sessions, and what may happen to it.
type broker struct {
	name   string
	start  func() (url string) // as a child of the spec
	faults []fault
}

// fault is something that happens to a broker. The spec fails if strike or mend do.
type fault struct {
	name   string
	strike func()
	// mend ends the fault. Nil where it is over as soon as it has struck.
	mend func()
	// brief has it mended at the moment at which the gateway knows. The services may not know yet, and must hear of it.
	brief bool
	// alarm is that the broker answers, and takes no messages: the gateway has to say so within a second.
	alarm bool
}

// brokers are the rows of the table.
func brokers() []broker {
	return []broker{valkeyBroker(), rabbitBroker()}
}

// rabbit is the suite's own RabbitMQ, which takes seconds to start. Specs leave it as they found it.
var rabbit = sync.OnceValue(func() *brokertest.RabbitMQServer { return brokertest.RabbitMQ(suite{GinkgoT()}) })

// suite has what is cleaned up with a test cleaned up with all of them.
type suite struct{ GinkgoTInterface }

var atEnd []func()

func (suite) Cleanup(f func()) { atEnd = append(atEnd, f) }

var _ = AfterSuite(func() {
	for _, f := range slices.Backward(atEnd) {
		f()
	}
})

func rabbitBroker() broker {
	var s *brokertest.RabbitMQServer
	return broker{
		name: "rabbitmq",
		start: func() string {
			s = rabbit()
			return s.URL("", "")
		},
		faults: []fault{
			{name: "is killed, and started again later", strike: func() { s.Kill() }, mend: func() { s.Start() }},
			{name: "is restarted", strike: func() { s.Kill() }, mend: func() { s.Start() }, brief: true},
			{name: "closes all connections", strike: func() { s.Ctl("close_all_connections", "maintenance") }},
			{name: "has its queues deleted", strike: func() {
				var wg sync.WaitGroup
				for name := range strings.FieldsSeq(s.Ctl("list_queues", "name", "--no-table-headers")) {
					if strings.HasPrefix(name, "stella.g.") { // those that the gateway reads: the others end with them
						wg.Go(func() {
							defer GinkgoRecover()
							s.Ctl("delete_queue", name)
						})
					}
				}
				wg.Wait()
			}},
			{
				name: "is short of memory", strike: func() { s.Ctl("set_vm_memory_high_watermark", "absolute", "1") },
				mend: func() { s.Ctl("set_vm_memory_high_watermark", "0.9") }, alarm: true,
			},
		},
	}
}

func valkeyBroker() broker {
	var s *brokertest.Server
	return broker{
		name: "valkey",
		start: func() string {
			s = brokertest.Valkey(GinkgoT())
			return "valkey://" + s.Addr
		},
		faults: []fault{
			{name: "is frozen for a while", strike: func() { s.Stop() }, mend: func() { s.Cont() }},
			{name: "is frozen until the gateway knows", strike: func() { s.Stop() }, mend: func() { s.Cont() }, brief: true},
			{name: "is killed, and started again later", strike: func() { s.Kill() }, mend: func() { s.Restart() }},
			{name: "is restarted", strike: func() { s.Restart() }},
			{name: "is emptied", strike: func() { s.Flush() }},
		},
	}
}

// crowd are clients that call a fleet behind a broker, and what they were answered.
type crowd struct {
	*stack

	ledger    string
	instances []*process
	serial    atomic.Int64

	mu      sync.Mutex
	wrong   []string        // what must not have happened
	done    map[string]bool // names of calls that are not idempotent and were answered with 200
	counts  map[string]int  // calls, by what they were answered
	longest map[string]time.Duration
}

// startCrowd starts a gateway and two instances, whose sessions go through a broker.
func startCrowd(url string) *crowd {
	GinkgoHelper()
	f := startFleetOn(&stack{listen: url})
	c := newCrowd(f, f.gateways[0])
	for i := range 2 {
		c.instances = append(c.instances, f.instance(fmt.Sprintf("i%d", i)))
	}
	return c
}

// newCrowd are clients of one of a fleet's gateways.
func newCrowd(f *fleet, s *stack) *crowd {
	return &crowd{stack: s, ledger: f.ledger, done: map[string]bool{}, counts: map[string]int{}, longest: map[string]time.Duration{}}
}

// under has the crowd call while something happens.
func (c *crowd) under(happens func()) {
	GinkgoHelper()
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	for range crowdSize {
		wg.Go(func() { c.load(ctx) })
	}
	c.busy()
	happens()
	c.busy()
}

// load calls without a pause until ctx ends: calls that may be repeated, and calls that may not.
func (c *crowd) load(ctx context.Context) {
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport, Timeout: patience}
	for ctx.Err() == nil {
		n, call := c.serial.Add(1), c.get
		if n%2 == 0 {
			call = c.post
		}
		if !call(client, n) {
			pause := time.NewTimer(unhurried)
			select {
			case <-ctx.Done():
			case <-pause.C:
			}
			pause.Stop()
		}
	}
}

func (c *crowd) get(client *http.Client, n int64) (ok bool) {
	began := time.Now()
	resp, err := client.Get(c.url(fmt.Sprintf("/items/%d", n)))
	return c.note("GET", began, resp, err, func(body []byte, broken error) error {
		if want := fmt.Sprintf(`"name":"item %d"`, n); broken != nil || !bytes.Contains(body, []byte(want)) {
			return fmt.Errorf("call %d was answered %.100s %w", n, body, broken)
		}
		return nil
	})
}

func (c *crowd) post(client *http.Client, n int64) (ok bool) {
	name := strconv.FormatInt(n, 10)
	copies := []int{1, 10, 1_000, 5_000}[n/2%4] // bodies that travel with their calls, and such that travel behind them
	sent := []byte(strings.Repeat(name+" ", copies))
	began := time.Now()
	resp, err := client.Post(c.url("/ledger/named/"+name), "application/octet-stream", bytes.NewReader(sent))
	return c.note("POST", began, resp, err, func(body []byte, broken error) error {
		switch {
		case broken != nil && len(sent) > spec.MaxInlineBody && bytes.HasPrefix(sent, body):
			return nil // the service was lost when the status had been sent: the answer must not end as if it were whole
		case broken != nil || !bytes.Equal(body, sent):
			return fmt.Errorf("call %s with %d bytes was answered with %d others: %.40q %w", name, len(sent), len(body), body, broken)
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		c.done[name] = true
		return nil
	})
}

// note reads an answer, and notes what is wrong with it. own is an error if an answer with 200 is not that of its call; it
// is given what came, and why there was no more.
func (c *crowd) note(method string, began time.Time, resp *http.Response, err error, own func(body []byte, broken error) error) (ok bool) {
	what := method
	if err == nil {
		body, broken := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		ok = resp.StatusCode == http.StatusOK && broken == nil
		switch what += " " + strconv.Itoa(resp.StatusCode); resp.StatusCode {
		case http.StatusOK:
			if broken != nil {
				what += " broken off"
			}
			err = own(body, broken)
		case http.StatusBadGateway, http.StatusServiceUnavailable:
			err = broken
		default:
			err = fmt.Errorf("%s: %.300s", resp.Status, body)
		}
	}
	took := time.Since(began)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.counts[what]++
	c.longest[what] = max(c.longest[what], took)
	if err != nil {
		c.wrong = append(c.wrong, fmt.Sprintf("%s after %v: %v", what, took, err))
	}
	return ok
}

// busy waits until calls are answered.
func (c *crowd) busy() {
	GinkgoHelper()
	answered := func() int {
		c.mu.Lock()
		defer c.mu.Unlock()
		return min(c.counts["GET 200"], c.counts["POST 200"])
	}
	before := answered()
	Eventually(answered).Should(BeNumerically(">", before+busy/2))
}

// serving is how many instances the gateway routes to.
func (c *crowd) serving() (n int) {
	GinkgoHelper()
	for i := range c.instances {
		if c.serves(fmt.Sprintf("i%d", i)) {
			n++
		}
	}
	return n
}

// losses is how many instances have lost a session.
func (c *crowd) losses() (n int) {
	for _, p := range c.instances {
		if strings.Contains(p.log(), "connection lost") {
			n++
		}
	}
	return n
}

// open makes calls that do not end by themselves, and returns their ends.
func (c *crowd) open(n int) <-chan answer {
	GinkgoHelper()
	ended, tag := make(chan answer, n), newTag()
	for range n {
		go func() {
			defer GinkgoRecover()
			a, err := try(http.MethodPost, c.url("/wait?tag="+tag), http.NoBody)
			Expect(err).NotTo(HaveOccurred())
			ended <- a
		}()
	}
	Eventually(c.metric).WithArguments("stella_gateway_requests_in_flight", `endpoint="/wait"`).Should(Equal(n))
	return ended
}

// metric is the sum of the gateway's samples of one name that have a label.
func (c *crowd) metric(name, label string) (sum int) {
	GinkgoHelper()
	a, err := try(http.MethodGet, "http://"+c.admin+"/metrics", http.NoBody)
	Expect(err).NotTo(HaveOccurred())
	for line := range strings.SplitSeq(a.body, "\n") {
		labels, value, ok := strings.Cut(line, "} ")
		if !ok || !strings.HasPrefix(labels, name+"{") || !strings.Contains(labels, label) {
			continue
		}
		n, err := strconv.Atoi(value)
		Expect(err).NotTo(HaveOccurred(), "%s", line)
		sum += n
	}
	return sum
}

// live is how many sessions the gateway's metrics have that are routed.
func (c *crowd) live() int {
	GinkgoHelper()
	return c.metric("stella_gateway_sessions", `state="live"`)
}

// survives has a fault happen while the crowd calls.
func (c *crowd) survives(f fault) {
	GinkgoHelper()
	var back time.Duration
	c.under(func() {
		ends := c.open(opened)
		Expect(c.live()).To(Equal(len(c.instances)))

		f.strike()
		struck := time.Now() // what strikes may take a second to begin
		for range opened {
			var a answer
			Eventually(ends).WithTimeout(markedDown - time.Since(struck)).WithPolling(time.Millisecond).Should(Receive(&a))
			Expect(a.StatusCode).To(Equal(http.StatusBadGateway), "%s", a.body)
		}
		GinkgoWriter.Printf("what was open ended within %v\n", time.Since(struck))
		if f.mend != nil {
			Eventually(c.live).WithTimeout(markedDown - time.Since(struck)).Should(BeZero())
			GinkgoWriter.Printf("down after %v\n", time.Since(struck))
			Expect(c.serving()).To(BeZero())
			a, err := try(http.MethodGet, c.url("/items/1"), http.NoBody)
			Expect(err).NotTo(HaveOccurred())
			Expect(a.StatusCode).To(Equal(http.StatusServiceUnavailable))
			Expect(a.took).To(BeNumerically("<", time.Second))
			if !f.brief {
				Eventually(c.losses).Should(Equal(len(c.instances)))
			}
			f.mend()
		}

		mended := time.Now()
		Eventually(c.losses).WithTimeout(brokerBack).Should(Equal(len(c.instances)))
		Eventually(c.serving).WithTimeout(brokerBack - time.Since(mended)).Should(Equal(len(c.instances)))
		back = time.Since(mended)
	})
	GinkgoWriter.Printf("back %v later\n", back)
	c.settled()
	if f.alarm {
		for _, what := range []string{"GET 502", "GET 503", "POST 502", "POST 503"} {
			Expect(c.longest[what]).To(BeNumerically("<", time.Second), what)
		}
	}
}

// settled expects every call to have ended in time as it may, and none to have been executed twice that must not be.
func (c *crowd) settled() {
	GinkgoHelper()
	text, err := os.ReadFile(c.ledger)
	Expect(err).NotTo(HaveOccurred())
	executed := map[string]int{}
	for name := range strings.FieldsSeq(string(text)) {
		executed[name]++
	}
	for _, what := range slices.Sorted(maps.Keys(c.counts)) {
		GinkgoWriter.Printf("%s: %d, at most %v\n", what, c.counts[what], c.longest[what])
		Expect(c.longest[what]).To(BeNumerically("<", markedDown), what)
	}
	Expect(c.wrong).To(BeEmpty())
	for name, n := range executed {
		Expect(n).To(Equal(1), "call %s was executed %d times", name, n)
	}
	for name := range c.done {
		Expect(executed[name]).To(Equal(1), "call %s was answered", name)
	}
}

// processorTime is what a process has had of processors, from the counters of its threads, which are in nanoseconds.
func (p *process) processorTime() (sum time.Duration) {
	GinkgoHelper()
	files, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", p.Command.Process.Pid))
	Expect(err).NotTo(HaveOccurred())
	Expect(files).NotTo(BeEmpty())
	for _, file := range files {
		text, err := os.ReadFile(file)
		Expect(err).NotTo(HaveOccurred())
		on, _, _ := strings.Cut(string(text), " ")
		n, err := strconv.ParseInt(on, 10, 64)
		Expect(err).NotTo(HaveOccurred())
		sum += time.Duration(n)
	}
	return sum
}

var _ = Describe("a fleet behind a broker", func() {
	for _, b := range brokers() {
		Describe("of "+b.name, func() {
			for _, f := range b.faults {
				It(fmt.Sprintf("fails what is open with 502 within %v, and serves again within %v, when that %s", markedDown, brokerBack, f.name), func() {
					startCrowd(b.start()).survives(f)
				})
			}

			It("serves every gateway there is by one URL: when one is killed the others lose no call, and one that comes is served", func() {
				url := b.start()
				f := startFleetOn(&stack{listen: url}, &stack{listen: url})
				f.instance("i0")
				for _, s := range f.gateways {
					Expect(s.status("/items/1")).To(Equal(http.StatusOK))
				}
				c := newCrowd(f, f.gateways[1])
				c.under(func() {
					victim, ok := f.gateways[0].gateway.(*process)
					Expect(ok).To(BeTrue())
					victim.kill()
					third := startFleetOn(&stack{listen: url}).gateways[0]
					came := time.Now()
					Eventually(third.status).WithArguments("/items/1").WithTimeout(brokerBack).Should(Equal(http.StatusOK))
					GinkgoWriter.Printf("the third serves %v after its start\n", time.Since(came))
				})
				c.settled()
				Expect(slices.Sorted(maps.Keys(c.counts))).To(Equal([]string{"GET 200", "POST 200"}))
			})

			It("takes less than a hundredth of one processor when there is nothing to do, gateway and service together", func() {
				f := startFleetOn(&stack{listen: b.start()})
				gateway, ok := f.gateways[0].gateway.(*process)
				Expect(ok).To(BeTrue())
				service := f.instance("i0")
				const interval = 6 * time.Second // longer than the one of heartbeats
				used := func() time.Duration {
					before := gateway.processorTime() + service.processorTime()
					<-time.After(interval)
					used := gateway.processorTime() + service.processorTime() - before
					GinkgoWriter.Printf("%v in %v\n", used, interval)
					return used
				}
				// In the first interval they may still have something to do: both have just begun.
				Eventually(used).WithTimeout(3 * interval).Should(And(BeNumerically(">", 0), BeNumerically("<", interval/100)))
			})
		})
	}
})
