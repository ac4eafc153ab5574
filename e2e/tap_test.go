package e2e

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/url"
	"strings"
	"sync"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/stella-ops/router/spec"
	"github.com/stella-ops/router/transports"
	"github.com/stella-ops/router/transports/inmemory"
)

// direction is who sent a frame.
type direction string

const (
	byGateway direction = "gateway"
	byService direction = "service"
)

// preamble is the length of what opens a byte stream, each way: PROTOCOL.md, "Opening".
const preamble = 12

// seen is one frame that passed the tap.
type seen struct {
	by     direction
	header spec.Header
}

// tap stands between service and gateway, notes every frame's header, and changes nothing. It is safe for concurrent
// use.
type tap struct {
	url     string // what services dial
	gateway string // what it dials for them

	mu     sync.Mutex
	frames []seen
	open   map[io.Closer]struct{} // nil once the tap has ended
}

func newTap(gateway string) *tap { return &tap{gateway: gateway, open: map[io.Closer]struct{}{}} }

func (t *tap) note(by direction, h spec.Header) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.frames = append(t.frames, seen{by, h})
}

// keep has c closed when the tap cuts; false means that the end has come.
func (t *tap) keep(c io.Closer) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.open == nil {
		return false
	}
	t.open[c] = struct{}{}
	return true
}

func (t *tap) drop(c io.Closer) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.open, c)
}

// cut ends every connection without a word. Services may dial again.
func (t *tap) cut() {
	t.mu.Lock()
	defer t.mu.Unlock()
	for c := range t.open {
		_ = c.Close()
		delete(t.open, c)
	}
}

// close cuts for good.
func (t *tap) close() {
	t.cut()
	t.mu.Lock()
	defer t.mu.Unlock()
	t.open = nil
}

// startProxy starts a tap that is a TCP proxy, for services in other processes. It ends with its spec or container.
func startProxy(gateway string) *tap {
	GinkgoHelper()
	t := newTap(strings.TrimPrefix(gateway, "tcp://"))
	l, err := net.Listen("tcp", "127.0.0.1:0")
	Expect(err).NotTo(HaveOccurred())
	t.url = "tcp://" + l.Addr().String()
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() { t.join(conn) })
		}
	})
	DeferCleanup(func() {
		_ = l.Close()
		t.close()
		wg.Wait()
	})
	return t
}

// join copies between a service's connection and one of its own to the gateway, until either ends.
func (t *tap) join(service net.Conn) {
	defer func() { _ = service.Close() }()
	gateway, err := net.Dial("tcp", t.gateway)
	if err != nil {
		return // the service tries again
	}
	defer func() { _ = gateway.Close() }()
	if !t.keep(service) || !t.keep(gateway) {
		return
	}
	defer t.drop(service)
	defer t.drop(gateway)
	var both sync.WaitGroup
	both.Go(func() { t.copy(gateway, service, byService) })
	both.Go(func() { t.copy(service, gateway, byGateway) })
	both.Wait()
}

// copy passes on whole frames, and closes both ends when there are no more: neither peer ever half-closes.
func (t *tap) copy(dst, src net.Conn, by direction) {
	defer func() { _, _ = dst.Close(), src.Close() }()
	r := bufio.NewReaderSize(src, 64<<10)
	if _, err := io.CopyN(dst, r, preamble); err != nil {
		return
	}
	for {
		head, err := r.Peek(spec.HeaderSize)
		if err != nil {
			return
		}
		h := spec.GetHeader(head)
		t.note(by, h)
		if _, err := io.CopyN(dst, r, spec.HeaderSize+int64(h.Length)); err != nil {
			return
		}
	}
}

// tapScheme is the scheme of a transport of the suite: it dials what another does, through a tap.
const tapScheme = "tapped"

// tapped are the taps of this process by the names that their URLs have. It is the dialer of their scheme.
type tapped struct {
	mu   sync.Mutex
	next int
	taps map[string]*tap
}

var tappedLinks = &tapped{taps: map[string]*tap{}}

// startTapped starts a tap for services in this process. It ends with its spec or container.
func startTapped(gateway string) *tap {
	t := newTap(gateway)
	name := tappedLinks.add(t)
	t.url = tapScheme + "://" + name
	DeferCleanup(func() {
		tappedLinks.remove(name)
		t.close()
	})
	return t
}

// inmemoryURL returns an inmemory URL that nobody listens on.
func inmemoryURL() string {
	tappedLinks.mu.Lock()
	defer tappedLinks.mu.Unlock()
	tappedLinks.next++
	return fmt.Sprintf("%s://gateway-%d", inmemory.Scheme, tappedLinks.next)
}

func (d *tapped) add(t *tap) (name string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.next++
	name = fmt.Sprintf("tap-%d", d.next)
	d.taps[name] = t
	return name
}

func (d *tapped) remove(name string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.taps, name)
}

// Dial opens a link to the gateway of the tap that the URL names.
func (d *tapped) Dial(ctx context.Context, u *url.URL) (transports.Link, error) {
	d.mu.Lock()
	t := d.taps[u.Host]
	d.mu.Unlock()
	if t == nil {
		return nil, fmt.Errorf("tap: there is none at %s", u)
	}
	link, err := transports.Dial(ctx, t.gateway)
	if err != nil {
		return nil, err
	}
	l := &tappedLink{link, t}
	if !t.keep(l) {
		_ = l.Close()
		return nil, fmt.Errorf("tap: %s has ended", u)
	}
	return l, nil
}

// tappedLink is the service's end of a link.
type tappedLink struct {
	transports.Link

	tap *tap
}

func (l *tappedLink) ReadFrame() (*transports.Frame, error) {
	f, err := l.Link.ReadFrame()
	if err == nil {
		l.tap.note(byGateway, f.Header())
	}
	return f, err
}

func (l *tappedLink) WriteFrames(batch []*transports.Frame) error {
	for _, f := range batch {
		l.tap.note(byService, f.Header())
	}
	return l.Link.WriteFrames(batch)
}

// mark is a point in what the tap has seen.
func (t *tap) mark() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.frames)
}

// count is how many frames of a type one side has sent since the mark.
func (t *tap) count(since int, by direction, frame spec.FrameType) int {
	t.mu.Lock()
	defer t.mu.Unlock()
	n := 0
	for _, f := range t.frames[since:] {
		if f.by == by && f.header.Type == frame {
			n++
		}
	}
	return n
}

// requests is how many REQUESTs the gateway has sent since the mark.
func (t *tap) requests(since int) int { return t.count(since, byGateway, spec.TypeRequest) }

// cancels is how many CANCELs the gateway has sent since the mark.
func (t *tap) cancels(since int) int { return t.count(since, byGateway, spec.TypeCancel) }

// body is how many bytes of request bodies the gateway has streamed since the mark.
func (t *tap) body(since int) int64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	var n int64
	for _, f := range t.frames[since:] {
		if f.by == byGateway && f.header.Type == spec.TypeRequestStreamData {
			n += int64(f.header.Length)
		}
	}
	return n
}
