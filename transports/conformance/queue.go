package conformance

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stella-ops/router/spec"
	"github.com/stella-ops/router/transports"
)

// QueueTransport is a transport whose queues are tested.
type QueueTransport struct {
	// URL returns the URL of a broker. It is called once a case, which uses names of its own.
	URL func(t *testing.T) string
	// Redelivery is how long it may take until a job is delivered again whose worker was closed or lost. The lease is
	// [QueueLease].
	Redelivery time.Duration
	// Restart kills the broker of the last URL, and starts it with what it has confirmed. Nil: it cannot be.
	Restart func(t *testing.T)
	// Settling is how old a queue has to be before it outlives that.
	Settling time.Duration
	// Lose ends all connections to the broker of the last URL. Nil: nobody can.
	Lose func(t *testing.T)
	// Poison puts bytes that are no job into a queue, in which there was a job before. Nil: nobody can.
	Poison func(t *testing.T, name transports.QueueName, raw []byte)
}

const noUse = "no use" // why jobs of the suite are dead

// QueueLease is the lease of the suite's jobs.
const QueueLease = time.Second

// queueCases are run in this order, each with queues of its own.
var queueCases = []struct {
	name string
	run  func(*queueBench)
	can  func(QueueTransport) bool
}{
	{"a job is put, taken and done", jobDone, nil},
	{"one worker takes jobs in their order", jobOrder, nil},
	{"a worker has as many jobs as it has slots", jobSlots, nil},
	{"two workers share a queue", jobsShared, nil},
	{"services' queues do not mix", jobsApart, nil},
	{"a retry is the same job", jobRetry, nil},
	{"a job without attempts is dead", jobDead, nil},
	{"dead jobs are looked at, requeued and purged", jobRequeued, nil},
	{"what is no job is dead, and the next one comes", jobPoison, func(q QueueTransport) bool { return q.Poison != nil }},
	{"a closed worker's jobs are delivered again", jobsGivenBack, nil},
	{"a lost worker's jobs are delivered again", jobsLost, func(q QueueTransport) bool { return q.Lose != nil }},
	{"a job whose workers are lost is dead", jobCrashes, nil},
	{"the largest job", jobLargest, nil},
	{"contexts end what waits", jobContexts, nil},
	{"closing ends what waits", jobsClosed, nil},
	{"a restart loses nothing", jobsRestart, func(q QueueTransport) bool { return q.Restart != nil }},
}

// RunQueues runs the suite for queues. Cases for which the transport has no function are not run.
func RunQueues(t *testing.T, transport QueueTransport) {
	t.Helper()
	for _, c := range queueCases {
		if c.can != nil && !c.can(transport) {
			continue
		}
		t.Run(strings.NewReplacer(" ", "_", ",", "", "'", "").Replace(c.name), func(t *testing.T) {
			before := runtime.NumGoroutine()
			b := &queueBench{T: t, transport: transport, url: transport.URL(t), run: rand.Text()}
			defer func() {
				for _, q := range b.opened {
					b.need(q.Close(), "close")
				}
				nothingLeft(t, before)
			}()
			b.q = b.open()
			c.run(b)
		})
	}
}

// queueBench is where one case is tested.
type queueBench struct {
	*testing.T

	transport QueueTransport
	url       string
	run       string // is in all names
	q         transports.Queue
	opened    []transports.Queue
	made      int
}

func (b *queueBench) need(err error, doing string) {
	b.Helper()
	if err != nil {
		b.Fatalf("%s: %v", doing, err)
	}
}

// open is another process at the same broker.
func (b *queueBench) open() transports.Queue {
	b.Helper()
	q, err := transports.OpenQueue(b.url)
	b.need(err, "open")
	b.opened = append(b.opened, q)
	return q
}

func (b *queueBench) name(service string) transports.QueueName {
	return transports.QueueName{Service: service + "-" + b.run, Endpoint: "POST /a:b/{}"}
}

