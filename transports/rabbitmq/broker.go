package rabbitmq

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"sync"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
)

// broker is what a process has of one server: its two connections, and the goroutines that look after all links. Links and
// listeners hold it, and the last one that lets go closes it. It fails as a whole, and is not used again then.
type broker struct {
	target target
	ready  chan struct{} // closed when the connections are there or err is set
	err    error
	refs   int // guarded by brokers

	pub, con *conn
	wg       sync.WaitGroup // its goroutines, and those of links

	failing sync.Once
	dead    chan struct{} // closed when cause is set
	cause   error
	done    chan struct{} // closed when nobody holds it
	wakeup  chan struct{} // owing has something

	mu     sync.Mutex
	links  map[*link]struct{}
	owing  map[*link]struct{} // links that have to tell how far they have read
	linked map[string]int     // links of this process, by gateway
}

var brokers = struct {
	sync.Mutex
	m map[target]*broker
}{m: map[target]*broker{}}

// acquire returns the broker of a target, and connects to it where the process has none.
func acquire(ctx context.Context, t target) (*broker, error) {
	brokers.Lock()
	b := brokers.m[t]
	if b == nil {
		b = &broker{
			target: t, ready: make(chan struct{}), dead: make(chan struct{}), done: make(chan struct{}), wakeup: make(chan struct{}, 1),
			links: map[*link]struct{}{}, owing: map[*link]struct{}{}, linked: map[string]int{},
		}
		brokers.m[t] = b
		go b.connectFirst() //nolint:gosec // the first caller's context is not that of the others
	}
	b.refs++
	brokers.Unlock()
	select {
	case <-b.ready:
		return b, b.err // one that failed is nobody's to release
	case <-ctx.Done():
		go func() {
			if <-b.ready; b.err == nil {
				b.release()
			}
		}()
		return nil, context.Cause(ctx)
	}
}

// retain adds a holder. Only who holds it may call this.
func (b *broker) retain() {
	brokers.Lock()
	b.refs++
	brokers.Unlock()
}

// release drops a holder; the last one closes the broker.
func (b *broker) release() {
	brokers.Lock()
	b.refs--
	last := b.refs == 0
	if last {
		b.forget()
	}
	brokers.Unlock()
	if last {
		b.close()
	}
}

// forget sees that nobody else gets the broker. brokers is locked.
func (b *broker) forget() {
	if brokers.m[b.target] == b {
		delete(brokers.m, b.target)
	}
}

// connectFirst connects, and tells all who wait for it.
func (b *broker) connectFirst() {
	if b.err = b.start(context.Background()); b.err != nil {
		brokers.Lock()
		b.forget()
		brokers.Unlock()
	}
	close(b.ready)
}

func (b *broker) start(ctx context.Context) error {
	var err error
	if b.con, err = connect(ctx, b.target, "reads"); err != nil {
		return err
	}
	if b.pub, err = connect(ctx, b.target, "writes"); err != nil {
		b.con.end()
		return err
	}
	b.wg.Go(func() { b.con.watch(b.fail) })
	b.wg.Go(func() { b.pub.watch(b.fail) })
	b.wg.Go(b.look)
	b.wg.Go(b.settle)
	return nil
}

// fail gives the connections up, for the first reason there is, and with them everything that uses them.
func (b *broker) fail(why error) {
	b.failing.Do(func() {
		b.cause = fmt.Errorf("rabbitmq: %s: %w", b.target.addr, why)
		close(b.dead)
		brokers.Lock()
		b.forget()
		brokers.Unlock()
		_, _ = b.con.raw.Close(), b.pub.raw.Close()
	})
}

// reason is why an operation failed: what became of the broker says more than the library does.
func (b *broker) reason(err error) error {
	select {
	case <-b.dead:
		return b.cause
	default:
		return err
	}
}

// within runs something that waits for the server's answers. The library does so for ever: it is the connections that end
// when there is none.
func (b *broker) within(doing string, f func() error) error {
	timer := time.AfterFunc(rpcTimeout, func() { b.fail(fmt.Errorf("%s: no answer for %v", doing, rpcTimeout)) })
	defer timer.Stop()
	if err := f(); err != nil {
		return b.reason(fmt.Errorf("%s: %w", doing, err))
	}
	return nil
}

// leave runs what says goodbye, and waits for closeTimeout at most. Where the server does not go along within that, the rest
// is left to a goroutine of the broker's, which ends no later than its connections.
func (b *broker) leave(goodbye func() error) {
	left := make(chan struct{})
	b.wg.Go(func() {
		defer close(left)
		_ = b.within("leaving", goodbye) // whoever leaves has no use for the reason why that failed
	})
	timer := time.NewTimer(closeTimeout)
	defer timer.Stop()
	select {
	case <-left:
	case <-timer.C:
	}
}

// close ends the connections and waits for all goroutines.
func (b *broker) close() {
	close(b.done)
	var wg sync.WaitGroup
	for _, c := range []*conn{b.con, b.pub} {
		wg.Go(c.end)
	}
	wg.Wait()
	b.wg.Wait()
}

