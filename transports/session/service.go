package session

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/stella-ops/router/spec"
	"github.com/stella-ops/router/transports"
)

// idleWorkers bounds the goroutines that wait for the next call instead of ending: starting one anew for every call
// costs more than the call's own work does.
const idleWorkers = 64

// ServiceConfig is what a [Service] needs.
type ServiceConfig struct {
	// Hello is what to say of the service. An empty Nonce, StreamWindow and ManifestDigest are filled in. Where its Features
	// have [spec.FeatureTrailers] the session takes TRAILERS, and sends it to a gateway that does.
	Hello spec.Hello
	// Manifest travels with HELLO, byte for byte, unless it does not fit: then the gateway asks for it if it has to.
	Manifest []byte
	// Slim leaves the manifest out of HELLO: the gateway is believed to know it, and asks for it otherwise.
	Slim bool
	// Token proves the right to the service's name to a gateway that asks. A gateway that does not prove that it knows
	// the token, too, is refused. Empty: there is none.
	Token string
	// Limits bound what the session takes.
	Limits Limits
	// Serve serves one call, on a goroutine of its own. It must not panic.
	Serve func(*Incoming)
	// Heartbeat is asked for what HEARTBEAT says, every interval; the lease is filled in. It must not block.
	Heartbeat func() spec.Heartbeat
	// Renew is told, once, that the session comes to the end of its stream ids and is to be replaced. It is called by the
	// reading goroutine and must not block. May be nil.
	Renew func()
	// GoAway is told that the gateway drains. It is called by the reading goroutine and must not block. May be nil.
	GoAway func(code spec.Code, reason string)
}

// Service is the service's end of a session: it serves calls. Its methods may be called concurrently.
type Service struct {
	core
	cfg     ServiceConfig
	welcome spec.Welcome

	received   cancels     // that the gateway sends; twice as many as it allows itself
	tombs      tombs       // the reader's alone
	seen       seen        // the same
	resynced   bool        // the same
	slim       bool        // HELLO came without the manifest
	settled    atomic.Bool // the gateway has the manifest for certain
	appending  sync.Mutex
	generation uint32 // of the newest manifest; guarded by appending

	work chan *Incoming // to a worker that is idle
	idle atomic.Int64

	lease    atomic.Int64 // the last one announced
	most     atomic.Int64 // the largest one announced: calls that the gateway began under it may still come
	renewed  bool         // Renew was told; the reader's alone
	slots    atomic.Int64 // of the lease, taken
	mu       sync.Mutex
	calls    map[uint32]*Incoming // being served
	draining bool
	dead     bool
	empty    chan struct{} // closed when no call is left, once Drain asks
}

// Open opens the service's end on a link that it has dialled: HELLO, and the gateway's WELCOME within
// [spec.HelloTimeout]. A refusal is a remote *[Error]. On errors it closes the link.
func Open(ctx context.Context, link transports.Link, cfg ServiceConfig) (*Service, error) {
	link = signable(link)
	h := &cfg.Hello
	if h.Nonce == "" {
		h.Nonce = random(8)
	}
	if h.StreamWindow == 0 {
		h.StreamWindow = spec.StreamWindow
	}
	h.SessionWindow = sessionWindow(h.Lease, h.StreamWindow, cfg.Limits.memory())
	if h.ManifestDigest == "" {
		h.ManifestDigest = spec.Digest(cfg.Manifest)
	}
	s := &Service{cfg: cfg, calls: map[uint32]*Incoming{}, work: make(chan *Incoming)}
	s.lease.Store(int64(h.Lease))
	s.most.Store(int64(h.Lease))
	if err := opening(ctx, link, func(within func(time.Duration)) error { return s.open(link, within) }); err != nil {
		return nil, err
	}
	s.init(link, time.Duration(s.welcome.HeartbeatMS)*time.Millisecond, cfg.Limits, s.loseAll)
	s.received.init(2 * cfg.Limits.cancels())
	s.allowance.credit.Store(s.welcome.SessionWindow)
	s.agree(h.Names(spec.FeatureTrailers) && slices.Contains(s.welcome.Features, spec.FeatureTrailers))
	s.receives(s.cfg.Hello.SessionWindow, cfg.Limits)
	s.tombs.init(s.traits.Order)
	if s.traits.Order == transports.OrderNone {
		s.seen.bits = make([]uint64, seenWindow/64)
	}
	s.start(s.handle, s.beat)
	return s, nil
}

