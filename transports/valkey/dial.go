package valkey

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/url"
	"slices"
	"strconv"

	"github.com/stella-ops/router/spec"
	"github.com/stella-ops/router/transports"
)

// ErrNoGateway is what the errors of dialling wrap when no gateway listens.
var ErrNoGateway = errors.New("no gateway listens on this server under this prefix")

// ErrRefused is what the errors of dialling wrap when the gateway gave a reason.
var ErrRefused = errors.New("the gateway refuses")

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
	var l *link
	if gateway == "" {
		l, err = b.dial(ctx)
	} else if l, err = b.open(ctx, gateway); err != nil {
		err = fmt.Errorf("gateway %s: %w", gateway, err)
	}
	if err != nil {
		return nil, fmt.Errorf("valkey: dial %s: %w", t.url(), err)
	}
	return l, nil
}

// gateways lists the gateways that a URL stands for.
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
	ids, err := b.gateways(ctx)
	if err != nil {
		return nil, fmt.Errorf("valkey: %s: %w", t.url(), err)
	}
	urls := make([]string, len(ids))
	for i, id := range ids {
		one, query := *u, u.Query()
		query.Set(paramGateway, id)
		one.RawQuery = query.Encode()
		urls[i] = one.String()
	}
	return urls, nil
}

// gateways are the ids of those that listen.
func (b *broker) gateways(ctx context.Context) ([]string, error) {
	ids, err := b.script(ctx, gatewaysScript, []string{b.target.key("gateways")}, nil).AsStrSlice()
	if err != nil {
		return nil, fmt.Errorf("looking for gateways: %w", err)
	}
	return slices.DeleteFunc(ids, func(id string) bool { return !isID(id) }), nil // no gateway has put another there
}

// dial opens a link to one of the live gateways: one of those with the fewest links of this process, and of these any.
func (b *broker) dial(ctx context.Context) (*link, error) {
	gateways, err := b.gateways(ctx)
	if err != nil {
		return nil, err
	}
	if len(gateways) == 0 {
		return nil, ErrNoGateway
	}
	//nolint:gosec // nobody gains by guessing
	rand.Shuffle(len(gateways), func(i, j int) { gateways[i], gateways[j] = gateways[j], gateways[i] })
	b.mu.Lock()
	slices.SortStableFunc(gateways, func(x, y string) int { return cmp.Compare(b.linked[x], b.linked[y]) })
	b.mu.Unlock()
	var failed error
	for _, id := range gateways {
		l, err := b.open(ctx, id)
		if err == nil {
			return l, nil
		}
		failed = fmt.Errorf("gateway %s: %w", id, err)
		if ctx.Err() != nil {
			break
		}
	}
	return nil, failed
}

// count notes links to a gateway.
func (b *broker) count(gateway string, n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.linked[gateway] += n; b.linked[gateway] <= 0 {
		delete(b.linked, gateway)
	}
}

// open opens a link to a gateway.
func (b *broker) open(ctx context.Context, gateway string) (*link, error) {
	l := newLink(b, randomID(), "g2s", "s2g")
	l.gateway = gateway
	b.count(gateway, 1)
	if err := l.open(ctx); err != nil {
		_ = l.Close()
		return nil, err
	}
	return l, nil
}

func (l *link) open(ctx context.Context) error {
	b := l.b
	made, err := b.script(ctx, openScript,
		[]string{b.target.key("gateway", l.gateway), l.out, l.in},
		[]string{l.nonce, versions(), strconv.FormatInt(sessionLease.Milliseconds(), 10), strconv.Itoa(maxInbox)}).AsInt64()
	switch {
	case err != nil:
		return fmt.Errorf("opening a session: %w", err)
	case made == 0:
		return fmt.Errorf("it has left: %w", ErrNoGateway)
	case made < 0:
		return fmt.Errorf("%w: %d sessions wait for it", ErrRefused, maxInbox)
	}
	b.add(l.in, l, firstID)
	ctx, cancel := context.WithTimeoutCause(ctx, spec.HelloTimeout, errNoAnswer)
	defer cancel()
	e, err := l.next(ctx)
	if err != nil {
		return err
	}
	switch e.field {
	case fieldVersion:
		return checkVersions(e.value)
	case fieldRefused:
		return fmt.Errorf("%w: %.200q", ErrRefused, e.value)
	default:
		return fmt.Errorf("%w: its first entry is no answer to the opening", transports.ErrPreamble)
	}
}

var errNoAnswer = fmt.Errorf("it has not answered for %v", spec.HelloTimeout)
