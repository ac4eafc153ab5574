package valkey

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	client "github.com/valkey-io/valkey-go"

	"github.com/stella-ops/router/transports"
)

func listen(ctx context.Context, u *url.URL, cfg transports.ListenConfig) (transports.Listener, error) {
	t, err := parse(u)
	if err != nil {
		return nil, err
	}
	if !cfg.Authenticated {
		if err := loopback(ctx, t.addr); err != nil {
			return nil, fmt.Errorf("valkey: listen %s: %w", t.url(), err)
		}
	}
	b, err := acquire(ctx, t)
	if err != nil {
		return nil, err
	}
	id := randomID()
	l := &listener{
		b: b, cfg: cfg, id: id, inbox: t.key("gateway", id),
		links: make(chan transports.Link), opening: make(chan opening, maxInbox), done: make(chan struct{}), again: make(chan struct{}, 1),
	}
	if err := l.register(ctx); err != nil {
		b.release()
		return nil, fmt.Errorf("valkey: listen %s: %w", t.url(), err)
	}
	b.add(l.inbox, l, fromStart)
	l.wg.Go(l.open)
	l.wg.Go(l.stay)
	return l, nil
}

// loopback refuses servers that others can reach.
func loopback(ctx context.Context, addr string) error {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return err
	}
	ips, err := net.DefaultResolver.LookupIPAddr(ctx, host)
	if err != nil {
		return err
	}
	for _, ip := range ips {
		if !ip.IP.IsLoopback() {
			return errors.New("the server is not on a loopback address: nobody there would have to prove who it is")
		}
	}
	return nil
}

type listener struct {
	b          *broker
	cfg        transports.ListenConfig
	id         string
	inbox      string // its key
	links      chan transports.Link
	opening    chan opening
	done       chan struct{}
	again      chan struct{} // register now
	registered atomic.Int64  // when it has, since the broker's birth
	once       sync.Once
	wg         sync.WaitGroup

	mu     sync.Mutex
	closed bool // nothing is announced any more
}

// opening is a session that somebody has announced.
type opening struct {
	link     *link
	versions string
}

// register renews the listener's lease.
func (l *listener) register(ctx context.Context) error {
	made, err := l.b.script(ctx, registerScript, []string{l.b.target.key("gateways"), l.inbox},
		[]string{l.id, strconv.FormatInt(gatewayLease.Milliseconds(), 10)}).AsInt64()
	if err != nil {
		return fmt.Errorf("register: %w", err)
	}
	if made == 1 {
		l.b.rewind(l.inbox) // after a flush or restart, perhaps
	}
	return nil
}

// stay registers anew until the listener is closed. A server that is away for a while does not end it.
func (l *listener) stay() {
	tick := time.NewTimer(registerEvery + block)
	defer tick.Stop()
	for {
		select {
		case <-l.done:
			return
		case <-l.again:
			tick.Reset(0)
		case <-tick.C:
			tick.Reset(registerEvery + block) // a pulse of the broker's comes before it
			l.registered.Store(int64(time.Since(l.b.born)))
			if err := l.register(context.Background()); err != nil {
				l.fail(fmt.Errorf("valkey: %s: again in %v: %w", l.b.target.addr, registerEvery, err))
			}
		}
	}
}

// hurry has the listener register at once.
func (l *listener) hurry() {
	select {
	case l.again <- struct{}{}:
	default:
	}
}

// take implements owner.
func (l *listener) take(entries []client.XRangeSlice) {
	for _, e := range entries {
		var nonce, versions string
		for _, f := range e.FieldValues {
			switch f.Field {
			case "n":
				nonce = f.Value
			case "v":
				versions = f.Value
			case fieldOpen: // what made the stream
				nonce = fieldOpen
			}
		}
		if nonce == fieldOpen {
			continue
		}
		if !isID(nonce) {
			l.fail(fmt.Errorf("valkey: the inbox has an entry with the nonce %.40q, expected 16 hexadecimal digits", nonce))
			continue
		}
		if err := l.announce(nonce, versions); err != nil {
			l.fail(fmt.Errorf("valkey: session %s: %w", nonce, err))
		}
	}
}

func (l *listener) announce(nonce, versions string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.closed:
		return net.ErrClosed
	case len(l.opening) == cap(l.opening): // only this function adds
		return fmt.Errorf("%d others are waiting to be accepted", maxInbox)
	}
	link := newLink(l.b, nonce, "s2g", "g2s")
	if !l.b.add(link.in, link, firstID) {
		link.b.release() // nobody has seen it
		return errors.New("announced twice")
	}
	l.opening <- opening{link, versions}
	return nil
}

// full implements owner.
func (l *listener) full() bool { return len(l.opening) == cap(l.opening) }

// prompt implements owner.
func (l *listener) prompt() bool { return true }

// fail implements owner: it ends nothing.
func (l *listener) fail(err error) { l.reject(l.b.target.addr, err) }

func (l *listener) reject(remote string, err error) {
	if l.cfg.Rejected != nil {
		l.cfg.Rejected(remote, err)
	}
}

// open answers the sessions that were announced.
func (l *listener) open() {
	for {
		select {
		case <-l.done:
			return
		case o := <-l.opening:
			if err := o.answer(); err != nil {
				l.reject(o.link.Traits().Remote, err)
				_ = o.link.Close()
				continue
			}
			select {
			case l.links <- o.link:
			case <-l.done:
				_ = o.link.Close()
			}
		}
	}
}

func (o opening) answer() error {
	refused := checkVersions(o.versions)
	field, value := fieldVersion, versions()
	if refused != nil {
		field, value = fieldRefused, refused.Error()
	}
	if err := o.link.say(field, value); err != nil {
		return fmt.Errorf("valkey: answering the opening: %w", err)
	}
	return refused
}

// say writes one entry that is not frames, at the beginning.
func (l *link) say(field, value string) error {
	l.box.Lock()
	defer l.box.Unlock()
	if err := l.stored(l.b.do(context.Background(), l.xadd(l.box.seq+1, field, value)).Error(), false); err != nil {
		return err
	}
	l.box.seq++
	return nil
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
func (l *listener) Addr() string { return l.b.target.url() }

func (l *listener) Close() error {
	l.once.Do(func() {
		close(l.done)
		l.b.remove(l.inbox)
		l.mu.Lock()
		l.closed = true
		l.mu.Unlock()
		l.wg.Wait()
		if !l.b.silent.Load() {
			cmd := l.b.client.B()
			l.b.multi(context.Background(),
				cmd.Zrem().Key(l.b.target.key("gateways")).Member(l.id).Build(),
				cmd.Del().Key(l.inbox).Build())
		}
		for {
			select {
			case o := <-l.opening:
				_ = o.link.Close()
				continue
			default:
			}
			break
		}
		l.b.release()
	})
	return nil
}