// Welcome is what the gateway said of itself.
func (s *Service) Welcome() *spec.Welcome { return &s.welcome }

// InFlight is the number of calls being served.
func (s *Service) InFlight() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.calls)
}

// Drain sends GOAWAY, refuses new calls, waits for the open ones, and lets the gateway end the session. Calls that are
// open when ctx ends are cancelled with SHUTDOWN, which it then reports as ctx's error. The session is closed when it
// returns.
func (s *Service) Drain(ctx context.Context) error {
	s.mu.Lock()
	first := s.empty == nil
	if first {
		s.draining, s.empty = true, make(chan struct{})
		if len(s.calls) == 0 {
			close(s.empty)
		}
	}
	empty := s.empty
	s.mu.Unlock()
	if first {
		s.w.enqueue(transports.NewControl(spec.TypeGoAway, 0, uint32(spec.CodeShutdown), nil))
	}
	var err error
	select {
	case <-empty:
		if err = s.flushUntil(ctx); err != nil {
			err = fmt.Errorf("session: drain: answers had not left: %w", err)
			break
		}
		select { // the gateway closes the link when no REQUEST can cross GOAWAY any more
		case <-s.done:
		case <-time.After(closeTimeout):
		}
	case <-s.done:
	case <-ctx.Done():
		err = fmt.Errorf("session: drain: calls were still open: %w", context.Cause(ctx))
		for _, c := range s.snapshot() {
			c.Cancel(spec.CodeShutdown, "the service is shutting down")
		}
		s.flush()
	}
	return errors.Join(err, s.Close())
}

func (s *Service) snapshot() []*Incoming {
	s.mu.Lock()
	defer s.mu.Unlock()
	calls := make([]*Incoming, 0, len(s.calls))
	for _, c := range s.calls {
		calls = append(calls, c)
	}
	return calls
}

// Close ends the session at once: open calls fail. It waits for the session's own goroutines, not for Serve.
func (s *Service) Close() error {
	s.fail(closed(spec.CodeShutdown, "closed by the service"))
	s.wg.Wait()
	return nil
}

// SetLease changes how many calls the service takes on at once over this session, from 0 to [spec.MaxLease], and tells the
// gateway.
func (s *Service) SetLease(calls int) {
	lease := int64(calls)
	if s.lease.Swap(lease) == lease {
		return
	}
	for most := s.most.Load(); lease > most; most = s.most.Load() {
		if s.most.CompareAndSwap(most, lease) {
			s.account.widen((lease - most) * s.cfg.Hello.StreamWindow)
			break
		}
	}
	s.beat()
}

// Lease is the one announced last.
func (s *Service) Lease() int { return int(s.lease.Load()) }

func (s *Service) beat() {
	hb := spec.Heartbeat{Status: spec.StatusReady, InFlight: s.InFlight()}
	if s.cfg.Heartbeat != nil {
		hb = s.cfg.Heartbeat()
	}
	hb.Lease = int(s.lease.Load())
	s.mu.Lock()
	if s.draining {
		hb.Status = spec.StatusDraining
	}
	s.mu.Unlock()
	b, err := spec.Canonical(hb)
	if err != nil {
		return // cannot be: a heartbeat is integers and one string
	}
	s.w.enqueue(transports.NewControl(spec.TypeHeartbeat, 0, 0, b))
}

