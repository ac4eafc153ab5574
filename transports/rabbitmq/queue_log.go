package rabbitmq

import (
	"container/list"
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"sync"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/stella-ops/router/transports"
)

// Bounds of what is kept of the log in memory. The oldest is dropped first.
const (
	maxStatuses    = 200_000
	maxStatusBytes = 64 << 20
	statusOverhead = 512    // bytes that a status takes beside its texts and its body, about
	maxNames       = 10_000 // queues
)

// statusLog is what this process knows of the stream of statuses. RabbitMQ keeps no values by keys: so every change is
// written to a stream, and who is asked for statuses reads that from its beginning, and goes on. Nothing is read before
// somebody asks.
type statusLog struct {
	q *queues

	mu      sync.Mutex
	follows bool
	failed  error // why the stream cannot be read at the moment
	known   map[string]*list.Element
	order   *list.List // of *transports.JobStatus, by their last change
	bytes   int
	names   map[transports.QueueName]tally
	marks   map[string]chan struct{} // closed when the mark was read
	next    *mark
	marking bool
	marked  time.Time // when the last mark was begun
}

// tally is how many jobs of a queue are known that have not ended, and of these, how many run.
type tally struct{ open, running int }

// mark is something that a reader writes to the stream: when it has read it, it has read everything that was there before.
type mark struct {
	done chan struct{}
	err  error
}

func newStatusLog(q *queues) *statusLog {
	return &statusLog{
		q: q, known: map[string]*list.Element{}, order: list.New(), names: map[transports.QueueName]tally{}, marks: map[string]chan struct{}{},
	}
}

// sync returns when everything was read that was in the stream when it was called. Those who call it meanwhile share the
// next mark.
func (l *statusLog) sync(ctx context.Context) error {
	l.mu.Lock()
	if !l.follows {
		l.follows = l.q.spawn(l.follow)
	}
	m := l.next
	if m == nil {
		m = &mark{done: make(chan struct{})}
		l.next = m
	}
	if !l.marking {
		l.marking = l.q.spawn(l.mark)
	}
	l.mu.Unlock()
	select {
	case <-m.done:
		return m.err
	case <-ctx.Done():
		return l.late(context.Cause(ctx))
	case <-l.q.ctx.Done():
		return net.ErrClosed
	}
}

// late is an error that says why the stream could not be read in time, if that is known.
func (l *statusLog) late(err error) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.failed != nil {
		return fmt.Errorf("reading the log of statuses: %w (%w)", l.failed, err)
	}
	return fmt.Errorf("reading the log of statuses: %w", err)
}

// markEvery is the least time between two marks: whoever asks without a pause must not fill the log, of which the server
// keeps so many bytes, with marks.
const markEvery = 20 * time.Millisecond

// mark writes marks for as long as somebody waits for the next one.
func (l *statusLog) mark() {
	for {
		l.mu.Lock()
		pause := time.Until(l.marked.Add(markEvery))
		l.mu.Unlock()
		if pause > 0 {
			timer := time.NewTimer(pause)
			select {
			case <-timer.C:
			case <-l.q.ctx.Done():
				timer.Stop()
			}
		}
		l.mu.Lock()
		l.marked = time.Now()
		m := l.next
		l.next = nil
		if m == nil {
			l.marking = false
			l.mu.Unlock()
			return
		}
		id, read := randomID(), make(chan struct{})
		l.marks[id] = read
		l.mu.Unlock()
		m.err = l.write(id, read)
		l.mu.Lock()
		delete(l.marks, id)
		l.mu.Unlock()
		close(m.done)
	}
}

func (l *statusLog) write(id string, read <-chan struct{}) error {
	ctx, cancel := context.WithTimeout(l.q.ctx, queueTimeout)
	defer cancel()
	t := l.q.target
	err := l.q.publish(ctx, t.marks(), t.status(), amqp.Publishing{Type: kindMark, MessageId: id}, func() error { return l.declare(ctx) })
	if err != nil {
		return err
	}
	select {
	case <-read:
		return nil
	case <-ctx.Done():
		return l.late(context.Cause(ctx))
	}
}

// declare sees that the stream is there.
func (l *statusLog) declare(ctx context.Context) error {
	t := l.q.target
	return l.q.once(ctx, t.status(), func(ch *amqp.Channel) error { return t.declareLog(ch, t.marks()) })
}

// follow reads the stream until the queues are closed.
func (l *statusLog) follow() {
	from, pause := int64(0), minPause
	for l.q.ctx.Err() == nil {
		began := from
		err := l.read(&from)
		l.mu.Lock()
		l.failed = err
		l.mu.Unlock()
		if from != began {
			pause = minPause
		}
		timer := time.NewTimer(pause)
		select {
		case <-l.q.ctx.Done():
		case <-timer.C:
		}
		timer.Stop()
		pause = min(2*pause, maxPause)
	}
}

