package udp

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	"github.com/onsi/gomega/gleak"

	"github.com/stella-ops/router/spec"
	"github.com/stella-ops/router/transports"
	"github.com/stella-ops/router/transports/faultproxy"
)

const patience = 10 * time.Second

// noLeaks fails a test that leaves a goroutine.
func noLeaks(t *testing.T) {
	t.Helper()
	before := gleak.Goroutines()
	t.Cleanup(func() {
		NewWithT(t).Eventually(gleak.Goroutines).WithTimeout(patience).ShouldNot(gleak.HaveLeaked(before))
	})
}

// local is a listener on a loopback address.
func local(t *testing.T, rejected func(string, error)) *listener {
	t.Helper()
	noLeaks(t)
	ln, err := transports.Listen(t.Context(), "udp://127.0.0.1:0", transports.ListenConfig{Rejected: rejected})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ln.Close() })
	l, ok := ln.(*listener)
	if !ok {
		t.Fatalf("a listener of type %T", ln)
	}
	return l
}

func dial(t *testing.T, url string) *link {
	t.Helper()
	l, err := transports.Dial(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	far, ok := l.(*link)
	if !ok {
		t.Fatalf("a link of type %T", l)
	}
	return far
}

func accept(t *testing.T, ln *listener) *link {
	t.Helper()
	l, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	near, ok := l.(*link)
	if !ok {
		t.Fatalf("a link of type %T", l)
	}
	return near
}

// pair is both ends of a link.
func pair(t *testing.T) (near, far *link) {
	t.Helper()
	ln := local(t, nil)
	far = dial(t, ln.Addr())
	return accept(t, ln), far
}

// faulty is a pair that talks through a proxy.
func faulty(t *testing.T, seed uint64, faults faultproxy.Faults) (near, far *link, proxy *faultproxy.UDP) {
	t.Helper()
	ln := local(t, nil)
	proxy, err := faultproxy.ListenUDP(strings.TrimPrefix(ln.Addr(), "udp://"), seed)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = proxy.Close() })
	proxy.Set(faultproxy.ToTarget, faults)
	proxy.Set(faultproxy.ToClient, faults)
	far = dial(t, "udp://"+proxy.Addr())
	return accept(t, ln), far, proxy
}

// call is a frame of a call that has its number and so many bytes in its body.
func call(n uint32, size int) *transports.Frame {
	f := transports.NewFrame(size)
	f.SetBytes(append(f.Bytes(), pattern(n, size)...))
	f.Seal(spec.TypeRequest, spec.FlagInlineBody|spec.FlagEnd, 2+2*n, 0, 0)
	return f
}

// pattern is bytes that show when some are missing, or another frame's.
func pattern(n uint32, size int) []byte {
	b := make([]byte, size)
	for i := range b {
		b[i] = byte(uint32(i*31>>3) + n)
	}
	return b
}

// hello is a frame of the session.
func hello(size int) *transports.Frame {
	f := transports.NewFrame(size)
	f.SetBytes(append(f.Bytes(), pattern(7, size)...))
	f.Seal(spec.TypeHello, spec.FlagInlineBody, 0, 0, 0)
	return f
}

func ping(n uint32) *transports.Frame { return transports.NewControl(spec.TypePing, 0, n, nil) }

func write(t *testing.T, l *link, frames ...*transports.Frame) {
	t.Helper()
	if err := l.WriteFrames(frames); err != nil {
		t.Fatal(err)
	}
}

// read returns the next frame's header and payload.
func read(t *testing.T, l *link) (spec.Header, []byte) {
	t.Helper()
	type result struct {
		f   *transports.Frame
		err error
	}
	c := make(chan result, 1)
	go func() {
		f, err := l.ReadFrame()
		c <- result{f, err}
	}()
	select {
	case r := <-c:
		if r.err != nil {
			t.Fatal(r.err)
		}
		defer r.f.Release()
		return r.f.Header(), bytes.Clone(r.f.Payload())
	case <-time.After(patience):
		t.Fatal("nothing came")
		return spec.Header{}, nil
	}
}

