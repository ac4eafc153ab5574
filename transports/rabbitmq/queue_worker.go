package rabbitmq

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/stella-ops/router/transports"
)

// pollEvery is how often a worker looks into queues that it does not consume, because it has more queues than free slots.
const pollEvery = 100 * time.Millisecond

// worker takes jobs from some queues, by one channel: when that ends, the server gives what is unsettled to others.
//
// A job that the server has delivered once counts as one that was tried, so a worker must not be sent what it has no slot for.
// RabbitMQ has no bound over several consumers. So a worker gets jobs one by one, from each queue in turn, and consumes
// queues only that were empty, each for one job at most: open jobs and consumers are never more than the slots.
type worker struct {
	q       *queues
	sources []*jobSource
	slots   int
	reads   *live
	ch      *amqp.Channel
	ctx     context.Context //nolint:containedctx // ends with the worker, for what goes on between calls of Next
	cancel  context.CancelFunc
	wg      sync.WaitGroup // what ends with the channel
	fetches sync.WaitGroup
	fetched chan fetched // what fetch has found
	freed   chan struct{}
	failing sync.Once
	dead    chan struct{} // closed when err is set
	err     error
	once    sync.Once
	gone    chan struct{} // closed when Close is through

	// One fetch at a time has these.
	arrived chan arrival
	armed   int       // sources that are consumed
	turn    int       // which source is the first
	ready   []arrival // delivered, and not begun

	mu       sync.Mutex
	settling int // attempts that are not open any more, and whose slots are not free yet
	fetching bool
	stop     context.CancelFunc // ends the fetch
	open     map[*tag]struct{}
}

// jobSource is a queue that a worker takes jobs from.
type jobSource struct {
	transports.QueueName

	queue    string
	consumer string // while it is consumed
}

// arrival is what a consumer was sent, or, without a delivery, its end.
type arrival struct {
	source *jobSource
	d      *amqp.Delivery
}

// tag is an attempt's place at the server.
type tag struct {
	worker *worker
	d      *amqp.Delivery
}

type fetched struct {
	d   *transports.Delivery
	err error
}

// Work implements [transports.Queue]. The server sees a worker die: leases have no meaning.
func (q *queues) Work(ctx context.Context, sources []transports.Source, slots int) (transports.Worker, error) {
	if len(sources) == 0 || slots < 1 {
		return nil, fmt.Errorf("rabbitmq: a worker of %d queues with %d slots, expected one of each at least", len(sources), slots)
	}
	w := &worker{
		q: q, slots: slots, fetched: make(chan fetched, 1), freed: make(chan struct{}, 1), dead: make(chan struct{}), gone: make(chan struct{}),
		arrived: make(chan arrival, 2*len(sources)), open: map[*tag]struct{}{}, //nolint:mnd // a delivery and the end of each
	}
	for _, s := range sources {
		if s.Lease < time.Millisecond {
			return nil, fmt.Errorf("rabbitmq: %s has a lease of %v, expected 1ms at least", s.QueueName, s.Lease)
		}
		w.sources = append(w.sources, &jobSource{QueueName: s.QueueName, queue: q.target.queue(s.QueueName)})
	}
	w.ctx, w.cancel = context.WithCancel(context.Background())
	_, err := call(ctx, q, "beginning to work", func(ctx context.Context) (struct{}, error) {
		for _, s := range w.sources {
			if err := q.declare(ctx, s.QueueName); err != nil {
				return struct{}{}, err
			}
			if err := q.announce(ctx, s.QueueName); err != nil {
				return struct{}{}, err
			}
		}
		return struct{}{}, w.begin(ctx)
	})
	if err != nil {
		w.cancel()
		return nil, err
	}
	return w, nil
}

// begin opens the worker's channel, and has the queues close it. Nobody may wait for that any more.
func (w *worker) begin(ctx context.Context) error {
	v, err := w.q.reads.get(ctx)
	if err != nil {
		return err
	}
	w.reads = v
	err = v.within("beginning to work", func() (err error) {
		if w.ch, err = v.conn.Channel(); err == nil {
			err = w.ch.Qos(1, 0, false) // of each consumer
		}
		return err //nolint:wrapcheck // who calls does
	})
	if err != nil {
		return err
	}
	w.q.mu.Lock()
	defer w.q.mu.Unlock()
	if w.q.closed || ctx.Err() != nil {
		w.q.wg.Go(func() { _ = v.within("leaving", w.ch.Close) })
		return errors.Join(context.Cause(ctx), net.ErrClosed)
	}
	w.q.workers[w] = struct{}{}
	shut := w.ch.NotifyClose(make(chan *amqp.Error, 1))
	w.wg.Go(func() {
		why, ok := <-shut
		if !ok {
			why = amqp.ErrClosed
		}
		w.fail(v.reason(why))
	})
	return nil
}

