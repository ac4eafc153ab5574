package quic

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/quic-go/quic-go"

	"github.com/stella-ops/router/spec"
	"github.com/stella-ops/router/transports"
	"github.com/stella-ops/router/transports/trust"
)

// Bounds of a link's readers. A session reads all the time, so none of them is reached for long.
const (
	controlBuffer = 16 << 10 // bytes, of the control stream
	callBuffer    = 2 << 10  // bytes, of a call's stream
	queue         = 64       // frames that wait to be taken by ReadFrame
	smallFrame    = 4 << 10  // bytes; larger frames of calls are counted
	largeFrames   = 64       // that may be on their way in at once: a peer may announce them and send nothing
	idleReaders   = 64       // goroutines that wait for another call's stream: a new one would have to grow its stack first
)

// linger bounds how long Close waits for the peer to have read everything. A peer that is there has after a round trip.
const linger = 500 * time.Millisecond

// urgent is the control stream's priority: credit and heartbeats go before data. Others have 3, of 0 to 7.
const (
	urgent = 0
	last   = 7
)

// link is one end of a connection.
type link struct {
	s         *socket
	conn      *quic.Conn
	control   *quic.Stream
	accepting bool // this end is the gateway's, which opens the calls' streams

	ctx    context.Context //nolint:containedctx // the link's life
	cancel context.CancelFunc
	wg     sync.WaitGroup // the readers
	once   sync.Once      // of closing
	err    error          // of closing

	// Reading.
	max    atomic.Uint32
	frames chan *transports.Frame
	large  chan struct{} // a slot for each large frame that is on its way in
	ended  chan struct{} // no more frames come
	fault  error         // why; set before ended is closed
	fail   sync.Once

	handing sync.Mutex                    // held while a frame is taken
	take    func(*transports.Frame) error // Deliver's; nil: frames go to ReadFrame
	pushing int                           // frames that go there now

	mu      sync.Mutex
	calls   map[uint32]*call
	highest uint32              // the highest id that has, or had, a stream
	readers int                 // of calls
	quiet   chan struct{}       // closed when readers is 0, once somebody asks
	late    map[*call]time.Time // calls that have ended and whose streams the peer has not, and since when
	sweeper *time.Timer         // looks at them; nil: there is none

	streams chan stream  // to a reader that is idle
	idle    atomic.Int32 // readers that are, or that wait for the peer to open one

	writer
}

// stream is a call's stream that is to be read. The call is nil as long as its id is not known.
type stream struct {
	*quic.Stream

	call *call
}

// call is a call that has a stream. Guarded by link.mu.
type call struct {
	id   uint32
	s    *quic.Stream
	sent bool // this direction has ended
	shut bool // and so has this side of the stream
	got  bool // the other has
	busy bool // a frame is being written
	gone bool // the link has forgotten it
	read bool // to its end
}

// newLink opens the link: control is its control stream. It takes over the socket's share, unless it fails.
func newLink(ctx context.Context, s *socket, conn *quic.Conn, control *quic.Stream, accepting bool) (*link, error) {
	deadline := time.Now().Add(spec.HelloTimeout)
	if d, ok := ctx.Deadline(); ok && d.Before(deadline) {
		deadline = d
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.CloseWithError(codeFailed, "") })
	r := bufio.NewReaderSize(control, controlBuffer)
	err := preamble(control, r, deadline)
	if !stop() && err == nil {
		err = context.Cause(ctx)
	}
	if err != nil {
		return nil, err
	}
	control.SetPriority(urgent, true)
	l := &link{
		s: s, conn: conn, control: control, accepting: accepting,
		frames: make(chan *transports.Frame, queue), large: make(chan struct{}, largeFrames), ended: make(chan struct{}),
		calls: map[uint32]*call{}, late: map[*call]time.Time{}, streams: make(chan stream), writer: writer{stall: spec.WriteStall},
	}
	l.max.Store(spec.MaxFrameHello)
	l.ctx, l.cancel = context.WithCancel(context.Background())
	l.wg.Go(func() { l.readControl(r) })
	return l, nil
}

