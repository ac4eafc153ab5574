package rabbitmq

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"sync"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/stella-ops/router/transports"
)

// parcel is a message that is to be published.
type parcel struct {
	body    []byte
	stream  uint32 // of the first frame that has one
	expires uint32 // ms; 0 is never
}

// outbox is the writing half of a link.
type outbox struct {
	sync.Mutex

	seq      uint64   // of the last message that was published
	fleeting int      // messages since then
	parcels  []parcel // gathered, not yet published
	spare    []byte   // a buffer for small parcels
}

// Bounds of the buffer that a link keeps, in bytes.
const minSpare, keepSpare = 4 << 10, 64 << 10

// gather copies frames into parcels, and releases them.
func (o *outbox) gather(batch []*transports.Frame) {
	var p parcel
	total := 0
	for _, f := range batch {
		total += len(f.Bytes())
	}
	for _, f := range batch {
		b, h := f.Bytes(), f.Header()
		if len(p.body) > 0 && len(p.body)+len(b) > messageBytes {
			o.parcels = append(o.parcels, p)
			p = parcel{}
		}
		if p.body == nil {
			p.body, o.spare = o.spare[:0], nil
			if need := max(len(b), min(total, messageBytes)); cap(p.body) < need {
				p.body = make([]byte, 0, max(need, minSpare))
			}
		}
		first := len(p.body) == 0
		switch deadline, says := h.Expires(); {
		case !says:
		case deadline == 0:
			p.expires = 0
		case first || p.expires > 0:
			p.expires = max(p.expires, deadline)
		}
		if p.stream == 0 {
			p.stream = h.Stream
		}
		p.body = append(p.body, b...)
		total -= len(b)
		f.Release()
	}
	if len(p.body) > 0 {
		o.parcels = append(o.parcels, p)
	}
}

// first is the message that the first parcel makes.
func (o *outbox) first() message {
	p := o.parcels[0]
	m := message{kind: kindFrames, number: o.seq, body: p.body}
	m.fleeting = p.expires > 0 && len(p.body) <= maxFleeting && o.fleeting < maxFleetingInRow
	if !m.fleeting {
		m.number++
	}
	return m
}

// sent notes that the first parcel was published as m.
func (o *outbox) sent(m message) {
	o.seq = m.number
	if o.fleeting++; !m.fleeting {
		o.fleeting = 0
	}
	if cap(m.body) <= keepSpare {
		o.spare = m.body
	}
	o.parcels[0] = parcel{}
	o.parcels = o.parcels[1:]
	if len(o.parcels) == 0 {
		o.parcels = nil
	}
}

// unread are the messages that the peer may not have read.
type unread struct {
	mu       sync.Mutex
	messages []message // without their bodies
	sizes    []int
	bytes    int
}

// full reports whether the peer has to read first.
func (u *unread) full() bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	return len(u.messages) >= maxUnreadMessages || u.bytes >= maxUnread
}

func (u *unread) add(m message) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.messages = append(u.messages, message{number: m.number, fleeting: m.fleeting})
	u.sizes = append(u.sizes, len(m.body))
	u.bytes += len(m.body)
}

// read notes that the peer has read message number n, and with it all before. Those behind it that may expire have its
// number too: nobody knows of them before the next one that lasts is read.
func (u *unread) read(n uint64) {
	u.mu.Lock()
	defer u.mu.Unlock()
	for len(u.messages) > 0 && (u.messages[0].number < n || u.messages[0].number == n && !u.messages[0].fleeting) {
		u.bytes -= u.sizes[0]
		u.messages, u.sizes = u.messages[1:], u.sizes[1:]
	}
}

// confirms are the messages that the server has not confirmed yet, in the order in which they were published.
type confirms struct {
	mu      sync.Mutex
	pending []confirm
	closed  func() bool // whether the channel is: the library says of all that was not confirmed that it was refused
}

type confirm struct {
	*amqp.DeferredConfirmation

	since time.Time
}

var errNack = errors.New("the server has refused a message: the queue is full, or has failed")

func (c *confirms) add(d *amqp.DeferredConfirmation, now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.pending = append(c.pending, confirm{d, now})
}

// oldest is the first that has not been confirmed, where there are as many as there may be.
func (c *confirms) oldest() (<-chan struct{}, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.settle(); err != nil || len(c.pending) < maxUnconfirmed {
		return nil, err
	}
	return c.pending[0].Done(), nil
}