// ends returns the error that a link's reading ends with.
func ends(t *testing.T, l *link) error {
	t.Helper()
	c := make(chan error, 1)
	go func() {
		for {
			f, err := l.ReadFrame()
			if err != nil {
				c <- err
				return
			}
			f.Release()
		}
	}()
	select {
	case err := <-c:
		return err
	case <-time.After(patience):
		t.Fatal("the link does not end")
		return nil
	}
}

func TestURLs(t *testing.T) {
	for url, want := range map[string]string{
		"udp://127.0.0.1": "", "udp://[::1]:5102": "", "udp://gateway:1": "",
		"udp://":                "expected udp://host:port",
		"udp://:5102":           "expected udp://host:port",
		"udp://h:5102/":         "expected udp://host:port",
		"udp://h:5102?":         "expected udp://host:port",
		"udp://h:5102?a=b":      "expected udp://host:port",
		"udp://h:5102#a":        "expected udp://host:port",
		"udp://user:pw@h:5102":  "expected udp://host:port",
		"udp://h:65536":         "at most 65535",
		"udp:h:5102":            "has no //",
		"udp://h:5102/manifest": "expected udp://host:port",
	} {
		_, _, err := transports.Parse(url)
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: %v, expected %q", url, err, want)
		}
		if err != nil && strings.Contains(err.Error(), "pw") {
			t.Errorf("%s: the error has the password: %v", url, err)
		}
	}
}

func TestListensOnLoopbackUnlessPeersProveWhoTheyAre(t *testing.T) {
	noLeaks(t)
	_, err := transports.Listen(t.Context(), "udp://0.0.0.0:0", transports.ListenConfig{})
	if err == nil || !strings.Contains(err.Error(), "not a loopback address") {
		t.Fatalf("got %v", err)
	}
	ln, err := transports.Listen(t.Context(), "udp://0.0.0.0:0", transports.ListenConfig{Authenticated: true})
	if err != nil {
		t.Fatal(err)
	}
	if err := ln.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := ln.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Fatalf("got %v", err)
	}
}

func TestFramesGoBothWays(t *testing.T) {
	near, far := pair(t)
	for _, d := range []struct{ from, to *link }{{near, far}, {far, near}} {
		for n, size := range []int{0, 1, 500, maxPayload} {
			write(t, d.from, call(uint32(n), size))
			h, payload := read(t, d.to)
			if h.Type != spec.TypeRequest || h.Stream != uint32(2+2*n) || !bytes.Equal(payload, pattern(uint32(n), size)) {
				t.Errorf("%d bytes: got %+v with %d bytes", size, h, len(payload))
			}
		}
	}
	traits := near.Traits()
	if traits.Order != transports.OrderNone || traits.Streams || traits.MaxPayload != maxPayload || traits.Scheme != "udp" {
		t.Errorf("traits %+v", traits)
	}
}

func TestACallThatDoesNotFitADatagram(t *testing.T) {
	near, far := pair(t)
	small := call(1, 10)
	if err := far.WriteFrames([]*transports.Frame{small, call(2, maxPayload+1)}); !errors.Is(err, ErrTooLarge) {
		t.Fatalf("got %v", err)
	}
	write(t, far, call(3, 10))
	if h, _ := read(t, near); h.Stream != 8 {
		t.Errorf("got %+v, expected the only frame that was written", h)
	}
}

func TestLargeFramesOfTheSession(t *testing.T) {
	near, far := pair(t)
	for _, size := range []int{maxPayload + 1, datagram, 10_000, spec.MaxFrameHello} {
		write(t, far, hello(size), call(1, 1))
		h, payload := read(t, near)
		if h.Type != spec.TypeHello || !bytes.Equal(payload, pattern(7, size)) {
			t.Fatalf("%d bytes: got %+v with %d bytes", size, h, len(payload))
		}
		if h, _ := read(t, near); h.Stream != 4 {
			t.Fatalf("%d bytes: then %+v", size, h)
		}
	}
}

