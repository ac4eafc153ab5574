package rabbitmq

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"sync"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/stella-ops/router/transports"
)

// queues are the job queues of one server. They have connections of their own: a job may have some MiB, for which frames of
// sessions must not wait. One writes and the other reads, since the server stops reading from the former when it is short of
// memory or disk space.
type queues struct {
	target        target
	writes, reads line
	log           *statusLog
	ctx           context.Context //nolint:containedctx // ends with Close, for what goes on between calls
	cancel        context.CancelFunc
	wg            sync.WaitGroup // its goroutines
	looking       sync.Mutex     // at dead jobs: what one has taken out to look at, another does not find

	mu      sync.Mutex
	closed  bool
	workers map[*worker]struct{}
}

// Times.
const (
	// queueTimeout bounds what a caller asks for whose context has no deadline.
	queueTimeout = 5 * time.Second
	// leaveFor is how long a worker that is closed tries to give back what it has, so that others know of it at once. The end
	// of its channel does so in any case.
	leaveFor = time.Second
	// retryAfter is when a worker tries again what the server does not take at the moment.
	retryAfter = 250 * time.Millisecond
)

func openQueue(u *url.URL) (transports.Queue, error) {
	t, err := parse(u)
	if err != nil {
		return nil, err
	}
	q := &queues{target: t, workers: map[*worker]struct{}{}}
	q.ctx, q.cancel = context.WithCancel(context.Background())
	q.writes = line{q: q, name: "queues' writes", writes: true}
	q.reads = line{q: q, name: "queues' reads"}
	q.log = newStatusLog(q)
	return q, nil
}

// spawn runs a goroutine that Close waits for. It is false when the queues are closed.
func (q *queues) spawn(f func()) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		return false
	}
	q.wg.Go(f)
	return true
}

// call runs something that takes a while, and returns by the context's end or in queueTimeout: the library may take longer.
func call[T any](ctx context.Context, q *queues, doing string, f func(context.Context) (T, error)) (T, error) {
	cancel := context.CancelFunc(func() {})
	if _, ok := ctx.Deadline(); !ok {
		ctx, cancel = context.WithTimeout(ctx, queueTimeout)
	}
	defer cancel()
	v, err := tryCall(ctx, q, f)
	if err != nil && !errors.Is(err, transports.ErrNoJob) {
		err = fmt.Errorf("rabbitmq: %s: %s: %w: %w", q.target.url(), doing, transports.ErrQueue, err)
	}
	return v, err
}

func tryCall[T any](ctx context.Context, q *queues, f func(context.Context) (T, error)) (T, error) {
	var none T
	if ctx.Err() != nil {
		return none, context.Cause(ctx)
	}
	type answer struct {
		v   T
		err error
	}
	answered := make(chan answer, 1)
	if !q.spawn(func() {
		v, err := f(ctx)
		answered <- answer{v, err}
	}) {
		return none, net.ErrClosed
	}
	select {
	case a := <-answered:
		return a.v, a.err
	case <-ctx.Done():
		return none, context.Cause(ctx)
	case <-q.ctx.Done():
		return none, net.ErrClosed
	}
}

// isMissing reports whether the server has refused something because there is no such queue or exchange.
func isMissing(err error) bool {
	var e *amqp.Error
	return errors.As(err, &e) && e.Code == amqp.NotFound
}

// job is a job as it is published to its queue. before is how many attempts it has had which the queue does not count.
func publishing(id string, raw []byte, before int) amqp.Publishing {
	p := amqp.Publishing{Type: kindJob, MessageId: id[:min(len(id), maxShort)], Body: raw}
	if before > 0 {
		p.Headers = amqp.Table{headerAttempts: int64(before)}
	}
	return p
}

// record writes a status to the log.
func (q *queues) record(ctx context.Context, s transports.JobStatus) error {
	s.Changed = time.Now()
	return q.keep(ctx, s.Queue, q.target.status(), amqp.Publishing{Type: kindStatus, Body: encodeStatus(&s)})
}

