package session

import (
	"context"
	"fmt"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"github.com/stella-ops/router/spec"
	"github.com/stella-ops/router/transports"
)

// GatewayConfig is what a [Gateway] needs.
type GatewayConfig struct {
	// Welcome is the answer to HELLO. Zero fields get the defaults of package spec; Nonce, Secret, Proof and Features are set
	// anew.
	Welcome spec.Welcome
	// Tokens returns the tokens each of which proves the right to a service's name. Nil: nobody is asked.
	Tokens func(service string) []string
	// Enter is asked when a service has proved its right to its name, before anything is done for it. It may wait, for
	// less than [spec.HelloTimeout]. Its errors are those of Admit. Nil lets everybody in.
	Enter func(h *spec.Hello) error
	// Known says whether the manifest of this digest need not be sent. Nil knows none.
	Known func(digest string) bool
	// Admit decides on a service whose HELLO is well-formed and which has proved its right to its name. The manifest's
	// digest is HELLO's; it is nil where Known has said so. An *[Error] refuses with its code, any other with UNAUTHORIZED.
	Admit func(h *spec.Hello, manifest []byte) error
	// Append is told of a manifest that appends endpoints to what the service has offered so far, and of the generation
	// that calls to them name. Its error ends the session. It is called by the reading goroutine and must not block. Nil
	// takes none.
	Append func(generation uint32, manifest []byte) error
	// Limits bound what the session takes.
	Limits Limits
	// Ping sends PING at every interval, not only to a silent service, so that [Gateway.Ping] is up to date.
	Ping bool
	// Heartbeat is told of every HEARTBEAT. It is called by the reading goroutine and must not block. May be nil.
	Heartbeat func(spec.Heartbeat)
	// Counts counts what goes on, for several sessions. Nil: nobody does.
	Counts *Counts
	// GoAway is told that the service drains. It is called by the reading goroutine and must not block. May be nil.
	GoAway func(code spec.Code, reason string)
}

// Gateway is the gateway's end of a session: it makes calls. Its methods may be called concurrently.
type Gateway struct {
	core
	cfg      GatewayConfig
	hello    spec.Hello
	manifest []byte

	lease    atomic.Int64
	inFlight atomic.Int64
	draining atomic.Bool // no new calls: one end drains, or the session is dead

	cancels    cancels // that this end sends
	received   cancels // that the service sends; twice as many, since it keeps a budget of its own
	most       int64   // the largest lease so far; the reader's alone
	generation uint32  // of the newest manifest; the reader's alone

	spare sync.Pool // of calls that nobody uses any more

	mu       sync.Mutex
	appended assembly         // of the manifest that is on its way
	calls    map[uint32]*Call // those that hold a slot
	next     uint32           // stream id of the next call
	leaving  bool             // the service drains: the session ends with the last call
	dead     bool
}

// Accept opens the gateway's end on a link that a service has dialled: it takes HELLO, has the service prove its right to
// its name, answers WELCOME, and fetches a manifest that is not known. Every step has [spec.HelloTimeout], the manifest
// [spec.ManifestTimeout]. On errors it closes the link.
func Accept(ctx context.Context, link transports.Link, cfg GatewayConfig) (*Gateway, error) {
	link = signable(link)
	w := &cfg.Welcome
	if w.HeartbeatMS == 0 {
		w.HeartbeatMS = spec.HeartbeatInterval.Milliseconds()
	}
	if w.MaxFrame == 0 {
		w.MaxFrame = spec.MaxFrameDefault
	}
	if w.StreamWindow == 0 {
		w.StreamWindow = spec.StreamWindow
	}
	g := &Gateway{cfg: cfg, calls: map[uint32]*Call{}, next: 2}
	g.counts = cfg.Counts
	g.init(link, time.Duration(w.HeartbeatMS)*time.Millisecond, cfg.Limits, g.loseAll)
	g.cancels.init(cfg.Limits.cancels())
	g.received.init(2 * cfg.Limits.cancels())
	if err := opening(ctx, link, g.open); err != nil {
		return nil, err
	}
	g.most = int64(g.hello.Lease)
	g.receives(g.cfg.Welcome.SessionWindow, cfg.Limits)
	g.widen(g.lease.Load()) // a HEARTBEAT may have raised it while the manifest was on its way
	g.trips.measures = cfg.Ping
	g.start(g.handle, g.look)
	return g, nil
}

// Ping is a moving average of the time from PING to PONG; 0 as long as none has come back. See [GatewayConfig.Ping].
func (g *Gateway) Ping() time.Duration { return time.Duration(g.trips.average.Load()) }

// Hello is what the service said of itself.
func (g *Gateway) Hello() *spec.Hello { return &g.hello }

