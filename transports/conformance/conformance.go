// Package conformance proves that a transport behaves as all others do: what an author wrote must not notice which one
// carries it. It drives both ends of a session over the transport's links. A transport of one's own runs it like this:
//
//	func TestConformance(t *testing.T) {
//		conformance.Run(t, conformance.Transport{
//			Listen: func(*testing.T) string { return "carrier://127.0.0.1:0" },
//		})
//	}
//
// Where a transport cannot do a thing, its links say so by their traits, and the suite asserts what users are told
// instead. [Run] returns that as a table.
//
// A broker with queues runs [RunQueues] besides.
package conformance

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"runtime"
	"runtime/pprof"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stella-ops/router/spec"
	"github.com/stella-ops/router/transports"
	"github.com/stella-ops/router/transports/faultproxy"
	"github.com/stella-ops/router/transports/session"
)

// Transport is what is tested.
type Transport struct {
	// Listen returns a URL to listen on. It is called once a case, and must not return one that is in use.
	Listen func(t *testing.T) string
	// Dial makes of a listener's address the URL that services dial. Nil takes it as it is.
	Dial func(addr string) string
	// Proxy says how faults are put on the way: "tcp" or "udp" between host and port of the two URLs, or not at all.
	Proxy string
	// Sustained is how long the case of many concurrent calls goes on; 5 s if it is 0.
	Sustained time.Duration
}

// Result is what became of one case.
type Result struct {
	Case    string
	Instead string // what users are told where the transport cannot do it; empty where it can
}

// patience bounds every wait.
const patience = 20 * time.Second

// cases are run in this order, each on links of its own.
var cases = []struct { //nolint:gochecknoglobals // a constant
	name string
	run  func(*bench) (instead string)
}{
	{"unary calls", unary},
	{"metadata up to its limit", largeMetadata},
	{"header fields: order, repetition, case; control characters refused", fidelity},
	{"bodies at and around every boundary, both ways", boundaries},
	{"streams both ways at once", duplex},
	{"trailers, both ways", trailing},
	{"every way in which a stream ends", endings},
	{"cancel at each phase", cancelling},
	{"deadline", deadline},
	{"lease", lease},
	{"drain by either end", draining},
	{"lost peer", lost},
	{"reconnect with a new nonce", reconnect},
	{"two gateways", twoGateways},
	{"one stalled stream of many", stalled},
	{"many concurrent calls: none lost, none twice", sustained},
	{"delay, jitter, little bandwidth; datagrams lost, doubled, overtaken", rough},
	{"connections that break, or that nothing comes through", breaking},
}

// Run runs the suite.
func Run(t *testing.T, transport Transport) []Result {
	t.Helper()
	results := make([]Result, 0, len(cases))
	for _, c := range cases {
		t.Run(strings.NewReplacer(" ", "_", ":", "", ",", "", ";", "").Replace(c.name), func(t *testing.T) {
			before := runtime.NumGoroutine()
			b := &bench{T: t, transport: transport, heard: make(chan error, 1)}
			defer b.clean(before)
			results = append(results, Result{c.name, c.run(b)})
		})
	}
	return results
}

// bench is where one case is tested.
type bench struct {
	*testing.T

	transport Transport
	closers   []func()
	ids       atomic.Int64

	mu     sync.Mutex
	served map[string]int // how often each call was served, by its path
	heard  chan error     // what an upgraded call ended with, once it had heard what it was to hear; of one place
}

// clean closes all, the last first, and expects that no goroutine is left.
func (b *bench) clean(before int) {
	for _, f := range slices.Backward(b.closers) {
		f()
	}
	nothingLeft(b.T, before)
}

// nothingLeft expects that no more goroutines are there than before the case.
func nothingLeft(t *testing.T, before int) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for runtime.NumGoroutine() > before && time.Now().Before(deadline) {
		<-time.After(10 * time.Millisecond)
	}
	if now := runtime.NumGoroutine(); now > before {
		var stacks strings.Builder
		_ = pprof.Lookup("goroutine").WriteTo(&stacks, 1)
		t.Errorf("%d goroutines are left of the case, which began with %d:\n%s", now, before, stacks.String())
	}
}

