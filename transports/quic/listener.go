package quic

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/url"
	"sync"
	"sync/atomic"

	"github.com/quic-go/quic-go"

	"github.com/stella-ops/router/spec"
	"github.com/stella-ops/router/transports"
	"github.com/stella-ops/router/transports/trust"
)

const (
	// opening bounds the connections that have shaken hands and not yet become a link. When more than that shake hands,
	// further ones have to prove first that their address is theirs, which takes a round trip.
	opening = 256
	// shaking bounds the connections that shake hands at once; further ones are refused.
	shaking = 4096
)

var errBusy = fmt.Errorf("quic: %d others are shaking hands", shaking)

func listen(ctx context.Context, u *url.URL, cfg transports.ListenConfig) (transports.Listener, error) {
	proof, err := trust.Server(u, func(err error) {
		if cfg.Rejected != nil {
			cfg.Rejected(u.Host, err)
		}
	})
	if err != nil {
		return nil, err
	}
	addrs, err := resolve(ctx, u)
	if err != nil {
		return nil, err
	}
	// The address is checked before it is bound: not even for a moment is the port open to others.
	if !addrs[0].IP.IsLoopback() && !cfg.Authenticated && !trust.Proves(u) {
		return nil, fmt.Errorf(
			"quic: listen %s: not a loopback address: nobody there would have to prove who it is; expected clients", u.Redacted())
	}
	s, err := open(addrs[0])
	if err != nil {
		return nil, err
	}
	l := &listener{cfg: cfg, proof: proof, s: s, links: make(chan transports.Link)}
	l.ctx, l.cancel = context.WithCancelCause(context.Background())
	s.tr.ConnContext = l.attempt
	s.tr.VerifySourceAddress = func(net.Addr) bool { return l.shaking.Load() > opening }
	if l.ln, err = s.tr.Listen(proof, config(1)); err != nil { // one: the control stream
		_ = s.release()
		return nil, fmt.Errorf("quic: %w", err)
	}
	l.wg.Go(l.accept)
	return l, nil
}

type listener struct {
	ln     *quic.Listener
	s      *socket
	cfg    transports.ListenConfig
	proof  *tls.Config
	links  chan transports.Link
	ctx    context.Context //nolint:containedctx // the listener's life
	cancel context.CancelCauseFunc
	wg     sync.WaitGroup // the accepting goroutine, and one for each connection that is opening
	once   sync.Once
	err    error // of closing

	shaking atomic.Int32 // attempts whose handshake has not ended
}

// attempt is one connection, from its first packet on.
type attempt struct {
	remote string
	taken  atomic.Bool // its handshake has ended
}

type attemptKey struct{}

// attempt watches a connection whose handshake has begun, so that one that fails is told of.
func (l *listener) attempt(ctx context.Context, info *quic.ClientInfo) (context.Context, error) {
	a := &attempt{remote: info.RemoteAddr.String()}
	if l.shaking.Add(1) > shaking {
		l.shaking.Add(-1)
		l.rejected(a.remote, errBusy)
		return nil, errBusy
	}
	context.AfterFunc(ctx, func() {
		if l.take(a) && l.ctx.Err() == nil {
			l.rejected(a.remote, fmt.Errorf("quic: handshake: %w", explain(context.Cause(ctx), l.proof)))
		}
	})
	return context.WithValue(ctx, attemptKey{}, a), nil
}

// take ends the attempt, as a connection or without one. It is false the second time.
func (l *listener) take(a *attempt) bool {
	if a.taken.Swap(true) {
		return false
	}
	l.shaking.Add(-1)
	return true
}

func (l *listener) rejected(remote string, err error) {
	if l.cfg.Rejected != nil {
		l.cfg.Rejected(remote, err)
	}
}

func (l *listener) accept() {
	slots := make(chan struct{}, opening)
	for {
		// Without a context: what has shaken hands when the listener is closed is closed here.
		conn, err := l.ln.Accept(context.Background())
		if err != nil {
			l.cancel(fmt.Errorf("quic: accept: %w", err))
			return
		}
		a, ok := conn.Context().Value(attemptKey{}).(*attempt)
		if ok && !l.take(a) {
			continue // it is gone, and told of
		}
		select {
		case slots <- struct{}{}:
		case <-l.ctx.Done():
			_ = conn.CloseWithError(codeFailed, "")
			continue
		}
		l.wg.Go(func() {
			defer func() { <-slots }()
			l.open(conn)
		})
	}
}

func (l *listener) open(conn *quic.Conn) {
	remote := conn.RemoteAddr().String()
	link, err := l.link(conn)
	if err != nil {
		_ = conn.CloseWithError(codeFailed, "")
		l.rejected(remote, err)
		return
	}
	select {
	case l.links <- link:
	case <-l.ctx.Done():
		_ = link.Close()
	}
}

func (l *listener) link(conn *quic.Conn) (*link, error) {
	ctx, cancel := context.WithTimeout(l.ctx, spec.HelloTimeout)
	defer cancel()
	control, err := conn.AcceptStream(ctx)
	if err != nil {
		return nil, fmt.Errorf("quic: no control stream: %w", err)
	}
	s := l.s.share()
	link, err := newLink(ctx, s, conn, control, true)
	if err != nil {
		_ = s.release() // the listener has its own share
		return nil, err
	}
	return link, nil
}

func (l *listener) Accept() (transports.Link, error) {
	select {
	case link := <-l.links:
		return link, nil
	case <-l.ctx.Done():
		return nil, context.Cause(l.ctx)
	}
}

// Addr is the URL with the port that was taken and, for want of the peer's, without files: who dials adds those.
func (l *listener) Addr() string { return Scheme + "://" + l.ln.Addr().String() }

func (l *listener) Close() error {
	l.once.Do(func() {
		l.cancel(net.ErrClosed)
		err := l.ln.Close()
		l.wg.Wait()
		l.err = errors.Join(err, l.s.release())
	})
	return l.err
}
