package rabbitmq

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/stella-ops/router/transports/trust"
)

// conn is one connection to a server. The library waits for ever while the server does not read, and its contexts and its
// Close do too: so this package keeps the network connection, whose end wakes everybody.
type conn struct {
	*amqp.Connection

	raw    net.Conn // of TCP, also with TLS: closing that says goodbye, which a server that does not read would hold up
	closed chan *amqp.Error
	blocks chan amqp.Blocking
}

// wire is a network connection each of whose writes has a deadline.
type wire struct{ net.Conn }

func (w wire) Write(p []byte) (int, error) {
	if err := w.SetWriteDeadline(time.Now().Add(writeTimeout)); err != nil {
		return 0, err
	}
	return w.Conn.Write(p)
}

// connect opens a connection. The name is what the server's tools list it by.
func connect(ctx context.Context, t target, name string) (*conn, error) {
	ctx, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	raw, over, err := t.dial(ctx)
	if err != nil {
		return nil, fmt.Errorf("rabbitmq: %s: %w", t.url(), err)
	}
	stop := context.AfterFunc(ctx, func() { _ = raw.Close() })
	c, err := amqp.Open(wire{over}, amqp.Config{
		SASL: []amqp.Authentication{&amqp.PlainAuth{Username: t.user, Password: t.password}}, Vhost: t.vhost, Heartbeat: heartbeat,
		Locale: "en_US", Properties: amqp.Table{"product": "stella", "connection_name": "stella " + t.prefix + " " + name},
	})
	if !stop() && err == nil {
		err = context.Cause(ctx)
	}
	if err != nil {
		_ = raw.Close() // which ends the library's goroutines
		if ctx.Err() != nil {
			err = fmt.Errorf("no answer for %v: %w", connectTimeout, context.Cause(ctx))
		}
		return nil, fmt.Errorf("rabbitmq: %s: connect as %s: %w", t.url(), t.user, err)
	}
	return &conn{
		Connection: c, raw: raw,
		closed: c.NotifyClose(make(chan *amqp.Error, 1)), blocks: c.NotifyBlocked(make(chan amqp.Blocking, 1)),
	}, nil
}

// dial opens the network connection, and over it what carries AMQP.
func (t target) dial(ctx context.Context) (raw, over net.Conn, err error) {
	var d net.Dialer
	if raw, err = d.DialContext(ctx, "tcp", t.addr); err != nil {
		return nil, nil, err
	}
	if !t.tls {
		return raw, raw, nil
	}
	cfg, err := trust.Client(t.trusted())
	if err == nil {
		cfg.NextProtos = nil // the server speaks AMQP, and names no protocol
		secure := tls.Client(raw, cfg)
		if err = secure.HandshakeContext(ctx); err == nil {
			return raw, secure, nil
		}
		err = fmt.Errorf("connect with TLS: %w", trust.Explain(err, trust.Remote(err), cfg, cfg.ServerName))
	}
	_ = raw.Close()
	return nil, nil, err
}

// end closes the connection, in an orderly way if the server goes along within closeTimeout.
func (c *conn) end() {
	force := time.AfterFunc(closeTimeout, func() { _ = c.raw.Close() })
	defer force.Stop()
	_ = c.Close()
	_ = c.raw.Close()
}

// watch tells fail why the connection has ended, or that the server has not read from it for blockedFor. It returns when the
// connection has ended.
func (c *conn) watch(fail func(error)) {
	var reason string
	patience := time.NewTimer(0)
	patience.Stop()
	defer patience.Stop()
	for blocks := c.blocks; ; {
		select {
		case why, ok := <-c.closed:
			if !ok {
				fail(net.ErrClosed)
				return
			}
			fail(fmt.Errorf("the connection has ended: %w", why))
		case state, ok := <-blocks:
			switch {
			case !ok:
				blocks = nil
			case state.Active:
				reason = state.Reason
				patience.Reset(blockedFor)
			default:
				patience.Stop()
			}
		case <-patience.C:
			fail(fmt.Errorf("%w (%s)", ErrBlocked, reason))
		}
	}
}

// ErrBlocked is what errors wrap while the server takes no messages.
var ErrBlocked = errors.New("blocked by the server's resource alarm: it is short of memory or disk space, and takes no messages until that is over")