// fail has the worker dead, for the first reason there is.
func (w *worker) fail(err error) {
	w.failing.Do(func() {
		w.err = fmt.Errorf("rabbitmq: %s: the worker has lost its connection: %w: %w", w.q.target.url(), transports.ErrQueue, err)
		if w.ctx.Err() != nil {
			w.err = w.closed()
		}
		close(w.dead)
	})
}

func (w *worker) closed() error {
	return fmt.Errorf("rabbitmq: %s: the worker is closed: %w: %w", w.q.target.url(), transports.ErrQueue, net.ErrClosed)
}

// broken is why the worker can do nothing more.
func (w *worker) broken() error {
	if w.ctx.Err() != nil {
		return w.closed()
	}
	select {
	case <-w.dead:
		return w.err
	default:
		return nil
	}
}

// Next implements [transports.Worker].
func (w *worker) Next(ctx context.Context) (*transports.Delivery, error) {
	for {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		wait, err := w.fetchAhead()
		if err != nil {
			return nil, err
		}
		if wait {
			select {
			case <-ctx.Done():
			case <-w.ctx.Done():
			case <-w.dead:
			case <-w.freed:
			}
			continue
		}
		select {
		case <-ctx.Done():
			w.mu.Lock()
			w.stop() // what nobody waits for is not kept from others
			w.mu.Unlock()
		case <-w.ctx.Done():
		case <-w.dead:
		case got := <-w.fetched:
			w.mu.Lock()
			w.fetching = false
			if got.d != nil {
				w.open[tagOf(got.d)] = struct{}{}
			}
			w.mu.Unlock()
			if got.err != nil {
				w.fail(got.err)
			} else if got.d != nil {
				return got.d, nil
			}
		}
	}
}

func tagOf(d *transports.Delivery) *tag {
	t, _ := d.Tag.(*tag)
	return t
}

// fetchAhead sees that a fetch is on its way, unless all slots are taken: then the caller has to wait.
func (w *worker) fetchAhead() (wait bool, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if err := w.broken(); err != nil {
		return false, err
	}
	if w.fetching {
		return false, nil
	}
	if len(w.open)+w.settling >= w.slots {
		return true, nil
	}
	w.fetching = true
	ctx, stop := context.WithCancel(w.ctx)
	w.stop = stop
	w.fetches.Go(func() {
		defer stop()
		w.fetched <- w.fetch(ctx)
	})
	return false, nil
}

// fetch finds a job and begins an attempt at it. It returns nothing when ctx ends.
func (w *worker) fetch(ctx context.Context) fetched {
	for {
		next, err := w.find(ctx)
		if err != nil {
			return fetched{err: err}
		}
		if ctx.Err() != nil {
			err := w.disarm()
			if next != nil {
				w.ready = append(w.ready, *next)
			}
			w.giveBack()
			return fetched{err: err}
		}
		d, err := w.attempt(ctx, next)
		if err != nil && ctx.Err() == nil {
			return fetched{err: err}
		}
		if ctx.Err() != nil && d != nil {
			w.undo(d.Job, next.d, true)
			d = nil
		}
		if d != nil {
			return fetched{d: d}
		}
	}
}

// find returns a delivery as soon as there is one. It is nil when ctx has ended.
func (w *worker) find(ctx context.Context) (*arrival, error) {
	for {
		if len(w.ready) > 0 {
			next := w.ready[0]
			w.ready = w.ready[1:]
			return &next, nil
		}
		select {
		case a := <-w.arrived:
			return w.arrive(a)
		default:
		}
		if ctx.Err() != nil {
			return nil, nil //nolint:nilnil,nilerr // nobody waits for it
		}
		w.mu.Lock()
		free := w.slots - len(w.open) - w.settling - w.armed
		w.mu.Unlock()
		rest := len(w.sources) - w.armed
		if free == 0 && rest > 0 { // keep a slot for queues that are not consumed
			if err := w.disarmOne(); err != nil {
				return nil, err
			}
			continue
		}
		next, err := w.round(ctx)
		if next != nil || err != nil {
			return next, err
		}
		if err := w.arm(free); err != nil {
			return nil, err
		}
		if next, err := w.await(ctx); next != nil || err != nil {
			return next, err
		}
	}
}