const (
	queueToken    = "a-token-of-the-suite"
	queueAttempts = 3
)

func (b *queueBench) job(name transports.QueueName) *transports.Job {
	b.made++
	id := b.run + "-" + strconv.Itoa(b.made)
	return &transports.Job{
		ID: id, Queue: name, Attempts: queueAttempts, Lease: QueueLease, Key: "key of " + id, Owner: "alice",
		Accepted: time.Now().UTC().Truncate(time.Millisecond), Request: []byte("metadata\x00"), Body: []byte("body of " + id),
	}
}

// put puts n jobs.
func (b *queueBench) put(name transports.QueueName, n int) (jobs []*transports.Job) {
	b.Helper()
	for range n {
		j := b.job(name)
		b.need(b.q.Put(b.Context(), j, queueToken), "put")
		jobs = append(jobs, j)
	}
	return jobs
}

func (b *queueBench) work(q transports.Queue, slots int, names ...transports.QueueName) transports.Worker {
	b.Helper()
	var sources []transports.Source
	for _, n := range names {
		sources = append(sources, transports.Source{QueueName: n, Lease: QueueLease})
	}
	w, err := q.Work(b.Context(), sources, slots)
	b.need(err, "work")
	return w
}

// next returns the next job, for which it waits.
func (b *queueBench) next(w transports.Worker) *transports.Delivery {
	b.Helper()
	ctx, cancel := context.WithTimeout(b.Context(), patience)
	defer cancel()
	d, err := w.Next(ctx)
	b.need(err, "next")
	return d
}

// nothing expects that there is no job for the worker.
func (b *queueBench) nothing(w transports.Worker) {
	b.Helper()
	ctx, cancel := context.WithTimeout(b.Context(), QueueLease/4)
	defer cancel()
	if d, err := w.Next(ctx); !errors.Is(err, context.DeadlineExceeded) {
		b.Fatalf("expected nothing until the context ends, got %v, %v", d, err)
	}
}

func (b *queueBench) settle(w transports.Worker, d *transports.Delivery, o transports.Outcome) {
	b.Helper()
	b.need(w.Settle(b.Context(), d, o), "settle")
}

func (b *queueBench) done(w transports.Worker, d *transports.Delivery) {
	b.Helper()
	b.settle(w, d, transports.Outcome{State: transports.JobDone, Result: &transports.JobResult{Status: 204}})
}

// status expects a job's status.
func (b *queueBench) status(id string, state transports.JobState, attempt int) *transports.JobStatus {
	b.Helper()
	s, err := b.q.Status(b.Context(), id)
	b.need(err, "status")
	if s.ID != id || s.State != state || s.Attempt != attempt || s.Owner != "alice" {
		b.Fatalf("status %+v, expected %s with attempt %d, of alice", s, state, attempt)
	}
	if age := time.Since(s.Changed); age < -patience || age > patience {
		b.Fatalf("the status has changed at %v", s.Changed)
	}
	return s
}

// depth expects how many jobs a queue has.
func (b *queueBench) depth(name transports.QueueName, waiting, dead int) {
	b.Helper()
	want := transports.QueueDepth{QueueName: name, Waiting: waiting, Dead: dead}
	var got []transports.QueueDepth
	// Brokers may count a moment after they have confirmed.
	for end := time.Now().Add(patience); time.Now().Before(end); <-time.After(10 * time.Millisecond) {
		var err error
		got, err = b.q.Queues(b.Context())
		b.need(err, "queues")
		if slices.Contains(got, want) {
			return
		}
	}
	b.Fatalf("queues %+v, expected %+v", got, want)
}

// dead expects how many dead jobs a queue has.
func (b *queueBench) dead(name transports.QueueName, n int) []*transports.DeadJob {
	b.Helper()
	for end := time.Now().Add(patience); ; <-time.After(10 * time.Millisecond) {
		got, err := b.q.Dead(b.Context(), name, n+1)
		b.need(err, "dead")
		if len(got) == n {
			return got
		}
		if time.Now().After(end) {
			b.Fatalf("%d dead jobs, expected %d", len(got), n)
		}
	}
}

