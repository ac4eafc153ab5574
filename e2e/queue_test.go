//go:build !nobrokers

package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/stella-ops/router/e2e/fixture"
	"github.com/stella-ops/router/transports/brokertest"
)

// A queueBroker is a broker with queues, of the suite's own.
type queueBroker struct {
	url     string
	restart func()
	lost    time.Duration // until the jobs of a worker that was killed are given to another, at most
}

var queueBrokers = map[string]func() queueBroker{
	"RabbitMQ": func() queueBroker {
		s := rabbit()
		return queueBroker{url: s.URL("", ""), restart: s.Restart, lost: time.Second}
	},
	"Valkey": func() queueBroker {
		s := brokertest.DurableValkey(GinkgoT())
		return queueBroker{url: "valkey://" + s.Addr, restart: s.Restart, lost: 10 * time.Second}
	},
}

// depot is a gateway whose queue is at a broker, and the services that do the jobs.
type depot struct {
	*stack

	broker queueBroker
	ledger string
}

func startDepot(b queueBroker) *depot {
	GinkgoHelper()
	s := &stack{form: processes(), http: address(), admin: address(), listen: "tcp://" + address(), rest: map[program]held{}}
	d := &depot{stack: s, broker: b, ledger: filepath.Join(GinkgoT().TempDir(), "ledger")}
	s.settings.queue = b.url
	s.startGateway()
	return d
}

// worker starts a service that does so many jobs at once, and waits until the gateway knows it.
func (d *depot) worker(id string, slots int) *process {
	GinkgoHelper()
	p := d.begin(id, slots)
	Eventually(d.serves).WithArguments(id).Should(BeTrue())
	return p
}

// begin starts such a service.
func (d *depot) begin(id string, slots int) *process {
	GinkgoHelper()
	return start(id, []string{
		"STELLA_GATEWAYS=" + d.listen, "STELLA_INSTANCE_ID=" + id, "STELLA_QUEUE=" + d.broker.url, fmt.Sprintf("STELLA_JOBS=%d", slots),
		"STELLA_GRACE=1s", fixture.EnvLedger + "=" + d.ledger,
	}, filepath.Join(scratch, "fixture"))
}

// entry is a line of the ledger.
type entry struct {
	id      string
	attempt int
	key     string
}

func (d *depot) entries() []entry {
	GinkgoHelper()
	text, err := os.ReadFile(d.ledger)
	if os.IsNotExist(err) {
		return nil
	}
	Expect(err).NotTo(HaveOccurred())
	var list []entry
	for line := range strings.Lines(string(text)) {
		var e entry
		_, err := fmt.Sscanf(line, "%s %d %s", &e.id, &e.attempt, &e.key)
		Expect(err).NotTo(HaveOccurred(), "%q", line)
		list = append(list, e)
	}
	return list
}

// attempts are how many attempts at each job have begun.
func (d *depot) attempts() map[string]int {
	GinkgoHelper()
	n := map[string]int{}
	for _, e := range d.entries() {
		n[e.id]++
	}
	return n
}

// status is what the gateway says of a job.
type status struct {
	Job       string `json:"job"`
	State     string `json:"state"`
	StatusURL string `json:"statusUrl"`
	Reason    string `json:"reason"`
	Attempt   int    `json:"attempt"`
	Result    *struct {
		Status int    `json:"status"`
		URL    string `json:"url"`
	} `json:"result"`
}

// submit asks for a job, and returns its id, or the status that is not 202.
func (d *depot) submit(do string, header ...string) (id string, code int) {
	q, err := http.NewRequestWithContext(context.Background(), http.MethodPost, d.url("/jobs"), strings.NewReader(`{"do":"`+do+`"}`))
	if err != nil {
		return "", 0
	}
	q.Header.Set("Content-Type", "application/json")
	for i := 0; i+1 < len(header); i += 2 {
		q.Header.Set(header[i], header[i+1])
	}
	client := http.Client{Timeout: patience}
	defer client.CloseIdleConnections()
	resp, err := client.Do(q)
	if err != nil {
		return "", 0
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	var s status
	if err != nil || resp.StatusCode != http.StatusAccepted || json.Unmarshal(body, &s) != nil || resp.Header.Get("Location") != s.StatusURL {
		return "", resp.StatusCode
	}
	return s.Job, resp.StatusCode
}

// must submits a job that is taken.
func (d *depot) must(do string, header ...string) string {
	GinkgoHelper()
	id, code := d.submit(do, header...)
	Expect(code).To(Equal(http.StatusAccepted))
	return id
}

// status asks for a job's; the empty one is that the gateway does not say.
func (d *depot) status(id string) (s status) {
	a, err := try(http.MethodGet, d.url("/_stella/jobs/"+id), nil)
	if err != nil || a.StatusCode != http.StatusOK || json.Unmarshal([]byte(a.body), &s) != nil {
		return status{}
	}
	return s
}

func (d *depot) state(id string) string { return d.status(id).State }

// dlq runs stella-gateway dlq.
func (d *depot) dlq(args ...string) string {
	GinkgoHelper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, binary("stella-gateway"), append([]string{"dlq", "--queue", d.broker.url}, args...)...)
	var out, wrong bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &wrong
	Expect(cmd.Run()).To(Succeed(), "%s", wrong.String())
	return out.String()
}

