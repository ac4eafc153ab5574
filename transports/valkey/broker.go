package valkey

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	client "github.com/valkey-io/valkey-go"
)

// broker is what a process has of one server: a connection for commands, readers, and the goroutine that keeps the leases
// of all links. Links and listeners hold it, and the last one that lets go closes it.
type broker struct {
	target target
	client client.Client
	ready  chan struct{} // closed when client or err is set
	err    error
	refs   int // guarded by brokers

	wakeup chan struct{} // waking has something
	doubt  chan struct{} // the server was away, and may have lost keys
	pulse  chan struct{} // a blocking read has ended, and nothing has come
	done   chan struct{}
	wg     sync.WaitGroup
	silent atomic.Bool // the server does not answer: who closes does not try
	born   time.Time
	heard  atomic.Int64 // when a reader has last had an answer, in nanoseconds of the broker's life; 0: never

	mu      sync.Mutex
	sources map[string]*source
	readers []*reader
	waking  map[*reader]struct{} // to be woken
	linked  map[string]int       // links of this process, by gateway
	owed    []*link              // closed while the server was silent: their peers have not been told
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
			target: t, born: time.Now(), ready: make(chan struct{}), wakeup: make(chan struct{}, 1), doubt: make(chan struct{}, 1),
			pulse: make(chan struct{}, 1), done: make(chan struct{}),
			sources: map[string]*source{}, linked: map[string]int{}, waking: map[*reader]struct{}{},
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

// retain adds a holder.
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
		delete(brokers.m, b.target)
	}
	brokers.Unlock()
	if last {
		b.close()
	}
}

// connectFirst connects, and tells all who wait for it.
func (b *broker) connectFirst() {
	if b.err = b.start(context.Background()); b.err != nil {
		brokers.Lock()
		delete(brokers.m, b.target)
		brokers.Unlock()
	}
	close(b.ready)
}

func (b *broker) start(ctx context.Context) error {
	c, err := client.NewClient(b.target.options())
	if err != nil {
		how := "connect"
		if b.target.tls {
			how = "connect with TLS"
		}
		return fmt.Errorf("valkey: %s: %s: %w", b.target.url(), how, err)
	}
	b.client = c
	if err := b.checkPolicy(ctx); err != nil {
		c.Close()
		return err
	}
	b.wg.Go(b.keep)
	return nil
}

// checkPolicy refuses a server that may throw unread entries away. One that does not tell its configuration passes: what
// is lost there still ends the link.
func (b *broker) checkPolicy(ctx context.Context) error {
	conf, err := b.do(ctx, b.client.B().ConfigGet().Parameter("maxmemory*").Build()).AsStrMap()
	if err != nil {
		if _, refused := client.IsValkeyErr(err); refused {
			return nil
		}
		return fmt.Errorf("valkey: %s: %w", b.target.url(), err)
	}
	if err := refusePolicy(conf, "frames"); err != nil {
		return fmt.Errorf("valkey: %s: %w", b.target.url(), err)
	}
	return nil
}

// refusePolicy is an error where the server's configuration lets it throw keys away.
func refusePolicy(conf map[string]string, what string) error {
	if limit, policy := conf["maxmemory"], conf["maxmemory-policy"]; limit != "0" && limit != "" && policy != "noeviction" {
		return fmt.Errorf("the server has maxmemory-policy %s, which loses %s when memory is short: set it to noeviction", policy, what)
	}
	return nil
}

// deadline is that of a command which begins now: no later than the moment at which links give up, so that none of them
// waits for its writer then. The library cannot call every command off.
func (b *broker) deadline() time.Time {
	now := time.Now()
	end := now.Add(commandTimeout)
	last := b.heard.Load()
	if givenUp := b.born.Add(time.Duration(last) + failAfter); last > 0 && givenUp.After(now) && givenUp.Before(end) {
		return givenUp
	}
	return end
}

// do runs a command with its deadline.
func (b *broker) do(ctx context.Context, cmd client.Completed) client.ValkeyResult {
	ctx, cancel := context.WithDeadline(ctx, b.deadline())
	defer cancel()
	return b.client.Do(ctx, cmd)
}

// multi runs commands in one go, with the deadline of one.
func (b *broker) multi(ctx context.Context, cmds ...client.Completed) []client.ValkeyResult {
	ctx, cancel := context.WithDeadline(ctx, b.deadline())
	defer cancel()
	return b.client.DoMulti(ctx, cmds...)
}

// script runs a script with a command's deadline.
func (b *broker) script(ctx context.Context, s *client.Lua, keys, args []string) client.ValkeyResult {
	ctx, cancel := context.WithDeadline(ctx, b.deadline())
	defer cancel()
	return s.Exec(ctx, b.client, keys, args)
}

func (b *broker) close() {
	close(b.done)
	b.mu.Lock()
	for _, r := range b.readers {
		r.stop()
	}
	b.mu.Unlock()
	b.wg.Wait()
	b.client.Close()
}