func (b *bench) closing(f func()) { b.closers = append(b.closers, f) }

// need fails the case at once.
func (b *bench) need(err error, doing string, args ...any) {
	b.Helper()
	if err != nil {
		b.Fatalf("%s: %v", fmt.Sprintf(doing, args...), err)
	}
}

// gate is a gateway: a listener, and the sessions that it has accepted.
type gate struct {
	transports.Listener

	b        *bench
	accepted chan *session.Gateway
}

// listen starts a gateway.
func (b *bench) listen() *gate {
	b.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	l, err := transports.Listen(ctx, b.transport.Listen(b.T), transports.ListenConfig{
		Rejected: func(remote string, err error) { b.Logf("rejected %s: %v", remote, err) },
	})
	b.need(err, "listen")
	g := &gate{Listener: l, b: b, accepted: make(chan *session.Gateway, 64)}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			link, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() {
				s, err := session.Accept(context.Background(), link, session.GatewayConfig{
					Welcome: spec.Welcome{Node: "conformance", HeartbeatMS: 500}, Tokens: func(string) []string { return []string{shared} },
				})
				if err != nil {
					b.Logf("a session was not opened: %v", err)
					return
				}
				g.accepted <- s
			})
		}
	})
	b.closing(func() {
		if err := l.Close(); err != nil {
			b.Errorf("closing the listener: %v", err)
		}
		wg.Wait()
	})
	return g
}

// url is what services dial.
func (g *gate) url() string {
	if g.b.transport.Dial == nil {
		return g.Addr()
	}
	return g.b.transport.Dial(g.Addr())
}

// pair is one session, both its ends.
type pair struct {
	*bench

	gateway *session.Gateway
	service *session.Service
}

const (
	lot    = 128                 // the lease of services here
	shared = "conformance's own" // that both ends have: where the link goes through a broker, every frame is signed
)

// session connects a service to a gateway, and closes both ends with the case.
func (g *gate) session(raw string, change ...func(*session.ServiceConfig)) *pair {
	g.b.Helper()
	p, err := g.try(raw, change...)
	g.b.need(err, "dial %s", raw)
	return p
}

func (g *gate) try(raw string, change ...func(*session.ServiceConfig)) (*pair, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	link, err := transports.Dial(ctx, raw)
	if err != nil {
		return nil, err
	}
	id := "i" + strconv.FormatInt(g.b.ids.Add(1), 10)
	cfg := session.ServiceConfig{
		Hello:    spec.Hello{Instance: spec.Instance{Service: "conformance", Version: "1.0.0", ID: id}, Lease: lot},
		Manifest: []byte("manifest"), Serve: g.b.serve, Token: shared,
	}
	for _, c := range change {
		c(&cfg)
	}
	s, err := session.Open(ctx, link, cfg)
	if err != nil {
		return nil, err
	}
	for {
		select {
		case gw := <-g.accepted:
			g.b.closing(func() { _ = gw.Close(spec.CodeShutdown, "the case is over") })
			if gw.Hello().Instance.ID != id { // of a connection that broke while it was opened
				continue
			}
			g.b.closing(func() { _ = s.Close() })
			return &pair{g.b, gw, s}, nil
		case <-ctx.Done():
			_ = s.Close()
			return nil, errors.New("the gateway's end did not open")
		}
	}
}

// connect is a gateway and a session to it.
func (b *bench) connect(change ...func(*session.ServiceConfig)) *pair {
	b.Helper()
	g := b.listen()
	return g.session(g.url(), change...)
}

// proxied puts a fault proxy before a gateway, and returns its faults' setter and the URL to dial.
func (g *gate) proxied() (raw string, set func(faultproxy.Direction, faultproxy.Faults), reset func()) {
	g.b.Helper()
	u, err := url.Parse(g.url())
	g.b.need(err, "the URL to dial")
	const seed = 1
	switch g.b.transport.Proxy {
	case "tcp":
		p, err := faultproxy.ListenTCP(u.Host, seed)
		g.b.need(err, "fault proxy")
		g.b.closing(func() { _ = p.Close() })
		u.Host = p.Addr()
		return u.String(), p.Set, p.Reset
	case "udp":
		p, err := faultproxy.ListenUDP(u.Host, seed)
		g.b.need(err, "fault proxy")
		g.b.closing(func() { _ = p.Close() })
		u.Host = p.Addr()
		return u.String(), p.Set, nil
	}
	return "", nil, nil
}