// await waits for what the server sends, or until it is time for another look.
func (w *worker) await(ctx context.Context) (*arrival, error) {
	poll := time.NewTimer(pollEvery)
	defer poll.Stop()
	if w.armed == len(w.sources) {
		poll.Stop() // the server tells
	}
	select {
	case a := <-w.arrived:
		return w.arrive(a)
	case <-poll.C:
	case <-ctx.Done():
	case <-w.dead:
		return nil, w.err
	}
	return nil, nil //nolint:nilnil // nothing came
}

// rpc runs something that the server answers.
func (w *worker) rpc(doing string, f func() error) error {
	if err := w.reads.within(doing, f); err != nil {
		return fmt.Errorf("rabbitmq: %s: %s: %w: %w", w.q.target.url(), doing, transports.ErrQueue, err)
	}
	return nil
}

// round looks into the queues that are not consumed, each time beginning with another one.
func (w *worker) round(ctx context.Context) (*arrival, error) {
	for range w.sources {
		w.turn++
		s := w.sources[w.turn%len(w.sources)]
		if s.consumer != "" || ctx.Err() != nil {
			continue
		}
		var d amqp.Delivery
		var ok bool
		err := w.rpc("taking a job", func() (err error) {
			const autoAck = false
			d, ok, err = w.ch.Get(s.queue, autoAck)
			return err //nolint:wrapcheck // rpc does
		})
		if err != nil {
			return nil, err
		}
		if ok {
			return &arrival{s, &d}, nil
		}
	}
	return nil, nil //nolint:nilnil // there is none
}

// arm has the server send one job of each queue that is not consumed, or of as many as there are slots to spare: one is kept
// for the others.
func (w *worker) arm(free int) error {
	if len(w.sources)-w.armed > free {
		free--
	}
	for i := range w.sources {
		s := w.sources[(w.turn+i)%len(w.sources)]
		if s.consumer != "" {
			continue
		}
		if free == 0 {
			return nil
		}
		free--
		var deliveries <-chan amqp.Delivery
		consumer := randomID()
		err := w.rpc("waiting for a job", func() (err error) {
			const autoAck, exclusive, noLocal, noWait = false, false, false, false
			deliveries, err = w.ch.Consume(s.queue, consumer, autoAck, exclusive, noLocal, noWait, nil)
			return err //nolint:wrapcheck // rpc does
		})
		if err != nil {
			return err
		}
		s.consumer = consumer
		w.armed++
		w.wg.Go(func() {
			for d := range deliveries {
				w.arrived <- arrival{s, &d}
			}
			w.arrived <- arrival{s, nil}
		})
	}
	return nil
}

// arrive takes what a consumer was sent, which was one job, and ends it.
func (w *worker) arrive(a arrival) (*arrival, error) {
	if a.d == nil {
		return nil, w.ended()
	}
	w.ready = append(w.ready, a)
	if err := w.drop(a.source); err != nil {
		return nil, err
	}
	next := w.ready[0]
	w.ready = w.ready[1:]
	return &next, nil
}

// drop ends a source's consumer. What it was sent meanwhile is ready.
func (w *worker) drop(s *jobSource) error {
	if err := w.rpc("waiting no longer", func() error { return w.ch.Cancel(s.consumer, false) }); err != nil {
		return err
	}
	for {
		a := <-w.arrived
		if a.d != nil {
			w.ready = append(w.ready, a)
			continue
		}
		a.source.consumer = ""
		w.armed--
		if a.source == s {
			return nil
		}
		if w.ch.IsClosed() {
			return w.ended()
		}
	}
}

// ended is why a consumer has ended which the worker has not ended.
func (w *worker) ended() error {
	if w.ch.IsClosed() {
		<-w.dead
		return w.err
	}
	return fmt.Errorf("rabbitmq: %s: %w: %w", w.q.target.url(), transports.ErrQueue, errDeleted)
}

func (w *worker) disarmOne() error {
	for _, s := range w.sources {
		if s.consumer != "" {
			return w.drop(s)
		}
	}
	return nil
}

// disarm ends all consumers.
func (w *worker) disarm() error {
	for _, s := range w.sources {
		if s.consumer != "" {
			if err := w.drop(s); err != nil {
				return err
			}
		}
	}
	return nil
}