// wake has the reader of a stream look at its sources anew.
func (b *broker) wake(key string) {
	b.mu.Lock()
	if s := b.sources[key]; s != nil {
		b.waking[s.reader] = struct{}{}
	}
	b.mu.Unlock()
	select {
	case b.wakeup <- struct{}{}:
	default: // it is about to
	}
}

// interrupt wakes the readers that are to be.
func (b *broker) interrupt() {
	var cmds []client.Completed
	b.mu.Lock()
	for r := range b.waking {
		if !r.closed {
			key := r.wake.key
			xadd := b.client.B().Xadd().Key(key).Maxlen().Threshold("1").Id("*").FieldValue().FieldValue("w", "").Build()
			cmds = append(cmds, xadd, b.expire(key))
		}
	}
	clear(b.waking)
	b.mu.Unlock()
	if len(cmds) > 0 {
		b.multi(context.Background(), cmds...)
	}
}

// keep renews the leases of all links, and wakes readers. Where nothing else goes on it does so when a blocking read has
// ended: a process that is idle is woken once then, and not a second time by a timer.
func (b *broker) keep() {
	tick := time.NewTimer(renewEvery)
	defer tick.Stop()
	last := time.Now()
	renew := func() {
		last = time.Now()
		if b.renew() {
			tick.Reset(renewAgain)
		} else {
			tick.Reset(renewEvery + slack)
		}
	}
	for {
		select {
		case <-b.pulse:
			if time.Since(last) > renewEvery-slack {
				renew()
			}
			b.registerDue()
		case <-b.done:
			return
		case <-b.wakeup:
			b.interrupt()
		case <-b.doubt:
			b.registerAnew()
			b.pay()
			tick.Reset(0)
		case <-tick.C:
			renew()
		}
	}
}

func (b *broker) expire(key string) client.Completed {
	return b.client.B().Pexpire().Key(key).Milliseconds(sessionLease.Milliseconds()).Build()
}

// renewAtOnce bounds the links whose leases are renewed in one go.
const renewAtOnce = 256

// registerAnew has the listeners register at once.
func (b *broker) registerAnew() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, s := range b.sources {
		if l, ok := s.owner.(*listener); ok {
			l.hurry()
		}
	}
}

// registerDue has the listeners register whose time has nearly come.
func (b *broker) registerDue() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, s := range b.sources {
		if l, ok := s.owner.(*listener); ok && time.Since(b.born)-time.Duration(l.registered.Load()) > registerEvery-block/2 {
			l.hurry()
		}
	}
}

// owe keeps a link's farewell until the server answers, and reports whether it does not answer now. A peer that has not
// noticed that would hold the session for alive. Whoever dials forgets it with its last link: its next session takes the
// place of the one before.
func (b *broker) owe(l *link) bool {
	if time.Since(b.born)-time.Duration(b.heard.Load()) > failAfter-slack {
		b.silent.Store(true) // a write has found out before the reader
	}
	if !b.silent.Load() {
		return false
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.owed = append(b.owed, l)
	return true
}

// pay says the farewells that are owed.
func (b *broker) pay() {
	b.mu.Lock()
	owed := b.owed
	b.owed = nil
	b.mu.Unlock()
	for _, l := range owed {
		l.farewell()
	}
}

// links are those that are open.
func (b *broker) links() (links []*link) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, s := range b.sources {
		if l, ok := s.owner.(*link); ok {
			links = append(links, l)
		}
	}
	return links
}

// renew renews the leases of all links, and reports whether one of them has to be looked at again soon.
func (b *broker) renew() (soon bool) {
	links := b.links()
	for len(links) > 0 {
		some := links[:min(len(links), renewAtOnce)]
		links = links[len(some):]
		var cmds []client.Completed
		for _, l := range some {
			cmds = append(cmds, b.client.B().Exists().Key(l.in).Build(), b.expire(l.out)) // each end renews what it writes
		}
		answers := b.multi(context.Background(), cmds...)
		for i, l := range some {
			in, err1 := answers[2*i].AsBool()
			out, err2 := answers[2*i+1].AsBool()
			if errors.Join(err1, err2) != nil {
				soon = true // a server that was restarted has closed the connection, which the first command finds out
			} else {
				soon = l.renewed(in, out) || soon
				if !in { // who flushed that has flushed more
					b.registerAnew()
				}
			}
		}
	}
	return soon
}

// isID reports whether s is as randomID makes them.
func isID(s string) bool {
	_, err := strconv.ParseUint(s, 16, 64)
	return err == nil && len(s) == 16
}

// randomID is a random number of 64 bits, as 16 digits.
func randomID() string {
	var id [8]byte
	_, _ = rand.Read(id[:]) // never fails
	return hex.EncodeToString(id[:])
}