// Put implements [transports.Queue]. A job that is put twice is there twice. Its status is there first, so that no worker's
// comes before it.
func (q *queues) Put(ctx context.Context, j *transports.Job, tokens ...string) error {
	raw, err := j.Encode(tokens...)
	if err != nil {
		return err
	}
	if _, err := transports.ParseJob(raw); err != nil {
		return err // nobody could take it
	}
	_, err = call(ctx, q, "putting a job", func(ctx context.Context) (struct{}, error) {
		return struct{}{}, q.enqueue(ctx, j, raw)
	})
	return err
}

// enqueue puts a job into its queue, as new.
func (q *queues) enqueue(ctx context.Context, j *transports.Job, raw []byte) error {
	if err := q.record(ctx, transports.JobStatus{ID: j.ID, Queue: j.Queue, Owner: j.Owner, State: transports.JobQueued}); err != nil {
		return err
	}
	return q.keep(ctx, j.Queue, q.target.queue(j.Queue), publishing(j.ID, raw, 0))
}

// Status implements [transports.Queue].
func (q *queues) Status(ctx context.Context, id string) (*transports.JobStatus, error) {
	return call(ctx, q, "asking for a job", func(ctx context.Context) (*transports.JobStatus, error) {
		if err := q.log.sync(ctx); err != nil {
			return nil, err
		}
		s := q.log.status(id)
		if s == nil {
			return nil, fmt.Errorf("rabbitmq: %s: job %.100q: %w", q.target.url(), id, transports.ErrNoJob)
		}
		return s, nil
	})
}

// Queues implements [transports.Queue]. The names are those in the log. How many jobs are running the server does not tell:
// that is the log's, too, as far as it goes back.
func (q *queues) Queues(ctx context.Context) ([]transports.QueueDepth, error) {
	return call(ctx, q, "listing queues", func(ctx context.Context) ([]transports.QueueDepth, error) {
		if err := q.log.sync(ctx); err != nil {
			return nil, err
		}
		v, err := q.reads.get(ctx)
		if err != nil {
			return nil, err
		}
		tallies := q.log.tallies()
		all := make([]transports.QueueDepth, 0, len(tallies))
		for name, n := range tallies {
			ready, err1 := v.depth(q.target.queue(name))
			dead, err2 := v.depth(q.target.graves(name))
			if err := errors.Join(err1, err2, ctx.Err()); err != nil {
				return nil, err
			}
			// A job whose worker was lost is still said to be running, and waits already; one that was never confirmed is said
			// to wait, and may not be there.
			waiting := max(ready, min(n.open, ready+n.running))
			all = append(all, transports.QueueDepth{QueueName: name, Waiting: waiting, Dead: dead})
		}
		slices.SortFunc(all, func(a, b transports.QueueDepth) int {
			return cmp.Or(cmp.Compare(a.Service, b.Service), cmp.Compare(a.Endpoint, b.Endpoint))
		})
		return all, nil
	})
}

// depth is how many messages of a queue wait to be delivered. One that is not there has none.
func (v *live) depth(name string) (n int, err error) {
	err = v.channel("measuring a queue", func(ch *amqp.Channel) error {
		const durable, autoDelete, exclusive, noWait = true, false, false, false
		return v.within("measuring a queue", func() error {
			state, err := ch.QueueDeclarePassive(name, durable, autoDelete, exclusive, noWait, nil)
			n = state.Messages
			return err //nolint:wrapcheck // who calls does
		})
	})
	if isMissing(err) {
		return 0, nil
	}
	return n, err
}

// Close implements [transports.Queue].
func (q *queues) Close() error {
	q.mu.Lock()
	workers := make([]*worker, 0, len(q.workers))
	for w := range q.workers {
		workers = append(workers, w)
	}
	q.mu.Unlock()
	var wg sync.WaitGroup
	for _, w := range workers {
		wg.Go(func() { _ = w.Close() }) // what it could not give back, the end of the connection does
	}
	wg.Wait()
	q.mu.Lock()
	q.closed = true
	q.mu.Unlock()
	q.cancel()
	for _, l := range []*line{&q.writes, &q.reads} {
		wg.Go(l.end)
	}
	wg.Wait()
	q.wg.Wait()
	return nil
}
