package rabbitmq_test

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/stella-ops/router/spec"
	"github.com/stella-ops/router/transports"
	"github.com/stella-ops/router/transports/faultproxy"
	"github.com/stella-ops/router/transports/rabbitmq"
)

// What all transports' queues do is tested by package conformance, on this one too.

var invoices = transports.QueueName{Service: "billing", Endpoint: "POST /invoices/{}"}

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

func workerOf(q transports.Queue, slots int, names ...transports.QueueName) transports.Worker {
	GinkgoHelper()
	var sources []transports.Source
	for _, n := range append([]transports.QueueName{invoices}, names...) {
		sources = append(sources, transports.Source{QueueName: n, Lease: time.Minute})
	}
	w, err := q.Work(GinkgoT().Context(), sources, slots)
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

// ready is how many messages wait in a queue.
func ready(name string) func() int {
	ch := channel()
	return func() int {
		q, err := ch.QueueDeclarePassive(name, true, false, false, false, nil)
		Expect(err).NotTo(HaveOccurred())
		return q.Messages
	}
}

// alarm has the server short of memory until it is lifted.
func alarm() (lift func()) {
	server.Ctl("set_vm_memory_high_watermark", "0")
	lifted := false
	lift = func() {
		if !lifted {
			lifted = true
			server.Ctl("set_vm_memory_high_watermark", "0.4")
		}
	}
	DeferCleanup(func() { lift() })
	return lift
}

var _ = Describe("A queue", func() {
	var q transports.Queue
	BeforeEach(func() { q = queueAt(near()) })
	queue := func() string { return prefix + ".queue.billing.POST+%2Finvoices%2F%7B%7D" }
	stream := func() string { return prefix + ".status" }

	It("has among the dead what the server has given up, and loses nothing", func() {
		put(q, "one")
		ch := channel()
		delivered := 0
		Eventually(func(g Gomega) {
			for {
				d, ok, err := ch.Get(queue(), false)
				g.Expect(err).NotTo(HaveOccurred())
				if !ok {
					break
				}
				delivered++
				g.Expect(d.Nack(false, true)).To(Succeed())
			}
			g.Expect(q.Dead(GinkgoT().Context(), invoices, 5)).To(HaveLen(1))
		}).WithTimeout(6 * patience).Should(Succeed())
		Expect(delivered).To(Equal(1 + rabbitmq.DeliveryLimit))
		Expect(delivered).To(BeNumerically(">=", 10*spec.MaxAttempts), "workers have long given up")
		dead, err := q.Dead(GinkgoT().Context(), invoices, 5)
		Expect(err).NotTo(HaveOccurred())
		Expect(dead[0].ID).To(Equal("one"))
		Expect(dead[0].Reason).To(ContainSubstring("delivery_limit"))
		Expect(dead[0].Died).To(BeTemporally("~", time.Now(), time.Minute))
		Expect(q.Requeue(GinkgoT().Context(), invoices, "one")).To(Succeed())
		Expect(next(workerOf(q, 1)).Attempt).To(Equal(1))
	})

	It("does not count an attempt that nobody has begun", func() {
		put(q, "one")
		w := workerOf(q, 1)
		settle(w, next(w), transports.JobQueued)
		for range 3 {
			rabbitmq.Hoard(w) // as a call of Next whose context ends at the worst moment
			Expect(w.Close()).To(Succeed())
			Expect(stateOf(q, "one")).To(Equal(transports.JobQueued))
			w = workerOf(q, 1)
		}
		d := next(w)
		Expect(d.Attempt).To(Equal(2))
		settle(w, d, transports.JobDone)
	})

	It("serves more queues than it has slots, and keeps nothing from others meanwhile", func() {
		var names []transports.QueueName
		for i := range 5 {
			names = append(names, transports.QueueName{Service: "billing", Endpoint: "POST /" + strconv.Itoa(i)})
		}
		for slots := 1; slots <= 3; slots++ {
			w := workerOf(q, slots, names...)
			got, ctx := make(chan *transports.Delivery), GinkgoT().Context()
			go func() {
				defer GinkgoRecover()
				defer close(got)
				for {
					d, err := w.Next(ctx)
					if err != nil {
						return
					}
					Expect(w.Settle(ctx, d, transports.Outcome{State: transports.JobDone})).To(Succeed())
					got <- d
				}
			}()
			for i, n := range names {
				j := job(fmt.Sprint("job-", slots, "-", i))
				j.Queue = n
				Expect(q.Put(GinkgoT().Context(), j)).To(Succeed())
				var d *transports.Delivery
				Eventually(got).WithTimeout(patience).Should(Receive(&d))
				Expect(d.ID).To(Equal(j.ID))
				Expect(d.Attempt).To(Equal(1))
			}
			Expect(w.Close()).To(Succeed())
			Eventually(got).WithTimeout(patience).Should(BeClosed())
		}
	})

	It("goes on when it is deleted, and so does the log", func() {
		put(q, "one")
		Expect(stateOf(q, "one")).To(Equal(transports.JobQueued))
		w := workerOf(q, 1)
		failed := make(chan error, 1)
		settle(w, next(w), transports.JobDone)
		ctx := GinkgoT().Context()
		go func() {
			_, err := w.Next(ctx)
			failed <- err
		}()
		ch := channel()
		for _, name := range []string{queue(), stream()} {
			_, err := ch.QueueDelete(name, false, false, false)
			Expect(err).NotTo(HaveOccurred())
		}
		Eventually(failed).WithTimeout(patience).Should(Receive(MatchError(transports.ErrQueue)))
		put(q, "two")
		Eventually(func() error {
			_, err := q.Status(GinkgoT().Context(), "two")
			return err
		}).WithTimeout(2 * patience).Should(Succeed())
		Expect(next(workerOf(q, 1)).ID).To(Equal("two"))
		Expect(ch.ExchangeDelete(prefix+".jobs.billing", false, false)).To(Succeed())
		put(q, "three")
		Eventually(ready(queue())).WithTimeout(patience).Should(Equal(1))
	})

	It("takes no jobs while the server is short of memory, closes in two seconds, and goes on when there is some", func() {
		put(q, "one", "two")
		w := workerOf(q, 2)
		d := next(w)
		Expect(stateOf(q, "one")).To(Equal(transports.JobRunning))
		lift := alarm()
		began := time.Now()
		ctx, cancel := context.WithTimeout(GinkgoT().Context(), 6*patience)
		defer cancel()
		Expect(q.Put(ctx, job("three"))).To(And(MatchError(transports.ErrQueue), MatchError(rabbitmq.ErrBlocked)))
		Expect(time.Since(began)).To(BeNumerically("<", 2*time.Second))
		settled, got := make(chan error, 1), make(chan *transports.Delivery, 1)
		go func() {
			settled <- w.Settle(context.Background(), d, transports.Outcome{State: transports.JobDone})
		}()
		go func() {
			defer GinkgoRecover()
			d, err := w.Next(ctx)
			Expect(err).NotTo(HaveOccurred())
			got <- d
		}()
		Consistently(got).WithTimeout(time.Second).ShouldNot(Receive())

		other := queueAt(far())
		Expect(other.Put(ctx, job("four"))).NotTo(Succeed())
		began = time.Now()
		Expect(other.Close()).To(Succeed())
		Expect(time.Since(began)).To(BeNumerically("<", 2*time.Second))

		lift()
		Eventually(settled).WithTimeout(patience).Should(Receive(Succeed()))
		var second *transports.Delivery
		Eventually(got).WithTimeout(patience).Should(Receive(&second))
		Expect(second.ID).To(Equal("two"))
		Expect(second.Attempt).To(Equal(1))
		settle(w, second, transports.JobDone)
		Expect(stateOf(q, "one")).To(Equal(transports.JobDone))
	})

	It("fails within its time where the server does not answer, closes in two seconds, and works when it does", func() {
		proxy, err := faultproxy.ListenTCP(server.Addr, 1)
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(proxy.Close)
		q := queueAt("rabbitmq://guest:guest@" + proxy.Addr() + "?prefix=" + prefix)
		put(q, "one")
		w := workerOf(q, 1)
		d := next(w)
		proxy.Set(faultproxy.ToClient, faultproxy.Faults{Blackhole: faultproxy.Swallow})
		const short = 300 * time.Millisecond
		ctx, cancel := context.WithTimeout(GinkgoT().Context(), short)
		defer cancel()
		began := time.Now()
		Expect(q.Put(ctx, job("two"))).To(And(MatchError(transports.ErrQueue), MatchError(context.DeadlineExceeded)))
		Expect(w.Settle(ctx, d, transports.Outcome{State: transports.JobDone})).To(MatchError(transports.ErrQueue))
		Expect(time.Since(began)).To(BeNumerically("<", 2*short))
		began = time.Now()
		Expect(q.Close()).To(Succeed())
		Expect(time.Since(began)).To(BeNumerically("<", 2*time.Second))
		again := next(workerOf(queueAt(near()), 1))
		Expect(again.ID).To(Equal("one"))
		Expect(again.Attempt).To(Equal(2))
	})

	It("says where there is no server", func() {
		nowhere := queueAt("rabbitmq://me:secret@127.0.0.1:1")
		err := nowhere.Put(GinkgoT().Context(), job("one"))
		Expect(err).To(And(MatchError(transports.ErrQueue), MatchError(ContainSubstring("127.0.0.1:1"))))
		Expect(err).NotTo(MatchError(ContainSubstring("secret")))
	})

	It("knows the statuses of before when its connections are lost, and those that follow", func() {
		put(q, "one")
		Expect(stateOf(q, "one")).To(Equal(transports.JobQueued))
		server.Ctl("close_all_connections", "maintenance")
		other := queueAt(far())
		w := workerOf(other, 1)
		settle(w, next(w), transports.JobDead)
		Eventually(func() (transports.JobState, error) {
			s, err := q.Status(GinkgoT().Context(), "one")
			if err != nil {
				return "", err
			}
			return s.State, nil
		}).WithTimeout(patience).Should(Equal(transports.JobDead))
	})

	It("does not listen to records that are none, or another service's", func() {
		put(q, "one")
		ch := channel()
		forged := rabbitmq.Record(&transports.JobStatus{ID: "one", Queue: invoices, Owner: "mallory", State: transports.JobDone})
		orders := invoices
		orders.Service = "orders"
		Expect(workerOf(q, 1, orders).Close()).To(Succeed())
		for _, p := range []amqp.Publishing{
			{Type: "status", Body: forged}, {Type: "status", Body: []byte("?")}, {Type: "name", Body: []byte{1, 200}}, {Type: "mark"}, {},
		} {
			Expect(ch.Publish(prefix+".jobs.orders", stream(), true, false, p)).To(Succeed())
		}
		Expect(ch.Close()).To(Succeed())
		s, err := q.Status(GinkgoT().Context(), "one")
		Expect(err).NotTo(HaveOccurred())
		Expect(s.State).To(Equal(transports.JobQueued))
		Expect(s.Owner).To(Equal("alice"))
	})

	It("keeps statuses for a day, and no more of them than it may", func() {
		log := rabbitmq.NewLog()
		put := func(id string, age time.Duration, body int) {
			log.Put(&transports.JobStatus{
				ID: id, Queue: invoices, State: transports.JobDone, Changed: time.Now().Add(-age), Result: &transports.JobResult{Body: make([]byte, body)},
			})
		}
		put("old", transports.JobRetention+time.Second, 0)
		put("new", 0, 0)
		Expect(log.Has("old")).To(BeFalse())
		Expect(log.Has("new")).To(BeTrue())
		for i := range 2 * rabbitmq.MaxStatusBytes / transports.MaxJobResult {
			put(strconv.Itoa(i), 0, transports.MaxJobResult)
			Expect(log.Bytes()).To(BeNumerically("<=", rabbitmq.MaxStatusBytes))
		}
		Expect(log.Has("new")).To(BeFalse())
		Expect(log.Has("0")).To(BeFalse())
		Expect(log.Has(strconv.Itoa(2*rabbitmq.MaxStatusBytes/transports.MaxJobResult - 1))).To(BeTrue())
	})

	It("is apart from those of another prefix", func() {
		put(queueAt(near()+"other"), "one")
		_, err := q.Status(GinkgoT().Context(), "one")
		Expect(err).To(MatchError(transports.ErrNoJob))
		Expect(q.Queues(GinkgoT().Context())).To(BeEmpty())
	})

	It("says that others have made it another way", func() {
		_, err := channel().QueueDeclare(queue(), true, false, false, false, nil)
		Expect(err).NotTo(HaveOccurred())
		Expect(q.Put(GinkgoT().Context(), job("one"))).To(And(MatchError(transports.ErrQueue), MatchError(ContainSubstring("PRECONDITION_FAILED"))))
	})

	It("does not take what nobody could read, or workers that could do nothing", func() {
		bad := job("one")
		bad.Attempts = 0
		Expect(q.Put(GinkgoT().Context(), bad)).NotTo(Succeed())
		for _, sources := range [][]transports.Source{nil, {{QueueName: invoices}}} {
			_, err := q.Work(GinkgoT().Context(), sources, 1)
			Expect(err).To(HaveOccurred())
		}
		_, err := q.Work(GinkgoT().Context(), []transports.Source{{QueueName: invoices, Lease: time.Second}}, 0)
		Expect(err).To(HaveOccurred())
		put(q, "two")
		w := workerOf(q, 1)
		d := next(w)
		Expect(w.Settle(GinkgoT().Context(), d, transports.Outcome{State: transports.JobRunning})).NotTo(Succeed())
		Expect(w.Settle(GinkgoT().Context(), &transports.Delivery{Job: d.Job}, transports.Outcome{State: transports.JobDone})).NotTo(Succeed())
		settle(w, d, transports.JobDone)
		Expect(errors.Is(q.Requeue(GinkgoT().Context(), invoices, "two"), transports.ErrNoJob)).To(BeTrue())
		nowhere := transports.QueueName{Service: "nobody", Endpoint: "GET /"}
		Expect(q.Dead(GinkgoT().Context(), nowhere, 5)).To(BeEmpty())
		Expect(q.Purge(GinkgoT().Context(), nowhere)).To(BeZero())
	})

	It("has results without the bodies that are too large", func() {
		put(q, "one")
		w := workerOf(q, 1)
		Expect(w.Settle(GinkgoT().Context(), next(w), transports.Outcome{
			State: transports.JobDone, Result: &transports.JobResult{Status: 200, Body: make([]byte, transports.MaxJobResult+1)},
		})).To(Succeed())
		s, err := q.Status(GinkgoT().Context(), "one")
		Expect(err).NotTo(HaveOccurred())
		Expect(s.Result).To(Equal(&transports.JobResult{Status: 200, Cut: true}))
	})

	It("has names that AMQP can have, and no two the same", func() {
		long := strings.Repeat("x", 300)
		names := []transports.QueueName{
			{Service: "a.b", Endpoint: "c"}, {Service: "a", Endpoint: "b.c"}, {Service: "a", Endpoint: "GET /" + long}, {Service: "a", Endpoint: "GET /" + long + "y"},
			{Service: long, Endpoint: "GET /"}, {Service: long + "y", Endpoint: "GET /"}, {Service: "#", Endpoint: "%3A ü"},
		}
		seen := map[string]bool{}
		for i, n := range names {
			name := rabbitmq.QueueName(prefix, n)
			Expect(len(name)).To(BeNumerically("<=", 255))
			Expect(seen[name]).To(BeFalse(), name)
			seen[name] = true
			j := job(strconv.Itoa(i))
			j.Queue = n
			Expect(q.Put(GinkgoT().Context(), j)).To(Succeed())
		}
		Expect(q.Queues(GinkgoT().Context())).To(HaveLen(len(names)))
	})

	It("is a user's with the least permissions, who can put no job into another's, and tell nothing of it", func() {
		for _, user := range []string{"billing", "gateway"} {
			server.Ctl("add_user", prefix+user, "secret")
			DeferCleanup(func() { server.Ctl("delete_user", prefix+user) })
			server.Ctl(append([]string{"set_permissions", prefix + user}, permissions(user)...)...)
		}
		as := func(user string) transports.Queue {
			GinkgoHelper()
			return queueAt("amqp://" + prefix + user + ":secret@" + server.Addr + "/?prefix=" + prefix)
		}
		gateway, billing := as("gateway"), as("billing")
		put(gateway, "one", "two", "three")
		w := workerOf(billing, 3)
		settle(w, next(w), transports.JobDone)
		settle(w, next(w), transports.JobDead)
		rabbitmq.Hoard(w)
		Expect(w.Close()).To(Succeed())
		Expect(stateOf(gateway, "one")).To(Equal(transports.JobDone))
		Expect(gateway.Requeue(GinkgoT().Context(), invoices, "two")).To(Succeed())
		w = workerOf(as("billing"), 2)
		for range 2 {
			Expect(next(w).Attempt).To(Equal(1))
		}
		Expect(gateway.Queues(GinkgoT().Context())).To(Equal([]transports.QueueDepth{{QueueName: invoices, Waiting: 2}}))
		Expect(gateway.Purge(GinkgoT().Context(), invoices)).To(BeZero())

		other := job("other")
		other.Queue.Service = "orders"
		Expect(gateway.Put(GinkgoT().Context(), other)).To(Succeed())
		Expect(billing.Put(GinkgoT().Context(), other)).To(MatchError(ContainSubstring("ACCESS_REFUSED")))
		_, err := billing.Work(GinkgoT().Context(), []transports.Source{{QueueName: other.Queue, Lease: time.Second}}, 1)
		Expect(err).To(MatchError(ContainSubstring("ACCESS_REFUSED")))
		c, err := amqp.Dial("amqp://" + prefix + "billing:secret@" + server.Addr + "/")
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(c.Close)
		for _, exchange := range []string{prefix + ".jobs.orders", prefix + ".marks", ""} {
			ch, err := c.Channel()
			Expect(err).NotTo(HaveOccurred())
			closed := ch.NotifyClose(make(chan *amqp.Error, 1))
			Expect(ch.Publish(exchange, stream(), false, false, amqp.Publishing{})).To(Succeed())
			Eventually(closed).WithTimeout(patience).Should(Receive(MatchError(ContainSubstring("ACCESS_REFUSED"))), exchange)
		}
		for _, name := range []string{stream(), prefix + ".queue.orders.POST+%2Finvoices%2F%7B%7D"} {
			ch, err := c.Channel()
			Expect(err).NotTo(HaveOccurred())
			_, _, err = ch.Get(name, false)
			Expect(err).To(MatchError(ContainSubstring("ACCESS_REFUSED")), name)
		}
	})
})
