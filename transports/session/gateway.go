package session

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/stella-ops/router/spec"
	"github.com/stella-ops/router/transports"
)

// GatewayConfig is what a [Gateway] needs.
type GatewayConfig struct {
	// Welcome is the answer to HELLO. Zero fields get the defaults of package spec.
	Welcome spec.Welcome
	// Admit decides on a HELLO that is well-formed and whose digest is its manifest's. An *[Error] refuses with its
	// code, any other with UNAUTHORIZED.
	Admit func(h *spec.Hello, manifest []byte) error
	// Heartbeat is told of every HEARTBEAT. It is called by the reading goroutine and must not block. May be nil.
	Heartbeat func(spec.Heartbeat)
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

	mu      sync.Mutex
	calls   map[uint32]*Call // those that hold a slot
	next    uint32           // stream id of the next call
	leaving bool             // the service drains: the session ends with the last call
	dead    bool
}

// Accept opens the gateway's end on a link that a service has dialled: it takes HELLO, within [spec.HelloTimeout],
// asks Admit, and answers WELCOME. On errors it closes the link.
func Accept(ctx context.Context, link transports.Link, cfg GatewayConfig) (*Gateway, error) {
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
	if err := w.Check(); err != nil {
		_ = link.Close()
		return nil, fmt.Errorf("session: configuration: %w", err)
	}
	g := &Gateway{cfg: cfg, calls: map[uint32]*Call{}, next: 2}
	g.init(link, time.Duration(w.HeartbeatMS)*time.Millisecond, g.loseAll)
	if err := opening(ctx, link, g.open); err != nil {
		return nil, err
	}
	g.start(g.handle, nil)
	return g, nil
}

// opening runs open with the opening's deadline: when that or ctx ends first, the link is closed, which ends
// whatever open waits for.
func opening(ctx context.Context, link transports.Link, open func() error) error {
	ctx, cancel := context.WithTimeoutCause(ctx, spec.HelloTimeout, errSilent)
	defer cancel()
	stop := context.AfterFunc(ctx, func() { _ = link.Close() })
	err := open()
	if !stop() && ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	if err == nil {
		return nil
	}
	var refused *Error
	if errors.As(err, &refused) && !refused.Remote {
		f := transports.NewControl(spec.TypeCancel, 0, uint32(refused.Code), reason(refused.Reason))
		_ = link.WriteFrames([]*transports.Frame{f}) // the peer may be gone; the error is what counts
	}
	_ = link.Close()
	return fmt.Errorf("session: opening: %w", err)
}

var errSilent = fmt.Errorf("the peer did not say what was expected of it within %v: %w", spec.HelloTimeout, os.ErrDeadlineExceeded)

func (g *Gateway) open() error {
	f, err := g.link.ReadFrame()
	if err != nil {
		return err
	}
	defer f.Release()
	if t := f.Header().Type; t != spec.TypeHello {
		return protocolError("the first frame is %s, expected HELLO", t)
	}
	if err := spec.DecodeJSON(f.Meta(), &g.hello); err != nil {
		return protocolError("%s", err)
	}
	if err := g.hello.Check(); err != nil {
		code := spec.CodeProtocol
		if errors.Is(err, spec.ErrFeature) {
			code = spec.CodeUnsupported
		}
		return &Error{Code: code, Reason: err.Error()}
	}
	g.manifest = append([]byte(nil), f.Body()...)
	if d := spec.Digest(g.manifest); d != g.hello.ManifestDigest {
		return protocolError("HELLO names manifest %.80q, the bytes with it are %s", g.hello.ManifestDigest, d)
	}
	if g.cfg.Admit != nil {
		if err := g.cfg.Admit(&g.hello, g.manifest); err != nil {
			if refused, ok := errors.AsType[*Error](err); ok {
				return refused
			}
			return &Error{Code: spec.CodeUnauthorized, Reason: err.Error()}
		}
	}
	g.lease.Store(int64(g.hello.Lease))
	welcome, err := spec.Canonical(g.cfg.Welcome)
	if err != nil {
		return err
	}
	g.link.SetMaxPayload(g.cfg.Welcome.MaxFrame)
	return g.link.WriteFrames([]*transports.Frame{transports.NewControl(spec.TypeWelcome, 0, 0, welcome)})
}

// Hello is what the service said of itself.
func (g *Gateway) Hello() *spec.Hello { return &g.hello }

// Manifest is the service's manifest, as it came.
func (g *Gateway) Manifest() []byte { return g.manifest }

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
// On errors, which wrap [ErrRefused] or [ErrClosed], nothing was sent and f was released.
func (g *Gateway) Start(f *transports.Frame, meta int, flags spec.Flags, timeout time.Duration) (*Call, error) {
	if n := len(f.Payload()) - meta; meta > spec.MaxMetadata || n > spec.MaxInlineBody {
		f.Release()
		return nil, fmt.Errorf("%w: REQUEST with %d bytes of metadata and %d of inline body", ErrRefused, meta, n)
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
		err = fmt.Errorf("%w: more than %d bytes wait to be written", ErrRefused, maxPending)
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
	g.calls[id] = c
	g.inFlight.Add(1)
	g.mu.Unlock()
	f.Seal(spec.TypeRequest, flags, id, milliseconds(timeout), meta)
	err = g.w.send(f, nil)
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
	case spec.TypeResponse, spec.TypeResponseStreamData, spec.TypeCancel, spec.TypeCredit:
		return g.onCall(f, h)
	case spec.TypeHeartbeat:
		defer f.Release()
		return g.onHeartbeat(f)
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
	var hb spec.Heartbeat
	if err := spec.DecodeJSON(f.Meta(), &hb); err != nil {
		return protocolError("%s", err)
	}
	if err := hb.Check(); err != nil {
		return protocolError("%s", err)
	}
	g.lease.Store(int64(hb.Lease))
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
		return c.handle(f, h)
	case !opened:
		f.Release()
		return protocolError("%s on stream %d, which was never opened", h.Type, h.Stream)
	}
	f.Release() // it crossed the end of its call
	return nil
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
