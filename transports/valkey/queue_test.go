package valkey_test

import (
	"context"
	"errors"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/stella-ops/router/transports"
	"github.com/stella-ops/router/transports/brokertest"
	"github.com/stella-ops/router/transports/faultproxy"
	"github.com/stella-ops/router/transports/valkey"
)

// What all transports' queues do is tested by package conformance, on this one too.

var invoices = transports.QueueName{Service: "billing", Endpoint: "POST /invoices/{}"}

const (
	streamKey = "{stella}:queue:billing:POST+%2Finvoices%2F%7B%7D"
	deadKey   = "{stella}:dead:billing:POST+%2Finvoices%2F%7B%7D"
	lease     = 300 * time.Millisecond
)

func job(id string) *transports.Job {
	return &transports.Job{ID: id, Queue: invoices, Attempts: 2, Lease: time.Minute, Key: id, Owner: "alice", Body: []byte("body")}
}

func queueAt(url string) transports.Queue {
	GinkgoHelper()
	q, err := transports.OpenQueue(url)
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(q.Close)
	return q
}

func workerOf(q transports.Queue, lease time.Duration, slots int) transports.Worker {
	GinkgoHelper()
	w, err := q.Work(GinkgoT().Context(), []transports.Source{{QueueName: invoices, Lease: lease}}, slots)
	Expect(err).NotTo(HaveOccurred())
	return w
}

func put(q transports.Queue, ids ...string) {
	GinkgoHelper()
	for _, id := range ids {
		Expect(q.Put(GinkgoT().Context(), job(id))).To(Succeed())
	}
}

func next(w transports.Worker) *transports.Delivery {
	GinkgoHelper()
	ctx, cancel := context.WithTimeout(GinkgoT().Context(), patience)
	defer cancel()
	d, err := w.Next(ctx)
	Expect(err).NotTo(HaveOccurred())
	return d
}

func settle(w transports.Worker, d *transports.Delivery, state transports.JobState) {
	GinkgoHelper()
	Expect(w.Settle(GinkgoT().Context(), d, transports.Outcome{State: state, Reason: "because"})).To(Succeed())
}

func stateOf(q transports.Queue, id string) transports.JobState {
	GinkgoHelper()
	s, err := q.Status(GinkgoT().Context(), id)
	Expect(err).NotTo(HaveOccurred())
	return s.State
}