// read reads the stream from a certain offset on, which it moves.
func (l *statusLog) read(from *int64) error {
	q := l.q
	ctx, cancel := context.WithTimeout(q.ctx, queueTimeout)
	defer cancel()
	if err := l.declare(ctx); err != nil {
		return err
	}
	v, err := q.reads.get(ctx)
	if err != nil {
		return err
	}
	return v.channel("reading the log of statuses", func(ch *amqp.Channel) error {
		in := &queue{
			lateAck: time.NewTimer(ackAfter), channel: ch, cancelled: ch.NotifyCancel(make(chan string, 1)), closed: ch.NotifyClose(make(chan *amqp.Error, 1)),
		}
		in.lateAck.Stop()
		err := v.within("reading the log of statuses", func() (err error) {
			if err = ch.Qos(prefetch, 0, false); err != nil {
				return err //nolint:wrapcheck // who calls does
			}
			const autoAck, exclusive, noLocal, noWait = false, false, false, false
			// An offset that is not there any more means the first one that is.
			in.deliveries, err = ch.Consume(q.target.status(), "", autoAck, exclusive, noLocal, noWait, amqp.Table{"x-stream-offset": *from})
			return err //nolint:wrapcheck // the same
		})
		if err != nil {
			return err
		}
		l.mu.Lock()
		l.failed = nil
		l.mu.Unlock()
		for {
			select {
			case d, ok := <-in.deliveries:
				if !ok {
					return l.ended(in, v, from)
				}
				l.take(&d)
				in.took(&d)
				if at, ok := d.Headers["x-stream-offset"].(int64); ok {
					*from = at + 1
				}
			case <-in.lateAck.C:
				in.ack()
			case <-q.ctx.Done():
				return net.ErrClosed
			}
		}
	})
}

// ended is why the stream cannot be read any more. Another one begins anew.
func (l *statusLog) ended(in *queue, v *live, from *int64) error {
	select {
	case _, ok := <-in.cancelled:
		if ok {
			*from = 0
			l.q.forget()
			return errDeleted
		}
	default:
	}
	select {
	case e, ok := <-in.closed:
		if ok {
			return v.reason(e)
		}
	default:
	}
	return v.reason(amqp.ErrClosed)
}

// take takes a record. One that is none, or comes from where it cannot, is nobody's business here.
func (l *statusLog) take(d *amqp.Delivery) {
	t := l.q.target
	l.mu.Lock()
	defer l.mu.Unlock()
	switch d.Type {
	case kindMark:
		if read := l.marks[d.MessageId]; read != nil {
			delete(l.marks, d.MessageId)
			close(read)
		}
	case kindName:
		if n, err := parseName(d.Body); err == nil && d.Exchange == t.jobs(n.Service) {
			l.add(n, tally{})
		}
	case kindStatus:
		if s, err := parseStatus(d.Body); err == nil && d.Exchange == t.jobs(s.Queue.Service) {
			l.put(s)
		}
	}
}

// put notes a status. An attempt that begins leaves why the last one failed.
func (l *statusLog) put(s *transports.JobStatus) {
	if e := l.known[s.ID]; e != nil {
		if old, _ := e.Value.(*transports.JobStatus); s.State == transports.JobRunning && s.Reason == "" && old.Queue == s.Queue {
			s.Reason = old.Reason
		}
		l.drop(e)
	}
	l.known[s.ID] = l.order.PushBack(s)
	l.bytes += sizeOf(s)
	l.add(s.Queue, tallyOf(s))
	for e := l.order.Front(); e != nil; e = l.order.Front() {
		oldest, _ := e.Value.(*transports.JobStatus)
		if len(l.known) <= maxStatuses && l.bytes <= maxStatusBytes && !over(oldest) {
			return
		}
		l.drop(e)
	}
}

func over(s *transports.JobStatus) bool { return time.Since(s.Changed) > transports.JobRetention }

func (l *statusLog) drop(e *list.Element) {
	s, _ := l.order.Remove(e).(*transports.JobStatus)
	delete(l.known, s.ID)
	l.bytes -= sizeOf(s)
	n := tallyOf(s)
	l.add(s.Queue, tally{-n.open, -n.running})
}

func (l *statusLog) add(name transports.QueueName, n tally) {
	old, known := l.names[name]
	if !known && len(l.names) >= maxNames {
		return
	}
	l.names[name] = tally{old.open + n.open, old.running + n.running}
}

func tallyOf(s *transports.JobStatus) tally {
	switch s.State {
	case transports.JobQueued:
		return tally{1, 0}
	case transports.JobRunning:
		return tally{1, 1}
	default:
		return tally{}
	}
}

func sizeOf(s *transports.JobStatus) int {
	n := statusOverhead + len(s.ID) + len(s.Queue.Service) + len(s.Queue.Endpoint) + len(s.Owner) + len(s.Reason)
	if s.Result != nil {
		n += len(s.Result.ContentType) + len(s.Result.Body)
	}
	return n
}

// status is what is known of a job.
func (l *statusLog) status(id string) *transports.JobStatus {
	l.mu.Lock()
	defer l.mu.Unlock()
	e := l.known[id]
	if e == nil {
		return nil
	}
	s, _ := e.Value.(*transports.JobStatus)
	if over(s) {
		return nil
	}
	own := *s
	if s.Result != nil {
		result := *s.Result
		own.Result = &result
	}
	return &own
}

// tallies are the queues that are known.
func (l *statusLog) tallies() map[transports.QueueName]tally {
	l.mu.Lock()
	defer l.mu.Unlock()
	return maps.Clone(l.names)
}

// announce writes to the log that there is a queue: its dead jobs are found when nothing else is known of it any more.
func (q *queues) announce(ctx context.Context, n transports.QueueName) error {
	err := q.keep(ctx, n, q.target.status(), amqp.Publishing{Type: kindName, Body: encodeName(n)})
	if errors.Is(err, ErrBlocked) {
		return nil // whoever works tells again
	}
	return err
}
