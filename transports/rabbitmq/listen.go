package rabbitmq

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"sync"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/stella-ops/router/transports"
)

func listen(ctx context.Context, u *url.URL, cfg transports.ListenConfig) (transports.Listener, error) {
	t, err := parse(u)
	if err != nil {
		return nil, err
	}
	if !cfg.Authenticated {
		if err := loopback(ctx, t.addr); err != nil {
			return nil, fmt.Errorf("rabbitmq: listen %s: %w", t.url(), err)
		}
	}
	l := &listener{
		gateway: randomID(), target: t, cfg: cfg, links: make(chan transports.Link), opening: make(chan opening, maxInbox), done: make(chan struct{}),
	}
	first, err := l.announce(ctx)
	if err != nil {
		return nil, fmt.Errorf("rabbitmq: listen %s: %w", t.url(), err)
	}
	l.wg.Go(func() { l.stay(first) })
	for range openers {
		l.wg.Go(l.open)
	}
	return l, nil
}

type listener struct {
	gateway string // its id
	target  target
	cfg     transports.ListenConfig
	links   chan transports.Link
	opening chan opening
	done    chan struct{}
	once    sync.Once
	wg      sync.WaitGroup

	mu sync.Mutex
	id string // what it offers
}

// inbox is a gateway's place on the server, as long as its connections last.
type inbox struct {
	*queue

	b    *broker
	id   string        // the gateway's and its own: see offer
	pub  *amqp.Channel // for offers
	shut chan *amqp.Error
}

// opening is a session that somebody wants. It holds the broker.
type opening struct {
	b        *broker
	nonce    string
	versions string
}

// announce makes an inbox, by which services find the gateway.
func (l *listener) announce(ctx context.Context) (*inbox, error) {
	b, err := acquire(ctx, l.target)
	if err != nil {
		return nil, err
	}
	in := &inbox{b: b, id: l.gateway + "." + randomID()}
	err = b.within("announcing the gateway", func() error {
		var err error
		if in.pub, err = b.pub.Channel(); err != nil {
			return err //nolint:wrapcheck // within wraps it
		}
		in.shut = in.pub.NotifyClose(make(chan *amqp.Error, 1))
		if in.queue, err = b.consume(l.target.inbox(in.id), "", amqp.Table{"x-max-length": maxInbox}); err != nil {
			return errors.Join(err, in.pub.Close())
		}
		if err = l.bind(in); err != nil {
			return errors.Join(err, in.pub.Close(), in.channel.Close())
		}
		return nil
	})
	if err != nil {
		b.release()
		return nil, err
	}
	l.mu.Lock()
	l.id = in.id
	l.mu.Unlock()
	return in, nil
}

// bind makes the exchanges, which others may delete, and binds the inbox.
func (l *listener) bind(in *inbox) error {
	const durable, autoDelete, internal, noWait = true, false, false, false
	for _, name := range []string{l.target.gateways(), l.target.services()} {
		if err := in.channel.ExchangeDeclare(name, amqp.ExchangeDirect, durable, autoDelete, internal, noWait, nil); err != nil {
			return err //nolint:wrapcheck // within wraps it
		}
	}
	name := l.target.inbox(in.id)
	for _, key := range []string{name, everyGateway} {
		if err := in.channel.QueueBind(name, key, l.target.gateways(), noWait, nil); err != nil {
			return err //nolint:wrapcheck // the same
		}
	}
	return nil
}

// withdraw ends an inbox.
func (in *inbox) withdraw() {
	in.b.leave(func() error { return errors.Join(in.channel.Close(), in.pub.Close()) })
	in.b.release()
}

// stay has an inbox until the listener is closed. A server that is away for a while does not end it.
func (l *listener) stay(in *inbox) {
	pause, reported := minPause, ""
	for {
		if in != nil {
			err := l.serve(in)
			in.withdraw()
			if err == nil {
				return
			}
			pause, reported = minPause, ""
			l.reject(l.target.addr, err)
		}
		timer := time.NewTimer(pause)
		select {
		case <-l.done:
			timer.Stop()
			return
		case <-timer.C:
		}
		pause = min(2*pause, maxPause)
		var err error
		if in, err = l.announce(context.Background()); err != nil && err.Error() != reported { // once, however long it lasts
			reported = err.Error()
			l.reject(l.target.addr, fmt.Errorf("rabbitmq: the gateway is not announced, and tries again until it is: %w", err))
		}
	}
}

