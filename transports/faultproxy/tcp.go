package faultproxy

import (
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// dialTimeout bounds connecting to the target.
	dialTimeout = 5 * time.Second
	// waiting is how long bytes wait for their bandwidth: no more are read before.
	waiting = 20 * time.Millisecond
	// socketBuffer is the kernel's, in bytes, so that what is sent waits at its sender and not here.
	socketBuffer = 64 << 10
)

// TCP is a proxy for TCP connections. Its methods may be called concurrently.
type TCP struct {
	target    string
	ln        *net.TCPListener
	dice      [directions]*dice
	lanes     [directions]lane
	forwarded [directions]atomic.Int64
	done      chan struct{}
	wg        sync.WaitGroup

	mu    sync.Mutex
	conns map[*connection]struct{}
}

// ListenTCP listens on a loopback address of its own choosing and passes connections on to target, host:port. The seed
// decides about jitter and about what is late. Close ends it.
func ListenTCP(target string, seed uint64) (*TCP, error) {
	ln, err := net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)}) //nolint:mnd // loopback
	if err != nil {
		return nil, fmt.Errorf("faultproxy: %w", err)
	}
	p := &TCP{target: target, ln: ln, dice: newDicePair(seed), done: make(chan struct{}), conns: map[*connection]struct{}{}}
	p.wg.Go(p.accept)
	return p, nil
}

// Addr is the proxy's host:port.
func (p *TCP) Addr() string { return p.ln.Addr().String() }

// Set changes the faults of a direction, of open connections and of those to come.
func (p *TCP) Set(dir Direction, f Faults) { p.lanes[dir].set(f) }

// Connections is how many connections are open.
func (p *TCP) Connections() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.conns)
}

// Forwarded is how many bytes have been passed on in a direction.
func (p *TCP) Forwarded(dir Direction) int64 { return p.forwarded[dir].Load() }

// Reset resets every open connection, on both sides. New ones may come.
func (p *TCP) Reset() { p.each((*connection).reset) }

// HalfClose ends one direction of every open connection: its receiver reads the end, and what is still sent vanishes.
// The other direction goes on.
func (p *TCP) HalfClose(dir Direction) {
	p.each(func(c *connection) { c.pipes[dir].halfClose() })
}

func (p *TCP) each(do func(*connection)) {
	p.mu.Lock()
	conns := make([]*connection, 0, len(p.conns))
	for c := range p.conns {
		conns = append(conns, c)
	}
	p.mu.Unlock()
	for _, c := range conns {
		do(c)
	}
}

