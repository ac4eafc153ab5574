package valkey

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"sync"
	"time"

	client "github.com/valkey-io/valkey-go"

	"github.com/stella-ops/router/spec"
	"github.com/stella-ops/router/transports"
)

// link is one end of a session.
type link struct {
	b       *broker
	nonce   string
	gateway string // dialled; for the count of links
	in, out string // the streams' keys
	stall   time.Duration

	once sync.Once
	done chan struct{} // closed by Close
	dead chan struct{} // closed when err is set

	seq uint64 // of the last entry that came; the broker's reader has it

	mu     sync.Mutex
	queue  []entry
	queued int           // bytes in it
	paused bool          // the reader waits until there is room
	gone   int           // renewals in a row that found out missing
	err    error         // what follows on the queue
	news   chan struct{} // something has changed

	max  uint32 // ReadFrame has these
	rest string

	box outbox
}

func newLink(b *broker, nonce, in, out string) *link {
	b.retain()
	l := &link{
		b: b, nonce: nonce, in: b.target.key(nonce, in), out: b.target.key(nonce, out), stall: spec.WriteStall,
		done: make(chan struct{}), dead: make(chan struct{}), news: make(chan struct{}, 1), max: spec.MaxFrameHello,
	}
	return l
}

// take implements owner.
func (l *link) take(entries []client.XRangeSlice) {
	for _, raw := range entries {
		e, err := parseEntry(raw, l.seq)
		if err == nil && e.field == fieldEnd {
			err = io.EOF
		} else if err != nil {
			err = fmt.Errorf("valkey: %s: %w", l.in, err)
		}
		if err != nil {
			l.fail(err)
			return
		}
		l.seq = e.seq
		l.mu.Lock()
		if l.err == nil {
			l.queue = append(l.queue, e)
			l.queued += len(e.value)
		}
		l.mu.Unlock()
	}
	l.tell()
}

// full implements owner.
func (l *link) full() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.paused = l.queued >= maxQueued
	return l.paused
}

// prompt implements owner.
func (l *link) prompt() bool { return false }

// fail ends the link with the first error there is. What came before can still be read.
func (l *link) fail(err error) {
	l.mu.Lock()
	if l.err == nil {
		l.err = err
		close(l.dead)
	}
	l.mu.Unlock()
	l.tell()
	if errors.Is(err, errVanished) { // whatever has deleted the session has deleted gateways, too
		l.b.registerAnew()
	}
}

// renewed is told which of the streams the server had when leases were renewed, and says whether it wants to be told
// again soon.
func (l *link) renewed(in, out bool) (again bool) {
	l.mu.Lock()
	if out {
		l.gone = 0
	} else if !l.paused { // the peer has closed, and its end is to be read first
		l.gone++
	}
	vanished := !in || l.gone > 1
	again = l.gone == 1 && l.err == nil
	l.mu.Unlock()
	if vanished {
		l.fail(fmt.Errorf("valkey: %s: %w", l.b.target.addr, errVanished))
	}
	return again
}

func (l *link) tell() {
	select {
	case l.news <- struct{}{}:
	default:
	}
}

// next returns the next entry.
func (l *link) next(ctx context.Context) (entry, error) {
	for {
		if e, ok, err := l.pop(); ok || err != nil {
			return e, err
		}
		select {
		case <-l.news:
		case <-l.done:
			return entry{}, net.ErrClosed
		case <-ctx.Done():
			return entry{}, context.Cause(ctx)
		}
	}
}

func (l *link) pop() (e entry, ok bool, err error) {
	resume := false
	l.mu.Lock()
	defer func() {
		l.mu.Unlock()
		if resume {
			l.b.wake(l.in) // which takes the broker's lock, under which full takes this one
		}
	}()
	if len(l.queue) == 0 {
		return entry{}, false, l.err
	}
	e = l.queue[0]
	l.queue[0] = entry{}
	l.queue = l.queue[1:]
	if len(l.queue) == 0 {
		l.queue = nil
	}
	l.queued -= len(e.value)
	if l.paused && l.queued < maxQueued/2 {
		l.paused, resume = false, true
	}
	return e, true, nil
}

func (l *link) ReadFrame() (*transports.Frame, error) {
	for l.rest == "" {
		e, err := l.next(context.Background())
		if err != nil {
			return nil, err
		}
		if e.field != fieldFrames {
			return nil, fmt.Errorf("valkey: %s: entry %d is an answer to the opening, which is over", l.in, e.seq)
		}
		l.rest = e.value
	}
	f, rest, err := transports.CutFrame(l.rest, l.max)
	if err != nil {
		return nil, err
	}
	l.rest = rest
	return f, nil
}

func (l *link) WriteFrames(batch []*transports.Frame) error {
	l.box.Lock()
	defer l.box.Unlock()
	l.box.gather(batch)
	_, err := l.flush(l.stall, false)
	return err
}

// WriteSome implements [transports.Patient].
func (l *link) WriteSome(batch []*transports.Frame) (left bool, err error) {
	l.box.Lock()
	defer l.box.Unlock()
	l.box.gather(batch)
	return l.flush(transports.Moment, true)
}

func (l *link) SetMaxPayload(n uint32) { l.max = n }

// Close says that this was all, and deletes the stream that nobody reads any more. The peer deletes the other one when it
// closes; the lease ends what is left.
func (l *link) Close() error {
	l.once.Do(func() {
		close(l.done)
		l.b.remove(l.in)
		l.box.Lock() // a write in progress ends with its command
		defer l.box.Unlock()
		if !l.b.owe(l) {
			l.farewell()
		}
		if l.gateway != "" {
			l.b.count(l.gateway, -1)
		}
		l.b.release()
	})
	return nil
}

// farewell is Close's last word. The peer takes it for an error where entries are on their way that were not confirmed.
func (l *link) farewell() {
	cmd := l.b.client.B()
	l.b.multi(context.Background(),
		cmd.Xadd().Key(l.out).Nomkstream().Id(endID).FieldValue().FieldValue(fieldEnd, strconv.FormatUint(l.box.seq, 10)).Build(),
		l.b.expire(l.out),
		cmd.Del().Key(l.in).Build())
}

func (l *link) Traits() transports.Traits {
	return transports.Traits{
		Order: transports.OrderLink, MaxPayload: spec.MaxFrameHard, Streams: true, Brokered: true,
		Remote: l.b.target.addr + " " + l.nonce, Scheme: Scheme,
	}
}

// broken is why nothing can be written any more, or nil.
func (l *link) broken() error {
	select {
	case <-l.done:
		return net.ErrClosed
	default:
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if errors.Is(l.err, io.EOF) {
		return io.ErrClosedPipe
	}
	return l.err
}
