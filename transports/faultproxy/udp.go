package faultproxy

import (
	"container/heap"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
)

const (
	maxDatagram = 64 << 10
	maxFlows    = 256              // clients at once; the one that has been silent for longest makes room
	flowIdle    = 30 * time.Second // without a datagram of its client, a flow ends
	heldBack    = 20 * time.Millisecond
)

// UDP is a proxy for datagrams. Each client address has a socket of its own to the target, so that answers find back. Its
// methods may be called concurrently.
type UDP struct {
	target    *net.UDPAddr
	conn      *net.UDPConn
	dice      [directions]*dice
	lanes     [directions]lane
	queues    [directions]*queue
	forwarded [directions]atomic.Int64
	dropped   [directions]atomic.Int64
	done      chan struct{}
	once      sync.Once
	wg        sync.WaitGroup

	mu    sync.Mutex
	flows map[netip.AddrPort]*flow
}

// flow is one client.
type flow struct {
	client netip.AddrPort
	conn   *net.UDPConn // to the target
	seen   time.Time    // guarded by UDP.mu
}

// ListenUDP listens on a loopback address of its own choosing and passes datagrams on to target, host:port. The seed
// decides what becomes of each. Close ends it.
func ListenUDP(target string, seed uint64) (*UDP, error) {
	addr, err := net.ResolveUDPAddr("udp", target)
	if err != nil {
		return nil, fmt.Errorf("faultproxy: %w", err)
	}
	conn, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)}) //nolint:mnd // loopback
	if err != nil {
		return nil, fmt.Errorf("faultproxy: %w", err)
	}
	p := &UDP{target: addr, conn: conn, dice: newDicePair(seed), done: make(chan struct{}), flows: map[netip.AddrPort]*flow{}}
	for dir := range p.queues {
		p.queues[dir] = newQueue()
		p.wg.Go(func() { p.queues[dir].run(p.done) })
	}
	p.wg.Go(p.read)
	p.wg.Go(p.sweep)
	return p, nil
}

// Addr is the proxy's host:port.
func (p *UDP) Addr() string { return p.conn.LocalAddr().String() }

// Set changes the faults of a direction.
func (p *UDP) Set(dir Direction, f Faults) { p.lanes[dir].set(f) }

// Forwarded is how many datagrams have been passed on in a direction, duplicates included.
func (p *UDP) Forwarded(dir Direction) int64 { return p.forwarded[dir].Load() }

// Dropped is how many datagrams were lost on purpose in a direction, or because too many were on their way.
func (p *UDP) Dropped(dir Direction) int64 { return p.dropped[dir].Load() }

// Flows is how many client addresses are known.
func (p *UDP) Flows() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.flows)
}

// Close closes every socket, and waits until nothing of the proxy is left.
func (p *UDP) Close() error {
	var err error
	p.once.Do(func() {
		p.mu.Lock()
		close(p.done)
		for _, f := range p.flows {
			_ = f.conn.Close()
		}
		p.mu.Unlock()
		err = p.conn.Close()
	})
	p.wg.Wait()
	return err
}

func (p *UDP) read() {
	buf := make([]byte, maxDatagram)
	for {
		n, client, err := p.conn.ReadFromUDPAddrPort(buf)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil { // an answer that a client did not want, say
			continue
		}
		f := p.flow(client)
		if f == nil {
			p.dropped[ToTarget].Add(1)
			continue
		}
		p.pass(ToTarget, buf[:n], func(b []byte) { _, _ = f.conn.Write(b) }) // datagrams get lost
	}
}

// flow finds or makes the flow of a client. It is nil when there is none to be had.
func (p *UDP) flow(client netip.AddrPort) *flow {
	p.mu.Lock()
	defer p.mu.Unlock()
	select {
	case <-p.done:
		return nil
	default:
	}
	if f := p.flows[client]; f != nil {
		f.seen = time.Now()
		return f
	}
	if len(p.flows) >= maxFlows {
		var oldest *flow
		for _, f := range p.flows {
			if oldest == nil || f.seen.Before(oldest.seen) {
				oldest = f
			}
		}
		p.end(oldest)
	}
	conn, err := net.DialUDP("udp", nil, p.target)
	if err != nil {
		return nil
	}
	f := &flow{client: client, conn: conn, seen: time.Now()}
	p.flows[client] = f
	p.wg.Go(func() { p.answers(f) })
	return f
}