// same expects that a job is the one that was put.
func (b *queueBench) same(got, want *transports.Job) {
	b.Helper()
	if got.ID != want.ID || got.Queue != want.Queue || got.Attempts != want.Attempts || got.Lease != want.Lease || got.Key != want.Key ||
		got.Owner != want.Owner || !got.Accepted.Equal(want.Accepted) || !bytes.Equal(got.Request, want.Request) || !bytes.Equal(got.Body, want.Body) {
		b.Fatalf("job %.300q, expected %.300q", fmt.Sprint(*got), fmt.Sprint(*want))
	}
	if !got.SignedWith(queueToken) {
		b.Fatalf("job %s has lost its signature", got.ID)
	}
}

func jobDone(b *queueBench) {
	name := b.name("billing")
	j := b.put(name, 1)[0]
	b.status(j.ID, transports.JobQueued, 0)
	b.depth(name, 1, 0)
	w := b.work(b.open(), 1, name)
	d := b.next(w)
	b.same(d.Job, j)
	if d.Attempt != 1 {
		b.Fatalf("attempt %d", d.Attempt)
	}
	b.status(j.ID, transports.JobRunning, 1)
	b.depth(name, 1, 0)
	want := transports.JobResult{Status: 201, ContentType: "application/json", Body: []byte{0, 1, 0xff}}
	b.settle(w, d, transports.Outcome{State: transports.JobDone, Result: &want})
	s := b.status(j.ID, transports.JobDone, 1)
	if s.Queue != name || s.Reason != "" || s.Result == nil || fmt.Sprint(*s.Result) != fmt.Sprint(want) {
		b.Fatalf("status %+v with the result %+v, expected %+v", s, s.Result, want)
	}
	b.depth(name, 0, 0)
	b.nothing(w)
	if _, err := b.q.Status(b.Context(), "nobody-"+b.run); !errors.Is(err, transports.ErrNoJob) || errors.Is(err, transports.ErrQueue) {
		b.Fatalf("the status of an unknown job: %v", err)
	}
}

func jobOrder(b *queueBench) {
	name := b.name("billing")
	jobs := b.put(name, 50)
	w := b.work(b.q, 1, name)
	for _, j := range jobs {
		d := b.next(w)
		b.same(d.Job, j)
		b.done(w, d)
	}
}

func jobSlots(b *queueBench) {
	names := []transports.QueueName{b.name("one"), b.name("two"), b.name("three")}
	w := b.work(b.q, 2, names...)
	b.nothing(w) // so that it waits when the jobs come
	want := map[string]bool{}
	for range 3 {
		for _, n := range names {
			want[b.put(n, 1)[0].ID] = true
		}
	}
	one, two := b.next(w), b.next(w)
	b.nothing(w)
	b.done(w, two)
	delete(want, two.ID)
	two = b.next(w)
	b.nothing(w)
	// Another one can have all but those two: nothing else is taken.
	other := b.work(b.open(), len(want), names...)
	for range len(want) - 2 {
		d := b.next(other)
		if d.ID == one.ID || d.ID == two.ID || !want[d.ID] {
			b.Fatalf("job %s was delivered to both", d.ID)
		}
		b.done(other, d)
		delete(want, d.ID)
	}
	b.done(w, two)
	if err := w.Settle(b.Context(), two, transports.Outcome{State: transports.JobQueued}); err == nil {
		b.Fatal("an attempt was settled twice")
	}
}

func jobsShared(b *queueBench) {
	name := b.name("billing")
	jobs := b.put(name, 20)
	held := map[string]bool{}
	for range 2 {
		w := b.work(b.open(), 10, name)
		for range 10 {
			held[b.next(w).ID] = true
		}
	}
	if len(held) != len(jobs) {
		b.Fatalf("%d jobs were delivered, expected each of %d to one worker", len(held), len(jobs))
	}
}

