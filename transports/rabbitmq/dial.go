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
	t, err := parse(u)
	if err != nil {
		return nil, err
	}
	b, err := acquire(ctx, t)
	if err != nil {
		return nil, err
	}
	defer b.release()
	l, err := b.dial(ctx)
	if err != nil {
		return nil, fmt.Errorf("rabbitmq: dial %s: %w", t.url(), err)
	}
	return l, nil
}

// dial opens a link to one of the gateways that listen. One that leaves or dies meanwhile is passed over.
func (b *broker) dial(ctx context.Context) (l *link, err error) {
	var failed error
	var tried []string
	for {
		l, err = b.newLink(randomID(), true)
		if err != nil {
			var e *amqp.Error
			if errors.As(err, &e) && e.Code == amqp.NotFound { // the exchange, which every gateway makes
				return nil, ErrNoGateway
			}
			return nil, err
		}
		if l.gateway, err = l.discover(ctx, tried); err == nil {
			b.count(l.gateway, 1)
			tried = append(tried, l.gateway)
			if err = l.open(ctx); err == nil {
				return l, nil
			}
			failed = fmt.Errorf("gateway %s: %w", l.gateway, err)
		}
		again := l.gateway != "" && ctx.Err() == nil && len(tried) < maxOffers
		_ = l.Close()
		if !again {
			if failed != nil {
				err = failed // says more than that there is no other
			}
			return nil, err
		}
	}
}

// discover asks for gateways, and returns the id of the one to which this process has the fewest links, of these any.
func (l *link) discover(ctx context.Context, tried []string) (string, error) {
	patience := spec.HelloTimeout
	if len(tried) > 0 {
		patience = anotherFor
	}
	ctx, cancel := context.WithTimeoutCause(ctx, patience, errNoAnswer)
	defer cancel()
	if err := l.publish(l.exchange, everyGateway, message{kind: kindDiscover}, 0, 0); err != nil {
		return "", err
	}
	var gateways []string
	var enough <-chan time.Time
	for waiting := true; waiting; {
		select {
		case id := <-l.offers:
			if !isID(id) || slices.Contains(tried, id) {
				break
			}
			if gateways = append(gateways, id); enough == nil {
				timer := time.NewTimer(offersFor)
				defer timer.Stop()
				enough = timer.C
			}
			waiting = len(gateways) < maxOffers
		case <-enough:
			waiting = false
		case <-l.dead:
			_, _, err := l.pop()
			return "", err
		case <-ctx.Done():
			return "", context.Cause(ctx)
		}
	}
	//nolint:gosec // nobody gains by guessing
	rand.Shuffle(len(gateways), func(i, j int) { gateways[i], gateways[j] = gateways[j], gateways[i] })
	b := l.b
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.MinFunc(gateways, func(x, y string) int { return cmp.Compare(b.linked[x], b.linked[y]) }), nil
}

// open opens the session with the gateway that was chosen.
func (l *link) open(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, spec.HelloTimeout, errNoAnswer)
	defer cancel()
	err := l.publish(l.exchange, l.b.target.inbox(l.gateway), message{kind: kindOpen, body: []byte(versions())}, 0, 0)
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
