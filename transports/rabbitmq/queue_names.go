package rabbitmq

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"math"
	"net/url"
	"strings"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/stella-ops/router/transports"
)

// What queues need on the server. Each service has an exchange of its own, so that its user can write to no other's queues,
// and cannot tell what became of another's jobs: the log's readers look by which exchange a status came.
//
//	PREFIX.jobs.SERVICE            direct exchange, durable; its keys are the names of queues
//	PREFIX.queue.SERVICE.ENDPOINT  quorum queue, the jobs that wait
//	PREFIX.dead.SERVICE.ENDPOINT   classic queue, the jobs that are dead
//	PREFIX.status                  stream, what became of jobs
//	PREFIX.marks                   direct exchange, durable; what readers of the stream put there, to know its end
const (
	argType = "x-queue-type"
	// maxShort is the longest name that AMQP has, in bytes.
	maxShort = 255
	// statusBytes bounds the log of statuses. Its readers read all of it when they begin: a few seconds.
	statusBytes = 128 << 20
	// statusSegment is what the server deletes at once of it, where it is too large or too old.
	statusSegment = 8 << 20
	// deliveryLimit is how often the server delivers a job, whatever workers do. They count by themselves, and give up long
	// before, after a hundred at most: it is for a job that kills its workers before they can, and for a defect of this package.
	deliveryLimit = 1000
)

// escaped is s as a part of a name: nothing in it is a dot.
func escaped(s string) string { return strings.ReplaceAll(url.QueryEscape(s), ".", "%2E") }

// bounded is a name that AMQP can have. '#' is in no name that was not too long.
func bounded(head, tail string) string {
	if len(head)+len(tail) <= maxShort {
		return head + tail
	}
	sum := sha256.Sum256([]byte(tail))
	return head + "#" + hex.EncodeToString(sum[:])
}

func (t target) named(kind string, n transports.QueueName) string {
	head := t.prefix + "." + kind + "."
	if service := escaped(n.Service) + "."; len(head)+len(service)+2*sha256.Size < maxShort {
		return bounded(head+service, escaped(n.Endpoint))
	}
	return bounded(head, strings.Repeat("_", maxShort)+escaped(n.Service)+"."+escaped(n.Endpoint)) // always too long
}

func (t target) queue(n transports.QueueName) string  { return t.named("queue", n) }
func (t target) graves(n transports.QueueName) string { return t.named("dead", n) }

// jobs is the exchange of a service.
func (t target) jobs(service string) string { return bounded(t.prefix+".jobs.", escaped(service)) }

// status is the stream's name, and the key by which it is bound to all exchanges.
func (t target) status() string { return t.prefix + ".status" }
func (t target) marks() string  { return t.prefix + ".marks" }

// declare sees that the queues of a name are there. Gateways and services say the same of them: who comes second must.
func (q *queues) declare(ctx context.Context, n transports.QueueName) error {
	t := q.target
	return q.once(ctx, t.queue(n), func(ch *amqp.Channel) error {
		if err := t.declareLog(ch, t.jobs(n.Service)); err != nil {
			return err
		}
		// The dead are in a classic queue, which gives back in order what was looked at, and does not count how often that
		// was: a quorum queue does neither. It is on one node of a cluster. While that is down, no job can die: those that
		// would are given back.
		if err := declareQueue(ch, t.graves(n), t.jobs(n.Service), t.graves(n), amqp.Table{argType: "classic"}); err != nil {
			return err
		}
		return declareQueue(ch, t.queue(n), t.jobs(n.Service), t.queue(n), amqp.Table{
			argType: "quorum", "x-delivery-limit": int64(deliveryLimit), "x-overflow": "reject-publish",
			"x-dead-letter-exchange": t.jobs(n.Service), "x-dead-letter-routing-key": t.graves(n), "x-dead-letter-strategy": "at-least-once",
		})
	})
}

// declareLog sees that the log of statuses is there, and that an exchange writes to it.
func (t target) declareLog(ch *amqp.Channel, exchange string) error {
	const durable, autoDelete, internal, noWait = true, false, false, false
	if err := ch.ExchangeDeclare(exchange, amqp.ExchangeDirect, durable, autoDelete, internal, noWait, nil); err != nil {
		return err //nolint:wrapcheck // who calls does
	}
	return declareQueue(ch, t.status(), exchange, t.status(), amqp.Table{
		argType: "stream", "x-max-age": "24h", "x-max-length-bytes": int64(statusBytes), "x-stream-max-segment-size-bytes": int64(statusSegment),
	})
}

func declareQueue(ch *amqp.Channel, name, exchange, key string, args amqp.Table) error {
	const durable, autoDelete, exclusive, noWait = true, false, false, false
	if _, err := ch.QueueDeclare(name, durable, autoDelete, exclusive, noWait, args); err != nil {
		return err //nolint:wrapcheck // who calls does
	}
	return ch.QueueBind(name, key, exchange, noWait, nil) //nolint:wrapcheck // the same
}

// once declares something where this process has not, since it has connected. It is done on the connection that reads: the
// server may have stopped reading from the other.
func (q *queues) once(ctx context.Context, what string, f func(*amqp.Channel) error) error {
	v, err := q.reads.get(ctx)
	if err != nil {
		return err
	}
	v.mu.Lock()
	there := v.declared[what]
	v.mu.Unlock()
	if there {
		return nil
	}
	if err := v.channel("declaring queues", f); err != nil {
		return err
	}
	v.mu.Lock()
	v.declared[what] = true
	v.mu.Unlock()
	return nil
}

// forget has everything declared again: somebody has deleted something.
func (q *queues) forget() {
	q.reads.mu.Lock()
	v := q.reads.cur
	q.reads.mu.Unlock()
	if v != nil {
		v.mu.Lock()
		clear(v.declared)
		v.mu.Unlock()
	}
}

// keep publishes a message of a queue's, and makes what is missing for that.
func (q *queues) keep(ctx context.Context, n transports.QueueName, key string, p amqp.Publishing) error {
	return q.publish(ctx, q.target.jobs(n.Service), key, p, func() error { return q.declare(ctx, n) })
}

// publish publishes a message whose way there declare has made. Where somebody has deleted that meanwhile the message is not kept,
// and is published again.
func (q *queues) publish(ctx context.Context, exchange, key string, p amqp.Publishing, declare func() error) error {
	for again := false; ; again = true {
		if err := declare(); err != nil {
			return err
		}
		v, err := q.writes.get(ctx)
		if err != nil {
			return err
		}
		err = v.publish(ctx, exchange, key, p)
		if err == nil {
			return nil
		}
		gone := isMissing(err) || errors.Is(err, errReturned)
		if gone {
			q.forget()
		}
		if again || !gone {
			return err
		}
	}
}

// number is an integer in a header, of whatever size.
func number(v any) int {
	switch n := v.(type) {
	case int8:
		return int(n)
	case uint8:
		return int(n)
	case int16:
		return int(n)
	case uint16:
		return int(n)
	case int32:
		return int(n)
	case uint32:
		return int(n)
	case int64:
		return int(min(n, math.MaxInt32))
	default:
		return 0
	}
}
