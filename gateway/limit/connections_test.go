package limit_test

import (
	"io"
	"net"
	"net/netip"
	"sync"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/stella-ops/router/gateway/limit"
	"github.com/stella-ops/router/gateway/telemetry"
)

// knocked is a listener whose connections come from the addresses that the spec says.
type knocked struct {
	come  chan net.Conn
	ended chan struct{}
	once  sync.Once
}

func (k *knocked) Accept() (net.Conn, error) {
	select {
	case c := <-k.come:
		return c, nil
	case <-k.ended:
		return nil, net.ErrClosed
	}
}

func (k *knocked) Close() error {
	k.once.Do(func() { close(k.ended) })
	return nil
}

func (*knocked) Addr() net.Addr { return &net.TCPAddr{} }

// peer is the gateway's end of a connection from an address.
type peer struct {
	net.Conn

	from net.Addr
}

func (p peer) RemoteAddr() net.Addr { return p.from }

// door is a limited listener at which a spec knocks.
type door struct {
	*limit.Limiter

	inner    *knocked
	accepted chan net.Conn
}

func newDoor(c limit.Connections, exempt ...netip.Prefix) *door {
	GinkgoHelper()
	d := &door{
		Limiter: newLimiter(limit.Config{Connections: c}), inner: &knocked{come: make(chan net.Conn), ended: make(chan struct{})},
		accepted: make(chan net.Conn, 1),
	}
	ln, done := d.LimitListener(d.inner, exempt...), make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			d.accepted <- c
		}
	}()
	DeferCleanup(func() {
		Expect(ln.Close()).To(Succeed())
		Eventually(done).WithTimeout(patience).Should(BeClosed())
	})
	return d
}

// knock is a connection from an address; nil if it was closed.
func (d *door) knock(address string) net.Conn {
	GinkgoHelper()
	from, err := net.ResolveTCPAddr("tcp", address)
	Expect(err).NotTo(HaveOccurred())
	near, far := net.Pipe()
	d.inner.come <- peer{near, from}
	closed := make(chan struct{})
	go func() {
		defer close(closed)
		_, _ = far.Read(make([]byte, 1))
	}()
	select {
	case c := <-d.accepted:
		DeferCleanup(func() { _ = c.Close() })
		return c
	case <-closed:
		return nil
	case <-time.After(patience):
		Fail("the connection is neither taken nor closed")
		return nil
	}
}

var _ = Describe("a listener with limits", func() {
	It("is the listener itself without bounds", func() {
		k := &knocked{}
		Expect(newLimiter(limit.Config{}).LimitListener(k)).To(BeIdenticalTo(k))
		Expect((*limit.Limiter)(nil).LimitListener(k)).To(BeIdenticalTo(k))
	})

	It("closes connections beyond the total, and takes others once some have ended, however often they are closed", func() {
		d := newDoor(limit.Connections{Total: 2})
		first := d.knock("192.0.2.1:1")
		Expect(first).NotTo(BeNil())
		Expect(d.knock("192.0.2.2:1")).NotTo(BeNil())
		Expect(d.knock("192.0.2.3:1")).To(BeNil())
		Expect(first.Close()).To(Succeed())
		_ = first.Close()
		Expect(d.knock("192.0.2.3:1")).NotTo(BeNil())
		Expect(d.knock("192.0.2.3:2")).To(BeNil())
		Expect(d.Limits().Connections).To(Equal(2))
		Expect(d.Limits().Refused).To(Equal(map[telemetry.Crowd]uint64{telemetry.CrowdTotal: 2, telemetry.CrowdAddress: 0}))
	})

	It("closes connections beyond those of one address, which in IPv6 is a /64, and not those of proxies", func() {
		d := newDoor(limit.Connections{PerAddress: 1}, netip.MustParsePrefix("10.0.0.0/8"))
		for _, want := range []struct {
			address string
			stays   bool
		}{
			{"192.0.2.1:1", true}, {"192.0.2.1:2", false}, {"[::ffff:192.0.2.1]:3", false}, {"192.0.2.2:1", true},
			{"[2001:db8::1]:1", true}, {"[2001:db8::2]:1", false}, {"[2001:db8:0:1::1]:1", true},
			{"10.1.2.3:1", true}, {"10.1.2.3:2", true},
		} {
			Expect(d.knock(want.address) != nil).To(Equal(want.stays), want.address)
		}
		Expect(d.Limits().Refused).To(HaveKeyWithValue(telemetry.CrowdAddress, uint64(3)))
	})

	It("counts over several listeners, and ends with the listener", func() {
		l := newLimiter(limit.Config{Connections: limit.Connections{Total: 1}})
		dial := func() (net.Listener, net.Conn) {
			GinkgoHelper()
			inner, err := net.Listen("tcp", "127.0.0.1:0")
			Expect(err).NotTo(HaveOccurred())
			DeferCleanup(func() { _ = inner.Close() })
			c, err := net.Dial("tcp", inner.Addr().String())
			Expect(err).NotTo(HaveOccurred())
			DeferCleanup(func() { _ = c.Close() })
			return l.LimitListener(inner), c
		}
		ln, _ := dial()
		taken, err := ln.Accept()
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(taken.Close)
		other, c := dial()
		ended := make(chan error, 1)
		go func() {
			_, err := other.Accept()
			ended <- err
		}()
		Expect(c.SetReadDeadline(time.Now().Add(patience))).To(Succeed())
		_, err = c.Read(make([]byte, 1))
		Expect(err).To(Or(MatchError(io.EOF), MatchError(ContainSubstring("reset"))))
		Expect(other.Close()).To(Succeed())
		Eventually(ended).WithTimeout(patience).Should(Receive(MatchError(net.ErrClosed)))
	})
})
