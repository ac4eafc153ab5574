package rabbitmq

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/stella-ops/router/spec"
	"github.com/stella-ops/router/transports"
)

// link is one end of a session: a queue that it reads, and a channel on which it publishes.
type link struct {
	b        *broker
	nonce    string
	gateway  string // dialled; for the count of links
	inbox    string // of that
	in       *queue
	pub      *amqp.Channel
	returns  chan amqp.Return
	shut     chan *amqp.Error // of pub
	exchange string           // that it writes to
	key      string           // the peer's queue
	stall    time.Duration

	once sync.Once
	done chan struct{} // closed by Close
	dead chan struct{} // closed when err is set

	seq    uint64      // of the last message that came; the pump has it
	offers chan string // of gateways, while the link looks for one

	mu     sync.Mutex
	queue  []message
	queued int           // bytes in it
	err    error         // what follows on the queue
	gone   error         // why nothing can be written, though there may be something to read
	news   chan struct{} // something has changed
	room   chan struct{} // the peer has read
	// What was read, for the peer to know: the number of the last message, and how much since it was told.
	read         uint64
	readBytes    int
	readMessages int

	max  uint32 // ReadFrame has these
	rest []byte

	box      outbox
	unread   unread
	confirms confirms
}

// What ends a link.
var (
	errReturned = errors.New("the server has returned a message: the peer's queue is gone")
	errDeleted  = errors.New("the server has cancelled the consumer: the queue was deleted")
	errGreedy   = errors.New("the peer sends more than was read")
)

// newLink makes one end of a session: its queue, and the channel on which it writes to the peer's.
func (b *broker) newLink(nonce string, service bool) (*link, error) {
	t := b.target
	name, from := t.toGateway(nonce), t.gateways()
	l := &link{
		b: b, nonce: nonce, exchange: t.services(), key: t.toService(nonce), stall: spec.WriteStall, max: spec.MaxFrameHello,
		done: make(chan struct{}), dead: make(chan struct{}), news: make(chan struct{}, 1), room: make(chan struct{}, 1),
		offers: make(chan string, maxOffers),
	}
	if service {
		name, from, l.exchange, l.key = l.key, l.exchange, from, name
	}
	err := b.within("making a queue", func() (err error) {
		if l.in, err = b.consume(name, from, amqp.Table{"x-max-length-bytes": maxQueue}, name); err != nil {
			return err
		}
		if l.pub, err = b.pub.Channel(); err == nil {
			if err = l.pub.Confirm(false); err == nil {
				return nil
			}
			_ = l.pub.Close()
		}
		_ = l.in.channel.Close()
		return err //nolint:wrapcheck // within wraps it
	})
	if err != nil {
		return nil, err
	}
	l.confirms.closed = l.pub.IsClosed
	l.returns, l.shut = l.pub.NotifyReturn(make(chan amqp.Return, 1)), l.pub.NotifyClose(make(chan *amqp.Error, 1))
	b.retain()
	b.mu.Lock()
	b.links[l] = struct{}{}
	b.mu.Unlock()
	b.wg.Go(l.pump)
	return l, nil
}

// pump takes what the library has for the link. The library waits for it, and with the library all other links: so it waits
// for nothing itself, and goes on until the library has closed what it reads.
func (l *link) pump() {
	var lastWord <-chan time.Time
	defer l.in.lateAck.Stop()
	dead := l.b.dead
	deliveries, returns, shut := l.in.deliveries, l.returns, l.shut
	for deliveries != nil || returns != nil {
		select {
		case d, ok := <-deliveries:
			if !ok {
				deliveries = nil
				l.fail(l.in.ended(l.b))
				break
			}
			l.take(&d)
			l.in.took(&d)
		case <-l.in.lateAck.C:
			l.in.ack()
		case r, ok := <-returns:
			switch {
			case !ok:
				returns = nil
			case r.RoutingKey == everyGateway:
				l.fail(ErrNoGateway)
			case strings.HasPrefix(r.RoutingKey, l.b.target.inbox("")):
				l.fail(fmt.Errorf("it has left: %w", ErrNoGateway))
			case lastWord == nil:
				l.lose(fmt.Errorf("rabbitmq: %s: %w", l.b.target.addr, errReturned))
				timer := time.NewTimer(lastWords)
				defer timer.Stop()
				lastWord = timer.C
			}
		case <-lastWord:
			l.fail(l.broken())
		case e, ok := <-shut:
			if shut = nil; ok {
				l.fail(l.b.reason(fmt.Errorf("rabbitmq: %s: %w", l.b.target.addr, e)))
			}
		case <-dead:
			dead = nil
			l.fail(l.b.cause)
		}
	}
}

// take takes a message that came.
func (l *link) take(d *amqp.Delivery) {
	m, err := parseMessage(d, l.nonce, l.seq)
	switch {
	case errors.Is(err, errForeign):
		return
	case err != nil:
		l.fail(fmt.Errorf("rabbitmq: session %s: %w", l.nonce, err))
		return
	}
	switch m.kind {
	case kindOffer:
		select {
		case l.offers <- string(m.body):
		default: // nobody looks for a gateway any more
		}
	case kindRead:
		l.unread.read(m.number)
		signal(l.room)
	case kindEnd:
		l.fail(io.EOF)
	default:
		l.seq = m.number
		l.push(m)
	}
}