func jobsApart(b *queueBench) {
	one, two := b.name("billing"), b.name("orders")
	// The same characters, cut elsewhere.
	three, four := transports.QueueName{Service: one.Service, Endpoint: "GET /x y"}, transports.QueueName{Service: one.Service + " GET", Endpoint: "/x y"}
	all := []transports.QueueName{one, two, three, four}
	for i, n := range all {
		b.put(n, i+1)
	}
	for i, n := range all {
		b.depth(n, i+1, 0)
		w := b.work(b.q, 10, n)
		for range i + 1 {
			d := b.next(w)
			if d.Queue != n {
				b.Fatalf("a job of %s was in %s", d.Queue, n)
			}
			b.done(w, d)
		}
		b.nothing(w)
	}
	depths, err := b.q.Queues(b.Context())
	b.need(err, "queues")
	if !slices.IsSortedFunc(depths, func(x, y transports.QueueDepth) int {
		return strings.Compare(x.Service+"\x00"+x.Endpoint, y.Service+"\x00"+y.Endpoint)
	}) {
		b.Fatalf("queues are not sorted: %v", depths)
	}
}

func jobRetry(b *queueBench) {
	name := b.name("billing")
	j := b.put(name, 1)[0]
	w := b.work(b.q, 1, name)
	d := b.next(w)
	b.settle(w, d, transports.Outcome{State: transports.JobQueued, Reason: "no instance"})
	if s := b.status(j.ID, transports.JobQueued, 1); s.Reason != "no instance" {
		b.Fatalf("status %+v", s)
	}
	b.depth(name, 1, 0)
	again := b.next(w)
	b.same(again.Job, j)
	if again.Attempt != 2 {
		b.Fatalf("attempt %d, expected 2", again.Attempt)
	}
	b.status(j.ID, transports.JobRunning, 2)
	b.done(w, again)
	if s := b.status(j.ID, transports.JobDone, 2); s.Reason != "" {
		b.Fatalf("status %+v", s)
	}
}

func jobDead(b *queueBench) {
	name := b.name("billing")
	jobs := b.put(name, 2)
	w := b.work(b.q, 1, name)
	b.settle(w, b.next(w), transports.Outcome{State: transports.JobDead, Reason: noUse})
	for i := range queueAttempts {
		d := b.next(w)
		if d.Attempt != i+1 {
			b.Fatalf("attempt %d, expected %d", d.Attempt, i+1)
		}
		b.settle(w, d, transports.Outcome{State: transports.JobQueued, Reason: "failed " + strconv.Itoa(i+1)})
	}
	b.nothing(w)
	b.depth(name, 0, 2)
	dead := b.dead(name, 2)
	for i, want := range []struct {
		reason   string
		attempts int
	}{{noUse, 1}, {"failed " + strconv.Itoa(queueAttempts), queueAttempts}} {
		b.same(dead[i].Job, jobs[i])
		age := time.Since(dead[i].Died)
		if dead[i].Reason != want.reason || dead[i].Attempts != want.attempts || age < -patience || age > patience {
			b.Fatalf("dead job %+v, expected %+v", dead[i], want)
		}
		if s := b.status(jobs[i].ID, transports.JobDead, want.attempts); s.Reason != want.reason {
			b.Fatalf("status %+v, expected %+v", s, want)
		}
	}
}