func (l *link) ReadFrame() (*transports.Frame, error) {
	select {
	case f := <-l.frames:
		return f, nil
	default:
	}
	select {
	case f := <-l.frames:
		return f, nil
	case <-l.ctx.Done():
		return nil, net.ErrClosed
	case <-l.ended:
		select {
		case f := <-l.frames: // what came before still counts
			return f, nil
		default:
			return nil, l.fault
		}
	}
}

// Deliver implements [transports.Deliverer].
func (l *link) Deliver(take func(*transports.Frame) error) error {
	for {
		l.handing.Lock()
		if len(l.frames) == 0 && l.pushing == 0 { // whoever reads a stream does so in its order
			l.take = take
			l.handing.Unlock()
			break
		}
		l.handing.Unlock()
		f, err := l.ReadFrame()
		if err != nil {
			return err
		}
		if err := take(f); err != nil {
			return err
		}
	}
	select {
	case <-l.ctx.Done():
		return net.ErrClosed
	case <-l.ended:
		l.handing.Lock() // what is being taken still counts
		defer l.handing.Unlock()
		return l.fault
	}
}

// end says that no more frames come, and why.
func (l *link) end(err error) {
	l.fail.Do(func() {
		l.fault = err
		close(l.ended)
	})
}

// cause is what an error of the connection means to the session.
func cause(err error) error {
	var closed *quic.ApplicationError
	if errors.As(err, &closed) && closed.ErrorCode == codeDone {
		if closed.Remote {
			return io.EOF
		}
		return net.ErrClosed
	}
	return err
}

// push hands a frame to Deliver's function, or to ReadFrame. When nobody reads any more it drops it: the peer's end is still
// to be noticed.
func (l *link) push(f *transports.Frame) {
	l.handing.Lock()
	if l.take != nil {
		defer l.handing.Unlock()
		if l.over() {
			f.Release()
		} else if err := l.take(f); err != nil {
			l.end(err)
		}
		return
	}
	l.pushing++
	l.handing.Unlock()
	select {
	case l.frames <- f:
	case <-l.ended:
		f.Release()
	case <-l.ctx.Done():
		f.Release()
	}
	l.handing.Lock()
	l.pushing--
	l.handing.Unlock()
}

// over reports whether no more frames are taken.
func (l *link) over() bool {
	select {
	case <-l.ended:
		return true
	case <-l.ctx.Done():
		return true
	default:
		return false
	}
}

// readControl reads the control stream.
func (l *link) readControl(r *bufio.Reader) {
	gate := !l.accepting // calls are accepted once WELCOME has been taken: no REQUEST may overtake it
	for {
		f, err := transports.ReadFrame(r, &l.max)
		if err != nil {
			l.controlEnded(r, err)
			return
		}
		h := f.Header()
		if h.Stream != 0 && h.Type != spec.TypeCredit && h.Type != spec.TypeCancel && !l.accepting {
			f.Release()
			l.controlEnded(r, &spec.FrameError{Header: h, Reason: "not on the control stream"})
			return
		}
		l.push(f)
		if gate && h.Type == spec.TypeWelcome {
			gate = false
			l.idle.Add(1)
			l.wg.Go(l.acceptCalls)
		}
	}
}

// controlEnded ends the link as the control stream has: in order, once the streams of calls have been read, too.
func (l *link) controlEnded(r io.Reader, err error) {
	if !errors.Is(err, io.EOF) {
		l.end(cause(err))
		if _, err := io.Copy(io.Discard, r); err == nil { // after a fault: the peer's end is still to be noticed
			_ = l.conn.CloseWithError(codeDone, "")
		}
		return
	}
	l.mu.Lock()
	quiet := make(chan struct{})
	if l.readers == 0 {
		close(quiet)
	} else {
		l.quiet = quiet
	}
	l.mu.Unlock()
	timer := time.NewTimer(linger / 2)
	defer timer.Stop()
	select {
	case <-quiet:
	case <-timer.C:
	case <-l.ctx.Done():
	}
	l.end(io.EOF)
	_ = l.conn.CloseWithError(codeDone, "") // which the peer waits for
}