func TestAFrameOverTheLimitEndsTheLink(t *testing.T) {
	for _, size := range []int{200, 10_000} {
		t.Run(strconv.Itoa(size), func(t *testing.T) {
			near, far := pair(t)
			near.SetMaxPayload(100)
			write(t, far, hello(size))
			if err := ends(t, near); !strings.Contains(err.Error(), "the limit is") {
				t.Errorf("got %v", err)
			}
		})
	}
}

// bad is what networks do to datagrams at their worst.
var bad = faultproxy.Faults{Loss: 0.2, Duplicate: 0.2, Reorder: 0.2}

func TestEveryFrameComesExactlyOnce(t *testing.T) {
	const frames = 600
	near, far, proxy := faulty(t, 1, bad)
	large := map[uint32]int{0: 20_000, 200: 3000, 400: 5000} // bytes of session frames before these calls
	var wg sync.WaitGroup
	for _, d := range []struct{ from, to *link }{{near, far}, {far, near}} {
		wg.Go(func() {
			for n := range uint32(frames) {
				batch := []*transports.Frame{call(n, int(n))}
				if size := large[n]; size > 0 {
					batch = []*transports.Frame{hello(size), batch[0]}
				}
				if err := d.from.WriteFrames(batch); err != nil {
					t.Error(err)
					return
				}
			}
		})
		wg.Go(func() {
			came, hellos := map[uint32]bool{}, 0
			for range frames + len(large) {
				f, err := d.to.ReadFrame()
				if err != nil {
					t.Error(err)
					return
				}
				h := f.Header()
				n := (h.Stream - 2) / 2
				switch {
				case h.Type == spec.TypeHello:
					if size := []int{20_000, 3000, 5000}[hellos]; !bytes.Equal(f.Payload(), pattern(7, size)) {
						t.Errorf("session frame %d has %d bytes, expected %d", hellos, h.Length, size)
					}
					hellos++
				case came[n] || n >= frames || !bytes.Equal(f.Payload(), pattern(n, int(n))):
					t.Errorf("frame %d: twice %t, %+v", n, came[n], h)
				case hellos < 1+int(n/200):
					t.Errorf("frame %d has overtaken a session frame", n)
				default:
					came[n] = true
				}
				f.Release()
			}
		})
	}
	wg.Wait()
	if proxy.Dropped(faultproxy.ToTarget) == 0 || proxy.Dropped(faultproxy.ToClient) == 0 {
		t.Error("nothing was lost on the way")
	}
	if far.Dropped() > 0 || near.Dropped() > 0 {
		t.Errorf("%d and %d datagrams thrown away", far.Dropped(), near.Dropped())
	}
}

func TestTruncatedDatagramsComeAgain(t *testing.T) {
	near, far, proxy := faulty(t, 2, faultproxy.Faults{})
	proxy.Set(faultproxy.ToTarget, faultproxy.Faults{CutAfter: 300})
	write(t, far, call(1, 500), hello(4000))
	limit := time.Now().Add(patience)
	cutOff := func() uint64 {
		return near.sock.(*shared).l.Dropped()[transports.DropMalformed] //nolint:forcetypeassert // a test
	}
	for cutOff() == 0 && near.Dropped() == 0 {
		if time.Now().After(limit) {
			t.Fatal("no truncated datagram was counted")
		}
		<-time.After(time.Millisecond)
	}
	proxy.Set(faultproxy.ToTarget, faultproxy.Faults{})
	for range 2 {
		if h, payload := read(t, near); h.Stream == 4 && !bytes.Equal(payload, pattern(1, 500)) {
			t.Errorf("got %d bytes", len(payload))
		}
	}
}