func jobRequeued(b *queueBench) {
	name := b.name("billing")
	jobs := b.put(name, 12)
	w := b.work(b.q, 1, name)
	for range jobs {
		b.settle(w, b.next(w), transports.Outcome{State: transports.JobDead, Reason: noUse})
	}
	for range 2 { // looking changes nothing
		for i, d := range b.dead(name, len(jobs)) {
			b.same(d.Job, jobs[i])
		}
		b.depth(name, 0, len(jobs))
	}
	if some, err := b.q.Dead(b.Context(), name, 3); err != nil || len(some) != 3 || some[0].ID != jobs[0].ID {
		b.Fatalf("dead jobs up to 3: %v, %v", some, err)
	}
	b.need(b.q.Requeue(b.Context(), name, jobs[10].ID), "requeue")
	b.status(jobs[10].ID, transports.JobQueued, 0)
	b.depth(name, 1, len(jobs)-1)
	for _, id := range []string{jobs[10].ID, "nobody"} {
		if err := b.q.Requeue(b.Context(), name, id); !errors.Is(err, transports.ErrNoJob) {
			b.Fatalf("requeuing %s, which is not dead: %v", id, err)
		}
	}
	d := b.next(w)
	b.same(d.Job, jobs[10])
	if d.Attempt != 1 {
		b.Fatalf("attempt %d, expected 1", d.Attempt)
	}
	b.done(w, d)
	for _, want := range []int{len(jobs) - 1, 0} {
		if n, err := b.q.Purge(b.Context(), name); err != nil || n != want {
			b.Fatalf("purged %d, %v, expected %d", n, err, want)
		}
	}
	b.dead(name, 0)
	b.depth(name, 0, 0)
}

func jobPoison(b *queueBench) {
	name := b.name("billing")
	w := b.work(b.q, 1, name)
	b.put(name, 1)
	b.done(w, b.next(w))
	raw := []byte("this is no job\x00\xff")
	b.transport.Poison(b.T, name, raw)
	j := b.put(name, 1)[0]
	d := b.next(w)
	b.same(d.Job, j)
	b.done(w, d)
	dead := b.dead(name, 1)
	if dead[0].Job == nil || !bytes.Equal(dead[0].Body, raw) || dead[0].Queue != name || dead[0].Reason == "" || dead[0].Attempts != 0 {
		b.Fatalf("dead job %+v", dead[0])
	}
	if err := b.q.Requeue(b.Context(), name, dead[0].ID); !errors.Is(err, transports.ErrNoJob) {
		b.Fatalf("requeuing what is no job: %v", err)
	}
	b.depth(name, 0, 1)
}

// held is how many jobs a worker has that goes.
const held = 100

// again expects that all jobs are delivered again that a worker has left, after a first attempt, and does them.
func (b *queueBench) again(name transports.QueueName, left map[string]bool, since time.Time) {
	b.Helper()
	w := b.work(b.open(), held, name)
	for range held {
		d := b.next(w)
		if !left[d.ID] || d.Attempt != 2 {
			b.Fatalf("job %s with attempt %d, expected attempt 2 at each of what was left", d.ID, d.Attempt)
		}
		delete(left, d.ID)
		b.done(w, d)
	}
	if took := time.Since(since); took > b.transport.Redelivery {
		b.Fatalf("it took %v, expected %v at most", took, b.transport.Redelivery)
	}
	b.depth(name, 0, 0)
}

func (b *queueBench) holding(name transports.QueueName) (transports.Worker, map[string]bool) {
	b.Helper()
	b.put(name, held)
	w := b.work(b.open(), held+1, name)
	ids := map[string]bool{}
	for range held {
		ids[b.next(w).ID] = true
	}
	return w, ids
}

func jobsGivenBack(b *queueBench) {
	name := b.name("billing")
	w, ids := b.holding(name)
	b.need(w.Close(), "close")
	b.again(name, ids, time.Now())
}

func jobsLost(b *queueBench) {
	name := b.name("billing")
	w, ids := b.holding(name)
	since := time.Now()
	failed := make(chan error, 1)
	go func() {
		_, err := w.Next(b.Context())
		failed <- err
	}()
	// It may be cut before it has begun to wait, and then it has made a new connection.
	for lost := false; !lost; {
		b.lose()
		select {
		case err := <-failed:
			if !errors.Is(err, transports.ErrQueue) {
				b.Fatalf("the worker's error does not tell of the broker: %v", err)
			}
			lost = true
		case <-time.After(QueueLease / 10):
		}
		if time.Since(since) > patience {
			b.Fatal("the worker does not see that its connection is lost")
		}
	}
	if _, err := w.Next(b.Context()); err == nil {
		b.Fatal("a worker that was lost goes on")
	}
	b.again(name, ids, since)
}

