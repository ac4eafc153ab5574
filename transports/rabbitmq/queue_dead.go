package rabbitmq

import (
	"context"
	"fmt"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/stella-ops/router/transports"
)

// The headers of messages.
const (
	headerAttempts = "attempts" // of a dead job: those that it had. Of one that waits: those that its queue does not count
	headerReason   = "reason"
	headerDied     = "died"             // in ms
	headerCount    = "x-delivery-count" // the server's: how often a quorum queue has delivered a job before
)

// bury puts a job, or what is none, among the dead.
func (q *queues) bury(ctx context.Context, n transports.QueueName, kind, id string, raw []byte, reason string, attempts int) error {
	return q.keep(ctx, n, q.target.graves(n), amqp.Publishing{
		Type: kind, MessageId: id[:min(len(id), maxShort)], Body: raw,
		Headers: amqp.Table{headerReason: reason[:min(len(reason), maxReason)], headerAttempts: int64(attempts), headerDied: time.Now().UnixMilli()},
	})
}

// parseDead reads a dead message. What is no job gets one's form: an id, and what was in it as the body.
func parseDead(n transports.QueueName, d *amqp.Delivery) *transports.DeadJob {
	dead := &transports.DeadJob{Attempts: number(d.Headers[headerAttempts])}
	dead.Reason, _ = d.Headers[headerReason].(string)
	if ms, ok := d.Headers[headerDied].(int64); ok {
		dead.Died = time.UnixMilli(ms).UTC()
	}
	if d.Type == kindJob { // which the server has given up
		why, _ := d.Headers["x-first-death-reason"].(string)
		dead.Reason = fmt.Sprintf("the server gave it up (%.100s)", why)
		deaths, _ := d.Headers["x-death"].([]any)
		if len(deaths) > 0 {
			first, _ := deaths[0].(amqp.Table)
			dead.Died, _ = first["time"].(time.Time)
			dead.Died = dead.Died.UTC()
		}
	}
	j, err := transports.ParseJob(d.Body)
	if err != nil || d.Type == kindPoison {
		j = &transports.Job{ID: d.MessageId, Queue: n, Body: d.Body}
	} else if d.Type == kindJob {
		dead.Attempts = j.Attempts
	}
	dead.Job = j
	return dead
}

// look takes dead messages out, the oldest first, until f is false. They go back when it is over, but for one that f has
// acknowledged.
func (q *queues) look(ctx context.Context, n transports.QueueName, f func(*amqp.Delivery) (more bool, err error)) error {
	q.looking.Lock()
	defer q.looking.Unlock()
	v, err := q.reads.get(ctx)
	if err != nil {
		return err
	}
	err = v.channel("reading dead jobs", func(ch *amqp.Channel) error {
		for {
			var d amqp.Delivery
			var ok bool
			err := v.within("reading dead jobs", func() (err error) {
				const autoAck = false
				d, ok, err = ch.Get(q.target.graves(n), autoAck)
				return err //nolint:wrapcheck // who calls does
			})
			if err != nil || !ok {
				return err
			}
			if more, err := f(&d); !more || err != nil {
				return err
			}
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
		}
	})
	if isMissing(err) {
		return nil
	}
	return err
}

// Dead implements [transports.Queue]. Of a message that is no job, the ID is the message's, and the body what was in it. Who
// looks at the same time in another process may find fewer.
func (q *queues) Dead(ctx context.Context, name transports.QueueName, limit int) ([]*transports.DeadJob, error) {
	return call(ctx, q, "reading dead jobs", func(ctx context.Context) ([]*transports.DeadJob, error) {
		var all []*transports.DeadJob
		if limit < 1 {
			return nil, nil
		}
		err := q.look(ctx, name, func(d *amqp.Delivery) (bool, error) {
			all = append(all, parseDead(name, d))
			return len(all) < limit, nil
		})
		return all, err
	})
}

// Requeue implements [transports.Queue].
func (q *queues) Requeue(ctx context.Context, name transports.QueueName, id string) error {
	_, err := call(ctx, q, "requeuing a job", func(ctx context.Context) (struct{}, error) {
		found := false
		err := q.look(ctx, name, func(d *amqp.Delivery) (bool, error) {
			dead := parseDead(name, d)
			if dead.ID != id {
				return true, nil
			}
			if dead.Raw() == nil {
				return false, fmt.Errorf("rabbitmq: %s: %q among the dead of %s cannot be requeued: %w: nobody could read it",
					q.target.url(), id, name, transports.ErrNoJob)
			}
			found = true
			if err := q.enqueue(ctx, dead.Job, dead.Raw()); err != nil {
				return false, err
			}
			return false, d.Ack(false)
		})
		if err == nil && !found {
			err = fmt.Errorf("rabbitmq: %s: %q is not among the dead jobs of %s: %w", q.target.url(), id, name, transports.ErrNoJob)
		}
		return struct{}{}, err
	})
	return err
}

// Purge implements [transports.Queue].
func (q *queues) Purge(ctx context.Context, name transports.QueueName) (int, error) {
	return call(ctx, q, "purging dead jobs", func(ctx context.Context) (n int, err error) {
		q.looking.Lock()
		defer q.looking.Unlock()
		v, err := q.reads.get(ctx)
		if err != nil {
			return 0, err
		}
		err = v.channel("purging dead jobs", func(ch *amqp.Channel) error {
			return v.within("purging dead jobs", func() (err error) {
				n, err = ch.QueuePurge(q.target.graves(name), false)
				return err //nolint:wrapcheck // call wraps it
			})
		})
		if isMissing(err) {
			return 0, nil
		}
		return n, err
	})
}
