package stella_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"github.com/onsi/gomega/gleak"
	"github.com/onsi/gomega/types"

	stella "github.com/stella-ops/router/runtime"
	"github.com/stella-ops/router/spec"
	"github.com/stella-ops/router/transports"
	_ "github.com/stella-ops/router/transports/inmemory"
	"github.com/stella-ops/router/transports/session"
)

func TestRuntime(t *testing.T) {
	RegisterFailHandler(Fail)
	RunSpecs(t, "Runtime")
}

// patience bounds what a spec waits for.
const patience = 5 * time.Second

// endpoint is one endpoint of a test's manifest, and what serves it.
type endpoint struct {
	spec.Endpoint

	dispatch stella.Dispatch
}

func public(method, path string, dispatch stella.Dispatch) endpoint {
	return endpoint{spec.Endpoint{
		Method: method, Path: path, Handler: "Handler", Kind: spec.KindRaw, Status: 200, Stream: spec.StreamBoth,
		Public: "it is a test", Limits: spec.DefaultLimits,
	}, dispatch}
}

// service is a manifest with these endpoints, and their dispatchers.
func service(endpoints ...endpoint) (stella.Manifest, stella.Endpoints) {
	GinkgoHelper()
	m := spec.Manifest{Service: "test", Version: "1.2.3"}
	list := stella.Endpoints{Package: "test"}
	for _, e := range endpoints {
		m.Endpoints = append(m.Endpoints, e.Endpoint)
		list.List = append(list.List, stella.Endpoint{Method: e.Method, Path: e.Path, Dispatch: e.dispatch})
	}
	b, err := m.Encode()
	Expect(err).NotTo(HaveOccurred())
	return stella.Manifest{JSON: string(b)}, list
}

// journal is a log that a spec can read while it is written.
type journal struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (j *journal) Write(p []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.b.Write(p)
}

func (j *journal) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.b.String()
}