func (s *Service) handle(f *transports.Frame, h spec.Header) error {
	switch h.Type {
	case spec.TypeRequest:
		return s.onRequest(f, h)
	case spec.TypeRequestStreamData, spec.TypeTrailers, spec.TypeCancel, spec.TypeCredit:
		s.mu.Lock()
		c := s.calls[h.Stream]
		s.mu.Unlock()
		if c == nil { // it crossed the end of its call
			f.Release()
			return s.missed(h)
		}
		return c.handle(f, h)
	case spec.TypeResync:
		defer f.Release()
		return s.onResync(f)
	case spec.TypeGoAway:
		defer f.Release()
		if s.cfg.GoAway != nil {
			s.cfg.GoAway(spec.Code(h.Aux), string(f.Meta()))
		}
		return nil
	default:
		f.Release()
		return protocolError("a gateway must not send %s here", h.Type)
	}
}

// missed takes note of a frame of a call that is not open.
func (s *Service) missed(h spec.Header) error {
	switch h.Type {
	case spec.TypeRequestStreamData:
		return s.account.crossing(int64(h.Length))
	case spec.TypeCancel:
		s.tombs.add(h.Stream)
	default:
	}
	return nil
}

func (s *Service) onRequest(f *transports.Frame, h spec.Header) error {
	if h.Stream&1 != 0 {
		f.Release()
		return protocolError("REQUEST on the odd stream %d", h.Stream)
	}
	if h.Stream >= spec.RenewStreamID && !s.renewed {
		s.renewed = true
		if s.cfg.Renew != nil {
			s.cfg.Renew()
		}
	}
	if s.slim && !s.settled.Load() {
		s.settled.Store(true)
	}
	s.mu.Lock()
	if s.dead { // it was read before the session died, and nobody waits for an answer
		s.mu.Unlock()
		f.Release()
		return nil
	}
	if !s.seen.first(h.Stream) { // the link has brought it before
		s.mu.Unlock()
		f.Release()
		return nil
	}
	if s.calls[h.Stream] != nil {
		s.mu.Unlock()
		f.Release()
		return protocolError("second REQUEST on stream %d", h.Stream)
	}
	if s.tombs.take(h.Stream) { // its CANCEL was faster
		s.mu.Unlock()
		f.Release()
		s.w.enqueue(transports.NewControl(spec.TypeCancel, h.Stream, uint32(spec.CodeNoError), nil))
		return nil
	}
	if s.draining || s.slots.Load() >= s.most.Load() {
		s.mu.Unlock()
		f.Release()
		s.w.enqueue(transports.NewControl(spec.TypeCancel, h.Stream, uint32(spec.CodeRefused), nil))
		return nil
	}
	s.slots.Add(1)
	c := newIncoming(s, f, h)
	s.calls[h.Stream] = c
	s.mu.Unlock()
	select {
	case s.work <- c:
	default:
		go s.worker(c)
	}
	return nil
}

// worker serves c and then what comes, until the session ends or enough others are idle. Calls outlive a session
// only as long as their Serve does.
func (s *Service) worker(c *Incoming) {
	for {
		c.serve()
		if s.idle.Add(1) > idleWorkers {
			s.idle.Add(-1)
			return
		}
		select {
		case c = <-s.work:
			s.idle.Add(-1)
		case <-s.done:
			s.idle.Add(-1)
			return
		}
	}
}

// forget removes a call that has been served.
func (s *Service) forget(c *Incoming) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.calls, c.id)
	if len(s.calls) == 0 && s.draining {
		select {
		case <-s.empty:
		default:
			close(s.empty)
		}
	}
}

// loseAll ends the context of every call: the session is dead.
func (s *Service) loseAll(err error) {
	s.mu.Lock()
	s.dead = true
	s.mu.Unlock()
	for _, c := range s.snapshot() {
		c.lost(err)
	}
}