// serve answers what comes to an inbox. It returns nil when the listener is closed.
func (l *listener) serve(in *inbox) error {
	shut := in.shut
	renew := time.NewTicker(renewEvery)
	defer renew.Stop()
	defer in.lateAck.Stop()
	for {
		select {
		case <-l.done:
			return nil
		case <-in.b.dead:
			return in.b.cause
		case e, ok := <-shut:
			if shut = nil; ok {
				return in.b.reason(fmt.Errorf("rabbitmq: %s: %w", l.target.addr, e))
			}
		case d, ok := <-in.deliveries:
			if !ok {
				return in.ended(in.b)
			}
			if err := l.take(in, &d); err != nil {
				l.reject(l.target.addr, fmt.Errorf("rabbitmq: session %.40q: %w", d.CorrelationId, err))
			}
			in.took(&d)
		case <-in.lateAck.C:
			in.ack()
		case <-renew.C:
			if err := in.b.within("renewing the announcement", func() error { return l.bind(in) }); err != nil {
				return err
			}
		}
	}
}

// take takes what a service says to the inbox.
func (l *listener) take(in *inbox, d *amqp.Delivery) error {
	if !isID(d.CorrelationId) {
		return errors.New("the inbox has a message with this correlation id, expected 16 hexadecimal digits")
	}
	switch d.Type {
	case kindDiscover:
		if len(l.opening) == cap(l.opening) {
			return nil // others may have the time
		}
		// What became of the offer, the service says by opening the session.
		err := in.pub.Publish(l.target.services(), l.target.toService(d.CorrelationId), false, false, amqp.Publishing{
			Type: kindOffer, CorrelationId: d.CorrelationId, DeliveryMode: amqp.Transient, Body: []byte(in.id),
		})
		if err != nil {
			return fmt.Errorf("offering: %w", err)
		}
	case kindOpen:
		in.b.retain()
		select {
		case l.opening <- opening{in.b, d.CorrelationId, string(d.Body)}:
		default:
			in.b.release()
			return fmt.Errorf("%d others are waiting to be accepted", maxInbox)
		}
	default:
		return fmt.Errorf("the inbox has a message of the type %.40q, expected %s or %s", d.Type, kindDiscover, kindOpen)
	}
	return nil
}

// open answers the sessions that services open.
func (l *listener) open() {
	for {
		select {
		case <-l.done:
			return
		case o := <-l.opening:
			link, err := o.answer()
			if err != nil {
				l.reject(o.b.target.addr+" "+o.nonce, err)
				continue
			}
			select {
			case l.links <- link:
			case <-l.done:
				_ = link.Close()
			}
		}
	}
}

// answer makes the gateway's end of a session, and says so.
func (o opening) answer() (*link, error) {
	defer o.b.release()
	link, err := o.b.newLink(o.nonce, false)
	if err != nil {
		return nil, fmt.Errorf("rabbitmq: opening a session: %w", err)
	}
	refused := checkVersions(o.versions)
	if refused != nil {
		err = link.say(kindRefused, refused.Error())
	} else {
		err = link.say(kindVersion, versions())
	}
	if err = errors.Join(refused, err); err != nil {
		_ = link.Close()
		return nil, fmt.Errorf("rabbitmq: answering the opening: %w", err)
	}
	return link, nil
}

func (l *listener) reject(remote string, err error) {
	if l.cfg.Rejected != nil {
		l.cfg.Rejected(remote, err)
	}
}

func (l *listener) Accept() (transports.Link, error) {
	select {
	case link := <-l.links:
		return link, nil
	case <-l.done:
		return nil, net.ErrClosed
	}
}

// Addr is without the user and the password.
func (l *listener) Addr() string { return l.target.url() }

func (l *listener) Close() error {
	l.once.Do(func() {
		close(l.done)
		l.wg.Wait()
		for {
			select {
			case o := <-l.opening:
				o.b.release()
				continue
			default:
			}
			break
		}
	})
	return nil
}