const jobs = "fixture POST /jobs"

var _ = Describe("an endpoint with delivery=queue", func() {
	for name, begin := range queueBrokers {
		Context("on "+name, Ordered, func() {
			var d *depot
			BeforeAll(func() { d = startDepot(begin()) })

			It("answers 202, and its job's status leads to the handler's answer", func() {
				w := d.worker("one", 16)
				id := d.must("count", "Idempotency-Key", "the-callers-own")
				Eventually(d.state).WithArguments(id).Should(Equal("done"))
				s := d.status(id)
				Expect(s.Attempt).To(Equal(1))
				Expect(s.Result.Status).To(Equal(200))
				a := call(http.MethodGet, d.url(s.Result.URL), "")
				Expect(a.StatusCode).To(Equal(200))
				Expect(a.Header.Get("Content-Type")).To(HavePrefix("application/json"))
				Expect(a.body).To(MatchJSON(`{"attempt":1,"key":"the-callers-own"}`))
				Expect(d.attempts()[id]).To(Equal(1))

				other := d.must("count")
				Eventually(d.state).WithArguments(other).Should(Equal("done"))
				Expect(call(http.MethodGet, d.url("/_stella/jobs/"+other+"/result"), "").body).To(MatchJSON(`{"attempt":1,"key":"` + other + `"}`))
				Expect(call(http.MethodGet, d.url("/_stella/jobs/01975bd9-9a00-7abc-8def-0123456789ab"), "").StatusCode).To(Equal(404))
				Expect(call(http.MethodGet, d.url("/_stella/jobs/x"), "").StatusCode).To(Equal(404))
				Expect(call(http.MethodDelete, d.url("/_stella/jobs/"+id), "").StatusCode).To(Equal(405))
				w.kill()
			})

			It("takes jobs while no service runs, which are done when one comes", func() {
				id := d.must("count")
				Expect(d.state(id)).To(Equal("queued"))
				w := d.worker("late", 16)
				Eventually(d.state).WithArguments(id).Should(Equal("done"))
				w.kill()
			})

			It("loses none of 100 jobs that a service held when it was killed", func() {
				w := d.worker("doomed", 100)
				var ids []string
				for range 100 {
					ids = append(ids, d.must("hold"))
				}
				Eventually(func() int { return begun(d.attempts(), ids, 1) }).Should(Equal(100))
				w.kill()
				killed := time.Now()
				w = d.worker("heir", 100)
				Eventually(func() int { return begun(d.attempts(), ids, 2) }).WithTimeout(d.broker.lost + patience).Should(Equal(100))
				AddReportEntry("all were begun again after", time.Since(killed).String())
				Eventually(func() (done int) {
					for _, id := range ids {
						if d.state(id) == "done" {
							done++
						}
					}
					return done
				}).WithPolling(200 * time.Millisecond).Should(Equal(100))
				w.kill()
			})

			It("puts what fails for good among the dead jobs, with its reason, from where it can be tried again", func() {
				w := d.worker("patient", 16)
				id := d.must("fail")
				Eventually(d.state).WithArguments(id).Should(Equal("dead"))
				Expect(d.attempts()[id]).To(Equal(3))
				s := d.status(id)
				Expect(s.Attempt).To(Equal(3))
				Expect(s.Reason).To(Equal("the handler answered 503: the printer is on fire"))
				for range 2 { // it does not consume
					Expect(d.dlq("peek", jobs)).To(And(ContainSubstring(id), ContainSubstring("the printer is on fire")))
					Expect(d.dlq("ls")).To(MatchRegexp(`(?m)^0 +1 +` + jobs + `$`))
				}
				var x struct {
					Job      string `json:"job"`
					Endpoint string `json:"endpoint"`
					Attempts int    `json:"attempts"`
					Body     []byte `json:"body"`
				}
				Expect(json.Unmarshal([]byte(d.dlq("export", jobs)), &x)).To(Succeed())
				Expect(x.Job).To(Equal(id))
				Expect(x.Attempts).To(Equal(3))
				Expect(x.Endpoint).To(Equal("POST /jobs"))
				Expect(string(x.Body)).To(Equal(`{"do":"fail"}`))
				Expect(d.dlq("requeue", jobs, id)).To(Equal(id + "\n"))
				Eventually(func() int { return d.attempts()[id] }).Should(Equal(6), "it begins with the first attempt")
				Eventually(d.state).WithArguments(id).Should(Equal("dead"))

				at := time.Now()
				refused := d.must("refuse")
				Eventually(d.state).WithArguments(refused).Should(Equal("dead"))
				Expect(d.attempts()[refused]).To(Equal(1), "the same request would get the same answer")
				Expect(d.status(refused).Reason).To(Equal("the handler answered 409: the month is closed"))
				Expect(time.Since(at)).To(BeNumerically("<", patience))
				Expect(d.dlq("purge", "--yes", jobs)).To(Equal("2 jobs\n"))
				Expect(d.dlq("peek", jobs)).NotTo(ContainSubstring(id))
				w.kill()
			})

			It("gives up on a job that takes its process down, after as many attempts as it has", func() {
				id := d.must("crash")
				deadline := time.Now().Add(4*d.broker.lost + 2*patience)
				for d.state(id) != "dead" && time.Now().Before(deadline) {
					w := d.begin("fragile", 4)
					Eventually(func() bool { return w.ended() || d.state(id) == "dead" }).WithTimeout(d.broker.lost + patience).Should(BeTrue())
					w.kill()
				}
				s := d.status(id)
				Expect(s.State).To(Equal("dead"))
				Expect(s.Reason).To(ContainSubstring("3 attempts"))
				Expect(d.attempts()[id]).To(Equal(3))
				d.dlq("purge", "--yes", jobs)
			})

			It("loses nothing that was acknowledged while broker, gateway and service are restarted in turn", func() {
				w := d.worker("a", 16)
				ctx, cancel := context.WithCancel(context.Background())
				var mu sync.Mutex
				var taken []string
				codes := map[int]int{}
				var clients sync.WaitGroup
				for range 4 {
					clients.Go(func() {
						for ctx.Err() == nil {
							id, code := d.submit("count")
							mu.Lock()
							codes[code]++
							if id != "" {
								taken = append(taken, id)
							}
							mu.Unlock()
							<-time.After(5 * time.Millisecond)
						}
					})
				}
				count := func() int {
					mu.Lock()
					defer mu.Unlock()
					return len(taken)
				}
				more := func() { // jobs are taken again
					GinkgoHelper()
					was := count()
					Eventually(count).Should(BeNumerically(">", was+100))
				}
				for range 2 {
					more()
					d.broker.restart()
					more()
					w.kill()
					w = d.worker("b", 16)
					more()
					gateway, _ := d.gateway.(*process)
					gateway.kill()
					d.startGateway()
					Eventually(d.serves).WithArguments("b").Should(BeTrue())
				}
				more()
				cancel()
				clients.Wait()
				AddReportEntry("answers", fmt.Sprint(codes))
				Eventually(func() (missing int) {
					did := d.attempts()
					for _, id := range taken {
						if did[id] == 0 {
							missing++
						}
					}
					return missing
				}).WithTimeout(d.broker.lost + 2*patience).WithPolling(500 * time.Millisecond).Should(BeZero())
				for _, id := range taken {
					Eventually(d.state).WithArguments(id).WithTimeout(d.broker.lost + patience).Should(Equal("done"))
				}
				for code := range codes {
					Expect(code).To(BeElementOf(0, 202, 404, 502, 503), "0 is a connection that ended, 404 a gateway that knows no service yet")
				}
				w.kill()
			})
		})
	}

	It("answers 503 where the gateway has no queue, or its broker is not there", func() {
		for _, url := range []string{"", "valkey://" + address()} {
			d := startDepot(queueBroker{url: url})
			d.worker("idle", 1)
			began := time.Now()
			a := call(http.MethodPost, d.url("/jobs"), `{"do":"count"}`)
			Expect(a.StatusCode).To(Equal(503))
			Expect(a.body).To(ContainSubstring("queue_unavailable"))
			Expect(time.Since(began)).To(BeNumerically("<", 6*time.Second))
		}
	})
})

// begun is how many of the jobs have had that many attempts.
func begun(attempts map[string]int, ids []string, least int) (n int) {
	for _, id := range ids {
		if attempts[id] >= least {
			n++
		}
	}
	return n
}