// lose ends all connections, and goes on with a new one.
func (b *queueBench) lose() {
	b.Helper()
	b.transport.Lose(b.T)
	b.q = b.open()
}

// abandon leaves a worker, as the end of its process would.
func (b *queueBench) abandon(w transports.Worker) {
	b.Helper()
	if b.transport.Lose != nil {
		b.lose()
		return
	}
	b.need(w.Close(), "close")
}

func jobCrashes(b *queueBench) {
	name := b.name("billing")
	j := b.put(name, 1)[0]
	for i := range queueAttempts {
		w := b.work(b.open(), 1, name)
		if d := b.next(w); d.Attempt != i+1 {
			b.Fatalf("attempt %d, expected %d", d.Attempt, i+1)
		}
		b.abandon(w)
	}
	next := b.put(name, 1)[0]
	w := b.work(b.q, 1, name)
	d := b.next(w)
	b.same(d.Job, next)
	b.done(w, d)
	go func() { _, _ = w.Next(b.Context()) }() // until the queue is closed: some worker has to find it
	dead := b.dead(name, 1)[0]
	b.same(dead.Job, j)
	if want := strconv.Itoa(queueAttempts) + " attempts began and none was finished"; !strings.HasPrefix(dead.Reason, want) || dead.Attempts != queueAttempts {
		b.Fatalf("dead after %d attempts: %s", dead.Attempts, dead.Reason)
	}
	b.status(j.ID, transports.JobDead, queueAttempts)
	b.depth(name, 0, 1)
}

func jobLargest(b *queueBench) {
	name := b.name("billing")
	j := b.job(name)
	j.Body, j.Request = make([]byte, spec.MaxJobBody), make([]byte, spec.MaxMetadata)
	_, _ = rand.Read(j.Body)
	b.need(b.q.Put(b.Context(), j, queueToken), "put")
	w := b.work(b.q, 1, name)
	b.settle(w, b.next(w), transports.Outcome{State: transports.JobQueued})
	d := b.next(w)
	b.same(d.Job, j)
	b.settle(w, d, transports.Outcome{State: transports.JobDead})
	b.same(b.dead(name, 1)[0].Job, j)
	b.need(b.q.Requeue(b.Context(), name, j.ID), "requeue")
	d = b.next(w)
	b.same(d.Job, j)
	b.settle(w, d, transports.Outcome{State: transports.JobDone, Result: &transports.JobResult{Status: 200, Body: make([]byte, transports.MaxJobResult)}})
	if s := b.status(j.ID, transports.JobDone, 1); len(s.Result.Body) != transports.MaxJobResult || s.Result.Cut {
		b.Fatalf("a result of %d bytes, cut: %v", len(s.Result.Body), s.Result.Cut)
	}
	j.Body = append(j.Body, 0)
	if err := b.q.Put(b.Context(), j); err == nil {
		b.Fatal("a job was put that is too large")
	}
}

