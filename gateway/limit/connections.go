package limit

import (
	"net"
	"net/netip"
	"sync"
	"sync/atomic"

	"github.com/stella-ops/router/gateway/telemetry"
)

// door counts the connections of clients over all listeners. It is asked once for a connection, not for a request.
type door struct {
	bounds Connections

	mu    sync.Mutex
	total int
	by    map[network]int // only addresses with connections are in it

	refused [2]atomic.Uint64 // for the total, and for an address
}

// LimitListener returns a listener whose connections count, together with those of the limiter's other listeners. One that
// is too many is closed at once, before a byte is read, and Accept waits for the next one. Connections from the exempt
// networks count for the total only: they are of proxies, which speak for many. Without bounds the listener is returned as
// it is.
func (l *Limiter) LimitListener(inner net.Listener, exempt ...netip.Prefix) net.Listener {
	if l == nil || l.door.bounds == (Connections{}) {
		return inner
	}
	return &listener{Listener: inner, door: &l.door, exempt: exempt}
}

type listener struct {
	net.Listener

	door   *door
	exempt []netip.Prefix
}

// Accept waits for a connection that may stay.
func (l *listener) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		who, counts := l.client(c)
		if l.door.enter(who, counts) {
			return &conn{Conn: c, door: l.door, who: who, counts: counts}, nil
		}
		_ = c.Close() // there is nobody to tell
	}
}

// client is whose connection it is, and whether that one's connections are bounded.
func (l *listener) client(c net.Conn) (who network, counts bool) {
	peer, err := netip.ParseAddrPort(c.RemoteAddr().String())
	if err != nil {
		return who, false
	}
	for _, network := range l.exempt {
		if network.Contains(peer.Addr().Unmap()) {
			return who, false
		}
	}
	return networkOf(peer.Addr()), true
}

func (d *door) enter(who network, counts bool) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.bounds.Total > 0 && d.total >= d.bounds.Total {
		d.refused[0].Add(1)
		return false
	}
	if counts && d.bounds.PerAddress > 0 {
		if d.by[who] >= d.bounds.PerAddress {
			d.refused[1].Add(1)
			return false
		}
		d.by[who]++
	}
	d.total++
	return true
}

func (d *door) leave(who network, counts bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.total--
	if counts && d.bounds.PerAddress > 0 {
		if d.by[who]--; d.by[who] == 0 {
			delete(d.by, who)
		}
	}
}

func (d *door) open() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.total
}

func (d *door) refusals() map[telemetry.Crowd]uint64 {
	return map[telemetry.Crowd]uint64{telemetry.CrowdTotal: d.refused[0].Load(), telemetry.CrowdAddress: d.refused[1].Load()}
}

// conn counts itself out when it is closed.
type conn struct {
	net.Conn

	door   *door
	who    network
	counts bool
	once   sync.Once
}

// Close closes the connection.
func (c *conn) Close() error {
	c.once.Do(func() { c.door.leave(c.who, c.counts) })
	return c.Conn.Close()
}

// NetConn is the connection below, for those who look for a socket.
func (c *conn) NetConn() net.Conn { return c.Conn }