var _ = Describe("A queue", func() {
	var (
		durable *brokertest.Server
		q       transports.Queue
	)
	here := func() string { return "valkey://" + durable.Addr }
	BeforeEach(func() {
		durable = brokertest.DurableValkey(GinkgoT())
		q = queueAt(here())
	})
	lengths := func() string {
		return durable.Command("XLEN", streamKey) + durable.Command("XLEN", deadKey) +
			durable.Command("EVAL", "return redis.call('XPENDING', KEYS[1], 'workers')[1]", "1", streamKey)
	}

	It("is not at a server that would forget it", func() {
		for args, want := range map[string]string{
			"--appendonly no": "appendonly",
			"--appendonly yes --maxmemory 64mb --maxmemory-policy allkeys-lru": "noeviction",
		} {
			s := brokertest.Valkey(GinkgoT(), strings.Fields(args)...)
			forgetful := queueAt("redis://" + s.Addr)
			err := forgetful.Put(GinkgoT().Context(), job("one"))
			Expect(err).To(And(MatchError(transports.ErrQueue), MatchError(ContainSubstring(want))))
			_, err = forgetful.Work(GinkgoT().Context(), []transports.Source{{QueueName: invoices, Lease: time.Second}}, 1)
			Expect(err).To(MatchError(ContainSubstring(want)))
			s.Command("CONFIG", "SET", "appendonly", "yes")
			s.Command("CONFIG", "SET", "maxmemory-policy", "noeviction")
			put(forgetful, "one")
		}
	})

	It("does with a user who may do what the transport does, and knows nothing of the server then", func() {
		durable.Command("CONFIG", "SET", "appendonly", "no")
		rights := documented(1)
		Expect(rights).To(ContainElement("+config|get"))
		durable.Command(slices.DeleteFunc(rights, func(word string) bool { return word == "+config|get" })...)
		DeferCleanup(func() { durable.Command("ACL", "DELUSER", "jobs") })
		q := queueAt("valkey://jobs:SECRET@" + durable.Addr)
		put(q, "one", "two", "three", "four")
		durable.Command("XADD", streamKey, "*", "j", "poison")
		w := workerOf(q, lease, 9)
		settle(w, next(w), transports.JobDone)
		settle(w, next(w), transports.JobDead)
		settle(w, next(w), transports.JobQueued)
		next(w)
		Expect(q.Requeue(GinkgoT().Context(), invoices, "two")).To(Succeed())
		for range 3 {
			next(w) // three, two, and four again after its lease
		}
		Expect(w.Close()).To(Succeed())
		Expect(q.Dead(GinkgoT().Context(), invoices, 5)).To(HaveLen(1))
		Expect(q.Purge(GinkgoT().Context(), invoices)).To(Equal(1))
		Expect(q.Queues(GinkgoT().Context())).To(Equal([]transports.QueueDepth{{QueueName: invoices, Waiting: 3}}))
		Expect(stateOf(q, "one")).To(Equal(transports.JobDone))
	})

	It("keeps a status for a day from the job's end on, and as long as there is no end", func() {
		put(q, "one")
		w := workerOf(q, time.Minute, 1)
		ttl := func() int {
			n, err := strconv.Atoi(strings.TrimPrefix(durable.Command("TTL", "{stella}:job:one"), ":"))
			Expect(err).NotTo(HaveOccurred())
			return n
		}
		day := int(transports.JobRetention.Seconds())
		Expect(ttl()).To(Equal(-1))
		settle(w, next(w), transports.JobDead)
		Expect(ttl()).To(BeNumerically("~", day, 60))
		Expect(q.Requeue(GinkgoT().Context(), invoices, "one")).To(Succeed())
		Expect(ttl()).To(Equal(-1))
		d := next(w)
		Expect(ttl()).To(Equal(-1))
		settle(w, d, transports.JobDone)
		Expect(ttl()).To(BeNumerically("~", day, 60))
		Expect(durable.Command("XLEN", streamKey)).To(Equal(":0"))
	})

	DescribeTable("whose lease is over is somebody else's: settling it changes nothing", func(state transports.JobState) {
		put(q, "one")
		one, two := workerOf(q, lease, 1), workerOf(queueAt(here()), lease, 1)
		stale := next(one)
		fresh := next(two)
		Expect(fresh.Attempt).To(Equal(2))
		err := one.Settle(GinkgoT().Context(), stale, transports.Outcome{State: state})
		Expect(err).To(MatchError(ContainSubstring("the lease of the attempt is over")))
		Expect(err).NotTo(MatchError(transports.ErrQueue))
		Expect(stateOf(q, "one")).To(Equal(transports.JobRunning))
		Expect(lengths()).To(Equal(":1:0:1"))
		settle(two, fresh, transports.JobDone)
		Expect(stateOf(q, "one")).To(Equal(transports.JobDone))
		Expect(lengths()).To(Equal(":0:0:0"))
	},
		Entry("as done", transports.JobDone),
		Entry("to be tried again", transports.JobQueued),
		Entry("as dead", transports.JobDead),
	)

	It("gives a job to the same worker again, whose first attempt cannot be settled then", func() {
		put(q, "one")
		w := workerOf(q, lease, 2)
		stale, fresh := next(w), next(w)
		Expect([]int{stale.Attempt, fresh.Attempt}).To(Equal([]int{1, 2}))
		Expect(w.Settle(GinkgoT().Context(), stale, transports.Outcome{State: transports.JobDone})).NotTo(Succeed())
		settle(w, fresh, transports.JobDone)
		Expect(lengths()).To(Equal(":0:0:0"))
	})

	It("passes over leases whose jobs were deleted", func() {
		const n = 40
		for i := range n {
			put(q, strconv.Itoa(i))
		}
		one := workerOf(q, lease, n)
		for range n {
			next(one)
		}
		durable.Command("EVAL", "for _, e in ipairs(redis.call('XRANGE', KEYS[1], '-', '+', 'COUNT', 39)) do redis.call('XDEL', KEYS[1], e[1]) end",
			"1", streamKey)
		two := workerOf(queueAt(here()), lease, n)
		d := next(two)
		Expect(d.ID).To(Equal(strconv.Itoa(n - 1)))
		settle(two, d, transports.JobDone)
		Expect(lengths()).To(Equal(":0:0:0"))
	})

	It("forgets consumers that are gone", func() {
		consumers := func() string {
			return durable.Command("EVAL", "return #redis.call('XINFO', 'CONSUMERS', KEYS[1], 'workers')", "1", streamKey)
		}
		put(q, "one")
		durable.Command("XGROUP", "CREATECONSUMER", streamKey, "workers", "gone")
		other, w := workerOf(q, time.Minute, 1), workerOf(q, lease, 2) // the first does not look as often
		settle(other, next(other), transports.JobDone)
		put(q, "zero")
		settle(w, next(w), transports.JobDone)
		got := make(chan *transports.Delivery, 1)
		go func() {
			defer GinkgoRecover()
			got <- next(other)
		}()
		Eventually(consumers).WithTimeout(patience).Should(Equal(":3"))
		go func() { _, _ = w.Next(context.Background()) }()
		Eventually(consumers).WithTimeout(patience).Should(Equal(":1"))
		Expect(w.Close()).To(Succeed())
		put(q, "two") // one that was forgotten while it waited gets it all the same
		var d *transports.Delivery
		Eventually(got).WithTimeout(patience).Should(Receive(&d))
		settle(other, d, transports.JobDone)
		Expect(other.Close()).To(Succeed())
		Expect(consumers()).To(Equal(":0"))
	})

	It("lives through its deletion", func() {
		put(q, "one")
		w := workerOf(q, lease, 2)
		old := next(w)
		got := make(chan *transports.Delivery, 1)
		go func() {
			defer GinkgoRecover()
			got <- next(w)
		}()
		durable.Flush()
		put(q, "two")
		var d *transports.Delivery
		Eventually(got).WithTimeout(patience).Should(Receive(&d))
		Expect(d.ID).To(Equal("two"))
		Expect(w.Settle(GinkgoT().Context(), old, transports.Outcome{State: transports.JobQueued})).NotTo(Succeed())
		settle(w, d, transports.JobDone)
	})

	It("lives through entries that are no jobs", func() {
		long := make([]string, 0, 10_000)
		for i := range cap(long) {
			long = append(long, strconv.Itoa(i))
		}
		raw, err := job("other").Encode()
		Expect(err).NotTo(HaveOccurred())
		put(q, "one") // its status is not that of what comes
		entries := [][]string{
			{"x", "y"}, {"i", "one", "o", "alice", "j", "nothing"}, {"i", "one", "o", "alice", "j", string(raw)}, {"i", "other", "o", "bob", "j", string(raw)},
			{"i", "other", "o", "alice", "k", string(raw)}, long,
		}
		elsewhere := job("elsewhere")
		elsewhere.Queue.Service = "orders"
		raw, err = elsewhere.Encode()
		Expect(err).NotTo(HaveOccurred())
		entries = append(entries, []string{"i", "elsewhere", "o", "alice", "j", string(raw)})
		for _, fields := range entries {
			durable.Command(append([]string{"XADD", streamKey, "*"}, fields...)...)
		}
		put(q, "two")
		w := workerOf(q, time.Minute, 1)
		for _, id := range []string{"one", "two"} {
			d := next(w)
			Expect(d.ID).To(Equal(id))
			settle(w, d, transports.JobDone)
			Expect(stateOf(q, id)).To(Equal(transports.JobDone))
		}
		dead, err := q.Dead(GinkgoT().Context(), invoices, 100)
		Expect(err).NotTo(HaveOccurred())
		Expect(dead).To(HaveLen(len(entries)))
		Expect(dead[0].Body).To(BeEquivalentTo("x=y\n"))
		for _, d := range dead {
			Expect(d.Reason).NotTo(BeEmpty())
			Expect(d.Queue).To(Equal(invoices))
		}
		_, err = q.Status(GinkgoT().Context(), "elsewhere")
		Expect(err).To(MatchError(transports.ErrNoJob))
	})

	It("is given back entries that nobody has looked at, too", func() {
		w := workerOf(q, time.Minute, 2)
		ctx, cancel := context.WithTimeout(GinkgoT().Context(), lease)
		defer cancel()
		_, err := w.Next(ctx)
		Expect(err).To(MatchError(context.DeadlineExceeded))
		put(q, "one") // which the worker takes, and nobody asks it for
		Eventually(stateOf).WithArguments(q, "one").WithTimeout(patience).Should(Equal(transports.JobRunning))
		Expect(w.Close()).To(Succeed())
		Expect(stateOf(q, "one")).To(Equal(transports.JobQueued))
		Expect(next(workerOf(q, time.Minute, 1)).Attempt).To(Equal(1))
	})

	both := func(q transports.Queue, slots int) transports.Worker {
		GinkgoHelper()
		other := job("two")
		other.Queue.Service = "orders"
		put(q, "one")
		Expect(q.Put(GinkgoT().Context(), other)).To(Succeed())
		w, err := q.Work(GinkgoT().Context(), []transports.Source{
			{QueueName: invoices, Lease: time.Minute}, {QueueName: other.Queue, Lease: time.Minute},
		}, slots)
		Expect(err).NotTo(HaveOccurred())
		return w
	}

	It("is given back at once what came for a worker without room for it", func() {
		_, ready, err := valkey.Block(both(q, 1), 0)
		Expect(err).NotTo(HaveOccurred())
		Expect(ready).To(BeZero())
		other, err := q.Work(GinkgoT().Context(), []transports.Source{
			{QueueName: invoices, Lease: time.Minute}, {QueueName: transports.QueueName{Service: "orders", Endpoint: invoices.Endpoint}, Lease: time.Minute},
		}, 1)
		Expect(err).NotTo(HaveOccurred())
		Expect(next(other).Attempt).To(Equal(1))
	})

	It("lets nobody begin a job that was taken and then lost to somebody else", func() {
		w := both(q, 2)
		_, ready, err := valkey.Block(w, 1)
		Expect(err).NotTo(HaveOccurred())
		Expect(ready).To(Equal(1))
		other, err := queueAt(here()).Work(GinkgoT().Context(), []transports.Source{
			{QueueName: invoices, Lease: lease}, {QueueName: transports.QueueName{Service: "orders", Endpoint: invoices.Endpoint}, Lease: lease},
		}, 2)
		Expect(err).NotTo(HaveOccurred())
		one, two := next(other), next(other)
		ctx, cancel := context.WithTimeout(GinkgoT().Context(), lease)
		defer cancel()
		_, err = w.Next(ctx)
		Expect(err).To(MatchError(context.DeadlineExceeded))
		settle(other, one, transports.JobDone)
		settle(other, two, transports.JobDone)
	})

	It("is given back what is no job, and what is too large for a script, too", func() {
		long := make([]string, 0, 10_000)
		for i := range cap(long) {
			long = append(long, strconv.Itoa(i))
		}
		put(q, "one")
		w := workerOf(q, time.Minute, 1)
		settle(w, next(w), transports.JobDone)
		durable.Command(append([]string{"XADD", streamKey, "*"}, long...)...)
		w = workerOf(q, time.Minute, 1)
		id, _, err := valkey.Block(w, 0)
		Expect(err).NotTo(HaveOccurred())
		Expect(id).NotTo(BeEmpty())
		Expect(w.Close()).To(Succeed())
		put(q, "two")
		w = workerOf(q, time.Minute, 1)
		settle(w, next(w), transports.JobDone)
		Expect(lengths()).To(Equal(":0:1:0"))
	})

	It("gives a job its whole lease, however late it is asked for", func() {
		const long = 4 * lease
		w := workerOf(q, long, 2)
		ctx, cancel := context.WithTimeout(GinkgoT().Context(), lease)
		defer cancel()
		_, err := w.Next(ctx)
		Expect(err).To(MatchError(context.DeadlineExceeded))
		put(q, "one")
		idle := func() int {
			n, err := strconv.Atoi(strings.TrimPrefix(durable.Command("EVAL",
				"local p = redis.call('XPENDING', KEYS[1], 'workers', '-', '+', 1) return p[1] and p[1][3] or -1", "1", streamKey), ":"))
			Expect(err).NotTo(HaveOccurred())
			return n
		}
		Eventually(idle).WithTimeout(patience).Should(BeNumerically(">", int(long.Milliseconds()/3)))
		d := next(w)
		Expect(idle()).To(BeNumerically("<", int(long.Milliseconds()/3)))
		Expect(d.Attempt).To(Equal(1))
		settle(w, d, transports.JobDone)
	})

	It("goes on while the server is short of memory: what is done makes room", func() {
		put(q, "one", "two", "three", "four")
		w := workerOf(q, time.Minute, 4)
		first := next(w)
		durable.Command("CONFIG", "SET", "maxmemory", "1")
		err := q.Put(GinkgoT().Context(), job("five"))
		Expect(err).To(And(MatchError(transports.ErrQueue), MatchError(ContainSubstring("OOM"))))
		settle(w, first, transports.JobDone)
		settle(w, next(w), transports.JobDead)
		settle(w, next(w), transports.JobQueued)
		settle(w, next(w), transports.JobDone)
		Expect(stateOf(q, "one")).To(Equal(transports.JobDone))
		Expect(lengths()).To(Equal(":1:1:0"))
	})

	It("puts a job once, over a connection that has broken meanwhile", func() {
		put(q, "one")
		for i := range 20 {
			durable.Command("CLIENT", "KILL", "TYPE", "normal")
			put(q, strconv.Itoa(i))
		}
		Expect(durable.Command("XLEN", streamKey)).To(Equal(":21"))
	})

	It("puts and settles once where an answer is lost on the way", func() {
		proxy, err := faultproxy.ListenTCP(durable.Addr, 1)
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(proxy.Close)
		far := queueAt("valkey://" + proxy.Addr())
		put(far, "zero", "one")
		w := workerOf(far, time.Minute, 1)
		settle(w, next(w), transports.JobDone) // the server knows the scripts then
		d := next(w)
		losing := func(do func() error, until func() bool) error {
			proxy.Set(faultproxy.ToClient, faultproxy.Faults{Blackhole: faultproxy.Swallow})
			failed := make(chan error, 1)
			go func() { failed <- do() }()
			Eventually(until).WithTimeout(patience).Should(BeTrue())
			proxy.Set(faultproxy.ToClient, faultproxy.Faults{})
			proxy.Reset()
			var err error
			Eventually(failed).WithTimeout(patience).Should(Receive(&err))
			return err
		}
		Expect(losing(func() error { return far.Put(context.Background(), job("two")) },
			func() bool { return lengths() == ":2:0:1" })).To(Succeed())
		Expect(lengths()).To(Equal(":2:0:1"))
		// Who has the job now cannot be told from here.
		Expect(losing(func() error {
			return w.Settle(context.Background(), d, transports.Outcome{State: transports.JobQueued})
		},
			func() bool { return lengths() == ":2:0:0" })).To(MatchError(transports.ErrQueue))
		Expect(lengths()).To(Equal(":2:0:0"))
	})

	It("settles over a connection that has broken meanwhile", func() {
		put(q, "one")
		w := workerOf(q, time.Minute, 1)
		d := next(w)
		durable.Command("CLIENT", "KILL", "TYPE", "normal")
		settle(w, d, transports.JobDone)
		Expect(stateOf(q, "one")).To(Equal(transports.JobDone))
	})

	It("fails within its time where the server does not answer, and works when it does", func() {
		put(q, "one")
		w := workerOf(q, time.Minute, 3)
		d := next(w)
		failed := make(chan error, 1)
		go func() {
			_, err := w.Next(GinkgoT().Context())
			failed <- err
		}()
		durable.Stop()
		defer durable.Cont()
		began := time.Now()
		ctx, cancel := context.WithTimeout(GinkgoT().Context(), lease)
		defer cancel()
		other := queueAt(here())
		for _, q := range []transports.Queue{q, other} {
			Expect(q.Put(ctx, job("two"))).To(MatchError(transports.ErrQueue))
		}
		Expect(w.Settle(ctx, d, transports.Outcome{State: transports.JobDone})).To(MatchError(transports.ErrQueue))
		Expect(time.Since(began)).To(BeNumerically("<", 2*lease))
		_, err := other.Status(context.Background(), "one")
		Expect(err).To(MatchError(transports.ErrQueue))
		Expect(time.Since(began)).To(BeNumerically("<", 6*time.Second))
		Eventually(failed).WithTimeout(2 * patience).Should(Receive(MatchError(transports.ErrQueue)))
		durable.Cont()
		Expect(q.Put(GinkgoT().Context(), job("three"))).To(Succeed())
	})

	It("says where there is no server", func() {
		nowhere := queueAt("valkey://:secret@127.0.0.1:1")
		err := nowhere.Put(GinkgoT().Context(), job("one"))
		Expect(err).To(And(MatchError(transports.ErrQueue), MatchError(ContainSubstring("127.0.0.1:1"))))
		Expect(err).NotTo(MatchError(ContainSubstring("secret")))
	})

	It("is apart from those of another prefix", func() {
		other := queueAt(here() + "?prefix=other")
		put(other, "one")
		_, err := q.Status(GinkgoT().Context(), "one")
		Expect(err).To(MatchError(transports.ErrNoJob))
		Expect(q.Queues(GinkgoT().Context())).To(BeEmpty())
		Expect(next(workerOf(other, time.Minute, 1)).ID).To(Equal("one"))
	})

	It("has the consumer group and the dead jobs' keys that the URL names", func() {
		named := queueAt(here() + "?group=clerks&dead=corpses")
		put(named, "one")
		w := workerOf(named, time.Minute, 1)
		Expect(durable.Command("XGROUP", "CREATECONSUMER", streamKey, "clerks", "another")).To(Equal(":1"), "there is the group")
		Expect(w.Settle(GinkgoT().Context(), next(w), transports.Outcome{State: transports.JobDead, Reason: "old age"})).To(Succeed())
		Expect(durable.Command("XLEN", "{stella}:corpses:billing:POST+%2Finvoices%2F%7B%7D")).To(Equal(":1"))
		Expect(named.Dead(GinkgoT().Context(), invoices, 10)).To(HaveLen(1))
		Expect(q.Dead(GinkgoT().Context(), invoices, 10)).To(BeEmpty())
	})

	It("does not take what nobody could read, or workers that could do nothing", func() {
		bad := job("one")
		bad.Attempts = 0
		Expect(q.Put(GinkgoT().Context(), bad)).NotTo(Succeed())
		for _, sources := range [][]transports.Source{nil, {{QueueName: invoices}}} {
			_, err := q.Work(GinkgoT().Context(), sources, 1)
			Expect(err).To(HaveOccurred())
		}
		_, err := q.Work(GinkgoT().Context(), []transports.Source{{QueueName: invoices, Lease: lease}}, 0)
		Expect(err).To(HaveOccurred())
		put(q, "two")
		w := workerOf(q, time.Minute, 1)
		d := next(w)
		Expect(w.Settle(GinkgoT().Context(), d, transports.Outcome{State: transports.JobRunning})).NotTo(Succeed())
		Expect(w.Settle(GinkgoT().Context(), &transports.Delivery{Job: d.Job}, transports.Outcome{State: transports.JobDone})).NotTo(Succeed())
	})

	It("has results without the bodies that are too large", func() {
		put(q, "one")
		w := workerOf(q, time.Minute, 1)
		Expect(w.Settle(GinkgoT().Context(), next(w), transports.Outcome{
			State: transports.JobDone, Result: &transports.JobResult{Status: 200, Body: make([]byte, transports.MaxJobResult+1)},
		})).To(Succeed())
		s, err := q.Status(GinkgoT().Context(), "one")
		Expect(err).NotTo(HaveOccurred())
		Expect(s.Result).To(Equal(&transports.JobResult{Status: 200, Cut: true}))
	})

	It("has names that keys can have", func() {
		for _, n := range []transports.QueueName{{Service: "a:b", Endpoint: "c"}, {Service: "a", Endpoint: "b:c"}, {Service: "{}", Endpoint: "%3A ü"}} {
			key, set := valkey.QueueKey(n)
			Expect(strings.ContainsAny(strings.TrimPrefix(key, "{stella}:queue:"), "{} ")).To(BeFalse())
			back, err := valkey.DecodeName(set)
			Expect(err).NotTo(HaveOccurred())
			Expect(back).To(Equal(n))
			j := job(url.QueryEscape(n.String()))
			j.Queue = n
			Expect(q.Put(GinkgoT().Context(), j)).To(Succeed())
			Expect(durable.Command("XLEN", key)).To(Equal(":1"))
		}
		Expect(errors.Is(q.Requeue(GinkgoT().Context(), invoices, "one"), transports.ErrNoJob)).To(BeTrue())
	})
})
