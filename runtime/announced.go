package stella

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/stella-ops/router/transports"
)

const (
	// listEvery is how often a broker is asked which gateways have announced themselves there.
	listEvery = 3 * time.Second
	// forgetAfter is how long one is dialled that does not any more. A broker that has lost what it knew hears of its gateways
	// again soon, and they have to be told then which session the new one takes the place of.
	forgetAfter = 10 * time.Second
)

// announced keeps a connection with each gateway that has announced itself at a broker. One that does so no more is
// dropped when it has no session, and not before: as long as it serves, it is there.
type announced struct {
	*running
	reporter

	url     string
	list    func(context.Context) ([]string, error)
	learned bool // from another gateway, and forgotten when none names it any more
	wg      sync.WaitGroup

	mu    sync.Mutex
	known map[string]time.Time // URLs of the gateways that have a connection, and since when each is not listed: zero if it is
}

// lister is what asks a broker for its gateways, or nil where the URLs are the ways to one gateway. Several ways are: a
// broker among them leads to any of its gateways.
func lister(urls gatewayURLs) func(context.Context) ([]string, error) {
	if len(urls) != 1 {
		return nil
	}
	u, t, err := transports.Parse(urls[0])
	if err != nil || t.Gateways == nil {
		return nil
	}
	return func(ctx context.Context) ([]string, error) {
		ctx, cancel := context.WithTimeout(ctx, dialTimeout)
		defer cancel()
		return t.Gateways(ctx, u)
	}
}

func newAnnounced(r *running, url string, list func(context.Context) ([]string, error), learned bool) *announced {
	return &announced{
		running: r, url: url, list: list, learned: learned, known: map[string]time.Time{},
		reporter: reporter{log: r.log.With("gateway", transports.Redacted(url))},
	}
}

var errNoneAnnounced = errors.New("no gateway has announced itself there")

// run looks for gateways until ctx ends, and returns when no session is left.
func (a *announced) run(ctx context.Context) {
	defer a.wg.Wait()
	var none backoff
	for ctx.Err() == nil {
		err := a.refresh(ctx)
		wait := spread(listEvery)
		if err != nil {
			wait = min(none.next(false), wait)
		} else {
			none.reset()
		}
		a.tell(ctx, err)
		if a.learned && a.idle() && a.peers.forget(a.url, a.running.log) {
			return
		}
		pause(ctx, wait)
	}
}

// tell logs that no gateway is known, where there is no connection whose own failures say so.
func (a *announced) tell(ctx context.Context, err error) {
	switch {
	case err == nil:
		a.reported = ""
	case ctx.Err() == nil && a.idle():
		a.report("stella: gateway not connected", err)
	}
}

func (a *announced) idle() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.known) == 0
}

// refresh lists the gateways, and connects to those that are new. It is an error if there are none.
func (a *announced) refresh(ctx context.Context) error {
	listed, err := a.list(ctx)
	if err != nil {
		return err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	for url, since := range a.known {
		if slices.Contains(listed, url) {
			a.known[url] = time.Time{}
		} else if since.IsZero() {
			a.known[url] = time.Now()
		}
	}
	for _, url := range listed {
		if _, known := a.known[url]; known || len(a.known) >= maxGateways || ctx.Err() != nil {
			continue
		}
		a.known[url] = time.Time{}
		c := newConnection(a.running, gatewayURLs{url}, func() bool { return a.gone(ctx, url) })
		c.broker = a.url
		a.wg.Go(func() { c.run(ctx) })
	}
	if len(listed) == 0 {
		return errNoneAnnounced
	}
	return nil
}

// gone reports whether a gateway whose session has ended, or cannot be had, has not been listed for a while. It is then
// forgotten, and its connection ends.
func (a *announced) gone(ctx context.Context, url string) bool {
	if err := a.refresh(ctx); err != nil && !errors.Is(err, errNoneAnnounced) {
		return false
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if since := a.known[url]; since.IsZero() || time.Since(since) < forgetAfter {
		return false
	}
	delete(a.known, url)
	a.log.Info("stella: gateway forgotten, since it is not announced any more", "was", transports.Redacted(url))
	return true
}