// late is an error when a message was refused, or has not been confirmed for too long.
func (c *confirms) late() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.settle(); err != nil {
		return err
	}
	if len(c.pending) > 0 && time.Since(c.pending[0].since) > confirmTimeout {
		return fmt.Errorf("the server has not confirmed a message for %v: %w", confirmTimeout, os.ErrDeadlineExceeded)
	}
	return nil
}

// settle takes out what was confirmed. c is locked.
func (c *confirms) settle() error {
	for len(c.pending) > 0 {
		select {
		case <-c.pending[0].Done():
		default:
			return nil
		}
		if !c.pending[0].Acked() {
			if c.closed() {
				return nil // the reason comes another way
			}
			return errNack
		}
		c.pending[0] = confirm{}
		c.pending = c.pending[1:]
	}
	c.pending = nil
	return nil
}

// publish publishes a message. expires is in ms; 0 is never.
func (l *link) publish(exchange, key string, m message, stream, expires uint32) error {
	p := amqp.Publishing{Type: m.kind, CorrelationId: correlation(l.nonce, stream), DeliveryMode: amqp.Transient, Body: m.body}
	if m.number > 0 {
		p.MessageId = m.id()
	}
	if m.fleeting {
		p.Expiration = strconv.FormatUint(uint64(expires), 10)
	}
	const mandatory, immediate = true, false
	d, err := l.pub.PublishWithDeferredConfirm(exchange, key, mandatory, immediate, p)
	if err != nil {
		return l.b.reason(fmt.Errorf("rabbitmq: %s: write: %w", l.b.target.addr, err))
	}
	l.confirms.add(d, time.Now())
	return nil
}

// ask publishes what goes to no queue, so that the server says whether it takes messages. What is wrong with it is found
// without it.
func (l *link) ask() {
	_ = l.pub.Publish(l.exchange, nobody, false, false, amqp.Publishing{DeliveryMode: amqp.Transient})
}

// say publishes a message that is not frames, at the beginning.
func (l *link) say(kind, body string) error {
	l.box.Lock()
	defer l.box.Unlock()
	m := message{kind: kind, number: l.box.seq + 1, body: []byte(body)}
	l.unread.add(m)
	if err := l.publish(l.exchange, l.key, m, 0, 0); err != nil {
		return err
	}
	l.box.seq++
	return nil
}

// flush publishes what is gathered. Where the peer has to read first, or the server to confirm, it waits as long as patience
// says from the last progress on. Then it is an error, or, for a writer that may leave, the rest is left for the next time.
func (l *link) flush(patience time.Duration, leave bool) (left bool, err error) {
	o := &l.box
	for len(o.parcels) > 0 {
		if err = l.broken(); err != nil {
			break
		}
		var ready bool
		if ready, err = l.ready(patience); err != nil {
			break
		}
		if !ready && leave {
			return true, nil
		}
		if !ready {
			err = fmt.Errorf("rabbitmq: write without progress for %v: %w", patience, os.ErrDeadlineExceeded)
			break
		}
		if err = l.broken(); err != nil {
			break
		}
		m, p := o.first(), o.parcels[0]
		l.unread.add(m) // before the peer can say that it has read it
		if err = l.publish(l.exchange, l.key, m, p.stream, p.expires); err != nil {
			break
		}
		o.sent(m)
	}
	if err != nil {
		o.parcels = nil
		l.fail(err)
	}
	return false, err
}

// ready waits until a message may be published, or the link has ended. It is false when patience has.
func (l *link) ready(patience time.Duration) (bool, error) {
	var timer *time.Timer
	for {
		oldest, err := l.confirms.oldest()
		if err != nil {
			return false, l.b.reason(fmt.Errorf("rabbitmq: %s: %w", l.b.target.addr, err))
		}
		if oldest == nil && !l.unread.full() {
			return true, nil
		}
		if timer == nil {
			timer = time.NewTimer(patience)
			defer timer.Stop()
		}
		select {
		case <-oldest:
		case <-l.room:
			if l.broken() != nil {
				return true, nil
			}
			timer.Reset(patience)
		case <-l.done:
			return true, nil
		case <-l.dead:
			return true, nil
		case <-timer.C:
			return false, nil
		}
	}
}