func (j *journal) logger() *slog.Logger {
	return slog.New(slog.NewTextHandler(j, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

// gateway plays the gateway: it accepts every service that dials.
type gateway struct {
	url      string
	sessions chan *session.Gateway
	beats    chan spec.Heartbeat
	goaways  chan spec.Code
	interval time.Duration // between heartbeats
	refuse   func(*spec.Hello) error
	known    func(digest string) bool
	tokens   func(service string) []string
	gateways []string // that WELCOME names
}

// listen starts a gateway that ends with the spec.
func listen(url string, change ...func(*gateway)) *gateway {
	GinkgoHelper()
	g := &gateway{
		sessions: make(chan *session.Gateway, 16), beats: make(chan spec.Heartbeat, 16), goaways: make(chan spec.Code, 16),
		interval: patience,
	}
	for _, f := range change {
		f(g)
	}
	ln, err := transports.Listen(context.Background(), url, transports.ListenConfig{})
	Expect(err).NotTo(HaveOccurred())
	g.url = ln.Addr()
	var wg sync.WaitGroup
	wg.Go(func() { g.accept(ln) })
	DeferCleanup(func() {
		Expect(ln.Close()).To(Succeed())
		wg.Wait()
	})
	return g
}

func (g *gateway) accept(ln transports.Listener) {
	for {
		link, err := ln.Accept()
		if err != nil {
			return
		}
		s, err := session.Accept(context.Background(), link, session.GatewayConfig{
			Welcome: spec.Welcome{Node: "node", HeartbeatMS: g.interval.Milliseconds(), Gateways: g.gateways},
			Known:   g.known, Tokens: g.tokens,
			Admit: func(h *spec.Hello, _ []byte) error {
				if g.refuse == nil {
					return nil
				}
				return g.refuse(h)
			},
			Heartbeat: func(hb spec.Heartbeat) {
				select {
				case g.beats <- hb:
				default:
				}
			},
			GoAway: func(code spec.Code, _ string) { g.goaways <- code },
		})
		if err == nil {
			g.sessions <- s
		}
	}
}

// connected waits for the next service.
func (g *gateway) connected() *session.Gateway {
	GinkgoHelper()
	var s *session.Gateway
	Eventually(g.sessions).WithTimeout(patience).Should(Receive(&s))
	DeferCleanup(func() { Expect(s.Close(spec.CodeShutdown, "the spec is over")).To(Succeed()) })
	return s
}

// process is a service that runs.
type process struct {
	log  *journal
	stop context.CancelFunc
	done chan struct{}
	err  error
}

// run runs a service, which ends with the spec and must leave no goroutine.
func run(m stella.Manifest, parts ...stella.Part) *process {
	GinkgoHelper()
	before := gleak.Goroutines()
	p := &process{log: new(journal), done: make(chan struct{})}
	ctx, cancel := context.WithCancel(context.Background())
	p.stop = cancel
	svc := stella.New(m, append([]stella.Part{stella.WithLogger(p.log.logger()), stella.WithGrace(patience)}, parts...)...)
	go func() {
		defer close(p.done)
		p.err = svc.Run(ctx)
	}()
	DeferCleanup(func() {
		cancel()
		Eventually(p.done).WithTimeout(patience).Should(BeClosed())
		Eventually(gleak.Goroutines).WithTimeout(patience).ShouldNot(gleak.HaveLeaked(before))
	})
	return p
}

// result waits for Run to return.
func (p *process) result() error {
	GinkgoHelper()
	Eventually(p.done).WithTimeout(patience).Should(BeClosed())
	return p.err
}

// serve runs a service of these endpoints behind a gateway over inmemory, and returns the gateway's end.
func serve(endpoints ...endpoint) (*session.Gateway, *process) {
	GinkgoHelper()
	g := listen("inmemory://runtime-test")
	m, list := service(endpoints...)
	p := run(m, list, stella.WithGateways(g.url))
	return g.connected(), p
}

// request is what a spec sends.
type request struct {
	spec.Request

	body    string
	timeout time.Duration
}

// frame is r as it travels, but for its header.
func (r *request) frame() (f *transports.Frame, meta int) {
	f = transports.NewFrame(256 + len(r.body))
	b := r.AppendTo(f.Bytes())
	meta = len(b) - spec.HeaderSize
	f.SetBytes(append(b, r.body...))
	return f, meta
}

// response is what it gets.
type response struct {
	spec.Response

	body    string
	whole   bool // it came in one frame
	trailer stella.Header
}

func (r *response) header(name string) string { return stella.Header(r.Header).Get(name) }

// begin starts a call; its body is whole unless open is set.
func begin(g *session.Gateway, r request, open bool) *session.Call {
	GinkgoHelper()
	flags := spec.FlagEnd
	if r.ContentLength = int64(len(r.body)); open {
		flags, r.ContentLength = 0, -1
	}
	f, meta := r.frame()
	if r.body != "" {
		flags |= spec.FlagInlineBody
	}
	c, err := g.Start(f, meta, flags, r.timeout)
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(c.Close)
	return c
}

// finish waits for the answer to a call. It also returns how a streamed answer ended, where that was not well.
func finish(c *session.Call) (*response, error) {
	GinkgoHelper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	f, err := c.Head(ctx)
	if err != nil {
		return nil, err
	}
	defer f.Release()
	r := &response{body: string(f.Body()), whole: f.Header().Flags&spec.FlagEnd != 0}
	Expect(r.Decode(f.Meta())).To(Succeed())
	var body strings.Builder
	for !r.whole {
		f, err := c.Next(ctx, patience)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			r.body = body.String()
			return r, err
		}
		body.Write(f.Body())
		c.Consumed(len(f.Body()))
		f.Release()
	}
	r.body += body.String()
	r.trailer = c.Trailers()
	return r, nil
}

// send makes a call whose answer must be whole.
func send(g *session.Gateway, r request) *response {
	GinkgoHelper()
	got, err := finish(begin(g, r, false))
	Expect(err).NotTo(HaveOccurred())
	return got
}

// problem is the problem that an answer holds.
func problem(r *response) spec.Problem {
	GinkgoHelper()
	Expect(r.header("Content-Type")).To(Equal(spec.ProblemType))
	var p spec.Problem
	Expect(json.Unmarshal([]byte(r.body), &p)).To(Succeed())
	Expect(p.Status).To(Equal(r.Status))
	Expect(p.Origin).To(Equal("service"))
	return p
}

// haveCode matches the error of a call that the service ended with code.
func haveCode(code spec.Code) types.GomegaMatcher {
	return WithTransform(func(err error) string {
		var e *session.Error
		if !errors.As(err, &e) {
			return fmt.Sprint(err)
		}
		return e.Code.String()
	}, Equal(code.String()))
}

// stream sends a part of the request body.
func stream(c *session.Call, data string, end bool) {
	GinkgoHelper()
	n, err := c.Acquire(len(data))
	Expect(err).NotTo(HaveOccurred())
	Expect(n).To(Equal(len(data)))
	f := transports.NewFrame(n)
	f.SetBytes(append(f.Bytes(), data...))
	Expect(c.Send(f, n, end)).To(Succeed())
}