func TestManyLinks(t *testing.T) {
	const links, frames = 50, 40
	ln := local(t, nil)
	var wg sync.WaitGroup
	echo := func() {
		for range links {
			near, err := ln.Accept()
			if err != nil {
				t.Error(err)
				return
			}
			wg.Go(func() {
				defer near.Close()
				for {
					f, err := near.ReadFrame()
					if err != nil {
						if !errors.Is(err, io.EOF) {
							t.Error(err)
						}
						return
					}
					if err := near.WriteFrames([]*transports.Frame{f}); err != nil && !errors.Is(err, io.ErrClosedPipe) {
						t.Error(err)
					}
				}
			})
		}
	}
	wg.Go(echo)
	for i := range uint32(links) {
		wg.Go(func() {
			far, err := transports.Dial(t.Context(), ln.Addr())
			if err != nil {
				t.Error(err)
				return
			}
			defer far.Close()
			for n := range uint32(frames) {
				if err := far.WriteFrames([]*transports.Frame{call(1000*i+n, 100)}); err != nil {
					t.Error(err)
					return
				}
			}
			sum := uint32(0)
			for range frames {
				f, err := far.ReadFrame()
				if err != nil {
					t.Error(err)
					return
				}
				n := (f.Header().Stream - 2) / 2
				if n/1000 != i || !bytes.Equal(f.Payload(), pattern(n, 100)) {
					t.Errorf("link %d got %+v", i, f.Header())
				}
				sum += n % 1000
				f.Release()
			}
			if sum != frames*(frames-1)/2 {
				t.Errorf("link %d: not every frame came once", i)
			}
		})
	}
	wg.Wait()
}

func TestCloseIsHeard(t *testing.T) {
	for _, faults := range []faultproxy.Faults{{}, bad} {
		for _, nearFirst := range []bool{true, false} {
			t.Run(fmt.Sprintf("loss %v near %t", faults.Loss, nearFirst), func(t *testing.T) {
				near, far, _ := faulty(t, 3, faults)
				one, other := near, far
				if !nearFirst {
					one, other = far, near
				}
				const frames = 20
				for n := range uint32(frames) {
					write(t, one, call(n, 100))
				}
				start := time.Now()
				if err := one.Close(); err != nil {
					t.Fatal(err)
				}
				if d := time.Since(start); d > linger/4 {
					t.Errorf("Close took %v", d)
				}
				for range frames { // what was written before still counts
					read(t, other)
				}
				if err := ends(t, other); !errors.Is(err, io.EOF) {
					t.Errorf("the peer reads %v", err)
				}
				if err := other.WriteFrames([]*transports.Frame{ping(1)}); !errors.Is(err, io.ErrClosedPipe) {
					t.Errorf("the peer writes %v", err)
				}
				if err := ends(t, one); !errors.Is(err, net.ErrClosed) {
					t.Errorf("the closed end reads %v", err)
				}
				if err := one.WriteFrames([]*transports.Frame{ping(1)}); !errors.Is(err, net.ErrClosed) {
					t.Errorf("the closed end writes %v", err)
				}
				<-one.gone // the proxy must not end before
			})
		}
	}
}

func TestCloseEndsAWriteThatWaits(t *testing.T) {
	_, far, proxy := faulty(t, 4, faultproxy.Faults{})
	proxy.Set(faultproxy.ToTarget, faultproxy.Faults{Blackhole: faultproxy.Swallow})
	done := make(chan error, 1)
	go func() {
		var err error
		for n := uint32(0); err == nil; n++ {
			err = far.WriteFrames([]*transports.Frame{call(n, 1000)})
		}
		done <- err
	}()
	limit := time.Now().Add(patience)
	for flying := 0; flying < minFlight; <-time.After(time.Millisecond) {
		far.mu.Lock()
		flying = far.sender.flying
		far.mu.Unlock()
		if time.Now().After(limit) {
			t.Fatal("nothing is written")
		}
	}
	_ = far.Close()
	if err := <-done; !errors.Is(err, net.ErrClosed) {
		t.Errorf("got %v", err)
	}
}