// attempt begins an attempt at what was delivered. It returns nothing when there is none to be made.
func (w *worker) attempt(ctx context.Context, a *arrival) (*transports.Delivery, error) {
	j, poison := transports.ParseJob(a.d.Body)
	if poison == nil && j.Queue != a.source.QueueName {
		poison = fmt.Errorf("the job is one of %.200q", j.Queue)
	}
	if poison != nil {
		return nil, w.end(ctx, a.d, "burying what is no job", func(ctx context.Context) error {
			return w.q.bury(ctx, a.source.QueueName, kindPoison, randomID(), a.d.Body, poison.Error(), 0)
		})
	}
	before := number(a.d.Headers[headerAttempts]) + number(a.d.Headers[headerCount])
	status := transports.JobStatus{ID: j.ID, Queue: j.Queue, Owner: j.Owner, State: transports.JobRunning, Attempt: before + 1}
	if before >= j.Attempts {
		status.State, status.Attempt = transports.JobDead, before
		status.Reason = fmt.Sprintf("%d attempts began and none was finished: the workers were lost", before)
		return nil, w.end(ctx, a.d, "burying a job", func(ctx context.Context) error {
			if err := w.q.bury(ctx, j.Queue, kindDead, j.ID, a.d.Body, status.Reason, before); err != nil {
				return err
			}
			return w.q.record(ctx, status)
		})
	}
	err := w.insist(ctx, "beginning a job", func(ctx context.Context) error { return w.q.record(ctx, status) })
	if err != nil {
		w.undo(j, a.d, false)
		return nil, err
	}
	return &transports.Delivery{Job: j, Attempt: before + 1, Tag: &tag{worker: w, d: a.d}}, nil
}

// insist tries something again for as long as the server takes no messages, until ctx ends.
func (w *worker) insist(ctx context.Context, doing string, f func(context.Context) error) error {
	for {
		_, err := call(ctx, w.q, doing, func(ctx context.Context) (struct{}, error) { return struct{}{}, f(ctx) })
		if !errors.Is(err, ErrBlocked) {
			return err
		}
		timer := time.NewTimer(retryAfter)
		select {
		case <-timer.C:
		case <-ctx.Done():
		case <-w.dead:
		}
		timer.Stop()
		if ctx.Err() != nil || w.broken() != nil {
			return err
		}
	}
}

// end does what ends a delivery, which is given back where that fails.
func (w *worker) end(ctx context.Context, d *amqp.Delivery, doing string, f func(context.Context) error) error {
	const multiple, requeue = false, true
	if err := w.insist(ctx, doing, f); err != nil {
		_ = d.Nack(multiple, requeue) // the end of the channel does the same
		return err
	}
	if err := d.Ack(multiple); err != nil {
		return fmt.Errorf("rabbitmq: %s: %s: %w: %w", w.q.target.url(), doing, transports.ErrQueue, w.reads.reason(err))
	}
	return nil
}

// undo gives back a job that nobody has begun. The server would count it as one that was tried: so it is put into its queue
// again, at the end, with the number of attempts that it has had.
func (w *worker) undo(j *transports.Job, d *amqp.Delivery, recorded bool) {
	ctx, cancel := context.WithTimeout(context.Background(), leaveFor/2) //nolint:mnd // which leaves time for the rest
	defer cancel()
	before := number(d.Headers[headerAttempts]) + number(d.Headers[headerCount])
	err := w.broken()
	if err == nil || w.ctx.Err() != nil {
		_, err = call(ctx, w.q, "giving back a job", func(ctx context.Context) (struct{}, error) {
			if recorded {
				err := w.q.record(ctx, transports.JobStatus{ID: j.ID, Queue: j.Queue, Owner: j.Owner, State: transports.JobQueued, Attempt: before})
				if err != nil {
					return struct{}{}, err
				}
			}
			return struct{}{}, w.q.keep(ctx, j.Queue, w.q.target.queue(j.Queue), publishing(j.ID, d.Body, before))
		})
	}
	const multiple, requeue = false, true
	if err != nil {
		_ = d.Nack(multiple, requeue) // it has lost an attempt, which is better than to lose it
		return
	}
	_ = d.Ack(multiple) // or it is there twice
}