// Close closes the listener and every connection, and waits until nothing of the proxy is left.
func (p *TCP) Close() error {
	p.mu.Lock()
	select {
	case <-p.done:
	default:
		close(p.done)
	}
	p.mu.Unlock()
	err := p.ln.Close()
	p.each((*connection).close)
	p.wg.Wait()
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

func (p *TCP) accept() {
	for {
		client, err := p.ln.AcceptTCP()
		if err != nil {
			return
		}
		p.wg.Go(func() { p.connect(client) })
	}
}

func (p *TCP) connect(client *net.TCPConn) {
	conn, err := net.DialTimeout("tcp", p.target, dialTimeout) //nolint:noctx // bounded, and Close waits for it
	if err != nil {
		_ = client.SetLinger(0) // nobody is there: as if the target itself had refused
		_ = client.Close()
		return
	}
	target, ok := conn.(*net.TCPConn)
	if !ok {
		_ = conn.Close()
		_ = client.Close()
		return
	}
	for _, end := range []*net.TCPConn{client, target} {
		_ = end.SetReadBuffer(socketBuffer) // else it is larger
	}
	c := &connection{client: client, target: target, gone: make(chan struct{})}
	c.pipes[ToTarget] = newPipe(p, c, ToTarget, client, target)
	c.pipes[ToClient] = newPipe(p, c, ToClient, target, client)
	p.mu.Lock()
	select {
	case <-p.done:
		c.close()
	default:
	}
	p.conns[c] = struct{}{}
	p.mu.Unlock()
	var wg sync.WaitGroup
	for _, pipe := range c.pipes {
		wg.Go(pipe.read)
		wg.Go(pipe.write)
	}
	wg.Wait()
	c.close()
	p.mu.Lock()
	delete(p.conns, c)
	p.mu.Unlock()
}

// connection is a client's and the one to the target that belongs to it.
type connection struct {
	client, target *net.TCPConn
	pipes          [directions]*pipe
	gone           chan struct{} // closed with the connection
	once           sync.Once
}

func (c *connection) close() {
	c.once.Do(func() {
		close(c.gone)
		_ = c.client.Close()
		_ = c.target.Close()
	})
}

func (c *connection) reset() {
	_ = c.client.SetLinger(0) // fails on one that is closed, as is wanted
	_ = c.target.SetLinger(0)
	c.close()
}

// chunk is what was read at once, and when it is to be written; without data it is the end.
type chunk struct {
	data []byte
	due  time.Time
}

// pipe is one direction of a connection.
type pipe struct {
	proxy    *TCP
	conn     *connection
	dir      Direction
	from, to *net.TCPConn
	chunks   chan chunk
	whole    bool          // the end was read; set before chunks is closed
	shut     chan struct{} // closed when this direction is to end
	once     sync.Once
	pace     pace
	last     time.Time // when the last chunk is due
}

func newPipe(p *TCP, c *connection, dir Direction, from, to *net.TCPConn) *pipe {
	return &pipe{proxy: p, conn: c, dir: dir, from: from, to: to, chunks: make(chan chunk, chunksHeld), shut: make(chan struct{})}
}

func (p *pipe) halfClose() { p.once.Do(func() { close(p.shut) }) }

// read reads until the end, and hands on what may pass.
func (p *pipe) read() {
	defer close(p.chunks)
	lane := &p.proxy.lanes[p.dir]
	for {
		f, changed := lane.get()
		if f.Blackhole == Stall {
			select {
			case <-changed:
				continue
			case <-p.conn.gone:
				return
			}
		}
		buf := make([]byte, chunkSize)
		n, err := p.from.Read(buf)
		for f, changed = lane.get(); f.Blackhole == Stall; f, changed = lane.get() { // since it began to read
			select {
			case <-changed:
			case <-p.conn.gone:
				return
			}
		}
		if n > 0 && f.Blackhole != Swallow && !p.ended() && !p.cut(buf[:n], f, changed) {
			return
		}
		if err != nil {
			if p.whole = errors.Is(err, io.EOF); !p.whole {
				p.conn.reset() // the other side hears of it as this one did
			}
			return
		}
	}
}

// cut hands on what was read, in parts where each may be late. It is false when nothing more may pass.
func (p *pipe) cut(data []byte, f Faults, changed <-chan struct{}) bool {
	size := len(data)
	if f.Late > 0 {
		size = segment
	}
	for part := range slices.Chunk(data, size) {
		if !p.hand(part, f, changed) {
			return false
		}
	}
	return true
}

// hand hands on what was read, as far as it may pass. It is false when nothing more may.
func (p *pipe) hand(data []byte, f Faults, changed <-chan struct{}) bool {
	may, cut := p.proxy.lanes[p.dir].pass(len(data))
	passed := p.pace.after(time.Now(), may, f.Bandwidth)
	due := passed.Add(f.Delay + p.proxy.dice[p.dir].upTo(f.Jitter))
	if p.proxy.dice[p.dir].chance(f.Late) {
		due = due.Add(f.LateBy)
	}
	if due.Before(p.last) {
		due = p.last
	}
	p.last = due
	select {
	case p.chunks <- chunk{data[:may], due}:
	case <-p.conn.gone:
		return false
	}
	if cut {
		p.chunks <- chunk{due: due}
		return false
	}
	if early := time.Until(passed) - waiting; early > 0 { // little waits for the bandwidth, as at a real bottleneck
		p.rest(early, changed)
	}
	return true
}

// rest lets time pass.
func (p *pipe) rest(d time.Duration, changed <-chan struct{}) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-changed:
		p.pace = pace{} // what the old bandwidth has promised holds no more
	case <-p.shut:
	case <-p.conn.gone:
	}
}

func (p *pipe) ended() bool {
	select {
	case <-p.shut:
		return true
	default:
		return false
	}
}

// write writes each chunk when it is due.
func (p *pipe) write() {
	defer func() { // the reader must not wait for a writer that is gone
		for range p.chunks {
			continue
		}
	}()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-p.shut:
			_ = p.to.CloseWrite() // it may be closed; what is still sent vanishes
			return
		case c, ok := <-p.chunks:
			if !ok {
				if f, _ := p.proxy.lanes[p.dir].get(); p.whole && f.Blackhole != Swallow { // else the connection is being broken off, which must not look like an end
					_ = p.to.CloseWrite()
				}
				return
			}
			if !p.deliver(c, timer) {
				return
			}
		}
	}
}

func (p *pipe) deliver(c chunk, timer *time.Timer) bool {
	f, _ := p.proxy.lanes[p.dir].get()
	if !p.wait(timer, c.due) {
		return true // shut or gone: see write
	}
	if c.data == nil { // cut
		p.conn.close()
		return false
	}
	if f.Blackhole == Swallow {
		return true
	}
	n, err := p.to.Write(c.data)
	p.proxy.forwarded[p.dir].Add(int64(n))
	if err != nil {
		p.conn.close()
		return false
	}
	return true
}

// wait waits for a moment; it is false when the direction ends before.
func (p *pipe) wait(timer *time.Timer, until time.Time) bool {
	d := time.Until(until)
	if d <= 0 {
		return true
	}
	timer.Reset(d)
	select {
	case <-timer.C:
		return true
	case <-p.shut:
		return false
	case <-p.conn.gone:
		return false
	}
}
