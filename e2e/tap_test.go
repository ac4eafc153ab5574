package e2e

import (
	"bufio"
	"io"
	"net"
	"sync"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/stella-ops/router/spec"
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

// tap is a TCP proxy between service and gateway that notes every frame's header. It does not change a byte. It is
// safe for concurrent use.
type tap struct {
	address string // where services dial
	gateway string
	wg      sync.WaitGroup

	mu     sync.Mutex
	frames []seen
	conns  map[net.Conn]struct{} // nil once the tap has ended
}

// startTap starts a tap in front of a gateway's address. It ends with its spec or container.
func startTap(gateway string) *tap {
	GinkgoHelper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	Expect(err).NotTo(HaveOccurred())
	t := &tap{address: l.Addr().String(), gateway: gateway, conns: map[net.Conn]struct{}{}}
	t.wg.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			t.wg.Go(func() { t.join(conn) })
		}
	})
	DeferCleanup(func() {
		_ = l.Close()
		t.mu.Lock()
		for c := range t.conns {
			_ = c.Close()
		}
		t.conns = nil
		t.mu.Unlock()
		t.wg.Wait()
	})
	return t
}

// keep has conn closed at the end; false means that the end has come.
func (t *tap) keep(conn net.Conn) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.conns == nil {
		return false
	}
	t.conns[conn] = struct{}{}
	return true
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
		t.mu.Lock()
		t.frames = append(t.frames, seen{by, h})
		t.mu.Unlock()
		if _, err := io.CopyN(dst, r, spec.HeaderSize+int64(h.Length)); err != nil {
			return
		}
	}
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