// Manifest is the service's manifest, as it came; nil if it did not have to.
func (g *Gateway) Manifest() []byte { return g.manifest }

// Secret is what a session that supersedes this one presents in HELLO.
func (g *Gateway) Secret() string { return g.cfg.Welcome.Secret }

// Small is how many bytes of metadata and body a call and its answer may have, whole, where the link carries small calls
// only; 0 where it carries all.
func (g *Gateway) Small() int { return g.small() }

// InFlight is the number of calls that hold a slot of the lease.
func (g *Gateway) InFlight() int { return int(g.inFlight.Load()) }

// Lease is how many calls the service takes on at once: none once the session drains or has ended.
func (g *Gateway) Lease() int {
	if g.draining.Load() {
		return 0
	}
	return int(g.lease.Load())
}

// Drain tells the service that this gateway goes away: from now on Start refuses, and open calls go on.
func (g *Gateway) Drain(code spec.Code, why string) {
	if g.draining.CompareAndSwap(false, true) {
		g.goAway(code, why)
	}
}

// renewWait bounds the wait for a service to refuse the call that [Gateway.Renew] makes.
const renewWait = 2 * time.Second

// Renew has the service replace the session by another one, which it does as at the end of the stream ids: all calls from now
// on have an id from the second half. The calls go on, on this session, until the service or [Gateway.Drain] ends that. So that
// a session without calls is replaced, too, one is made that no service serves: of a generation that was never announced,
// which is STALE. It waits until that has been refused, or ctx has ended.
func (g *Gateway) Renew(ctx context.Context) {
	g.mu.Lock()
	g.next = max(g.next, spec.RenewStreamID)
	g.mu.Unlock()
	r := spec.Request{Generation: math.MaxUint32, ContentLength: -1}
	f := transports.NewFrame(renewRequest)
	b := r.AppendTo(f.Bytes())
	f.SetBytes(b)
	call, err := g.Start(f, len(b)-spec.HeaderSize, spec.FlagEnd, renewWait)
	if err != nil {
		return // the session ends, or has as many calls as it may: there will be a next one
	}
	defer call.Close()
	if answer, err := call.Head(ctx); err == nil {
		answer.Release()
	}
}

// renewRequest is more than the bytes of a REQUEST that says nothing.
const renewRequest = 64

func (g *Gateway) goAway(code spec.Code, why string) {
	g.w.enqueue(transports.NewControl(spec.TypeGoAway, 0, uint32(code), reason(why)))
}

// Close tells the service why, ends the session and waits for its goroutines. Open calls fail.
func (g *Gateway) Close(code spec.Code, why string) error {
	g.leave(code, why, closed(code, why))
	g.wg.Wait()
	return nil
}

// Start begins a call. It takes over f, whose payload is meta bytes of REQUEST metadata and then the inline body,
// seals it and sends it. flags are those of REQUEST: END when the body is whole, INLINE_BODY when there is any.
// timeout bounds the time to the response head, and goes to the service as the deadline; 0 is none.
//
// On errors, which wrap [ErrRefused], [ErrClosed] or [ErrTooLarge], nothing was sent and f was released.
func (g *Gateway) Start(f *transports.Frame, meta int, flags spec.Flags, timeout time.Duration) (*Call, error) {
	return g.StartAbout(nil, f, meta, flags, timeout)
}

// StartAbout is Start, and says what the call is about: [Gateway.Visit] and [Gateway.CancelAll] pass it on until the call is
// closed.
func (g *Gateway) StartAbout(about any, f *transports.Frame, meta int, flags spec.Flags, timeout time.Duration) (*Call, error) {
	if n := len(f.Payload()) - meta; meta > spec.MaxMetadata || n > spec.MaxInlineBody {
		f.Release()
		return nil, fmt.Errorf("%w: REQUEST with %d bytes of metadata and %d of inline body", ErrRefused, meta, n)
	}
	if err := g.carries(len(f.Payload()), flags); err != nil {
		f.Release()
		return nil, err
	}
	g.mu.Lock()
	var err error
	switch {
	case g.dead:
		err = fmt.Errorf("%w: %w", ErrRefused, ErrClosed)
	case g.draining.Load():
		err = fmt.Errorf("%w: the session drains", ErrRefused)
	case int64(len(g.calls)) >= g.lease.Load():
		err = fmt.Errorf("%w: all %d slots of the lease are taken", ErrRefused, g.lease.Load())
	case g.w.full():
		err = fmt.Errorf("%w: more than %d bytes wait to be written", ErrRefused, g.w.cap)
	case g.cancels.spentAll():
		err = fmt.Errorf("%w: too many calls were cancelled within a minute", ErrRefused)
	}
	if err != nil {
		g.mu.Unlock()
		f.Release()
		return nil, err
	}
	id := g.next
	g.next += 2
	last := g.next > spec.MaxStreamID
	if last { // before anybody takes the lock who would go on
		g.draining.Store(true)
	}
	c := newCall(g)
	c.begin(id, flags&spec.FlagEnd != 0, timeout)
	c.about = about
	g.calls[id] = c
	g.inFlight.Add(1)
	g.mu.Unlock()
	f.Seal(spec.TypeRequest, flags, id, milliseconds(timeout), meta)
	err = g.w.send(f)
	if last {
		g.goAway(spec.CodeNoError, "the session has used all its stream ids: open another one")
	}
	if err != nil { // the session died; losing it has failed the call too
		return nil, fmt.Errorf("%w: %w", ErrRefused, err)
	}
	return c, nil
}

