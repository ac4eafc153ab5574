package bridge

import (
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"testing"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"github.com/onsi/gomega/gleak"

	"github.com/stella-ops/router/gateway"
	stella "github.com/stella-ops/router/runtime"
	"github.com/stella-ops/router/runtime/httpbridge"
	"github.com/stella-ops/router/spec"
	_ "github.com/stella-ops/router/transports/tcp" // by which the service comes
)

func TestBridge(t *testing.T) {
	RegisterFailHandler(Fail)
	RunSpecs(t, "bridge")
}

// patience bounds what a spec waits for.
const patience = 15 * time.Second

// authority is the Host of all requests: the two servers have different addresses.
const authority = "shop.example"

// maxBody is what endpoints take, in bytes: more than any spec sends.
const maxBody = 4 << 30

// pair is one handler, served twice.
type pair struct {
	direct  string // address of a net/http server
	gateway string // address of the gateway, behind which the bridge serves the handler
	log     *slog.Logger
}

// addresses are both, with names for what fails.
func (p *pair) addresses() map[string]string {
	return map[string]string{"net/http": p.direct, "the gateway": p.gateway}
}

// endpoint is what the bridge serves a handler as.
type endpoint struct {
	method, path string
	change       func(*spec.Endpoint)
}

// pattern is the endpoint as ServeMux has it.
func (e endpoint) pattern() string { return e.method + " " + e.path }

// all are endpoints of every method that there is, at every path.
func all() (list []endpoint) {
	for _, method := range spec.Methods {
		if method == http.MethodHead { // is answered by GET
			continue
		}
		list = append(list, endpoint{method: method, path: "/{rest...}"}, endpoint{method: method, path: "/items/{id}/{part}"})
	}
	return list
}

// middleware is what net/http has around handlers.
type middleware func(http.Handler) http.Handler

// serve serves a handler both ways, behind middleware, the first one outermost: around it in front of net/http, and as interceptors
// in front of the bridge. Everything ends with the test, and must leave no goroutine.
func serve(tb testing.TB, h http.Handler, endpoints []endpoint, around ...middleware) *pair {
	tb.Helper()
	g := NewWithT(tb)
	before := gleak.Goroutines()
	tb.Cleanup(func() { g.Eventually(gleak.Goroutines).WithTimeout(patience).ShouldNot(gleak.HaveLeaked(before)) })
	p := &pair{log: slog.New(slog.DiscardHandler)}
	var parts []stella.Part
	wrapped := h
	for _, mw := range slices.Backward(around) {
		wrapped = mw(wrapped)
	}
	for _, mw := range around {
		parts = append(parts, stella.WithInterceptor(httpbridge.Middleware(mw)))
	}
	p.serveDirect(tb, wrapped, endpoints)
	p.serveBridged(tb, h, endpoints, parts)
	return p
}

// serveDirect has a net/http server, with a mux that knows the endpoints' paths as the gateway does.
func (p *pair) serveDirect(tb testing.TB, h http.Handler, endpoints []endpoint) {
	tb.Helper()
	g := NewWithT(tb)
	mux := http.NewServeMux()
	for _, e := range endpoints {
		mux.Handle(e.pattern(), h)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	g.Expect(err).NotTo(HaveOccurred())
	server := &http.Server{Handler: mux, ErrorLog: slog.NewLogLogger(p.log.Handler(), slog.LevelError)}
	served := make(chan error, 1)
	go func() { served <- server.Serve(l) }()
	tb.Cleanup(func() {
		g.Expect(server.Close()).To(Succeed())
		g.Eventually(served).WithTimeout(patience).Should(Receive(MatchError(http.ErrServerClosed)))
	})
	p.direct = l.Addr().String()
}

// serveBridged has a gateway, and a service that has dialled it.
func (p *pair) serveBridged(tb testing.TB, h http.Handler, endpoints []endpoint, parts []stella.Part) {
	tb.Helper()
	g := NewWithT(tb)
	gw, err := gateway.New(gateway.Config{HTTP: "127.0.0.1:0", Admin: "127.0.0.1:0", Listen: []string{"tcp://127.0.0.1:0"}, Logger: p.log})
	g.Expect(err).NotTo(HaveOccurred())
	m := spec.Manifest{Service: "bridged", Version: "1.0.0"}
	list := stella.Endpoints{Package: "bridge"}
	for _, e := range endpoints {
		declared := spec.Endpoint{
			Method: e.method, Path: e.path, Handler: "Handler", Kind: spec.KindHTTP, Status: http.StatusOK, Stream: spec.StreamBoth,
			Public: "it is a test", Limits: spec.Limits{MaxBodyBytes: maxBody}.WithDefaults(),
		}
		pattern, err := spec.ParsePattern(e.path)
		g.Expect(err).NotTo(HaveOccurred())
		for _, name := range pattern.Params() {
			declared.Params = append(declared.Params, spec.Param{Name: name, In: spec.InPath, Required: true, Schema: &spec.Schema{Type: "string"}})
		}
		if e.change != nil {
			e.change(&declared)
		}
		m.Endpoints = append(m.Endpoints, declared)
		list.List = append(list.List, stella.Endpoint{Method: e.method, Path: e.path, Dispatch: httpbridge.Dispatch(h)})
	}
	manifest, err := m.Encode()
	g.Expect(err).NotTo(HaveOccurred())
	parts = append([]stella.Part{list, stella.WithVariable(stella.EnvGateways, gw.ListenAddrs()[0]), stella.WithLogger(p.log)}, parts...)
	svc := stella.New(stella.Manifest{JSON: string(manifest)}, parts...)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 2)
	go func() { ended <- gw.Serve(ctx) }()
	go func() { ended <- svc.Run(ctx) }()
	tb.Cleanup(func() {
		cancel()
		for range 2 {
			g.Eventually(ended).WithTimeout(patience).Should(Receive(BeNil()))
		}
	})
	g.Eventually(func() int { return len(gw.Registry().Services()) }).WithTimeout(patience).Should(Equal(1))
	p.gateway = gw.HTTPAddr()
}

// bothWays says the same of a handler behind net/http and behind the gateway: how a spec should be written where nothing differs.
func bothWays(text string, h func() http.Handler, e endpoint, check func(ctx SpecContext, address string), around ...middleware) {
	for _, by := range []string{"net/http", "the gateway"} {
		It(text+", behind "+by, func(ctx SpecContext) {
			check(ctx, serve(GinkgoTB(), h(), []endpoint{e}, around...).addresses()[by])
		}, NodeTimeout(2*patience))
	}
}

// client makes requests by connections of their own, which it does not keep.
var client = &http.Client{Transport: &http.Transport{DisableKeepAlives: true, DisableCompression: true}}

// request asks a server, and leaves the answer's body to be read.
func request(ctx context.Context, method, address, target string, body io.Reader) *http.Response {
	GinkgoHelper()
	r, err := http.NewRequestWithContext(ctx, method, "http://"+address+target, body)
	Expect(err).NotTo(HaveOccurred())
	resp, err := client.Do(r)
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(func() { _ = resp.Body.Close() })
	return resp
}

// connect opens a connection of a client's, which ends with the spec.
func connect(address string) net.Conn {
	GinkgoHelper()
	conn, err := net.Dial("tcp", address)
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(func() { _ = conn.Close() })
	Expect(conn.SetDeadline(time.Now().Add(patience))).To(Succeed())
	return conn
}

// say writes text to a connection.
func say(conn net.Conn, text string) {
	GinkgoHelper()
	_, err := io.WriteString(conn, text)
	Expect(err).NotTo(HaveOccurred())
}
