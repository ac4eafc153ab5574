package auth

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// fetchTimeout bounds one fetch of a key set.
	fetchTimeout = 5 * time.Second
	// waitTimeout bounds how long a token waits for fetches: for a whole one, and a moment for it to begin.
	waitTimeout = fetchTimeout + time.Second

	minBackOff = time.Second // after the first failure; it doubles
	maxBackOff = time.Minute

	// A kid that a fetch did not bring is not asked for again for so many cool-downs.
	unknownCooldowns = 4
	maxUnknown       = 1024
)

// source keeps the keys of one issuer. One goroutine, run, gets them; requests read them without a lock, and at most
// ask for a fetch and wait for its end. So there is one fetch at a time, and none hangs on a request that goes away.
type source struct {
	issuer Issuer // with defaults
	log    *slog.Logger
	load   loader[keySet] // nil: the keys are built in

	set    atomic.Pointer[keySet] // nil: none yet
	usable atomic.Int64           // until when, in Unix nanoseconds
	kick   chan struct{}          // somebody has asked for a fetch
	gone   atomic.Bool            // another roster is in force, without it
	stop   context.CancelFunc     // ends run; nil: it does not run. Guarded by the verifier's mutex

	mu       sync.Mutex
	running  bool
	flight   chan struct{} // closed at the end of the fetch that is asked for or under way; nil: none is
	asked    bool          // a token has asked for the flight
	askedAt  time.Time     // when one last did
	unknown  map[string]time.Time
	fetched  time.Time // the last success
	fresh    time.Time // until when its answer is good
	next     time.Time
	failures int
	failed   error // the last fetch's; nil: it succeeded
}

// loader gets a document.
type loader[T any] interface {
	// load returns what parse makes of it, or nil where what it made last still stands, and how long it is good for.
	// asked is true when a token wants to know: nothing may be taken as unchanged then.
	load(ctx context.Context, asked bool, parse func([]byte) (*T, error)) (made *T, fresh time.Duration, err error)
	// pace is when to get the next one: after a success that is good for so long, or after so many failures in a row.
	pace(fresh time.Duration, failures int) time.Duration
	// cooldown is how often tokens with unknown keys may ask, where the issuer's configuration says d.
	cooldown(d time.Duration) time.Duration
}

func newSource(issuer Issuer, cfg Config) (*source, error) {
	s := &source{issuer: withDefaults(issuer), kick: make(chan struct{}, 1), unknown: map[string]time.Time{}}
	s.log = cfg.Logger.With("issuer", issuer.Issuer)
	if isURL(issuer.JWKS) {
		s.load = newRemote[keySet](keySets, issuer.JWKS, cfg.TLS)
		s.flight = make(chan struct{}) // the first fetch: whoever comes before its end waits for it
		return s, nil
	}
	s.load = &file[keySet]{document: keySets, path: issuer.JWKS}
	s.fetch(context.Background())
	return s, s.failed
}

// builtIn is a source of one key that never changes.
func builtIn(issuer Issuer, k *key) *source {
	s := &source{issuer: withDefaults(issuer)}
	s.set.Store(&keySet{keys: []*key{k}})
	s.usable.Store(math.MaxInt64)
	return s
}

// run gets the keys whenever it is time, or somebody asks, until ctx ends.
func (s *source) run(ctx context.Context) {
	defer s.abandon()
	s.mu.Lock()
	s.running = true
	s.mu.Unlock()
	timer := time.NewTimer(s.due())
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.kick:
		case <-timer.C:
		}
		s.fetch(ctx)
		timer.Reset(s.due())
	}
}

func (s *source) due() time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	return time.Until(s.next) // at once, where nothing was fetched yet
}

// abandon ends the waiting for a fetch that nobody will make.
func (s *source) abandon() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.running = false
	s.land()
	if s.failed == nil && s.set.Load() == nil {
		s.failed = errors.New("they are no longer asked for: the configuration has changed, or the gateway is shutting down")
	}
}

// land tells those who wait that the flight has ended. The lock is held.
func (s *source) land() {
	if s.flight != nil {
		close(s.flight)
		s.flight = nil
	}
	s.asked = false
}

// fetch gets the keys, once.
func (s *source) fetch(ctx context.Context) {
	s.mu.Lock()
	if s.flight == nil {
		s.flight = make(chan struct{})
	}
	asked := s.asked
	s.mu.Unlock()

	old := s.set.Load()
	set, fresh, err := s.load.load(ctx, asked, func(text []byte) (*keySet, error) { return parseKeySet(text, s.issuer.Algorithms, old) })
	if ctx.Err() != nil {
		return // run abandons the flight
	}
	if set == nil {
		set = old
	}
	s.settle(old, set, fresh, err, time.Now())
}