// look has links look after their confirmations, and sees that the server could tell of an alarm: it does so only to who
// publishes. Calls would wait for answers, whose publishers alone know, until their deadlines.
func (b *broker) look() {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		select {
		case <-b.done:
			return
		case <-b.dead:
			return
		case <-tick.C:
			b.mu.Lock()
			links := make([]*link, 0, len(b.links))
			for l := range b.links {
				links = append(links, l)
			}
			b.mu.Unlock()
			if len(links) > 0 {
				links[0].ask()
			}
			for _, l := range links {
				if err := l.confirms.late(); err != nil {
					l.fail(fmt.Errorf("rabbitmq: %s: %w", b.target.addr, err))
				}
			}
		}
	}
}

// owe has the broker tell a link's peer how far it has read. Whoever reads must not wait for a write.
func (b *broker) owe(l *link) {
	b.mu.Lock()
	b.owing[l] = struct{}{}
	b.mu.Unlock()
	select {
	case b.wakeup <- struct{}{}:
	default: // it is about to
	}
}

// settle tells what is owed.
func (b *broker) settle() {
	for {
		select {
		case <-b.done:
			return
		case <-b.dead:
			return
		case <-b.wakeup:
		}
		for l := b.debtor(); l != nil; l = b.debtor() {
			l.grant()
		}
	}
}

// debtor takes one of the links that owe.
func (b *broker) debtor() *link {
	b.mu.Lock()
	defer b.mu.Unlock()
	for l := range b.owing {
		delete(b.owing, l)
		return l
	}
	return nil
}

// count notes links to a gateway.
func (b *broker) count(gateway string, n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.linked[gateway] += n; b.linked[gateway] <= 0 {
		delete(b.linked, gateway)
	}
}

// queue is a queue of this process's and what comes from it.
type queue struct {
	channel    *amqp.Channel
	deliveries <-chan amqp.Delivery
	cancelled  chan string
	closed     chan *amqp.Error

	// What was taken and is not acknowledged yet: messages, their bytes, and the last one's tag.
	due, dueBytes int
	tag           uint64
	lateAck       *time.Timer
}

// took notes that a message was taken. What is wrong with acknowledging it ends the channel.
func (q *queue) took(d *amqp.Delivery) {
	if q.due == 0 {
		q.lateAck.Reset(ackAfter)
	}
	q.tag = d.DeliveryTag
	q.dueBytes += len(d.Body)
	if q.due++; q.due >= ackMessages || q.dueBytes >= ackBytes {
		q.ack()
	}
}

// ack acknowledges what was taken.
func (q *queue) ack() {
	q.lateAck.Stop()
	if q.due > 0 {
		_ = q.channel.Ack(q.tag, true)
		q.due, q.dueBytes = 0, 0
	}
}

// consume makes an exclusive queue, binds it, and reads it.
func (b *broker) consume(name, exchange string, args amqp.Table, keys ...string) (q *queue, err error) {
	ch, err := b.con.Channel()
	if err != nil {
		return nil, err //nolint:wrapcheck // within wraps it
	}
	q = &queue{
		lateAck: time.NewTimer(ackAfter), channel: ch, cancelled: ch.NotifyCancel(make(chan string, 1)), closed: ch.NotifyClose(make(chan *amqp.Error, 1)),
	}
	defer func() {
		if err != nil {
			_ = ch.Close()
		}
	}()
	q.lateAck.Stop()
	if err := ch.Qos(prefetch, 0, false); err != nil {
		return nil, err //nolint:wrapcheck // the same
	}
	args["x-queue-type"] = "classic" // also where virtual hosts make another type
	args["x-overflow"] = "reject-publish"
	const durable, autoDelete, exclusive, noWait = false, true, true, false
	if _, err := ch.QueueDeclare(name, durable, autoDelete, exclusive, noWait, args); err != nil {
		return nil, err //nolint:wrapcheck // the same
	}
	for _, key := range keys {
		if err := ch.QueueBind(name, key, exchange, noWait, nil); err != nil {
			return nil, err //nolint:wrapcheck // the same
		}
	}
	const autoAck, noLocal = false, false
	q.deliveries, err = ch.Consume(name, "", autoAck, exclusive, noLocal, noWait, nil)
	return q, err //nolint:wrapcheck // the same
}

// ended is why nothing comes from the queue any more.
func (q *queue) ended(b *broker) error {
	select {
	case <-b.dead:
		return b.cause
	case e, ok := <-q.closed:
		if ok {
			return b.reason(fmt.Errorf("rabbitmq: %s: %w", b.target.addr, e))
		}
	default:
	}
	select {
	case _, ok := <-q.cancelled:
		if ok {
			return fmt.Errorf("rabbitmq: %s: %w", b.target.addr, errDeleted)
		}
	default:
	}
	return b.reason(fmt.Errorf("rabbitmq: %s: %w", b.target.addr, amqp.ErrClosed))
}

// randomID is a random number of 64 bits, as 16 digits.
func randomID() string {
	var id [8]byte
	_, _ = rand.Read(id[:]) // never fails
	return hex.EncodeToString(id[:])
}
