package rabbitmq

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/url"
	"slices"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/stella-ops/router/spec"
	"github.com/stella-ops/router/transports"
)

// ErrNoGateway is what the errors of dialling wrap when no gateway listens.
var ErrNoGateway = errors.New("no gateway listens on this server under this virtual host and prefix")

// ErrRefused is what the errors of dialling wrap when the gateway gave a reason.
var ErrRefused = errors.New("the gateway refuses")

// maxOffers bounds the gateways among which a service chooses.
const maxOffers = 64

type dialer struct{}

func (dialer) Dial(ctx context.Context, u *url.URL) (transports.Link, error) {
	t, gateway, err := parseGateway(u)
	if err != nil {
		return nil, err
	}
	b, err := acquire(ctx, t)
	if err != nil {
		return nil, err
	}
	defer b.release()
	l, err := b.dial(ctx, gateway)
	if err != nil {
		return nil, fmt.Errorf("rabbitmq: dial %s: %w", t.url(), err)
	}
	return l, nil
}

// gateways lists the gateways that a URL stands for: those that answer.
func gateways(ctx context.Context, u *url.URL) ([]string, error) {
	t, gateway, err := parseGateway(u)
	if err != nil {
		return nil, err
	}
	if gateway != "" {
		return []string{u.String()}, nil
	}
	b, err := acquire(ctx, t)
	if err != nil {
		return nil, err
	}
	defer b.release()
	offers, err := b.list(ctx)
	if errors.Is(err, ErrNoGateway) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("rabbitmq: %s: looking for gateways: %w", t.url(), err)
	}
	urls := make([]string, len(offers))
	for i, o := range offers {
		one, query := *u, u.Query()
		query.Set(paramGateway, o.gateway())
		one.RawQuery = query.Encode()
		urls[i] = one.String()
	}
	return urls, nil
}

// list asks for all gateways there are.
func (b *broker) list(ctx context.Context) ([]offer, error) {
	l, err := b.ask()
	if err != nil {
		return nil, err
	}
	defer func() { _ = l.Close() }()
	return l.discover(ctx, spec.HelloTimeout, everybodyFor, nil, func(offers []offer) bool { return len(offers) == maxOffers })
}

// ask makes a link that has no gateway yet.
func (b *broker) ask() (*link, error) {
	l, err := b.newLink(randomID(), true)
	var e *amqp.Error
	if errors.As(err, &e) && e.Code == amqp.NotFound { // the exchange, which every gateway makes
		return nil, ErrNoGateway
	}
	return l, err
}

// dial opens a link to one of the gateways that listen, or to a certain one. One that leaves or dies meanwhile is passed over.
func (b *broker) dial(ctx context.Context, gateway string) (l *link, err error) {
	var failed error
	var tried []offer
	for {
		if l, err = b.ask(); err != nil {
			return nil, err
		}
		var o offer
		if o, err = l.choose(ctx, gateway, tried); err == nil {
			l.gateway, l.inbox = o.gateway(), string(o)
			b.count(l.gateway, 1)
			tried = append(tried, o)
			if err = l.open(ctx); err == nil {
				return l, nil
			}
			failed = fmt.Errorf("gateway %s: %w", l.gateway, err)
		}
		again := l.gateway != "" && ctx.Err() == nil && len(tried) < maxOffers && gateway == ""
		_ = l.Close()
		if !again {
			if failed != nil {
				err = failed // says more than that there is no other
			}
			return nil, err
		}
	}
}

// choose asks for gateways, and returns the offer of a certain one; or, where there is no such wish, of the one to which this
// process has the fewest links, and of these any.
func (l *link) choose(ctx context.Context, gateway string, tried []offer) (offer, error) {
	patience, more := spec.HelloTimeout, offersFor
	enough := func(offers []offer) bool { return len(offers) == maxOffers }
	if len(tried) > 0 {
		patience = anotherFor
	}
	if gateway != "" {
		more = everybodyFor
		enough = func(offers []offer) bool { return offers[len(offers)-1].gateway() == gateway }
	}
	offers, err := l.discover(ctx, patience, more, tried, enough)
	if err != nil {
		return "", err
	}
	offers = slices.DeleteFunc(offers, func(o offer) bool { return gateway != "" && o.gateway() != gateway })
	if len(offers) == 0 {
		return "", fmt.Errorf("gateway %s has left: %w", gateway, ErrNoGateway)
	}
	//nolint:gosec // nobody gains by guessing
	rand.Shuffle(len(offers), func(i, j int) { offers[i], offers[j] = offers[j], offers[i] })
	b := l.b
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.MinFunc(offers, func(x, y offer) int { return cmp.Compare(b.linked[x.gateway()], b.linked[y.gateway()]) }), nil
}

// discover asks for gateways, and returns their offers but those that were tried: what comes within more of the first, unless it
// is enough before.
func (l *link) discover(
	ctx context.Context, patience, more time.Duration, tried []offer, enough func([]offer) bool,
) ([]offer, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, patience, errNoAnswer)
	defer cancel()
	if err := l.publish(l.exchange, everyGateway, message{kind: kindDiscover}, 0, 0); err != nil {
		return nil, err
	}
	var offers []offer
	var over <-chan time.Time
	for {
		select {
		case id := <-l.offers:
			o := offer(id)
			if !o.valid() || slices.Contains(tried, o) || slices.Contains(offers, o) {
				break
			}
			if offers = append(offers, o); enough(offers) {
				return offers, nil
			}
			if over == nil {
				timer := time.NewTimer(more)
				defer timer.Stop()
				over = timer.C
			}
		case <-over:
			return offers, nil
		case <-l.dead:
			_, _, err := l.pop()
			return nil, err
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

// open opens the session with the gateway that was chosen.
func (l *link) open(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, spec.HelloTimeout, errNoAnswer)
	defer cancel()
	err := l.publish(l.exchange, l.b.target.inbox(l.inbox), message{kind: kindOpen, body: []byte(versions())}, 0, 0)
	if err != nil {
		return err
	}
	m, err := l.next(ctx)
	if err != nil {
		return err
	}
	switch m.kind {
	case kindVersion:
		return checkVersions(string(m.body))
	case kindRefused:
		return fmt.Errorf("%w: %.200q", ErrRefused, m.body)
	default:
		return fmt.Errorf("%w: its first message is no answer to the opening", transports.ErrPreamble)
	}
}

var errNoAnswer = errors.New("no gateway has answered")