func TestWriteSomeLeavesWhatHasNoRoom(t *testing.T) {
	near, far, proxy := faulty(t, 5, faultproxy.Faults{})
	proxy.Set(faultproxy.ToTarget, faultproxy.Faults{Blackhole: faultproxy.Swallow})
	const frames = 100
	var batch []*transports.Frame
	for n := range uint32(frames) {
		batch = append(batch, call(n, 10))
	}
	left, err := far.WriteSome(batch)
	if !left || err != nil {
		t.Fatalf("left %t, %v", left, err)
	}
	proxy.Set(faultproxy.ToTarget, faultproxy.Faults{})
	write(t, far)
	came := map[uint32]bool{}
	for range frames {
		h, _ := read(t, near)
		came[h.Stream] = true
	}
	if len(came) != frames {
		t.Errorf("%d frames came", len(came))
	}
}

func TestLinksOutliveTheirListener(t *testing.T) {
	ln := local(t, nil)
	far := dial(t, ln.Addr())
	near := accept(t, ln)
	waiting := dial(t, ln.Addr()) // is never accepted
	if err := ln.Close(); err != nil {
		t.Fatal(err)
	}
	if err := ends(t, waiting); !errors.Is(err, io.EOF) {
		t.Errorf("a link that nobody accepts reads %v", err)
	}
	write(t, far, call(1, 10))
	read(t, near)
	write(t, near, call(2, 10))
	read(t, far)
}

func TestNobodyListens(t *testing.T) {
	noLeaks(t)
	ln := local(t, nil)
	addr := ln.Addr()
	_ = ln.Close()
	start := time.Now()
	if l, err := transports.Dial(t.Context(), addr); err == nil {
		_ = l.Close()
		t.Error("dialled nobody")
	}
	if d := time.Since(start); d > patience {
		t.Errorf("took %v", d)
	}
}

func TestDialStopsWithItsContext(t *testing.T) {
	noLeaks(t)
	silent := socketFor(t)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	start := time.Now()
	_, err := transports.Dial(ctx, "udp://"+silent.LocalAddr().String())
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
	if d := time.Since(start); d > time.Second {
		t.Errorf("took %v", d)
	}
}

func TestAPeerThatForgotTheLink(t *testing.T) {
	ln := local(t, nil)
	far := dial(t, ln.Addr())
	near := accept(t, ln)
	ln.mu.Lock()
	clear(ln.table)
	ln.mu.Unlock()
	write(t, far, ping(1))
	if err := ends(t, far); !errors.Is(err, ErrReset) {
		t.Errorf("got %v", err)
	}
	_ = near.Close()
}

func socketFor(t *testing.T) *net.UDPConn {
	t.Helper()
	c, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	return c
}