// What the service is asked for most, by the request's query.
const (
	doEcho   = "echo"
	doStream = "stream"
	doTrail  = "trailers"
	doWait   = "wait"
	doSlow   = "slow"
)

// halfClosed is how many bytes an upgraded call hears after it has closed its own half.
const halfClosed = 1 << 20

// slow is how long the slow call takes.
const slow = 300 * time.Millisecond

// serve is what the service does, as the request's query says.
func (b *bench) serve(in *session.Incoming) {
	r := in.Request()
	b.mu.Lock()
	if b.served == nil {
		b.served = map[string]int{}
	}
	if r.Path != "" {
		b.served[r.Path]++
	}
	b.mu.Unlock()
	switch what, _, _ := strings.Cut(r.Query, "="); what {
	case doEcho: // the body whole, and the header
		body, err := io.ReadAll(in)
		if err != nil {
			return
		}
		_ = in.Respond(&spec.Response{Status: 200, ContentLength: -1, Header: r.Header}, body)
	case doStream: // what comes goes back at once
		if in.Head(&spec.Response{Status: 200, ContentLength: -1}) != nil {
			return
		}
		if _, err := in.ReadFrom(in); err == nil {
			_ = in.End()
		}
	case doTrail: // the body whole, and what has followed it
		body, err := io.ReadAll(in)
		if err == nil {
			_ = in.RespondWith(&spec.Response{Status: 200, ContentLength: -1}, body, append(in.Trailers(), follows))
		}
	case doSlow:
		body, err := io.ReadAll(in)
		select {
		case <-in.Context().Done():
		case <-time.After(slow):
		}
		if err == nil {
			_ = in.Respond(&spec.Response{Status: 200, ContentLength: -1}, body)
		}
	case "large": // an answer of as many bytes as the header says
		size, _ := strconv.Atoi(r.Header[0].Value) // the suite's own
		_ = in.Respond(&spec.Response{Status: 200, ContentLength: -1}, pattern(size))
	case "early": // an answer that does not wait for the body
		_ = in.Respond(&spec.Response{Status: 413, ContentLength: -1}, []byte("enough"))
	case "upgrade": // whose answer ends before the request goes on
		if in.Head(&spec.Response{Status: 101, ContentLength: -1}) != nil {
			return
		}
		_, _ = in.Write([]byte("said")) // what fails here, fails below
		_ = in.End()
		got, err := io.ReadAll(in)
		if err == nil && !bytes.Equal(got, pattern(halfClosed)) {
			err = fmt.Errorf("heard %d bytes, which are not those that were sent", len(got))
		}
		b.heard <- err
	case "fail":
		in.Cancel(spec.CodeInternal, "broken")
	case "break": // in the middle of an answer
		if in.Head(&spec.Response{Status: 200, ContentLength: -1}) == nil {
			_, _ = in.Write([]byte("half"))
			in.Cancel(spec.CodeInternal, "broken")
		}
	case doWait:
		<-in.Context().Done()
	case "flood": // an answer without an end
		if in.Head(&spec.Response{Status: 200, ContentLength: -1}) != nil {
			return
		}
		part := make([]byte, 16<<10)
		for {
			if _, err := in.Write(part); err != nil {
				return
			}
		}
	}
}

// times is how often a call was served.
func (b *bench) times(path string) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.served[path]
}

// request makes the frame of REQUEST.
func request(r *spec.Request, body []byte) (f *transports.Frame, meta int) {
	f = transports.NewFrame(1024 + len(body))
	text := r.AppendTo(f.Bytes())
	f.SetBytes(append(text, body...))
	return f, len(text) - spec.HeaderSize
}