// end ends a flow. The caller holds mu.
func (p *UDP) end(f *flow) {
	delete(p.flows, f.client)
	_ = f.conn.Close()
}

func (p *UDP) answers(f *flow) {
	buf := make([]byte, maxDatagram)
	for {
		n, err := f.conn.Read(buf)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil { // the target's port is closed, say
			continue
		}
		p.pass(ToClient, buf[:n], func(b []byte) { _, _ = p.conn.WriteToUDPAddrPort(b, f.client) }) // the same
	}
}

func (p *UDP) sweep() {
	ticker := time.NewTicker(flowIdle / 2)
	defer ticker.Stop()
	for {
		select {
		case <-p.done:
			return
		case <-ticker.C:
		}
		p.mu.Lock()
		for _, f := range p.flows {
			if time.Since(f.seen) > flowIdle {
				p.end(f)
			}
		}
		p.mu.Unlock()
	}
}

// pass decides what becomes of a datagram.
func (p *UDP) pass(dir Direction, b []byte, send func([]byte)) {
	f, _ := p.lanes[dir].get()
	if f.Blackhole != Pass || p.dice[dir].chance(f.Loss) {
		p.dropped[dir].Add(1)
		return
	}
	if f.CutAfter > 0 && int64(len(b)) > f.CutAfter {
		b = b[:f.CutAfter]
	}
	copies := 1
	if p.dice[dir].chance(f.Duplicate) {
		copies = 2
	}
	for range copies {
		data := append([]byte(nil), b...)
		ok := p.queues[dir].put(f, p.dice[dir], len(data), func() {
			send(data)
			p.forwarded[dir].Add(1)
		})
		if !ok {
			p.dropped[dir].Add(1)
		}
	}
}

// packet is a datagram on its way.
type packet struct {
	due  time.Time
	nth  uint64 // of those with the same due, the first goes first
	send func()
}

// queue delivers datagrams when they are due.
type queue struct {
	mu      sync.Mutex
	packets packets
	nth     uint64
	pace    pace
	back    *packet // held back until another has passed it
	wake    chan struct{}
}

func newQueue() *queue { return &queue{wake: make(chan struct{}, 1)} }

// put queues a datagram, unless too many are on their way.
func (q *queue) put(f Faults, d *dice, size int, send func()) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.packets) >= packetsHeld {
		return false
	}
	q.nth++
	due := q.pace.after(time.Now(), size, f.Bandwidth).Add(f.Delay + d.upTo(f.Jitter))
	x := &packet{due: due, nth: q.nth, send: send}
	switch {
	case q.back != nil: // which follows this one
		q.back.due, q.back.nth = x.due, x.nth+1
		q.nth++
		heap.Init(&q.packets)
		q.back = nil
	case d.chance(f.Reorder):
		x.due = x.due.Add(heldBack)
		q.back = x
	}
	heap.Push(&q.packets, x)
	select {
	case q.wake <- struct{}{}:
	default:
	}
	return true
}

func (q *queue) run(done <-chan struct{}) {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		wait := q.deliver()
		timer.Reset(wait)
		select {
		case <-done:
			return
		case <-q.wake:
		case <-timer.C:
		}
	}
}

// deliver sends what is due, and returns how long there is nothing to do.
func (q *queue) deliver() time.Duration {
	for {
		q.mu.Lock()
		if len(q.packets) == 0 {
			q.mu.Unlock()
			return time.Hour
		}
		next := q.packets[0]
		if wait := time.Until(next.due); wait > 0 {
			q.mu.Unlock()
			return wait
		}
		heap.Pop(&q.packets)
		if q.back == next {
			q.back = nil
		}
		q.mu.Unlock()
		next.send()
	}
}

// packets is a heap, the next one first.
type packets []*packet

// packets implements [heap.Interface].

func (p *packets) Len() int { return len(*p) }

func (p *packets) Less(i, j int) bool {
	a, b := (*p)[i], (*p)[j]
	if a.due.Equal(b.due) {
		return a.nth < b.nth
	}
	return a.due.Before(b.due)
}

func (p *packets) Swap(i, j int) { (*p)[i], (*p)[j] = (*p)[j], (*p)[i] }

// Push implements [heap.Interface].
func (p *packets) Push(x any) {
	if next, ok := x.(*packet); ok {
		*p = append(*p, next)
	}
}

// Pop implements [heap.Interface].
func (p *packets) Pop() any {
	last := len(*p) - 1
	x := (*p)[last]
	(*p)[last] = nil
	*p = (*p)[:last]
	return x
}
