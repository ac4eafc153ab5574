package session_test

import (
	"context"
	"testing"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"github.com/onsi/gomega/gleak"

	"github.com/stella-ops/router/spec"
	"github.com/stella-ops/router/transports"
	_ "github.com/stella-ops/router/transports/quic"
	"github.com/stella-ops/router/transports/session"
	_ "github.com/stella-ops/router/transports/tls"
	"github.com/stella-ops/router/transports/trust"
)

func TestSession(t *testing.T) {
	t.Setenv(trust.EnvDevelopment, t.TempDir())
	RegisterFailHandler(Fail)
	RunSpecs(t, "Session")
}

// patience bounds what a spec waits for.
const patience = 5 * time.Second

// links are the ways to connect two ends; every spec of behaviour runs on each.
var links = map[string]func() (gateway, service transports.Link){
	"inmemory": func() (transports.Link, transports.Link) { return dial("inmemory://session-test") },
	"tcp":      func() (transports.Link, transports.Link) { return dial("tcp://127.0.0.1:0") },
	"tls":      func() (transports.Link, transports.Link) { return dial("tls://127.0.0.1:0") },
	"a broker": func() (transports.Link, transports.Link) { return throughBroker(nil) },
}

func dial(url string) (gateway, service transports.Link) {
	GinkgoHelper()
	return dialBy(url, func(addr string) string { return addr })
}

// dialBy is dial, but the service dials what way makes of the listener's address.
func dialBy(url string, way func(addr string) string) (gateway, service transports.Link) {
	GinkgoHelper()
	ln, err := transports.Listen(context.Background(), url, transports.ListenConfig{})
	Expect(err).NotTo(HaveOccurred())
	defer func() { Expect(ln.Close()).To(Succeed()) }()
	accepted := make(chan transports.Link, 1)
	go func() {
		defer GinkgoRecover()
		link, err := ln.Accept()
		Expect(err).NotTo(HaveOccurred())
		accepted <- link
	}()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	service, err = transports.Dial(ctx, way(ln.Addr()))
	Expect(err).NotTo(HaveOccurred())
	Eventually(accepted).WithTimeout(patience).Should(Receive(&gateway))
	return gateway, service
}

func hello() spec.Hello {
	return spec.Hello{
		Instance: spec.Instance{Service: "test", Version: "1.0.0", ID: "one"}, Lease: 64,
	}
}

// pair opens both ends of a session and closes them after the spec, which must leave no goroutine.
func pair(
	newLinks func() (gateway, service transports.Link), serve func(*session.Incoming),
	change ...func(*session.GatewayConfig, *session.ServiceConfig),
) (*session.Gateway, *session.Service) {
	GinkgoHelper()
	before := gleak.Goroutines()
	gcfg := session.GatewayConfig{Welcome: spec.Welcome{Node: "test"}}
	scfg := session.ServiceConfig{Hello: hello(), Manifest: []byte("manifest"), Serve: serve}
	for _, f := range change {
		f(&gcfg, &scfg)
	}
	glink, slink := newLinks()
	if glink.Traits().Brokered { // where frames are signed with the token's key
		scfg.Token = token
		tokens(token)(&gcfg, &scfg)
	}
	type opened struct {
		s   *session.Service
		err error
	}
	service := make(chan opened, 1)
	go func() {
		s, err := session.Open(context.Background(), slink, scfg)
		service <- opened{s, err}
	}()
	g, err := session.Accept(context.Background(), glink, gcfg)
	Expect(err).NotTo(HaveOccurred())
	var s opened
	Eventually(service).WithTimeout(patience).Should(Receive(&s))
	Expect(s.err).NotTo(HaveOccurred())
	DeferCleanup(func() {
		Expect(g.Close(spec.CodeShutdown, "the spec is over")).To(Succeed())
		Expect(s.s.Close()).To(Succeed())
		Eventually(gleak.Goroutines).WithTimeout(patience).ShouldNot(gleak.HaveLeaked(before))
	})
	return g, s.s
}

// request is a REQUEST frame for endpoint 0 with an inline body.
func request(body string, contentLength int64) (f *transports.Frame, meta int) {
	r := spec.Request{Endpoint: 0, ContentLength: contentLength, Header: []spec.Field{{Name: "X-Test", Value: "yes"}}}
	f = transports.NewFrame(256 + len(body))
	b := r.AppendTo(f.Bytes())
	meta = len(b) - spec.HeaderSize
	f.SetBytes(append(b, body...))
	return f, meta
}

// start begins a call whose body is whole.
func start(g *session.Gateway, body string, timeout time.Duration) *session.Call {
	GinkgoHelper()
	c, err := tryStart(g, body, timeout)
	Expect(err).NotTo(HaveOccurred())
	return c
}

func tryStart(g *session.Gateway, body string, timeout time.Duration) (*session.Call, error) {
	f, meta := request(body, int64(len(body)))
	flags := spec.FlagEnd
	if body != "" {
		flags |= spec.FlagInlineBody
	}
	return g.Start(f, meta, flags, timeout)
}

// open begins a call whose body is to follow.
func open(g *session.Gateway) *session.Call {
	GinkgoHelper()
	f, meta := request("", -1)
	c, err := g.Start(f, meta, 0, patience)
	Expect(err).NotTo(HaveOccurred())
	return c
}

// answer waits for RESPONSE and returns its status and inline body.
func answer(c *session.Call) (status int, body string) {
	GinkgoHelper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	f, err := c.Head(ctx)
	Expect(err).NotTo(HaveOccurred())
	defer f.Release()
	var r spec.Response
	Expect(r.Decode(f.Meta())).To(Succeed())
	return r.Status, string(f.Body())
}

// failure waits for RESPONSE and returns the error that comes instead.
func failure(c *session.Call) error {
	GinkgoHelper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	f, err := c.Head(ctx)
	Expect(err).To(HaveOccurred())
	Expect(f).To(BeNil())
	return err
}

func respond(c *session.Incoming, status int, body string) {
	_ = c.Respond(&spec.Response{Status: status, ContentLength: -1}, []byte(body))
}