// start begins a call whose body is whole and goes with it, or open one whose body follows.
func (p *pair) start(r *spec.Request, body []byte, timeout time.Duration) (*session.Call, error) {
	r.ContentLength = int64(len(body))
	f, meta := request(r, body)
	flags := spec.FlagEnd
	if len(body) > 0 {
		flags |= spec.FlagInlineBody
	}
	return p.gateway.Start(f, meta, flags, timeout)
}

func (p *pair) open(r *spec.Request) *session.Call {
	p.Helper()
	r.ContentLength = -1
	f, meta := request(r, nil)
	c, err := p.gateway.Start(f, meta, 0, patience)
	p.need(err, "start a call")
	return c
}

// room is how large a body may be, with a little metadata, where the link carries small calls only; 0 elsewhere.
func (p *pair) room() int {
	const metadata = 200
	return max(p.gateway.Small()-metadata, 0)
}

// refusesStreams asserts what the session says of a body that is streamed, where the link carries small calls only.
func (p *pair) refusesStreams() {
	p.Helper()
	f, meta := request(&spec.Request{Query: doStream, ContentLength: -1}, nil)
	if _, err := p.gateway.Start(f, meta, 0, patience); !errors.Is(err, session.ErrTooLarge) {
		p.Errorf("a call whose body is streamed: %v, expected to be refused as too large", err)
	}
	if _, _, err := p.call(&spec.Request{Query: doStream}, nil); code(err) != spec.CodeTooLarge.String() {
		p.Errorf("a call whose answer is streamed: %v, expected TOO_LARGE", err)
	}
}

// unstreamed is what users are told of streams there.
const unstreamed = "Bodies are not streamed. An endpoint that streams is not called over such a session: the gateway answers 503 " +
	"`transport_unfit`, and the service's other endpoints serve."

// call makes a whole call. The body goes with the request where it may, and after it else.
func (p *pair) call(r *spec.Request, body []byte) (*spec.Response, []byte, error) {
	if len(body) <= spec.MaxInlineBody || p.gateway.Small() > 0 {
		c, err := p.start(r, body, patience)
		if err != nil {
			return nil, nil, err
		}
		defer c.Close()
		return finish(c)
	}
	c := p.open(r)
	defer c.Close()
	sent := make(chan error, 1)
	go func() { sent <- send(c, body) }()
	answer, got, err := finish(c)
	c.Cancel(spec.CodeNoError) // wakes the sender, if an answer came before all was sent
	return answer, got, errors.Join(err, <-sent)
}

// send sends a body and ends it.
func send(c *session.Call, body []byte) error {
	for {
		n, err := c.Acquire(min(max(len(body), 1), spec.MaxChunk))
		if err != nil {
			return err
		}
		part := min(n, len(body))
		f := transports.NewFrame(part)
		f.SetBytes(append(f.Bytes(), body[:part]...))
		body = body[part:]
		if err := c.Send(f, n, len(body) == 0); err != nil || len(body) == 0 {
			return err
		}
	}
}

// finish reads an answer to its end.
func finish(c *session.Call) (*spec.Response, []byte, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	f, err := c.Head(ctx)
	if err != nil {
		return nil, nil, err
	}
	r := new(spec.Response)
	err = r.Decode(f.Meta())
	body := append([]byte(nil), f.Body()...)
	f.Release()
	for err == nil {
		if f, err = c.Next(ctx, patience); err != nil {
			break
		}
		body = append(body, f.Payload()...)
		c.Consumed(len(f.Payload()))
		f.Release()
	}
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return r, body, err
}

// asRefused is what code says of a call that was not taken on.
const asRefused = "refused"

// code is the code of a session's error, or a word for what else it is.
func code(err error) string {
	var e *session.Error
	switch {
	case err == nil:
		return "success"
	case errors.As(err, &e):
		return e.Code.String()
	case errors.Is(err, session.ErrClosed):
		return "closed"
	case errors.Is(err, session.ErrRefused):
		return asRefused
	}
	return err.Error()
}

// eventually waits until a condition holds.
func (b *bench) eventually(what string, holds func() bool) {
	b.Helper()
	deadline := time.Now().Add(patience)
	for !holds() {
		if time.Now().After(deadline) {
			b.Fatalf("not within %v: %s", patience, what)
		}
		<-time.After(2 * time.Millisecond)
	}
}