// acceptCalls accepts a call's stream, has somebody else accept the next one, and reads the call: so a call wakes one
// goroutine, and not a second that it is handed to.
func (l *link) acceptCalls() {
	for {
		s, err := l.conn.AcceptStream(l.ctx)
		if l.ctx.Err() != nil {
			err = net.ErrClosed
		}
		if err != nil {
			l.end(cause(err))
			return
		}
		if l.idle.Add(-1) == 0 {
			l.idle.Add(1)
			l.wg.Go(l.acceptCalls)
		}
		l.mu.Lock()
		l.readers++
		l.mu.Unlock()
		l.read(stream{s, nil})
		if l.idle.Add(1) > idleReaders {
			l.idle.Add(-1)
			return
		}
	}
}

// read reads a call's stream to its end.
func (l *link) read(s stream) {
	c, err := l.readCall(s)
	if err != nil {
		l.end(cause(err))
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if c != nil {
		c.read = true
		delete(l.late, c)
	}
	if l.readers--; l.readers == 0 && l.quiet != nil {
		close(l.quiet)
		l.quiet = nil
	}
}

// watch has a call's stream, which this end has opened, read. The caller has counted the reader.
func (l *link) watch(s stream) {
	select {
	case l.streams <- s:
	default:
		l.wg.Go(func() { l.reader(s) })
	}
}

// reader reads streams, one after the other.
func (l *link) reader(s stream) {
	for {
		l.read(s)
		if l.idle.Add(1) > idleReaders {
			l.idle.Add(-1)
			return
		}
		select {
		case s = <-l.streams:
			l.idle.Add(-1)
		case <-l.ctx.Done():
			return
		}
	}
}

// source is a call's stream with a buffer.
type source struct {
	*bufio.Reader

	s   *quic.Stream
	end bool // all has come
}

var sources = sync.Pool{New: func() any {
	in := new(source)
	in.Reader = bufio.NewReaderSize(reading{in}, callBuffer)
	return in
}}

// reading is what the buffer reads from.
type reading struct{ *source }

func (in reading) Read(p []byte) (int, error) {
	n, err := in.s.Read(p)
	in.end = errors.Is(err, io.EOF)
	return n, err //nolint:wrapcheck // the stream's, as the link is to see it
}

// readCall reads a call's stream to its end, and returns the call, if there was one. An error ends the link.
func (l *link) readCall(s stream) (*call, error) {
	c := s.call
	in, _ := sources.Get().(*source)
	in.s, in.end = s.Stream, false
	in.Reset(reading{in})
	defer func() {
		in.s = nil
		sources.Put(in)
	}()
	for {
		free := l.slot(in.Reader)
		f, err := transports.ReadFrame(in.Reader, &l.max)
		if err == nil {
			if c, err = l.received(s.Stream, c, f.Header(), in.end && in.Buffered() == 0); err == nil {
				l.push(f)
			} else {
				f.Release()
			}
		}
		free()
		if err != nil {
			return c, l.callEnded(s.Stream, c, err)
		}
	}
}

// slot waits for the next frame and, if it is large, until fewer large ones are on their way in.
func (l *link) slot(r *bufio.Reader) (free func()) {
	head, err := r.Peek(spec.HeaderSize)
	if err != nil || spec.GetHeader(head).Length <= smallFrame {
		return func() {}
	}
	select {
	case l.large <- struct{}{}:
		return func() { <-l.large }
	case <-l.ended:
	case <-l.ctx.Done():
	}
	return func() {}
}

// received takes note of a frame on a call's stream, and whether it is the last thing there.
func (l *link) received(s *quic.Stream, c *call, h spec.Header, last bool) (*call, error) {
	if h.Stream == 0 || h.Type == spec.TypeCredit {
		return c, &spec.FrameError{Header: h, Reason: "on the QUIC stream of a call"}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if c == nil {
		if l.calls[h.Stream] != nil {
			return c, &spec.FrameError{Header: h, Reason: "on a second QUIC stream"}
		}
		c = l.add(h.Stream, s)
		c.sent = h.Type != spec.TypeRequest // there is nothing to say about a call that has not begun
	}
	if c.id != h.Stream {
		return c, &spec.FrameError{Header: h, Reason: fmt.Sprintf("on the QUIC stream of stream %d", c.id)}
	}
	c.read = last
	if final(h) {
		c.got = true
		l.settle(c)
	}
	return c, nil
}

// callEnded deals with the end of what a call's stream has to read.
func (l *link) callEnded(s *quic.Stream, c *call, err error) error {
	if c == nil {
		if errors.Is(err, io.EOF) {
			_ = s.Close() // a stream without a frame
			return nil
		}
		return err
	}
	l.mu.Lock()
	gone := c.gone
	if !gone && errors.Is(err, io.EOF) { // the peer has closed the link, or will say no more about this call
		c.got = true
		l.settle(c)
		err = nil
	}
	l.mu.Unlock()
	switch {
	case err == nil, errors.Is(err, io.EOF):
		return nil
	case gone && (errors.Is(err, os.ErrDeadlineExceeded) || refused(err)):
		s.CancelRead(0) // the call is over, whatever the peer wanted to add
		return nil
	}
	return err
}

// refused reports whether the peer has broken off a stream.
func refused(err error) bool { return errors.As(err, new(*quic.StreamError)) }

// add makes a call's stream known. The caller holds mu.
func (l *link) add(id uint32, s *quic.Stream) *call {
	c := &call{id: id, s: s}
	l.calls[id] = c
	l.highest = max(l.highest, id)
	return c
}

// final reports whether a direction of a call ends with the frame.
func final(h spec.Header) bool {
	return h.Type == spec.TypeCancel || h.Flags&spec.FlagEnd != 0 && h.Type.Known()
}

// settle forgets a call that has ended in both directions. The caller holds mu.
func (l *link) settle(c *call) {
	if !c.sent || !c.got || c.busy || c.gone {
		return
	}
	c.gone = true
	delete(l.calls, c.id)
	l.shut(c)
	// The peer closes its side as soon as it has read the end of the call. It may add a CANCEL until then. Nearly all do so
	// at once: a deadline for each would wake the reader once more.
	if c.read {
		return
	}
	l.late[c] = time.Now()
	if l.sweeper == nil && l.ctx.Err() == nil {
		l.sweeper = time.AfterFunc(spec.CancelHold, l.sweep)
	}
}

// shut closes this end's side of a call's stream.
func (*link) shut(c *call) {
	if !c.shut {
		c.shut = true
		_ = c.s.Close() // fails when the peer has refused to read on
	}
}

// sweep ends the reading of streams whose calls have been over for so long that the peer has nothing to add.
func (l *link) sweep() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.sweeper = nil
	now, next := time.Now(), time.Duration(0)
	for c, since := range l.late {
		left := spec.CancelHold - now.Sub(since)
		if left <= 0 {
			_ = c.s.SetReadDeadline(now)
			delete(l.late, c)
		} else if next == 0 || left < next {
			next = left
		}
	}
	if next > 0 && l.ctx.Err() == nil {
		l.sweeper = time.AfterFunc(next, l.sweep)
	}
}

func (l *link) SetMaxPayload(n uint32) { l.max.Store(n) }

func (l *link) Traits() transports.Traits {
	state := l.conn.ConnectionState().TLS
	return transports.Traits{
		Order: transports.OrderStream, MaxPayload: spec.MaxFrameHard, Streams: true,
		Remote: l.conn.RemoteAddr().String(), Scheme: Scheme, Names: trust.Names(&state),
	}
}

// Close lets what was written reach the peer, for a moment, and ends the connection.
func (l *link) Close() error {
	l.once.Do(func() {
		l.cancel()
		if l.stop() && l.conn.Context().Err() == nil {
			timer := time.NewTimer(linger)
			defer timer.Stop()
			select {
			case <-l.conn.Context().Done(): // the peer has read it all
			case <-timer.C:
			}
		}
		_ = l.conn.CloseWithError(codeDone, "")
		l.wg.Wait()
		l.mu.Lock()
		if l.sweeper != nil {
			l.sweeper.Stop()
		}
		l.mu.Unlock()
		for {
			select {
			case f := <-l.frames:
				f.Release()
			default:
				l.err = l.s.release()
				return
			}
		}
	})
	return l.err
}
