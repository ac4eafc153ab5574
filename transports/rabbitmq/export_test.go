package rabbitmq

import (
	"sync"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/stella-ops/router/transports"
)

// What is late comes sooner, so that specs about it take less time.
func init() { renewEvery, ackAfter = 500*time.Millisecond, 500*time.Millisecond }

// Prefetch is how many messages the server sends to a link before that confirms the first.
const Prefetch = prefetch

// Queue is the name of the queue that a link reads.
func Queue(l transports.Link) string {
	if l, ok := l.(*link); ok {
		if l.gateway != "" {
			return l.b.target.toService(l.nonce)
		}
		return l.b.target.toGateway(l.nonce)
	}
	return ""
}

// Nonce is a link's.
func Nonce(l transports.Link) string {
	if l, ok := l.(*link); ok {
		return l.nonce
	}
	return ""
}

// Inbox is the name of a listener's inbox, as it is announced now.
func Inbox(l transports.Listener) string {
	if l, ok := l.(*listener); ok {
		l.mu.Lock()
		defer l.mu.Unlock()
		return l.target.inbox(l.id)
	}
	return ""
}

// Interject publishes a message of somebody else's on a link's connection: to the queue that the link writes to.
func Interject(l transports.Link, p amqp.Publishing) error {
	k, ok := l.(*link)
	if !ok {
		return amqp.ErrClosed
	}
	ch, err := k.b.pub.Channel()
	if err != nil {
		return err
	}
	defer func() { _ = ch.Close() }()
	return ch.Publish(k.exchange, k.key, false, false, p)
}

// Drop deletes the queue that a link reads, as a user with the right to do so does.
func Drop(l transports.Link) error {
	k, ok := l.(*link)
	if !ok {
		return amqp.ErrClosed
	}
	return drop(k.b, Queue(l))
}

// DropInbox deletes the inbox of a listener.
func DropInbox(l transports.Listener, of transports.Link) error {
	k, ok := of.(*link)
	if !ok {
		return amqp.ErrClosed
	}
	return drop(k.b, Inbox(l))
}

func drop(b *broker, name string) error {
	ch, err := b.con.Channel()
	if err != nil {
		return err
	}
	defer func() { _ = ch.Close() }()
	_, err = ch.QueueDelete(name, false, false, false)
	return err
}

// Abandon leaves a link as the end of its process would: its queue is gone, and nothing is said.
func Abandon(l transports.Link) {
	if k, ok := l.(*link); ok {
		_ = k.in.channel.Close()
	}
}

// Hold has a link take nothing from the library until release is called.
func Hold(l transports.Link) (release func()) {
	k, ok := l.(*link)
	if !ok {
		return func() {}
	}
	k.mu.Lock()
	return sync.OnceFunc(k.mu.Unlock)
}

// SetStall sets how long a write waits without progress.
func SetStall(l transports.Link, d time.Duration) {
	if l, ok := l.(*link); ok {
		l.stall = d
	}
}

// What tests of queues know.
const (
	DeliveryLimit  = deliveryLimit
	MaxStatusBytes = maxStatusBytes
)

// Hoard has a worker fetch a job that nobody asks for.
func Hoard(w transports.Worker) {
	k, ok := w.(*worker)
	if !ok {
		return
	}
	if _, err := k.fetchAhead(); err != nil {
		return
	}
	got := <-k.fetched
	k.fetched <- got
}

// Record is a status as the log has it.
func Record(s *transports.JobStatus) []byte { return encodeStatus(s) }

// QueueName is what a queue is called on the server.
func QueueName(prefix string, n transports.QueueName) string { return target{prefix: prefix}.queue(n) }

// Log is what a process keeps of the log.
type Log struct{ log *statusLog }

// NewLog is one that is empty.
func NewLog() Log { return Log{newStatusLog(nil)} }

// Put notes a status.
func (l Log) Put(s *transports.JobStatus) { l.log.put(s) }

// Has reports whether a job is known.
func (l Log) Has(id string) bool { return l.log.status(id) != nil }

// Bytes is how much it is.
func (l Log) Bytes() int { return l.log.bytes }
