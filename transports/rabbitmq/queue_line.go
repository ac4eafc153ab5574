package rabbitmq

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"sync"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
)

// line is a connection that is made when somebody needs it, and again when it was lost.
type line struct {
	q      *queues
	name   string
	writes bool // whether it has a channel that publishes

	mu  sync.Mutex
	cur *live
}

// live is a line's connection, for as long as it lasts.
type live struct {
	line  *line
	ready chan struct{} // closed when conn or err is set
	err   error
	conn  *conn

	failing sync.Once
	dead    chan struct{} // closed when cause is set
	cause   error

	mu       sync.Mutex
	declared map[string]bool // what was seen to be there, by the name of the queue

	pub     *amqp.Channel
	returns chan amqp.Return
	room    chan struct{} // one for each message that is not confirmed
	seq     uint64
	waiting map[string]bool // messages that are not confirmed, by their correlation ids; true: one was returned
}

// get returns the connection, and makes it where there is none.
func (l *line) get(ctx context.Context) (*live, error) {
	l.mu.Lock()
	v := l.cur
	if v == nil {
		v = &live{line: l, ready: make(chan struct{}), dead: make(chan struct{}), declared: map[string]bool{}}
		if !l.q.spawn(v.dial) {
			l.mu.Unlock()
			return nil, net.ErrClosed
		}
		l.cur = v
	}
	l.mu.Unlock()
	select {
	case <-v.ready:
		return v, v.err
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// dial connects for all who wait. A failure is theirs alone: who comes later tries again.
func (v *live) dial() {
	defer close(v.ready)
	v.conn, v.err = connect(v.line.q.ctx, v.line.q.target, v.line.name)
	if v.err == nil {
		if !v.line.q.spawn(func() { v.conn.watch(v.fail) }) {
			v.fail(net.ErrClosed)
			v.err = net.ErrClosed
		} else if v.line.writes {
			v.err = v.open()
		}
	}
	if v.err != nil {
		v.line.forget(v)
	}
}

// open opens the channel that publishes. What ends it ends the connection: it is made again with all that belongs to it.
func (v *live) open() error {
	timer := time.AfterFunc(rpcTimeout, func() { v.fail(fmt.Errorf("opening a channel: no answer for %v", rpcTimeout)) })
	defer timer.Stop()
	ch, err := v.conn.Channel()
	if err == nil {
		err = ch.Confirm(false)
	}
	if err != nil {
		v.fail(err)
		return v.cause
	}
	v.pub, v.room, v.waiting = ch, make(chan struct{}, maxUnconfirmed), map[string]bool{}
	// Every message that is not confirmed may be returned, and nobody takes that out before it is confirmed.
	v.returns = ch.NotifyReturn(make(chan amqp.Return, maxUnconfirmed))
	shut := ch.NotifyClose(make(chan *amqp.Error, 1))
	v.line.q.spawn(func() {
		if why, ok := <-shut; ok {
			v.fail(why)
		} else {
			v.fail(net.ErrClosed)
		}
	})
	return nil
}

func (l *line) forget(v *live) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.cur == v {
		l.cur = nil
	}
}

// end closes the line's connection.
func (l *line) end() {
	l.mu.Lock()
	v := l.cur
	l.mu.Unlock()
	if v != nil {
		if <-v.ready; v.err == nil {
			v.conn.end()
		}
	}
}

// fail gives the connection up, for the first reason there is.
func (v *live) fail(why error) {
	v.failing.Do(func() {
		v.cause = why
		close(v.dead)
		v.line.forget(v)
		_ = v.conn.raw.Close()
	})
}

// reason is why an operation failed: what became of the connection says more than the library does.
func (v *live) reason(err error) error {
	select {
	case <-v.dead:
		return v.cause
	default:
		return err
	}
}

// within runs something that waits for the server's answers. The library does so for ever: it is the connection that ends
// when there is none.
func (v *live) within(doing string, f func() error) error {
	timer := time.AfterFunc(rpcTimeout, func() { v.fail(fmt.Errorf("%s: no answer for %v", doing, rpcTimeout)) })
	defer timer.Stop()
	if err := f(); err != nil {
		return v.reason(err)
	}
	return nil
}

// channel runs something on a channel of its own, at whose end the server takes back what was not acknowledged.
func (v *live) channel(doing string, f func(*amqp.Channel) error) error {
	var ch *amqp.Channel
	err := v.within(doing, func() (err error) {
		ch, err = v.conn.Channel()
		return err //nolint:wrapcheck // who calls does
	})
	if err != nil {
		return err
	}
	err = f(ch)
	if ch.IsClosed() {
		return v.reason(err)
	}
	return errors.Join(err, v.within(doing, ch.Close))
}

// publish publishes a message that has to be kept: it returns nil when the server has confirmed it, and errReturned when the
// server has it not, because there is no queue for it.
func (v *live) publish(ctx context.Context, exchange, key string, p amqp.Publishing) error {
	select {
	case v.room <- struct{}{}:
		defer func() { <-v.room }()
	case <-v.dead:
		return v.cause
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	v.mu.Lock()
	v.seq++
	p.CorrelationId = strconv.FormatUint(v.seq, 10)
	v.waiting[p.CorrelationId] = false
	v.mu.Unlock()
	defer func() {
		v.mu.Lock()
		delete(v.waiting, p.CorrelationId)
		v.mu.Unlock()
	}()
	const mandatory, immediate = true, false
	p.DeliveryMode = amqp.Persistent
	confirmed, err := v.pub.PublishWithDeferredConfirm(exchange, key, mandatory, immediate, p)
	if err != nil {
		return v.reason(err)
	}
	select {
	case <-confirmed.Done():
	case <-v.dead:
		return v.cause
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	switch {
	case confirmed.Acked() && v.returned(p.CorrelationId):
		return errReturned
	case confirmed.Acked():
		return nil
	case v.pub.IsClosed():
		<-v.dead // which the end of the channel is the reason for
		return v.cause
	default:
		return errNack
	}
}

// returned reports whether a message came back. The library has put that into the channel before it has told of the
// confirmation.
func (v *live) returned(id string) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	for {
		select {
		case r, ok := <-v.returns:
			if !ok {
				return v.waiting[id]
			}
			if _, waits := v.waiting[r.CorrelationId]; waits {
				v.waiting[r.CorrelationId] = true
			}
			continue
		default:
		}
		return v.waiting[id]
	}
}