// giveBack gives back what was delivered and not begun.
func (w *worker) giveBack() {
	for _, a := range w.ready {
		j, err := transports.ParseJob(a.d.Body)
		if err != nil || j.Queue != a.source.QueueName {
			_ = a.d.Nack(false, true)
			continue
		}
		w.undo(j, a.d, false)
	}
	w.ready = nil
}

// Settle implements [transports.Worker]. To have a job tried again whose attempts are over is to have it dead.
func (w *worker) Settle(ctx context.Context, d *transports.Delivery, o transports.Outcome) error {
	t, ok := d.Tag.(*tag)
	if !ok || t.worker != w {
		return errors.New("rabbitmq: this is no attempt of the worker's")
	}
	switch o.State {
	case transports.JobQueued:
		if d.Attempt >= d.Attempts {
			o.State = transports.JobDead
		}
	case transports.JobDone, transports.JobDead:
	default:
		return fmt.Errorf("rabbitmq: an attempt ends as done, queued or dead, not %.40q", o.State)
	}
	w.mu.Lock()
	_, ok = w.open[t]
	delete(w.open, t) // and the slot is free when this is over
	w.settling++
	w.mu.Unlock()
	defer w.free()
	if err := w.broken(); err != nil {
		return err
	}
	if !ok {
		return fmt.Errorf("rabbitmq: attempt %d at job %.100q is settled already", d.Attempt, d.ID)
	}
	if _, ok := ctx.Deadline(); !ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, queueTimeout)
		defer cancel()
	}
	status := transports.JobStatus{ID: d.ID, Queue: d.Queue, Owner: d.Owner, State: o.State, Attempt: d.Attempt, Reason: o.Reason}
	if o.State == transports.JobDone {
		status.Reason, status.Result = "", o.Result
		if o.Result == nil {
			status.Result = &transports.JobResult{}
		}
	}
	settle := func(ctx context.Context) error {
		if o.State == transports.JobDead {
			if err := w.q.bury(ctx, d.Queue, kindDead, d.ID, t.d.Body, o.Reason, d.Attempt); err != nil {
				return err
			}
		}
		return w.q.record(ctx, status)
	}
	const multiple, requeue = false, true
	if o.State != transports.JobQueued {
		return w.end(ctx, t.d, "settling a job", settle)
	}
	err := w.insist(ctx, "settling a job", settle)
	return errors.Join(err, t.d.Nack(multiple, requeue))
}

// free frees a slot.
func (w *worker) free() {
	w.mu.Lock()
	w.settling--
	w.mu.Unlock()
	select {
	case w.freed <- struct{}{}:
	default:
	}
}

// Close implements [transports.Worker].
func (w *worker) Close() error {
	w.once.Do(func() {
		defer close(w.gone)
		// A server that does not go along is left by the end of the connection, which gives everything back.
		timer := time.AfterFunc(leaveFor, func() { w.reads.fail(fmt.Errorf("leaving: no answer for %v", leaveFor)) })
		defer timer.Stop()
		w.mu.Lock()
		w.cancel() // from now on no fetch begins
		w.mu.Unlock()
		w.fetches.Wait()
		select {
		case got := <-w.fetched:
			if got.d != nil {
				w.undo(got.d.Job, tagOf(got.d).d, true)
			}
		default:
		}
		w.giveBack()
		w.leave()
		_ = w.ch.Close()
		w.wg.Wait()
		w.q.mu.Lock()
		delete(w.q.workers, w)
		w.q.mu.Unlock()
	})
	<-w.gone
	return nil
}

// leave tells that jobs wait again that were begun. The server gives them to others with the end of the channel.
func (w *worker) leave() {
	ctx, cancel := context.WithTimeout(context.Background(), leaveFor/2) //nolint:mnd // which leaves time for the rest
	defer cancel()
	w.mu.Lock()
	defer w.mu.Unlock()
	var wg sync.WaitGroup
	for t := range w.open {
		j, err := transports.ParseJob(t.d.Body)
		if err != nil || w.ch.IsClosed() {
			continue // which was read once
		}
		attempt := number(t.d.Headers[headerAttempts]) + number(t.d.Headers[headerCount]) + 1
		wg.Go(func() {
			_, _ = call(ctx, w.q, "giving back a job", func(ctx context.Context) (struct{}, error) {
				return struct{}{}, w.q.record(ctx, transports.JobStatus{
					ID: j.ID, Queue: j.Queue, Owner: j.Owner, State: transports.JobQueued, Attempt: attempt,
				})
			})
		})
	}
	wg.Wait()
	clear(w.open)
}