// settle takes the outcome of a fetch in. After a failure, and with keys of which it cannot be told whether they are
// still the issuer's, the old ones serve on until they are too old. A key set without keys of use is no failure to get
// them: it says that the old ones are not the issuer's any more.
func (s *source) settle(old, set *keySet, fresh time.Duration, err error, now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	defer s.land()
	if err != nil {
		if old != nil && len(old.keys) > 0 && errors.Is(err, errNoKeys) {
			s.withdraw(old, err)
		} else if s.failed == nil || s.failed.Error() != err.Error() {
			s.log.Warn("the keys of an issuer cannot be had", "error", err, "haveKeys", old != nil && !s.closed(now))
		}
		s.failures++
		s.failed, s.next = err, now.Add(s.load.pace(0, s.failures))
		return
	}
	if s.failed != nil {
		s.log.Info("the keys of an issuer can be had again")
	}
	s.failures, s.failed = 0, nil
	s.fetched, s.fresh, s.next = now, now.Add(fresh), now.Add(s.load.pace(fresh, 0))
	s.usable.Store(s.fresh.Add(s.issuer.MaxStale).UnixNano())
	if set == old {
		return
	}
	s.set.Store(set)
	for id := range s.unknown {
		if _, known := set.find(id, ""); known {
			delete(s.unknown, id)
		}
	}
	if old == nil {
		s.log.Info("the keys of an issuer are known", "keys", len(set.keys), "ignored", len(set.ignored))
		return
	}
	s.retire(old, set)
}

// withdraw retires every key, and closes the issuer until it publishes some again. The lock is held.
func (s *source) withdraw(old *keySet, why error) {
	none := &keySet{}
	s.log.Error("the issuer has withdrawn all its keys: none of its tokens is taken until it publishes keys of use", "error", why)
	s.set.Store(none)
	s.usable.Store(0)
	s.retire(old, none)
}

// retire ends what was verified by keys that are not published any more.
func (s *source) retire(old, set *keySet) {
	still := make(map[*key]bool, len(set.keys))
	for _, k := range set.keys {
		still[k] = true
	}
	retired, added := 0, len(set.keys)
	for _, k := range old.keys {
		if still[k] {
			added--
			continue
		}
		k.gone.Store(true)
		retired++
	}
	if retired+added > 0 {
		s.log.Info("the keys of an issuer have changed", "added", added, "retired", retired, "ignored", len(set.ignored))
	}
}

// closed reports whether the keys are too old to be believed.
func (s *source) closed(now time.Time) bool { return now.UnixNano() >= s.usable.Load() }

// unusable says that there are no keys, and why.
func (s *source) unusable() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	why := s.failed
	if why == nil {
		why = errors.New("they have not been fetched yet")
	}
	return fmt.Errorf("%w: of issuer %s: %w", ErrKeys, s.issuer.Issuer, why)
}

// ready waits for the first keys, and refuses those that are too old.
func (s *source) ready(ctx context.Context, now time.Time) error {
	if s.set.Load() == nil {
		s.mu.Lock()
		flight := s.flight
		s.mu.Unlock()
		if !wait(ctx, flight) || s.set.Load() == nil {
			return s.unusable()
		}
		return nil // just fetched
	}
	if s.closed(now) {
		return s.unusable()
	}
	return nil
}

// renew waits for a fetch that may bring the key that a token names; empty: it names none. It returns false where there
// is none to wait for: the cool-down has not passed, or the key was looked for a moment ago.
func (s *source) renew(ctx context.Context, kid string) bool {
	if s.load == nil || len(kid) > maxKeyID {
		return false
	}
	now := time.Now()
	s.mu.Lock()
	flight := s.flight
	mine := flight == nil
	if mine {
		if !s.running || now.Sub(s.askedAt) < s.load.cooldown(s.issuer.Cooldown) || now.Before(s.unknown[kid]) {
			s.mu.Unlock()
			return false
		}
		flight = make(chan struct{})
		s.flight, s.asked, s.askedAt = flight, true, now
		select {
		case s.kick <- struct{}{}:
		default:
		}
	}
	s.mu.Unlock()
	if !wait(ctx, flight) {
		return false
	}
	if mine {
		s.remember(kid)
	}
	return true
}

// remember keeps in mind that a fetch, made for this kid, did not bring it.
func (s *source) remember(kid string) {
	now := time.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.failed != nil || kid == "" {
		return
	}
	if _, known := s.set.Load().find(kid, ""); known {
		return
	}
	for id, until := range s.unknown {
		if now.After(until) {
			delete(s.unknown, id)
		}
	}
	if len(s.unknown) < maxUnknown { // one at most is added in a cool-down: this is never reached
		s.unknown[kid] = now.Add(unknownCooldowns * s.load.cooldown(s.issuer.Cooldown))
	}
}

// wait waits for the end of a flight as long as ctx lets it, and reports whether it has come.
func wait(ctx context.Context, flight <-chan struct{}) bool {
	if flight == nil {
		return false
	}
	select {
	case <-flight:
		return true
	case <-ctx.Done():
		return false
	}
}

// jitter is d, less up to a fifth of it: gateways that began together do not ask together.
func jitter(d time.Duration) time.Duration {
	return d - rand.N(d/5+1) //nolint:gosec // fair is enough
}