// raw is a socket that talks to a listener by hand.
func raw(t *testing.T, ln *listener) *net.UDPConn {
	t.Helper()
	addr, ok := ln.conn.LocalAddr().(*net.UDPAddr)
	if !ok {
		t.Fatal("no UDP address")
	}
	c, err := net.DialUDP("udp", nil, addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// answers is what comes until it is quiet for a while.
func answers(t *testing.T, c *net.UDPConn) (all []envelope, size int) {
	t.Helper()
	buf := make([]byte, 2048)
	for {
		if err := c.SetReadDeadline(time.Now().Add(50 * time.Millisecond)); err != nil {
			t.Fatal(err)
		}
		n, err := c.Read(buf)
		if err != nil {
			return all, size
		}
		size += n
		e, ok := decode(buf[:n])
		if !ok {
			t.Fatalf("got %x", buf[:n])
		}
		all = append(all, e)
	}
}

func initFor(nonce uint64, low, high uint16) []byte {
	return appendVersions(appendHead(make([]byte, 0, datagram), kindInit, nonce), low, high)[:datagram]
}

func openFor(nonce uint64, low, high uint16, cookie [cookieSize]byte) []byte {
	return append(appendVersions(appendHead(nil, kindOpen, nonce), low, high), cookie[:]...)
}

func TestSourcesThatHaveShownNoCookie(t *testing.T) {
	ln := local(t, nil)
	one, other := raw(t, ln), raw(t, ln)
	const nonce = 42
	sent := 0
	send := func(c *net.UDPConn, b []byte) {
		n, err := c.Write(b)
		if err != nil {
			t.Fatal(err)
		}
		sent += n
	}
	send(one, initFor(nonce, 1, 1))
	got, _ := answers(t, one)
	if len(got) != 1 || got[0].kind != kindCookie {
		t.Fatalf("got %+v", got)
	}
	cookie := got[0].cookie
	// Nothing that a source says without its cookie makes more than it says.
	sent = 0
	wrong := cookie
	wrong[0]++
	numbered := appendHead(make([]byte, 0, datagram), kindData, 7)[:dataHead+spec.HeaderSize]
	ack := appendHead(make([]byte, 0, datagram), kindAck, 7)[:ackSize]
	for _, b := range [][]byte{
		openFor(nonce, 1, 1, wrong), openFor(nonce+1, 1, 1, cookie), openFor(nonce, 2, 3, wrong), numbered, ack, {magic}, {},
		appendHead(nil, kindReset, nonce), appendHead(make([]byte, 0, datagram), kindClose, 7)[:closeSize], initFor(nonce, 1, 1)[:100],
	} {
		send(one, b)
	}
	got, size := answers(t, one)
	for _, e := range got {
		if e.kind != kindCookie && e.kind != kindReset {
			t.Errorf("got %+v", e)
		}
	}
	if size > 3*sent || size == 0 {
		t.Errorf("%d bytes for %d", size, sent)
	}
	// Nor does another address with a cookie that is not its own.
	sent = 0
	send(other, openFor(nonce, 1, 1, cookie))
	if got, size = answers(t, other); size > 3*sent || len(got) != 1 || got[0].kind != kindCookie {
		t.Errorf("%d bytes for %d: %+v", size, sent, got)
	}
	ln.mu.Lock()
	links, dead := len(ln.table), len(ln.dead)
	ln.mu.Unlock()
	if links > 0 || dead > 0 || len(ln.links) > 0 {
		t.Errorf("%d links, %d dead", links, dead)
	}
	// The source itself is let in, once.
	for range 3 {
		send(one, openFor(nonce, 1, 1, cookie))
	}
	got, _ = answers(t, one)
	if len(got) != 3 || got[0].kind != kindAccept {
		t.Errorf("got %+v", got)
	}
	near := accept(t, ln)
	if len(ln.links) > 0 {
		t.Error("one OPEN made several links")
	}
	// An OPEN that comes after the link has ended makes no new one.
	_ = near.Close()
	<-near.gone
	answers(t, one)
	send(one, openFor(nonce, 1, 1, cookie))
	if got, _ := answers(t, one); len(got) != 1 || got[0].kind != kindReset {
		t.Errorf("got %+v", got)
	}
}

func TestCookies(t *testing.T) {
	b := newBaker()
	now := time.Now()
	addr := netip.MustParseAddrPort("127.0.0.1:1000")
	c := b.bake(addr, 1, now)
	for _, test := range []struct {
		addr  string
		nonce uint64
		after time.Duration
		good  bool
	}{
		{"127.0.0.1:1000", 1, 0, true},
		{"127.0.0.1:1000", 1, cookieLife, true},
		{"127.0.0.1:1000", 1, 2 * cookieLife, false},
		{"127.0.0.1:1000", 1, -2 * cookieLife, false},
		{"127.0.0.1:1001", 1, 0, false},
		{"127.0.0.2:1000", 1, 0, false},
		{"127.0.0.1:1000", 2, 0, false},
	} {
		if got := b.good(c, netip.MustParseAddrPort(test.addr), test.nonce, now.Add(test.after)); got != test.good {
			t.Errorf("%+v: got %t", test, got)
		}
	}
	if newBaker().good(c, addr, 1, now) {
		t.Error("another listener's cookie is good")
	}
}

func TestVersions(t *testing.T) {
	var rejected []error
	var mu sync.Mutex
	ln := local(t, func(_ string, err error) {
		mu.Lock()
		defer mu.Unlock()
		rejected = append(rejected, err)
	})
	for _, test := range []struct {
		low, high uint16
		ok        bool
	}{{2, 3, false}, {1, 5, true}, {1, 1, true}, {0, 0, false}} {
		o := opener{conn: raw(t, ln), nonce: uint64(test.low)<<16 | uint64(test.high), low: test.low, high: test.high}
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		_, err := o.open(ctx)
		cancel()
		if test.ok != (err == nil) || !test.ok && (!errors.Is(err, transports.ErrPreamble) || !strings.Contains(err.Error(), "versions 1 to 1")) {
			t.Errorf("%+v: got %v", test, err)
		}
	}
	mu.Lock()
	defer mu.Unlock()
	if len(rejected) != 2 || !errors.Is(rejected[0], transports.ErrPreamble) || !strings.Contains(rejected[0].Error(), "versions 2 to 3") {
		t.Errorf("rejected %v", rejected)
	}
	for range 2 {
		_ = accept(t, ln).Close()
	}
}

func TestGarbage(t *testing.T) {
	ln := local(t, nil)
	far := dial(t, ln.Addr())
	near := accept(t, ln)
	c := raw(t, ln)
	dice := uint64(1)
	for i := range 2000 {
		b := make([]byte, i%1300)
		for j := range b {
			dice = dice*6364136223846793005 + 1442695040888963407
			b[j] = byte(dice >> 56)
		}
		if len(b) > headSize && i%2 == 0 {
			b[0], b[1] = magic, byte(i/2%12)
		}
		if len(b) > headSize && i%4 == 0 { // the nonce of a link, from an address that is not its own
			binary.BigEndian.PutUint64(b[2:], far.nonce)
		}
		_, _ = c.Write(b)
	}
	write(t, far, call(1, 10))
	read(t, near)
	write(t, near, call(1, 10))
	read(t, far)
	for _, why := range []transports.Drop{transports.DropMalformed, transports.DropNoLink} {
		if ln.Dropped()[why] == 0 {
			t.Errorf("nothing was counted as %s: %v", why, ln.Dropped())
		}
	}
	if near.Dropped() > 0 {
		t.Error("another address got through to the link")
	}
}

// TestDropped holds that each datagram that is thrown away is counted once, for its reason.
func TestDropped(t *testing.T) {
	ln := local(t, nil)
	far := dial(t, ln.Addr())
	near := accept(t, ln)
	c := raw(t, ln)
	of := func(nonce uint64, kind kind, size int) []byte {
		return appendHead(make([]byte, 0, datagram), kind, nonce)[:size]
	}
	beyond := of(far.nonce, kindData, dataHead+spec.HeaderSize)
	binary.BigEndian.PutUint32(beyond[seqAt:], window+10)
	want := map[transports.Drop]uint64{
		transports.DropMalformed: 0, transports.DropNoLink: 0, transports.DropCookie: 0, transports.DropFull: 0, transports.DropMisplaced: 0,
	}
	for _, d := range []struct {
		why  transports.Drop
		send func()
	}{
		{transports.DropMalformed, func() { _, _ = c.Write([]byte("GET / HTTP/1.1")) }},
		{transports.DropMalformed, func() { _, _ = c.Write(make([]byte, datagram+1)) }},
		{transports.DropNoLink, func() { _, _ = c.Write(of(7, kindData, dataHead+spec.HeaderSize)) }},
		{transports.DropNoLink, func() { _, _ = c.Write(of(7, kindClose, closeSize)) }},
		{transports.DropNoLink, func() { _, _ = c.Write(of(7, kindReset, headSize)) }},
		{transports.DropCookie, func() { _, _ = c.Write(openFor(7, 1, 1, [cookieSize]byte{})) }},
		{transports.DropMisplaced, func() { far.sock.write(beyond) }},
		{transports.DropFull, func() {
			sink := netip.MustParseAddrPort(socketFor(t).LocalAddr().String())
			for nonce := uint64(0); ln.enter(key{sink, nonce}) == entered; nonce++ { // and nobody accepts them
			}
			k := key{netip.MustParseAddrPort(c.LocalAddr().String()), 7}
			_, _ = c.Write(openFor(7, 1, 1, ln.baker.bake(k.addr, k.nonce, time.Now())))
		}},
	} {
		d.send()
		want[d.why]++
		limit := time.Now().Add(patience)
		for !maps.Equal(ln.Dropped(), want) {
			if time.Now().After(limit) {
				t.Fatalf("counted %v, expected %v", ln.Dropped(), want)
			}
			<-time.After(time.Millisecond)
		}
	}
	if near.Dropped() != 1 {
		t.Errorf("the link has counted %d, expected 1", near.Dropped())
	}
}

func TestAListenerHasABoundedNumberOfLinks(t *testing.T) {
	ln := local(t, nil)
	sink := netip.MustParseAddrPort(socketFor(t).LocalAddr().String())
	var links []*link
	for nonce := range uint64(maxLinks) {
		if got := ln.enter(key{sink, nonce}); got != entered {
			t.Fatalf("link %d: %d", nonce, got)
		}
		links = append(links, accept(t, ln))
	}
	if got := ln.enter(key{sink, maxLinks}); got != full {
		t.Errorf("one more: %d", got)
	}
	for _, l := range links {
		_ = l.Close()
		<-l.gone
	}
	for nonce := range uint64(backlog) { // that nobody accepts
		if got := ln.enter(key{sink, maxLinks + nonce}); got != entered {
			t.Fatalf("link %d: %d", nonce, got)
		}
	}
	if got := ln.enter(key{sink, 3 * maxLinks}); got != full {
		t.Errorf("one more than may wait: %d", got)
	}
	ln.mu.Lock()
	defer ln.mu.Unlock()
	if len(ln.table) != backlog || len(ln.dead) > maxLinks {
		t.Errorf("%d links, %d dead", len(ln.table), len(ln.dead))
	}
}

// TestAGatewayOfAnotherVersion holds that the dialler, too, looks at the versions.
func TestAGatewayOfAnotherVersion(t *testing.T) {
	for _, kind := range []kind{kindAccept, kindRefuse} {
		noLeaks(t)
		gateway := socketFor(t)
		done := make(chan struct{})
		go func() {
			defer close(done)
			buf := make([]byte, datagram)
			n, from, err := gateway.ReadFromUDPAddrPort(buf)
			e, ok := decode(buf[:n])
			if err != nil || !ok || e.kind != kindInit || n != datagram {
				t.Errorf("got %+v in %d bytes, %v", e, n, err)
			}
			_, _ = gateway.WriteToUDPAddrPort(appendVersions(appendHead(nil, kind, e.nonce+1), 1, 1), from) // somebody else's
			_, _ = gateway.WriteToUDPAddrPort(appendVersions(appendHead(nil, kind, e.nonce), 2, 4), from)
		}()
		_, err := transports.Dial(t.Context(), "udp://"+gateway.LocalAddr().String())
		if !errors.Is(err, transports.ErrPreamble) || !strings.Contains(err.Error(), "versions 2 to 4") {
			t.Errorf("kind %d: got %v", kind, err)
		}
		<-done
	}
}

func TestAPeerWhosePortIsClosed(t *testing.T) {
	ln := local(t, nil)
	far := dial(t, ln.Addr())
	_ = accept(t, ln)
	_ = ln.conn.Close()
	write(t, far, ping(1))
	if err := ends(t, far); errors.Is(err, io.EOF) {
		t.Errorf("got %v", err)
	}
}