func (l *link) push(m message) {
	l.mu.Lock()
	greedy := l.queued > maxUnread || len(l.queue) > maxUnreadMessages
	if l.err == nil && !greedy {
		l.queue = append(l.queue, m)
		l.queued += len(m.body)
	}
	l.mu.Unlock()
	if greedy {
		l.fail(fmt.Errorf("rabbitmq: session %s: %w", l.nonce, errGreedy))
	}
	signal(l.news)
}

// lose ends writing.
func (l *link) lose(err error) {
	l.mu.Lock()
	if l.gone == nil {
		l.gone = err
	}
	l.mu.Unlock()
	signal(l.room)
}

// fail ends the link with the first error there is. What came before can still be read.
func (l *link) fail(err error) {
	l.mu.Lock()
	if l.err == nil {
		l.err = err
		close(l.dead)
	}
	l.mu.Unlock()
	signal(l.news)
}

// signal wakes whoever waits, or will.
func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// next returns the next message.
func (l *link) next(ctx context.Context) (message, error) {
	for {
		select {
		case <-l.done:
			return message{}, net.ErrClosed
		default:
		}
		if m, ok, err := l.pop(); ok || err != nil {
			return m, err
		}
		select {
		case <-l.news:
		case <-l.done:
		case <-ctx.Done():
			return message{}, context.Cause(ctx)
		}
	}
}

func (l *link) pop() (m message, ok bool, err error) {
	l.mu.Lock()
	if len(l.queue) == 0 {
		defer l.mu.Unlock()
		return message{}, false, l.err
	}
	m = l.queue[0]
	l.queue[0] = message{}
	l.queue = l.queue[1:]
	if len(l.queue) == 0 {
		l.queue = nil
	}
	l.queued -= len(m.body)
	l.read = m.number
	l.readBytes += len(m.body)
	l.readMessages++
	owe := l.readBytes >= creditBytes || l.readMessages >= creditMessages
	if owe {
		l.readBytes, l.readMessages = 0, 0
	}
	l.mu.Unlock()
	if owe {
		l.b.owe(l)
	}
	return m, true, nil
}

// grant tells the peer how far this end has read.
func (l *link) grant() {
	l.mu.Lock()
	n := l.read
	l.mu.Unlock()
	if l.broken() == nil {
		if err := l.publish(l.exchange, l.key, message{kind: kindRead, body: strconv.AppendUint(nil, n, 10)}, 0, 0); err != nil {
			l.fail(err)
		}
	}
}

func (l *link) ReadFrame() (*transports.Frame, error) {
	for len(l.rest) == 0 {
		m, err := l.next(context.Background())
		if err != nil {
			return nil, err
		}
		if m.kind != kindFrames {
			return nil, fmt.Errorf("rabbitmq: session %s: message %d is an answer to the opening, which is over", l.nonce, m.number)
		}
		l.rest = m.body
	}
	f, rest, err := transports.CutFrame(l.rest, l.max)
	if err != nil {
		return nil, err
	}
	l.rest = rest
	return f, nil
}

func (l *link) WriteFrames(batch []*transports.Frame) error {
	l.box.Lock()
	defer l.box.Unlock()
	l.box.gather(batch)
	_, err := l.flush(l.stall, false)
	return err
}

// WriteSome implements [transports.Patient].
func (l *link) WriteSome(batch []*transports.Frame) (left bool, err error) {
	l.box.Lock()
	defer l.box.Unlock()
	l.box.gather(batch)
	return l.flush(transports.Moment, true)
}

func (l *link) SetMaxPayload(n uint32) { l.max = n }

// Close says that this was all, and ends the queue that nobody reads any more.
func (l *link) Close() error {
	l.once.Do(func() {
		close(l.done)
		b := l.b
		b.mu.Lock()
		delete(b.links, l)
		delete(b.owing, l)
		b.mu.Unlock()
		b.leave(l.leave)
		if l.gateway != "" {
			b.count(l.gateway, -1)
		}
		b.release()
	})
	return nil
}

// leave says goodbye to the peer and to the server.
func (l *link) leave() error {
	l.box.Lock() // a write in progress sees that the link is closed
	defer l.box.Unlock()
	l.mu.Lock()
	told := l.err != nil || l.gone != nil
	l.mu.Unlock()
	if !told {
		end := message{kind: kindEnd, body: strconv.AppendUint(nil, l.box.seq, 10)}
		_ = l.publish(l.exchange, l.key, end, 0, 0)
	}
	return errors.Join(l.pub.Close(), l.in.channel.Close())
}

func (l *link) Traits() transports.Traits {
	return transports.Traits{
		Order: transports.OrderLink, MaxPayload: spec.MaxFrameHard, Streams: true, Brokered: true,
		Remote: l.b.target.addr + " " + l.nonce, Scheme: Scheme,
	}
}

// broken is why nothing can be written any more, or nil.
func (l *link) broken() error {
	select {
	case <-l.done:
		return net.ErrClosed
	default:
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case errors.Is(l.err, io.EOF):
		return io.ErrClosedPipe
	case l.err != nil:
		return l.err
	}
	return l.gone
}