func jobContexts(b *queueBench) {
	name := b.name("billing")
	b.put(name, 1)
	w := b.work(b.q, 1, name)
	b.done(w, b.next(w))
	ended, cancel := context.WithCancel(b.Context())
	cancel()
	jobs := b.put(name, 1)
	if _, err := w.Next(ended); !errors.Is(err, context.Canceled) {
		b.Fatalf("next with an ended context: %v", err)
	}
	d := b.next(w) // the worker lives on
	b.same(d.Job, jobs[0])
	_, status := b.q.Status(ended, jobs[0].ID)
	_, work := b.q.Work(ended, []transports.Source{{QueueName: name, Lease: QueueLease}}, 1)
	_, queues := b.q.Queues(ended)
	for doing, err := range map[string]error{
		"put": b.q.Put(ended, b.job(name)), "settle": w.Settle(ended, d, transports.Outcome{State: transports.JobDone}),
		"status": status, "work": work, "queues": queues,
	} {
		if !errors.Is(err, context.Canceled) {
			b.Fatalf("%s with an ended context: %v", doing, err)
		}
	}
	waits, cancel := context.WithCancel(b.Context())
	defer time.AfterFunc(QueueLease/10, cancel).Stop()
	began := time.Now()
	other := b.work(b.q, 1, b.name("nobody"))
	if _, err := other.Next(waits); !errors.Is(err, context.Canceled) || time.Since(began) > QueueLease {
		b.Fatalf("next returned after %v: %v", time.Since(began), err)
	}
}

func jobsClosed(b *queueBench) {
	name := b.name("billing")
	ended := make(chan error, 2)
	one, two := b.work(b.q, 1, name), b.work(b.q, 1, name)
	for _, w := range []transports.Worker{one, two} {
		go func() {
			_, err := w.Next(b.Context())
			ended <- err
		}()
	}
	await := func() {
		b.Helper()
		select {
		case err := <-ended:
			if err == nil || errors.Is(err, context.Canceled) {
				b.Fatalf("next has ended with %v", err)
			}
		case <-time.After(patience):
			b.Fatal("closing does not end what waits")
		}
	}
	b.need(one.Close(), "close")
	await()
	b.need(one.Close(), "close")
	b.need(b.q.Close(), "close")
	await()
	if err := b.q.Put(b.Context(), b.job(name)); !errors.Is(err, transports.ErrQueue) {
		b.Fatalf("put after close: %v", err)
	}
}

func jobsRestart(b *queueBench) {
	const jobs = 500
	name := b.name("billing")
	running := b.put(name, 1)[0]
	holder := b.work(b.open(), 1, name)
	b.same(b.next(holder).Job, running)
	<-time.After(b.transport.Settling)
	all := make(chan *transports.Job, jobs)
	for range jobs {
		all <- b.job(name)
	}
	close(all)
	confirmed, some := make(chan string, jobs), make(chan struct{})
	var wg sync.WaitGroup
	var once sync.Once
	for range 4 {
		wg.Go(func() {
			for j := range all {
				if err := b.putSometime(j); err != nil {
					b.Errorf("put: %v", err)
					return
				}
				if confirmed <- j.ID; len(confirmed) >= jobs/5 {
					once.Do(func() { close(some) })
				}
			}
		})
	}
	select {
	case <-some:
	case <-time.After(patience):
		b.Fatal("jobs are not put")
	}
	b.transport.Restart(b.T)
	wg.Wait()
	close(confirmed)
	// What was not confirmed may be there all the same.
	ledger := map[string]bool{running.ID: true}
	for id := range confirmed {
		ledger[id] = true
	}
	if len(ledger) != jobs+1 {
		b.Fatalf("%d jobs were put, expected %d", len(ledger)-1, jobs)
	}
	missing := maps.Clone(ledger)
	w := b.work(b.open(), 1, name)
	for len(missing) > 0 {
		d := b.next(w)
		delete(missing, d.ID)
		b.done(w, d)
	}
	for id := range ledger {
		if s, err := b.q.Status(b.Context(), id); err != nil || s.State != transports.JobDone {
			b.Fatalf("status of %s: %+v, %v", id, s, err)
		}
	}
}

// putSometime puts a job, for as long as it takes until the broker is there.
func (b *queueBench) putSometime(j *transports.Job) error {
	for end := time.Now().Add(patience); ; {
		err := b.q.Put(b.Context(), j, queueToken)
		if err == nil || !errors.Is(err, transports.ErrQueue) || time.Now().After(end) {
			return err
		}
	}
}