// milliseconds rounds up, so that a deadline never becomes none.
func milliseconds(d time.Duration) uint32 {
	ms := (d + time.Millisecond - 1) / time.Millisecond
	return uint32(min(max(ms, 0), 1<<32-1))
}

func (g *Gateway) handle(f *transports.Frame, h spec.Header) error {
	switch h.Type {
	case spec.TypeResponse, spec.TypeResponseStreamData, spec.TypeTrailers, spec.TypeCancel, spec.TypeCredit:
		return g.onCall(f, h)
	case spec.TypeHeartbeat:
		defer f.Release()
		return g.onHeartbeat(f)
	case spec.TypeEndpoints:
		defer f.Release()
		return g.onEndpoints(f)
	case spec.TypeGoAway:
		defer f.Release()
		g.mu.Lock()
		g.draining.Store(true)
		g.leaving = true
		g.endIfDrained()
		g.mu.Unlock()
		if g.cfg.GoAway != nil {
			g.cfg.GoAway(spec.Code(h.Aux), string(f.Meta()))
		}
		return nil
	default:
		f.Release()
		return protocolError("a service must not send %s here", h.Type)
	}
}

func (g *Gateway) onHeartbeat(f *transports.Frame) error {
	hb, err := heartbeat(f)
	if err != nil {
		return err
	}
	g.lease.Store(int64(hb.Lease))
	g.widen(int64(hb.Lease))
	if g.cfg.Heartbeat != nil {
		g.cfg.Heartbeat(hb)
	}
	return nil
}

func (g *Gateway) onCall(f *transports.Frame, h spec.Header) error {
	g.mu.Lock()
	c := g.calls[h.Stream]
	opened := h.Stream&1 == 0 && h.Stream < g.next
	if c != nil && c.whole && h.Type == spec.TypeResponse && h.Flags&spec.FlagEnd != 0 {
		// Most calls: the one frame that ends the call. After this nobody but the call's owner knows of it.
		delete(g.calls, h.Stream)
		g.inFlight.Add(-1)
		g.endIfDrained()
	}
	g.mu.Unlock()
	switch {
	case c != nil:
		err := c.handle(f, h)
		if err != nil { // ends the session, and the call may be out of the table of those that are told
			c.lost(fmt.Errorf("%w: %w", ErrClosed, err))
		}
		return err
	case !opened:
		f.Release()
		return protocolError("%s on stream %d, which was never opened", h.Type, h.Stream)
	}
	f.Release() // it crossed the end of its call
	if h.Type == spec.TypeResponseStreamData {
		return g.account.crossing(int64(h.Length))
	}
	return nil
}

// widen grants credit for the calls that a lease larger than ever before lets come.
func (g *Gateway) widen(lease int64) {
	if lease > g.most {
		g.account.widen((lease - g.most) * g.cfg.Welcome.StreamWindow)
		g.most = lease
	}
}

// forget frees a call's slot.
func (g *Gateway) forget(c *Call) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.calls[c.id] == c {
		delete(g.calls, c.id)
		g.inFlight.Add(-1)
		g.endIfDrained()
	}
}

// endIfDrained ends the session if its service drains and no call is open: since Start looks at draining under the
// same lock, no REQUEST is on its way then, which only this end can know. The caller holds mu.
func (g *Gateway) endIfDrained() {
	if g.leaving && len(g.calls) == 0 {
		signal(g.over)
	}
}

// loseAll fails every call: the session is dead.
func (g *Gateway) loseAll(err error) {
	g.mu.Lock()
	calls := g.calls
	g.calls, g.dead = nil, true
	g.draining.Store(true)
	g.inFlight.Store(0)
	g.mu.Unlock()
	for _, c := range calls {
		c.lost(err)
	}
}
